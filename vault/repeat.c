/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <string.h>

#include "keys/fingerprint.h"
#include "vault/steps.h"

STATUS repeat_find(struct keeper_op *op, enum message_type kind, const struct buffer *content,
                   struct repeat *out_repeat, bool *out_found, struct store_repeat *out_row)
{
    struct store *store = &op->keeper->store;

    *out_repeat = (struct repeat){0};
    *out_found = false;
    if (op->caller->idempotency_key[0] == '\0')
        return STATUS_OK;
    out_repeat->wanted = true;
    TRY(store_key(store, "repeat", op->principal->name, op->caller->idempotency_key, op->now_ms,
                  out_repeat->key));
    TRY(fingerprint_index(op->keeper->ring, "request", content->bytes, content->size, op->now_ms,
                          out_repeat->digest));
    struct status status = store_get_repeat(store, out_repeat->key, out_row);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (op->now_ms >= out_row->expires_ms)
        return STATUS_OK;
    if (out_row->kind == (uint8_t)kind && out_row->result_size == 0)
        return keeper_refuse(op, PROBLEM_ERASED, NULL, NULL); /* With what it answered. */
    if (out_row->kind != (uint8_t)kind ||
        sodium_memcmp(out_row->digest, out_repeat->digest, sizeof out_row->digest) != 0)
        return keeper_refuse(op, PROBLEM_IDEMPOTENCY_CONFLICT, NULL, NULL);
    *out_found = true;
    return STATUS_OK;
}

STATUS repeat_keep(struct keeper_op *op, enum message_type kind, const struct repeat *repeat,
                   const struct buffer *result)
{
    struct store_repeat row = {
        .kind = (uint8_t)kind,
        .expires_ms = op->now_ms + KEEPER_REPEAT_MS,
        .result = result->bytes,
        .result_size = (uint32_t)result->size,
    };

    if (!repeat->wanted)
        return STATUS_OK;
    TRY(buffer_status(result));
    memcpy(row.digest, repeat->digest, sizeof row.digest);
    return store_put_repeat(&op->keeper->store, op->keeper->batch, repeat->key, &row);
}
