/* SPDX-License-Identifier: Apache-2.0 */
/* vault/overlay.h -- the rows of the batch that is being gathered, readable before they are
 * committed.
 *
 * In      rows, in the order in which they are put.
 * Out     the newest value of a key, so that the second of two requests in one turn sees the
 *         first: one single-use token is consumed once, one idempotency key makes one token.
 * Never   outlives its turn: cleared (and wiped) with every commit.
 * Threads the keeper's.
 */
#ifndef VAULT_OVERLAY_H
#define VAULT_OVERLAY_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define OVERLAY_BYTES_MAX (64u << 20)

struct overlay_row;

struct overlay {
    struct overlay_row *rows;
    uint32_t count;
    uint32_t capacity;
    uint32_t *buckets;
    struct buffer bytes; /* Keys and values. */
};

STATUS overlay_open(struct overlay *out_overlay);
void overlay_close(struct overlay *overlay);

/* Copies both.  A deletion is a row with no value (`value` NULL). */
STATUS overlay_put(struct overlay *overlay, uint8_t family, const void *key, size_t key_size,
                   const void *value, size_t value_size);

/* WHY_NOT_FOUND: not in this turn.  *out_value is NULL where the row was deleted; lent until the
 * next put. */
STATUS overlay_get(const struct overlay *overlay, uint8_t family, const void *key, size_t key_size,
                   const uint8_t **out_value, size_t *out_size);

/* Takes back, and wipes, every row from mark `count` on; 0 ends the turn. */
void overlay_rewind(struct overlay *overlay, uint32_t count);

#endif
