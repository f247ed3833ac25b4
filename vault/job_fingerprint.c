/* SPDX-License-Identifier: Apache-2.0 */
/* A card's fingerprint, made anew under the active key.
 *
 * Each token is made to point to its card's row under the new fingerprint, which is made with the
 * first of them; the row under the old one counts one token less, and goes with the last.  So rows
 * and counts are right at every moment, whoever asks.  Meanwhile a card that comes in is looked for
 * under the new key and then under the old ones. */
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "keys/fingerprint.h"
#include "keys/keyring_rotate.h"
#include "vault/jobs.h"
#include "vault/token_key.h"

/* The keys of a tenant other than the active one, newest first. */
struct former {
    struct keeper *keeper;
    uint64_t next;
    uint64_t active;
};

static struct former former_over(struct keeper *keeper, const char *tenant)
{
    return (struct former){
        .keeper = keeper,
        .next = keyring_newest(keeper->ring, tenant, KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK),
        .active = keyring_active(keeper->ring, tenant, KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK),
    };
}

/* The next that may have rows; 0 at the end. */
static uint64_t former_next(struct former *former)
{
    while (former->next != 0) {
        struct key_info info = {0};
        uint64_t key_id = former->next;
        former->next = keyring_previous(former->keeper->ring, key_id);
        (void)keyring_info_at(former->keeper->ring, (unsigned)key_id - 1, &info);
        if (key_id != former->active && info.state != KEY_STATE_DESTROYED &&
            info.state != KEY_STATE_PRE_ACTIVE)
            return key_id;
    }
    return 0;
}

STATUS job_fingerprint_find(struct keeper *keeper, const char *tenant, const struct secret *pan,
                            struct store_same_card *out_same)
{
    struct former former = former_over(keeper, tenant);
    uint8_t fingerprint[FINGERPRINT_BYTES];

    for (uint64_t key_id; (key_id = former_next(&former)) != 0;) {
        TRY(fingerprint_make_former(keeper->ring, key_id, tenant, pan, fingerprint));
        struct status status = store_get_same_card(&keeper->store, fingerprint, out_same);
        if (status.why != WHY_NOT_FOUND)
            return status;
    }
    return FAIL(WHY_NOT_FOUND);
}

/* The number out of a record: u8 size, digits, and what tokenize.c puts behind. */
static STATUS record_pan(struct job_slice *slice, uint64_t record_id, struct secret **out_pan)
{
    struct envelope_place place = find_place(slice->job->tenant, "card", record_id);
    OWNED(secret_free) struct secret *pan = NULL;
    struct store_record record;
    uint8_t *plain = secret_bytes(slice->room);
    size_t size = 0;

    TRY(store_get_record(&slice->keeper->store, record_id, &record));
    TRY(envelope_open_migrating(slice->keeper->ring, &place, record.card, record.card_size, plain,
                                ENVELOPE_PLAIN_BYTES_MAX, &size));
    struct status status = size >= 1 && plain[0] < size ? STATUS_OK : FAIL(WHY_FORGED);
    if (!failed(status))
        status = secret_new(plain[0], &pan);
    if (!failed(status))
        memcpy(secret_bytes(pan), plain + 1, plain[0]);
    sodium_memzero(plain, size);
    TRY(status);
    *out_pan = MOVE(pan);
    return STATUS_OK;
}

/* The row of the record's token, by the text in its view. */
static STATUS record_token(struct job_slice *slice, uint64_t record_id,
                           uint8_t key[static STORE_KEY_BYTES], struct store_token *out_token)
{
    struct keeper *keeper = slice->keeper;
    struct envelope_place place = find_place(slice->job->tenant, "view", record_id);
    struct store_record record;
    struct view view;
    uint8_t *plain = secret_bytes(slice->room);
    size_t size = 0;

    TRY(store_get_record(&keeper->store, record_id, &record));
    TRY(envelope_open_migrating(keeper->ring, &place, record.view, record.view_size, plain,
                                ENVELOPE_PLAIN_BYTES_MAX, &size));
    struct cursor in = cursor_over(plain, size);
    view_decode(&in, &view);
    bool whole = cursor_done(&in);
    sodium_memzero(plain, size);
    ENSURE(whole, WHY_FORGED);
    TRY(token_key(&keeper->store, slice->job->tenant, view.token, slice->now_ms, key));
    return store_get_token(&keeper->store, key, out_token);
}

static STATUS record_is_covered(struct job_slice *slice, uint64_t record_id, bool *out_covered)
{
    struct store_record record;
    struct key_info info;
    uint64_t key_id = 0;

    TRY(store_get_record(&slice->keeper->store, record_id, &record));
    TRY(envelope_key_id(record.card, record.card_size, &key_id));
    ENSURE(key_id >= 1 && key_id <= UINT32_MAX, WHY_FORGED);
    ENSURE(keyring_info_at(slice->keeper->ring, (unsigned)key_id - 1, &info), WHY_FORGED);
    *out_covered = strcmp(info.tenant, slice->job->tenant) == 0;
    return STATUS_OK;
}

/* One token less in the row at `from`, of which `same` is a copy; without any it goes. */
static STATUS same_card_leave(struct job_slice *slice, const uint8_t *from,
                              struct store_same_card same)
{
    struct keeper *keeper = slice->keeper;

    if (same.token_count == STORE_COUNT_UNKNOWN)
        return STATUS_OK;
    ENSURE(same.token_count > 0, WHY_FORGED);
    same.token_count--;
    if (same.token_count == 0)
        return store_delete_same_card(&keeper->store, keeper->batch, from);
    return store_put_same_card(&keeper->store, keeper->batch, from, &same);
}

/* One token more in the row at `to`, which is made of `old` where it is not there. */
static STATUS same_card_join(struct job_slice *slice, const uint8_t *to,
                             const struct store_same_card *old)
{
    struct keeper *keeper = slice->keeper;
    struct store_same_card same;
    struct status status = store_get_same_card(&keeper->store, to, &same);

    if (status.why == WHY_NOT_FOUND) {
        same = *old;
        if (same.token_count != STORE_COUNT_UNKNOWN)
            same.token_count = 0;
        status = STATUS_OK;
    }
    TRY(status);
    if (same.token_count != STORE_COUNT_UNKNOWN)
        same.token_count++;
    return store_put_same_card(&keeper->store, keeper->batch, to, &same);
}

static STATUS record_move(struct job_slice *slice, uint64_t record_id, const struct secret *pan,
                          bool *out_moved)
{
    struct keeper *keeper = slice->keeper;
    uint8_t fingerprint[FINGERPRINT_BYTES];
    uint8_t key[STORE_KEY_BYTES];
    struct store_same_card old;
    struct store_token token;

    TRY(fingerprint_make(keeper->ring, slice->job->tenant, pan, slice->now_ms, fingerprint));
    struct status status = record_token(slice, record_id, key, &token);
    ENSURE(status.why != WHY_NOT_FOUND, WHY_FORGED); /* A record has a token, */
    TRY(status);
    if (sodium_memcmp(token.fingerprint, fingerprint, sizeof fingerprint) == 0)
        return STATUS_OK;
    status = store_get_same_card(&keeper->store, token.fingerprint, &old);
    ENSURE(status.why != WHY_NOT_FOUND, WHY_FORGED); /* and a token its card's row. */
    TRY(status);
    TRY(same_card_leave(slice, token.fingerprint, old));
    TRY(same_card_join(slice, fingerprint, &old));
    memcpy(token.fingerprint, fingerprint, sizeof fingerprint);
    *out_moved = true;
    return store_put_token(&keeper->store, keeper->batch, key, &token);
}

STATUS job_fingerprint_record(struct job_slice *slice, uint64_t record_id, bool *out_moved)
{
    OWNED(secret_free) struct secret *pan = NULL;
    bool covered = false;

    *out_moved = false;
    TRY(record_is_covered(slice, record_id, &covered));
    if (!covered)
        return STATUS_OK;
    TRY(record_pan(slice, record_id, &pan));
    return record_move(slice, record_id, pan, out_moved);
}
