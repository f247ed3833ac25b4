/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/signer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

#define ORIGIN "vault.example/audit/test-1"

static char folder[64];
static char key_path[96];
static char state_path[96];
static struct note_key key;

/* A signer on a thread of its own, and our end of its socket. */
static struct signer_options options;
static pthread_t thread;
static struct status ended; /* Once joined. */
static int fd = -1;
static struct frame_reader *reader;
static struct frame_writer *writer;

static void *run(void *nothing)
{
    (void)nothing;
    ended = signer_run(&options);
    close(options.fd);
    return NULL;
}

static void start_signer(void)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fd = ends[0];
    options = (struct signer_options){
        .origin = ORIGIN, .key_path = key_path, .state_path = state_path, .fd = ends[1]};
    cr_assert(!failed(frame_reader_new(&reader)));
    cr_assert(!failed(frame_writer_new(1u << 20, &writer)));
    cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

/* Why it ended: at the end of its socket unless it gave up before. */
static enum why stop_signer(void)
{
    shutdown(fd, SHUT_WR);
    pthread_join(thread, NULL);
    close(fd);
    frame_reader_free(&reader);
    frame_writer_free(&writer);
    return ended.why;
}

static struct frame next_frame(void)
{
    struct frame frame = {0};
    struct status status;
    while ((status = frame_reader_next(reader, &frame)).why == WHY_NOT_FOUND)
        cr_assert(!failed(frame_reader_fill(reader, fd)), "the signer has left");
    cr_assert(!failed(status));
    return frame;
}

static struct checkpoint hello(void)
{
    struct frame frame = next_frame();
    struct checkpoint last;
    struct note_key own;
    cr_assert(!failed(signer_hello_parse(&frame, &last, &own)));
    cr_assert_str_eq(last.origin, ORIGIN);
    cr_assert_eq(memcmp(&own, &key, sizeof key), 0);
    return last;
}

static void leaf_of(uint64_t index, uint8_t out[static MERKLE_HASH_BYTES])
{
    merkle_leaf(&index, sizeof index, out);
}

static void send_leaves(uint64_t first, unsigned count)
{
    struct buffer *body = frame_begin(writer, SIGNER_LEAVES, 7);
    buffer_add_u64(body, first);
    for (unsigned i = 0; i < count; i++) {
        uint8_t leaf[MERKLE_HASH_BYTES];
        leaf_of(first + i, leaf);
        buffer_add(body, leaf, sizeof leaf);
    }
    cr_assert(!failed(frame_end(writer)));
    cr_assert(!failed(frame_flush(writer, fd)));
}

static void send_frame(uint8_t type, const char *text)
{
    buffer_add_text(frame_begin(writer, type, 9), text);
    cr_assert(!failed(frame_end(writer)));
    cr_assert(!failed(frame_flush(writer, fd)));
}

/* Asks for a signature and opens what comes. */
static struct checkpoint signed_now(void)
{
    const char *text = NULL;
    size_t size = 0;
    struct checkpoint checkpoint;

    send_frame(SIGNER_SIGN, "");
    struct frame frame = next_frame();
    cr_assert_eq(frame.type, SIGNER_CHECKPOINT);
    cr_assert_eq(frame.id, 9, "an answer carries its question's id");
    cr_assert(!failed(note_open(frame.body, frame.size, &key, 1, &text, &size)));
    cr_assert(!failed(checkpoint_parse(text, size, &checkpoint)));
    cr_assert_str_eq(checkpoint.origin, ORIGIN);
    return checkpoint;
}

static void assert_tree(const struct checkpoint *checkpoint, uint64_t size)
{
    struct merkle_frontier frontier = {0};
    uint8_t value[MERKLE_HASH_BYTES];
    for (uint64_t i = 0; i < size; i++) {
        leaf_of(i, value);
        merkle_add(&frontier, value);
    }
    merkle_root(&frontier, value);
    cr_assert_eq(checkpoint->size, size);
    cr_assert_arr_eq(checkpoint->root, value, sizeof value);
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *place)
{
    (void)info;
    (void)flag;
    (void)place;
    return remove(path);
}

static void make_key(void)
{
    char error[256] = "";
    cr_assert(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "/tmp/cardkeep-signer-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(key_path, sizeof key_path, "%s/signer.key", folder);
    snprintf(state_path, sizeof state_path, "%s/signer.state", folder);
    cr_assert(!failed(signer_key_create(key_path, ORIGIN, &key, error, sizeof error)), "%s", error);
}

static void remove_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

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
        cr_expect_eq(signer_hello_parse(&frame, &last, &own).why, WHY_BAD_INPUT, "%u", size);
    }
    frame.size = (uint32_t)body.size;
    cr_expect(!failed(signer_hello_parse(&frame, &last, &own)));
    buffer_add_u8(&body, 0);
    frame.body = body.bytes;
    frame.size = (uint32_t)body.size;
    cr_expect_eq(signer_hello_parse(&frame, &last, &own).why, WHY_BAD_INPUT);
    frame.type = SIGNER_CHECKPOINT;
    cr_expect_eq(signer_hello_parse(&frame, &last, &own).why, WHY_BAD_INPUT);
    stop_signer();
}
