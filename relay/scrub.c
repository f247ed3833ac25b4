/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/scrub.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/escape.h"
#include "relay/scrub_needle.h"

/* Escapes within escapes, as in a form inside a JSON string inside HTML. */
#define DEPTH_MAX 3u
/* Ways to read one answer.  The order in which different escapes are undone rarely matters, and
 * what reads the same is searched once, so that honest answers need a handful. */
#define READINGS_MAX 64u

/* What becomes of a byte of the answer: it stays (0), belongs to what was found before it, or
 * begins a place to be replaced, by the needle with this number less one. */
#define MARK_INSIDE 0xffffu
/* With a needle's number: found in what base64 held, so that only base64 can stand in its place. */
#define MARK_CODED 0x8000u

/* The answer with some escapes undone. */
struct reading {
    const uint8_t *bytes;
    size_t size;
    const struct escape_span *spans; /* Ranges of the answer; NULL for the answer itself. */
    bool is_coded;                   /* Base64 is among what was undone. */
    enum escape_kind next;           /* What to undo next. */
    struct buffer byte_store;
    struct buffer span_store;
};

struct search {
    const uint8_t *bytes;
    size_t size;
    const struct needles *needles;
    struct buffer marks;                    /* One uint16_t a byte, once anything is found. */
    struct reading readings[DEPTH_MAX + 1]; /* The one under way, on top of what it was made of. */
    unsigned depth;
    uint8_t seen_key[crypto_shorthash_KEYBYTES];
    uint8_t seen[READINGS_MAX][crypto_shorthash_BYTES];
    unsigned seen_count;
};

static void reading_free(struct reading *reading)
{
    buffer_free(&reading->byte_store);
    buffer_free(&reading->span_store);
    *reading = (struct reading){0};
}

static void search_free(struct search *search)
{
    for (unsigned i = 0; i <= DEPTH_MAX; i++)
        reading_free(&search->readings[i]);
    buffer_free(&search->marks);
}

static struct escape_span source_of(const struct reading *reading, size_t at, size_t size)
{
    if (reading->spans == NULL)
        return (struct escape_span){(uint32_t)at, (uint32_t)(at + size)};
    return (struct escape_span){reading->spans[at].start, reading->spans[at + size - 1].end};
}

static STATUS marks_make(struct search *search)
{
    if (search->marks.size > 0)
        return STATUS_OK;
    search->marks = BUFFER(search->size * sizeof(uint16_t));
    (void)buffer_extend(&search->marks, search->size * sizeof(uint16_t));
    return buffer_status(&search->marks);
}

/* Places that overlap become one, replaced once, whoever found them. */
static STATUS place_mark(struct search *search, const struct reading *reading, unsigned index,
                         struct escape_span place)
{
    TRY(marks_make(search));
    uint16_t *marks = (uint16_t *)(void *)search->marks.bytes;
    size_t fresh = 0;

    for (uint32_t i = place.start; i < place.end; i++)
        fresh += marks[i] == 0;
    /* The needle for base64 was here and has left a well-formed fill; of what it left at the edges
     * nothing can be told. */
    if (reading->is_coded && fresh <= 2 && !search->needles->list[index].beside)
        return STATUS_OK;
    if (marks[place.start] == 0)
        marks[place.start] = (uint16_t)((index + 1) | (reading->is_coded ? MARK_CODED : 0));
    for (uint32_t i = place.start + 1; i < place.end; i++)
        marks[i] = MARK_INSIDE;
    return STATUS_OK;
}

static STATUS reading_search(struct search *search, const struct reading *reading)
{
    const struct needles *needles = search->needles;

    for (size_t at = 0; at < reading->size; at++) {
        uint8_t c = reading->bytes[at];
        if (needles->starts[c] == 0)
            continue;
        for (unsigned i = 0; i < needles->count; i++) {
            const struct needle *needle = &needles->list[i];
            if (c != needle->first[0] && c != needle->first[1])
                continue;
            size_t size = needle_match(needles, needle, reading->bytes, reading->size, at);
            if (size > 0)
                TRY(place_mark(search, reading, i, source_of(reading, at, size)));
        }
    }
    return STATUS_OK;
}

/* True the first time that these bytes are read. */
static STATUS reading_remember(struct search *search, const struct reading *reading,
                               bool *out_is_new)
{
    uint8_t hash[crypto_shorthash_BYTES];

    int rc = crypto_shorthash(hash, reading->bytes, reading->size, search->seen_key);
    assert(rc == 0);
    *out_is_new = false;
    for (unsigned i = 0; i < search->seen_count; i++)
        if (memcmp(search->seen[i], hash, sizeof hash) == 0)
            return STATUS_OK;
    /* Nobody honest writes so: better no answer than one that was not read to the end. */
    ENSURE(search->seen_count < READINGS_MAX, WHY_LIMIT);
    memcpy(search->seen[search->seen_count++], hash, sizeof hash);
    *out_is_new = true;
    return STATUS_OK;
}

/* The spans of `made` are ranges of `from`; makes them ranges of the answer. */
static void spans_compose(const struct reading *from, struct escape_span *spans, size_t count)
{
    for (size_t i = 0; from->spans != NULL && i < count; i++)
        spans[i] = source_of(from, spans[i].start, spans[i].end - spans[i].start);
}

/* Undoes one kind of escape in the reading under way; *out_changed is false where there is none. */
static STATUS reading_make(const struct reading *from, enum escape_kind kind, struct reading *made,
                           bool *out_changed)
{
    *out_changed = false;
    if (!escape_suspected(kind, from->bytes, from->size))
        return STATUS_OK;
    made->byte_store = BUFFER(from->size);
    made->span_store = BUFFER(from->size * sizeof(struct escape_span));
    uint8_t *bytes = buffer_extend(&made->byte_store, from->size);
    void *spans = buffer_extend(&made->span_store, from->size * sizeof(struct escape_span));
    TRY(buffer_status(&made->byte_store));
    TRY(buffer_status(&made->span_store));

    made->size = escape_undo(kind, from->bytes, from->size, bytes, spans, out_changed);
    made->bytes = bytes;
    made->spans = spans;
    made->is_coded = from->is_coded || kind == ESCAPE_BASE64;
    spans_compose(from, spans, made->size);
    return STATUS_OK;
}

/* Goes one kind of escape further: down when it is there, up when all kinds were tried. */
static STATUS search_step(struct search *search)
{
    struct reading *from = &search->readings[search->depth];

    if (search->depth == DEPTH_MAX || from->next == ESCAPE_KINDS) {
        assert(search->depth > 0);
        reading_free(from);
        search->depth--;
        return STATUS_OK;
    }
    enum escape_kind kind = from->next++;
    struct reading *made = &search->readings[search->depth + 1];
    bool goes_down = false;
    TRY(reading_make(from, kind, made, &goes_down));
    if (goes_down)
        TRY(reading_remember(search, made, &goes_down));
    if (!goes_down) {
        reading_free(made);
        return STATUS_OK;
    }
    TRY(reading_search(search, made));
    search->depth++;
    return STATUS_OK;
}

static STATUS search_run(struct search *search)
{
    struct reading *answer = &search->readings[0];
    bool is_new = false;

    *answer = (struct reading){.bytes = search->bytes, .size = search->size};
    random_bytes(search->seen_key, sizeof search->seen_key);
    TRY(reading_remember(search, answer, &is_new));
    TRY(reading_search(search, answer));
    while (search->depth > 0 || answer->next != ESCAPE_KINDS)
        TRY(search_step(search));
    return STATUS_OK;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* True for a bare JSON number: a token in its place needs quotes, or the answer is no JSON any
 * more. */
static bool is_json_number(const uint8_t *bytes, size_t size, size_t start, size_t end)
{
    size_t before = start;
    while (before > 0 && is_blank(bytes[before - 1]))
        before--;
    while (end < size && is_blank(bytes[end]))
        end++;
    if (before == 0 || end == size || memchr(",}]", bytes[end], 3) == NULL)
        return false;
    if (bytes[before - 1] == '[' || bytes[before - 1] == ',')
        return true;
    if (bytes[before - 1] != ':')
        return false;
    before--;
    while (before > 0 && is_blank(bytes[before - 1]))
        before--;
    return before > 0 && bytes[before - 1] == '"';
}

static void replacement_add(const struct search *search, uint16_t mark, size_t start, size_t end,
                            struct buffer *out)
{
    const struct needle *needle = &search->needles->list[(mark & ~MARK_CODED) - 1];
    const struct scrub_value *value = &search->needles->scrub->values[needle->value];

    if ((mark & MARK_CODED) != 0) {
        for (size_t i = start; i < end; i++)
            buffer_add_u8(out, 'A');
        return;
    }
    if (needle->filled) {
        buffer_add(out, search->needles->text.bytes + needle->start + needle->size, needle->size);
        return;
    }
    bool quote = is_json_number(search->bytes, search->size, start, end);
    if (quote)
        buffer_add_u8(out, '"');
    if (value->kind == SCRUB_CVV || value->token == NULL)
        buffer_add_text(out, "***");
    else
        buffer_add_text(out, value->token);
    if (quote)
        buffer_add_u8(out, '"');
}

static void marks_apply(const struct search *search, struct buffer *out, unsigned *out_hits)
{
    const uint16_t *marks = (const uint16_t *)(const void *)search->marks.bytes;
    size_t at = 0;

    while (at < search->size) {
        size_t start = at;
        while (at < search->size && marks[at] == 0)
            at++;
        buffer_add(out, search->bytes + start, at - start);
        if (at == search->size)
            return;
        start = at++;
        while (at < search->size && marks[at] == MARK_INSIDE)
            at++;
        replacement_add(search, marks[start], start, at, out);
        ++*out_hits;
    }
}

STATUS scrub_piece(const struct needles *needles, const uint8_t *bytes, size_t size,
                   struct buffer *out, unsigned *out_hits)
{
    assert(out_hits != NULL);

    unsigned hits = 0;
    ENSURE(size < UINT32_MAX, WHY_LIMIT);
    if (size > 0 && needles->count > 0) {
        OWNED(search_free)
        struct search search = {.needles = needles, .bytes = bytes, .size = size};
        TRY(search_run(&search));
        if (search.marks.size > 0)
            marks_apply(&search, out, &hits);
        else
            buffer_add(out, bytes, size);
    } else {
        buffer_add(out, bytes, size);
    }
    TRY(buffer_status(out));
    *out_hits = hits;
    return STATUS_OK;
}

STATUS scrub_bytes(const struct scrub *scrub, const uint8_t *bytes, size_t size, struct buffer *out,
                   unsigned *out_hits)
{
    assert(scrub != NULL);

    OWNED(needles_free) struct needles needles = {0};
    TRY(needles_make(scrub, &needles));
    return scrub_piece(&needles, bytes, size, out, out_hits);
}
