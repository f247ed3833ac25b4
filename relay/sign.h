/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sign.h -- has the ledger's log signed: the relay's side of policies/signer.h.
 *
 * In      the signer's socket; the ledger's new leaves, about once a second.
 * Out     signed checkpoints in the ledger.
 * Never   goes on with a signer that remembers another log than the store holds (rollback).
 * Threads the loop's; the log is read and written by the ledger's writer.
 */
#ifndef RELAY_SIGN_H
#define RELAY_SIGN_H

#include <stdbool.h>

#include "base/loop.h"
#include "base/status.h"
#include "policies/rotation.h"
#include "relay/ledger.h"

#define SIGN_HELLO_MS  10000
#define SIGN_FINISH_MS 2000

struct sign;

/* Borrows loop and ledger, takes `fd`.  Waits for the signer's word and checks the store by it,
 * before ledger_start().  `error` gets a sentence; WHY_CONFLICT: the store was rolled back,
 * and `accept`, what an operator said of that, does not fit; the sentence names what would. */
STATUS sign_open(struct loop *loop, struct ledger *ledger, int fd,
                 const struct epoch_statement *accept, struct sign **out_sign, char *error,
                 size_t error_size);
void sign_close(struct sign **sign);

/* Another signer process, in place of one that died.  Takes `fd`; its word is checked as it comes.
 */
void sign_attach(struct sign *sign, int fd);
/* A few times a second. */
void sign_tick(struct sign *sign);

/* At the end, once ledger_stop() returned: waits for a checkpoint over the last entry, so that a
 * log at rest is a signed one.  Accepts NULL. */
void sign_finish(struct sign *sign);

/* False while no signer answers, or when one refused. */
bool sign_is_well(const struct sign *sign);

/* --- Another signing key (policies/rotation.h) --- */
void sign_set_times(struct sign *sign, const struct rotation_times *times);
/* False while one follows another, or somebody waits for one. */
bool sign_may_rotate(const struct sign *sign);
/* Has the signer make the next key: `made` is called once, later, with its word, or with NULL where
 * it is gone.  WHY_BUSY. */
typedef void (*sign_made_fn)(void *owner, const struct signer_keys *keys);
STATUS sign_make(struct sign *sign, sign_made_fn made, void *owner);
/* On the ledger's writer: names it in the log.  `entry` has its actor and whence. */
struct sign_announcement {
    struct audit_entry entry;
    int64_t overlap_ms;
};
STATUS sign_announce(struct ledger *ledger, struct db_batch *batch, const struct signer_keys *keys,
                     const struct sign_announcement *announcement, struct rotation *out_rotation);
/* That is durable: go on from there. */
void sign_rotates(struct sign *sign, const struct rotation *rotation);
/* For people; nothing while the signer has not said. */
void sign_write(const struct sign *sign, struct buffer *out);

#endif
