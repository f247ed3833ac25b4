/* SPDX-License-Identifier: Apache-2.0 */
/* The seeds' files, and how one takes the place of the other.  Beside `KEY` lies `KEY.next` from
 * the day that a next key was asked for: first it signs nothing, then both sign, then it becomes
 * `KEY`, over the bytes of the old one.  The state file says which; each step can be begun again.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "policies/signer_inside.h"

#define SEED_BYTES      32u
#define SEED_TEXT_BYTES (2u * SEED_BYTES)
#define PATH_BYTES_MAX  4096u

/* A key that others can read, or could have put there, is no key. */
static STATUS seed_open(const char *path, int *out_fd, int64_t *out_since_ms)
{
    struct stat info;
    OWNED(signer_file_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    ENSURE(fd >= 0 || errno != ENOENT, WHY_NOT_FOUND);
    ENSURE(fd >= 0, WHY_IO);
    ENSURE(fstat(fd, &info) == 0, WHY_IO);
    ENSURE(S_ISREG(info.st_mode), WHY_DENIED);
    ENSURE((info.st_mode & (S_IRWXG | S_IRWXO)) == 0, WHY_DENIED);
    ENSURE(info.st_uid == geteuid() || info.st_uid == 0, WHY_DENIED);
    *out_since_ms = (int64_t)info.st_mtim.tv_sec * 1000;
    *out_fd = fd;
    fd = -1;
    return STATUS_OK;
}

static STATUS seed_read(const char *path, struct secret **out_seed, int64_t *out_since_ms)
{
    OWNED(signer_file_close) int fd = -1;
    OWNED(secret_free) struct secret *text = NULL;
    OWNED(secret_free) struct secret *seed = NULL;
    size_t size = 0;

    TRY(seed_open(path, &fd, out_since_ms));
    /* One byte for a line feed, and one that must stay empty. */
    TRY(secret_new_key(SEED_TEXT_BYTES + 2, &text));
    TRY(signer_file_read(fd, secret_bytes(text), secret_size(text), &size));
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

static STATUS key_file_write(const char *path, int flags, const struct secret *seed)
{
    OWNED(secret_free) struct secret *text = NULL;

    TRY(secret_new_key(SEED_TEXT_BYTES + 1, &text));
    encode_hex(secret_peek(seed), SEED_BYTES, (char *)secret_bytes(text));
    secret_bytes(text)[SEED_TEXT_BYTES] = '\n'; /* In the place of the NUL. */
    TRY(signer_file_write(path, flags, secret_peek(text), secret_size(text)));
    return signer_file_sync_folder(path);
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
    status = key_file_write(path, O_EXCL, seed);
    if (status.why == WHY_CONFLICT)
        snprintf(error, error_size, "%s is there already; it is left as it is", path);
    else if (failed(status))
        snprintf(error, error_size, "%s cannot be written: %s", path, strerror(errno));
    TRY(status);
    *out_key = key;
    return STATUS_OK;
}

/* --- The next key --- */

static STATUS path_with(const struct signer *signer, const char *suffix,
                        char out[static PATH_BYTES_MAX])
{
    int size = snprintf(out, PATH_BYTES_MAX, "%s%s", signer->options->key_path, suffix);
    ENSURE(size > 0 && (size_t)size < PATH_BYTES_MAX, WHY_LIMIT);
    return STATUS_OK;
}

STATUS signer_keys_name(struct signer *signer)
{
    char origin[NOTE_NAME_BYTES_MAX];

    TRY(epoch_origin(signer->options->origin, signer->fork.epoch, origin));
    TRY(note_key_from_seed(origin, signer->seed, &signer->key));
    if (signer->next_seed != NULL)
        TRY(note_key_from_seed(origin, signer->next_seed, &signer->next_key));
    return STATUS_OK;
}

/* Over the bytes themselves: a file system that writes elsewhere has no place to wipe. */
static STATUS seed_wipe(const char *path)
{
    uint8_t zeros[SEED_TEXT_BYTES + 1] = {0};
    OWNED(signer_file_close) int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    ENSURE(fd >= 0, WHY_IO);
    ENSURE(write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros, WHY_IO);
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}

/* The state file says that it has begun: until KEY.next is gone it is not done. */
static STATUS retire_finish(struct signer *signer)
{
    char next[PATH_BYTES_MAX];
    struct stat info;

    TRY(path_with(signer, ".next", next));
    if (stat(next, &info) == 0) {
        TRY(seed_wipe(signer->options->key_path));
        ENSURE(rename(next, signer->options->key_path) == 0, WHY_IO);
        TRY(signer_file_sync_folder(next));
    } else {
        ENSURE(errno == ENOENT, WHY_IO);
    }
    /* One that this process made lies in no file that it may read (signer_process.c). */
    secret_free(&signer->seed);
    signer->seed = MOVE(signer->next_seed);
    signer->since_ms = signer->next_since_ms;
    if (signer->seed == NULL)
        TRY(seed_read(signer->options->key_path, &signer->seed, &signer->since_ms));
    signer->phase = SIGNER_ALONE;
    TRY(signer_keys_name(signer));
    return signer_state_save(signer);
}

STATUS signer_keys_load(struct signer *signer)
{
    char next[PATH_BYTES_MAX];

    if (signer->phase == SIGNER_RETIRING) {
        signer->frontier = signer->signed_last;
        return retire_finish(signer);
    }
    TRY(seed_read(signer->options->key_path, &signer->seed, &signer->since_ms));
    TRY(path_with(signer, ".next", next));
    struct status status = seed_read(next, &signer->next_seed, &signer->next_since_ms);
    if (failed(status) && signer->phase == SIGNER_BOTH)
        return status;
    return signer_keys_name(signer);
}

/* Makes one, where there is none that was not used yet. */
static STATUS next_make(struct signer *signer)
{
    char next[PATH_BYTES_MAX];
    char made[PATH_BYTES_MAX];
    OWNED(secret_free) struct secret *seed = NULL;

    if (signer->next_seed != NULL)
        return STATUS_OK;
    TRY(path_with(signer, ".next", next));
    TRY(path_with(signer, ".made", made));
    TRY(secret_new_key(SEED_BYTES, &seed));
    random_bytes(secret_bytes(seed), SEED_BYTES);
    secret_protect(seed);
    /* Over what a process before this one left half-made, and never said to anybody. */
    TRY(key_file_write(made, O_TRUNC, seed));
    ENSURE(rename(made, next) == 0, WHY_IO);
    TRY(signer_file_sync_folder(next));
    signer->next_seed = MOVE(seed);
    signer->next_since_ms = clock_now_ms();
    return signer_keys_name(signer);
}

static STATUS overlap_begin(struct signer *signer, uint64_t size)
{
    /* The entry that names the next key is under a signature of the first alone. */
    ENSURE(signer->next_seed != NULL && signer->has_signed, WHY_FORGED);
    ENSURE(signer->signed_last.size >= size, WHY_FORGED);
    if (signer->phase == SIGNER_BOTH)
        return STATUS_OK;
    signer->phase = SIGNER_BOTH;
    return signer_state_save(signer);
}

static STATUS retire_begin(struct signer *signer)
{
    ENSURE(signer->phase == SIGNER_BOTH, WHY_FORGED);
    signer->phase = SIGNER_RETIRING;
    TRY(signer_state_save(signer));
    return retire_finish(signer);
}

/* u8 both sign, i64 since, counted key, u8 is there a next, counted next, signature. */
static STATUS keys_say(struct signer *signer, uint64_t id)
{
    struct succession succession = {0};
    char key[SUCCESSION_KEY_MAX];

    note_key_rename(&signer->key, signer->options->origin, &succession.from);
    if (signer->next_seed != NULL) {
        note_key_rename(&signer->next_key, signer->options->origin, &succession.to);
        TRY(succession_sign(&succession, signer->seed));
    }
    struct buffer *body = frame_begin(signer->writer, SIGNER_KEYS, id);
    buffer_add_u8(body, signer->phase == SIGNER_BOTH);
    buffer_add_u64(body, (uint64_t)signer->since_ms);
    note_key_text(&succession.from, key, sizeof key);
    buffer_add_counted(body, key);
    buffer_add_u8(body, signer->next_seed != NULL);
    if (signer->next_seed != NULL) {
        note_key_text(&succession.to, key, sizeof key);
        buffer_add_counted(body, key);
        buffer_add(body, succession.signature, sizeof succession.signature);
    }
    return frame_end(signer->writer);
}

STATUS signer_keys_step(struct signer *signer, const struct frame *frame)
{
    struct cursor in = cursor_over(frame->body, frame->size);
    enum signer_step step = (enum signer_step)cursor_u8(&in);
    uint64_t size = cursor_u64(&in);

    ENSURE(cursor_done(&in), WHY_FORGED);
    switch (step) {
    case SIGNER_STEP_ASK:
        break;
    case SIGNER_STEP_MAKE:
        TRY(next_make(signer));
        break;
    case SIGNER_STEP_OVERLAP:
        TRY(overlap_begin(signer, size));
        break;
    case SIGNER_STEP_RETIRE:
        TRY(retire_begin(signer));
        break;
    default:
        return FAIL(WHY_FORGED);
    }
    return keys_say(signer, frame->id);
}

/* --- The log owner's side --- */

STATUS signer_keys_ask(struct frame_writer *writer, enum signer_step step, uint64_t size)
{
    struct buffer *body = frame_begin(writer, SIGNER_KEY, 0);

    buffer_add_u8(body, (uint8_t)step);
    buffer_add_u64(body, size);
    return frame_end(writer);
}

STATUS signer_keys_parse(const struct frame *frame, struct signer_keys *out_keys)
{
    struct cursor in = cursor_over(frame->body, frame->size);
    struct signer_keys keys = {0};
    char text[SUCCESSION_KEY_MAX];

    ENSURE(frame->type == SIGNER_KEYS, WHY_BAD_INPUT);
    keys.both = cursor_flag(&in);
    keys.since_ms = (int64_t)cursor_u64(&in);
    cursor_text(&in, text, sizeof text);
    ENSURE(!in.bad, WHY_BAD_INPUT);
    TRY(note_key_parse(text, &keys.succession.from));
    keys.has_next = cursor_flag(&in);
    if (keys.has_next) {
        cursor_text(&in, text, sizeof text);
        ENSURE(!in.bad, WHY_BAD_INPUT);
        TRY(note_key_parse(text, &keys.succession.to));
        const uint8_t *signature = cursor_bytes(&in, SUCCESSION_BYTES);
        ENSURE(signature != NULL, WHY_BAD_INPUT);
        memcpy(keys.succession.signature, signature, SUCCESSION_BYTES);
    }
    ENSURE(cursor_done(&in) && keys.since_ms >= 0, WHY_BAD_INPUT);
    ENSURE(keys.has_next || !keys.both, WHY_BAD_INPUT);
    ENSURE(!keys.has_next || succession_holds(&keys.succession), WHY_BAD_INPUT);
    *out_keys = keys;
    return STATUS_OK;
}
