/* SPDX-License-Identifier: Apache-2.0 */
/* Key rows: the manifest vouches for the set of them as it was stored last, and the log says which
 * set that was, so that an older set as a whole shows as well. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/keeper_seal.h"
#include "vault/verify.h"

#define BIT(state) (1u << (state))
#define KEYS_MAX   (1u << 22)

/* Which states an entry leaves a key in. */
static const struct {
    const char *event;
    unsigned states;
} said[] = {
    {"key.create", BIT(KEY_STATE_PRE_ACTIVE) | BIT(KEY_STATE_ACTIVE)},
    {"key.activate", BIT(KEY_STATE_ACTIVE)},
    {"key.suspend", BIT(KEY_STATE_SUSPENDED)},
    {"key.deactivate", BIT(KEY_STATE_DEACTIVATED)},
    {"key.compromise", BIT(KEY_STATE_COMPROMISED)},
    {"key.destroy", BIT(KEY_STATE_DESTROYED)},
};

static void id_key(uint64_t id, uint8_t out[static 8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(id >> (56 - 8 * i));
}

static void find_key(struct verify *verify, uint64_t id, enum verify_kind kind, const char *text)
{
    uint8_t key[8];
    struct verify_place place = {STORE_KEYS, key, sizeof key};

    id_key(id, key);
    verify_find(verify, &place, kind, "%s", text);
}

/* What is known of key `id`; NULL where there is no room for it. */
static struct verify_key *key_at(struct verify *verify, uint64_t id)
{
    if (id == 0 || id > KEYS_MAX)
        return NULL;
    if (id > verify->key_count) {
        size_t count = 2 * (size_t)id;
        struct verify_key *keys = reallocarray(verify->keys, count, sizeof *keys);
        if (keys == NULL)
            return NULL;
        memset(keys + verify->key_count, 0, (count - verify->key_count) * sizeof *keys);
        verify->keys = keys;
        verify->key_count = count;
    }
    return &verify->keys[id - 1];
}

/* The rows as stored, before the ring makes of them what a new process does. */
static STATUS states_note(struct verify *verify)
{
    struct key_info info;

    for (unsigned i = 0; keyring_info_at(verify->keeper.ring, i, &info); i++) {
        struct verify_key *key = key_at(verify, info.id);
        ENSURE(key != NULL, WHY_NO_MEMORY);
        key->state = info.state;
    }
    return STATUS_OK;
}

/* What the ring found wrong, row by row. */
static void troubles_find(struct verify *verify)
{
    struct keyring_trouble trouble;
    unsigned count = 0;

    for (; keyring_trouble_at(verify->keeper.ring, count, &trouble); count++)
        find_key(verify, trouble.id, VERIFY_UNAUTHENTIC, trouble.sentence);
    if (count == 0)
        find_key(verify, 0, VERIFY_UNAUTHENTIC, "it does not vouch for these key rows");
}

static STATUS rows_load(struct verify *verify)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint64_t count = 0;

    TRY(db_iterate(verify->keeper.db, STORE_KEYS, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows), count++) {
        size_t key_size = 0;
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &key_size);
        const uint8_t *row = db_iterator_value(rows, &size);
        struct cursor in = cursor_over(key, key_size);
        uint64_t id = cursor_u64(&in);
        struct verify_place place = {STORE_KEYS, key, key_size};
        if (cursor_done(&in))
            TRY(keyring_load(verify->keeper.ring, id, row, size));
        else
            verify_find(verify, &place, VERIFY_UNAUTHENTIC, "its key is not of this family's size");
        verify_count(verify, STORE_KEYS);
    }
    buffer_format(verify->out, "key rows: %" PRIu64 "\n", count);
    return db_iterator_status(rows);
}

STATUS verify_keys_load(struct verify *verify, bool *out_loaded)
{
    struct keeper *keeper = &verify->keeper;

    *out_loaded = false;
    TRY(keyring_new(keeper->root, keeper_environment(keeper), &keeper->ring));
    TRY(rows_load(verify));
    TRY(states_note(verify));
    struct status status = keyring_loaded(keeper->ring, clock_now_ms());
    *out_loaded = !failed(status);
    if (status.why != WHY_FORGED)
        return status;
    troubles_find(verify);
    return STATUS_OK;
}

uint64_t verify_keys_stated(const struct verify *verify, uint64_t key_id)
{
    return key_id >= 1 && key_id <= verify->key_count ? verify->keys[key_id - 1].stated : 0;
}

STATUS verify_keys_entry(struct verify *verify, const char *event, uint64_t key_id, uint64_t seq)
{
    struct verify_key *stated = key_at(verify, key_id);

    ENSURE(stated != NULL, WHY_NO_MEMORY);
    if (strcmp(event, "key.statement") == 0)
        stated->stated = seq;
    else if (strcmp(event, "key.activate") == 0)
        stated->stated = 0; /* From here on there may be new ones. */
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        if (strcmp(event, said[i].event) != 0)
            continue;
        struct verify_key *key = key_at(verify, key_id);
        ENSURE(key != NULL, WHY_NO_MEMORY);
        key->said = said[i].states;
        key->seq = seq;
    }
    return STATUS_OK;
}

STATUS verify_keys_end(struct verify *verify)
{
    if (keyring_generation(verify->keeper.ring) < verify->log_generation)
        find_key(verify, 0, VERIFY_ROLLED_BACK,
                 "the log says that there was a later generation of it");
    for (size_t i = 0; i < verify->key_count; i++) {
        const struct verify_key *known = &verify->keys[i];
        uint8_t key[8];
        struct verify_place place = {STORE_KEYS, key, sizeof key};
        id_key(i + 1, key);
        if (known->state == 0 && known->said != 0)
            verify_find(verify, &place, VERIFY_MISSING,
                        "the log has the key at entry %" PRIu64 ", and its row is gone",
                        known->seq);
        else if (known->state != 0 && known->said == 0)
            verify_find(verify, &place, VERIFY_ORPHANED, "the log does not say where it is from");
        else if (known->state != 0 && (known->said & BIT(known->state)) == 0)
            verify_find(verify, &place, VERIFY_ROLLED_BACK,
                        "it is %s, and the log says otherwise at entry %" PRIu64,
                        key_state_name(known->state), known->seq);
    }
    return STATUS_OK;
}
