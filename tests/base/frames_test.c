/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/frames.h"
#include "base/own.h"

/* Stands in for libc's, to see how often it is called and what is left where it sent from. */
static unsigned send_count;
static const uint8_t *sent_from;

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    send_count++;
    sent_from = bytes;
    return sendto(fd, bytes, size, flags, NULL, 0);
}

static struct frame_reader *reader;
static struct frame_writer *writer;
static int ends[2];

static void open_pair(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert(!failed(frame_reader_new(&reader)));
    cr_assert(!failed(frame_writer_new(16u << 20, &writer)));
}

static void close_pair(void)
{
    frame_reader_free(&reader);
    frame_writer_free(&writer);
    close(ends[0]);
    close(ends[1]);
}

static enum why queue(uint8_t type, uint64_t id, const void *body, size_t size)
{
    struct buffer *buffer = frame_begin(writer, type, id);
    buffer_add(buffer, body, size);
    return frame_end(writer).why;
}

static enum why next_why(void)
{
    struct frame frame;
    return frame_reader_next(reader, &frame).why;
}

TestSuite(frames, .init = open_pair, .fini = close_pair);

Test(frames, arrive_whole_and_in_order_from_one_send)
{
    struct frame frame;
    cr_assert_eq(queue(7, 0x0102030405060708u, "abc", 3), WHY_NONE);
    cr_assert_eq(queue(255, UINT64_MAX, "", 0), WHY_NONE);
    cr_assert_eq(queue(0, 0, "\0\1", 2), WHY_NONE);
    cr_assert_eq(frame_writer_waiting(writer), 3 * FRAME_HEAD_BYTES + 5);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert_eq(frame_writer_waiting(writer), 0u);
    cr_assert_eq(send_count, 1u);
    cr_assert(!failed(frame_reader_fill(reader, ends[1])));
    cr_assert_eq(frame_reader_fill(reader, ends[1]).why, WHY_BUSY, "one read took them all");

    cr_assert(!failed(frame_reader_next(reader, &frame)));
    cr_assert_eq(frame.type, 7u);
    cr_assert_eq(frame.id, 0x0102030405060708u);
    cr_assert_eq(frame.size, 3u);
    cr_assert_arr_eq(frame.body, "abc", 3);
    cr_assert(!failed(frame_reader_next(reader, &frame)));
    cr_assert_eq(frame.type, 255u);
    cr_assert_eq(frame.id, UINT64_MAX);
    cr_assert_eq(frame.size, 0u);
    cr_assert(!failed(frame_reader_next(reader, &frame)));
    cr_assert_arr_eq(frame.body, "\0\1", 2);
    cr_assert_eq(next_why(), WHY_NOT_FOUND);
}

Test(frames, are_on_the_wire_as_the_header_says)
{
    static const uint8_t wanted[] = {0, 0, 0, 14, 1, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 'h', 'i'};
    uint8_t got[64];
    cr_assert_eq(queue(9, 0x0102030405060708u, "hi", 2), WHY_NONE);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert_eq(recv(ends[1], got, sizeof got, 0), (ssize_t)sizeof wanted);
    cr_assert_arr_eq(got, wanted, sizeof wanted);
}

Test(frames, come_out_the_same_however_the_stream_is_cut)
{
    static const uint8_t wire[] = {0,   0, 0, 15, 1,  3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 'o', 'n',
                                   'e', 0, 0, 0,  12, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
    for (size_t cut = 0; cut <= sizeof wire; cut++) {
        unsigned count = 0;
        struct frame frame;
        for (unsigned part = 0; part < 2; part++) {
            const uint8_t *from = part == 0 ? wire : wire + cut;
            cr_assert(
                !failed(frame_reader_feed(reader, from, part == 0 ? cut : sizeof wire - cut)));
            while (!failed(frame_reader_next(reader, &frame))) {
                cr_assert_eq(frame.type, 3 + count);
                cr_assert_eq(frame.id, 4 + count);
                cr_assert_eq(frame.size, count == 0 ? 3u : 0u);
                count++;
            }
            cr_assert_eq(next_why(), WHY_NOT_FOUND);
        }
        cr_assert_eq(count, 2u, "cut at %zu", cut);
    }
}

Test(frames, cannot_be_a_peers_when_a_head_is_wrong)
{
    static const uint8_t sound[] = {0, 0, 0, 14, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 'o', 'k'};
    for (unsigned bit = 0; bit < 8 * FRAME_HEAD_BYTES; bit++) {
        uint8_t wire[sizeof sound];
        memcpy(wire, sound, sizeof sound);
        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
        unsigned byte = bit / 8;
        uint32_t rest =
            (uint32_t)wire[0] << 24 | (uint32_t)wire[1] << 16 | (uint32_t)wire[2] << 8 | wire[3];
        bool in_bounds = rest >= 12 && rest <= 12 + FRAME_BODY_BYTES_MAX;
        enum why wanted = WHY_NONE; /* Type and id are the caller's to judge. */
        if (byte < 4)
            wanted = !in_bounds ? WHY_FORGED : rest > 14 ? WHY_NOT_FOUND : WHY_NONE;
        else if (byte == 4 || byte == 6 || byte == 7)
            wanted = WHY_FORGED;
        frame_reader_free(&reader);
        cr_assert(!failed(frame_reader_new(&reader)));
        cr_assert(!failed(frame_reader_feed(reader, wire, sizeof wire)));
        cr_expect_eq(next_why(), wanted, "bit %u", bit);
        if (wanted == WHY_FORGED)
            cr_expect_eq(next_why(), WHY_FORGED, "a stream gone wrong stays so");
    }
}

Test(frames, of_the_largest_size_pass_and_larger_ones_do_not)
{
    struct frame frame;
    uint8_t *body = calloc(1, FRAME_BODY_BYTES_MAX + 1);
    body[0] = 1;
    body[FRAME_BODY_BYTES_MAX - 1] = 2;
    cr_assert_eq(queue(1, 1, body, FRAME_BODY_BYTES_MAX + 1), WHY_LIMIT);
    cr_assert_eq(frame_writer_waiting(writer), 0u);
    cr_assert_eq(queue(2, 2, body, FRAME_BODY_BYTES_MAX), WHY_NONE);
    cr_assert_eq(queue(3, 3, "next", 4), WHY_NONE);
    unsigned count = 0;
    for (unsigned round = 0; count < 2 && round < 10000; round++) {
        enum why why = frame_flush(writer, ends[0]).why;
        cr_assert(why == WHY_NONE || why == WHY_BUSY);
        while (!failed(frame_reader_fill(reader, ends[1]))) {
            while (!failed(frame_reader_next(reader, &frame))) {
                count++;
                cr_assert_eq(frame.size, count == 1 ? FRAME_BODY_BYTES_MAX : 4u);
                cr_assert(count > 1 || memcmp(frame.body, body, frame.size) == 0);
            }
        }
    }
    cr_assert_eq(count, 2u);
    free(body);
}

Test(frames, that_do_not_fit_are_taken_back_whole)
{
    struct frame frame;
    frame_writer_free(&writer);
    cr_assert(!failed(frame_writer_new(100, &writer)));
    static const uint8_t body[100];
    cr_assert_eq(queue(1, 1, body, 60), WHY_NONE); /* 76 of 100. */
    cr_assert_eq(queue(2, 2, body, 9), WHY_BUSY);
    cr_assert_eq(queue(3, 3, body, 85), WHY_LIMIT, "no waiting makes room for this one");
    cr_assert_eq(frame_writer_waiting(writer), 76u);
    cr_assert_eq(queue(4, 4, body, 8), WHY_NONE);
    cr_assert_eq(queue(5, 5, body, 0), WHY_BUSY);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert_eq(queue(6, 6, body, 84), WHY_NONE);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert(!failed(frame_reader_fill(reader, ends[1])));
    static const uint64_t wanted[] = {1, 4, 6};
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(!failed(frame_reader_next(reader, &frame)));
        cr_assert_eq(frame.id, wanted[i]);
    }
    cr_assert_eq(next_why(), WHY_NOT_FOUND);
}

Test(frames, that_are_dropped_leave_no_trace)
{
    cr_assert_eq(queue(1, 1, "kept", 4), WHY_NONE);
    size_t waiting = frame_writer_waiting(writer);
    buffer_add(frame_begin(writer, 2, 2), "dropped", 7);
    frame_drop(writer);
    cr_expect_eq(frame_writer_waiting(writer), waiting);
    cr_expect_eq(queue(3, 3, "next", 4), WHY_NONE, "the next one begins anew");
    cr_expect_eq(frame_writer_waiting(writer), 2 * waiting);
}

Test(frames, stay_sound_when_an_author_spoils_or_clears_the_lent_buffer)
{
    struct frame frame;
    cr_assert_eq(queue(1, 1, "first", 5), WHY_NONE);
    struct buffer *body = frame_begin(writer, 2, 2);
    buffer_add_text(body, "draft");
    buffer_clear(body);
    buffer_add_text(body, "final");
    cr_assert(!failed(frame_end(writer)));
    body = frame_begin(writer, 3, 3);
    cr_assert(buffer_extend(body, FRAME_BODY_BYTES_MAX + 1) == NULL);
    cr_assert_eq(frame_end(writer).why, WHY_LIMIT);
    cr_assert_eq(queue(4, 4, "last", 4), WHY_NONE);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert(!failed(frame_reader_fill(reader, ends[1])));
    static const char *const wanted[] = {"first", "final", "last"};
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(!failed(frame_reader_next(reader, &frame)));
        cr_assert_eq(frame.size, strlen(wanted[i]));
        cr_assert_arr_eq(frame.body, wanted[i], frame.size);
    }
}

Test(frames, wait_for_a_full_socket_and_lose_nothing)
{
    struct frame frame;
    static uint8_t body[3000];
    uint64_t queued = 0;
    uint64_t got = 0;
    bool was_busy = false;
    while (got < 2000) {
        while (queued < 2000) {
            memset(body, (int)(queued % 251), sizeof body);
            enum why why = queue(1, queued, body, 100 + queued % 2900);
            if (why == WHY_BUSY)
                break;
            cr_assert_eq(why, WHY_NONE);
            queued++;
        }
        enum why why = frame_flush(writer, ends[0]).why;
        cr_assert(why == WHY_NONE || why == WHY_BUSY);
        was_busy = was_busy || why == WHY_BUSY;
        cr_assert(!failed(frame_reader_fill(reader, ends[1])));
        while (!failed(frame_reader_next(reader, &frame))) {
            cr_assert_eq(frame.id, got);
            cr_assert_eq(frame.size, 100 + got % 2900);
            cr_assert_eq(frame.body[0], got % 251);
            cr_assert_eq(frame.body[frame.size - 1], got % 251);
            got++;
        }
    }
    cr_assert(was_busy, "the socket was full at least once");
}

static void *drain(void *unused)
{
    (void)unused;
    static uint8_t bytes[4096];
    size_t total = 0;
    while (total < (1u << 20) + FRAME_HEAD_BYTES) {
        ssize_t got = recv(ends[1], bytes, sizeof bytes, 0);
        if (got <= 0)
            break;
        total += (size_t)got;
    }
    return (void *)(uintptr_t)total;
}

Test(frames, are_all_sent_by_one_flush_on_a_blocking_socket)
{
    pthread_t thread;
    void *total = NULL;
    cr_assert_eq(fcntl(ends[0], F_SETFL, 0), 0);
    cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0);
    uint8_t *body = calloc(1, 1u << 20);
    cr_assert_eq(queue(1, 1, body, 1u << 20), WHY_NONE);
    cr_assert_eq(pthread_create(&thread, NULL, drain, NULL), 0);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert_eq(frame_writer_waiting(writer), 0u);
    cr_assert_eq(pthread_join(thread, &total), 0);
    cr_assert_eq((uintptr_t)total, (1u << 20) + FRAME_HEAD_BYTES);
    free(body);
}

Test(frames, end_with_their_peer)
{
    cr_assert_eq(frame_reader_fill(reader, ends[1]).why, WHY_BUSY);
    cr_assert_eq(send(ends[0], "\0\0\0\14\1", 5, 0), 5);
    cr_assert_eq(shutdown(ends[0], SHUT_WR), 0);
    cr_assert(!failed(frame_reader_fill(reader, ends[1])));
    cr_assert_eq(next_why(), WHY_NOT_FOUND);
    cr_assert_eq(frame_reader_fill(reader, ends[1]).why, WHY_NOT_FOUND, "half a frame is no frame");
    close(ends[1]);
    cr_assert_eq(queue(1, 1, "x", 1), WHY_NONE);
    cr_assert_eq(frame_flush(writer, ends[0]).why, WHY_NOT_FOUND, "and no signal");
    ends[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(frame_reader_fill(reader, ends[1]).why, WHY_IO, "no socket");
}

Test(frames, end_with_a_peer_that_left_some_of_them_unread)
{
    cr_assert_eq(send(ends[0], "x", 1, 0), 1);
    cr_assert_eq(send(ends[1], "y", 1, 0), 1);
    close(ends[1]);
    cr_assert(!failed(frame_reader_fill(reader, ends[0])), "what came before");
    cr_assert_eq(frame_reader_fill(reader, ends[0]).why, WHY_NOT_FOUND);
    ends[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

Test(frames, wait_to_be_taken_only_up_to_a_bound)
{
    uint8_t *bytes = calloc(1, FRAME_BODY_BYTES_MAX);
    cr_assert(!failed(frame_reader_feed(reader, bytes, FRAME_BODY_BYTES_MAX)));
    cr_assert(!failed(frame_reader_feed(reader, bytes, FRAME_HEAD_BYTES)));
    cr_assert_eq(frame_reader_feed(reader, bytes, 1).why, WHY_LIMIT);
    cr_assert_eq(send(ends[0], "x", 1, 0), 1);
    cr_assert_eq(frame_reader_fill(reader, ends[1]).why, WHY_LIMIT);
    free(bytes);
}

Test(frames, are_wiped_once_read_past)
{
    struct frame frame;
    static const uint8_t zeros[FRAME_HEAD_BYTES + 6];
    cr_assert_eq(queue(1, 1, "secret", 6), WHY_NONE);
    cr_assert_eq(queue(2, 2, "behind", 6), WHY_NONE);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert(!failed(frame_reader_fill(reader, ends[1])));
    cr_assert(!failed(frame_reader_next(reader, &frame)));
    const uint8_t *first = frame.body; /* Stays within the reader's buffer, which does not move. */
    cr_assert_arr_eq(first, "secret", 6);
    cr_assert(!failed(frame_reader_next(reader, &frame)));
    cr_assert_arr_eq(first - FRAME_HEAD_BYTES, zeros, sizeof zeros);
    const uint8_t *second = frame.body;
    cr_assert_eq(next_why(), WHY_NOT_FOUND);
    cr_assert_arr_eq(second - FRAME_HEAD_BYTES, zeros, sizeof zeros);
}

Test(frames, are_wiped_once_sent_or_taken_back)
{
    static const uint8_t zeros[6];
    struct buffer *body = frame_begin(writer, 1, 1);
    buffer_add_text(body, "secret");
    const uint8_t *bytes = body->bytes;
    cr_assert(!failed(frame_end(writer)));
    cr_assert_arr_eq(bytes, zeros, 6);
    cr_assert(!failed(frame_flush(writer, ends[0])));
    cr_assert_arr_eq(sent_from + FRAME_HEAD_BYTES, zeros, 6);
    body = frame_begin(writer, 1, 1);
    buffer_add_text(body, "secret");
    cr_assert(buffer_extend(body, FRAME_BODY_BYTES_MAX) == NULL);
    cr_assert(failed(frame_end(writer)));
    cr_assert_arr_eq(bytes, zeros, 6);
}

Test(frames, readers_and_writers_may_be_freed_twice)
{
    frame_reader_free(&reader);
    frame_writer_free(&writer);
    cr_assert(reader == NULL);
    cr_assert(writer == NULL);
    frame_reader_free(&reader);
    frame_writer_free(&writer);
}
