/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/answer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "relay/forward.h"
#include "relay/scrub_needle.h"

#define ENCODING_VERSION 1u
#define HEADER_BYTES_MAX 8192u
#define STATUS_LEAST     200
#define STATUS_MOST      599

/* version u8 | status u16 | pairs u16 | (size u16, bytes, NUL) twice each | size u32, body */

static void add_text(struct buffer *out, const void *text, size_t size)
{
    buffer_add_u16(out, (uint16_t)size);
    buffer_add(out, text, size);
    buffer_add_u8(out, 0);
}

static bool is_identity(const char *encoding)
{
    return encoding[0] == '\0' || strcasecmp(encoding, "identity") == 0;
}

/* The headers of one answer, on their way through the guard. */
struct head {
    struct needles needles;
    struct buffer line;
    struct buffer clean;
    struct buffer out;
    unsigned count;
    unsigned hits;
};

static void head_free(struct head *head)
{
    needles_free(&head->needles);
    buffer_free(&head->line);
    buffer_free(&head->clean);
    buffer_free(&head->out);
}

/* Guarded as the line that it is, for a CVV is known by the name beside it.  Where the name itself
 * held something, the header is dropped: there is no telling what it was meant to be. */
static STATUS head_add(struct head *head, const struct client_header *header)
{
    struct buffer *line = &head->line;
    struct buffer *clean = &head->clean;
    const char *name = header->name;
    unsigned found = 0;

    buffer_clear(line);
    buffer_clear(clean);
    buffer_add_text(line, name);
    buffer_add_text(line, ": ");
    size_t prefix = line->size;
    buffer_add_text(line, header->value);
    TRY(buffer_status(line));
    TRY(scrub_piece(&head->needles, line->bytes, line->size, clean, &found));
    head->hits += found;
    if (clean->size < prefix || memcmp(clean->bytes, line->bytes, prefix) != 0)
        return STATUS_OK;
    /* Our server's own Request-Id stands in the answer; the gateway's keeps a name of its own. */
    if (strcmp(name, "request-id") == 0)
        name = "cardkeep-gateway-request-id";
    add_text(&head->out, name, strlen(name));
    add_text(&head->out, clean->bytes + prefix, clean->size - prefix);
    head->count++;
    return STATUS_OK;
}

static STATUS head_read(struct head *head, const struct client_answer *answer)
{
    for (unsigned i = 0; i < answer->header_count; i++) {
        const struct client_header *header = &answer->headers[i];
        if (strcmp(header->name, "content-encoding") == 0)
            ENSURE(is_identity(header->value), WHY_BAD_INPUT);
        if (!forward_answer_passes(header->name))
            continue;
        ENSURE(head->count < ANSWER_HEADERS_MAX, WHY_BAD_INPUT);
        TRY(head_add(head, header));
    }
    return buffer_status(&head->out);
}

STATUS answer_encode(const struct client_answer *answer, const struct scrub *scrub,
                     struct buffer *out, unsigned *out_hits)
{
    struct head head OWNED(head_free) = {.line = BUFFER(HEADER_BYTES_MAX),
                                         .clean = BUFFER(2 * HEADER_BYTES_MAX),
                                         .out = BUFFER(ANSWER_BYTES_MAX)};
    unsigned in_body = 0;

    ENSURE(answer->status >= STATUS_LEAST && answer->status <= STATUS_MOST, WHY_BAD_INPUT);
    TRY(needles_make(scrub, &head.needles));
    TRY(head_read(&head, answer));

    buffer_add_u8(out, ENCODING_VERSION);
    buffer_add_u16(out, (uint16_t)answer->status);
    buffer_add_u16(out, (uint16_t)head.count);
    buffer_add(out, head.out.bytes, head.out.size);
    size_t size_at = out->size;
    buffer_add_u32(out, 0);
    TRY(scrub_piece(&head.needles, answer->body, answer->body_size, out, &in_body));
    uint32_t size = htobe32((uint32_t)(out->size - size_at - sizeof size));
    memcpy(out->bytes + size_at, &size, sizeof size);
    *out_hits = head.hits + in_body;
    return STATUS_OK;
}

/* Lends the next text; NULL when it is not there whole, with its NUL and no other. */
static const char *take_text(struct cursor *cursor)
{
    size_t size = cursor_u16(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, size + 1);

    if (bytes == NULL || memchr(bytes, 0, size + 1) != bytes + size)
        return NULL;
    return (const char *)bytes;
}

STATUS answer_decode(const uint8_t *bytes, size_t size, struct answer_view *out_view)
{
    struct cursor cursor = cursor_over(bytes, size);
    struct answer_view view = {0};
    unsigned listed = 0;

    uint8_t version = cursor_u8(&cursor);
    view.status = cursor_u16(&cursor);
    unsigned count = cursor_u16(&cursor);
    ENSURE(version == ENCODING_VERSION && count <= ANSWER_HEADERS_MAX, WHY_FORGED);
    ENSURE(view.status >= STATUS_LEAST && view.status <= STATUS_MOST, WHY_FORGED);
    for (unsigned i = 0; i < count; i++) {
        const char *name = take_text(&cursor);
        const char *value = take_text(&cursor);
        ENSURE(name != NULL && value != NULL, WHY_FORGED);
        if (strcmp(name, "content-type") == 0) {
            view.content_type = value;
            continue;
        }
        view.headers[listed++] = name;
        view.headers[listed++] = value;
    }
    view.body_size = cursor_u32(&cursor);
    view.body = cursor_bytes(&cursor, view.body_size);
    ENSURE(cursor_done(&cursor), WHY_FORGED);
    *out_view = view;
    return STATUS_OK;
}

static void add_line(struct answer_lines *lines, const char *name, const char *value)
{
    assert(lines->count < ANSWER_LINES_MAX);
    char *text = lines->texts[lines->count];
    snprintf(text, ANSWER_LINE_MAX, "%s", value);
    lines->list[2 * (size_t)lines->count] = name;
    lines->list[2 * (size_t)lines->count + 1] = text;
    lines->count++;
}

/* Milliseconds, with three digits behind the point. */
static void add_duration(struct buffer *text, const char *name, int64_t us)
{
    uint64_t told = us > 0 ? (uint64_t)us : 0;
    char part[] = {'.', (char)('0' + told / 100 % 10), (char)('0' + told / 10 % 10),
                   (char)('0' + told % 10)};

    buffer_add_text(text, text->size > 0 ? ", " : "");
    buffer_add_text(text, name);
    buffer_add_text(text, ";dur=");
    buffer_add_decimal(text, told / 1000);
    buffer_add(text, part, sizeof part);
}

static void add_timing(struct answer_lines *lines, const struct answer_outcome *outcome)
{
    uint8_t room[ANSWER_LINE_MAX] = {0};
    struct buffer text = BUFFER_OVER(room);

    add_duration(&text, "policy", outcome->policy_us);
    add_duration(&text, "lease", outcome->lease_us);
    add_duration(&text, "gateway", outcome->gateway_us);
    add_duration(&text, "relay", outcome->relay_us);
    add_line(lines, "server-timing", buffer_text(&text));
}

void answer_lines(const struct answer_outcome *outcome, struct answer_lines *out_lines)
{
    static const char *const failed_names[] = {
        [ANSWER_FAILED_POLICY] = "policy",   [ANSWER_FAILED_VAULT] = "vault",
        [ANSWER_FAILED_RELAY] = "relay",     [ANSWER_FAILED_NETWORK] = "network",
        [ANSWER_FAILED_GATEWAY] = "gateway",
    };
    char text[ANSWER_LINE_MAX];

    *out_lines = (struct answer_lines){0};
    if (outcome->submission_id != NULL)
        add_line(out_lines, "cardkeep-submission", outcome->submission_id);
    add_line(out_lines, "cardkeep-outcome", ledger_rows_outcome_name(outcome->outcome));
    add_line(out_lines, "cardkeep-safe-to-retry", outcome->safe_to_retry ? "true" : "false");
    if (outcome->failed != ANSWER_FAILED_NONE)
        add_line(out_lines, "cardkeep-failed", failed_names[outcome->failed]);
    add_timing(out_lines, outcome);
    if (outcome->replayed)
        add_line(out_lines, "idempotency-replayed", "true");
    if (outcome->retry_after_s > 0) {
        snprintf(text, sizeof text, "%u", outcome->retry_after_s);
        add_line(out_lines, "retry-after", text);
    }
}

void answer_send(struct http_call *call, const struct answer_view *view,
                 const struct answer_outcome *outcome)
{
    const char *headers[2 * (ANSWER_HEADERS_MAX + ANSWER_LINES_MAX) + 1];
    struct answer_lines lines;
    unsigned count = 0;

    answer_lines(outcome, &lines);
    for (unsigned i = 0; view->headers[i] != NULL; i++)
        headers[count++] = view->headers[i];
    for (unsigned i = 0; lines.list[i] != NULL; i++)
        headers[count++] = lines.list[i];
    headers[count] = NULL;
    /* A body without a type is still passed on; nothing is guessed about it. */
    const char *type = view->content_type;
    if (type == NULL && view->body_size > 0)
        type = "application/octet-stream";
    struct http_answer answer = {.status = view->status,
                                 .content_type = type,
                                 .body = view->body,
                                 .body_size = view->body_size,
                                 .headers = headers};
    http_answer(call, &answer);
}

void answer_problem(struct http_call *call, const struct http_problem *problem,
                    const struct answer_outcome *outcome)
{
    struct answer_lines lines;

    answer_lines(outcome, &lines);
    http_answer_problem(call, problem, lines.list);
}
