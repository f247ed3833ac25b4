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

#define SEED_BYTES      32u
#define SEED_TEXT_BYTES (2u * SEED_BYTES)

/* The state file: u8 version | u16-counted origin | fork (version 2 alone) | frontier | SHA-256 of
 * all before.  The checksum is against accidents: who can write this file can do worse. */
#define STATE_VERSION     1u
#define STATE_VERSION_2   2u /* From epoch 2 on. */
#define STATE_BYTES_MAX   4096u
#define CHECKSUM_BYTES    crypto_hash_sha256_BYTES

#define WAITING_BYTES_MAX (1u << 20)
#define TEXT_BYTES_MAX    1024u

struct signer {
    const struct signer_options *options;
    struct note_key key;
    struct secret *seed;
    struct merkle_frontier signed_last; /* As in the state file. */
    struct merkle_frontier frontier;    /* With the leaves that came since. */
    bool has_signed;                    /* The state file exists. */
    struct epoch_fork fork;             /* Of the epoch it is in. */
    struct frame_reader *reader;
    struct frame_writer *writer;
};

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static STATUS write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, bytes, size);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count > 0, WHY_IO);
        bytes += count;
        size -= (size_t)count;
    }
    return STATUS_OK;
}

/* At most `room` bytes, to the end of the file. */
static STATUS read_all(int fd, uint8_t *out, size_t room, size_t *out_size)
{
    size_t size = 0;

    while (size < room) {
        ssize_t count = read(fd, out + size, room - size);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count >= 0, WHY_IO);
        if (count == 0)
            break;
        size += (size_t)count;
    }
    *out_size = size;
    return STATUS_OK;
}

/* A new name is durable only once its folder is. */
static STATUS folder_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";

    if (slash != NULL) {
        size_t size = slash == path ? 1 : (size_t)(slash - path);
        ENSURE(size < sizeof folder, WHY_LIMIT);
        memcpy(folder, path, size);
        folder[size] = '\0';
    }
    OWNED(fd_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, WHY_IO);
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}

static STATUS file_write(const char *path, int flags, const uint8_t *bytes, size_t size)
{
    OWNED(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    ENSURE(fd >= 0 || errno != EEXIST, WHY_CONFLICT);
    ENSURE(fd >= 0, WHY_IO);
    TRY(write_all(fd, bytes, size));
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}

/* ---- The signing key ---- */

/* A key that others can read, or could have put there, is no key. */
static STATUS seed_open(const char *path, int *out_fd)
{
    struct stat info;
    OWNED(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    ENSURE(fd >= 0 || errno != ENOENT, WHY_NOT_FOUND);
    ENSURE(fd >= 0, WHY_IO);
    ENSURE(fstat(fd, &info) == 0, WHY_IO);
    ENSURE(S_ISREG(info.st_mode), WHY_DENIED);
    ENSURE((info.st_mode & (S_IRWXG | S_IRWXO)) == 0, WHY_DENIED);
    ENSURE(info.st_uid == geteuid() || info.st_uid == 0, WHY_DENIED);
    *out_fd = fd;
    fd = -1;
    return STATUS_OK;
}

static STATUS seed_read(const char *path, struct secret **out_seed)
{
    OWNED(fd_close) int fd = -1;
    OWNED(secret_free) struct secret *text = NULL;
    OWNED(secret_free) struct secret *seed = NULL;
    size_t size = 0;

    TRY(seed_open(path, &fd));
    /* One byte for a line feed, and one that must stay empty. */
    TRY(secret_new_key(SEED_TEXT_BYTES + 2, &text));
    TRY(read_all(fd, secret_bytes(text), secret_size(text), &size));
    bool line = size == SEED_TEXT_BYTES + 1 && secret_peek(text)[SEED_TEXT_BYTES] == '\n';
    ENSURE(size == SEED_TEXT_BYTES || line, WHY_FORGED);

    TRY(secret_new_key(SEED_BYTES, &seed));
    struct status status = decode_hex((const char *)secret_peek(text), SEED_TEXT_BYTES,
                                      secret_bytes(seed), SEED_BYTES);
    ENSURE(!failed(status), WHY_FORGED);
    secret_protect(seed);
    *out_seed = MOVE(seed);
    return STATUS_OK;
}

static STATUS key_file_write(const char *path, const struct secret *seed)
{
    OWNED(secret_free) struct secret *text = NULL;

    TRY(secret_new_key(SEED_TEXT_BYTES + 1, &text));
    encode_hex(secret_peek(seed), SEED_BYTES, (char *)secret_bytes(text));
    secret_bytes(text)[SEED_TEXT_BYTES] = '\n'; /* In the place of the NUL. */
    TRY(file_write(path, O_EXCL, secret_peek(text), secret_size(text)));
    return folder_sync(path);
}

STATUS signer_key_create(const char *path, const char *origin, struct note_key *out_key,
                         char *error, size_t error_size)
{
    OWNED(secret_free) struct secret *seed = NULL;
    struct note_key key = {0};

    TRY(secret_new_key(SEED_BYTES, &seed));
    random_bytes(secret_bytes(seed), SEED_BYTES);
    secret_protect(seed);
    struct status status = note_key_from_seed(origin, seed, &key);
    if (failed(status)) {
        snprintf(error, error_size,
                 "an origin has no spaces and no plus sign, and at most %u bytes",
                 NOTE_NAME_BYTES_MAX - 1);
        return status;
    }
    status = key_file_write(path, seed);
    if (status.why == WHY_CONFLICT)
        snprintf(error, error_size, "%s is there already; it is left as it is", path);
    else if (failed(status))
        snprintf(error, error_size, "%s cannot be written: %s", path, strerror(errno));
    TRY(status);
    *out_key = key;
    return STATUS_OK;
}

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
    ENSURE(version == STATE_VERSION || version == STATE_VERSION_2, WHY_FORGED);
    cursor_text(&cursor, origin, sizeof origin);
    if (version == STATE_VERSION_2)
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
    OWNED(fd_close) int fd = open(signer->options->state_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return STATUS_OK; /* Nothing was signed yet. */
    ENSURE(fd >= 0, WHY_IO);
    TRY(read_all(fd, bytes, sizeof bytes, &size));
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

/* Whole or not at all, and durable before it returns. */
static STATUS state_save(struct signer *signer)
{
    const char *path = signer->options->state_path;
    char temporary[4096];
    uint8_t sum[CHECKSUM_BYTES];
    OWNED(buffer_free) struct buffer bytes = BUFFER(STATE_BYTES_MAX);

    int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    ENSURE(length > 0 && (size_t)length < sizeof temporary, WHY_LIMIT);
    buffer_add_u8(&bytes, signer->fork.epoch == 1 ? STATE_VERSION : STATE_VERSION_2);
    buffer_add_counted(&bytes, signer->key.name);
    if (signer->fork.epoch > 1)
        epoch_fork_encode(&signer->fork, &bytes);
    merkle_frontier_encode(&signer->frontier, &bytes);
    TRY(buffer_status(&bytes));
    crypto_hash_sha256(sum, bytes.bytes, bytes.size);
    buffer_add(&bytes, sum, sizeof sum);
    TRY(buffer_status(&bytes));

    TRY(file_write(temporary, O_TRUNC, bytes.bytes, bytes.size));
    ENSURE(rename(temporary, path) == 0, WHY_IO);
    TRY(folder_sync(path));
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

static STATUS key_derive(struct signer *signer)
{
    char origin[NOTE_NAME_BYTES_MAX];

    TRY(epoch_origin(signer->options->origin, signer->fork.epoch, origin));
    return note_key_from_seed(origin, signer->seed, &signer->key);
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
    TRY(key_derive(signer));
    TRY(state_save(signer));
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

    /* First remembered, then released: two signatures that contradict each other cannot get out,
     * whenever this process dies. */
    if (!signer->has_signed || signer->signed_last.size != signer->frontier.size)
        TRY(state_save(signer));
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
    case SIGNER_HELLO:
    case SIGNER_CHECKPOINT:
    case SIGNER_REFUSED:
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
}

STATUS signer_run(const struct signer_options *options)
{
    assert(options->origin != NULL);
    assert(options->state_path != NULL);
    OWNED(signer_end) struct signer signer = {.options = options, .fork = {.epoch = 1}};

    /* Waiting for its owner is all this process has to do besides. */
    int flags = fcntl(options->fd, F_GETFL);
    ENSURE(flags >= 0 && fcntl(options->fd, F_SETFL, flags & ~O_NONBLOCK) == 0, WHY_IO);
    TRY(seed_read(options->key_path, &signer.seed));
    TRY(state_load(&signer));
    TRY(key_derive(&signer));
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
