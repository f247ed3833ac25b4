/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/share_text.h"

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/own.h"
#include "keys/bech32.h"

#define GROUP_CHARS   4u
#define GROUPED_BYTES (BECH32_CHARS_MAX + BECH32_CHARS_MAX / GROUP_CHARS + 2u)
#define KEY_VERSION   1u
#define KEY_BYTES     (1u + CUSTODIAN_KEY_BYTES)

static const struct text_kind {
    const char *prefix; /* With the separator. */
    const char *name;
    size_t bytes;
} text_kinds[SHARE_TEXT_KINDS] = {
    [SHARE_TEXT_SHARE] = {"ckshare1", "a share", SHARE_BYTES},
    [SHARE_TEXT_PUBLIC] = {"ckpub1", "a custodian's public key", KEY_BYTES},
    [SHARE_TEXT_KEY] = {"ckkey1", "a custodian's own key", KEY_BYTES},
};

/* What was typed, without what stands between its groups. */
struct typed {
    char text[BECH32_CHARS_MAX + 1];
    size_t size;     /* As typed, also where it passes the room. */
    unsigned uneven; /* The first group that was typed with another size than four; 0: none. */
};

static void typed_wipe(struct typed *typed)
{
    sodium_memzero(typed, sizeof *typed);
}

static unsigned chars_wanted(const struct text_kind *kind)
{
    return (unsigned)((kind->bytes * 8 + 4) / 5 + BECH32_CHECKSUM_CHARS);
}

/* --- Writing --- */

static STATUS code_make(const struct text_kind *kind, const uint8_t *bytes, struct bech32 *code)
{
    size_t prefix = strlen(kind->prefix) - 1;

    memcpy(code->prefix, kind->prefix, prefix);
    code->prefix[prefix] = '\0';
    return bech32_pack(bytes, kind->bytes, code);
}

/* "ckshare1" and groups of four behind it. */
static STATUS text_write(const struct text_kind *kind, const uint8_t *bytes,
                         struct secret **out_text)
{
    OWNED(secret_free) struct secret *plain = NULL;
    OWNED(secret_free) struct secret *text = NULL;
    struct bech32 code OWNED(bech32_wipe) = {0};
    size_t prefix = strlen(kind->prefix);

    TRY(code_make(kind, bytes, &code));
    TRY(secret_new_key(BECH32_CHARS_MAX + 1, &plain));
    TRY(secret_new_key(GROUPED_BYTES, &text));
    TRY(bech32_encode(&code, (char *)secret_bytes(plain)));
    const char *from = (const char *)secret_peek(plain);
    char *to = (char *)secret_bytes(text);
    for (size_t i = 0; from[i] != '\0'; i++) {
        if (i >= prefix && (i - prefix) % GROUP_CHARS == 0)
            *to++ = ' ';
        *to++ = from[i];
    }
    *out_text = MOVE(text);
    return STATUS_OK;
}

STATUS share_text_write(const struct share *share, struct secret **out_text)
{
    OWNED(secret_free) struct secret *bytes = NULL;

    TRY(secret_new_key(SHARE_BYTES, &bytes));
    share_encode(share, secret_bytes(bytes));
    return text_write(&text_kinds[SHARE_TEXT_SHARE], secret_peek(bytes), out_text);
}

STATUS share_text_write_key(const struct secret *key, struct secret **out_text)
{
    OWNED(secret_free) struct secret *bytes = NULL;

    ENSURE(secret_size(key) == CUSTODIAN_KEY_BYTES, WHY_BAD_INPUT);
    TRY(secret_new_key(KEY_BYTES, &bytes));
    secret_bytes(bytes)[0] = KEY_VERSION;
    memcpy(secret_bytes(bytes) + 1, secret_peek(key), CUSTODIAN_KEY_BYTES);
    return text_write(&text_kinds[SHARE_TEXT_KEY], secret_peek(bytes), out_text);
}

void share_text_write_public(const uint8_t key[static CUSTODIAN_KEY_BYTES],
                             char out[static SHARE_TEXT_PUBLIC_SIZE])
{
    char text[BECH32_CHARS_MAX + 1];
    uint8_t bytes[KEY_BYTES] = {KEY_VERSION};
    struct bech32 code = {0};

    memcpy(bytes + 1, key, CUSTODIAN_KEY_BYTES);
    struct status status = code_make(&text_kinds[SHARE_TEXT_PUBLIC], bytes, &code);
    assert(!failed(status));
    status = bech32_encode(&code, text);
    assert(!failed(status));
    assert(strlen(text) < SHARE_TEXT_PUBLIC_SIZE);
    memcpy(out, text, strlen(text) + 1);
}

/* --- Reading --- */

static char folded(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool separates(uint8_t c)
{
    return c == ' ' || c == '-' || c == '\t' || c == '\r' || c == '\n';
}

static void typed_take(const uint8_t *bytes, size_t size, size_t prefix, struct typed *typed)
{
    unsigned group = 1;
    unsigned run = 0; /* Characters of the group that is being typed. */

    for (size_t i = 0; i < size; i++) {
        if (separates(bytes[i])) {
            if (run > 0 && run != GROUP_CHARS && typed->uneven == 0)
                typed->uneven = group;
            group += run > 0 ? 1 : 0;
            run = 0;
            continue;
        }
        if (typed->size < BECH32_CHARS_MAX)
            typed->text[typed->size] = folded(bytes[i]);
        run += typed->size >= prefix ? 1 : 0;
        typed->size++;
    }
}

static STATUS fault_set(struct share_text_fault *fault, enum share_text_flaw flaw, unsigned group)
{
    fault->flaw = flaw;
    fault->group = group;
    return FAIL(flaw == SHARE_TEXT_CHECKSUM ? WHY_FORGED : WHY_BAD_INPUT);
}

static bool begins(const struct typed *typed, enum share_text_kind kind)
{
    size_t prefix = strlen(text_kinds[kind].prefix);

    return typed->size >= prefix && strncmp(typed->text, text_kinds[kind].prefix, prefix) == 0;
}

/* The prefix, the alphabet and the length: in this order, as the first that is wrong explains the
 * others. */
static STATUS typed_check(const struct typed *typed, struct share_text_fault *fault)
{
    const struct text_kind *kind = &text_kinds[fault->wanted_kind];
    size_t prefix = strlen(kind->prefix);

    for (unsigned other = 0; other < SHARE_TEXT_KINDS; other++)
        if (other != fault->wanted_kind && begins(typed, other)) {
            fault->found = other;
            return fault_set(fault, SHARE_TEXT_OTHER, 0);
        }
    if (!begins(typed, fault->wanted_kind))
        return fault_set(fault, SHARE_TEXT_PREFIX, 0);
    for (size_t i = prefix; i < typed->size && i < BECH32_CHARS_MAX; i++)
        if (bech32_symbol(typed->text[i]) == BECH32_NO_SYMBOL)
            return fault_set(fault, SHARE_TEXT_CHARACTER,
                             (unsigned)((i - prefix) / GROUP_CHARS) + 1);
    fault->wanted = chars_wanted(kind);
    fault->count = (unsigned)(typed->size - prefix);
    if (fault->count != fault->wanted)
        return fault_set(fault, SHARE_TEXT_LENGTH, typed->uneven);
    return STATUS_OK;
}

static STATUS text_read(enum share_text_kind wanted, const uint8_t *bytes, size_t size,
                        uint8_t *out, struct share_text_fault *fault)
{
    const struct text_kind *kind = &text_kinds[wanted];
    size_t prefix = strlen(kind->prefix);
    struct typed typed OWNED(typed_wipe) = {0};
    struct bech32 code OWNED(bech32_wipe) = {0};
    size_t at = 0;

    *fault = (struct share_text_fault){.wanted_kind = wanted};
    typed_take(bytes, size, prefix, &typed);
    TRY(typed_check(&typed, fault));
    struct status status = bech32_decode(typed.text, typed.size, &code);
    if (failed(status)) {
        assert(status.why == WHY_FORGED); /* All else was looked at before. */
        bool found = !failed(bech32_locate(typed.text, typed.size, &at));
        return fault_set(fault, SHARE_TEXT_CHECKSUM,
                         found ? (unsigned)((at - prefix) / GROUP_CHARS) + 1 : 0);
    }
    if (failed(bech32_unpack(&code, out, kind->bytes)))
        return fault_set(fault, SHARE_TEXT_CONTENT, 0);
    return STATUS_OK;
}

STATUS share_text_read(const uint8_t *typed, size_t size, struct share *out_share,
                       struct share_text_fault *out_fault)
{
    OWNED(secret_free) struct secret *bytes = NULL;

    TRY(secret_new_key(SHARE_BYTES, &bytes));
    TRY(text_read(SHARE_TEXT_SHARE, typed, size, secret_bytes(bytes), out_fault));
    struct status status = share_decode(secret_peek(bytes), out_share);
    if (status.why == WHY_NOT_FOUND || status.why == WHY_BAD_INPUT)
        return fault_set(out_fault, SHARE_TEXT_CONTENT, 0);
    return status;
}

STATUS share_text_read_public(const uint8_t *typed, size_t size,
                              uint8_t out_key[static CUSTODIAN_KEY_BYTES],
                              struct share_text_fault *out_fault)
{
    uint8_t bytes[KEY_BYTES];

    TRY(text_read(SHARE_TEXT_PUBLIC, typed, size, bytes, out_fault));
    if (bytes[0] != KEY_VERSION)
        return fault_set(out_fault, SHARE_TEXT_CONTENT, 0);
    memcpy(out_key, bytes + 1, CUSTODIAN_KEY_BYTES);
    return STATUS_OK;
}

STATUS share_text_read_key(const uint8_t *typed, size_t size, struct secret **out_key,
                           struct share_text_fault *out_fault)
{
    OWNED(secret_free) struct secret *bytes = NULL;
    OWNED(secret_free) struct secret *key = NULL;

    TRY(secret_new_key(KEY_BYTES, &bytes));
    TRY(text_read(SHARE_TEXT_KEY, typed, size, secret_bytes(bytes), out_fault));
    if (secret_peek(bytes)[0] != KEY_VERSION)
        return fault_set(out_fault, SHARE_TEXT_CONTENT, 0);
    TRY(secret_new_key(CUSTODIAN_KEY_BYTES, &key));
    memcpy(secret_bytes(key), secret_peek(bytes) + 1, CUSTODIAN_KEY_BYTES);
    secret_protect(key);
    *out_key = MOVE(key);
    return STATUS_OK;
}

/* --- What is wrong --- */

void share_text_explain(const struct share_text_fault *fault, struct buffer *out)
{
    const struct text_kind *kind = &text_kinds[fault->wanted_kind];

    switch (fault->flaw) {
    case SHARE_TEXT_GOOD:
        buffer_add_text(out, "It is typed as it was written.");
        break;
    case SHARE_TEXT_PREFIX:
        buffer_format(out, "What was typed does not begin with %s, as %s does; type it from there.",
                      kind->prefix, kind->name);
        break;
    case SHARE_TEXT_OTHER:
        buffer_format(out, "That is %s; %s is wanted, which begins with %s.",
                      text_kinds[fault->found].name, kind->name, kind->prefix);
        break;
    case SHARE_TEXT_CHARACTER:
        buffer_format(out,
                      "Group %u has a character that is never used (1, b, i and o are not); "
                      "compare that group with what was written down.",
                      fault->group);
        break;
    case SHARE_TEXT_LENGTH:
        buffer_format(out, "Behind %s there are %u characters in the place of %u; ", kind->prefix,
                      fault->count, fault->wanted);
        if (fault->group > 0)
            buffer_format(out, "group %u has not four, compare it with what was written down.",
                          fault->group);
        else
            buffer_add_text(out, "compare every group of four with what was written down.");
        break;
    case SHARE_TEXT_CHECKSUM:
        if (fault->group > 0)
            buffer_format(out,
                          "A character of group %u is wrong; compare that group with what was "
                          "written down.",
                          fault->group);
        else
            buffer_add_text(out, "More than one character is wrong; compare every group of four "
                                 "with what was written down.");
        break;
    case SHARE_TEXT_CONTENT:
        buffer_format(out,
                      "It is typed as it was written, and is no version of %s that this "
                      "program knows; use the program that wrote it, or a newer one.",
                      kind->name);
        break;
    }
}
