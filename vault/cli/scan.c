/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/scan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "vault/cli/say.h"
#include "vault/cli/scan_find.h"

#define WINDOW_BYTES   (1u << 20)
#define LINE_BYTES_MAX 16384u

struct scan {
    struct scan_find *find;
    uint8_t *window; /* WINDOW_BYTES. */
    bool json;
    bool all; /* Chance too. */
    const char *path;
    uint64_t base; /* Where in the file the window begins. */

    uint64_t files;
    uint64_t bytes;
    uint64_t hits;
    uint64_t chances;
    uint64_t unread;
    uint64_t left_out;
};

static void scan_end(struct scan *scan)
{
    scan_find_free(&scan->find);
    if (scan->window != NULL)
        sodium_memzero(scan->window, WINDOW_BYTES);
    free(scan->window);
    scan->window = NULL;
}

static void hit_say_json(const struct scan *scan, const struct scan_hit *hit)
{
    OWNED(buffer_free) struct buffer line = BUFFER(LINE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&line);
    json_begin_object(&writer);
    json_key(&writer, "path");
    json_put_bytes(&writer, scan->path, strlen(scan->path));
    json_put_member_int(&writer, "offset", (int64_t)(scan->base + hit->offset));
    json_put_member(&writer, "form", scan_find_form_name(hit->form));
    json_put_member(&writer, "brand", hit->brand);
    json_put_member_int(&writer, "digits", hit->digits);
    json_put_member(&writer, "last4", hit->last4);
    json_put_member_bool(&writer, "chance", hit->chance);
    json_end_object(&writer);
    say_out("%s\n", buffer_text(&line));
}

static void scan_on_hit(void *owner, const struct scan_hit *hit)
{
    struct scan *scan = owner;
    scan->hits += !hit->chance;
    scan->chances += hit->chance;
    if (hit->chance && !scan->all)
        return;
    if (scan->json)
        hit_say_json(scan, hit);
    else
        say_out("%s:%" PRIu64 ": %s, %u digits as %s, ending %s%s\n", scan->path,
                scan->base + hit->offset, hit->brand, hit->digits, scan_find_form_name(hit->form),
                hit->last4, hit->chance ? " (in random-looking data: chance)" : "");
}

static void scan_unread(struct scan *scan, const char *path, int error)
{
    scan->unread++;
    say_error("could not read %s: %s", path, strerror(error));
}

/* Fills the window from `size` on; false when reading failed. */
static bool window_fill(struct scan *scan, int fd, size_t *size, bool *out_end)
{
    while (*size < WINDOW_BYTES) {
        ssize_t count = read(fd, scan->window + *size, WINDOW_BYTES - *size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            scan_unread(scan, scan->path, errno);
            return false;
        }
        if (count == 0) {
            *out_end = true;
            return true;
        }
        *size += (size_t)count;
        scan->bytes += (uint64_t)count;
    }
    *out_end = false;
    return true;
}

static void scan_file(struct scan *scan, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        scan_unread(scan, path, errno);
        return;
    }
    scan->path = path;
    scan->base = 0;
    scan->files++;
    size_t size = 0;
    size_t from = 0;
    for (bool end = false; !end;) {
        if (!window_fill(scan, fd, &size, &end))
            break;
        struct scan_window window = {.bytes = scan->window, .size = size, .from = from};
        window.until = end ? size : size - SCAN_FIND_OVERLAP;
        scan_find_window(scan->find, &window, scan_on_hit, scan);
        if (end)
            break;
        /* Goes on where it stopped, with as much before it to look back at. */
        size_t gone = window.until - SCAN_FIND_OVERLAP;
        memmove(scan->window, scan->window + gone, size - gone);
        scan->base += gone;
        size -= gone;
        from = SCAN_FIND_OVERLAP;
    }
    (void)close(fd);
}

static void scan_entry(struct scan *scan, const FTSENT *entry)
{
    switch (entry->fts_info) {
    case FTS_F:
        scan_file(scan, entry->fts_path);
        return;
    case FTS_D:
    case FTS_DP:
        return;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        scan_unread(scan, entry->fts_path, entry->fts_errno);
        return;
    default:
        scan->left_out++;
        say_error("left out %s: it is %s", entry->fts_path,
                  entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE
                      ? "a symbolic link"
                      : "neither a file nor a folder");
    }
}

static void tree_close(FTS **tree)
{
    if (*tree != NULL)
        (void)fts_close(*tree);
    *tree = NULL;
}

static void scan_path(struct scan *scan, const char *path)
{
    char *copy = strdup(path);
    char *paths[] = {copy, NULL};
    OWNED(tree_close)
    FTS *tree =
        copy == NULL ? NULL : fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (tree == NULL) {
        scan_unread(scan, path, errno);
        free(copy);
        return;
    }
    errno = 0;
    for (const FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree)) {
        scan_entry(scan, entry);
        errno = 0;
    }
    if (errno != 0)
        scan_unread(scan, path, errno);
    free(copy);
}

static void scan_report(const struct scan *scan)
{
    if (scan->json) {
        say_out("{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"hits\":%" PRIu64
                ",\"chance\":%" PRIu64 ",\"unread\":%" PRIu64 ",\"left_out\":%" PRIu64 "}\n",
                scan->files, scan->bytes, scan->hits, scan->chances, scan->unread, scan->left_out);
        return;
    }
    say_out("%" PRIu64 " files, %" PRIu64 " bytes: ", scan->files, scan->bytes);
    if (scan->hits == 0)
        say_out("no card number found");
    else
        say_out("%" PRIu64 " found", scan->hits);
    if (scan->chances > 0)
        say_out("; %" PRIu64 " more in random-looking data taken for chance", scan->chances);
    if (scan->unread > 0)
        say_out("; %" PRIu64 " could not be read", scan->unread);
    if (scan->left_out > 0)
        say_out("; %" PRIu64 " left out", scan->left_out);
    say_out("\n");
}

enum cli_exit scan_run(const struct cli_arguments *arguments)
{
    assert(arguments->word_count >= 1);
    OWNED(scan_end)
    struct scan scan = {.json = cli_wants_json(arguments),
                        .all = cli_option(arguments, "all") != NULL};
    scan.window = calloc(1, WINDOW_BYTES);
    if (scan.window == NULL || failed(scan_find_new(&scan.find))) {
        say_error("there is not enough memory");
        return CLI_UNREACHABLE;
    }
    for (unsigned i = 0; i < arguments->word_count; i++)
        scan_path(&scan, arguments->words[i]);
    scan_report(&scan);
    return scan.hits > 0 || scan.unread > 0 ? CLI_FOUND : CLI_DONE;
}
