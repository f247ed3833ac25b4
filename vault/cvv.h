/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cvv.h -- verification codes: sealed cells in locked memory, and nowhere else (SAD-1 to
 * SAD-7).
 *
 * In      a code for one card token of one tenant and one purchase.
 * Out     a cvv_ token; once, to one submission, the code.
 *             STORED -> LEASED -> DESTROYED
 *               ^---------'  not one byte was sent
 * Never   writes a code anywhere; hashes, counts or renews one; outlives its process.
 * Threads the keeper's.
 *
 * A token carries the number of the boot that made it and check characters under a key of the
 * vault, so that one that is no longer held can be told apart: made by an earlier boot (lost), by
 * this one (expired), or by nobody (not found).
 */
#ifndef VAULT_CVV_H
#define VAULT_CVV_H

#include <stdint.h>

#include "base/secret.h"
#include "base/status.h"
#include "keys/keyring.h"
#include "vault/contract.h"
#include "vault/store.h"

#define CVV_ID_BYTES    16u
#define CVV_LEASE_BYTES 16u
#define CVV_CELL_COUNT  16384u /* 264 bytes each: a little over 4 MiB of locked memory. */

struct cvv_cells;

struct cvv_bond {
    const char *tenant;
    uint8_t token_key[STORE_KEY_BYTES]; /* Of the card token, as the store indexes it. */
    const char *purchase;               /* "" where the caller named none. */
};

struct cvv_loan {
    uint8_t lease_id[CVV_LEASE_BYTES];
    int64_t ends_ms;
};

/* `boot` is this process's number, never used before.  Borrows the ring. */
STATUS cvv_open(struct keyring *ring, uint32_t boot, bool live, unsigned cell_count,
                struct cvv_cells **out_cells);
/* Wipes every cell. */
void cvv_close(struct cvv_cells **cells);

/* Seals the code into a free cell until `deadline_ms`.  WHY_BUSY when all cells are in use. */
STATUS cvv_store(struct cvv_cells *cells, const struct cvv_bond *bond, const struct secret *cvv,
                 int64_t now_ms, int64_t deadline_ms, uint8_t out_id[static CVV_ID_BYTES]);

/* The token's text, and back.  cvv_parse() is false for anything that this vault did not make for
 * this tenant. */
STATUS cvv_token(struct cvv_cells *cells, const char *tenant, const uint8_t id[static CVV_ID_BYTES],
                 char out[static CONTRACT_TOKEN_MAX + 1]);
bool cvv_parse(struct cvv_cells *cells, const char *tenant, const char *token,
               uint8_t out_id[static CVV_ID_BYTES]);

/* Opens the code for one submission and marks the cell leased to it until the loan ends.  On
 * refusal the problem's code says why: cvv_consumed, cvv_expired, cvv_lost, or state_conflict
 * (leased to another submission, bound to another card). */
STATUS cvv_lease(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES],
                 const uint8_t token_key[static STORE_KEY_BYTES], const struct cvv_loan *loan,
                 int64_t now_ms, struct secret **out_cvv, enum problem_code *out_code);

/* The gateway answered: gone for good. */
void cvv_destroy(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES]);
/* Nothing was sent: back to STORED, unless its deadline has passed; too late once its lease has.
 * Does nothing where another lease has it by now: a settlement may be said again.  Without a
 * `lease_id`, whoever has it. */
void cvv_return(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES],
                const uint8_t *lease_id, int64_t now_ms);
/* Its store was not committed: as if it had never been. */
void cvv_forget(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES]);
/* When a stored cell ends; 0 when it is not held any more. */
int64_t cvv_deadline_ms(const struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES]);

/* Destroys what has run out; looks at `count` cells a call, in turn. */
void cvv_sweep(struct cvv_cells *cells, int64_t now_ms, unsigned count);

unsigned cvv_held(const struct cvv_cells *cells);

#endif
