/* SPDX-License-Identifier: Apache-2.0 */
/* relay/lease.h -- talks to the vault: leases and settlements, many to a request.
 *
 * In      orders for leases; outcomes to settle.  What waits at the end of a turn of the loop goes
 *         out together, up to CONTRACT_LEASES_MAX to a request.
 * Out     cards in secret slots, or why there are none.  Settlements go on until the vault says
 *         that it has them.
 * Never   leaves a card in the body it came in; asks twice for one lease.
 * Threads the loop's.
 */
#ifndef RELAY_LEASE_H
#define RELAY_LEASE_H

#include "base/client.h"
#include "base/secret.h"
#include "base/status.h"
#include "relay/expression.h"
#include "relay/ledger_rows.h"
#include "relay/settings.h"
#include "vault/contract.h"

struct tls_identity;
struct lease_desk;
struct tls_identity;

struct lease_card {
    char token[CONTRACT_TOKEN_MAX + 1];
    struct secret *number;
    struct secret *cardholder_name; /* NULL: none. */
    unsigned exp_month;
    unsigned exp_year;
};
struct lease_cvv {
    char token[CONTRACT_TOKEN_MAX + 1];
    struct secret *value;
};
struct lease {
    char id[LEDGER_LEASE_ID_MAX];
    struct lease_card cards[CONTRACT_LEASE_TOKENS_MAX];
    unsigned card_count;
    struct lease_cvv cvvs[CONTRACT_LEASE_TOKENS_MAX];
    unsigned cvv_count;
};

/* Wipes and frees what it holds; leaves it empty. */
void lease_clear(struct lease *lease);

/* Why there is no lease: a code of the contract's table and a sentence of the vault's, or "". */
struct lease_refusal {
    enum problem_code code;
    char detail[256];
    enum { LEASE_NO_TOKEN, LEASE_CARD_TOKEN, LEASE_CVV_TOKEN } of; /* Which was refused, */
    unsigned index;                                                /* and where in the order. */
    bool may_be_leased; /* The vault may have carried it out: settle it. */
};

/* `lease` is NULL when refused; else its content may be moved out (by assignment and clearing). */
typedef void (*lease_done_fn)(void *owner, struct lease *lease,
                              const struct lease_refusal *refusal);

/* Texts and lists are borrowed until `done`. */
struct lease_order {
    const char *submission_id;
    const char *destination;
    const char *purpose;
    const char *on_behalf_of;
    const char *const *tokens;
    unsigned token_count;
    const char *const *cvv_tokens;
    unsigned cvv_token_count;
};

STATUS lease_desk_new(struct loop *loop, const struct settings *settings, struct ledger *ledger,
                      struct lease_desk **out_desk);
void lease_desk_free(struct lease_desk **desk);
/* What is shown to the vault from now on; lent.  Without one the files of the configuration are
 * read for each connection. */
void lease_desk_show(struct lease_desk *desk, const struct tls_identity *identity);

/* Calls `done` once, later. */
STATUS lease_start(struct lease_desk *desk, const struct lease_order *order, lease_done_fn done,
                   void *owner);

/* Tells the vault, until it knows; the settlement's row is deleted then.  By its submission, whose
 * lease's id need not have been heard: no lease is given to it from then on.  WHY_BUSY when too
 * many wait. */
STATUS lease_settle(struct lease_desk *desk, const char *submission_id,
                    enum ledger_outcome outcome);
/* Takes up the settlements that the ledger kept; at start. */
STATUS lease_resume(struct lease_desk *desk);
/* Once a second: tries again what failed, forgets what is settled. */
void lease_tick(struct lease_desk *desk);

/* How many settlements wait, and whether the vault answered last. */
unsigned lease_waiting(const struct lease_desk *desk);
bool lease_vault_is_well(const struct lease_desk *desk);

#endif
