/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/audit_fetch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "policies/audit_entry.h"
#include "policies/note.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

/* A page: its members, and twice as many texts as entries (no page has more notes). */
#define PAGE_NODES_MAX  (16u + 2u * CONTRACT_AUDIT_ENTRIES_MAX)
#define TEXT_BYTES_MAX  (AUDIT_ENTRY_BYTES_MAX + NOTE_BYTES_MAX)
#define TARGET_SIZE     128u
#define SIZE_DIGITS_MAX 18u

/* One page, read; `text` is where its strings are unescaped, one after another. */
struct page {
    struct daemon_answer answer;
    struct json json;
    struct json_node nodes[PAGE_NODES_MAX];
    uint64_t size;
    uint64_t start;
    uint32_t entries;
    uint32_t notes;
    char text[TEXT_BYTES_MAX];
};

static void page_free(struct page **page)
{
    if (*page == NULL)
        return;
    buffer_free(&(*page)->answer.body);
    free(*page);
    *page = NULL;
}

uint64_t audit_fetch_note_size(const char *note, size_t size)
{
    const char *line = memchr(note, '\n', size);
    const char *end = note + size;
    uint64_t value = 0;
    unsigned digits = 0;
    if (line == NULL)
        return UINT64_MAX;
    for (line++; line < end && *line >= '0' && *line <= '9' && digits < SIZE_DIGITS_MAX; line++) {
        value = value * 10 + (uint64_t)(*line - '0');
        digits++;
    }
    return digits > 0 && line < end && *line == '\n' ? value : UINT64_MAX;
}

static bool count_read(const struct json *json, const char *name, uint64_t *out)
{
    int64_t value = -1;
    uint32_t node = json_member(json, 0, name);
    if (node == JSON_NONE || failed(json_int(json, node, &value)) || value < 0)
        return false;
    *out = (uint64_t)value;
    return true;
}

static bool page_read(struct page *page, uint64_t start)
{
    size_t at = 0;
    if (failed(json_read(page->answer.body.bytes, page->answer.body.size, page->nodes,
                         PAGE_NODES_MAX, &page->json, &at)) ||
        page->nodes[0].type != JSON_OBJECT)
        return false;
    page->entries = json_member(&page->json, 0, "entries");
    page->notes = json_member(&page->json, 0, "checkpoints");
    return count_read(&page->json, "size", &page->size) &&
           count_read(&page->json, "start", &page->start) && page->start == start &&
           page->entries != JSON_NONE && page->nodes[page->entries].type == JSON_ARRAY &&
           page->notes != JSON_NONE && page->nodes[page->notes].type == JSON_ARRAY;
}

static enum cli_exit page_fetch(const struct audit_fetch *fetch, uint64_t start, unsigned limit,
                                struct page **out_page)
{
    OWNED(page_free) struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        say_error("there is not enough memory");
        return CLI_UNREACHABLE;
    }
    char target[TARGET_SIZE];
    (void)snprintf(target, sizeof target, CONTRACT_PATH_AUDIT_ENTRIES "?start=%" PRIu64 "&limit=%u",
                   start, limit);
    struct daemon_request request = {
        .which = fetch->which, .as_auditor = true, .method = "GET", .target = target};
    enum cli_exit code = daemon_ask(fetch->daemon, &request, &page->answer);
    if (code != CLI_DONE)
        return code;
    if (!page_read(page, start)) {
        say_error("the daemon's answer is no page of an audit log that begins at %" PRIu64, start);
        return CLI_FOUND;
    }
    *out_page = MOVE(page);
    return CLI_DONE;
}

/* Notes whose size is at most `seq`; moves *node and *left past them. */
static bool notes_give(const struct audit_fetch *fetch, struct page *page, uint64_t seq,
                       uint32_t *node, uint32_t *left)
{
    while (*left > 0) {
        size_t size = 0;
        if (failed(json_string(&page->json, *node, page->text, sizeof page->text, &size)))
            return false;
        uint64_t note_size = audit_fetch_note_size(page->text, size);
        if (note_size != UINT64_MAX && note_size > seq)
            return true;
        if (fetch->on_checkpoint != NULL)
            fetch->on_checkpoint(fetch->owner, note_size, page->text, size);
        *node = page->nodes[*node].next;
        (*left)--;
    }
    return true;
}

/* Gives all of a page, at most up to `end`; *seq moves along. */
static bool page_give(const struct audit_fetch *fetch, struct page *page, uint64_t end,
                      uint64_t *seq)
{
    uint32_t note = json_first(&page->json, page->notes);
    uint32_t notes_left = page->nodes[page->notes].count;
    uint32_t node = json_first(&page->json, page->entries);
    for (uint32_t i = 0; i < page->nodes[page->entries].count && *seq < end; i++) {
        size_t size = 0;
        if (!notes_give(fetch, page, *seq, &note, &notes_left) ||
            failed(json_string(&page->json, node, page->text, sizeof page->text, &size)))
            return false;
        fetch->on_entry(fetch->owner, *seq, page->text, size);
        node = page->nodes[node].next;
        (*seq)++;
    }
    return notes_give(fetch, page, *seq, &note, &notes_left);
}

enum cli_exit audit_fetch_entries(const struct audit_fetch *fetch, uint64_t start, uint64_t end,
                                  uint64_t *out_size)
{
    assert(fetch->on_entry != NULL);
    uint64_t seq = start;
    do {
        OWNED(page_free) struct page *page = NULL;
        uint64_t wanted = end == 0 ? CONTRACT_AUDIT_ENTRIES_MAX : end - seq;
        unsigned limit =
            wanted < CONTRACT_AUDIT_ENTRIES_MAX ? (unsigned)wanted : CONTRACT_AUDIT_ENTRIES_MAX;
        enum cli_exit code = page_fetch(fetch, seq, limit, &page);
        if (code != CLI_DONE)
            return code;
        *out_size = page->size;
        if (end == 0 || end > page->size)
            end = page->size;
        uint64_t before = seq;
        if (!page_give(fetch, page, end, &seq) || (seq == before && seq < end)) {
            say_error("the daemon's page of its audit log at %" PRIu64 " is not as it must be",
                      before);
            return CLI_FOUND;
        }
    } while (seq < end);
    return CLI_DONE;
}

enum cli_exit audit_fetch_checkpoint(const struct audit_fetch *fetch, struct buffer *out_note)
{
    struct daemon_answer answer;
    struct daemon_request request = {.which = fetch->which,
                                     .as_auditor = true,
                                     .method = "GET",
                                     .target = CONTRACT_PATH_AUDIT_CHECKPOINT};
    enum cli_exit code = daemon_fetch(fetch->daemon, &request, &answer);
    *out_note = answer.body;
    if (code != CLI_DONE || answer.status == 200)
        return code;
    buffer_free(out_note);
    if (answer.status == 404)
        return CLI_DONE;
    /* Asked again, for its words. */
    code = daemon_ask(fetch->daemon, &request, &answer);
    buffer_free(&answer.body);
    return code == CLI_DONE ? CLI_UNREACHABLE : code;
}
