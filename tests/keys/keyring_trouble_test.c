/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is done to the row of a key, the row is named, and no other (KEY-11). */
#include "keys/keyring.h"

#include <string.h>

#include "keys/keyring_parts.h"
#include "tests/keys/shelf.h"

#define STEPS 6u

static struct shelf shelf;
static struct shelf before[STEPS]; /* The shelf as it was after each step of fill(). */
static unsigned row_count;

static void state(struct keyring *ring, uint64_t id, enum key_state to)
{
    cr_assert(!failed(keyring_change_state(ring, id, to, SHELF_NOW_MS + 5)));
}

static void keep(struct keyring *ring, unsigned step)
{
    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    before[step] = shelf;
}

/* A row of each kind: KEKs and DEKs of each purpose, and of each state. */
static void fill(void)
{
    struct keyring *ring = shelf_ring();

    uint64_t card = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, card).parent_id;
    uint64_t cell = shelf_use(ring, "a", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    (void)shelf_use(ring, "a", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS);
    (void)shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS);
    keep(ring, 0);
    state(ring, card, KEY_STATE_SUSPENDED);
    keep(ring, 1);
    uint64_t next = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    state(ring, next, KEY_STATE_COMPROMISED);
    keep(ring, 2);
    state(ring, shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS), KEY_STATE_DEACTIVATED);
    state(ring, kek, KEY_STATE_DEACTIVATED);
    state(ring, cell, KEY_STATE_DEACTIVATED);
    keep(ring, 3);
    state(ring, cell, KEY_STATE_DESTROYED);
    state(ring, next, KEY_STATE_DESTROYED);
    (void)shelf_use(ring, "b", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    keep(ring, 4);
    state(ring, kek, KEY_STATE_DESTROYED);
    (void)shelf_use(ring, "a", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    keep(ring, 5);
    keyring_free(&ring);
    while (shelf.rows[row_count].size != 0)
        row_count++;
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
}

TestSuite(keyring_trouble, .init = fill, .timeout = 120);

/* What a start finds wrong. */
struct found {
    unsigned count;
    struct keyring_trouble troubles[KEYRING_TROUBLES_MAX];
};

static struct found look_under(uint8_t root)
{
    struct keyring *ring = shelf_ring_of("test", root);
    struct found found = {0};

    cr_expect_eq(shelf_load_into(&shelf, ring, SHELF_NOW_MS + 1000), WHY_FORGED);
    while (keyring_trouble_at(ring, found.count, &found.troubles[found.count]))
        found.count++;
    keyring_free(&ring);
    return found;
}

static struct found look(void)
{
    return look_under(7);
}

/* The one row that is wrong is named, with a sentence that has these words. */
static void expect_only(uint64_t id, const char *words, const char *what, unsigned at)
{
    struct found found = look();

    cr_assert_eq(found.count, 1, "%s, row %u byte %u: %u are named", what, (unsigned)id, at,
                 found.count);
    cr_expect_eq(found.troubles[0].id, id, "%s, row %u byte %u: named is %u", what, (unsigned)id,
                 at, (unsigned)found.troubles[0].id);
    cr_expect(strstr(found.troubles[0].sentence, words) != NULL, "%s, row %u: %s", what,
              (unsigned)id, found.troubles[0].sentence);
}

Test(keyring_trouble, names_the_row_of_which_any_bit_was_flipped)
{
    unsigned states = 0;

    for (unsigned id = 0; id < row_count; id++) {
        struct keyring_entry entry;
        if (id > 0 &&
            !failed(keyring_row_decode(shelf.rows[id].bytes, shelf.rows[id].size, &entry)))
            states |= 1u << entry.info.state;
        for (unsigned at = 0; at < shelf.rows[id].size; at++) {
            for (unsigned bit = 0; bit < 8; bit += 7) {
                shelf.rows[id].bytes[at] ^= (uint8_t)(1u << bit);
                expect_only(id, "", "flipped", at);
                shelf.rows[id].bytes[at] ^= (uint8_t)(1u << bit);
            }
        }
    }
    cr_assert_eq(states, 1u << KEY_STATE_ACTIVE | 1u << KEY_STATE_SUSPENDED |
                             1u << KEY_STATE_DEACTIVATED | 1u << KEY_STATE_DESTROYED);
}

Test(keyring_trouble, names_every_one_of_many_altered_rows)
{
    unsigned altered = 0;

    for (unsigned id = 1; id < row_count; id++) {
        struct keyring_entry entry;
        cr_assert(!failed(keyring_row_decode(shelf.rows[id].bytes, shelf.rows[id].size, &entry)));
        /* KEKs stay, as what is under an altered one cannot be judged. */
        if (entry.info.level == KEY_LEVEL_KEK || !entry.has_sealed)
            continue;
        shelf.rows[id].bytes[shelf.rows[id].size - 1] ^= 1;
        altered++;
    }
    struct found found = look();
    cr_expect_eq(found.count, altered);
    cr_expect_geq(altered, 4);
}

Test(keyring_trouble, names_both_rows_that_changed_places)
{
    for (unsigned a = 1; a < row_count; a++) {
        for (unsigned b = 1; b < a; b++) {
            struct shelf_row row = shelf.rows[a];
            shelf.rows[a] = shelf.rows[b];
            shelf.rows[b] = row;
            struct found found = look();
            cr_assert_eq(found.count, 2, "%u and %u", a, b);
            cr_expect(found.troubles[0].id == a || found.troubles[1].id == a);
            cr_expect(found.troubles[0].id == b || found.troubles[1].id == b);
            cr_expect(strstr(found.troubles[0].sentence, "another key") != NULL);
            shelf.rows[b] = shelf.rows[a];
            shelf.rows[a] = row;
        }
    }
}

/* As a file is renamed: what it held is missed, and where it is now is wrong. */
Test(keyring_trouble, names_a_row_under_another_id_and_the_one_it_was)
{
    for (unsigned to = 1; to <= row_count; to++) {
        struct shelf_row kept = shelf.rows[to];
        struct shelf_row row = shelf.rows[1];
        if (to == 1)
            continue;
        shelf.rows[to] = row;
        shelf.rows[1].size = 0;
        struct found found = look();
        cr_assert_eq(found.count, 2);
        cr_expect_eq(found.troubles[0].id, to);
        cr_expect_eq(found.troubles[1].id, 1);
        cr_expect_str_eq(found.troubles[1].sentence, "its row is missing");
        shelf.rows[1] = row;
        shelf.rows[to] = kept;
    }
}

/* With the id inside changed as well, what was sealed for it does not open. */
Test(keyring_trouble, names_a_row_that_was_renamed_inside_as_well)
{
    for (unsigned from = 1; from < row_count; from++) {
        shelf.rows[row_count] = shelf.rows[from];
        shelf.rows[row_count].bytes[8] = (uint8_t)row_count; /* The id's last byte. */
        expect_only(row_count, "", "renamed", from);
    }
}

Test(keyring_trouble, names_every_row_that_is_missing)
{
    for (unsigned id = 1; id < row_count; id++) {
        size_t size = shelf.rows[id].size;
        shelf.rows[id].size = 0;
        expect_only(id, "missing", "removed", 0);
        shelf.rows[id].size = size;
    }
    for (unsigned id = 1; id < row_count; id++)
        shelf.rows[id].size = 0;
    struct found found = look();
    cr_expect_eq(found.count, row_count - 1, "all of them");
}

Test(keyring_trouble, names_a_row_that_was_put_back_from_any_earlier_time)
{
    unsigned rolled_back = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        for (unsigned id = 1; id < row_count; id++) {
            const struct shelf_row *old = &before[step].rows[id];
            struct shelf_row row = shelf.rows[id];
            if (old->size == 0 ||
                (old->size == row.size && memcmp(old->bytes, row.bytes, row.size) == 0))
                continue;
            shelf.rows[id] = *old;
            expect_only(id, "", "put back", step);
            shelf.rows[id] = row;
            rolled_back++;
        }
    }
    cr_assert_geq(rolled_back, 10);
}

Test(keyring_trouble, tells_an_older_manifest_from_older_rows)
{
    for (unsigned step = 0; step + 1 < STEPS; step++) {
        shelf.rows[0] = before[step].rows[0];
        struct found found = look();
        cr_assert_geq(found.count, 1);
        const struct keyring_trouble *last = &found.troubles[found.count - 1];
        cr_expect(strstr(last->sentence, "manifest") != NULL, "%s", last->sentence);
        cr_expect(strstr(last->sentence, "put back from an earlier copy") != NULL);
        /* Of the last step both rows are without a key, and so cannot prove that they are good. */
        cr_expect((last->id == 0) == (step + 2 < STEPS), "after step %u", step);
    }
    shelf.rows[0].size = 0;
    expect_only(0, "the manifest is missing", "manifest", 0);
    shelf.rows[0].size = 3;
    expect_only(0, "the manifest was altered", "manifest", 0);
}

/* The sums tell of one row; of more, that there are more. */
Test(keyring_trouble, says_that_there_are_more_where_more_were_put_back)
{
    struct keyring *ring = shelf_ring();
    uint64_t a = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t b = shelf_use(ring, "b", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    memset(&shelf, 0, sizeof shelf);
    keep(ring, 0);
    state(ring, a, KEY_STATE_SUSPENDED);
    state(ring, b, KEY_STATE_SUSPENDED);
    keep(ring, 1);
    keyring_free(&ring);
    shelf.rows[a] = before[0].rows[a];
    expect_only(a, "earlier copy", "put back", 1);
    shelf.rows[b] = before[0].rows[b];
    expect_only(0, "more than one row", "put back", 2);
}

/* Of a time when another key was above them, they say themselves that they are old. */
Test(keyring_trouble, names_each_of_many_rows_that_hang_from_a_key_that_is_gone)
{
    const uint64_t ids[2] = {2, 8}; /* The first two card keys, wrapped by the first KEK. */

    shelf.rows[ids[0]] = before[1].rows[ids[0]];
    shelf.rows[ids[1]] = before[2].rows[ids[1]];
    struct found found = look();
    cr_assert_eq(found.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        cr_expect_eq(found.troubles[i].id, ids[i]);
        cr_expect(strstr(found.troubles[i].sentence, "the key above it is destroyed") != NULL);
    }
}

Test(keyring_trouble, says_that_the_root_is_wrong_rather_than_every_row)
{
    struct found found = look_under(8);

    cr_assert_eq(found.count, 1);
    cr_expect_eq(found.troubles[0].id, 0);
    cr_expect(strstr(found.troubles[0].sentence, "no key opens under this root") != NULL);
}

Test(keyring_trouble, names_rows_that_no_key_ever_had)
{
    struct keyring *ring = shelf_ring_of("test", 7);
    struct keyring_trouble trouble = {0};

    for (unsigned id = 0; id < row_count; id++)
        cr_assert(!failed(keyring_load(ring, id, shelf.rows[id].bytes, shelf.rows[id].size)));
    cr_assert(!failed(keyring_load(ring, UINT64_MAX, shelf.rows[1].bytes, shelf.rows[1].size)));
    cr_assert_eq(keyring_loaded(ring, SHELF_NOW_MS).why, WHY_FORGED);
    cr_assert(keyring_trouble_at(ring, 0, &trouble));
    cr_expect_eq(trouble.id, UINT64_MAX);
    cr_expect_str_eq(trouble.sentence, "no key ever had this number");
    cr_expect(!keyring_trouble_at(ring, 1, &trouble));
    keyring_free(&ring);
}

/* In memory, where no manifest is asked any more. */
Test(keyring_trouble, names_a_key_that_does_not_open_when_it_is_used)
{
    struct keyring *ring = shelf_ring();
    uint64_t id = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    struct keyring_trouble trouble = {0};

    cr_assert(!keyring_trouble_at(ring, 0, &trouble), "a good ring has none");
    keyring_entry_find(ring, id)->sealed[90] ^= 1;
    for (unsigned i = 0; i < 2; i++)
        cr_expect_eq(shelf_kdf_why(ring, id, false), WHY_FORGED);
    cr_assert(keyring_trouble_at(ring, 0, &trouble));
    cr_expect_eq(trouble.id, id);
    cr_expect(!keyring_trouble_at(ring, 1, &trouble), "once");
    keyring_free(&ring);
}
