/* SPDX-License-Identifier: Apache-2.0 */
#include "base/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

/* Later than Debian 12's headers; a kernel that knows them says so by its version. */
#define ACCESS_TRUNCATE     (1ULL << 14) /* Version 3. */
#define ACCESS_IOCTL_DEV    (1ULL << 15) /* Version 5. */
#define NET_BIND_TCP        (1ULL << 0)  /* Version 4. */
#define NET_CONNECT_TCP     (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* Version 6. */
#define SCOPE_SIGNAL        (1ULL << 1)

#define VERSION_REFER       2u
#define VERSION_TRUNCATE    3u
#define VERSION_NET         4u
#define VERSION_IOCTL_DEV   5u
#define VERSION_SCOPES      6u

/* As the kernel reads it since version 6; an older one takes the part that it knows. */
struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scopes;
};

#define READ_FILE  LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE_FILE (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)
#define REPLACE_FILES                                                                              \
    (WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE |                   \
     LANDLOCK_ACCESS_FS_READ_DIR)
#define KEEP_FILES                                                                                 \
    (REPLACE_FILES | READ_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |     \
     LANDLOCK_ACCESS_FS_REFER)
#define FILE_ALONE     (READ_FILE | WRITE_FILE) /* What can be said of a file that is no folder. */

#define PATH_BYTES_MAX 4096u

static void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

unsigned landlock_version(void)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (unsigned)version : 0;
}

/* Everything that this version can forbid is forbidden, but for what a path or a process needs. */
static struct ruleset ruleset_of(unsigned version, enum landlock_network network)
{
    struct ruleset rules = {.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};

    if (version >= VERSION_REFER)
        rules.files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= VERSION_TRUNCATE)
        rules.files |= ACCESS_TRUNCATE;
    if (version >= VERSION_IOCTL_DEV)
        rules.files |= ACCESS_IOCTL_DEV;
    if (version >= VERSION_NET && network != LANDLOCK_LISTENS_AND_DIALS)
        rules.network =
            network == LANDLOCK_LISTENS ? NET_CONNECT_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
    if (version >= VERSION_SCOPES)
        rules.scopes = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    return rules;
}

static uint64_t rights_of(enum landlock_reach reach)
{
    switch (reach) {
    case LANDLOCK_APPEND:
        return WRITE_FILE;
    case LANDLOCK_REPLACE:
    case LANDLOCK_OF_FILE:
        return REPLACE_FILES;
    case LANDLOCK_KEEP:
        return KEEP_FILES;
    case LANDLOCK_READ:
    case LANDLOCK_BESIDE:
    default:
        return READ_FILE;
    }
}

static STATUS folder_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);

    ENSURE(length + 2 <= size, WHY_LIMIT);
    memcpy(out, path, length);
    if (length == 0)
        out[length++] = slash == NULL ? '.' : '/';
    out[length] = '\0';
    return STATUS_OK;
}

static STATUS path_add(int ruleset, const struct ruleset *rules, const struct landlock_path *path)
{
    char folder[PATH_BYTES_MAX];
    const char *name = path->path;
    struct stat info;

    if (path->reach == LANDLOCK_OF_FILE || path->reach == LANDLOCK_BESIDE) {
        TRY(folder_of(path->path, folder, sizeof folder));
        name = folder;
    }
    int fd OWNED(fd_close) = open(name, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return STATUS_OK; /* Nothing is there, so there is nothing to reach. */
    ENSURE(fstat(fd, &info) == 0, WHY_IO);
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = rights_of(path->reach) & rules->files,
        .parent_fd = fd,
    };
    if (!S_ISDIR(info.st_mode))
        beneath.allowed_access &= FILE_ALONE;
    long rc = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0u);
    ENSURE(rc == 0, WHY_IO);
    return STATUS_OK;
}

STATUS landlock_restrict(const struct landlock_options *options)
{
    unsigned version = landlock_version();
    struct ruleset rules = ruleset_of(version, options->network);
    size_t size = version >= VERSION_SCOPES ? sizeof rules
                  : version >= VERSION_NET  ? 2 * sizeof rules.files
                                            : sizeof rules.files;

    ENSURE(version > 0, WHY_NOT_FOUND);
    int ruleset OWNED(fd_close) = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0u);
    ENSURE(ruleset >= 0, WHY_IO);
    for (size_t i = 0; i < options->path_count; i++)
        if (options->paths[i].path != NULL)
            TRY(path_add(ruleset, &rules, &options->paths[i]));
    /* Again, after sandbox.c: without it the kernel lets only root restrict itself. */
    ENSURE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, WHY_IO);
    ENSURE(syscall(SYS_landlock_restrict_self, ruleset, 0u) == 0, WHY_IO);
    return STATUS_OK;
}
