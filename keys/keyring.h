/* SPDX-License-Identifier: Apache-2.0 */
/* keys/keyring.h -- every key of the vault below the root: KEKs, DEKs, fingerprint, index and CVV
 * keys.
 *
 * In      the root key; the rows that an earlier keyring made.
 * Out     keys to use, by purpose and tenant; rows to store, each bound to its id, level, purpose,
 *         tenant, environment, state and version (HSM-1, KEY-11), and a manifest over all of them.
 * Never   stores: its caller puts the changed rows into the same batch as what used the key; gives
 *         a key to encrypt that is not active (KEY-9); opens a row that was swapped, renamed or
 *         rolled back.
 * Threads one at a time.
 *
 * Tree: root -> KEK per (tenant, purpose), wrapped by the root -> DEK per epoch (2^20 uses, 24 h or
 * a restart), wrapped by its KEK.  Fingerprint and index keys hang from KEKs of their own purpose:
 * the former have a period of years, the latter none.  CVV keys are in memory only: their rows have
 * no key bytes, and those of an earlier process are marked destroyed at load.
 */
#ifndef KEYS_KEYRING_H
#define KEYS_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"
#include "keys/kdf.h"

#define KEYRING_TENANT_BYTES_MAX 64u
/* How long a CVV key opens after its epoch: the ceiling of a cell's life. */
#define KEYRING_CVV_KEPT_MS           (3600 * 1000LL)
#define KEYRING_USES_MAX              (1u << 20)
#define KEYRING_EPOCH_MS              (24 * 3600 * 1000LL)
#define KEYRING_CVV_EPOCH_MS          (3600 * 1000LL)
#define KEYRING_KEK_PERIOD_MS         (365LL * 24 * 3600 * 1000)
#define KEYRING_FINGERPRINT_PERIOD_MS (730LL * 24 * 3600 * 1000)

enum key_level { KEY_LEVEL_KEK = 1, KEY_LEVEL_DEK = 2 };

enum key_purpose {
    KEY_PURPOSE_CARD = 1,    /* Records: the card and its masked view. */
    KEY_PURPOSE_FINGERPRINT, /* Same-card detection; a tree of its own. */
    KEY_PURPOSE_INDEX,       /* Token index, row seals and request digests; tenant "". */
    KEY_PURPOSE_CVV,         /* Memory only. */
    KEY_PURPOSE_COUNT
};

/* NIST SP 800-57 part 1 rev. 5 section 7. */
enum key_state {
    KEY_STATE_PRE_ACTIVE = 1,
    KEY_STATE_ACTIVE,
    KEY_STATE_SUSPENDED,
    KEY_STATE_DEACTIVATED,
    KEY_STATE_COMPROMISED,
    KEY_STATE_DESTROYED,
};

struct key_info {
    uint64_t id;
    uint64_t parent_id; /* 0 is the root. */
    uint32_t version;   /* Counts the keys of one (level, tenant, purpose). */
    enum key_level level;
    enum key_purpose purpose;
    enum key_state state;
    char tenant[KEYRING_TENANT_BYTES_MAX];
    int64_t created_ms;
    int64_t changed_ms;           /* Of the state. */
    int64_t not_after_encrypt_ms; /* 0: never by the clock. */
    uint64_t generation;          /* Of the manifest with which its row was stored. */
};

/* A row to be stored under its id; id 0 is the manifest. */
struct keyring_change {
    struct key_info info; /* All zero for the manifest. */
    /* "key.create", "key.activate", "key.suspend", "key.deactivate", "key.compromise",
     * "key.destroy", or "key.rewrap" (a new parent, all else as it was); "" for the manifest. */
    const char *event;
    uint64_t row_id;
    uint8_t row[512];
    size_t row_size;
};

struct keyring;

/* `root` is borrowed and must outlive the ring.  `environment` is mixed into every derivation
 * (KEY-3). */
STATUS keyring_new(const struct secret *root, const char *environment, struct keyring **out_ring);
void keyring_free(struct keyring **ring);

/* Every stored row, in any order, and then keyring_loaded(), which alone judges them. */
STATUS keyring_load(struct keyring *ring, uint64_t row_id, const void *row, size_t row_size);
/* A restart begins a new epoch, as uses are counted in memory: what was active to encrypt cards is
 * deactivated, and changes wait.  Call it on a new store as well, with no row loaded.  WHY_FORGED
 * when a row or the set of rows is not what a ring under this root and environment stored last:
 * keyring_trouble_at() then names what is wrong. */
STATUS keyring_loaded(struct keyring *ring, int64_t now_ms);

/* A row that is not as it was stored: altered, moved, missing, or put back from an earlier copy. */
struct keyring_trouble {
    uint64_t id;          /* The row's; 0 is the manifest, or the rows as a whole. */
    const char *sentence; /* What is wrong; fixed text. */
};
/* What was found wrong when the rows were loaded, or when one was used; false at the end. */
bool keyring_trouble_at(const struct keyring *ring, unsigned index,
                        struct keyring_trouble *out_trouble);

/* The key to encrypt with now, made where there is none or where its period is over; counts one
 * use. Changes may be waiting afterwards: keyring_take_change().  `now_ms` 0 is the last time that
 * the ring was told: for callers without a clock, as those who seal a row are. */
STATUS keyring_use(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                   int64_t now_ms, uint64_t *out_key_id);

/* Ends what is due: epochs that are over, CVV keys whose last cell has expired.  keyring_use() does
 * this too, so that only an idle vault needs to call it, once a minute or so. */
STATUS keyring_tick(struct keyring *ring, int64_t now_ms);

/* Whether SP 800-57 has this transition at all. */
bool keyring_may_change(enum key_state from, enum key_state to);

/* How often this key encrypted since it was made, or since the ring was loaded. */
uint64_t keyring_uses(const struct keyring *ring, uint64_t key_id);

/* Moves a key to another state, for a ceremony that the caller has authorized.  A KEK that leaves
 * the active state is replaced first, and every key under it is wrapped again under the new one.
 * WHY_NOT_FOUND: no such id; WHY_CONFLICT: SP 800-57 has no such transition, or keys still hang
 * from a KEK that is to be destroyed, or another key took the place of the one to be activated, or
 * it is the index key, which lives as long as the store that is found by it.
 * That no record needs a key any more before it is destroyed is for the caller to know. */
STATUS keyring_change_state(struct keyring *ring, uint64_t key_id, enum key_state state,
                            int64_t now_ms);

/* Puts a new root in the place of the ring's: every KEK is wrapped again under it, whatever its
 * state, and the manifest is made with its key.  The changes that wait then ("key.rewrap" each)
 * belong into one batch with what tells how the new root is had; from that batch on the old root
 * opens nothing of the store.  No other key changes: open ones stay open.  WHY_BAD_INPUT: under 256
 * bits, or the ring's own root again.  On failure the ring is as it was. */
STATUS keyring_root_renew(struct keyring *ring, const struct secret *new_root);

/* Lends the derivation of a key, for envelope.c and fingerprint.c: valid until the next call on the
 * ring. WHY_NOT_FOUND: no such id; WHY_DENIED: its state does not allow it (`to_encrypt` or to
 * open). */
STATUS keyring_kdf(struct keyring *ring, uint64_t key_id, bool to_encrypt, struct kdf **out_kdf,
                   const struct key_info **out_info);

/* The same, to open, for a compromised key as well: for a job that moves away what is under it, and
 * for nobody else. */
STATUS keyring_kdf_migrating(struct keyring *ring, uint64_t key_id, struct kdf **out_kdf,
                             const struct key_info **out_info);

/* Forgets the key of the object that was sealed or opened last: for the end of a turn. */
void keyring_rest(struct keyring *ring);

const char *keyring_environment(const struct keyring *ring);

/* Counts the manifests ever made: with it in the audit log, a store that was rolled back as a whole
 * shows as well. */
uint64_t keyring_generation(const struct keyring *ring);

/* Next row to store, in the order in which to store them (a row may come twice); false when there
 * is none.  The manifest comes last, once, where anything changed.  What was taken is to be stored
 * before anything that used it is told to anyone. */
bool keyring_take_change(struct keyring *ring, struct keyring_change *out_change);
/* All that was taken is stored: it may be forgotten. */
void keyring_stored(struct keyring *ring);
/* What was taken since keyring_stored() was not stored: all of it waits again. */
void keyring_untake(struct keyring *ring);

/* The inventory: index from 0; false at the end. */
bool keyring_info_at(const struct keyring *ring, unsigned index, struct key_info *out_info);

const char *key_purpose_name(enum key_purpose purpose);
const char *key_state_name(enum key_state state);

/* The ring's own, for envelope.c. */
struct box;
struct box *keyring_box(struct keyring *ring);

/* Smaller bounds than the real ones, for tests. */
struct keyring_limits {
    uint32_t uses_max;
    unsigned opened_max;
};
void keyring_limits_for_test(struct keyring *ring, struct keyring_limits limits);

#endif
