/* SPDX-License-Identifier: Apache-2.0 */
/* keys/keyring_rotate.h -- keys that follow one another: periods, who is next, who was before.
 *
 * In      a loaded ring, and the time.
 * Out     a new active key in the place of an old one, which goes on to open; what ends soon.
 * Never   touches what the old key sealed: that is for whoever keeps it.
 * Threads one at a time, the ring's.
 */
#ifndef KEYS_KEYRING_ROTATE_H
#define KEYS_KEYRING_ROTATE_H

#include "keys/keyring.h"

/* How long keys of each kind encrypt, for keys made from now on; 0 leaves what is there. */
struct keyring_periods {
    int64_t kek_ms;
    int64_t dek_ms; /* Of card keys: an epoch. */
    int64_t fingerprint_ms;
};
void keyring_periods_set(struct keyring *ring, const struct keyring_periods *periods);

/* Puts a new active key in the place of the one that the lane (tenant, purpose) has at this level,
 * which is deactivated: it opens what it sealed.  Of a KEK only the keys under it are wrapped
 * again, and no object is touched.  Both ids are given.  WHY_NOT_FOUND: the lane has no such key;
 * WHY_BAD_INPUT: no such lane or level; WHY_CONFLICT: keys of this kind have no successor (the
 * index key, under which every row of the store is found). */
struct keyring_rotation {
    uint64_t old_id; /* 0: it had ended already. */
    uint64_t new_id;
};
STATUS keyring_rotate(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                      enum key_level level, int64_t now_ms, struct keyring_rotation *out_rotation);

/* The active key of a lane and level; 0 where there is none. */
uint64_t keyring_active(const struct keyring *ring, const char *tenant, enum key_purpose purpose,
                        enum key_level level);
/* The key that a lane and level was given last, active or not; 0 where there is none. */
uint64_t keyring_newest(const struct keyring *ring, const char *tenant, enum key_purpose purpose,
                        enum key_level level);
/* The key of the same lane and level that was made before it, whatever its state; 0 for the first.
 */
uint64_t keyring_previous(const struct keyring *ring, uint64_t key_id);

/* Active keys that do not end unnoticed as an epoch does, and whose period ends before `now_ms` +
 * `horizon_ms`: the first `count_max` of them.  Returns how many there are. */
unsigned keyring_due(const struct keyring *ring, int64_t now_ms, int64_t horizon_ms,
                     struct key_info *out_infos, unsigned count_max);

#endif
