/* SPDX-License-Identifier: Apache-2.0 */
/* policies/audit_entry.h -- one access, as one JSON object (LOG-8).
 *
 * In      who did what to what, for whom, from where, by which rule, how it ended.
 * Out     at most AUDIT_ENTRY_BYTES_MAX bytes of JSON in a fixed order of keys, with 16 random
 *         bytes of salt.
 * Never   holds a card number, CVV, fingerprint or key byte: texts pass the card-number filter.
 * Threads any.
 */
#ifndef POLICIES_AUDIT_ENTRY_H
#define POLICIES_AUDIT_ENTRY_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define AUDIT_ENTRY_BYTES_MAX 61440u

/* A batch request is one entry with an item for each card or lease. */
struct audit_item {
    const char *object;
    const char *outcome;
    uint64_t key_id; /* What the object is sealed under; 0: none. */
    uint32_t key_version;
};

/* NULL texts are left out. */
struct audit_entry {
    int64_t ts_ms;
    const char *actor; /* Principal's name, or "-" for one that is not known. */
    const char *on_behalf_of;
    const char *origin;  /* Caller's address and component. */
    const char *event;   /* "card.tokenize", "policy.deny", … (standards.md 4). */
    const char *outcome; /* "ok", "replayed", or the problem's code. */
    const char *object;  /* Token, submission, key id. */
    const char *tenant;
    const char *purpose;
    const char *destination;
    const char *bundle; /* Policy: hash, rule, allow or deny. */
    const char *rule;
    const char *decision;
    uint64_t key_id; /* 0: none. */
    uint32_t key_version;
    const char *certificate; /* SHA-256 in hex of the actor's, where two persons are needed; */
    const char *asked_by;    /* and of these two the one who asked, */
    const char *asked_certificate; /* with the certificate of then. */
    const char *request_id;
    const char *detail; /* Free text, filtered. */
    uint64_t count;     /* Of collapsed repeats; 0: none. */
    const struct audit_item *items;
    unsigned item_count;
};

/* Appends the entry as it will be stored and hashed.  actor, origin, event and outcome must be
 * given (LOG-8).  WHY_LIMIT when it would be too long. */
STATUS audit_entry_write(const struct audit_entry *entry, uint64_t seq, struct buffer *out);

#endif
