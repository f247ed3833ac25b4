/* SPDX-License-Identifier: Apache-2.0 */
/* tests/keys/shelf.h -- a store of key rows in memory, and rings that come from it.
 *
 * In      the changes that a ring hands out.
 * Out     rings that loaded them.
 * Never   looks into a row.
 * Threads one.
 */
#ifndef TESTS_KEYS_SHELF_H
#define TESTS_KEYS_SHELF_H

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "base/secret.h"
#include "keys/keyring.h"

#define SHELF_ROWS_MAX 700u
#define SHELF_NOW_MS   1800000000000LL /* Any time will do. */

struct shelf_row {
    uint8_t bytes[512];
    size_t size; /* 0: no such row. */
};

/* By row id; 0 is the manifest.  `events` are those of the last shelf_store(), one a line. */
struct shelf {
    struct shelf_row rows[SHELF_ROWS_MAX];
    char events[4096];
};

static inline struct secret *shelf_root(uint8_t fill)
{
    struct secret *root = NULL;

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_new_key(32, &root)));
    memset(secret_bytes(root), fill, 32);
    return root;
}

static inline struct keyring *shelf_ring_of(const char *environment, uint8_t fill)
{
    struct secret *root = shelf_root(fill);
    struct keyring *ring = NULL;

    cr_assert(!failed(keyring_new(root, environment, &ring)));
    secret_free(&root);
    return ring;
}

/* A new ring of a new store. */
static inline struct keyring *shelf_ring(void)
{
    struct keyring *ring = shelf_ring_of("test", 7);

    cr_assert(!failed(keyring_loaded(ring, SHELF_NOW_MS)));
    return ring;
}

/* Takes every change; returns how many rows that were, the manifest included. */
static inline unsigned shelf_store(struct shelf *shelf, struct keyring *ring)
{
    static struct keyring_change change;
    unsigned count = 0;

    shelf->events[0] = '\0';
    while (keyring_take_change(ring, &change)) {
        cr_assert(change.row_id < SHELF_ROWS_MAX);
        cr_assert(change.row_size > 0 && change.row_size <= sizeof change.row);
        struct shelf_row *row = &shelf->rows[change.row_id];
        memcpy(row->bytes, change.row, change.row_size);
        row->size = change.row_size;
        size_t at = strlen(shelf->events);
        (void)snprintf(shelf->events + at, sizeof shelf->events - at, "%s\n", change.event);
        count++;
    }
    return count;
}

/* Loads every row into `ring` and says what became of it. */
static inline enum why shelf_load_into(const struct shelf *shelf, struct keyring *ring,
                                       int64_t now_ms)
{
    for (unsigned id = SHELF_ROWS_MAX; id-- > 0;) { /* Any order: the manifest is last here. */
        if (shelf->rows[id].size == 0)
            continue;
        struct status status = keyring_load(ring, id, shelf->rows[id].bytes, shelf->rows[id].size);
        if (failed(status))
            return status.why;
    }
    return keyring_loaded(ring, now_ms).why;
}

/* What a restart makes of the shelf. */
static inline enum why shelf_why(const struct shelf *shelf)
{
    struct keyring *ring = shelf_ring_of("test", 7);
    enum why why = shelf_load_into(shelf, ring, SHELF_NOW_MS + 1000);

    keyring_free(&ring);
    return why;
}

static inline struct keyring *shelf_restart(const struct shelf *shelf, int64_t now_ms)
{
    struct keyring *ring = shelf_ring_of("test", 7);

    cr_assert_eq(shelf_load_into(shelf, ring, now_ms), WHY_NONE);
    return ring;
}

static inline uint64_t shelf_use(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                                 int64_t now_ms)
{
    uint64_t key_id = 0;

    cr_assert(!failed(keyring_use(ring, tenant, purpose, now_ms, &key_id)));
    return key_id;
}

static inline struct key_info shelf_info(const struct keyring *ring, uint64_t key_id)
{
    struct key_info info = {0};

    cr_assert(key_id >= 1);
    cr_assert(keyring_info_at(ring, (unsigned)key_id - 1, &info));
    cr_assert_eq(info.id, key_id);
    return info;
}

/* Whether a key may be used in the one way or the other. */
static inline enum why shelf_kdf_why(struct keyring *ring, uint64_t key_id, bool to_encrypt)
{
    struct kdf *kdf = NULL;
    const struct key_info *info = NULL;

    return keyring_kdf(ring, key_id, to_encrypt, &kdf, &info).why;
}

#endif
