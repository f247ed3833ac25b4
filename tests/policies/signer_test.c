/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/signer.h"

#include <poll.h>

#include "tests/policies/signer_kit.h"

TestSuite(signer, .init = make_key, .fini = remove_folder);

Test(signer, makes_a_key_that_only_its_owner_can_read)
{
    struct stat info;
    cr_assert_eq(stat(key_path, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0600);
    cr_assert_eq(info.st_size, 65);
    cr_assert_str_eq(key.name, ORIGIN);
}

Test(signer, makes_no_key_over_another)
{
    struct note_key other;
    char error[256] = "";
    cr_assert_eq(signer_key_create(key_path, ORIGIN, &other, error, sizeof error).why,
                 WHY_CONFLICT);
    cr_assert_neq(error[0], '\0');
    start_signer();
    hello(); /* Which compares the key. */
    cr_assert_eq(stop_signer(), WHY_NONE);
}

Test(signer, makes_no_key_for_an_origin_that_is_no_name)
{
    struct note_key other;
    char error[256] = "";
    char path[128];
    snprintf(path, sizeof path, "%s/other.key", folder);
    cr_assert_eq(signer_key_create(path, "two words", &other, error, sizeof error).why,
                 WHY_BAD_INPUT);
    cr_assert_neq(error[0], '\0');
    cr_assert_neq(access(path, F_OK), 0);
}

Test(signer, says_where_it_stands_and_signs_what_it_was_given)
{
    start_signer();
    struct checkpoint at = hello();
    assert_tree(&at, 0);
    at = signed_now();
    assert_tree(&at, 0);
    send_leaves(0, 3);
    at = signed_now();
    assert_tree(&at, 3);
    send_leaves(3, 1);
    send_leaves(4, 600);
    at = signed_now();
    assert_tree(&at, 604);
    cr_assert_eq(stop_signer(), WHY_NONE);
}

Test(signer, remembers_what_it_signed_and_nothing_more)
{
    start_signer();
    hello();
    send_leaves(0, 5);
    signed_now();
    send_leaves(5, 2); /* Never signed. */
    stop_signer();

    start_signer();
    struct checkpoint at = hello();
    assert_tree(&at, 5);
    send_leaves(5, 4);
    at = signed_now();
    assert_tree(&at, 9);
    stop_signer();
}

Test(signer, refuses_leaves_that_do_not_go_on_where_it_stands)
{
    static const uint64_t firsts[] = {0, 4, 6, UINT64_MAX};
    start_signer();
    hello();
    send_leaves(0, 5);
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        send_leaves(firsts[i], 2);
        struct frame frame = next_frame();
        struct cursor cursor = cursor_over(frame.body, frame.size);
        cr_assert_eq(frame.type, SIGNER_REFUSED);
        cr_assert_eq(frame.id, 7);
        cr_assert_eq(cursor_u64(&cursor), 5);
        cr_assert(cursor_done(&cursor));
    }
    struct checkpoint at = signed_now();
    assert_tree(&at, 5);
    stop_signer();
}

Test(signer, releases_no_signature_that_it_could_not_remember)
{
    start_signer();
    hello();
    send_leaves(0, 1);
    cr_assert_eq(mkdir(state_path, 0700), 0); /* No file can take this name. */
    send_frame(SIGNER_SIGN, "");
    pthread_join(thread, NULL);
    cr_assert_eq(ended.why, WHY_IO);
    struct frame frame;
    while (!failed(frame_reader_fill(reader, fd)))
        ;
    cr_assert_eq(frame_reader_next(reader, &frame).why, WHY_NOT_FOUND, "nothing came");
    close(fd);
    frame_reader_free(&reader);
    frame_writer_free(&writer);
}

/* Its owner dies whenever it likes, and no error is made of that. */
static enum why why_left_alone(bool owner_hears)
{
    struct pollfd heard = {.events = POLLIN};
    start_signer();
    heard.fd = fd;
    if (owner_hears)
        cr_assert_eq(poll(&heard, 1, 20000), 1);
    else
        cr_assert_eq(shutdown(fd, SHUT_RD), 0);
    close(fd);
    pthread_join(thread, NULL);
    frame_reader_free(&reader);
    frame_writer_free(&writer);
    return ended.why;
}

Test(signer, ends_in_order_with_an_owner_that_left_its_words_unread)
{
    cr_expect_eq(why_left_alone(true), WHY_NONE);
    cr_expect_eq(why_left_alone(false), WHY_NONE);
}

/* Sends one frame that no log owner sends. */
static enum why why_given_up(uint8_t type, const char *text)
{
    start_signer();
    hello();
    send_frame(type, text);
    return stop_signer();
}

Test(signer, gives_up_a_peer_that_speaks_otherwise)
{
    cr_expect_eq(why_given_up(SIGNER_HELLO, ""), WHY_FORGED);
    cr_expect_eq(why_given_up(SIGNER_CHECKPOINT, "x"), WHY_FORGED);
    cr_expect_eq(why_given_up(0, ""), WHY_FORGED);
    cr_expect_eq(why_given_up(255, ""), WHY_FORGED);
    cr_expect_eq(why_given_up(SIGNER_SIGN, "x"), WHY_FORGED);
    cr_expect_eq(why_given_up(SIGNER_LEAVES, ""), WHY_FORGED);
    cr_expect_eq(why_given_up(SIGNER_LEAVES, "1234567"), WHY_FORGED);
    cr_expect_eq(why_given_up(SIGNER_LEAVES, "12345678 not a hash"), WHY_FORGED);
}

static enum why why_not_started(void)
{
    start_signer();
    pthread_join(thread, NULL);
    close(fd);
    frame_reader_free(&reader);
    frame_writer_free(&writer);
    return ended.why;
}

Test(signer, does_not_start_with_any_bit_of_its_memory_changed)
{
    uint8_t bytes[4096];
    start_signer();
    hello();
    send_leaves(0, 3);
    signed_now();
    stop_signer();

    int file = open(state_path, O_RDWR | O_CLOEXEC);
    ssize_t size = read(file, bytes, sizeof bytes);
    cr_assert_gt(size, 32);
    for (ssize_t at = 0; at < size; at++) {
        uint8_t changed = bytes[at] ^ (uint8_t)(1u << at % 8);
        cr_assert_eq(pwrite(file, &changed, 1, at), 1);
        cr_expect_eq(why_not_started(), WHY_FORGED, "byte %zd", at);
        cr_assert_eq(pwrite(file, &bytes[at], 1, at), 1);
    }
    cr_assert_eq(ftruncate(file, size - 1), 0);
    cr_expect_eq(why_not_started(), WHY_FORGED);
    cr_assert_eq(ftruncate(file, 0), 0);
    cr_expect_eq(why_not_started(), WHY_FORGED);
    close(file);
}

Test(signer, does_not_start_without_its_key)
{
    cr_assert_eq(unlink(key_path), 0);
    cr_assert_eq(why_not_started(), WHY_NOT_FOUND);
}

Test(signer, does_not_start_with_a_key_that_others_can_read)
{
    cr_assert_eq(chmod(key_path, 0640), 0);
    cr_assert_eq(why_not_started(), WHY_DENIED);
}

Test(signer, does_not_start_with_a_key_that_is_a_link)
{
    char other[128];
    snprintf(other, sizeof other, "%s.moved", key_path);
    cr_assert_eq(rename(key_path, other), 0);
    cr_assert_eq(symlink(other, key_path), 0);
    cr_assert_eq(why_not_started(), WHY_IO);
}

Test(signer, does_not_start_with_a_key_that_is_none)
{
    int file = open(key_path, O_RDWR | O_CLOEXEC);
    cr_assert_eq(pwrite(file, "g", 1, 5), 1);
    cr_expect_eq(why_not_started(), WHY_FORGED);
    cr_assert_eq(pwrite(file, "0", 1, 5), 1);
    cr_assert_eq(pwrite(file, "0", 1, 64), 1);
    cr_expect_eq(why_not_started(), WHY_FORGED, "a digit in the place of the line feed");
    cr_assert_eq(ftruncate(file, 63), 0);
    cr_expect_eq(why_not_started(), WHY_FORGED);
    close(file);
}

Test(signer, starts_with_a_key_without_a_line_feed)
{
    cr_assert_eq(truncate(key_path, 64), 0);
    start_signer();
    hello();
    cr_assert_eq(stop_signer(), WHY_NONE);
}

Test(signer, does_not_go_on_under_another_origin_than_it_signed_for)
{
    start_signer();
    hello();
    signed_now();
    stop_signer();
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct signer_options other = options;
    other.origin = "vault.example/audit/test-2";
    other.fd = ends[1];
    cr_assert_eq(signer_run(&other).why, WHY_FORGED);
}

Test(signer, hello_is_refused_with_any_byte_missing_or_added)
{
    OWNED(buffer_free) struct buffer body = BUFFER(4096);
    struct checkpoint last;
    struct note_key own;
    struct epoch_fork fork;

    start_signer();
    hello();
    send_leaves(0, 3);
    signed_now();
    stop_signer();
    start_signer();
    struct frame frame = next_frame();
    buffer_add(&body, frame.body, frame.size);
    frame.body = body.bytes;
    for (uint32_t size = 0; size < body.size; size++) {
        frame.size = size;
        cr_expect_eq(signer_hello_parse(&frame, &last, &own, &fork).why, WHY_BAD_INPUT, "%u", size);
    }
    frame.size = (uint32_t)body.size;
    cr_expect(!failed(signer_hello_parse(&frame, &last, &own, &fork)));
    buffer_add_u8(&body, 0);
    frame.body = body.bytes;
    frame.size = (uint32_t)body.size;
    cr_expect_eq(signer_hello_parse(&frame, &last, &own, &fork).why, WHY_BAD_INPUT);
    frame.type = SIGNER_CHECKPOINT;
    cr_expect_eq(signer_hello_parse(&frame, &last, &own, &fork).why, WHY_BAD_INPUT);
    stop_signer();
}
