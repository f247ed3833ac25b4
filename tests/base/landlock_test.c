/* SPDX-License-Identifier: Apache-2.0 */
#include "base/landlock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERSION_OF_NETWORK 4u /* Linux 6.7. */

static char folder[64];
static char mine[96];
static char mine_deep[128];
static char other[96];
static char store[96];
static char store_file[128];
static char store_next[128];

static void file_make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
}

static void folder_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/cardkeep-landlock-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(mine, sizeof mine, "%s/mine", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    (void)snprintf(store, sizeof store, "%s/store", folder);
    (void)snprintf(mine_deep, sizeof mine_deep, "%s/../mine", store);
    (void)snprintf(store_file, sizeof store_file, "%s/file", store);
    (void)snprintf(store_next, sizeof store_next, "%s/next", store);
    cr_assert_eq(mkdir(store, 0700), 0);
    file_make(mine);
    file_make(other);
    file_make(store_file);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static void folder_remove(void)
{
    cr_assert_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(landlock, .init = folder_make, .fini = folder_remove);

static int error_of(int rc)
{
    int error = rc < 0 ? errno : 0;
    if (rc >= 0)
        (void)close(rc);
    return error;
}

static int reading(const char *path)
{
    return error_of(open(path, O_RDONLY | O_CLOEXEC));
}

static int writing(const char *path)
{
    return error_of(open(path, O_WRONLY | O_CLOEXEC));
}

static int making(const char *path)
{
    return error_of(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* Runs in a child, whose exit code says which line was wrong. */
static void expect_in_child(void (*work)(void))
{
    int wait_status = 0;

    if (landlock_version() == 0) { /* Then all that can be said is that it says so. */
        cr_expect_eq(landlock_restrict(&(struct landlock_options){0}).why, WHY_NOT_FOUND);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        work();
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &wait_status, 0), pid);
    cr_expect(WIFEXITED(wait_status), "status %#x", (unsigned)wait_status);
    cr_expect_eq(WEXITSTATUS(wait_status), 0, "line %d, or 256 less", WEXITSTATUS(wait_status));
}

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            _exit(__LINE__ % 256);                                                                 \
    } while (0)

static void restrict_to(const struct landlock_path *paths, size_t count,
                        enum landlock_network network)
{
    struct landlock_options options = {.paths = paths, .path_count = count, .network = network};
    MUST(!failed(landlock_restrict(&options)));
}

static void with_one_file(void)
{
    const struct landlock_path paths[] = {{mine, LANDLOCK_READ}};
    restrict_to(paths, 1, LANDLOCK_NO_NETWORK);
    MUST(reading(mine) == 0);
    MUST(reading(mine_deep) == 0);
    MUST(writing(mine) == EACCES);
    MUST(reading(other) == EACCES);
    MUST(reading("/etc/passwd") == EACCES);
    MUST(making(store_next) == EACCES);
    MUST(unlink(other) != 0 && errno == EACCES);
    MUST(mkdir(store_next, 0700) != 0 && errno == EACCES);
    MUST(symlink(other, store_next) != 0 && errno == EACCES);
    MUST(rename(other, store_next) != 0 && (errno == EACCES || errno == EXDEV));
}

Test(landlock, a_file_is_read_and_nothing_else_is_reached)
{
    expect_in_child(with_one_file);
}

static void with_a_store(void)
{
    const struct landlock_path paths[] = {{store, LANDLOCK_KEEP}};
    restrict_to(paths, 1, LANDLOCK_NO_NETWORK);
    MUST(reading(store_file) == 0);
    MUST(making(store_next) == 0);
    MUST(truncate(store_next, 0) == 0);
    MUST(rename(store_next, store_file) == 0);
    MUST(link(store_file, store_next) == 0);
    MUST(unlink(store_next) == 0);
    MUST(mkdir(store_next, 0700) == 0);
    MUST(rmdir(store_next) == 0);
    MUST(error_of(open(store, O_RDONLY | O_DIRECTORY)) == 0);
    MUST(reading(mine) == EACCES);
    MUST(symlink("/etc/passwd", store_next) != 0 && errno == EACCES);
    MUST(mkfifo(store_next, 0600) != 0 && errno == EACCES);
}

Test(landlock, a_store_is_its_own_and_ends_at_its_folder)
{
    expect_in_child(with_a_store);
}

static void with_a_memory(void)
{
    const struct landlock_path paths[] = {{store_file, LANDLOCK_OF_FILE}};
    restrict_to(paths, 1, LANDLOCK_NO_NETWORK);
    MUST(making(store_next) == 0);
    MUST(rename(store_next, store_file) == 0);
    MUST(error_of(open(store, O_RDONLY | O_DIRECTORY)) == 0);
    MUST(reading(store_file) == EACCES);
    MUST(mkdir(store_next, 0700) != 0 && errno == EACCES);
    MUST(making(other) == EACCES);
}

Test(landlock, a_memory_is_replaced_and_not_read)
{
    expect_in_child(with_a_memory);
}

static void with_what_is_not_there(void)
{
    const struct landlock_path paths[] = {{NULL, LANDLOCK_READ},
                                          {"", LANDLOCK_READ},
                                          {store_next, LANDLOCK_READ},
                                          {mine, LANDLOCK_READ},
                                          {"/dev/null", LANDLOCK_APPEND}};
    restrict_to(paths, 5, LANDLOCK_NO_NETWORK);
    MUST(reading(mine) == 0);
    MUST(writing("/dev/null") == 0);
    MUST(reading("/dev/null") == EACCES);
}

Test(landlock, paths_that_are_not_there_are_passed_over)
{
    expect_in_child(with_what_is_not_there);
}

static int binding(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error = bind(fd, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int dialling(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(1), /* Where nobody listens. */
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static void without_a_network(void)
{
    bool known = landlock_version() >= VERSION_OF_NETWORK;
    restrict_to(NULL, 0, LANDLOCK_NO_NETWORK);
    MUST(binding() == (known ? EACCES : 0));
    MUST(dialling() == (known ? EACCES : ECONNREFUSED));
}

static void with_listeners(void)
{
    bool known = landlock_version() >= VERSION_OF_NETWORK;
    restrict_to(NULL, 0, LANDLOCK_LISTENS);
    MUST(binding() == 0);
    MUST(dialling() == (known ? EACCES : ECONNREFUSED));
}

static void with_all_of_it(void)
{
    restrict_to(NULL, 0, LANDLOCK_LISTENS_AND_DIALS);
    MUST(binding() == 0);
    MUST(dialling() == ECONNREFUSED);
}

Test(landlock, the_network_is_bounded_where_the_kernel_can)
{
    expect_in_child(without_a_network);
    expect_in_child(with_listeners);
    expect_in_child(with_all_of_it);
}
