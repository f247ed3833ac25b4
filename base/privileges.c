/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITY_LAST 63 /* Those that this kernel does not have are refused, which is as good. */

struct identity {
    uid_t user;
    gid_t group;
    char name[64]; /* "" where only the number is known: no supplementary groups then. */
};

bool privileges_leave_network(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
}

/* A number, in digits alone. */
static bool number_of(const char *text, uid_t *out_number)
{
    uint64_t number = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || number > UINT32_MAX / 10)
            return false;
        number = number * 10 + (uint64_t)(*at - '0');
    }
    *out_number = (uid_t)number;
    return *text != '\0' && number < UINT32_MAX; /* (uid_t)-1 means "leave it". */
}

/* A name first, as there may be one made of digits. */
static STATUS identity_find(const char *user, struct identity *out)
{
    uid_t number = 0;
    const struct passwd *row = getpwnam(user);

    if (row == NULL && number_of(user, &number)) {
        row = getpwuid(number);
        if (row == NULL) {
            *out = (struct identity){.user = number, .group = (gid_t)number};
            return STATUS_OK;
        }
    }
    ENSURE(row != NULL, WHY_NOT_FOUND);
    *out = (struct identity){.user = row->pw_uid, .group = row->pw_gid};
    (void)snprintf(out->name, sizeof out->name, "%s", row->pw_name);
    return STATUS_OK;
}

/* Groups first, while we still may. */
static STATUS identity_take(const struct identity *who)
{
    if (who->name[0] != '\0')
        ENSURE(initgroups(who->name, who->group) == 0, WHY_IO);
    else
        ENSURE(setgroups(0, NULL) == 0, WHY_IO);
    ENSURE(setresgid(who->group, who->group, who->group) == 0, WHY_IO);
    ENSURE(setresuid(who->user, who->user, who->user) == 0, WHY_IO);
    return STATUS_OK;
}

/* What a program that we ran could have at most; it takes a capability to give these away. */
static void bounds_drop(void)
{
    for (unsigned long i = 0; i <= CAPABILITY_LAST; i++)
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

static STATUS capabilities_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

    ENSURE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, WHY_IO);
    ENSURE(syscall(SYS_capset, &header, sets) == 0, WHY_IO);
    ENSURE(syscall(SYS_capget, &header, sets) == 0, WHY_IO);
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        ENSURE((sets[i].effective | sets[i].permitted | sets[i].inheritable) == 0, WHY_IO);
    return STATUS_OK;
}

/* Every way back is tried: a guard that was not looked at is none. */
static STATUS no_way_back(const struct identity *who)
{
    uid_t users[3];
    gid_t groups[3];

    ENSURE(setresuid(0, 0, 0) != 0 && setresgid(0, 0, 0) != 0, WHY_IO);
    ENSURE(setuid(0) != 0 && setgid(0) != 0 && setgroups(0, NULL) != 0, WHY_IO);
    ENSURE(getresuid(&users[0], &users[1], &users[2]) == 0, WHY_IO);
    ENSURE(getresgid(&groups[0], &groups[1], &groups[2]) == 0, WHY_IO);
    for (unsigned i = 0; i < 3; i++)
        ENSURE(users[i] == who->user && groups[i] == who->group, WHY_IO);
    return STATUS_OK;
}

STATUS privileges_drop(const char *user)
{
    struct identity who = {0};

    if (geteuid() != 0)
        return capabilities_drop();
    ENSURE(user != NULL, WHY_DENIED);
    TRY(identity_find(user, &who));
    ENSURE(who.user != 0 && who.group != 0, WHY_DENIED);
    bounds_drop();
    TRY(identity_take(&who));
    TRY(capabilities_drop());
    return no_way_back(&who);
}

STATUS privileges_own_folder(const char *path, char *error, size_t error_size)
{
    struct stat info;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        (void)snprintf(error, error_size, "%s: cannot be made: %s", path, strerror(errno));
        return FAIL(WHY_DENIED);
    }
    if (stat(path, &info) != 0) {
        (void)snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return FAIL(WHY_DENIED);
    }
    if (!S_ISDIR(info.st_mode)) {
        (void)snprintf(error, error_size, "%s: is no folder", path);
        return FAIL(WHY_DENIED);
    }
    /* Root without a user of its own, as on a developer's machine, uses whose it likes. */
    if (info.st_uid != geteuid() && geteuid() != 0) {
        (void)snprintf(error, error_size,
                       "%s: belongs to user %u, and this process is user %u; chown it", path,
                       (unsigned)info.st_uid, (unsigned)geteuid());
        return FAIL(WHY_DENIED);
    }
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        (void)snprintf(error, error_size, "%s: others can enter it; set its mode to 0700", path);
        return FAIL(WHY_DENIED);
    }
    return STATUS_OK;
}
