/* SPDX-License-Identifier: Apache-2.0 */
/* One signing key follows another, with the signer dying wherever it can. */
#include "policies/signer.h"

#include "tests/policies/signer_kit.h"

static char next_path[128];
static int old_inode = -1; /* The first seed's bytes, whatever name they have by now. */

static void make(void)
{
    make_key();
    snprintf(next_path, sizeof next_path, "%s.next", key_path);
    old_inode = open(key_path, O_RDONLY);
    cr_assert_geq(old_inode, 0);
}

static void drop(void)
{
    close(old_inode);
    remove_folder();
}

TestSuite(signer_keys, .init = make, .fini = drop, .timeout = 20);

static struct signer_keys step(enum signer_step step, uint64_t size)
{
    struct signer_keys keys;

    cr_assert(!failed(signer_keys_ask(writer, step, size)));
    cr_assert(!failed(frame_flush(writer, fd)));
    struct frame frame = next_frame();
    cr_assert(!failed(signer_keys_parse(&frame, &keys)));
    return keys;
}

/* The step ends the signer. */
static void step_ends(enum signer_step step, uint64_t size)
{
    cr_assert(!failed(signer_keys_ask(writer, step, size)));
    cr_assert(!failed(frame_flush(writer, fd)));
    cr_expect_eq(stop_signer(), WHY_FORGED, "step %d", (int)step);
}

static void begin(void)
{
    start_signer();
    struct frame frame = next_frame();
    cr_assert_eq(frame.type, SIGNER_HELLO);
}

/* Who has signed the next note: bit 0 the first key, bit 1 the second. */
static unsigned signers_now(const struct signer_keys *keys)
{
    const struct note_key *const both[] = {&key, &keys->succession.to};
    const char *text = NULL;
    size_t size = 0;
    unsigned found = 0;

    send_frame(SIGNER_SIGN, "");
    struct frame frame = next_frame();
    cr_assert_eq(frame.type, SIGNER_CHECKPOINT);
    for (unsigned i = 0; i < 2; i++) {
        if (!note_names(frame.body, frame.size, both[i]))
            continue;
        cr_expect(!failed(note_open(frame.body, frame.size, both[i], 1, &text, &size)));
        found |= 1u << i;
    }
    return found;
}

/* What the first seed's bytes are now. */
static bool is_wiped(void)
{
    char bytes[65] = "";
    static const char zeros[65];

    cr_assert_eq(pread(old_inode, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    return memcmp(bytes, zeros, sizeof bytes) == 0;
}

static struct signer_keys overlap(void)
{
    begin();
    send_leaves(0, 3);
    signed_now();
    (void)step(SIGNER_STEP_MAKE, 0);
    return step(SIGNER_STEP_OVERLAP, 3);
}

Test(signer_keys, say_how_things_stand)
{
    struct stat info;

    begin();
    struct signer_keys keys = step(SIGNER_STEP_ASK, 0);
    cr_expect(!keys.has_next && !keys.both);
    cr_expect_eq(memcmp(&keys.succession.from, &key, sizeof key), 0);
    cr_assert_eq(stat(key_path, &info), 0);
    cr_expect_eq(keys.since_ms, (int64_t)info.st_mtim.tv_sec * 1000);
    cr_expect_eq(stop_signer(), WHY_NONE);
}

Test(signer_keys, make_a_next_one_once_which_the_first_names_and_which_signs_nothing)
{
    struct stat info;

    begin();
    struct signer_keys made = step(SIGNER_STEP_MAKE, 0);
    cr_assert(made.has_next && !made.both);
    cr_expect(succession_holds(&made.succession));
    cr_expect_neq(memcmp(made.succession.to.public_key, key.public_key, 32), 0);
    cr_assert_eq(stat(next_path, &info), 0);
    cr_expect_eq(info.st_mode & 07777, 0600);
    cr_expect_eq(signers_now(&made), 1);
    struct signer_keys again = step(SIGNER_STEP_MAKE, 0);
    cr_expect_eq(memcmp(&again, &made, sizeof made), 0);
    cr_expect_eq(stop_signer(), WHY_NONE);
    begin(); /* Another process knows it, too. */
    again = step(SIGNER_STEP_MAKE, 0);
    cr_expect_eq(memcmp(&again.succession, &made.succession, sizeof made.succession), 0);
    cr_expect_eq(stop_signer(), WHY_NONE);
}

Test(signer_keys, sign_both_from_the_overlap_on_across_a_restart)
{
    struct signer_keys keys = overlap();
    cr_expect(keys.both);
    cr_expect_eq(signers_now(&keys), 3);
    keys = step(SIGNER_STEP_OVERLAP, 3);
    cr_expect(keys.both, "asked again by who does not know");
    stop_signer();
    begin();
    keys = step(SIGNER_STEP_ASK, 0);
    cr_expect(keys.both);
    send_leaves(3, 1);
    cr_expect_eq(signers_now(&keys), 3);
    cr_expect(!is_wiped());
    stop_signer();
}

Test(signer_keys, begin_no_overlap_before_what_names_the_next_is_signed)
{
    begin();
    step_ends(SIGNER_STEP_OVERLAP, 0); /* There is no next one. */
    begin();
    (void)step(SIGNER_STEP_MAKE, 0);
    step_ends(SIGNER_STEP_OVERLAP, 0); /* Nothing was signed. */
    begin();
    send_leaves(0, 3);
    signed_now();
    step_ends(SIGNER_STEP_OVERLAP, 4);
    begin();
    step_ends(SIGNER_STEP_RETIRE, 0); /* No overlap, no retirement. */
    cr_expect(!is_wiped());
}

Test(signer_keys, leave_the_second_alone_and_nothing_of_the_first)
{
    struct stat info;
    struct signer_keys keys = overlap();
    struct signer_keys after = step(SIGNER_STEP_RETIRE, 0);

    cr_expect(!after.has_next && !after.both);
    cr_expect_eq(memcmp(after.succession.from.public_key, keys.succession.to.public_key, 32), 0);
    cr_expect(is_wiped());
    cr_expect_neq(access(next_path, F_OK), 0);
    cr_assert_eq(stat(key_path, &info), 0);
    cr_expect_eq(info.st_mode & 07777, 0600);
    cr_expect_eq(signers_now(&keys), 2);
    cr_expect_eq(stop_signer(), WHY_NONE);
    begin();
    cr_expect_eq(signers_now(&keys), 2);
    struct signer_keys third = step(SIGNER_STEP_MAKE, 0);
    cr_expect_neq(memcmp(third.succession.to.public_key, after.succession.from.public_key, 32), 0);
    stop_signer();
}

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    int in = open(from, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t size = read(in, bytes, sizeof bytes);

    cr_assert_gt(size, 0);
    cr_assert_eq(write(out, bytes, (size_t)size), size);
    close(in);
    close(out);
}

/* The retirement's steps: remembered, wiped, renamed, forgotten.  Each place it can stop at is made
 * by hand out of the files before and after. */
Test(signer_keys, end_a_retirement_that_a_dead_process_began)
{
    char kept_state[128];
    char kept_next[128];
    snprintf(kept_state, sizeof kept_state, "%s/kept.state", folder);
    snprintf(kept_next, sizeof kept_next, "%s/kept.next", folder);
    struct signer_keys keys = overlap();
    stop_signer();
    copy_file(state_path, kept_state);
    copy_file(next_path, kept_next);
    uint8_t bytes[4096];
    int state = open(kept_state, O_RDWR);
    ssize_t size = read(state, bytes, sizeof bytes);
    size_t phase_at = 3 + strlen(ORIGIN);
    cr_assert_eq(bytes[phase_at], 1, "both sign");
    bytes[phase_at] = 2;
    crypto_hash_sha256(bytes + size - 32, bytes, (size_t)size - 32);
    cr_assert_eq(pwrite(state, bytes, (size_t)size, 0), size);
    close(state);

    for (unsigned where = 0; where < 3; where++) {
        copy_file(kept_state, state_path);
        if (where < 2)
            copy_file(kept_next, next_path); /* Not renamed yet. */
        if (where == 1)
            cr_assert_eq(truncate(key_path, 0), 0, "wiped, or half of it");
        if (where == 2) {
            copy_file(kept_next, key_path);
            unlink(next_path);
        }
        begin();
        cr_expect_eq(signers_now(&keys), 2, "stopped at %u", where);
        cr_expect_neq(access(next_path, F_OK), 0);
        struct signer_keys now = step(SIGNER_STEP_ASK, 0);
        cr_expect(!now.both && !now.has_next);
        cr_expect_eq(stop_signer(), WHY_NONE);
    }
}

Test(signer_keys, want_both_where_both_sign)
{
    (void)overlap();
    stop_signer();
    cr_assert_eq(unlink(next_path), 0);
    start_signer();
    cr_expect_eq(stop_signer(), WHY_NOT_FOUND);
}

Test(signer_keys, make_another_where_the_next_one_is_unusable_and_unused)
{
    begin();
    struct signer_keys first = step(SIGNER_STEP_MAKE, 0);
    stop_signer();
    cr_assert_eq(truncate(next_path, 10), 0);
    begin();
    struct signer_keys keys = step(SIGNER_STEP_ASK, 0);
    cr_expect(!keys.has_next);
    keys = step(SIGNER_STEP_MAKE, 0);
    cr_expect(keys.has_next);
    cr_expect_neq(memcmp(&keys.succession.to, &first.succession.to, sizeof first.succession.to), 0);
    stop_signer();
}

Test(signer_keys, are_read_from_frames_that_are_whole_and_signed)
{
    struct buffer body OWNED(buffer_free) = BUFFER(4096);
    struct signer_keys keys;

    begin();
    cr_assert(!failed(signer_keys_ask(writer, SIGNER_STEP_MAKE, 0)));
    cr_assert(!failed(frame_flush(writer, fd)));
    struct frame frame = next_frame();
    buffer_add(&body, frame.body, frame.size);
    frame.body = body.bytes;
    for (uint32_t size = 0; size < body.size; size++) {
        frame.size = size;
        cr_expect_eq(signer_keys_parse(&frame, &keys).why, WHY_BAD_INPUT, "%u", size);
    }
    frame.size = (uint32_t)body.size;
    cr_expect(!failed(signer_keys_parse(&frame, &keys)));
    for (size_t at = 9; at < body.size; at++) { /* Behind the flag and the time. */
        body.bytes[at] ^= 1;
        cr_expect(failed(signer_keys_parse(&frame, &keys)), "byte %zu", at);
        body.bytes[at] ^= 1;
    }
    stop_signer();
}
