/* SPDX-License-Identifier: Apache-2.0 */
/* A PIN's file: what a credential of systemd's is too.  Its mode is what keeps it a secret. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "keys/pkcs11_parts.h"

static void fd_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static STATUS refuse(struct pkcs11_problem *problem, struct status status, const char *path,
                     const char *what)
{
    return pkcs11_problem_set(problem, PKCS11_NO_PIN, status, "The HSM's PIN file %s %s.", path,
                              what);
}

static STATUS file_check(int fd, const char *path, struct pkcs11_problem *problem)
{
    struct stat stat;

    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        return refuse(problem, FAIL(WHY_DENIED), path, "is not a plain file: put the PIN into one");
    if ((stat.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return refuse(problem, FAIL(WHY_DENIED), path,
                      "can be reached by others than its owner: set its mode to 0600, and change "
                      "the PIN if others may have read it");
    if (stat.st_uid != geteuid() && stat.st_uid != 0)
        return refuse(problem, FAIL(WHY_DENIED), path,
                      "belongs to another user: give it to the vault's, or to root");
    if (stat.st_size == 0 || stat.st_size > (off_t)PKCS11_PIN_BYTES_MAX + 1)
        return refuse(problem, FAIL(WHY_BAD_INPUT), path,
                      "is empty or too long: it holds the PIN and nothing else");
    return STATUS_OK;
}

/* The size of its first line. */
static STATUS line_read(int fd, struct secret *line, size_t *out_size)
{
    uint8_t *bytes = secret_bytes(line);
    size_t at = 0;

    while (at < secret_size(line)) {
        ssize_t got = read(fd, bytes + at, secret_size(line) - at);
        if (got < 0 && errno == EINTR)
            continue;
        ENSURE(got >= 0, WHY_IO);
        if (got == 0)
            break;
        at += (size_t)got;
    }
    const uint8_t *end = memchr(bytes, '\n', at);
    *out_size = end == NULL ? at : (size_t)(end - bytes);
    return STATUS_OK;
}

STATUS pkcs11_pin_read(const char *path, struct secret **out_pin, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *line = NULL;
    OWNED(secret_free) struct secret *pin = NULL;
    size_t size = 0;

    /* Links are followed: a credential, or a mounted secret, is one.  A FIFO holds nothing up. */
    int fd OWNED(fd_close) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return refuse(problem, FAIL(errno == ENOENT ? WHY_NOT_FOUND : WHY_DENIED), path,
                      errno == ENOENT ? "is not there: put the PIN into it, with mode 0600"
                                      : "may not be read: give it to the vault's user, or to root");
    TRY(file_check(fd, path, problem));
    struct status status = secret_new_key(PKCS11_PIN_BYTES_MAX + 1, &line);
    if (!failed(status))
        status = line_read(fd, line, &size);
    if (!failed(status) && (size == 0 || size > PKCS11_PIN_BYTES_MAX))
        return refuse(problem, FAIL(WHY_BAD_INPUT), path,
                      "begins with an empty or an endless line: its first line is the PIN");
    if (!failed(status))
        status = secret_new_key(size, &pin);
    if (failed(status))
        return refuse(problem, status, path,
                      "could not be read into locked memory: see RLIMIT_MEMLOCK and the disk");
    memcpy(secret_bytes(pin), secret_peek(line), size);
    secret_protect(pin);
    *out_pin = MOVE(pin);
    return STATUS_OK;
}
