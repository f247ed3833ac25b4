/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/source.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

#define LINE_BYTES 104u

static char folder[] = "/tmp/cardkeep-source-XXXXXX";
static char path[64];
static char error[256];

static void make_folder(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/seal.key", folder);
}

static void remove_folder(void)
{
    (void)unlink(path);
    cr_assert_eq(rmdir(folder), 0, "nothing was left beside the seal");
}

TestSuite(source, .init = make_folder, .fini = remove_folder);

static enum why open_as(const struct source *source, struct secret **out_root)
{
    error[0] = '\0';
    struct status status = source_open(source, out_root, error, sizeof error);
    cr_expect_eq(failed(status), *out_root == NULL);
    cr_expect_eq(failed(status), error[0] != '\0', "a failure has its sentence");
    return status.why;
}

static enum why why_refused(void)
{
    OWNED(secret_free) struct secret *root = NULL;
    return open_as(&(struct source){.kind = "file", .path = path}, &root);
}

static void create(void)
{
    cr_assert(!failed(source_file_create(path, error, sizeof error)), "%s", error);
}

static void read_line(char line[LINE_BYTES + 1])
{
    FILE *file = fopen(path, "re");

    cr_assert(file != NULL);
    cr_assert_eq(fread(line, 1, LINE_BYTES + 1, file), LINE_BYTES);
    (void)fclose(file);
}

static void write_line(const char *line, size_t size)
{
    FILE *file = fopen(path, "we");

    cr_assert(file != NULL);
    cr_assert_eq(fwrite(line, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

Test(source, gives_the_same_root_each_time)
{
    OWNED(secret_free) struct secret *first = NULL;
    OWNED(secret_free) struct secret *second = NULL;
    static const uint8_t zeros[SOURCE_ROOT_BYTES];
    struct source source = {.kind = "file", .path = path};

    create();
    cr_assert_eq(open_as(&source, &first), WHY_NONE);
    cr_assert_eq(open_as(&source, &second), WHY_NONE);
    cr_assert_eq(secret_size(first), SOURCE_ROOT_BYTES);
    cr_assert_arr_eq(secret_peek(first), secret_peek(second), SOURCE_ROOT_BYTES);
    cr_assert_arr_neq(secret_peek(first), zeros, SOURCE_ROOT_BYTES);
}

Test(source, makes_a_seal_that_its_owner_alone_can_read)
{
    struct stat stat_of;

    (void)umask(0);
    create();
    cr_assert_eq(stat(path, &stat_of), 0);
    cr_assert_eq(stat_of.st_mode & 07777, 0600);
}

Test(source, makes_a_different_root_each_time)
{
    char first[LINE_BYTES + 1];
    char second[LINE_BYTES + 1];

    create();
    read_line(first);
    (void)unlink(path);
    create();
    read_line(second);
    cr_assert_arr_neq(first + 22, second + 22, 16);
}

Test(source, never_writes_over_a_file_that_exists)
{
    char before[LINE_BYTES + 1];
    char after[LINE_BYTES + 1];

    create();
    read_line(before);
    cr_assert_eq(source_file_create(path, error, sizeof error).why, WHY_CONFLICT);
    read_line(after);
    cr_assert_arr_eq(before, after, LINE_BYTES);
}

Test(source, does_not_create_through_a_symbolic_link)
{
    cr_assert_eq(symlink("nowhere", path), 0);
    cr_assert_eq(source_file_create(path, error, sizeof error).why, WHY_CONFLICT);
}

Test(source, cannot_create_where_there_is_no_folder)
{
    cr_assert_eq(source_file_create("/nonexistent/seal", error, sizeof error).why, WHY_IO);
}

Test(source, says_when_there_is_no_seal)
{
    cr_assert_eq(why_refused(), WHY_NOT_FOUND);
}

Test(source, refuses_a_seal_that_others_can_reach)
{
    const mode_t open_to_others[] = {0640, 0604, 0620, 0602, 0610, 0601};

    create();
    for (unsigned i = 0; i < sizeof open_to_others / sizeof open_to_others[0]; i++) {
        cr_assert_eq(chmod(path, open_to_others[i]), 0);
        cr_expect_eq(why_refused(), WHY_DENIED, "mode %o", open_to_others[i]);
    }
    cr_assert_eq(chmod(path, 0400), 0);
    cr_assert_eq(why_refused(), WHY_NONE);
}

Test(source, refuses_a_symbolic_link_and_what_is_no_file)
{
    char target[80];

    create();
    (void)snprintf(target, sizeof target, "%s.real", path);
    cr_assert_eq(rename(path, target), 0);
    cr_assert_eq(symlink(target, path), 0);
    cr_expect_eq(why_refused(), WHY_DENIED);
    (void)unlink(path);
    (void)unlink(target);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(why_refused(), WHY_DENIED, "and does not wait for a writer");
}

Test(source, refuses_a_file_in_production)
{
    OWNED(secret_free) struct secret *root = NULL;

    create();
    cr_assert_eq(open_as(&(struct source){.kind = "file", .path = path, .production = true}, &root),
                 WHY_DENIED);
}

Test(source, refuses_a_seal_within_the_store)
{
    OWNED(secret_free) struct secret *root = NULL;
    struct source source = {.kind = "file", .path = path, .data = folder};
    char slashed[64];

    create();
    cr_expect_eq(open_as(&source, &root), WHY_DENIED);
    (void)snprintf(slashed, sizeof slashed, "%s//../%s/", folder, strrchr(folder, '/') + 1);
    source.data = slashed;
    cr_expect_eq(open_as(&source, &root), WHY_DENIED, "however the folder is written");
    source.data = "/";
    cr_expect_eq(open_as(&source, &root), WHY_DENIED);
    source.data = "/usr";
    cr_expect_eq(open_as(&source, &root), WHY_NONE);
}

Test(source, accepts_a_seal_beside_a_store_of_a_similar_name)
{
    OWNED(secret_free) struct secret *root = NULL;
    char data[64];

    create();
    (void)snprintf(data, sizeof data, "%s/seal", folder); /* The seal is "seal.key". */
    cr_assert_eq(mkdir(data, 0700), 0);
    cr_expect_eq(open_as(&(struct source){.kind = "file", .path = path, .data = data}, &root),
                 WHY_NONE);
    (void)rmdir(data);
}

Test(source, refuses_a_kind_that_it_does_not_know)
{
    OWNED(secret_free) struct secret *root = NULL;

    cr_expect_eq(open_as(&(struct source){.kind = "paper", .path = path}, &root), WHY_BAD_INPUT);
    cr_expect_eq(open_as(&(struct source){.kind = "file"}, &root), WHY_BAD_INPUT);
}

Test(source, finds_any_one_byte_changed)
{
    char line[LINE_BYTES + 1];

    create();
    read_line(line);
    for (size_t at = 0; at < LINE_BYTES; at++) {
        line[at] ^= 1;
        write_line(line, LINE_BYTES);
        cr_expect_eq(why_refused(), WHY_FORGED, "byte %zu", at);
        line[at] ^= 1;
    }
    write_line(line, LINE_BYTES);
    cr_assert_eq(why_refused(), WHY_NONE);
}

Test(source, finds_a_seal_cut_short_or_made_longer)
{
    char line[LINE_BYTES + 1];

    create();
    read_line(line);
    line[LINE_BYTES] = '\n';
    write_line(line, LINE_BYTES + 1);
    cr_expect_eq(why_refused(), WHY_FORGED);
    write_line(line, LINE_BYTES - 1);
    cr_expect_eq(why_refused(), WHY_FORGED);
    write_line(line, 0);
    cr_expect_eq(why_refused(), WHY_FORGED);
}

Test(source, does_not_put_the_root_into_its_sentences)
{
    char line[LINE_BYTES + 1];

    create();
    read_line(line);
    line[90] ^= 1;
    write_line(line, LINE_BYTES);
    cr_assert_eq(why_refused(), WHY_FORGED);
    cr_assert(memmem(error, strlen(error), line + 22, 8) == NULL);
    cr_assert(strstr(error, path) != NULL, "but says which seal it is about");
}
