/* SPDX-License-Identifier: Apache-2.0 */
/* keys/keyring_parts.h -- what the keyring's own files share.
 *
 * In      nothing from outside keys/keyring*.c.
 * Out     the ring's innards; see keyring.h for what it promises.
 * Never   is included by anything else.
 * Threads one at a time.
 */
#ifndef KEYS_KEYRING_PARTS_H
#define KEYS_KEYRING_PARTS_H

#include "keys/box.h"
#include "keys/keyring.h"
#include "keys/keyring_rotate.h"

#define KEYRING_KEY_BYTES             32u
#define KEYRING_ENVIRONMENT_BYTES_MAX 64u
#define KEYRING_KEYS_MAX              (1u << 22)
#define KEYRING_OPENED_MAX            256u
#define KEYRING_PAGE_KEYS             256u
#define KEYRING_MAC_BYTES             KDF_HMAC_BYTES
#define KEYRING_SEALED_BYTES          BOX_GCM_BYTES(KEYRING_KEY_BYTES)
#define KEYRING_ROW_BYTES_MAX         512u
#define KEYRING_TICK_MS               60000
#define KEYRING_SUMS                  24u /* One over all rows, and one for each bit of an id. */
#define KEYRING_SUM_BYTES             16u
#define KEYRING_SUMS_BYTES            (KEYRING_SUMS * KEYRING_SUM_BYTES)
#define KEYRING_TROUBLES_MAX          64u /* Who has more has one that matters. */

/* One key, at index id - 1: ids are dense, so that a missing row shows. */
struct keyring_entry {
    struct key_info info;
    struct kdf *pinned; /* A CVV key's, which exists nowhere else; NULL for all others. */
    uint64_t previous;  /* keyring_previous(). */
    uint32_t uses;
    uint16_t opened; /* Its place among `opened`, plus 1; 0 while closed. */
    bool has_sealed; /* False for CVV keys and destroyed ones: their rows have no key bytes. */
    uint8_t sealed[KEYRING_SEALED_BYTES];
    uint8_t mac[KEYRING_MAC_BYTES]; /* Of the row as stored last. */
};

/* The keys of one tenant and purpose that encrypt now; id 0 is none. */
struct keyring_lane {
    char tenant[KEYRING_TENANT_BYTES_MAX];
    enum key_purpose purpose;
    uint64_t active[KEY_LEVEL_DEK + 1];   /* By level. */
    uint64_t newest[KEY_LEVEL_DEK + 1];   /* Made last, active or not. */
    uint32_t versions[KEY_LEVEL_DEK + 1]; /* How many keys were ever made, by level. */
};

/* An unwrapped key, kept until it is the one that was used longest ago. */
struct keyring_opened {
    struct kdf *kdf;
    uint64_t key_id;
    uint64_t used_at; /* In look-ups, not in time. */
};

struct keyring {
    char environment[KEYRING_ENVIRONMENT_BYTES_MAX];
    struct box *box;
    struct kdf *root_kdf;
    struct kdf *manifest_kdf;
    struct secret *scratch; /* The key being wrapped or unwrapped; zero between calls. */
    struct keyring_limits limits;
    struct keyring_periods periods;
    bool loaded;
    int64_t ticked_ms;

    struct keyring_entry *entries;
    size_t entry_count;
    size_t entry_capacity;

    struct keyring_lane *lanes; /* In the order of (purpose, tenant). */
    size_t lane_count;
    size_t lane_capacity;

    struct keyring_opened opened[KEYRING_OPENED_MAX];
    uint64_t look_ups;

    /* One MAC over the rows of each page, so that a changed row costs a page and not the store. */
    uint8_t (*page_macs)[KEYRING_MAC_BYTES];
    bool *page_stale;
    size_t page_count;
    size_t page_capacity;

    /* Over the rows' MACs: keyring_manifest.c. */
    uint8_t sums[KEYRING_SUMS][KEYRING_SUM_BYTES];

    struct keyring_trouble troubles[KEYRING_TROUBLES_MAX];
    unsigned trouble_count;

    uint64_t generation;
    bool manifest_due;
    bool manifest_loaded;
    uint8_t manifest[KEYRING_ROW_BYTES_MAX]; /* As loaded, until keyring_loaded() checks it. */
    size_t manifest_size;

    struct keyring_change *changes; /* Not stored yet; those from change_next on not taken. */
    size_t change_next;
    size_t change_count;
    size_t change_capacity;
};

/* keyring.c */

/* Grows an array to hold `count` things, by doubling; new room is zero. */
STATUS keyring_grow(void **array, size_t thing_size, size_t count, size_t *capacity);
/* The two keys that come from a root itself: the one that wraps KEKs, and the manifest's. */
STATUS keyring_root_open(struct keyring *ring, const struct secret *root, struct kdf **out_root,
                         struct kdf **out_manifest);
/* Finds the lane, or adds it.  Lends it until the next one is added. */
STATUS keyring_lane_find(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                         struct keyring_lane **out_lane);
/* The same, without adding: NULL where there is none. */
struct keyring_lane *keyring_lane_peek(const struct keyring *ring, const char *tenant,
                                       enum key_purpose purpose);

/* keyring_rows.c: one key as a stored row, and the manifest over all of them. */

/* Seals ring->scratch under `parent` with every attribute of `info` bound to it. */
STATUS keyring_row_wrap(struct keyring *ring, const struct key_info *info, struct kdf *parent,
                        uint8_t sealed[static KEYRING_SEALED_BYTES]);
/* The reverse, into ring->scratch, which the caller wipes.  WHY_FORGED. */
STATUS keyring_row_unwrap(struct keyring *ring, const struct keyring_entry *entry,
                          struct kdf *parent);
STATUS keyring_row_encode(const struct keyring_entry *entry,
                          uint8_t row[static KEYRING_ROW_BYTES_MAX], size_t *out_size);
STATUS keyring_row_decode(const void *row, size_t row_size, struct keyring_entry *out_entry);
/* keyring_manifest.c: what vouches for all rows together. */

struct keyring_manifest {
    uint64_t generation;
    uint64_t count;          /* Of keys. */
    const uint8_t *sums;     /* KEYRING_SUMS_BYTES, lent as the next is. */
    const uint8_t *rows_mac; /* KEYRING_MAC_BYTES. */
};

/* The row's MAC under the manifest key, as it stands in its page. */
STATUS keyring_row_mac(struct kdf *manifest, const uint8_t *row, size_t row_size,
                       uint8_t mac[static KEYRING_MAC_BYTES]);
/* Adds a row's MAC to the sums, or takes it out of them again. */
void keyring_sums_toggle(struct keyring *ring, uint64_t id, const uint8_t *mac);
/* Makes room for one more page where the newest entry begins one, and marks its page. */
STATUS keyring_page_touch(struct keyring *ring, size_t entry_index);
STATUS keyring_manifest_make(struct keyring *ring, uint64_t generation,
                             uint8_t row[static KEYRING_ROW_BYTES_MAX], size_t *out_size);
/* The loaded manifest, whether or not the rows are those that it is over.  WHY_FORGED. */
STATUS keyring_manifest_read(struct keyring *ring, struct keyring_manifest *out_manifest);
/* The loaded manifest is over exactly these rows.  WHY_FORGED. */
STATUS keyring_manifest_check(struct keyring *ring);
/* The id of the one row that is not as it was; 0 where there is none, or more than one. */
uint64_t keyring_manifest_suspect(const struct keyring *ring,
                                  const struct keyring_manifest *manifest);

/* keyring_trouble.c: which row is wrong, and how. */

void keyring_trouble_add(struct keyring *ring, uint64_t id, const char *sentence);
/* Looks at every row by itself, once it is known that something is wrong with some, and names each
 * that is.  Always fails: WHY_FORGED, or what kept it from looking. */
STATUS keyring_rows_examine(struct keyring *ring);

/* keyring_open.c: keys unwrapped on demand. */

/* Which states open: in the course of business, and in a migration besides. */
enum keyring_door { KEYRING_DOOR_DAILY, KEYRING_DOOR_MIGRATION };
/* WHY_DENIED for a state that does not open; WHY_FORGED. */
STATUS keyring_entry_open(struct keyring *ring, struct keyring_entry *entry, enum keyring_door door,
                          struct kdf **out_kdf);
void keyring_entry_close(struct keyring *ring, struct keyring_entry *entry);
/* NULL where there is none. */
struct keyring_entry *keyring_entry_find(struct keyring *ring, uint64_t key_id);

/* keyring_change.c: the one place where a key is made or changes, and where rows are queued. */

/* Puts a new active key in the place of the lane's, whose period is over. */
STATUS keyring_lane_renew(struct keyring *ring, struct keyring_lane *lane, int64_t now_ms);
/* Gives `entry`, which is in `lane`, the state, whatever the transition. */
STATUS keyring_entry_move(struct keyring *ring, struct keyring_lane *lane,
                          struct keyring_entry *entry, enum key_state state, int64_t now_ms);
/* Makes the lane's KEK where it has none, and replaces it where its period is over, or `always`:
 * every live key under the old one is wrapped again under the new one. */
STATUS keyring_kek_renew(struct keyring *ring, struct keyring_lane *lane, bool always,
                         int64_t now_ms);
/* True for keys that seal objects: hashes and wraps do not use a key up. */
bool keyring_uses_count(const struct key_info *info);
/* True when the key's time or its uses are used up. */
bool keyring_entry_is_over(const struct keyring *ring, const struct keyring_entry *entry,
                           int64_t now_ms);

#endif
