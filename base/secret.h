/* SPDX-License-Identifier: Apache-2.0 */
/* base/secret.h -- the one type that may hold a card number, a key or a credential.
 *
 * In      bytes that must never reach a file, a log, a core or swap.
 * Out     locked memory that is wiped when freed.  Two tiers: guarded pages for keys (slow to make,
 *         read-only after loading), slots of a pool locked at start for cards (quick).
 * Never   grows; spills to the heap; accepts a failed lock.
 * Threads secret_new and secret_free from any thread; one secret belongs to one thread at a time.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SECRET_BYTES_MAX 512u

struct secret;

/* Locks and guards a pool of `slot_count` slots of SECRET_BYTES_MAX bytes, kept out of core files.
 * Once per process, after any fork.  Fails with WHY_LIMIT where the memory cannot be locked. */
STATUS secret_pool_open(unsigned slot_count);

/* Wipes and releases the pool.  Every slot must have been freed. */
void secret_pool_close(void);

/* Slots not in use; 0 when no pool is open. */
unsigned secret_pool_free_count(void);

/* Takes a zeroed slot of the pool; the caller owns it.
 * Fails with WHY_BUSY when none is left, WHY_LIMIT when `size` passes SECRET_BYTES_MAX. */
STATUS secret_new(size_t size, struct secret **out_secret);

/* Takes guarded, locked pages of their own: for keys.  Fails with WHY_LIMIT where a lock fails. */
STATUS secret_new_key(size_t size, struct secret **out_secret);

/* Makes a key read-only for the rest of its life. */
void secret_protect(struct secret *secret);

/* The two doors: to write, and to read.  A new caller of either is a review question. */
uint8_t *secret_bytes(struct secret *secret);
const uint8_t *secret_peek(const struct secret *secret);

size_t secret_size(const struct secret *secret);

/* Shortens a pool secret to `size` bytes and wipes what it no longer holds. */
void secret_shorten(struct secret *secret, size_t size);

/* Wipes and returns it.  Accepts NULL; leaves NULL. */
void secret_free(struct secret **secret);

#endif
