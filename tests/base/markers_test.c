/* SPDX-License-Identifier: Apache-2.0 */
#include "base/markers.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/encode.h"
#include "tests/base/db_kit.h"

#define PIECE (1u << 20) /* What is read at once. */

static struct markers *markers;
static struct markers_found found;

static void prepare(void)
{
    make_folder();
    found = (struct markers_found){0};
    cr_assert(!failed(markers_new(&markers)));
}

static void finish(void)
{
    markers_free(&markers);
    drop_folder();
}

TestSuite(markers, .init = prepare, .fini = finish);

/* A file of `size` bytes with the marker at `at`, where it fits. */
static void write_file(const char *name, size_t size, const uint8_t *marker, size_t at)
{
    char path[128];
    uint8_t *bytes = calloc(1, size);
    cr_assert_not_null(bytes);
    random_bytes(bytes, size);
    memcpy(bytes + at, marker, MARKERS_BYTES);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
    free(bytes);
}

Test(markers, finds_one_wherever_it_lies_and_at_the_seam_of_two_pieces_too)
{
    const size_t places[] = {0, 1, PIECE - 16, PIECE - 15, PIECE - 8, PIECE - 1, PIECE, 2 * PIECE};
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint8_t marker[MARKERS_BYTES];
        random_bytes(marker, sizeof marker);
        cr_assert(!failed(markers_add(markers, marker)));
        write_file("one", 2 * PIECE + 16, marker, places[i]);
        cr_assert(!failed(markers_scan(markers, folder, &found)));
        cr_expect_eq(found.markers, i + 1, "at %zu", places[i]);
    }
    cr_expect_not_null(strstr(found.file, "/one"));
}

Test(markers, counts_each_once_and_says_how_much_it_read)
{
    uint8_t marker[MARKERS_BYTES] = {7};
    cr_assert(!failed(markers_add(markers, marker)));
    cr_assert(!failed(markers_add(markers, marker)));
    cr_expect_eq(markers_count(markers), 1);
    write_file("one", 100, marker, 3);
    write_file("two", 50, marker, 0);
    cr_assert(!failed(markers_scan(markers, folder, &found)));
    cr_expect_eq(found.markers, 1);
    cr_expect_eq(found.files, 2);
    cr_expect_eq(found.bytes, 150);
}

Test(markers, does_not_find_what_is_not_there_or_differs_in_one_bit)
{
    uint8_t marker[MARKERS_BYTES];
    for (unsigned bit = 0; bit < MARKERS_BYTES * 8; bit++) {
        random_bytes(marker, sizeof marker);
        cr_assert(!failed(markers_add(markers, marker)));
        marker[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        write_file("near", 64, marker, 20);
        cr_assert(!failed(markers_scan(markers, folder, &found)));
        cr_expect_eq(found.markers, 0, "bit %u", bit);
    }
    cr_expect_str_eq(found.file, "");
}

Test(markers, finds_all_of_as_many_as_there_may_be)
{
    static uint8_t all[MARKERS_COUNT_MAX][MARKERS_BYTES];
    uint8_t more[MARKERS_BYTES] = {1};
    char path[128];
    random_bytes(all, sizeof all);
    for (unsigned i = 0; i < MARKERS_COUNT_MAX; i++)
        cr_assert(!failed(markers_add(markers, all[i])));
    cr_expect_eq(markers_add(markers, more).why, WHY_LIMIT);
    snprintf(path, sizeof path, "%s/deep", folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/deep/all", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, all, sizeof all) == sizeof all);
    close(fd);
    cr_assert(!failed(markers_scan(markers, folder, &found)));
    cr_expect_eq(found.markers, MARKERS_COUNT_MAX);
}

Test(markers, says_which_folder_is_missing)
{
    cr_expect_eq(markers_scan(markers, store, &found).why, WHY_NOT_FOUND);
    cr_expect_eq(found.files, 0);
}
