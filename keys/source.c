/* SPDX-License-Identifier: Apache-2.0 */
/* A file seal is one line: "cardkeep-seal-v1 file <64 hex: root> <16 hex: checksum>\n".  The
 * checksum is the head of SHA-256 over everything before it; it finds damage, and authenticates
 * nothing: who can write this file has the vault. */
#include "keys/source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"

#define HEAD           "cardkeep-seal-v1 file "
#define HEAD_BYTES     (sizeof HEAD - 1)
#define ROOT_CHARS     (2u * SOURCE_ROOT_BYTES)
#define CHECKSUM_BYTES 8u
#define CHECKSUM_CHARS (2u * CHECKSUM_BYTES)
#define CHECKSUM_AT    (HEAD_BYTES + ROOT_CHARS + 1u)
#define LINE_BYTES     (CHECKSUM_AT + CHECKSUM_CHARS + 1u)

static void fd_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void text_free(char **text)
{
    free(*text);
    *text = NULL;
}

/* Says in a sentence what is wrong, and passes `status` through. */
static STATUS explain(struct status status, char *error, size_t error_size, const char *path,
                      const char *what)
{
    (void)snprintf(error, error_size, "The seal %s %s.", path, what);
    return status;
}

/* Over the head, the root and the space behind it. */
static void checksum_make(const uint8_t *line, char out[static CHECKSUM_CHARS + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256(line, CHECKSUM_AT, digest);
    encode_hex(digest, CHECKSUM_BYTES, out);
}

/* KEY-1: the key and what it protects are not to be copied, backed up or lost together. */
static STATUS tree_check(const struct source *source)
{
    OWNED(text_free) char *data = source->data == NULL ? NULL : realpath(source->data, NULL);
    OWNED(text_free) char *seal = realpath(source->path, NULL);

    if (data == NULL || seal == NULL)
        return STATUS_OK; /* Without a store nothing is in it; a lost seal is found missing later.
                           */
    size_t size = strlen(data);
    while (size > 0 && data[size - 1] == '/')
        size--;
    bool inside = strncmp(seal, data, size) == 0 && seal[size] == '/';
    ENSURE(!inside, WHY_DENIED);
    return STATUS_OK;
}

static STATUS line_read(int fd, struct secret *line)
{
    uint8_t *bytes = secret_bytes(line);
    size_t at = 0;

    while (at < LINE_BYTES) {
        ssize_t got = read(fd, bytes + at, LINE_BYTES - at);
        if (got < 0 && errno == EINTR)
            continue;
        ENSURE(got >= 0, WHY_IO);
        ENSURE(got > 0, WHY_FORGED);
        at += (size_t)got;
    }
    return STATUS_OK;
}

static STATUS line_decode(const struct secret *line, struct secret **out_root)
{
    const uint8_t *bytes = secret_peek(line);
    char checksum[CHECKSUM_CHARS + 1];

    ENSURE(memcmp(bytes, HEAD, HEAD_BYTES) == 0, WHY_FORGED); /* The head is no secret. */
    ENSURE(bytes[CHECKSUM_AT - 1] == ' ', WHY_FORGED);
    ENSURE(bytes[LINE_BYTES - 1] == '\n', WHY_FORGED);
    checksum_make(bytes, checksum);
    ENSURE(sodium_memcmp(checksum, bytes + CHECKSUM_AT, CHECKSUM_CHARS) == 0, WHY_FORGED);

    OWNED(secret_free) struct secret *root = NULL;
    TRY(secret_new_key(SOURCE_ROOT_BYTES, &root));
    struct status status = decode_hex((const char *)bytes + HEAD_BYTES, ROOT_CHARS,
                                      secret_bytes(root), SOURCE_ROOT_BYTES);
    ENSURE(!failed(status), WHY_FORGED);
    secret_protect(root);
    *out_root = MOVE(root);
    return STATUS_OK;
}

/* Everything that a file can be and a seal must not. */
static STATUS file_check(int fd, const char **out_what)
{
    struct stat stat;

    *out_what = "cannot be examined";
    ENSURE(fstat(fd, &stat) == 0, WHY_IO);
    *out_what = "is not a plain file";
    ENSURE(S_ISREG(stat.st_mode), WHY_DENIED);
    *out_what = "can be reached by others than its owner; set its mode to 0600";
    ENSURE((stat.st_mode & (S_IRWXG | S_IRWXO)) == 0, WHY_DENIED);
    *out_what = "belongs to another user";
    ENSURE(stat.st_uid == geteuid() || stat.st_uid == 0, WHY_DENIED);
    *out_what = "is not a seal";
    ENSURE(stat.st_size == LINE_BYTES, WHY_FORGED);
    return STATUS_OK;
}

STATUS source_open(const struct source *source, struct secret **out_root, char *error,
                   size_t error_size)
{
    assert(source != NULL);
    assert(source->kind != NULL);
    assert(out_root != NULL);
    assert(error != NULL && error_size > 0);
    const char *path = source->path;
    if (strcmp(source->kind, "file") != 0 || path == NULL)
        return explain(FAIL(WHY_BAD_INPUT), error, error_size,
                       path == NULL ? "without a path" : path,
                       "is of no kind that is known here; \"file\" is");
    if (source->production)
        return explain(FAIL(WHY_DENIED), error, error_size, path,
                       "is a file, which production does not accept");

    /* Not a blocking open: a FIFO of that name must not hold the start up. */
    int fd OWNED(fd_close) = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return explain(FAIL(WHY_NOT_FOUND), error, error_size, path, "does not exist");
    if (fd < 0 && (errno == ELOOP || errno == EACCES))
        return explain(FAIL(WHY_DENIED), error, error_size, path,
                       errno == ELOOP ? "is a symbolic link" : "may not be read");
    if (fd < 0)
        return explain(FAIL(WHY_IO), error, error_size, path, "cannot be opened");

    const char *what = NULL;
    struct status status = file_check(fd, &what);
    if (failed(status))
        return explain(status, error, error_size, path, what);
    status = tree_check(source);
    if (failed(status))
        return explain(status, error, error_size, path, "lies in the store's own folder");

    OWNED(secret_free) struct secret *line = NULL;
    status = secret_new_key(LINE_BYTES, &line);
    if (failed(status))
        return explain(status, error, error_size, path, "has no locked memory to be read into");
    status = line_read(fd, line);
    if (!failed(status))
        status = line_decode(line, out_root);
    if (failed(status))
        return explain(status, error, error_size, path, "is damaged, or is not a seal");
    return STATUS_OK;
}

static STATUS line_make(struct secret **out_line)
{
    OWNED(secret_free) struct secret *root = NULL;
    OWNED(secret_free) struct secret *line = NULL;
    char checksum[CHECKSUM_CHARS + 1];

    TRY(secret_new_key(SOURCE_ROOT_BYTES, &root));
    TRY(secret_new_key(LINE_BYTES, &line));
    random_bytes(secret_bytes(root), SOURCE_ROOT_BYTES);
    uint8_t *bytes = secret_bytes(line);
    memcpy(bytes, HEAD, HEAD_BYTES);
    encode_hex(secret_peek(root), SOURCE_ROOT_BYTES, (char *)bytes + HEAD_BYTES);
    bytes[CHECKSUM_AT - 1] = ' ';
    checksum_make(bytes, checksum);
    memcpy(bytes + CHECKSUM_AT, checksum, CHECKSUM_CHARS);
    bytes[LINE_BYTES - 1] = '\n';
    *out_line = MOVE(line);
    return STATUS_OK;
}

static STATUS line_write(int fd, const struct secret *line)
{
    const uint8_t *bytes = secret_peek(line);
    size_t at = 0;

    while (at < LINE_BYTES) {
        ssize_t put = write(fd, bytes + at, LINE_BYTES - at);
        if (put < 0 && errno == EINTR)
            continue;
        ENSURE(put > 0, WHY_IO);
        at += (size_t)put;
    }
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}

/* The file's name is as durable as its bytes only once its folder is on disk, too. */
static STATUS folder_sync(const char *path)
{
    char folder[PATH_MAX];
    size_t size = strlen(path);

    ENSURE(size < sizeof folder, WHY_LIMIT);
    memcpy(folder, path, size + 1);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        memcpy(folder, ".", 2);
    else
        slash[slash == folder ? 1 : 0] = '\0';
    int fd OWNED(fd_close) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, WHY_IO);
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}

STATUS source_file_create(const char *path, char *error, size_t error_size)
{
    assert(path != NULL);
    assert(error != NULL && error_size > 0);
    OWNED(secret_free) struct secret *line = NULL;
    struct status status = line_make(&line);
    if (failed(status))
        return explain(status, error, error_size, path, "has no locked memory to be made in");

    int fd OWNED(fd_close) = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return explain(FAIL(WHY_CONFLICT), error, error_size, path,
                       "exists already, and is not overwritten");
    if (fd < 0)
        return explain(FAIL(WHY_IO), error, error_size, path, "cannot be created");
    status = line_write(fd, line);
    if (!failed(status))
        status = folder_sync(path);
    if (failed(status)) {
        (void)unlink(path); /* Half a seal would stand in the way of a whole one. */
        return explain(status, error, error_size, path, "cannot be written");
    }
    return STATUS_OK;
}
