/* SPDX-License-Identifier: Apache-2.0 */
/* The log twice: is it whole, and, where it is, what does it say of the rows? */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "policies/audit_verify.h"
#include "policies/rotation.h"
#include "vault/verify.h"

/* No JSON text has more values than half its bytes. */
#define NODES_MAX (AUDIT_ENTRY_BYTES_MAX / 2u)
/* The vault itself refuses work long before. */
#define UNSIGNED_MS_MAX (10 * 60 * 1000LL)

static const struct audit_families families = {
    .entries = STORE_AUDIT_ENTRIES,
    .checkpoints = STORE_AUDIT_CHECKPOINTS,
    .state = STORE_AUDIT_STATE,
};

static void nodes_free(struct json_node **nodes)
{
    free(*nodes);
}

static void size_key(uint64_t size, uint8_t out[static 8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(size >> (56 - 8 * i));
}

static void log_trouble(struct verify *verify, const struct audit_verdict *verdict)
{
    static const char frontier[] = "frontier";
    static const enum store_family part_families[] = {
        [AUDIT_PART_ENTRY] = STORE_AUDIT_ENTRIES,
        [AUDIT_PART_CHECKPOINT] = STORE_AUDIT_CHECKPOINTS,
        [AUDIT_PART_STATE] = STORE_AUDIT_STATE,
    };
    uint8_t key[8];
    struct verify_place place = {part_families[verdict->part], key, sizeof key};

    size_key(verdict->at, key);
    if (verdict->part == AUDIT_PART_STATE)
        place = (struct verify_place){STORE_AUDIT_STATE, frontier, sizeof frontier - 1};
    verify_find(verify, &place, VERIFY_UNAUTHENTIC, "%s", verdict->trouble);
}

/* Of the state family only these rows are ever written. */
static STATUS state_walk(struct verify *verify)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;

    TRY(db_iterate(verify->keeper.db, STORE_AUDIT_STATE, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &size);
        struct verify_place place = {STORE_AUDIT_STATE, key, size};
        bool known = (size == 8 && memcmp(key, "frontier", 8) == 0) ||
                     (size == 5 && memcmp(key, "epoch", 5) == 0) ||
                     (size == strlen(ROTATION_ROW) && memcmp(key, ROTATION_ROW, size) == 0);
        if (!known)
            verify_find(verify, &place, VERIFY_UNAUTHENTIC, "no row of that name is ever written");
        verify_count(verify, STORE_AUDIT_STATE);
    }
    return db_iterator_status(rows);
}

static int64_t entry_ms(const struct json *entry)
{
    char text[CLOCK_TEXT_SIZE + 8];
    size_t size = 0;
    int64_t ms = 0;

    struct status status =
        json_string(entry, json_member(entry, 0, "ts"), text, sizeof text, &size);
    if (!failed(status))
        status = clock_parse(text, size, &ms);
    return failed(status) ? 0 : ms;
}

/* An entry that no checkpoint covers is normal for seconds. */
static void log_unsigned(struct verify *verify, uint64_t seq, int64_t since_ms)
{
    uint8_t key[8];
    struct verify_place place = {STORE_AUDIT_ENTRIES, key, sizeof key};

    size_key(seq, key);
    if (since_ms != 0 && verify->log_ms - since_ms > UNSIGNED_MS_MAX)
        verify_find(verify, &place, VERIFY_UNSIGNED,
                    "from entry %" PRIu64 " on no checkpoint was signed, for %" PRId64 " s", seq,
                    (verify->log_ms - since_ms) / 1000);
}

/* Sweeps went by the clock of that time. */
static STATUS last_read(struct verify *verify, struct json_node *nodes)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    struct json entry = {0};
    size_t size = 0;
    size_t at = 0;

    TRY(db_iterate(verify->keeper.db, STORE_AUDIT_ENTRIES, NULL, 0, &rows));
    db_iterator_last(rows);
    if (!db_iterator_valid(rows))
        return db_iterator_status(rows);
    const uint8_t *value = db_iterator_value(rows, &size);
    TRY(json_read(value, size, nodes, NODES_MAX, &entry, &at));
    verify->last_ms = entry_ms(&entry);
    return STATUS_OK;
}

static STATUS facts_walk(struct verify *verify, struct verify_facts *facts, uint64_t signed_size)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    OWNED(nodes_free) struct json_node *nodes = calloc(NODES_MAX, sizeof *nodes);
    int64_t unsigned_ms = 0;
    uint64_t seq = 0;

    ENSURE(nodes != NULL, WHY_NO_MEMORY);
    TRY(last_read(verify, nodes));
    TRY(db_iterate(verify->keeper.db, STORE_AUDIT_ENTRIES, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows), seq++) {
        struct json entry = {0};
        size_t size = 0;
        size_t at = 0;
        const uint8_t *value = db_iterator_value(rows, &size);
        TRY(json_read(value, size, nodes, NODES_MAX, &entry, &at));
        int64_t ms = entry_ms(&entry);
        if (ms > verify->log_ms)
            verify->log_ms = ms;
        if (seq == signed_size)
            unsigned_ms = ms;
        TRY(verify_facts_entry(facts, &entry, seq));
        verify_count(verify, STORE_AUDIT_ENTRIES);
    }
    TRY(db_iterator_status(rows));
    log_unsigned(verify, signed_size, unsigned_ms);
    return verify_facts_end(facts);
}

/* The whole store may be older, its log with it: the signer remembers more.  One that runs may have
 * signed more since it was asked. */
static STATUS signed_check(struct verify *verify, uint64_t signed_size)
{
    OWNED(audit_log_free) struct audit_log *log = NULL;
    char error[256] = "";
    uint8_t key[8];
    struct verify_place place = {STORE_AUDIT_ENTRIES, key, sizeof key};

    if (!verify->has_signed_last || verify->signed_last.size < signed_size)
        return STATUS_OK;
    TRY(audit_log_open(verify->keeper.db, &families, verify->keeper.settings->origin, &log));
    struct status status = audit_log_check(log, &verify->signed_last, error, sizeof error);
    if (status.why != WHY_CONFLICT)
        return status;
    size_key(audit_log_size(log), key);
    verify_find(verify, &place, VERIFY_ROLLED_BACK, "%s", error);
    return STATUS_OK;
}

/* Nothing is wrong but that nothing was signed yet, as in a vault's first second; where that goes
 * on, log_unsigned() says so. */
static bool is_unsigned(const struct audit_verdict *verdict)
{
    static const char none[] = "the log has no signed checkpoint";
    return verdict->checkpoints == 0 && strncmp(verdict->trouble, none, sizeof none - 1) == 0;
}

STATUS verify_log_walk(struct verify *verify)
{
    OWNED(verify_facts_free) struct verify_facts *facts = NULL;
    struct audit_trust trust = {.keys = verify->options->log_keys,
                                .count = verify->options->log_key_count};
    struct audit_verdict verdict = {0};

    TRY(audit_verify_store_by(verify->keeper.db, &families, verify->keeper.settings->origin, &trust,
                              &verdict));
    TRY(state_walk(verify));
    verify->log_entries = verdict.entries;
    verify->log_unsigned = is_unsigned(&verdict);
    verify->log_holds = verdict.good || verify->log_unsigned;
    if (!verify->log_holds) {
        log_trouble(verify, &verdict);
        return STATUS_OK;
    }
    TRY(signed_check(verify, verdict.signed_size));
    TRY(verify_facts_new(verify, &facts));
    return facts_walk(verify, facts, verdict.signed_size);
}
