/* SPDX-License-Identifier: Apache-2.0 */
/* A record's two envelopes, from the key that is to be emptied to the active one. */
#include "base/own.h"
#include "keys/envelope_move.h"
#include "vault/jobs.h"

/* Whose record it is, as its envelope's key says; whether it is one to move. */
static STATUS record_is_covered(struct job_slice *slice, const struct store_record *record,
                                bool *out_covered)
{
    struct keyring *ring = slice->keeper->ring;
    const uint8_t *const sealed[2] = {record->view, record->card};
    const size_t sizes[2] = {record->view_size, record->card_size};

    *out_covered = false;
    for (unsigned i = 0; i < 2; i++) {
        struct key_info info;
        uint64_t key_id = 0;
        TRY(envelope_key_id(sealed[i], sizes[i], &key_id));
        ENSURE(key_id >= 1 && key_id <= UINT32_MAX, WHY_FORGED);
        ENSURE(keyring_info_at(ring, (unsigned)key_id - 1, &info), WHY_FORGED);
        if (jobs_covers(slice->job, &info))
            *out_covered = true;
    }
    return STATUS_OK;
}

static STATUS envelope_go(struct job_slice *slice, const char *purpose, uint64_t record_id,
                          const struct envelope_moved *moved, struct buffer *out)
{
    struct envelope_place place = find_place(slice->job->tenant, purpose, record_id);
    return envelope_move(slice->keeper->ring, &place, moved, slice->room, out);
}

STATUS job_reencrypt_record(struct job_slice *slice, uint64_t record_id, bool *out_moved)
{
    struct keeper *keeper = slice->keeper;
    struct buffer view OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 1024);
    struct buffer card OWNED(buffer_free) = BUFFER(1024);
    struct store_record record;
    uint64_t key_id = 0;

    *out_moved = false;
    TRY(store_get_record(&keeper->store, record_id, &record));
    bool covered = false;
    TRY(record_is_covered(slice, &record, &covered));
    if (!covered)
        return STATUS_OK;
    TRY(keyring_use(keeper->ring, slice->job->tenant, KEY_PURPOSE_CARD, slice->now_ms, &key_id));
    struct envelope_moved moved = {.sealed = record.view,
                                   .sealed_size = record.view_size,
                                   .key_id = key_id,
                                   .suite = slice->job->suite};
    TRY(envelope_go(slice, "view", record_id, &moved, &view));
    moved.sealed = record.card;
    moved.sealed_size = record.card_size;
    TRY(envelope_go(slice, "card", record_id, &moved, &card));
    TRY(buffer_status(&view));
    TRY(buffer_status(&card));
    *out_moved = true;
    return store_put_record(&keeper->store, keeper->batch, record_id, &view, &card);
}
