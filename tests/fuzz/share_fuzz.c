/* SPDX-License-Identifier: Apache-2.0 */
/* What a custodian may type.  A text that is read says the same when it is written again; of a
 * wrong one there is a sentence that repeats none of it. */
#include <sodium.h>
#include <stdio.h>

#include "base/own.h"
#include "keys/bech32.h"
#include "keys/share_text.h"
#include "tests/fuzz/require.h"

#define BYTES_MAX 1024u

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    return 0;
}

/* Letters and digits, lower-case. */
static size_t plain_of(const uint8_t *data, size_t size, char out[static BYTES_MAX + 1])
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        if (strchr(" -\t\r\n", data[i]) == NULL || data[i] == '\0')
            out[count++] = (char)(data[i] >= 'A' && data[i] <= 'Z' ? data[i] + 32 : data[i]);
    out[count] = '\0';
    return count;
}

static void again_same(const uint8_t *data, size_t size, const struct secret *text)
{
    char typed[BYTES_MAX + 1];
    char ours[BYTES_MAX + 1];
    size_t typed_size = plain_of(data, size, typed);
    size_t ours_size = plain_of(secret_peek(text), strlen((const char *)secret_peek(text)), ours);

    require(same_bytes(typed, typed_size, ours, ours_size));
}

static void fault_holds(const struct share_text_fault *fault)
{
    OWNED(buffer_free) struct buffer text = BUFFER(512);

    require(fault->flaw != SHARE_TEXT_GOOD);
    require(fault->group <= BYTES_MAX);
    share_text_explain(fault, &text);
    must(buffer_status(&text));
    require(text.size > 20 && text.bytes[text.size - 1] == '.');
}

static void share_one(const uint8_t *data, size_t size)
{
    struct share share OWNED(share_free) = {0};
    OWNED(secret_free) struct secret *text = NULL;
    struct share_text_fault fault;

    if (failed(share_text_read(data, size, &share, &fault))) {
        fault_holds(&fault);
        return;
    }
    require(share.index >= 1 && share.index <= SHARES_COUNT_MAX && share.threshold >= 2);
    must(share_text_write(&share, &text));
    again_same(data, size, text);
}

static void key_one(const uint8_t *data, size_t size)
{
    OWNED(secret_free) struct secret *key = NULL;
    OWNED(secret_free) struct secret *text = NULL;
    struct share_text_fault fault;

    if (failed(share_text_read_key(data, size, &key, &fault))) {
        fault_holds(&fault);
        return;
    }
    must(share_text_write_key(key, &text));
    again_same(data, size, text);
}

static void public_one(const uint8_t *data, size_t size)
{
    uint8_t key[CUSTODIAN_KEY_BYTES];
    char text[SHARE_TEXT_PUBLIC_SIZE];
    char typed[BYTES_MAX + 1];
    struct share_text_fault fault;

    if (failed(share_text_read_public(data, size, key, &fault))) {
        fault_holds(&fault);
        return;
    }
    share_text_write_public(key, text);
    size_t typed_size = plain_of(data, size, typed);
    require(same_bytes(typed, typed_size, text, strlen(text)));
}

/* The text as it stands: what is taken is the same again, what has a wrong sum has one place at
 * most, and with another character there it is taken. */
static void code_one(const uint8_t *data, size_t size)
{
    static const char both_cases[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7lQPZRYXGFTVDWSJNKHCEMUAL";
    char *text = text_of(data, size);
    char again[BECH32_CHARS_MAX + 1];
    struct bech32 code = {0};
    struct status status = bech32_decode(text, size, &code);
    size_t at = 0;

    if (!failed(status)) {
        must(bech32_encode(&code, again));
        require(strlen(again) == size);
        for (size_t i = 0; i < size; i++)
            require(again[i] == text[i] || again[i] == text[i] + 32);
    } else if (status.why == WHY_FORGED && !failed(bech32_locate(text, size, &at))) {
        bool found = false;
        require(at < size);
        for (const char *c = both_cases; *c != '\0' && !found; c++) {
            text[at] = *c;
            found = !failed(bech32_decode(text, size, &code));
        }
        require(found);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > BYTES_MAX)
        return 0;
    share_one(data, size);
    key_one(data, size);
    public_one(data, size);
    code_one(data, size);
    return 0;
}
