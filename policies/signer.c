/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/signer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "policies/signer_inside.h"

/* The state file: u8 version | u16-counted origin | in version 3 u8 phase and u8 is there a fork |
 * fork (version 2, and 3 where there is one) | frontier | SHA-256 of all before.  The checksum is
 * against accidents: who can write this file can do worse. */
#define STATE_VERSION     1u
#define STATE_VERSION_2   2u /* From epoch 2 on. */
#define STATE_VERSION_3   3u /* While there is a next key that signs. */
#define STATE_BYTES_MAX   4096u
#define CHECKSUM_BYTES    crypto_hash_sha256_BYTES

#define WAITING_BYTES_MAX (1u << 20)
#define TEXT_BYTES_MAX    1024u

/* ---- What was signed last ---- */

static STATUS state_parse(struct signer *signer, const uint8_t *bytes, size_t size)
{
    uint8_t sum[CHECKSUM_BYTES];
    char origin[NOTE_NAME_BYTES_MAX];
    ENSURE(size > CHECKSUM_BYTES, WHY_FORGED);
    size -= CHECKSUM_BYTES;
    crypto_hash_sha256(sum, bytes, size);
    ENSURE(memcmp(sum, bytes + size, sizeof sum) == 0, WHY_FORGED);

    struct cursor cursor = cursor_over(bytes, size);
    uint8_t version = cursor_u8(&cursor);
    ENSURE(version >= STATE_VERSION && version <= STATE_VERSION_3, WHY_FORGED);
    cursor_text(&cursor, origin, sizeof origin);
    bool has_fork = version == STATE_VERSION_2;
    if (version == STATE_VERSION_3) {
        signer->phase = (enum signer_phase)cursor_u8(&cursor);
        has_fork = cursor_flag(&cursor);
        ENSURE(signer->phase == SIGNER_BOTH || signer->phase == SIGNER_RETIRING, WHY_FORGED);
    }
    if (has_fork)
        epoch_fork_decode(&cursor, &signer->fork);
    ENSURE(!cursor.bad, WHY_FORGED);
    ENSURE(epoch_of(signer->options->origin, origin) == signer->fork.epoch, WHY_FORGED);
    struct status status =
        merkle_frontier_decode(bytes + cursor.at, size - cursor.at, &signer->signed_last);
    ENSURE(!failed(status), WHY_FORGED);
    return STATUS_OK;
}

static STATUS state_load(struct signer *signer)
{
    uint8_t bytes[STATE_BYTES_MAX];
    size_t size = 0;
    OWNED(signer_file_close)
    int fd = open(signer->options->state_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return STATUS_OK; /* Nothing was signed yet. */
    ENSURE(fd >= 0, WHY_IO);
    TRY(signer_file_read(fd, bytes, sizeof bytes, &size));
    TRY(state_parse(signer, bytes, size));
    signer->frontier = signer->signed_last;
    signer->has_signed = true;
    return STATUS_OK;
}

STATUS signer_state_read(const char *path, const char *origin, struct checkpoint *out_last)
{
    struct signer_options options = {.origin = origin, .state_path = path};
    struct signer signer = {.options = &options, .fork = {.epoch = 1}};

    TRY(state_load(&signer));
    ENSURE(signer.has_signed, WHY_NOT_FOUND);
    *out_last = (struct checkpoint){.size = signer.signed_last.size};
    merkle_root(&signer.signed_last, out_last->root);
    return epoch_origin(origin, signer.fork.epoch, out_last->origin);
}

STATUS signer_state_save(struct signer *signer)
{
    const char *path = signer->options->state_path;
    char temporary[4096];
    uint8_t sum[CHECKSUM_BYTES];
    OWNED(buffer_free) struct buffer bytes = BUFFER(STATE_BYTES_MAX);

    int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    ENSURE(length > 0 && (size_t)length < sizeof temporary, WHY_LIMIT);
    buffer_add_u8(&bytes, signer->phase != SIGNER_ALONE ? STATE_VERSION_3
                          : signer->fork.epoch == 1     ? STATE_VERSION
                                                        : STATE_VERSION_2);
    buffer_add_counted(&bytes, signer->key.name);
    if (signer->phase != SIGNER_ALONE) {
        buffer_add_u8(&bytes, (uint8_t)signer->phase);
        buffer_add_u8(&bytes, signer->fork.epoch > 1);
    }
    if (signer->fork.epoch > 1)
        epoch_fork_encode(&signer->fork, &bytes);
    merkle_frontier_encode(&signer->frontier, &bytes);
    TRY(buffer_status(&bytes));
    crypto_hash_sha256(sum, bytes.bytes, bytes.size);
    buffer_add(&bytes, sum, sizeof sum);
    TRY(buffer_status(&bytes));

    TRY(signer_file_write(temporary, O_TRUNC, bytes.bytes, bytes.size));
    ENSURE(rename(temporary, path) == 0, WHY_IO);
    TRY(signer_file_sync_folder(path));
    signer->signed_last = signer->frontier;
    signer->has_signed = true;
    return STATUS_OK;
}

/* ---- Frames ---- */

static STATUS say_hello(struct signer *signer)
{
    char key[NOTE_NAME_BYTES_MAX + 64];

    note_key_text(&signer->key, key, sizeof key);
    struct buffer *body = frame_begin(signer->writer, SIGNER_HELLO, 0);
    merkle_frontier_encode(&signer->signed_last, body);
    buffer_add_counted(body, key);
    if (signer->fork.epoch > 1)
        epoch_fork_encode(&signer->fork, body);
    return frame_end(signer->writer);
}

static STATUS refuse(struct signer *signer, uint64_t id)
{
    struct buffer *body = frame_begin(signer->writer, SIGNER_REFUSED, id);
    buffer_add_u64(body, signer->frontier.size);
    return frame_end(signer->writer);
}

/* The statement came with our own start, past the owner of the log; it says which tree may go on,
 * and the tree that is offered must be that one.  What was signed before stays signed, under the
 * origin that it was signed for. */
static STATUS fork_begin(struct signer *signer, const struct frame *frame)
{
    const struct epoch_statement *accept = signer->options->accept;
    struct merkle_frontier frontier = {0};
    uint8_t root[MERKLE_HASH_BYTES];

    TRY(merkle_frontier_decode(frame->body, frame->size, &frontier));
    merkle_root(&frontier, root);
    if (accept == NULL || !accept->given || accept->epoch <= signer->fork.epoch ||
        accept->size != frontier.size || memcmp(accept->root, root, sizeof root) != 0)
        return refuse(signer, frame->id);
    struct epoch_fork fork = {
        .epoch = accept->epoch, .from_size = signer->signed_last.size, .to_size = accept->size};
    merkle_root(&signer->signed_last, fork.from_root);
    memcpy(fork.to_root, root, sizeof root);
    memcpy(fork.by, accept->by, sizeof fork.by);
    signer->fork = fork;
    signer->frontier = frontier;
    TRY(signer_keys_name(signer));
    TRY(signer_state_save(signer));
    return say_hello(signer);
}

static STATUS add_leaves(struct signer *signer, const struct frame *frame)
{
    struct cursor cursor = cursor_over(frame->body, frame->size);
    uint64_t first = cursor_u64(&cursor);
    ENSURE(!cursor.bad, WHY_FORGED);
    ENSURE((cursor.size - cursor.at) % MERKLE_HASH_BYTES == 0, WHY_FORGED);

    /* Leaves that skip or repeat are of another tree than ours; the answer says where ours ends. */
    if (first != signer->frontier.size)
        return refuse(signer, frame->id);
    while (cursor.at < cursor.size)
        merkle_add(&signer->frontier, cursor_bytes(&cursor, MERKLE_HASH_BYTES));
    return STATUS_OK;
}

static STATUS sign(struct signer *signer, const struct frame *frame)
{
    struct checkpoint checkpoint = {.size = signer->frontier.size};
    OWNED(buffer_free) struct buffer text = BUFFER(TEXT_BYTES_MAX);
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);

    ENSURE(frame->size == 0, WHY_FORGED);
    memcpy(checkpoint.origin, signer->key.name, sizeof checkpoint.origin);
    merkle_root(&signer->frontier, checkpoint.root);
    checkpoint_text(&checkpoint, &text);
    TRY(buffer_status(&text));
    TRY(note_sign((const char *)text.bytes, text.size, &signer->key, signer->seed, &note));
    if (signer->phase == SIGNER_BOTH)
        TRY(note_cosign((const char *)text.bytes, text.size, &signer->next_key, signer->next_seed,
                        &note));

    /* First remembered, then released: two signatures that contradict each other cannot get out,
     * whenever this process dies. */
    if (!signer->has_signed || signer->signed_last.size != signer->frontier.size)
        TRY(signer_state_save(signer));
    struct buffer *body = frame_begin(signer->writer, SIGNER_CHECKPOINT, frame->id);
    buffer_add(body, note.bytes, note.size);
    return frame_end(signer->writer);
}

static STATUS answer(struct signer *signer, const struct frame *frame)
{
    switch ((enum signer_frame)frame->type) {
    case SIGNER_LEAVES:
        return add_leaves(signer, frame);
    case SIGNER_SIGN:
        return sign(signer, frame);
    case SIGNER_FORK:
        return fork_begin(signer, frame);
    case SIGNER_KEY:
        return signer_keys_step(signer, frame);
    case SIGNER_HELLO:
    case SIGNER_CHECKPOINT:
    case SIGNER_REFUSED:
    case SIGNER_KEYS:
    default:
        return FAIL(WHY_FORGED);
    }
}

/* All that one read brought. */
static STATUS answer_waiting(struct signer *signer)
{
    struct frame frame;
    struct status status;

    while (!failed(status = frame_reader_next(signer->reader, &frame)))
        TRY(answer(signer, &frame));
    ENSURE(status.why == WHY_NOT_FOUND, status.why);
    return STATUS_OK;
}

static void signer_end(struct signer *signer)
{
    frame_reader_free(&signer->reader);
    frame_writer_free(&signer->writer);
    secret_free(&signer->seed);
    secret_free(&signer->next_seed);
}

STATUS signer_run(const struct signer_options *options)
{
    assert(options->origin != NULL);
    assert(options->state_path != NULL);
    OWNED(signer_end) struct signer signer = {.options = options, .fork = {.epoch = 1}};

    /* Waiting for its owner is all this process has to do besides. */
    int flags = fcntl(options->fd, F_GETFL);
    ENSURE(flags >= 0 && fcntl(options->fd, F_SETFL, flags & ~O_NONBLOCK) == 0, WHY_IO);
    TRY(state_load(&signer));
    TRY(signer_keys_load(&signer));
    TRY(frame_reader_new(&signer.reader));
    TRY(frame_writer_new(WAITING_BYTES_MAX, &signer.writer));
    TRY(say_hello(&signer));

    for (;;) {
        struct status status = frame_flush(signer.writer, options->fd);
        if (!failed(status))
            status = frame_reader_fill(signer.reader, options->fd);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK; /* The owner has left. */
        TRY(status);
        TRY(answer_waiting(&signer));
    }
}

STATUS signer_hello_parse(const struct frame *frame, struct checkpoint *out_last,
                          struct note_key *out_key, struct epoch_fork *out_fork)
{
    ENSURE(frame->type == SIGNER_HELLO, WHY_BAD_INPUT);

    struct cursor cursor = cursor_over(frame->body, frame->size);
    uint64_t size = cursor_u64(&cursor);
    size_t node_bytes = (size_t)__builtin_popcountll(size) * MERKLE_HASH_BYTES;
    ENSURE(!cursor.bad && cursor_bytes(&cursor, node_bytes) != NULL, WHY_BAD_INPUT);
    struct merkle_frontier frontier = {0};
    TRY(merkle_frontier_decode(frame->body, cursor.at, &frontier));

    char text[NOTE_NAME_BYTES_MAX + 64];
    struct note_key key = {0};
    struct epoch_fork fork = {.epoch = 1};
    cursor_text(&cursor, text, sizeof text);
    if (!cursor.bad && cursor.at < cursor.size)
        epoch_fork_decode(&cursor, &fork);
    ENSURE(cursor_done(&cursor), WHY_BAD_INPUT);
    TRY(note_key_parse(text, &key));

    struct checkpoint last = {.size = size};
    memcpy(last.origin, key.name, sizeof last.origin);
    merkle_root(&frontier, last.root);
    *out_last = last;
    *out_key = key;
    *out_fork = fork;
    return STATUS_OK;
}
