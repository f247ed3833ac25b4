/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "policies/signer_inside.h"

void signer_file_close(int *fd)
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

STATUS signer_file_read(int fd, uint8_t *out, size_t room, size_t *out_size)
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

STATUS signer_file_sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";

    if (slash != NULL) {
        size_t size = slash == path ? 1 : (size_t)(slash - path);
        ENSURE(size < sizeof folder, WHY_LIMIT);
        memcpy(folder, path, size);
        folder[size] = '\0';
    }
    OWNED(signer_file_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(fd >= 0, WHY_IO);
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}

STATUS signer_file_write(const char *path, int flags, const uint8_t *bytes, size_t size)
{
    OWNED(signer_file_close)
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    ENSURE(fd >= 0 || errno != EEXIST, WHY_CONFLICT);
    ENSURE(fd >= 0, WHY_IO);
    TRY(write_all(fd, bytes, size));
    ENSURE(fsync(fd) == 0, WHY_IO);
    return STATUS_OK;
}
