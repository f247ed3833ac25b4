/* SPDX-License-Identifier: Apache-2.0 */
/* What each state of a key allows (NIST SP 800-57 part 1 section 7): every state by every
 * operation, at every level and for every purpose.  The tables are the specification; the rest only
 * brings a key into a state and tries. */
#include "keys/keyring.h"

#include <string.h>

#include "keys/keyring_parts.h"
#include "tests/keys/shelf.h"

#define STATES 6u

/* Short, so that a table can be read: allowed, denied for its state, no such transition. */
#define YES  WHY_NONE
#define NO   WHY_DENIED
#define NEVR WHY_CONFLICT

/* Only active encrypts; suspended and deactivated open what there is; compromised opens for a
 * migration alone; pre-active and destroyed never. */
struct data_rule {
    enum key_state state;
    enum why encrypt, open, migrate;
    enum why to[STATES]; /* Pre-active, active, suspended, deactivated, compromised, destroyed. */
};
/* clang-format off */
static const struct data_rule data_rules[STATES] = {
    /*                      encrypt open migrate  PRE   ACT   SUSP  DEACT COMP  DESTR */
    {KEY_STATE_PRE_ACTIVE,  NO,     NO,  NO,     {NEVR, YES,  NEVR, NEVR, YES,  YES}},
    {KEY_STATE_ACTIVE,      YES,    YES, YES,    {NEVR, NEVR, YES,  YES,  YES,  NEVR}},
    {KEY_STATE_SUSPENDED,   NO,     YES, YES,    {NEVR, YES,  NEVR, YES,  YES,  YES}},
    {KEY_STATE_DEACTIVATED, NO,     YES, YES,    {NEVR, NEVR, NEVR, NEVR, YES,  YES}},
    {KEY_STATE_COMPROMISED, NO,     NO,  YES,    {NEVR, NEVR, NEVR, NEVR, NEVR, YES}},
    {KEY_STATE_DESTROYED,   NO,     NO,  NO,     {NEVR, NEVR, NEVR, NEVR, NEVR, NEVR}},
};
/* clang-format on */

/* A KEK in the place of an active one: wraps a new key, unwraps the one below it, is taken along
 * when the root is renewed; and where it may go, with a key below it and without. */
struct wrap_rule {
    enum key_state state;
    enum why wrap, unwrap;
    bool rewrap;
    enum why to[STATES];
    enum why to_with_child[STATES];
};
/* clang-format off */
static const struct wrap_rule wrap_rules[STATES] = {
    /*                      wrap unwrap rewrap  PRE   ACT   SUSP  DEACT COMP  DESTR */
    {KEY_STATE_PRE_ACTIVE,  NO,  NO,    true,  {NEVR, YES,  NEVR, NEVR, YES,  YES},
                            /* with a key: */  {NEVR, YES,  NEVR, NEVR, NEVR, NEVR}},
    {KEY_STATE_ACTIVE,      YES, YES,   true,  {NEVR, NEVR, NEVR, YES,  YES,  NEVR},
                            /* with a key: */  {NEVR, NEVR, NEVR, YES,  YES,  NEVR}},
    {KEY_STATE_SUSPENDED,   NO,  YES,   true,  {NEVR, YES,  NEVR, YES,  YES,  YES},
                            /* with a key: */  {NEVR, YES,  NEVR, NEVR, NEVR, NEVR}},
    {KEY_STATE_DEACTIVATED, NO,  YES,   true,  {NEVR, NEVR, NEVR, NEVR, YES,  YES},
                            /* with a key: */  {NEVR, NEVR, NEVR, NEVR, NEVR, NEVR}},
    {KEY_STATE_COMPROMISED, NO,  NO,    true,  {NEVR, NEVR, NEVR, NEVR, NEVR, YES},
                            /* with a key: */  {NEVR, NEVR, NEVR, NEVR, NEVR, NEVR}},
    {KEY_STATE_DESTROYED,   NO,  NO,    false, {NEVR, NEVR, NEVR, NEVR, NEVR, NEVR},
                            /* with a key: */  {NEVR, NEVR, NEVR, NEVR, NEVR, NEVR}},
};
/* clang-format on */

static struct keyring *ring;
static struct shelf shelf;

static const char *tenant_of(enum key_purpose purpose)
{
    return purpose == KEY_PURPOSE_INDEX ? "" : "shop";
}

static struct keyring_lane *lane_of(enum key_purpose purpose)
{
    struct keyring_lane *lane = keyring_lane_peek(ring, tenant_of(purpose), purpose);

    cr_assert(lane != NULL);
    return lane;
}

/* By force: not every state can be reached by allowed steps. */
static void force(enum key_purpose purpose, uint64_t id, enum key_state state)
{
    if (shelf_info(ring, id).state != state)
        cr_assert(!failed(keyring_entry_move(ring, lane_of(purpose), keyring_entry_find(ring, id),
                                             state, SHELF_NOW_MS + 1)));
}

/* A ring with one key for the purpose, in the state. */
static uint64_t data_key(enum key_purpose purpose, enum key_state state)
{
    keyring_free(&ring);
    ring = shelf_ring();
    uint64_t id = shelf_use(ring, tenant_of(purpose), purpose, SHELF_NOW_MS);
    force(purpose, id, state);
    return id;
}

/* A ring with a KEK in the state, and a data key below it, or one that is gone. */
static uint64_t wrapping_key(enum key_purpose purpose, enum key_state state, bool with_child,
                             uint64_t *out_child)
{
    keyring_free(&ring);
    ring = shelf_ring();
    *out_child = shelf_use(ring, tenant_of(purpose), purpose, SHELF_NOW_MS);
    uint64_t id = shelf_info(ring, *out_child).parent_id;
    if (!with_child)
        force(purpose, *out_child, KEY_STATE_DESTROYED);
    force(purpose, id, state);
    return id;
}

static enum why change(uint64_t id, enum key_state state)
{
    return keyring_change_state(ring, id, state, SHELF_NOW_MS + 2).why;
}

static enum why migrate_why(uint64_t id)
{
    struct kdf *kdf = NULL;
    return keyring_kdf_migrating(ring, id, &kdf, NULL).why;
}

static void close_ring(void)
{
    keyring_free(&ring);
}

TestSuite(keyring_states, .fini = close_ring);

Test(keyring_states, of_data_keys_allow_what_the_table_says)
{
    for (enum key_purpose purpose = KEY_PURPOSE_CARD; purpose < KEY_PURPOSE_COUNT; purpose++) {
        for (unsigned i = 0; i < STATES; i++) {
            const struct data_rule *rule = &data_rules[i];
            const char *name = key_state_name(rule->state);
            const char *what = key_purpose_name(purpose);
            uint64_t id = data_key(purpose, rule->state);
            cr_expect_eq(shelf_kdf_why(ring, id, true), rule->encrypt, "%s: %s", what, name);
            cr_expect_eq(shelf_kdf_why(ring, id, false), rule->open, "%s: %s", what, name);
            cr_expect_eq(migrate_why(id), rule->migrate, "%s: %s", what, name);
            /* What a migration had open is not open for others. */
            cr_expect_eq(shelf_kdf_why(ring, id, false), rule->open, "%s: %s", what, name);
        }
    }
}

Test(keyring_states, of_data_keys_lead_where_the_table_says)
{
    for (enum key_purpose purpose = KEY_PURPOSE_CARD; purpose < KEY_PURPOSE_COUNT; purpose++) {
        for (unsigned from = 0; from < STATES; from++) {
            for (unsigned to = 0; to < STATES; to++) {
                enum why expected = data_rules[from].to[to];
                enum key_state state = KEY_STATE_PRE_ACTIVE + to;
                uint64_t id = data_key(purpose, data_rules[from].state);
                /* The index key, by which every row is found, goes nowhere. */
                if (purpose == KEY_PURPOSE_INDEX)
                    expected = NEVR;
                cr_expect_eq(change(id, state), expected, "%s: from %s to %s",
                             key_purpose_name(purpose), key_state_name(data_rules[from].state),
                             key_state_name(state));
                cr_expect_eq(shelf_info(ring, id).state,
                             expected == YES ? state : data_rules[from].state);
            }
        }
    }
}

/* Puts the KEK where the active one is, and begins an epoch under it. */
static enum why wrap_why(enum key_purpose purpose, uint64_t id)
{
    struct keyring_lane *lane = lane_of(purpose);

    lane->active[KEY_LEVEL_KEK] = id;
    lane->active[KEY_LEVEL_DEK] = 0;
    return keyring_lane_renew(ring, lane, SHELF_NOW_MS + 2).why;
}

Test(keyring_states, of_wrapping_keys_allow_what_the_table_says)
{
    for (enum key_purpose purpose = KEY_PURPOSE_CARD; purpose < KEY_PURPOSE_CVV; purpose++) {
        for (unsigned i = 0; i < STATES; i++) {
            const struct wrap_rule *rule = &wrap_rules[i];
            const char *name = key_state_name(rule->state);
            uint64_t child = 0;
            uint64_t id = wrapping_key(purpose, rule->state, true, &child);
            struct keyring_entry *entry = keyring_entry_find(ring, child);
            cr_expect_eq(shelf_kdf_why(ring, id, false), NO, "no state lends a KEK");
            cr_expect_eq(migrate_why(id), NO, "nor for a migration");
            keyring_entry_close(ring, entry);
            cr_expect_eq(shelf_kdf_why(ring, child, false), rule->unwrap, "%s", name);
            cr_expect_eq(wrap_why(purpose, id), rule->wrap, "%s", name);
        }
    }
}

Test(keyring_states, of_wrapping_keys_stay_under_a_new_root)
{
    for (unsigned i = 0; i < STATES; i++) {
        uint64_t child = 0;
        uint64_t id = wrapping_key(KEY_PURPOSE_CARD, wrap_rules[i].state, true, &child);
        struct secret *root = shelf_root(9);
        (void)shelf_store(&shelf, ring);
        keyring_stored(ring);
        cr_assert(!failed(keyring_root_renew(ring, root)));
        secret_free(&root);
        cr_expect_eq(shelf_store(&shelf, ring), wrap_rules[i].rewrap ? 2 : 1, "%s",
                     key_state_name(wrap_rules[i].state));
        cr_expect_eq(shelf_info(ring, id).state, wrap_rules[i].state);
    }
}

Test(keyring_states, of_wrapping_keys_lead_where_the_table_says)
{
    for (enum key_purpose purpose = KEY_PURPOSE_CARD; purpose < KEY_PURPOSE_CVV; purpose++) {
        for (unsigned cell = 0; cell < STATES * STATES * 2; cell++) {
            const struct wrap_rule *rule = &wrap_rules[cell / 2 / STATES];
            unsigned to = cell / 2 % STATES;
            bool with_child = cell % 2 == 1;
            enum key_state state = KEY_STATE_PRE_ACTIVE + to;
            enum why expected = with_child ? rule->to_with_child[to] : rule->to[to];
            uint64_t child = 0;
            uint64_t id = wrapping_key(purpose, rule->state, with_child, &child);
            cr_expect_eq(change(id, state), expected, "%s: from %s to %s%s",
                         key_purpose_name(purpose), key_state_name(rule->state),
                         key_state_name(state), with_child ? " with a key below" : "");
            cr_expect_eq(shelf_info(ring, id).state, expected == YES ? state : rule->state);
            if (expected == YES && with_child && rule->state == KEY_STATE_ACTIVE)
                cr_expect_neq(shelf_info(ring, child).parent_id, id, "it has a new one above");
        }
    }
}
