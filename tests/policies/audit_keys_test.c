/* SPDX-License-Identifier: Apache-2.0 */
/* A log that changes its signing key: whom its verifiers believe, with which key in hand. */
#include "policies/audit_keys.h"

#include "policies/audit_verify.h"
#include "policies/rotation.h"
#include "tests/policies/audit_support.h"

#define KEYS 4u

/* The log's keys in the order in which they sign; the first is audit_support's. */
static struct note_key keys[KEYS];
static struct secret *seeds[KEYS];

static void make(void)
{
    audit_start();
    keys[0] = key;
    seeds[0] = seed;
    for (unsigned i = 1; i < KEYS; i++) {
        cr_assert(!failed(secret_new_key(32, &seeds[i])));
        randombytes_buf(secret_bytes(seeds[i]), 32);
        cr_assert(!failed(note_key_from_seed(ORIGIN, seeds[i], &keys[i])));
    }
}

static void drop(void)
{
    for (unsigned i = 1; i < KEYS; i++)
        secret_free(&seeds[i]);
    audit_stop();
}

TestSuite(audit_keys, .init = make, .fini = drop, .timeout = 20);

/* Entries, and a checkpoint over all by these keys (a bit each). */
static void go_on(unsigned entries, unsigned by)
{
    OWNED(buffer_free) struct buffer text = BUFFER(1024);
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    struct checkpoint now;

    append(entries);
    commit();
    now = checkpoint_now();
    checkpoint_text(&now, &text);
    for (unsigned i = 0; i < KEYS; i++) {
        if ((by >> i & 1) == 0)
            continue;
        const char *words = buffer_text(&text);
        cr_assert(!failed(note.size == 0
                              ? note_sign(words, text.size, &keys[i], seeds[i], &note)
                              : note_cosign(words, text.size, &keys[i], seeds[i], &note)));
    }
    cr_assert(!failed(audit_log_put_checkpoint(audit, batch, note.bytes, note.size)));
    commit();
}

static struct signer_keys named(unsigned from, unsigned to, unsigned by)
{
    struct signer_keys found = {.has_next = true};

    found.succession.from = keys[by];
    found.succession.to = keys[to];
    cr_assert(!failed(succession_sign(&found.succession, seeds[by])));
    found.succession.from = keys[from];
    return found;
}

static void say(struct audit_entry *entry)
{
    uint64_t seq = 0;

    entry->actor = entry->origin = "keeper";
    cr_assert(!failed(audit_log_append(audit, batch, entry, &seq)));
}

/* `by`: whose signature stands under it. */
static void rotate(unsigned from, unsigned to, unsigned by)
{
    struct signer_keys found = named(from, to, by);
    struct audit_entry entry = {0};
    char object[SUCCESSION_KEY_MAX];
    char detail[SUCCESSION_DETAIL_MAX];

    rotation_entry(&found, object, detail, &entry);
    say(&entry);
}

static void retire(unsigned which)
{
    struct rotation rotation = {.under_way = true, .from = keys[which]};
    struct audit_entry entry = {0};
    char object[SUCCESSION_KEY_MAX];

    rotation_retire_entry(&rotation, object, &entry);
    say(&entry);
}

/* "" where it is good; `given` is a bit for each key. */
static struct audit_verdict judged(unsigned given)
{
    static struct audit_verdict verdict;
    struct note_key in_hand[KEYS];
    struct audit_trust trust = {.keys = in_hand};

    for (unsigned i = 0; i < KEYS; i++)
        if ((given >> i & 1) != 0)
            in_hand[trust.count++] = keys[i];
    cr_assert(!failed(audit_verify_store_by(db, &families, ORIGIN, &trust, &verdict)));
    cr_expect_eq(verdict.good, verdict.trouble[0] == '\0');
    return verdict;
}

static void check_good(unsigned given, unsigned changes)
{
    struct audit_verdict verdict = judged(given);
    cr_expect(verdict.good, "keys %x: %s", given, verdict.trouble);
    cr_expect_eq(verdict.keys, changes, "keys %x: %u", given, (unsigned)verdict.keys);
    cr_expect_eq(verdict.signed_size, audit_log_size(audit), "keys %x", given);
}

static void check_bad(unsigned given, const char *said)
{
    struct audit_verdict verdict = judged(given);
    cr_expect(!verdict.good, "keys %x", given);
    cr_expect_neq(strstr(verdict.trouble, said), NULL, "keys %x: %s", given, verdict.trouble);
}

/* One rotation from the key at `from` to the next. */
static void change(unsigned from)
{
    go_on(2, 1u << from);
    rotate(from, from + 1, from);
    go_on(1, 1u << from);
    go_on(1, 3u << from);
    retire(from);
    go_on(2, 2u << from);
}

Test(audit_keys, follow_from_the_old_one_and_lead_back_from_the_new)
{
    change(0);
    check_good(1, 1);
    check_good(2, 1);
    check_good(3, 1);
    check_bad(4, "good signature");
    check_bad(8, "good signature");
}

Test(audit_keys, follow_through_every_change)
{
    for (unsigned i = 0; i + 1 < KEYS; i++)
        change(i);
    check_good(1, 3);
    check_good(8, 1);
    check_good(9, 3);
    check_good(15, 3);
}

Test(audit_keys, follow_while_both_sign)
{
    go_on(2, 1);
    rotate(0, 1, 0);
    go_on(1, 1);
    check_good(1, 1);
    check_bad(2, "good signature");
    go_on(1, 3);
    check_good(1, 1);
    check_good(2, 1);
    check_good(3, 1);
}

Test(audit_keys, do_not_change_without_an_entry)
{
    go_on(2, 1);
    go_on(1, 3);
    go_on(1, 2);
    check_bad(1, "good signature");
    check_bad(2, "no entry says");
    check_good(3, 0); /* Who was handed both by somebody else believes both. */
}

Test(audit_keys, do_not_change_by_the_word_of_the_logs_owner_alone)
{
    go_on(2, 1);
    rotate(0, 1, 1); /* The next one vouches for itself. */
    go_on(1, 1);
    go_on(1, 2);
    check_bad(1, "in a way that the old key did not sign");
    check_bad(2, "in a way that the old key did not sign");
    check_bad(3, "in a way that the old key did not sign");
}

Test(audit_keys, do_not_follow_a_key_that_never_signed_this_log)
{
    go_on(2, 1);
    rotate(2, 1, 2);
    go_on(1, 1);
    check_bad(1, "in a way that the old key did not sign");
}

Test(audit_keys, are_not_believed_once_they_are_no_more)
{
    change(0);
    go_on(1, 1); /* Somebody kept the old one. */
    check_bad(1, "good signature");
    check_bad(3, "good signature");
}

Test(audit_keys, that_are_no_more_name_no_other)
{
    change(0);
    rotate(0, 2, 0);
    go_on(1, 2);
    check_bad(1, "in a way that the old key did not sign");
    check_bad(2, "in a way that the old key did not sign");
}

Test(audit_keys, do_not_all_go)
{
    go_on(1, 1);
    retire(0);
    go_on(1, 1);
    check_bad(1, "in a way that the old key did not sign");
}

Test(audit_keys, that_were_named_and_lost_are_followed_by_another)
{
    go_on(1, 1);
    rotate(0, 1, 0);
    go_on(1, 1);
    rotate(0, 2, 0);
    go_on(1, 1);
    go_on(1, 5);
    retire(0);
    go_on(1, 4);
    check_good(1, 2);
    check_good(4, 1);
    go_on(1, 2); /* The lost one was found by somebody. */
    check_bad(1, "good signature");
}

Test(audit_keys, may_be_named_twice)
{
    go_on(1, 1);
    rotate(0, 1, 0);
    go_on(1, 1);
    rotate(0, 1, 0);
    go_on(1, 3);
    retire(0);
    go_on(1, 2);
    check_good(1, 1);
    check_good(2, 2);
}

Test(audit_keys, make_a_bad_signature_no_strangers)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    uint8_t row[9];

    change(0);
    size_t row_size = row_key(2, false, row);
    cr_assert(!failed(db_get(db, families.checkpoints, row, row_size, &note)));
    note.bytes[note.size - 10] ^= 1;
    overwrite(families.checkpoints, row, row_size, note.bytes, note.size);
    check_bad(1, "good signature");
    check_bad(3, "good signature");
}

Test(audit_keys, are_read_from_entries_of_one_form)
{
    struct signer_keys found = named(0, 1, 0);
    struct succession read;
    char object[SUCCESSION_KEY_MAX];
    char detail[SUCCESSION_DETAIL_MAX];

    note_key_text(&keys[1], object, sizeof object);
    succession_detail(&found.succession, detail);
    cr_assert(!failed(succession_read(object, detail, &read)));
    cr_expect_eq(memcmp(&read, &found.succession, sizeof read), 0);
    for (size_t at = 0; detail[at] != '\0'; at++) {
        char was = detail[at];
        detail[at] = was == 'A' ? 'B' : 'A';
        cr_expect(failed(succession_read(object, detail, &read)), "byte %zu: %s", at, detail);
        detail[at] = '\0';
        cr_expect(failed(succession_read(object, detail, &read)), "cut at %zu", at);
        detail[at] = was;
    }
    note_key_text(&keys[2], object, sizeof object);
    cr_expect_eq(succession_read(object, detail, &read).why, WHY_FORGED, "another key");
}

Test(audit_keys, row_of_a_rotation_is_read_as_it_was_kept)
{
    struct rotation kept = {
        .under_way = true, .seq = 7, .until_ms = 1700000000000, .from = keys[0], .to = keys[1]};
    struct rotation read = {.under_way = true};
    OWNED(buffer_free) struct buffer row = BUFFER(1024);

    cr_assert(!failed(rotation_load(db, families.state, &read)));
    cr_expect(!read.under_way);
    cr_assert(!failed(rotation_keep(&kept, db, batch, families.state)));
    commit();
    cr_assert(!failed(rotation_load(db, families.state, &read)));
    cr_expect_eq(memcmp(&read, &kept, sizeof read), 0);
    cr_assert(!failed(db_get(db, families.state, ROTATION_ROW, strlen(ROTATION_ROW), &row)));
    for (size_t size = 0; size < row.size; size += 3) {
        overwrite(families.state, ROTATION_ROW, strlen(ROTATION_ROW), row.bytes, size);
        cr_expect_eq(rotation_load(db, families.state, &read).why, WHY_FORGED, "%zu", size);
    }
    kept.under_way = false;
    cr_assert(!failed(rotation_keep(&kept, db, batch, families.state)));
    commit();
    cr_assert(!failed(rotation_load(db, families.state, &read)));
    cr_expect(!read.under_way);
}

Test(audit_keys, next_step_of_a_rotation_is_read_off_row_and_signer)
{
    struct rotation none = {0};
    struct rotation row = {
        .under_way = true, .seq = 7, .until_ms = 1000, .from = keys[0], .to = keys[1]};
    struct signer_keys alone = {.succession.from = keys[0]};
    struct signer_keys made = named(0, 1, 0);
    struct signer_keys both = named(0, 1, 0);
    struct signer_keys other = named(0, 2, 0);
    struct signer_keys over = {.succession.from = keys[1]};
    both.both = true;
    const struct {
        const struct rotation *rotation;
        const struct signer_keys *keys;
        uint64_t size;
        int64_t now_ms;
        enum rotation_step step;
    } cases[] = {
        {&none, &alone, 9, 0, ROTATION_REST},   {&none, &made, 9, 0, ROTATION_REST},
        {&none, &both, 9, 0, ROTATION_AGAIN},   {&row, &made, 7, 0, ROTATION_REST},
        {&row, &made, 8, 0, ROTATION_OVERLAP},  {&row, &made, 8, 5000, ROTATION_OVERLAP},
        {&row, &both, 8, 999, ROTATION_REST},   {&row, &both, 8, 1000, ROTATION_RETIRE},
        {&row, &both, 7, 5000, ROTATION_REST},  {&row, &over, 7, 0, ROTATION_END},
        {&row, &alone, 8, 5000, ROTATION_MAKE}, {&row, &other, 8, 5000, ROTATION_AGAIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(
            rotation_next(cases[i].rotation, cases[i].keys, cases[i].size, cases[i].now_ms),
            cases[i].step, "case %zu", i);
}
