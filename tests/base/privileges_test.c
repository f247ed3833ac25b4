/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test is a process of its own, so that what it gives away is gone for it alone.  Who runs
 * them as root sees the way from root; anybody else sees that nothing is gained. */

static char status[8192];

/* A line of /proc/self/status, behind its name. */
static const char *line(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    cr_assert_not_null(file);
    size_t size = fread(status, 1, sizeof status - 1, file);
    (void)fclose(file);
    status[size] = '\0';
    char *at = strstr(status, name);
    cr_assert_not_null(at);
    at += strlen(name);
    at[strcspn(at, "\n")] = '\0';
    return at + strspn(at, " \t");
}

/* Groups that a root of this host may have, and capabilities that a change of user would leave to
 * it; true where we are root. */
static bool as_root_of_much(void)
{
    static const gid_t groups[] = {0, 4242};

    if (geteuid() != 0)
        return false;
    cr_assert_eq(setgroups(2, groups), 0);
    cr_assert_eq(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
    return true;
}

static void expect_no_capability(void)
{
    static const char none[] = "0000000000000000";
    cr_expect_str_eq(line("CapInh:"), none);
    cr_expect_str_eq(line("CapPrm:"), none);
    cr_expect_str_eq(line("CapEff:"), none);
    cr_expect_str_eq(line("CapAmb:"), none);
}

Test(privileges, a_user_s_name_is_become_for_good)
{
    bool is_root = as_root_of_much();
    cr_assert(!failed(privileges_drop("nobody")));
    expect_no_capability();
    cr_expect_neq(getuid(), 0);
    cr_expect_neq(setuid(0), 0);
    cr_expect_neq(setgid(0), 0);
    if (is_root) {
        cr_expect_str_eq(line("CapBnd:"), "0000000000000000");
        cr_expect_str_eq(line("Uid:"), "65534\t65534\t65534\t65534");
        cr_expect_str_eq(line("Gid:"), "65534\t65534\t65534\t65534");
        cr_expect_null(strstr(line("Groups:"), "4242"), "root's groups: %s", line("Groups:"));
    }
}

Test(privileges, a_number_that_has_no_name_is_a_user_without_groups)
{
    bool is_root = as_root_of_much();
    cr_assert(!failed(privileges_drop("54321")));
    expect_no_capability();
    if (is_root) {
        cr_expect_str_eq(line("Uid:"), "54321\t54321\t54321\t54321");
        cr_expect_str_eq(line("Gid:"), "54321\t54321\t54321\t54321");
        cr_expect_eq(getgroups(0, NULL), 0);
    }
}

Test(privileges, root_stays_root_only_where_nobody_was_named_and_says_so)
{
    enum why expected = geteuid() == 0 ? WHY_DENIED : WHY_NONE;
    cr_expect_eq(privileges_drop(NULL).why, expected);
    cr_expect_eq(privileges_drop("root").why, expected);
    cr_expect_eq(privileges_drop("0").why, expected);
    expected = geteuid() == 0 ? WHY_NOT_FOUND : WHY_NONE;
    cr_expect_eq(privileges_drop("no-such-user").why, expected);
    cr_expect_eq(privileges_drop("12x").why, expected);
    cr_expect_eq(privileges_drop("99999999999999999999").why, expected);
    cr_expect_eq(privileges_drop("4294967295").why, expected, "it would mean: leave it");
}

Test(privileges, a_network_that_was_left_has_nothing_in_it)
{
    if (!privileges_leave_network()) {
        cr_expect_neq(geteuid(), 0, "only root can");
        return;
    }
    /* There is a loopback interface, which is down, and no other. */
    struct if_nameindex *found = if_nameindex();
    cr_assert_not_null(found);
    cr_expect_str_eq(found[0].if_name, "lo");
    cr_expect_null(found[1].if_name);
    if_freenameindex(found);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_expect_eq(connect(fd, (struct sockaddr *)&to, sizeof to), -1);
    cr_expect_eq(errno, ENETUNREACH);
    close(fd);
}

static char folder[64];
static char path[96];
static char error[256];

static void folder_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/cardkeep-privileges-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/store", folder);
}

static void folder_remove(void)
{
    (void)rmdir(path);
    cr_assert_eq(rmdir(folder), 0);
}

Test(privileges, a_store_s_folder_is_made_for_its_user_alone, .init = folder_make,
     .fini = folder_remove)
{
    struct stat info;
    (void)umask(0);
    cr_assert(!failed(privileges_own_folder(path, error, sizeof error)));
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0700);
    cr_expect(!failed(privileges_own_folder(path, error, sizeof error)), "it is there");
}

Test(privileges, a_store_s_folder_that_others_can_enter_is_refused, .init = folder_make,
     .fini = folder_remove)
{
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chmod(path, 0750), 0);
    cr_expect_eq(privileges_own_folder(path, error, sizeof error).why, WHY_DENIED);
    cr_expect_not_null(strstr(error, "set its mode to 0700"), "%s", error);
}

Test(privileges, a_store_s_folder_of_another_s_is_refused)
{
    cr_assert(!failed(privileges_drop("54321")));
    cr_expect_eq(privileges_own_folder("/usr", error, sizeof error).why, WHY_DENIED);
    cr_expect_not_null(strstr(error, "belongs to user 0"), "%s", error);
    cr_expect_eq(privileges_own_folder("/etc/passwd", error, sizeof error).why, WHY_DENIED);
    cr_expect_not_null(strstr(error, "is no folder"), "%s", error);
    cr_expect_eq(privileges_own_folder("/usr/cardkeep-store", error, sizeof error).why, WHY_DENIED);
    cr_expect_not_null(strstr(error, "cannot be made"), "%s", error);
}
