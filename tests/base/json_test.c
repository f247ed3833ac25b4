/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "tests/base/jansson_apart.h"

#define NODES_MAX 64u

static struct json_node nodes[NODES_MAX];
static struct json json;
static size_t wrong_at;

static enum why why_of(const char *text)
{
    return json_read((const uint8_t *)text, strlen(text), nodes, NODES_MAX, &json, &wrong_at).why;
}

static void read_ok(const char *text)
{
    cr_assert_eq(why_of(text), WHY_NONE, "%s at %zu", text, wrong_at);
}

Test(json, reads_every_type_and_names_its_bytes)
{
    static const struct {
        const char *text;
        enum json_type type;
    } cases[] = {
        {"null", JSON_NULL},        {"true", JSON_TRUE},      {"false", JSON_FALSE},
        {"-0.5e+10", JSON_NUMBER},  {"\"abc\"", JSON_STRING}, {"[1,2]", JSON_ARRAY},
        {"{\"a\":1}", JSON_OBJECT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char padded[64];
        snprintf(padded, sizeof padded, " \t\r\n%s \n", cases[i].text);
        read_ok(padded);
        unsigned quote = cases[i].type == JSON_STRING ? 1 : 0;
        cr_assert_eq(nodes[0].type, cases[i].type);
        cr_assert_eq(nodes[0].start, 4 + quote);
        cr_assert_eq(nodes[0].size, strlen(cases[i].text) - 2 * quote);
        cr_assert_eq(nodes[0].next, json.count);
    }
}

Test(json, walks_a_tree_by_first_and_next)
{
    read_ok("{\"a\":[1,[2,3],{}],\"b\":{\"c\":null},\"d\":[]}");
    cr_assert_eq(nodes[0].count, 3u);
    uint32_t a = json_member(&json, 0, "a");
    uint32_t b = json_member(&json, 0, "b");
    uint32_t d = json_member(&json, 0, "d");
    cr_assert_eq(nodes[a].count, 3u);
    uint32_t one = json_first(&json, a);
    uint32_t pair = nodes[one].next;
    uint32_t empty = nodes[pair].next;
    cr_assert_eq(nodes[one].type, JSON_NUMBER);
    cr_assert_eq(nodes[pair].count, 2u);
    cr_assert_eq(nodes[empty].type, JSON_OBJECT);
    cr_assert_eq(nodes[empty].next, nodes[a].next);
    cr_assert_eq(json_first(&json, empty), JSON_NONE);
    cr_assert_eq(json_first(&json, d), JSON_NONE);
    cr_assert(json_equals(&json, json_first(&json, 0), "a"));
    cr_assert_eq(nodes[json_member(&json, b, "c")].type, JSON_NULL);
    cr_assert_eq(json_member(&json, 0, "c"), JSON_NONE, "only the object's own members");
    for (uint32_t i = 0; i < json.count; i++)
        cr_assert(nodes[i].type == JSON_OBJECT || nodes[i].type == JSON_ARRAY ||
                      nodes[i].count == 0,
                  "the sorting of keys leaves no trace");
}

Test(json, finds_nothing_in_what_is_no_container)
{
    char out[8];
    int64_t value = 0;
    read_ok("[1,\"x\"]");
    cr_assert_eq(json_member(&json, JSON_NONE, "x"), JSON_NONE);
    cr_assert_eq(json_member(&json, 0, "x"), JSON_NONE);
    cr_assert_eq(json_first(&json, 1), JSON_NONE);
    cr_assert_eq(json_first(&json, JSON_NONE), JSON_NONE);
    cr_assert(!json_equals(&json, 1, "1"));
    cr_assert(!json_equals(&json, JSON_NONE, ""));
    cr_assert_eq(json_read_text(&json, 1, out, sizeof out, NULL).why, WHY_BAD_INPUT);
    cr_assert_eq(json_read_text(&json, JSON_NONE, out, sizeof out, NULL).why, WHY_BAD_INPUT);
    cr_assert_eq(json_int(&json, 2, &value).why, WHY_BAD_INPUT);
    cr_assert_eq(json_int(&json, JSON_NONE, &value).why, WHY_BAD_INPUT);
}

Test(json, refuses_what_is_wrong_and_says_where)
{
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {
        {"", 0},
        {" ", 1},
        {"nul", 3},
        {"nulx", 3},
        {"True", 0},
        {"[1,]", 3},
        {"[1 2]", 3},
        {"[", 1},
        {"]", 0},
        {"[}", 1},
        {"{]", 1},
        {"{\"a\"}", 4},
        {"{\"a\":}", 5},
        {"{\"a\":1,}", 7},
        {"{1:2}", 1},
        {"{\"a\":1 \"b\":2}", 7},
        {"{,}", 1},
        {"[,1]", 1},
        {"1 2", 2},
        {"{} x", 3},
        {"01", 1},
        {"-", 1},
        {"+1", 0},
        {".5", 0},
        {"1.", 2},
        {"1e", 2},
        {"1e+", 3},
        {"0x1", 1},
        {"-a", 1},
        {"NaN", 0},
        {"Infinity", 0},
        {"'a'", 0},
        {"\"a", 2},
        {"\"\\x\"", 1},
        {"\"\\u12g4\"", 1},
        {"\"\\u123", 1},
        {"\"a\nb\"", 2},
        {"\"\x1f\"", 1},
        {"\"\\", 1},
        {"\"\\ud800\"", 1},
        {"\"\\udc00\"", 1},
        {"\"\\ud800\\u0041\"", 1},
        {"\"\\ud800\\ud800\"", 1},
        {"\"\\ud800x\"", 1},
        {"/**/1", 0},
        {"\xef\xbb\xbf"
         "1",
         0},
        {"[1]\f", 3},
        {"{\"a\":1,\"a\":2}", 7},
        {"{\"a\":1,\"b\":2,\"\\u0061\":3}", 13},
        {"{\"x\":{\"k\":1,\"k\":1}}", 12},
        {"{\"\":1,\"\":1}", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(why_of(cases[i].text), WHY_BAD_INPUT, "%s", cases[i].text);
        cr_expect_eq(wrong_at, cases[i].at, "%s: %zu", cases[i].text, wrong_at);
    }
    cr_assert_eq(json_read((const uint8_t *)"1\0", 2, nodes, NODES_MAX, &json, &wrong_at).why,
                 WHY_BAD_INPUT);
}

Test(json, refuses_bytes_that_are_no_utf8)
{
    static const char *const wrong[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3",
        "\xc3(",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xe2\x82",
        "\xe2(\xa1",
        "\xe2\x82(",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf0\x9f\x98",
        "\xff",
        "\xfe",
    };
    static const char *const right[] = {"\x7f",         "\xc2\x80",         "\xdf\xbf",
                                        "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
                                        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    char text[16];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "\"a%s\"", wrong[i]);
        cr_expect_eq(why_of(text), WHY_BAD_INPUT, "case %zu", i);
        cr_expect_eq(wrong_at, 2u);
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        snprintf(text, sizeof text, "\"a%s\"", right[i]);
        cr_expect_eq(why_of(text), WHY_NONE, "case %zu", i);
    }
}

Test(json, bounds_depth_and_nodes)
{
    char text[2 * (JSON_DEPTH_MAX + 1) + 1] = "";
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    read_ok(text);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    cr_assert_eq(why_of(text), WHY_LIMIT);
    cr_assert_eq(wrong_at, JSON_DEPTH_MAX);
    const uint8_t *four = (const uint8_t *)"[1,2,3]";
    cr_assert(!failed(json_read(four, 7, nodes, 4, &json, &wrong_at)));
    for (uint32_t room = 0; room < 4; room++) {
        struct json untouched = {.count = 99};
        cr_assert_eq(json_read(four, 7, nodes, room, &untouched, &wrong_at).why, WHY_LIMIT);
        cr_assert_eq(untouched.count, 99u);
    }
}

Test(json, resolves_escapes_when_it_copies_and_compares)
{
    char out[32];
    size_t length = 0;
    read_ok("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\uDE00z\"");
    static const char wanted[] = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    cr_assert(!failed(json_read_text(&json, 0, out, sizeof out, &length)));
    cr_assert_eq(length, sizeof wanted - 1);
    cr_assert_str_eq(out, wanted);
    cr_assert(json_equals(&json, 0, wanted));
    cr_assert(!json_equals(&json, 0, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    cr_assert(!json_equals(&json, 0, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80zz"));
    cr_assert(!json_equals(&json, 0, ""));
    read_ok("{\"n\\u0061me\":1}");
    cr_assert_eq(json_member(&json, 0, "name"), 2u);
    cr_assert_eq(json_member(&json, 0, "n\\u0061me"), JSON_NONE);
}

Test(json, copies_only_what_fits_and_holds_no_nul)
{
    char out[5] = "keep";
    size_t length = 7;
    read_ok("[\"abcde\",\"abc\\u00e9\",\"a\\u0000b\",\"abcd\",\"\"]");
    cr_assert_eq(json_read_text(&json, 1, out, sizeof out, &length).why, WHY_LIMIT);
    cr_assert_eq(json_read_text(&json, 2, out, sizeof out, &length).why, WHY_LIMIT);
    cr_assert_eq(json_read_text(&json, 3, out, sizeof out, &length).why, WHY_BAD_INPUT);
    cr_assert_eq(json_read_text(&json, 5, out, 0, &length).why, WHY_LIMIT);
    cr_assert_str_eq(out, "keep", "a failure writes nothing");
    cr_assert_eq(length, 7u);
    cr_assert(!json_equals(&json, 3, "a"), "a NUL inside ends no comparison early");
    cr_assert(!failed(json_read_text(&json, 4, out, sizeof out, &length)));
    cr_assert_str_eq(out, "abcd");
    cr_assert(!failed(json_read_text(&json, 5, out, sizeof out, NULL)));
    cr_assert_str_eq(out, "");
}

Test(json, reads_integers_of_64_bits_and_nothing_else_as_such)
{
    int64_t value = 5;
    read_ok("[0,-0,42,9223372036854775807,-9223372036854775808,"
            "9223372036854775808,-9223372036854775810,1.0,1e2,99999999999999999999]");
    static const int64_t wanted[] = {0, 0, 42, INT64_MAX, INT64_MIN};
    for (uint32_t i = 0; i < 5; i++) {
        cr_expect(!failed(json_int(&json, 1 + i, &value)));
        cr_expect_eq(value, wanted[i]);
    }
    value = 5;
    for (uint32_t i = 6; i < json.count; i++) {
        cr_expect_eq(json_int(&json, i, &value).why, WHY_BAD_INPUT, "node %u", i);
        cr_expect_eq(value, 5);
    }
}

/* Keys that differ in their last bytes alone, in an order that is neither up nor down. */
static void object_of(struct buffer *text, unsigned count, unsigned repeated)
{
    buffer_add_u8(text, '{');
    for (unsigned i = 0; i < count; i++)
        buffer_format(text, "\"%s%06u\":%u,", i % 5 == 0 ? "\\u006b-" : "k-", i * 7919u % count, i);
    buffer_format(text, "\"k-%06u\":0}", repeated);
}

Test(json, finds_one_repeated_key_among_very_many_at_once)
{
    enum { COUNT = 100003 }; /* A prime, so that the keys above are all different. */
    OWNED(buffer_free) struct buffer text = BUFFER(8u << 20);
    struct json_node *many = calloc(2 * COUNT + 8, sizeof *many);
    object_of(&text, COUNT, COUNT);
    int64_t before = clock_monotonic_ms();
    cr_assert(!failed(json_read(text.bytes, text.size, many, 2 * COUNT + 3, &json, &wrong_at)));
    cr_assert_eq(many[0].count, (uint32_t)COUNT + 1);
    buffer_clear(&text);
    object_of(&text, COUNT, 3);
    cr_assert_eq(json_read(text.bytes, text.size, many, 2 * COUNT + 3, &json, &wrong_at).why,
                 WHY_BAD_INPUT);
    cr_assert_eq(wrong_at, text.size - strlen("\"k-000003\":0}"));
    cr_assert(clock_monotonic_ms() - before < 5000, "comparing each with each takes minutes");
    free(many);
}

Test(json, agrees_with_another_reader_on_every_byte_changed)
{
    static const char sound[] =
        "{\"a\\u00e9\":[1,-2.5e3,true,null],\"b\":{\"c\":\"\xc3\xa9\\n\"},\"\":false}";
    char text[sizeof sound];
    size_t accepted_count = 0;
    for (size_t at = 0; at < sizeof sound - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, sound, sizeof sound);
            text[at] = (char)byte;
            json_error_t error;
            size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
            json_t *theirs = json_loadb(text, sizeof text - 1, flags, &error);
            struct status ours = json_read((const uint8_t *)text, sizeof text - 1, nodes, NODES_MAX,
                                           &json, &wrong_at);
            cr_expect_eq(failed(ours), theirs == NULL, "byte %zu made 0x%02x", at, byte);
            accepted_count += theirs != NULL ? 1 : 0;
            json_decref(theirs);
        }
    }
    cr_assert(accepted_count > 500, "%zu", accepted_count);
}

Test(json_writer, writes_a_time_and_none_where_there_is_none)
{
    OWNED(buffer_free) struct buffer out = BUFFER(1024);
    struct json_writer writer = json_writer_over(&out);

    json_begin_object(&writer);
    json_put_member_time(&writer, "at", 1795420800000);
    json_put_member_time(&writer, "never", 0);
    json_end_object(&writer);
    cr_expect_str_eq(buffer_text(&out), "{\"at\":\"2026-11-23T08:00:00.000Z\",\"never\":null}");
}

Test(json_writer, writes_what_a_reader_reads)
{
    OWNED(buffer_free) struct buffer out = BUFFER(1024);
    struct json_writer writer = json_writer_over(&out);
    json_begin_object(&writer);
    json_put_member(&writer, "text", "a\"b\\c");
    json_put_member(&writer, "none", NULL);
    json_put_member_int(&writer, "least", INT64_MIN);
    json_put_member_bool(&writer, "yes", true);
    json_key(&writer, "list");
    json_begin_array(&writer);
    json_begin_array(&writer);
    json_end_array(&writer);
    json_begin_object(&writer);
    json_end_object(&writer);
    json_put_bool(&writer, false);
    json_put_null(&writer);
    json_put_int(&writer, 7);
    json_put_text(&writer, "");
    json_end_array(&writer);
    json_key(&writer, "k\n");
    json_put_raw(&writer, "{\"raw\":1}", 9);
    json_end_object(&writer);
    static const char wanted[] = "{\"text\":\"a\\\"b\\\\c\",\"none\":null,"
                                 "\"least\":-9223372036854775808,\"yes\":true,"
                                 "\"list\":[[],{},false,null,7,\"\"],\"k\\n\":{\"raw\":1}}";
    cr_assert_str_eq(buffer_text(&out), wanted);
    cr_assert(!failed(json_read(out.bytes, out.size, nodes, NODES_MAX, &json, &wrong_at)));
}

Test(json_writer, writes_every_character_so_that_it_reads_back)
{
    for (unsigned first = 1; first < 0x110000; first += first < 0x800 ? 1 : 251) {
        if (first >= 0xd800 && first < 0xe000)
            continue;
        OWNED(buffer_free) struct buffer out = BUFFER(64);
        struct json_writer writer = json_writer_over(&out);
        char escaped[32];
        if (first < 0x10000)
            snprintf(escaped, sizeof escaped, "\"\\u%04x\"", first);
        else
            snprintf(escaped, sizeof escaped, "\"\\u%04x\\u%04x\"",
                     0xd800 + ((first - 0x10000) >> 10), 0xdc00 + ((first - 0x10000) & 0x3ff));
        char text[8];
        read_ok(escaped);
        cr_assert(!failed(json_read_text(&json, 0, text, sizeof text, NULL)));
        json_put_text(&writer, text);
        cr_assert(!failed(json_read(out.bytes, out.size, nodes, NODES_MAX, &json, &wrong_at)));
        cr_assert(json_equals(&json, 0, text), "U+%04X", first);
    }
}

Test(json_writer, escapes_control_characters)
{
    OWNED(buffer_free) struct buffer out = BUFFER(64);
    struct json_writer writer = json_writer_over(&out);
    json_put_bytes(&writer, "\0\x01\b\t\n\v\f\r\x1f\x7f", 10);
    cr_assert_str_eq(buffer_text(&out), "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\x7f\"");
}

Test(json_writer, replaces_what_is_no_utf8)
{
    OWNED(buffer_free) struct buffer out = BUFFER(128);
    struct json_writer writer = json_writer_over(&out);
    json_put_bytes(&writer,
                   "a\xff"
                   "b\xe2\x82"
                   "c\xf0\x9f\x98\x80\xc3",
                   11);
    cr_assert_str_eq(buffer_text(&out), "\"a\xef\xbf\xbd"
                                        "b\xef\xbf\xbd\xef\xbf\xbd"
                                        "c\xf0\x9f\x98\x80\xef\xbf\xbd\"");
}

Test(json_writer, nests_as_deep_as_the_reader_reads)
{
    OWNED(buffer_free) struct buffer out = BUFFER(128);
    struct json_writer writer = json_writer_over(&out);
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
        json_begin_array(&writer);
    json_put_int(&writer, 1);
    json_put_int(&writer, 2);
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
        json_end_array(&writer);
    cr_assert(!failed(json_read(out.bytes, out.size, nodes, NODES_MAX, &json, &wrong_at)));
    cr_assert_eq(json.count, JSON_DEPTH_MAX + 2);
}
