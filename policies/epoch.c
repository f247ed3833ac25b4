/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/epoch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"

#define ROOT_HEX_CHARS (2u * MERKLE_HASH_BYTES)
#define DIGITS_MAX     19u

/* Decimal without a leading zero, up to `end`; moves *at behind it.  False where there is none. */
static bool number_read(const char **at, char end, uint64_t *out)
{
    uint64_t value = 0;
    size_t count = strspn(*at, "0123456789");

    if (count == 0 || count > DIGITS_MAX || (*at)[count] != end || (count > 1 && **at == '0'))
        return false;
    for (size_t i = 0; i < count; i++)
        value = value * 10 + (uint64_t)((*at)[i] - '0');
    *at += count;
    *out = value;
    return true;
}

STATUS epoch_statement_parse(const char *text, struct epoch_statement *out_statement)
{
    struct epoch_statement statement = {.given = true};
    uint64_t epoch = 0;

    ENSURE(number_read(&text, ':', &statement.size), WHY_BAD_INPUT);
    text++;
    ENSURE(strlen(text) > ROOT_HEX_CHARS && text[ROOT_HEX_CHARS] == ':', WHY_BAD_INPUT);
    TRY(decode_hex(text, ROOT_HEX_CHARS, statement.root, sizeof statement.root));
    text += ROOT_HEX_CHARS + 1;
    ENSURE(number_read(&text, '\0', &epoch), WHY_BAD_INPUT);
    ENSURE(epoch >= 2 && epoch <= EPOCH_MAX, WHY_BAD_INPUT);
    statement.epoch = (uint32_t)epoch;
    *out_statement = statement;
    return STATUS_OK;
}

STATUS epoch_statement_take(const char *text, struct epoch_statement *out_statement)
{
    TRY(epoch_statement_parse(text, out_statement));
    (void)snprintf(out_statement->by, sizeof out_statement->by, "user %u", (unsigned)getuid());
    return STATUS_OK;
}

void epoch_statement_text(const struct epoch_statement *statement,
                          char out[static EPOCH_TEXT_BYTES_MAX])
{
    char root[ROOT_HEX_CHARS + 1];

    encode_hex(statement->root, sizeof statement->root, root);
    (void)snprintf(out, EPOCH_TEXT_BYTES_MAX, "%" PRIu64 ":%s:%" PRIu32, statement->size, root,
                   statement->epoch);
}

void epoch_fork_encode(const struct epoch_fork *fork, struct buffer *out)
{
    buffer_add_u32(out, fork->epoch);
    buffer_add_u64(out, fork->from_size);
    buffer_add(out, fork->from_root, sizeof fork->from_root);
    buffer_add_u64(out, fork->to_size);
    buffer_add(out, fork->to_root, sizeof fork->to_root);
    buffer_add_counted(out, fork->by);
}

static void root_decode(struct cursor *in, uint8_t out[static MERKLE_HASH_BYTES])
{
    const uint8_t *bytes = cursor_bytes(in, MERKLE_HASH_BYTES);

    if (bytes != NULL)
        memcpy(out, bytes, MERKLE_HASH_BYTES);
}

void epoch_fork_decode(struct cursor *in, struct epoch_fork *out_fork)
{
    *out_fork = (struct epoch_fork){.epoch = cursor_u32(in)};
    out_fork->from_size = cursor_u64(in);
    root_decode(in, out_fork->from_root);
    out_fork->to_size = cursor_u64(in);
    root_decode(in, out_fork->to_root);
    cursor_text(in, out_fork->by, sizeof out_fork->by);
    if (out_fork->epoch < 2 || out_fork->epoch > EPOCH_MAX)
        in->bad = true;
}

/* Roots in base64: hex has long runs of digits now and then. */
void epoch_fork_text(const struct epoch_fork *fork, char out[static EPOCH_ENTRY_BYTES_MAX])
{
    char from[ENCODE_BASE64_SIZE(MERKLE_HASH_BYTES)];
    char to[ENCODE_BASE64_SIZE(MERKLE_HASH_BYTES)];

    encode_base64(fork->from_root, sizeof fork->from_root, from);
    encode_base64(fork->to_root, sizeof fork->to_root, to);
    (void)snprintf(out, EPOCH_ENTRY_BYTES_MAX,
                   "from %" PRIu64 " entries, root %s, to %" PRIu64 " entries, root %s; accepted "
                   "by %s",
                   fork->from_size, from, fork->to_size, to,
                   fork->by[0] == '\0' ? "nobody named" : fork->by);
}

uint32_t epoch_of(const char *origin, const char *name)
{
    size_t size = strlen(origin);
    uint64_t epoch = 0;

    if (strncmp(name, origin, size) != 0)
        return 0;
    if (name[size] == '\0')
        return 1;
    const char *digits = name + size + 1;
    if (name[size] != '/' || !number_read(&digits, '\0', &epoch) || epoch < 2 || epoch > EPOCH_MAX)
        return 0;
    return (uint32_t)epoch;
}

STATUS epoch_origin(const char *origin, uint32_t epoch, char out[static NOTE_NAME_BYTES_MAX])
{
    assert(epoch >= 1);
    int length = epoch == 1 ? snprintf(out, NOTE_NAME_BYTES_MAX, "%s", origin)
                            : snprintf(out, NOTE_NAME_BYTES_MAX, "%s/%" PRIu32, origin, epoch);
    ENSURE(length > 0 && (unsigned)length < NOTE_NAME_BYTES_MAX, WHY_LIMIT);
    return STATUS_OK;
}

STATUS epoch_open(const void *note, size_t size, const char *origin, const struct note_key *key,
                  struct checkpoint *out_checkpoint, uint32_t *out_epoch)
{
    return epoch_open_any(note, size, origin, key, 1, out_checkpoint, out_epoch);
}

STATUS epoch_open_any(const void *note, size_t size, const char *origin,
                      const struct note_key *keys, unsigned key_count,
                      struct checkpoint *out_checkpoint, uint32_t *out_epoch)
{
    struct checkpoint claimed = {0};
    struct note_key own[EPOCH_KEYS_MAX];
    const char *text = NULL;
    size_t text_size = 0;
    char name[NOTE_NAME_BYTES_MAX];

    assert(key_count <= EPOCH_KEYS_MAX);
    memcpy(own, keys, key_count * sizeof *keys);
    /* What it says it is decides under which name a key must have signed it. */
    TRY(note_peek(note, size, &text, &text_size));
    bool is_checkpoint = !failed(checkpoint_parse(text, text_size, &claimed));
    uint32_t epoch = is_checkpoint ? epoch_of(origin, claimed.origin) : 0;
    for (unsigned i = 0; epoch > 1 && i < key_count; i++) {
        TRY(epoch_origin(keys[i].name, epoch, name));
        note_key_rename(&keys[i], name, &own[i]);
    }
    TRY(note_open(note, size, own, key_count, &text, &text_size));
    ENSURE(epoch != 0, WHY_CONFLICT);
    *out_checkpoint = claimed;
    *out_epoch = epoch;
    return STATUS_OK;
}
