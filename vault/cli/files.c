/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

STATUS files_write_new(int folder_fd, const char *name, unsigned mode, const void *bytes,
                       size_t size)
{
    assert(name != NULL);
    assert(bytes != NULL);
    int fd =
        openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return FAIL(errno == EEXIST ? WHY_CONFLICT : WHY_IO);
    bool good = fchmod(fd, (mode_t)mode) == 0; /* Whatever the umask took away. */
    const char *at = bytes;
    size_t left = size;
    while (good && left > 0) {
        ssize_t count = write(fd, at, left);
        if (count < 0 && errno == EINTR)
            continue;
        good = count > 0;
        if (good) {
            at += count;
            left -= (size_t)count;
        }
    }
    good = good && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    ENSURE(good, WHY_IO);
    return STATUS_OK;
}

bool files_is_free(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT;
    bool empty = true;
    for (struct dirent *entry = readdir(folder); entry != NULL && empty; entry = readdir(folder))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(folder);
    return empty;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

void files_remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

bool files_join(char *out, size_t out_size, const char *folder, const char *name)
{
    int length = snprintf(out, out_size, "%s/%s", folder, name);
    return length > 0 && (size_t)length < out_size;
}
