/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "relay/escape.h"

struct line {
    enum escape_kind kind;
    const char *escaped;
    const char *plain;
};

static void expect_undone(const struct line *line)
{
    uint8_t out[256];
    struct escape_span spans[256];
    bool changed = false;
    size_t size = strlen(line->escaped);

    size_t count =
        escape_undo(line->kind, (const uint8_t *)line->escaped, size, out, spans, &changed);
    cr_expect_eq(count, strlen(line->plain), "%s", line->escaped);
    cr_expect(count == strlen(line->plain) && memcmp(out, line->plain, count) == 0, "%s",
              line->escaped);
    cr_expect_eq(changed, strcmp(line->escaped, line->plain) != 0, "%s", line->escaped);
    cr_expect(!changed || escape_suspected(line->kind, (const uint8_t *)line->escaped, size));
    for (size_t i = 0; i < count; i++) {
        cr_expect_lt(spans[i].start, spans[i].end);
        cr_expect_leq(spans[i].end, size);
        cr_expect(i == 0 || spans[i].start >= spans[i - 1].start);
    }
}

Test(escape, undoes_each_kind_once)
{
    static const struct line lines[] = {
        {ESCAPE_PERCENT, "a%34%2534%e4", "a4%34\xe4"},
        {ESCAPE_BACKSLASH, "\\u0034\\x34\\n\\/\\\\\\\"", "44\n/\\\""},
        {ESCAPE_BACKSLASH, "\\u00e9\\u20AC\\ud83d\\ude00", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {ESCAPE_ENTITY, "&#52;&#x34;&#X0034;&#52&amp;#52;&nbsp;", "4444&#52;\xc2\xa0"},
        {ESCAPE_WIDE, "\xef\xbc\x94\xef\xbd\x94\xc1\xb4", "4tt"},
        {ESCAPE_BASE64, "x=\"NDI0MjQyNDI0MjQyNDI0Mg==\"", "x=\"4242424242424242==\""},
        {ESCAPE_BASE64, "NDI0MjQyNDI0\r\nMjQyNDI0Mg", "4242424242424242"},
    };
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        expect_undone(&lines[i]);
}

Test(escape, leaves_alone_what_is_no_whole_escape)
{
    static const struct line lines[] = {
        {ESCAPE_PERCENT, "%", "%"},
        {ESCAPE_PERCENT, "%3", "%3"},
        {ESCAPE_PERCENT, "%g0", "%g0"},
        {ESCAPE_BACKSLASH, "\\", "\\"},
        {ESCAPE_BACKSLASH, "\\u003", "\\u003"},
        {ESCAPE_BACKSLASH, "\\q", "\\q"},
        {ESCAPE_ENTITY, "&", "&"},
        {ESCAPE_ENTITY, "&#", "&#"},
        {ESCAPE_ENTITY, "&#x;", "&#x;"},
        {ESCAPE_ENTITY, "&lt", "&lt"},
        {ESCAPE_WIDE, "\xef\xbc", "\xef\xbc"},
        {ESCAPE_WIDE, "\xc1", "\xc1"},
        {ESCAPE_BASE64, "pi_3MtwBwLkdIwHu7ix28a3tqPa", "pi_3MtwBwLkdIwHu7ix28a3tqPa"},
        {ESCAPE_BASE64, "NDI0MjQyNDI0", "NDI0MjQyNDI0"},
    };
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        expect_undone(&lines[i]);
}

Test(escape, turns_what_is_no_character_into_a_question_mark)
{
    static const struct line lines[] = {
        {ESCAPE_BACKSLASH, "\\ud83d!", "?!"},
        {ESCAPE_BACKSLASH, "\\ude00", "?"},
        {ESCAPE_ENTITY, "&#x110000;", "?"},
        {ESCAPE_ENTITY, "&#4294967348;", "?"}, /* 2^32 + '4'. */
    };
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        expect_undone(&lines[i]);
}

Test(escape, names_every_character_that_a_byte_came_from)
{
    static const char coded[] = "eCB5PTQyNDI0MjQyNDI0Mg"; /* x y= and twelve digits. */
    uint8_t out[64];
    struct escape_span spans[64];
    bool changed;

    size_t count =
        escape_undo(ESCAPE_BASE64, (const uint8_t *)coded, strlen(coded), out, spans, &changed);
    cr_assert_eq(count, 16);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(spans[i].start, i * 8 / 6, "byte %u", i);
        cr_expect_eq(spans[i].end, (i * 8 + 8 + 5) / 6, "byte %u", i);
    }
}

Test(escape, drops_the_zero_bytes_of_utf_16)
{
    static const uint8_t wide[] = {'4', 0, '2', 0};
    uint8_t out[4];
    bool changed;

    cr_assert_eq(escape_undo(ESCAPE_WIDE, wide, sizeof wide, out, NULL, &changed), 2);
    cr_expect(changed);
    cr_expect_arr_eq(out, "42", 2);
}

/* What is not suspected is never undone: it is what stands between an answer and its reading. */
Test(escape, suspects_base64_where_there_is_some_to_undo_and_nowhere_else)
{
    static const char coded[] = "NDI0MjQyNDI0MjQyNDI0MjQy";
    static const char others[] = "a \n\r\"=";
    uint8_t text[96];
    uint8_t out[sizeof text];
    unsigned found = 0;

    for (unsigned round = 0; round < 200000; round++) {
        size_t size = 0;
        bool changed = false;
        for (unsigned piece = random_below(6); piece > 0; piece--) {
            size_t letters = random_below(16);
            memcpy(text + size, coded + 4 * random_below(3), letters);
            size += letters;
            text[size++] = (uint8_t)others[random_below(sizeof others - 1)];
        }
        escape_undo(ESCAPE_BASE64, text, size, out, NULL, &changed);
        cr_assert_eq(escape_suspected(ESCAPE_BASE64, text, size), changed, "%.*s", (int)size,
                     (const char *)text);
        found += changed;
    }
    cr_expect_gt(found, 10000);
    cr_expect_lt(found, 190000);
}

Test(escape, reads_line_ends_without_end_in_little_time)
{
    static uint8_t text[1u << 20];
    static uint8_t out[sizeof text];
    bool changed = true;

    memset(text, '\n', sizeof text);
    clock_t start = clock();
    cr_expect_not(escape_suspected(ESCAPE_BASE64, text, sizeof text));
    cr_expect_eq(escape_undo(ESCAPE_BASE64, text, sizeof text, out, NULL, &changed), sizeof text);
    cr_expect_not(changed);
    cr_expect_arr_eq(out, text, sizeof text);
    cr_expect_lt(clock() - start, 5 * CLOCKS_PER_SEC, "quadratic would be minutes");
}
