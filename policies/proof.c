/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/proof.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "policies/epoch.h"

#define FIRST_LINE   "c2sp.org/tlog-proof@v1"
#define EXTRA_PREFIX "extra "
#define INDEX_PREFIX "index "
#define INDEX_DIGITS 18u

static void add_base64(struct buffer *out, const void *bytes, size_t size)
{
    char *room = (char *)buffer_extend(out, ENCODE_BASE64_SIZE(size));

    if (room == NULL)
        return;
    encode_base64(bytes, size, room);
    out->bytes[out->size - 1] = '\n'; /* In the NUL's place. */
}

STATUS proof_write(const struct inclusion_path *path, const struct proof_text *entry,
                   const struct proof_text *note, struct buffer *out)
{
    assert(entry->size <= AUDIT_ENTRY_BYTES_MAX);
    assert(path->count <= MERKLE_LEVELS_MAX);
    buffer_add_text(out, FIRST_LINE "\n" EXTRA_PREFIX);
    add_base64(out, entry->bytes, entry->size);
    buffer_format(out, INDEX_PREFIX "%" PRIu64 "\n", path->index);
    for (unsigned i = 0; i < path->count; i++)
        add_base64(out, path->hashes[i], MERKLE_HASH_BYTES);
    buffer_add_text(out, "\n");
    buffer_add(out, note->bytes, note->size);
    return buffer_status(out);
}

/* Where the text has been read up to. */
struct reader {
    const char *at;
    const char *end;
};

/* The next line without its line feed; false at the end, also of a line that is cut short. */
static bool line_next(struct reader *reader, struct proof_text *out_line)
{
    size_t left = (size_t)(reader->end - reader->at);
    const char *feed = left == 0 ? NULL : memchr(reader->at, '\n', left);

    if (feed == NULL)
        return false;
    *out_line = (struct proof_text){.bytes = reader->at, .size = (size_t)(feed - reader->at)};
    reader->at = feed + 1;
    return true;
}

/* Takes `prefix` off the line. */
static bool line_begins(struct proof_text *line, const char *prefix)
{
    size_t size = strlen(prefix);

    if (line->size < size || memcmp(line->bytes, prefix, size) != 0)
        return false;
    line->bytes = (const char *)line->bytes + size;
    line->size -= size;
    return true;
}

static STATUS index_read(const struct proof_text *digits, uint64_t *out_index)
{
    const char *text = digits->bytes;
    uint64_t value = 0;

    ENSURE(digits->size > 0 && digits->size <= INDEX_DIGITS, WHY_BAD_INPUT);
    ENSURE(text[0] != '0' || digits->size == 1, WHY_BAD_INPUT);
    for (size_t i = 0; i < digits->size; i++) {
        ENSURE(text[i] >= '0' && text[i] <= '9', WHY_BAD_INPUT);
        value = 10 * value + (uint64_t)(text[i] - '0');
    }
    *out_index = value;
    return STATUS_OK;
}

static STATUS entry_read(const struct proof_text *line, struct buffer *out_entry)
{
    size_t size = 0;
    uint8_t *room = buffer_extend(out_entry, AUDIT_ENTRY_BYTES_MAX);

    ENSURE(room != NULL, WHY_NO_MEMORY);
    out_entry->size -= AUDIT_ENTRY_BYTES_MAX;
    ENSURE(!failed(decode_base64(line->bytes, line->size, room, AUDIT_ENTRY_BYTES_MAX, &size)),
           WHY_BAD_INPUT);
    out_entry->size += size;
    return STATUS_OK;
}

/* The hashes, up to the empty line. */
static STATUS path_read(struct reader *reader, struct inclusion_path *path)
{
    struct proof_text line;

    for (;;) {
        size_t size = 0;
        ENSURE(line_next(reader, &line), WHY_BAD_INPUT);
        if (line.size == 0)
            return STATUS_OK;
        ENSURE(path->count < MERKLE_LEVELS_MAX, WHY_BAD_INPUT);
        ENSURE(!failed(decode_base64(line.bytes, line.size, path->hashes[path->count],
                                     MERKLE_HASH_BYTES, &size)),
               WHY_BAD_INPUT);
        ENSURE(size == MERKLE_HASH_BYTES, WHY_BAD_INPUT);
        path->count++;
    }
}

STATUS proof_open(const void *text, size_t size, const char *origin, const struct note_key *key,
                  struct buffer *out_entry, struct proof *out_proof)
{
    struct reader reader = {.at = text, .end = (const char *)text + size};
    struct inclusion_path path = {0};
    struct checkpoint checkpoint = {0};
    struct proof_text line;
    uint8_t leaf[MERKLE_HASH_BYTES];
    uint32_t epoch = 0;

    ENSURE(size <= PROOF_BYTES_MAX, WHY_BAD_INPUT);
    ENSURE(line_next(&reader, &line) && line_begins(&line, FIRST_LINE) && line.size == 0,
           WHY_BAD_INPUT);
    ENSURE(line_next(&reader, &line) && line_begins(&line, EXTRA_PREFIX), WHY_BAD_INPUT);
    size_t before = out_entry->size;
    TRY(entry_read(&line, out_entry));
    ENSURE(line_next(&reader, &line) && line_begins(&line, INDEX_PREFIX), WHY_BAD_INPUT);
    TRY(index_read(&line, &path.index));
    TRY(path_read(&reader, &path));
    TRY(epoch_open(reader.at, (size_t)(reader.end - reader.at), origin, key, &checkpoint, &epoch));
    path.size = checkpoint.size;
    merkle_leaf(out_entry->bytes + before, out_entry->size - before, leaf);
    TRY(inclusion_check(&path, leaf, checkpoint.root));
    *out_proof = (struct proof){.index = path.index, .size = checkpoint.size, .epoch = epoch};
    return STATUS_OK;
}
