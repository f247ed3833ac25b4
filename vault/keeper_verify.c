/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_verify.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/fingerprint.h"
#include "keys/source.h"
#include "vault/keeper_confine.h"
#include "vault/keeper_seal.h"
#include "vault/steps.h"

#define VERIFY_SLOTS      16u
#define VERIFY_LOCK_BYTES ((VERIFY_SLOTS + 16u) * SECRET_BYTES_MAX)
#define VERIFY_SAID_MAX   10u    /* Rows named of those that do not hold. */
#define VERIFY_SAY_EVERY  10000u /* Records. */

struct verify {
    struct keeper keeper; /* Its store, ring and root; nothing else of it. */
    struct buffer plain;
    keeper_verify_fn progress;
    struct buffer *out;
    uint64_t bad;
};

/* What holds of one row, by its key. */
typedef STATUS (*verify_row_fn)(struct verify *verify, const uint8_t *key);

static void verify_say(struct verify *verify, const char *what, const uint8_t *key, size_t key_size,
                       struct status status)
{
    char text[2 * 64 + 1];

    if (verify->bad++ < VERIFY_SAID_MAX && key_size <= 64) {
        encode_hex(key, key_size, text);
        buffer_format(verify->out, "%s %s does not hold: %s\n", what, text,
                      status_name(status.why));
    }
}

/* Both envelopes of a record open in their tenant's name, and show one card. */
static STATUS verify_record(struct verify *verify, const uint8_t *key)
{
    struct keeper *keeper = &verify->keeper;
    OWNED(secret_free) struct secret *card = NULL;
    struct cursor in = cursor_over(key, 8);
    uint64_t id = cursor_u64(&in);
    struct policy_tenant tenant = {0};
    struct store_record record;
    const struct key_info *info = NULL;
    struct kdf *kdf = NULL;
    struct view view;
    uint64_t key_id = 0;
    size_t size = 0;
    uint8_t digits = 0;

    TRY(store_get_record(&keeper->store, id, &record));
    TRY(envelope_key_id(record.view, record.view_size, &key_id));
    TRY(keyring_kdf(keeper->ring, key_id, false, &kdf, &info));
    (void)snprintf(tenant.name, sizeof tenant.name, "%s", info->tenant);
    TRY(find_view(keeper, &tenant, id, &verify->plain, &view));
    TRY(secret_new(SECRET_BYTES_MAX, &card));
    struct envelope_place place = find_place(tenant.name, "card", id);
    TRY(store_get_record(&keeper->store, id, &record));
    TRY(envelope_open(keeper->ring, &place, record.card, record.card_size, secret_bytes(card),
                      SECRET_BYTES_MAX, &size));
    in = cursor_over(secret_peek(card), size);
    const uint8_t *number = message_bytes_decode(&in, &digits);
    ENSURE(!in.bad && digits == view.length && digits > 4, WHY_FORGED);
    ENSURE(sodium_memcmp(number + digits - 4, view.last4, 4) == 0, WHY_FORGED);
    return STATUS_OK;
}

static STATUS verify_token(struct verify *verify, const uint8_t *key)
{
    struct store *store = &verify->keeper.store;
    struct store_token token;
    struct store_record record;

    TRY(store_get_token(store, key, &token));
    if (token.state == STORE_TOKEN_ERASED)
        return STATUS_OK;
    return store_get_record(store, token.record_id, &record);
}

static STATUS verify_same_card(struct verify *verify, const uint8_t *key)
{
    struct store_same_card row;

    return store_get_same_card(&verify->keeper.store, key, &row);
}

static STATUS verify_lease(struct verify *verify, const uint8_t *key)
{
    struct store_lease lease;

    return store_get_lease(&verify->keeper.store, key, &lease);
}

static STATUS verify_repeat(struct verify *verify, const uint8_t *key)
{
    struct store_repeat repeat;

    return store_get_repeat(&verify->keeper.store, key, &repeat);
}

static const struct verify_kind {
    const char *name;
    enum store_family family;
    size_t key_bytes;
    verify_row_fn row;
} verify_kinds[] = {
    {"record", STORE_RECORDS, 8, verify_record},
    {"token", STORE_TOKENS, STORE_KEY_BYTES, verify_token},
    {"same card", STORE_FINGERPRINTS, FINGERPRINT_BYTES, verify_same_card},
    {"lease", STORE_LEASES, STORE_KEY_BYTES, verify_lease},
    {"repeat", STORE_IDEMPOTENCY, STORE_KEY_BYTES, verify_repeat},
};

static STATUS verify_kind(struct verify *verify, const struct verify_kind *kind)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint64_t count = 0;
    uint64_t bad_before = verify->bad;

    TRY(db_iterate(verify->keeper.db, kind->family, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &size);
        struct status status = size == kind->key_bytes ? kind->row(verify, key) : FAIL(WHY_FORGED);
        if (failed(status))
            verify_say(verify, kind->name, key, size, status);
        count++;
        if (verify->progress != NULL && count % VERIFY_SAY_EVERY == 0)
            verify->progress(kind->name, count);
    }
    buffer_format(verify->out, "%s rows: %" PRIu64 ", of which %" PRIu64 " hold\n", kind->name,
                  count, count - (verify->bad - bad_before));
    return db_iterator_status(rows);
}

static STATUS verify_open(struct verify *verify, char *reason, size_t reason_size)
{
    struct keeper *keeper = &verify->keeper;
    const struct settings *settings = keeper->settings;
    struct sandbox_report report = {0};
    struct source source = {.kind = "file",
                            .path = settings->seal_path,
                            .production = settings->production,
                            .data = settings->data};
    struct db_options options = {.families = store_families,
                                 .family_count = STORE_FAMILY_COUNT,
                                 .cache_bytes = settings->cache_bytes,
                                 .read_only = true};

    (void)snprintf(reason, reason_size, "the guards of this process could not be set");
    TRY(keeper_confine(settings, VERIFY_LOCK_BYTES, &report));
    ENSURE(sodium_init() >= 0, WHY_IO);
    TRY(secret_pool_open(VERIFY_SLOTS));
    TRY(source_open(&source, &keeper->root, reason, reason_size));
    TRY(db_open(settings->data, &options, &keeper->db, reason, reason_size));
    (void)snprintf(reason, reason_size, "the store's keys are not this seal's, or not as stored");
    TRY(keeper_store_load_keys(keeper, clock_now_ms()));
    return store_open(&keeper->store, keeper->db, keeper->ring);
}

static STATUS verify_all(struct verify *verify, char *reason, size_t reason_size)
{
    static const struct audit_families families = {
        .entries = STORE_AUDIT_ENTRIES,
        .checkpoints = STORE_AUDIT_CHECKPOINTS,
        .state = STORE_AUDIT_STATE,
    };

    TRY(verify_open(verify, reason, reason_size));
    (void)snprintf(reason, reason_size, "the store cannot be read to its end");
    for (size_t i = 0; i < sizeof verify_kinds / sizeof verify_kinds[0]; i++)
        TRY(verify_kind(verify, &verify_kinds[i]));
    (void)snprintf(reason, reason_size, "the audit log's rows contradict each other");
    TRY(audit_log_open(verify->keeper.db, &families, verify->keeper.settings->origin,
                       &verify->keeper.log));
    buffer_format(verify->out,
                  "audit entries: %" PRIu64 "; `cardkeep audit verify --store` proves each\n",
                  audit_log_size(verify->keeper.log));
    return STATUS_OK;
}

enum keeper_verdict keeper_verify_run(const struct settings *settings, keeper_verify_fn progress,
                                      struct buffer *out)
{
    char reason[512] = "";
    struct verify verify = {
        .keeper = {.settings = settings, .front_fd = -1, .signer_fd = -1},
        .plain = BUFFER(ENVELOPE_PLAIN_BYTES_MAX),
        .progress = progress,
        .out = out,
    };
    struct status status = verify_all(&verify, reason, sizeof reason);

    if (failed(status))
        buffer_format(out, "%s (%s)\n", reason, status_name(status.why));
    else
        buffer_format(out, "%s\n", verify.bad == 0 ? "all of it holds" : "NOT all of it holds");
    keeper_store_close(&verify.keeper);
    secret_free(&verify.keeper.root);
    buffer_free(&verify.plain);
    if (failed(status))
        return status.why == WHY_FORGED ? KEEPER_VERIFY_BAD : KEEPER_VERIFY_SHUT;
    return verify.bad > 0 ? KEEPER_VERIFY_BAD : KEEPER_VERIFY_GOOD;
}
