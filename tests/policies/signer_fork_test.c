/* SPDX-License-Identifier: Apache-2.0 */
/* A signer that is asked to go back: by the log's owner alone, and with an operator's word. */
#include "tests/policies/signer_kit.h"

TestSuite(signer_fork, .init = make_key, .fini = remove_folder);

/* The tree of the first `size` leaves, as SIGNER_FORK carries it. */
static void offer(uint64_t size)
{
    struct merkle_frontier frontier = {0};
    for (uint64_t i = 0; i < size; i++) {
        uint8_t leaf[MERKLE_HASH_BYTES];
        leaf_of(i, leaf);
        merkle_add(&frontier, leaf);
    }
    merkle_frontier_encode(&frontier, frame_begin(writer, SIGNER_FORK, 11));
    cr_assert(!failed(frame_end(writer)));
    cr_assert(!failed(frame_flush(writer, fd)));
}

static void accept_tree(uint64_t size, uint32_t epoch)
{
    struct merkle_frontier frontier = {0};
    for (uint64_t i = 0; i < size; i++) {
        uint8_t leaf[MERKLE_HASH_BYTES];
        leaf_of(i, leaf);
        merkle_add(&frontier, leaf);
    }
    accepted = (struct epoch_statement){.given = true, .size = size, .epoch = epoch, .by = "me"};
    merkle_root(&frontier, accepted.root);
}

static void sign_seven(void)
{
    start_signer();
    hello();
    send_leaves(0, 7);
    signed_now();
    stop_signer();
}

static void expect_refused(uint64_t size, uint64_t stands_at)
{
    offer(size);
    struct frame frame = next_frame();
    struct cursor cursor = cursor_over(frame.body, frame.size);
    cr_expect_eq(frame.type, SIGNER_REFUSED);
    cr_expect_eq(cursor_u64(&cursor), stands_at);
}

Test(signer_fork, does_not_go_back_whatever_the_owner_of_the_log_asks)
{
    sign_seven();
    accepted = (struct epoch_statement){0};
    start_signer();
    hello();
    expect_refused(4, 7);
    stop_signer();

    accept_tree(4, 2);
    start_signer();
    hello();
    expect_refused(5, 7); /* Not the tree of the statement. */
    accepted.root[3] ^= 1;
    expect_refused(4, 7);
    accept_tree(4, 1);
    expect_refused(4, 7); /* Not a later epoch. */
    stop_signer();
}

Test(signer_fork, goes_on_from_the_tree_that_was_accepted_under_another_origin_and_once)
{
    struct checkpoint last;
    struct note_key own;
    struct epoch_fork fork;
    sign_seven();
    accept_tree(4, 2);
    start_signer();
    hello();
    offer(4);
    for (int start = 0; start < 2; start++) { /* Now, and when it is started again. */
        struct frame frame = next_frame();
        cr_assert(!failed(signer_hello_parse(&frame, &last, &own, &fork)));
        cr_expect_str_eq(last.origin, ORIGIN "/2");
        cr_expect_str_eq(own.name, ORIGIN "/2");
        cr_expect_eq(last.size, 4);
        cr_expect_eq(fork.epoch, 2);
        cr_expect_eq(fork.from_size, 7);
        cr_expect_eq(fork.to_size, 4);
        cr_expect_str_eq(fork.by, "me");
        if (start == 0) {
            expect_refused(4, 4); /* The statement holds once. */
            stop_signer();
            start_signer();
        }
    }
    send_leaves(4, 2);
    send_frame(SIGNER_SIGN, "");
    struct frame frame = next_frame();
    uint32_t epoch = 0;
    cr_assert(!failed(epoch_open(frame.body, frame.size, ORIGIN, &key, &last, &epoch)));
    cr_expect_eq(epoch, 2);
    cr_expect_eq(last.size, 6, "a size that was signed before, under another origin");
    stop_signer();
    accepted = (struct epoch_statement){0};
}
