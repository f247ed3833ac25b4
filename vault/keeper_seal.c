/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed, the vault has its store, its log and its signer, and no key.  A root opens it: of a file
 * at once, of custodians or an HSM when they give it. */
#include "vault/keeper_seal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/own.h"
#include "keys/source.h"
#include "vault/erase.h"
#include "vault/erasure.h"
#include "vault/jobs.h"
#include "vault/keeper_ceremony.h"
#include "vault/keeper_hsm.h"
#include "vault/retention_report.h"

#define SEAL_KEY           "seal"
#define SEAL_TRY_MS        5000
#define SEAL_SET_CHARS     (2 * SEAL_SET_BYTES + 1)
#define SEAL_BOOTS         "boots"
#define SEAL_UNBEGUN       "It has no seal yet; 'cardkeep init' gives it one."
#define SEAL_BEGUN         "It has no seal yet; the ceremony that gives it one is under way."
#define SEAL_NOT_AS_KEPT   "Its seal or its key rows are not as they were stored; see the log."
#define SEAL_TROUBLES_SAID 16u

const char *keeper_environment(const struct keeper *keeper)
{
    return keeper->settings->production ? "production" : "development";
}

const char *keeper_sealed(const struct keeper *keeper)
{
    if (keeper->ring != NULL && !keeper->seal_shutting)
        return NULL;
    return keeper->seal.kind == 0 && keeper->ceremonies.now != NULL ? SEAL_BEGUN : keeper->seal_why;
}

void keeper_seal_say(struct keeper *keeper, const char *why)
{
    if (why != keeper->seal_why) /* Else it was said already. */
        (void)snprintf(keeper->seal_why, sizeof keeper->seal_why, "%s", why);
    keeper->second_ms = 0; /* The front hears of it at once. */
}

/* --- The root of a file --- */

static STATUS seal_read_file(struct keeper *keeper, struct secret **out_root)
{
    char error[256] = "";
    struct source source = {
        .kind = "file",
        .path = keeper->settings->seal_path,
        .production = keeper->settings->production,
        .data = keeper->settings->data,
    };
    struct status status = source_open(&source, out_root, error, sizeof error);

    if (failed(status)) {
        log_failure(LOG_ERROR, "seal_not_opened", status, "detail", error, NULL);
        keeper_seal_say(keeper, error);
    }
    return status;
}

STATUS keeper_seal_prepare(struct keeper *keeper)
{
    if (keeper->settings->seal_kind != SEAL_FILE)
        return STATUS_OK;
    return seal_read_file(keeper, &keeper->seal_given);
}

/* --- Sealed, to open --- */

STATUS keeper_seal_read(struct keeper *keeper)
{
    OWNED(buffer_free) struct buffer row = BUFFER(SEAL_ROW_BYTES_MAX);
    enum seal_kind wanted = keeper->settings->seal_kind;

    keeper->seal = (struct seal_record){0};
    struct status status = db_get(keeper->db, STORE_META, SEAL_KEY, sizeof SEAL_KEY, &row);
    if (status.why == WHY_NOT_FOUND) {
        keeper_seal_say(keeper, SEAL_UNBEGUN);
        return STATUS_OK;
    }
    TRY(status);
    TRY(seal_decode(row.bytes, row.size, &keeper->seal));
    keeper_seal_say(keeper, "Nobody has opened it since it was started.");
    if (keeper->seal.kind != wanted)
        log_event(LOG_WARN, "seal_kind_differs", "configuration", seal_kind_name(wanted), "store",
                  seal_kind_name(keeper->seal.kind), NULL);
    return STATUS_OK;
}

/* Counts this opening: CVV tokens carry the number, so that those of an earlier one are known. */
static STATUS seal_count_boot(struct keeper *keeper, uint32_t *out_boot)
{
    struct buffer value OWNED(buffer_free) = BUFFER(64);
    uint64_t boots = 0;

    struct status status = db_get(keeper->db, STORE_META, SEAL_BOOTS, sizeof SEAL_BOOTS, &value);
    if (!failed(status)) {
        struct cursor in = cursor_over(value.bytes, value.size);
        boots = cursor_u64(&in);
        ENSURE(cursor_done(&in), WHY_FORGED);
    } else if (status.why != WHY_NOT_FOUND)
        return status;
    boots++;
    buffer_clear(&value);
    buffer_add_u64(&value, boots);
    TRY(buffer_status(&value));
    db_batch_put(keeper->batch, keeper->db, STORE_META, SEAL_BOOTS, sizeof SEAL_BOOTS, value.bytes,
                 value.size);
    *out_boot = (uint32_t)boots;
    return STATUS_OK;
}

/* A root that is not this vault's, or a row that was edited, is known before a key is opened. */
static STATUS seal_check_root(struct keeper *keeper, const struct secret *root)
{
    OWNED(buffer_free) struct buffer row = BUFFER(SEAL_ROW_BYTES_MAX);

    TRY(db_get(keeper->db, STORE_META, SEAL_KEY, sizeof SEAL_KEY, &row));
    return seal_check(row.bytes, row.size, root, keeper_environment(keeper));
}

/* Records that are gone had numbers too. */
static STATUS seal_read_numbers(struct keeper *keeper)
{
    uint64_t next = 0;
    struct status status = store_get_mark(&keeper->store, ERASE_MARK_RECORDS, &next);

    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (keeper->next_record < next)
        keeper->next_record = next;
    return STATUS_OK;
}

/* Everything that needs keeper->root. */
static STATUS seal_load(struct keeper *keeper, int64_t now_ms)
{
    const struct settings *settings = keeper->settings;
    uint64_t last_record = 0;
    uint32_t boot = 0;

    TRY(keeper_store_load_keys(keeper, now_ms));
    TRY(store_open(&keeper->store, keeper->db, keeper->ring));
    TRY(store_last_record(&keeper->store, &last_record));
    TRY(seal_read_numbers(keeper));
    if (keeper->next_record <= last_record)
        keeper->next_record = last_record + 1;
    TRY(approve_open(keeper));
    TRY(seal_count_boot(keeper, &boot));
    return cvv_open(keeper->ring, boot, settings->production, settings->cvv_cells, &keeper->cvvs);
}

/* Gives a seal that has no name yet its set id and its time. */
static void seal_name(struct seal_record *record, int64_t now_ms)
{
    if (record->created_ms != 0)
        return;
    random_bytes(record->set_id, sizeof record->set_id);
    record->created_ms = now_ms;
}

/* The row of a seal whose root is keeper->root goes with the next commit. */
static STATUS seal_queue(struct keeper *keeper, struct seal_record *record, int64_t now_ms)
{
    seal_name(record, now_ms);
    return seal_encode(record, keeper->root, keeper_environment(keeper), &keeper->seal_row);
}

static STATUS seal_record(struct keeper *keeper, const char *event, const char *outcome,
                          int64_t now_ms)
{
    const struct seal_record *seal = &keeper->seal;
    char detail[192];
    char set[SEAL_SET_CHARS];
    struct audit_entry entry = {
        .event = event, .object = "seal", .outcome = outcome, .detail = detail};

    encode_hex(seal->set_id, sizeof seal->set_id, set);
    (void)snprintf(
        detail, sizeof detail, "%s, set %s, keyring generation %llu", seal_kind_name(seal->kind),
        set, keeper->ring == NULL ? 0ULL : (unsigned long long)keyring_generation(keeper->ring));
    return keeper_record_own(keeper, &entry, now_ms);
}

static STATUS seal_open(struct keeper *keeper, struct secret **root, int64_t now_ms)
{
    bool is_new = keeper->seal.kind == 0;

    if (!is_new)
        TRY(seal_check_root(keeper, *root));
    keeper->root = MOVE(*root);
    TRY(seal_load(keeper, now_ms));
    if (is_new) { /* Only a file opens what has no seal: keeper_seal_tick(). */
        keeper->seal = (struct seal_record){.kind = SEAL_FILE};
        TRY(seal_queue(keeper, &keeper->seal, now_ms));
    }
    return seal_record(keeper, "seal.open", "ok", now_ms);
}

/* One key row that is not as it was stored. */
static void seal_say_trouble(struct keeper *keeper, const struct keyring_trouble *trouble,
                             int64_t now_ms)
{
    char object[32];
    struct audit_entry entry = {.event = "key.forged",
                                .object = object,
                                .outcome = "forged",
                                .key_id = trouble->id,
                                .detail = trouble->sentence};

    (void)snprintf(object, sizeof object, "key/%llu", (unsigned long long)trouble->id);
    log_event(LOG_ERROR, "key_not_as_stored", "key", object, "detail", trouble->sentence, NULL);
    struct status status = keeper_record_own(keeper, &entry, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
}

void keeper_seal_watch(struct keeper *keeper, int64_t now_ms)
{
    static struct metric *forged;
    struct keyring_trouble trouble;

    if (forged == NULL)
        forged = metric_counter("cardkeep_vault_keys_forged_total", "",
                                "Key rows found that were not as they were stored.");
    if (keeper->ring == NULL)
        return;
    while (keyring_trouble_at(keeper->ring, keeper->key_troubles, &trouble)) {
        keeper->key_troubles++;
        metric_add(forged, 1);
        if (keeper->key_troubles <= SEAL_TROUBLES_SAID)
            seal_say_trouble(keeper, &trouble, now_ms);
        if (keeper->key_troubles == 1)
            (void)snprintf(keeper->seal_why, sizeof keeper->seal_why, "Key %llu: %s.",
                           (unsigned long long)trouble.id, trouble.sentence);
    }
}

/* An attempt that failed is on record, and none follows by itself; with a key that does not hold
 * the rows are kept as they are for whoever looks into it. */
static void seal_open_failed(struct keeper *keeper, struct status status, bool named,
                             int64_t now_ms)
{
    bool wrong = status.why == WHY_DENIED;

    log_failure(LOG_ERROR, wrong ? "root_is_another" : "keys_not_loaded", status, NULL);
    if (wrong)
        keeper_seal_say(keeper, "The root that was given is not this vault's.");
    else if (!named)
        keeper_seal_say(keeper, SEAL_NOT_AS_KEPT);
    keeper->seal_shut = true;
    keeper->second_ms = 0;
    struct status said = seal_record(keeper, "seal.fail", wrong ? "denied" : "forged", now_ms);
    if (failed(said))
        log_failure(LOG_ERROR, "entry_not_recorded", said, NULL);
    keeper_commit(keeper, now_ms);
}

/* Opens with a root that was given, in a commit of its own; where it fails the vault is sealed as
 * before, and seal_why says why. */
static void seal_open_given(struct keeper *keeper, int64_t now_ms)
{
    assert(keeper->ring == NULL);
    assert(!keeper_has_work(keeper));
    struct keeper_mark mark = keeper_mark(keeper);
    struct status status = seal_open(keeper, &keeper->seal_given, now_ms);

    secret_free(&keeper->seal_given);
    if (!failed(status)) {
        keeper_commit(keeper, now_ms);
        status = keeper->store_failed ? FAIL(WHY_IO) : STATUS_OK;
    } else
        keeper_rewind(keeper, &mark, now_ms);
    if (failed(status)) {
        keeper_seal_watch(keeper, now_ms);
        bool passes = status.why == WHY_IO || status.why == WHY_BUSY || status.why == WHY_NO_MEMORY;
        bool named = keeper->key_troubles > 0;
        keeper_seal_drop(keeper);
        if (!passes && !keeper->store_failed)
            seal_open_failed(keeper, status, named, now_ms);
        return;
    }
    keeper->seal_why[0] = '\0';
    keeper->seal_shut = false;
    keeper->second_ms = 0;
    log_event(LOG_INFO, "vault_open", "seal", seal_kind_name(keeper->seal.kind), NULL);
}

void keeper_seal_give(struct keeper *keeper, struct secret **root)
{
    secret_free(&keeper->seal_given);
    keeper->seal_given = MOVE(*root);
}

/* A file opens its vault by itself, and a vault without a seal where one is configured. */
static void seal_try_file(struct keeper *keeper)
{
    bool of_file = keeper->seal.kind == SEAL_FILE ||
                   (keeper->seal.kind == 0 && keeper->settings->seal_kind == SEAL_FILE);

    if (!of_file || keeper->seal_shut || keeper->settings->seal_path == NULL)
        return;
    struct secret *root = NULL;
    if (!failed(seal_read_file(keeper, &root)))
        keeper_seal_give(keeper, &root);
}

void keeper_seal_tick(struct keeper *keeper, int64_t now_ms)
{
    int64_t monotonic_ms = clock_monotonic_ms();

    if (keeper->store_failed || keeper_has_work(keeper))
        return;
    if (keeper->seal_shutting)
        keeper_seal_shut(keeper, keeper->seal_why);
    if (keeper->ring != NULL)
        return;
    if (keeper->seal_given == NULL && monotonic_ms >= keeper->seal_due_ms) {
        keeper->seal_due_ms = monotonic_ms + SEAL_TRY_MS;
        seal_try_file(keeper);
    }
    if (keeper->seal_given != NULL)
        seal_open_given(keeper, now_ms);
}

/* --- Open, to sealed --- */

void keeper_seal_drop(struct keeper *keeper)
{
    jobs_close(&keeper->jobs);
    erasure_forget(keeper);
    retention_report_close(keeper);
    cvv_close(&keeper->cvvs);
    if (keeper->store.turn.buckets != NULL)
        store_close(&keeper->store);
    keeper->store = (struct store){0};
    keyring_free(&keeper->ring);
    secret_free(&keeper->root);
    keeper->key_troubles = 0;
    keeper->approvals = (struct approve_book){0};
    keeper->seal_shutting = false;
}

void keeper_seal_shut(struct keeper *keeper, const char *why)
{
    assert(!keeper_has_work(keeper));
    keeper_seal_drop(keeper);
    keeper->seal_shut = true;
    keeper_seal_say(keeper, why);
    log_event(LOG_WARN, "vault_sealed", "why", why, NULL);
}

/* --- A new seal --- */

STATUS keeper_seal_begin(struct keeper *keeper, struct secret **root, struct seal_record *record,
                         int64_t now_ms)
{
    ENSURE(keeper->seal.kind == 0 && keeper->ring == NULL, WHY_CONFLICT);
    assert(record->kind == SEAL_SHARES || record->kind == SEAL_PKCS11);
    keeper->root = MOVE(*root);
    struct status status = seal_load(keeper, now_ms);
    if (!failed(status))
        status = seal_queue(keeper, record, now_ms);
    if (failed(status)) {
        keeper_seal_drop(keeper);
        return status;
    }
    keeper->seal_shutting = true;
    keeper_seal_say(keeper, "It has its seal, and was not opened since.");
    return STATUS_OK;
}

STATUS keeper_seal_change(struct keeper *keeper, struct secret **root, struct seal_record *record,
                          int64_t now_ms)
{
    assert(keeper_sealed(keeper) == NULL);
    seal_name(record, now_ms);
    TRY(seal_encode(record, *root, keeper_environment(keeper), &keeper->seal_row));
    struct status status = keyring_root_renew(keeper->ring, *root);
    if (failed(status)) {
        buffer_clear(&keeper->seal_row);
        return status;
    }
    secret_free(&keeper->root);
    keeper->root = MOVE(*root);
    return STATUS_OK;
}

void keeper_seal_put(struct keeper *keeper)
{
    db_batch_put(keeper->batch, keeper->db, STORE_META, SEAL_KEY, sizeof SEAL_KEY,
                 keeper->seal_row.bytes, keeper->seal_row.size);
}

void keeper_seal_ended(struct keeper *keeper, bool commit_failed)
{
    bool by_hand = keeper->keys_by_hand || keeper->seal_row.size > 0;

    keeper->keys_by_hand = false;
    if (commit_failed)
        keeper_ceremony_lost(keeper);
    /* What was refused must not come with a later batch: seal and keys are what the disk says they
     * are, once it can be asked. */
    if (commit_failed && by_hand)
        keeper_seal_drop(keeper);
    else if (keeper->seal_row.size > 0) {
        struct status status =
            seal_decode(keeper->seal_row.bytes, keeper->seal_row.size, &keeper->seal);
        assert(!failed(status));
    }
    buffer_clear(&keeper->seal_row);
}
