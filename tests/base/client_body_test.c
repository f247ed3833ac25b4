/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client_body.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

#define BODY_BYTES_MAX 64u
#define OK             "HTTP/1.1 200 OK\r\n"
#define CHUNKED        OK "Transfer-Encoding: chunked\r\n\r\n"

struct answer {
    struct client_head head;
    struct client_body body;
    enum client_read read;
    size_t used;
};

static void answer_begin(struct answer *answer, bool asks_head)
{
    client_head_begin(&answer->head, asks_head, BODY_BYTES_MAX);
    client_body_begin(&answer->body, BODY_BYTES_MAX);
    answer->read = CLIENT_READ_MORE;
    answer->used = 0;
}

static void answer_free(struct answer *answer)
{
    client_head_free(&answer->head);
    client_body_free(&answer->body);
}

static void answer_take(struct answer *answer, const char *bytes, size_t size)
{
    size_t used = 0;
    if (answer->read != CLIENT_READ_MORE || size == 0)
        return;
    answer->read =
        client_body_take(&answer->head, &answer->body, (const uint8_t *)bytes, size, &used);
    answer->used += used;
}

/* Whole, and cut in two at every place: it must not matter. */
static void read_text(struct answer *answer, const char *text, size_t size)
{
    answer_begin(answer, false);
    answer_take(answer, text, size);
    for (size_t cut = 1; cut < size; cut++) {
        struct answer other OWNED(answer_free) = {0};
        answer_begin(&other, false);
        answer_take(&other, text, cut);
        answer_take(&other, text + cut, size - cut);
        cr_expect_eq(other.read, answer->read, "%s at %zu", text, cut);
        if (answer->read == CLIENT_READ_BAD)
            continue;
        cr_expect_eq(other.used, answer->used, "%s at %zu", text, cut);
        cr_expect_eq(other.body.bytes.size, answer->body.bytes.size, "%s at %zu", text, cut);
    }
}

static void expect_answer(const char *text, int status, const char *body, const char *rest)
{
    struct answer answer OWNED(answer_free) = {0};

    read_text(&answer, text, strlen(text));
    cr_expect_eq(answer.read, CLIENT_READ_DONE, "%s: %d", text, (int)answer.read);
    cr_expect_eq(answer.head.status, status, "%s", text);
    cr_expect_str_eq(buffer_text(&answer.body.bytes), body, "%s", text);
    cr_expect_str_eq(text + answer.used, rest, "%s", text);
}

static void expect_bad(const char *text, size_t size)
{
    struct answer answer OWNED(answer_free) = {0};

    read_text(&answer, text, size);
    cr_expect_eq(answer.read, CLIENT_READ_BAD, "%s: %d", text, (int)answer.read);
}

Test(client_body, ends_where_the_head_says_and_leaves_the_rest)
{
    expect_answer(OK "Content-Length: 5\r\n\r\nhelloHTTP/1.1 500", 200, "hello", "HTTP/1.1 500");
    expect_answer(OK "Content-Length: 0\r\n\r\nx", 200, "", "x");
    expect_answer(OK "content-length:5\t \r\n\r\nhello", 200, "hello", "");
    expect_answer(OK "Content-Length: 000000000000000005\r\n\r\nhello", 200, "hello", "");
    expect_answer("HTTP/1.0 200\r\nContent-Length: 1\r\n\r\na", 200, "a", "");
    expect_answer("HTTP/1.1 200\nContent-Length: 1\n\na", 200, "a", "");
    expect_answer("HTTP/1.1 204 Nothing\r\nContent-Length: 5\r\n\r\nhello", 204, "", "hello");
    expect_answer("HTTP/1.1 304 Same\r\nContent-Length: 5000\r\n\r\n", 304, "", "");
    expect_answer("HTTP/1.1 100 On\r\n\r\nHTTP/1.1 103 Hints\r\nContent-Length: 9\r\n\r\n" OK
                  "Content-Length: 2\r\n\r\nhi",
                  200, "hi", "");
}

Test(client_body, takes_chunks_and_drops_what_is_not_the_body)
{
    expect_answer(CHUNKED "5\r\nhello\r\n0\r\n\r\nrest", 200, "hello", "rest");
    expect_answer(CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200, "hello", "");
    expect_answer(CHUNKED "A\r\n0123456789\r\n00\r\n\r\n", 200, "0123456789", "");
    expect_answer(CHUNKED "a\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789", "");
    expect_answer(CHUNKED "0000000000000002\r\nhi\r\n0\r\n\r\n", 200, "hi", "");
    expect_answer(CHUNKED "2;name=\"value\"\r\nhi\r\n0;last\r\n\r\n", 200, "hi", "");
    expect_answer(CHUNKED "2 \t;name\r\nhi\r\n0\r\n\r\n", 200, "hi", "");
    expect_answer(CHUNKED "2  \r\nhi\r\n0\r\n\r\n", 200, "hi", "");
    expect_answer(CHUNKED "2\r\nhi\r\n0\r\nX-One: a\r\nX-Two: b\r\n\r\nrest", 200, "hi", "rest");
    expect_answer(CHUNKED "0\r\n\r\n", 200, "", "");
    expect_answer(OK "transfer-encoding: Chunked\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n", 200, "\r\n", "");
}

Test(client_body, refuses_chunks_that_another_reader_could_end_elsewhere)
{
    static const char *const bad[] = {"\r\nhi\r\n",
                                      "g\r\n",
                                      "-2\r\nhi\r\n",
                                      "+2\r\nhi\r\n",
                                      "0x2\r\nhi\r\n",
                                      " 2\r\nhi\r\n",
                                      "2\nhi\r\n",
                                      "2\r\nhi\n0\r\n",
                                      "2\r\nhi0\r\n",
                                      "2\r\nhix\r\n",
                                      "2 3\r\nhi\r\n",
                                      "2\rx\r\nhi",
                                      "2;a\rb\r\nhi",
                                      "2;a\nhi",
                                      "00000000000000002\r\nhi",
                                      "fffffffffffffffff\r\n",
                                      "ffffffffffffffff\r\n",
                                      "41\r\n",
                                      "0\r\nnone\r\n\r\n",
                                      "0\r\n a: b\r\n\r\n",
                                      "0\r\na: b\rc: d\r\n\r\n",
                                      "0\r\na: b\n\r\n",
                                      "0\r\n\n",
                                      NULL};
    char text[256];

    for (unsigned i = 0; bad[i] != NULL; i++) {
        snprintf(text, sizeof text, CHUNKED "%s", bad[i]);
        expect_bad(text, strlen(text));
    }
    expect_bad(CHUNKED "2;a\0b\r\nhi", sizeof(CHUNKED "2;a\0b\r\nhi") - 1);
}

Test(client_body, refuses_heads_that_are_none_or_have_two_ends)
{
    static const char *const bad[] = {
        "\r\n" OK "\r\n",
        "<html>",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 000 None\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
        OK ": none\r\n\r\n",
        OK "X: a\r\n b\r\n\r\n",
        OK "X: a\rY: b\r\n\r\n",
        OK "X: a\r\r\n\r\n",
        OK "X Y: a\r\n\r\n",
        OK "no colon\r\n\r\n",
        OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK "Content-Length: 5, 5\r\n\r\nhello",
        OK "Content-Length: \r\n\r\n",
        OK "Content-Length: +5\r\n\r\nhello",
        OK "Content-Length: 0x5\r\n\r\nhello",
        OK "Content-Length: 65\r\n\r\n",
        OK "Content-Length: 9999999999999999999\r\n\r\n",
        OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK "Transfer-Encoding: identity\r\n\r\n",
        OK "Transfer-Encoding:\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        NULL};

    for (unsigned i = 0; bad[i] != NULL; i++)
        expect_bad(bad[i], strlen(bad[i]));
    expect_bad(OK "X: a\0b\r\n\r\n", sizeof(OK "X: a\0b\r\n\r\n") - 1);
}

Test(client_body, knows_who_closes)
{
    static const struct {
        const char *head;
        bool closes;
        bool is_old;
    } heads[] = {
        {OK "Connection: close\r\n", true, false},
        {OK "Connection: Keep-Alive , CLOSE\r\n", true, false},
        {OK "Connection: x\r\nconnection: close\r\n", true, false},
        {OK "Connection: keep-alive\r\n", false, false},
        {OK "Connection: closed, unclose\r\n", false, false},
        {OK "Connection: ,,\r\n", false, false},
        {"HTTP/1.0 200 OK\r\n", false, true},
        {"HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n" OK, false, false},
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct answer answer OWNED(answer_free) = {0};
        char text[256];
        snprintf(text, sizeof text, "%sContent-Length: 0\r\n\r\n", heads[i].head);
        read_text(&answer, text, strlen(text));
        cr_expect_eq(answer.read, CLIENT_READ_DONE, "%s", text);
        cr_expect_eq(answer.head.closes, heads[i].closes, "%s", text);
        cr_expect_eq(answer.head.is_old, heads[i].is_old, "%s", text);
    }
}

Test(client_body, goes_on_to_the_end_where_no_length_is_said)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nX: 1\r\n\r\nall of it";
    struct answer answer OWNED(answer_free) = {0};

    read_text(&answer, text, sizeof text - 1);
    cr_expect_eq(answer.read, CLIENT_READ_MORE);
    cr_expect(client_body_ends(&answer.body));
    cr_expect_str_eq(buffer_text(&answer.body.bytes), "all of it");

    static const char *const others[] = {
        "HTTP/1.1 200 OK\r\nX: 1\r\n",   CHUNKED, CHUNKED "2\r\nhi", CHUNKED "2\r\nhi\r\n0\r\n",
        OK "Content-Length: 2\r\n\r\nh", NULL};
    for (unsigned i = 0; others[i] != NULL; i++) {
        struct answer other OWNED(answer_free) = {0};
        read_text(&other, others[i], strlen(others[i]));
        cr_expect_eq(other.read, CLIENT_READ_MORE, "%s", others[i]);
        cr_expect(!client_body_ends(&other.body), "%s", others[i]);
    }
}

Test(client_body, of_an_answer_to_head_has_none)
{
    static const char *const texts[] = {OK "Content-Length: 5000\r\n\r\n", CHUNKED, NULL};

    for (unsigned i = 0; texts[i] != NULL; i++) {
        struct answer answer OWNED(answer_free) = {0};
        answer_begin(&answer, true);
        answer_take(&answer, texts[i], strlen(texts[i]));
        cr_expect_eq(answer.read, CLIENT_READ_DONE, "%s", texts[i]);
        cr_expect_eq(answer.body.bytes.size, 0u);
    }
}

/* So many times, in one answer; what it was read as. */
static enum client_read repeated(const char *before, const char *again, unsigned count,
                                 const char *after)
{
    struct answer answer OWNED(answer_free) = {0};

    answer_begin(&answer, false);
    answer_take(&answer, before, strlen(before));
    for (unsigned i = 0; i < count; i++)
        answer_take(&answer, again, strlen(again));
    answer_take(&answer, after, strlen(after));
    return answer.read;
}

Test(client_body, is_bounded_in_all_that_comes_with_it)
{
    static const char end[] = "Content-Length: 0\r\n\r\n";
    static const char hundred[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static const char ten[] = "xxxxxxxxxx";
    const unsigned heads = CLIENT_HEAD_BYTES_MAX / (sizeof hundred - 1);

    cr_expect_eq(repeated(OK, "X: y\r\n", CLIENT_HEADERS_MAX - 1, end), CLIENT_READ_DONE);
    cr_expect_eq(repeated(OK, "X: y\r\n", CLIENT_HEADERS_MAX, end), CLIENT_READ_BAD);
    cr_expect_eq(repeated(OK "X: ", ten, 6500, "\r\nContent-Length: 0\r\n\r\n"), CLIENT_READ_DONE);
    cr_expect_eq(repeated(OK "X: ", ten, 6554, ""), CLIENT_READ_BAD);
    cr_expect_eq(repeated("", hundred, heads - 4, OK "Content-Length: 0\r\n\r\n"),
                 CLIENT_READ_DONE);
    cr_expect_eq(repeated("", hundred, heads + 1, ""), CLIENT_READ_BAD);
    cr_expect_eq(repeated(CHUNKED "1;", ten, 400, "\r\na\r\n0\r\n\r\n"), CLIENT_READ_DONE);
    cr_expect_eq(repeated(CHUNKED "1;", ten, 410, "\r\na\r\n0\r\n\r\n"), CLIENT_READ_BAD);
    cr_expect_eq(repeated(CHUNKED "0\r\n", "a: xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", 500, "\r\n"),
                 CLIENT_READ_DONE);
    cr_expect_eq(repeated(CHUNKED "0\r\n", "a: xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", 520, "\r\n"),
                 CLIENT_READ_BAD);
    cr_expect_eq(repeated(CHUNKED, "1\r\na\r\n", BODY_BYTES_MAX, "0\r\n\r\n"), CLIENT_READ_DONE);
    cr_expect_eq(repeated(CHUNKED, "1\r\na\r\n", BODY_BYTES_MAX + 1, ""), CLIENT_READ_BAD);
    cr_expect_eq(repeated(OK "\r\n", "a", BODY_BYTES_MAX, ""), CLIENT_READ_MORE);
    cr_expect_eq(repeated(OK "\r\n", "a", BODY_BYTES_MAX + 1, ""), CLIENT_READ_BAD);
}

/* Each chunk says as much beside itself as it may, and all together too much. */
Test(client_body, takes_only_so_much_of_extensions_in_all)
{
    char chunk[2048];

    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "1;", 2);
    memcpy(chunk + 1600, "\r\na\r\n", 6);
    cr_expect_eq(repeated(CHUNKED, chunk, 10, "0\r\n\r\n"), CLIENT_READ_DONE);
    cr_expect_eq(repeated(CHUNKED, chunk, 11, "0\r\n\r\n"), CLIENT_READ_BAD);
}

Test(client_body, is_read_anew_in_the_room_of_another)
{
    struct answer answer OWNED(answer_free) = {0};
    static const char text[] = CHUNKED "5\r\nhello\r\n0\r\n\r\n";
    static const char cut[] = OK "X-Long: which_is_left_behind";

    for (unsigned i = 0; i < 3; i++) {
        answer_begin(&answer, false);
        answer_take(&answer, cut, sizeof cut - 1);
        answer_begin(&answer, false);
        answer_take(&answer, text, sizeof text - 1);
        cr_expect_eq(answer.read, CLIENT_READ_DONE);
        cr_expect_eq(answer.head.field_count, 1u);
        cr_expect_str_eq(buffer_text(&answer.body.bytes), "hello");
        cr_expect_eq(
            memmem(answer.head.line.partial.bytes, answer.head.line.partial.capacity, "behind", 6),
            NULL, "it is wiped");
    }
}
