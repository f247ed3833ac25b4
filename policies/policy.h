/* SPDX-License-Identifier: Apache-2.0 */
/* policies/policy.h -- who may do what: principals, tenants, destinations, rules, and the one
 * decision.
 *
 * In      a YAML document; then questions.
 * Out     yes or no, and the id of the rule that said so. Deny by default; an explicit deny beats
 *         an allow; a missing attribute denies.
 * Never   does input or output after loading; allows what it does not understand.
 * Threads any once loaded.
 */
#ifndef POLICIES_POLICY_H
#define POLICIES_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define POLICY_NAME_BYTES_MAX 64u
#define POLICY_ERROR_MAX      512u
/* The ceiling over what any tenant may say (RET-4). */
#define POLICY_CVV_LIFETIME_MAX_MS (60 * 60 * 1000)

/* Every action that a route may ask for; names as in audit events ("card.tokenize", …). */
enum policy_action {
    POLICY_CARD_TOKENIZE,  /* card.tokenize */
    POLICY_CARD_MASK_READ, /* card.mask_read */
    POLICY_CARD_DELETE,    /* card.delete */
    POLICY_CARD_MATCH,     /* card.match: sees card_id */
    POLICY_CVV_STORE,      /* cvv.store */
    POLICY_CARD_SUBMIT,    /* card.submit: an application, to a destination */
    POLICY_CARD_LEASE,     /* card.lease: a relay, for a submission to a destination */
    POLICY_CARD_SETTLE,    /* card.settle: a relay */
    POLICY_AUDIT_READ,     /* audit.read */
    POLICY_BACKUP_CREATE,  /* backup.create: an operator; to ask how it went, too */
    POLICY_SEAL_READ,      /* seal.read: whether the vault is sealed, and by what */
    POLICY_SEAL_MANAGE,    /* seal.manage: to seal; to ask for a ceremony */
    POLICY_SEAL_SHARE,     /* seal.share: a custodian */
    POLICY_KEY_READ,       /* key.read: the inventory, the jobs */
    POLICY_KEY_ROTATE,     /* key.rotate */
    POLICY_KEY_CHANGE,     /* key.change: to suspend; to ask for compromise and destruction */
    POLICY_KEY_APPROVE,    /* key.approve: what another one asked for */
    POLICY_DATA_ERASE,     /* data.erase: to ask for the erasure of a tenant or an epoch */
    POLICY_RETENTION_READ, /* retention.read */
    POLICY_ACTION_COUNT
};

enum policy_luhn { POLICY_LUHN_REQUIRE, POLICY_LUHN_WARN, POLICY_LUHN_OFF };
enum policy_format {
    POLICY_FORMAT_OPAQUE,
    POLICY_FORMAT_UUID,
    POLICY_FORMAT_CARD,
    POLICY_FORMAT_COUNT
};

struct policy_tenant {
    char name[POLICY_NAME_BYTES_MAX];
    enum policy_luhn luhn;         /* Default require; prefixes below are off by default. */
    unsigned luhn_off_prefixes[8]; /* Default 62 and 81 (standards.md 5.1). */
    unsigned luhn_off_prefix_count;
    bool formats[POLICY_FORMAT_COUNT]; /* Which may be asked for; default opaque and uuid. */
    enum policy_format format;         /* Where a request names none. */
    unsigned card_keep_first;          /* card-shaped tokens: 0, 6 or 8. */
    bool card_keep_last;               /* The last four. */
    bool card_pass_luhn;               /* Only where the tenant says so in writing. */
    bool one_token_per_card;           /* Same card, same token. */
    int64_t cvv_lifetime_ms;           /* 15 min; at most 60. */
    int64_t retention_ms;              /* How long a card is kept; by default 400 days. */
    bool retention_given;              /* The document says so itself. */
};

struct policy_destination {
    char name[POLICY_NAME_BYTES_MAX];
};

struct policy_principal {
    char name[POLICY_NAME_BYTES_MAX];
    char uri[256];                      /* URI SAN of its certificate. */
    char tenant[POLICY_NAME_BYTES_MAX]; /* "" for those that belong to none (relay, auditor). */
};

struct policy_question {
    enum policy_action action;
    const struct policy_principal *principal; /* NULL denies. */
    const char *tenant;                       /* "" where the action has none. */
    const char *destination;                  /* NULL where the action has none. */
    const char *purpose;                      /* NULL where none was given. */
};

struct policy_decision {
    bool allowed;
    char rule[POLICY_NAME_BYTES_MAX]; /* "" where no rule matched. */
};

struct policy;

/* `error` gets `file:line: …`. */
STATUS policy_load(const char *path, struct policy **out_policy, char *error, size_t error_size);
void policy_free(struct policy **policy);

struct policy_decision policy_decide(const struct policy *policy,
                                     const struct policy_question *question);

/* By the URI SAN of a verified certificate; by name.  NULL when there is none. */
const struct policy_principal *policy_principal_by_uri(const struct policy *policy,
                                                       const char *uri);
const struct policy_principal *policy_principal(const struct policy *policy, const char *name);
const struct policy_tenant *policy_tenant(const struct policy *policy, const char *name);
const struct policy_destination *policy_destination(const struct policy *policy, const char *name);
/* Index from 0; NULL at the end. */
const struct policy_tenant *policy_tenant_at(const struct policy *policy, unsigned index);
const struct policy_destination *policy_destination_at(const struct policy *policy, unsigned index);

/* Production wants every tenant to say how long its cards are kept (RET-1): WHY_BAD_INPUT, and
 * `error` names one that does not. */
STATUS policy_check_retention(const struct policy *policy, char *error, size_t error_size);

/* "sha256:<hex>" of the document, for every audit entry. */
const char *policy_bundle(const struct policy *policy);

const char *policy_action_name(enum policy_action action);

#endif
