/* SPDX-License-Identifier: Apache-2.0 */
/* tests/policies/signer_kit.h -- a signer on a thread of its own, and the other end of its socket.
 *
 * In      leaves, requests.
 * Out     its frames, checked.
 * Never   leaves its folder behind.
 * Threads two.
 */
#ifndef TESTS_POLICIES_SIGNER_KIT_H
#define TESTS_POLICIES_SIGNER_KIT_H

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
#include "policies/signer.h"

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

static inline void *run(void *nothing)
{
    (void)nothing;
    ended = signer_run(&options);
    close(options.fd);
    return NULL;
}

static struct epoch_statement accepted; /* Given to the next one that is started. */

static inline void start_signer(void)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fd = ends[0];
    options = (struct signer_options){.origin = ORIGIN,
                                      .key_path = key_path,
                                      .state_path = state_path,
                                      .fd = ends[1],
                                      .accept = &accepted};
    cr_assert(!failed(frame_reader_new(&reader)));
    cr_assert(!failed(frame_writer_new(1u << 20, &writer)));
    cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

/* Why it ended: at the end of its socket unless it gave up before. */
static inline enum why stop_signer(void)
{
    shutdown(fd, SHUT_WR);
    pthread_join(thread, NULL);
    close(fd);
    frame_reader_free(&reader);
    frame_writer_free(&writer);
    return ended.why;
}

static inline struct frame next_frame(void)
{
    struct frame frame = {0};
    struct status status;
    while ((status = frame_reader_next(reader, &frame)).why == WHY_NOT_FOUND)
        cr_assert(!failed(frame_reader_fill(reader, fd)), "the signer has left");
    cr_assert(!failed(status));
    return frame;
}

static inline struct checkpoint hello(void)
{
    struct frame frame = next_frame();
    struct checkpoint last;
    struct note_key own;
    struct epoch_fork fork;
    cr_assert(!failed(signer_hello_parse(&frame, &last, &own, &fork)));
    cr_assert_str_eq(last.origin, ORIGIN);
    cr_assert_eq(memcmp(&own, &key, sizeof key), 0);
    return last;
}

static inline void leaf_of(uint64_t index, uint8_t out[static MERKLE_HASH_BYTES])
{
    merkle_leaf(&index, sizeof index, out);
}

static inline void send_leaves(uint64_t first, unsigned count)
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

static inline void send_frame(uint8_t type, const char *text)
{
    buffer_add_text(frame_begin(writer, type, 9), text);
    cr_assert(!failed(frame_end(writer)));
    cr_assert(!failed(frame_flush(writer, fd)));
}

/* Asks for a signature and opens what comes. */
static inline struct checkpoint signed_now(void)
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

static inline void assert_tree(const struct checkpoint *checkpoint, uint64_t size)
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

static inline int remove_one(const char *path, const struct stat *info, int flag, struct FTW *place)
{
    (void)info;
    (void)flag;
    (void)place;
    return remove(path);
}

static inline void make_key(void)
{
    char error[256] = "";
    cr_assert(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "/tmp/cardkeep-signer-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(key_path, sizeof key_path, "%s/signer.key", folder);
    snprintf(state_path, sizeof state_path, "%s/signer.state", folder);
    cr_assert(!failed(signer_key_create(key_path, ORIGIN, &key, error, sizeof error)), "%s", error);
}

static inline void remove_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
