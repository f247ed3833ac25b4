/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/typed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/own.h"
#include "vault/cli/say.h"

/* Byte by byte, so that nothing of the line is left in a stream's buffer. */
static STATUS line_read(int fd, struct secret *line, size_t *out_size)
{
    uint8_t *bytes = secret_bytes(line);
    size_t size = 0;
    bool any = false;

    for (;;) {
        uint8_t byte = 0;
        ssize_t count = read(fd, &byte, 1);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count >= 0, WHY_IO);
        if (count == 0 || byte == '\n')
            break;
        any = true;
        ENSURE(size < TYPED_BYTES_MAX, WHY_LIMIT);
        bytes[size++] = byte;
    }
    ENSURE(any, WHY_NOT_FOUND);
    *out_size = size;
    return STATUS_OK;
}

STATUS typed_ask(const char *question, struct secret **out_line, size_t *out_size)
{
    OWNED(secret_free) struct secret *line = NULL;
    struct termios before;

    TRY(secret_new_key(TYPED_BYTES_MAX + 1, &line));
    bool typed = tcgetattr(STDIN_FILENO, &before) == 0;
    if (typed) {
        struct termios silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        ENSURE(tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0, WHY_IO);
        say_prompt(question);
    }
    struct status status = line_read(STDIN_FILENO, line, out_size);
    if (typed) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        say_prompt("\n");
    }
    TRY(status);
    *out_line = MOVE(line);
    return STATUS_OK;
}

static void fd_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

STATUS typed_file(const char *path, struct secret **out_line, size_t *out_size)
{
    OWNED(secret_free) struct secret *line = NULL;
    int fd OWNED(fd_close) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about;

    ENSURE(fd >= 0, errno == ENOENT ? WHY_NOT_FOUND : WHY_IO);
    ENSURE(fstat(fd, &about) == 0, WHY_IO);
    ENSURE(S_ISREG(about.st_mode), WHY_IO);
    ENSURE((about.st_mode & (S_IRWXG | S_IRWXO)) == 0, WHY_DENIED);
    TRY(secret_new_key(TYPED_BYTES_MAX + 1, &line));
    TRY(line_read(fd, line, out_size));
    *out_line = MOVE(line);
    return STATUS_OK;
}
