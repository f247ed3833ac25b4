/* SPDX-License-Identifier: Apache-2.0 */
/* What each entry says of rows, compared with what they are now.
 *
 * Most of it is for ever: a token that was made has a row, one that was erased stays erased, a
 * lease that was settled stays so.  Only single-use tokens go back and forth, so what the log said
 * last is kept of those whose row says otherwise at that moment: few in a sound store, as those
 * that differ are the ones between a lease and its settlement. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "vault/lease_id.h"
#include "vault/token_key.h"
#include "vault/verify.h"
#include "vault/verify_table.h"

#define OPEN_MAX     (1u << 17) /* Leases with single-use tokens that are not settled. */
#define DIFFER_MAX   (1u << 17)
#define GONE_MAX     (1u << 17)
#define SWEEP_MS     (3600 * 1000LL) /* How far behind the log a clock may have been. */
#define TENANTS_MAX  4096u
#define NAME_BYTES   128u
#define SEAL_BYTES   4096u
#define EXPIRY_BYTES (8u + 1u + STORE_KEY_BYTES)

struct open_lease {
    uint8_t id[16];
    uint8_t token_count;
    uint8_t tokens[CONTRACT_LEASE_TOKENS_MAX][STORE_KEY_BYTES];
};

struct differing_token {
    uint8_t key[STORE_KEY_BYTES];
    uint64_t seq; /* The entry that says what it should be. */
    bool consumed;
};

/* Its row is not there, and should be unless it was swept: what the clock said last decides. */
struct gone_lease {
    uint8_t id[16];
    uint64_t seq;
    int64_t ends_ms;
};

struct verify_facts {
    struct verify *verify;
    char (*tenants)[KEYRING_TENANT_BYTES_MAX]; /* The ring's, the one that was asked last first. */
    size_t tenant_count;
    struct verify_table gone;
    struct verify_table open;
    struct verify_table differ;
};

/* An entry's parts that are looked at; "" where it has none. */
struct entry {
    const struct json *json;
    uint64_t seq;
    int64_t ms;
    char event[NAME_BYTES];
    char outcome[NAME_BYTES];
    char actor[NAME_BYTES];
    char tenant[NAME_BYTES];
    char object[NAME_BYTES];
    char detail[NAME_BYTES];
};

/* Entries of the keeper's own name tokens of many tenants, and no tenant. */
static STATUS tenants_read(struct verify_facts *facts)
{
    struct key_info info;

    facts->tenants = calloc(TENANTS_MAX, sizeof *facts->tenants);
    ENSURE(facts->tenants != NULL, WHY_NO_MEMORY);
    for (unsigned i = 0;
         keyring_info_at(facts->verify->keeper.ring, i, &info) && facts->tenant_count < TENANTS_MAX;
         i++) {
        bool is_new = info.level == KEY_LEVEL_KEK && info.purpose == KEY_PURPOSE_CARD;
        for (size_t at = 0; is_new && at < facts->tenant_count; at++)
            is_new = strcmp(facts->tenants[at], info.tenant) != 0;
        if (is_new)
            memcpy(facts->tenants[facts->tenant_count++], info.tenant, sizeof info.tenant);
    }
    return STATUS_OK;
}

STATUS verify_facts_new(struct verify *verify, struct verify_facts **out_facts)
{
    struct verify_facts *facts = calloc(1, sizeof *facts);

    ENSURE(facts != NULL, WHY_NO_MEMORY);
    facts->verify = verify;
    facts->open = VERIFY_TABLE(struct open_lease, OPEN_MAX);
    facts->differ = VERIFY_TABLE(struct differing_token, DIFFER_MAX);
    facts->gone = VERIFY_TABLE(struct gone_lease, GONE_MAX);
    *out_facts = facts;
    return tenants_read(facts);
}

void verify_facts_free(struct verify_facts **facts)
{
    if (*facts == NULL)
        return;
    free((*facts)->tenants);
    verify_table_free(&(*facts)->open);
    verify_table_free(&(*facts)->differ);
    verify_table_free(&(*facts)->gone);
    free(*facts);
    *facts = NULL;
}

static void text_of(const struct json *json, uint32_t object, const char *name,
                    char out[static NAME_BYTES])
{
    struct status status =
        json_string(json, json_member(json, object, name), out, NAME_BYTES, NULL);
    if (failed(status))
        out[0] = '\0';
}

/* --- tokens --- */

/* The row of a token as the log has it.  False: nothing can be said of it. */
static STATUS token_of(struct verify_facts *facts, const struct entry *entry, const char *text,
                       uint8_t key[static STORE_KEY_BYTES], struct store_token *out_token,
                       bool *out_found)
{
    struct verify *verify = facts->verify;
    struct verify_place place = {STORE_TOKENS, key, STORE_KEY_BYTES};

    *out_found = false;
    if (!token_is_well_formed(text)) {
        verify->log_skipped++; /* Card-shaped with a right check digit: the log masks it. */
        return STATUS_OK;
    }
    TRY(token_key(&verify->keeper.store, entry->tenant, text, 0, key));
    struct status status = store_get_token(&verify->keeper.store, key, out_token);
    *out_found = !failed(status);
    if (status.why == WHY_NOT_FOUND)
        verify_find(verify, &place, VERIFY_MISSING,
                    "the log says at entry %" PRIu64 " that there is a token, and its row is gone",
                    entry->seq);
    return STATUS_OK; /* One that is not authentic is named where its turn comes. */
}

static STATUS token_made(struct verify_facts *facts, const struct entry *entry, const char *text)
{
    uint8_t key[STORE_KEY_BYTES];
    struct store_token token;
    bool found = false;

    return token_of(facts, entry, text, key, &token, &found);
}

static STATUS token_erased(struct verify_facts *facts, const struct entry *entry)
{
    uint8_t key[STORE_KEY_BYTES];
    struct verify_place place = {STORE_TOKENS, key, sizeof key};
    struct store_token token;
    bool found = false;

    facts->verify->log_erased++;
    facts->verify->log_erased_ms = entry->ms;
    TRY(token_of(facts, entry, entry->object, key, &token, &found));
    if (found && token.state != STORE_TOKEN_ERASED)
        verify_find(facts->verify, &place, VERIFY_ROLLED_BACK,
                    "the log says at entry %" PRIu64 " that it was erased, and it is there",
                    entry->seq);
    return STATUS_OK;
}

/* Erased by the clock. */
static STATUS token_expired(struct verify_facts *facts, const struct entry *entry, const char *text)
{
    struct store *store = &facts->verify->keeper.store;
    char first[KEYRING_TENANT_BYTES_MAX];
    uint8_t key[STORE_KEY_BYTES];
    struct verify_place place = {STORE_TOKENS, key, sizeof key};
    struct store_token token;

    facts->verify->log_erased++;
    facts->verify->log_erased_ms = entry->ms;
    for (size_t i = 0; i < facts->tenant_count && token_is_well_formed(text); i++) {
        TRY(token_key(store, facts->tenants[i], text, 0, key));
        struct status status = store_get_token(store, key, &token);
        if (status.why == WHY_NOT_FOUND)
            continue;
        memcpy(first, facts->tenants[i], sizeof first);
        memcpy(facts->tenants[i], facts->tenants[0], sizeof first);
        memcpy(facts->tenants[0], first, sizeof first);
        if (!failed(status) && token.state != STORE_TOKEN_ERASED)
            verify_find(facts->verify, &place, VERIFY_ROLLED_BACK,
                        "the log says at entry %" PRIu64 " that it expired, and it is there",
                        entry->seq);
        return STATUS_OK;
    }
    facts->verify->log_skipped++;
    return STATUS_OK;
}

/* The log says now that a single-use token is consumed, or is not. */
static STATUS token_is(struct verify_facts *facts, const struct entry *entry,
                       const uint8_t key[static STORE_KEY_BYTES], bool consumed)
{
    struct store_token token;
    struct differing_token differing = {.seq = entry->seq, .consumed = consumed};

    if (failed(store_get_token(&facts->verify->keeper.store, key, &token)))
        return STATUS_OK;
    bool is_consumed = token.state == STORE_TOKEN_CONSUMED;
    if (token.state == STORE_TOKEN_ERASED || is_consumed == consumed) {
        verify_table_drop(&facts->differ, key);
        return STATUS_OK;
    }
    memcpy(differing.key, key, sizeof differing.key);
    struct status status = verify_table_put(&facts->differ, &differing);
    if (status.why != WHY_LIMIT)
        return status;
    facts->verify->log_dropped++;
    return STATUS_OK;
}

/* --- leases --- */

/* A row that a sweep cannot have taken yet has to be there, and end when it should. */
static STATUS lease_kept(struct verify_facts *facts, const struct entry *entry,
                         const uint8_t id[static 16])
{
    struct verify *verify = facts->verify;
    struct verify_place place = {STORE_LEASES, id, 16};
    int64_t ends_ms = entry->ms + KEEPER_LEASE_KEPT_MS;
    uint8_t expiry[EXPIRY_BYTES];
    struct store_lease lease;

    for (unsigned i = 0; i < 8; i++)
        expiry[i] = (uint8_t)((uint64_t)ends_ms >> (56 - 8 * i));
    expiry[8] = STORE_LEASES;
    memcpy(expiry + 9, id, 16);
    struct status status = store_get_lease(&verify->keeper.store, id, &lease);
    if (status.why == WHY_NOT_FOUND) {
        struct gone_lease gone = {.seq = entry->seq, .ends_ms = ends_ms};
        memcpy(gone.id, id, sizeof gone.id);
        if (ends_ms > verify->last_ms + SWEEP_MS)
            status = verify_table_put(&facts->gone, &gone);
        return status.why == WHY_NO_MEMORY ? status : STATUS_OK;
    }
    status = db_get(verify->keeper.db, STORE_EXPIRIES, expiry, sizeof expiry, &verify->row);
    if (status.why != WHY_NOT_FOUND)
        return status;
    place = (struct verify_place){STORE_EXPIRIES, expiry, sizeof expiry};
    verify_find(verify, &place, VERIFY_MISSING,
                "the lease of entry %" PRIu64 " ends then, and nothing ends it", entry->seq);
    return STATUS_OK;
}

static STATUS lease_token(struct verify_facts *facts, const struct entry *entry, const char *text,
                          struct open_lease *lease)
{
    uint8_t key[STORE_KEY_BYTES];
    struct store_token token;
    bool found = false;

    if (strncmp(text, "cvv_", 4) == 0)
        return STATUS_OK; /* Its cell was never in the store. */
    TRY(token_of(facts, entry, text, key, &token, &found));
    if (!found || !token.single_use || lease->token_count == CONTRACT_LEASE_TOKENS_MAX)
        return STATUS_OK;
    memcpy(lease->tokens[lease->token_count++], key, sizeof key);
    return token_is(facts, entry, key, true);
}

static STATUS lease_given(struct verify_facts *facts, const struct entry *entry)
{
    struct store *store = &facts->verify->keeper.store;
    struct open_lease lease = {0};
    uint32_t items = json_member(entry->json, 0, "items");
    char text[NAME_BYTES];

    TRY(lease_id_of(store, entry->actor, entry->object, 0, lease.id));
    uint32_t item = json_first(entry->json, items);
    for (uint32_t i = 0; item != JSON_NONE && i < entry->json->nodes[items].count;
         i++, item = entry->json->nodes[item].next) {
        text_of(entry->json, item, "object", text);
        TRY(lease_token(facts, entry, text, &lease));
    }
    TRY(lease_kept(facts, entry, lease.id));
    if (lease.token_count == 0)
        return STATUS_OK;
    struct status status = verify_table_put(&facts->open, &lease);
    if (status.why != WHY_LIMIT)
        return status;
    facts->verify->log_dropped++;
    return STATUS_OK;
}

/* The row may say more than this entry, as an answer may follow a silence; never less. */
static void lease_row(struct verify_facts *facts, const struct entry *entry,
                      const uint8_t id[static 16], enum message_outcome outcome)
{
    struct verify_place place = {STORE_LEASES, id, 16};
    struct store_lease lease;

    if (failed(store_get_lease(&facts->verify->keeper.store, id, &lease)) ||
        lease.settled == 1 + (unsigned)outcome ||
        (outcome == MESSAGE_OUTCOME_SENT_NO_ANSWER &&
         lease.settled == 1 + MESSAGE_OUTCOME_ANSWERED))
        return;
    verify_find(facts->verify, &place, VERIFY_ROLLED_BACK,
                "the log says at entry %" PRIu64 " that it was settled as %s, and it is %s",
                entry->seq, message_outcome_names[outcome],
                lease.settled == 0 ? "open" : "settled otherwise");
}

static STATUS lease_settled(struct verify_facts *facts, const struct entry *entry, bool closing)
{
    struct store *store = &facts->verify->keeper.store;
    enum message_outcome outcome = MESSAGE_OUTCOME_COUNT;
    uint8_t id[16];

    for (unsigned i = 0; i < MESSAGE_OUTCOME_COUNT; i++)
        if (strcmp(entry->detail, message_outcome_names[i]) == 0)
            outcome = (enum message_outcome)i;
    if (outcome == MESSAGE_OUTCOME_COUNT)
        return STATUS_OK; /* A refusal. */
    TRY(lease_id_of(store, entry->actor, entry->object, 0, id));
    lease_row(facts, entry, id, outcome);
    if (closing)
        return lease_kept(facts, entry, id);
    const struct open_lease *open = verify_table_find(&facts->open, id);
    if (open == NULL || outcome == MESSAGE_OUTCOME_SENT_NO_ANSWER)
        return STATUS_OK;
    struct open_lease lease = *open;
    verify_table_drop(&facts->open, id);
    for (unsigned i = 0; outcome == MESSAGE_OUTCOME_NOT_SENT && i < lease.token_count; i++)
        TRY(token_is(facts, entry, lease.tokens[i], false));
    return STATUS_OK;
}

/* --- entries --- */

typedef STATUS (*token_fn)(struct verify_facts *facts, const struct entry *entry, const char *text);

/* Each token of an entry, or of its items that ended so. */
static STATUS each_token(struct verify_facts *facts, const struct entry *entry, const char *wanted,
                         token_fn run)
{
    uint32_t items = json_member(entry->json, 0, "items");
    uint32_t item = json_first(entry->json, items);
    char outcome[NAME_BYTES];
    char text[NAME_BYTES];

    if (entry->object[0] != '\0')
        return run(facts, entry, entry->object);
    for (uint32_t i = 0; item != JSON_NONE && i < entry->json->nodes[items].count;
         i++, item = entry->json->nodes[item].next) {
        text_of(entry->json, item, "object", text);
        text_of(entry->json, item, "outcome", outcome);
        if (strcmp(outcome, wanted) == 0)
            TRY(run(facts, entry, text));
    }
    return STATUS_OK;
}

static STATUS entry_key(struct verify_facts *facts, const struct entry *entry)
{
    uint32_t key = json_member(entry->json, 0, "key");
    int64_t id = 0;

    if (failed(json_int(entry->json, json_member(entry->json, key, "id"), &id)) || id <= 0)
        return STATUS_OK;
    return verify_keys_entry(facts->verify, entry->event, (uint64_t)id, entry->seq);
}

/* Those that were refused say nothing of a row; those that ended otherwise than well do. */
static STATUS entry_job(struct verify_facts *facts, const struct entry *entry, bool ok)
{
    struct verify_job_entry job = {.event = entry->event,
                                   .object = entry->object,
                                   .detail = entry->detail,
                                   .seq = entry->seq,
                                   .ok = ok};
    bool ended = ok || strcmp(entry->outcome, "expired") == 0 ||
                 strcmp(entry->outcome, "failed") == 0 ||
                 strcmp(entry->outcome, "bytes_found") == 0;

    return ended ? verify_jobs_entry(facts->verify, &job) : STATUS_OK;
}

/* Its detail names custodians, or a token and two persons. */
static void entry_seal(struct verify_facts *facts, const struct entry *entry)
{
    char detail[SEAL_BYTES] = "";
    uint32_t node = json_member(entry->json, 0, "detail");

    if (node != JSON_NONE && failed(json_string(entry->json, node, detail, sizeof detail, NULL)))
        detail[0] = '\0';
    verify_seal_entry(facts->verify, entry->event, detail, entry->seq);
}

STATUS verify_facts_entry(struct verify_facts *facts, const struct json *json, uint64_t seq)
{
    struct entry entry = {.json = json, .seq = seq};
    char ts[NAME_BYTES];

    text_of(json, 0, "event", entry.event);
    text_of(json, 0, "outcome", entry.outcome);
    text_of(json, 0, "actor", entry.actor);
    text_of(json, 0, "tenant", entry.tenant);
    text_of(json, 0, "object", entry.object);
    text_of(json, 0, "detail", entry.detail);
    text_of(json, 0, "ts", ts);
    if (failed(clock_parse(ts, strlen(ts), &entry.ms)))
        return STATUS_OK; /* No entry of ours. */
    bool ok = strcmp(entry.outcome, "ok") == 0;
    if (strcmp(entry.event, policy_action_name(POLICY_CARD_SETTLE)) == 0) {
        bool closing = strcmp(entry.outcome, problem_name(PROBLEM_NOT_FOUND)) == 0;
        return ok || closing ? lease_settled(facts, &entry, closing) : STATUS_OK;
    }
    if (strncmp(entry.event, "approval.", 9) == 0 || strncmp(entry.event, "job.", 4) == 0 ||
        strncmp(entry.event, "erasure.", 8) == 0)
        return entry_job(facts, &entry, ok);
    if (!ok)
        return STATUS_OK;
    if (strcmp(entry.event, policy_action_name(POLICY_CARD_TOKENIZE)) == 0)
        return each_token(facts, &entry, "ok", token_made);
    if (strcmp(entry.event, "card.expire") == 0)
        return each_token(facts, &entry, "erased", token_expired);
    if (strcmp(entry.event, policy_action_name(POLICY_CARD_DELETE)) == 0)
        return token_erased(facts, &entry);
    if (strcmp(entry.event, policy_action_name(POLICY_CARD_LEASE)) == 0)
        return lease_given(facts, &entry);
    if (strncmp(entry.event, "key.", 4) == 0)
        return entry_key(facts, &entry);
    if (strcmp(entry.event, "store.purge") == 0)
        facts->verify->log_purged_ms = entry.ms;
    if (strncmp(entry.event, "seal.", 5) == 0)
        entry_seal(facts, &entry);
    return STATUS_OK;
}

STATUS verify_facts_end(struct verify_facts *facts)
{
    for (size_t i = 0; i < facts->gone.capacity; i++) {
        const struct gone_lease *gone = verify_table_at(&facts->gone, i);
        if (gone == NULL || gone->ends_ms <= facts->verify->log_ms + SWEEP_MS)
            continue;
        struct verify_place place = {STORE_LEASES, gone->id, sizeof gone->id};
        verify_find(facts->verify, &place, VERIFY_MISSING,
                    "the log has its lease at entry %" PRIu64 ", and its row is gone", gone->seq);
    }
    for (size_t i = 0; i < facts->differ.capacity; i++) {
        const struct differing_token *token = verify_table_at(&facts->differ, i);
        if (token == NULL)
            continue;
        struct verify_place place = {STORE_TOKENS, token->key, sizeof token->key};
        verify_find(facts->verify, &place, VERIFY_ROLLED_BACK,
                    "the log says at entry %" PRIu64 " that it was %s, and it is %s", token->seq,
                    token->consumed ? "consumed" : "given back",
                    token->consumed ? "live" : "consumed");
    }
    TRY(verify_jobs_end(facts->verify));
    return verify_keys_end(facts->verify);
}
