/* SPDX-License-Identifier: Apache-2.0 */
/* vault/view.h -- the masked view of a stored card: all that anybody but a relay ever sees.
 *
 * In      a card's mask and what its owner said about it.
 * Out     one form for the sealed record and for the frames, and JSON for the caller.
 * Never   holds more of a number than its mask.
 * Threads any.
 */
#ifndef VAULT_VIEW_H
#define VAULT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/json.h"
#include "policies/policy.h"
#include "vault/contract.h"

#define VIEW_METADATA_BYTES_MAX 12288u
#define VIEW_CARD_ID_CHARS      32u

struct view {
    char token[CONTRACT_TOKEN_MAX + 1];
    uint8_t brand; /* brand_number() */
    uint8_t length;
    char bin[7];
    char last4[5];
    uint8_t exp_month;
    uint16_t exp_year;
    uint8_t format; /* enum policy_format */
    bool single_use;
    int64_t expires_ms; /* 0: never. */
    int64_t created_ms;
    const uint8_t *metadata; /* A JSON object's bytes, lent; size 0 for none. */
    uint32_t metadata_size;

    /* Only in answers, never in a record. */
    char card_id[VIEW_CARD_ID_CHARS + 1];   /* "": not for this caller. */
    char cvv_token[CONTRACT_TOKEN_MAX + 1]; /* "": none. */
    int64_t cvv_expires_ms;

    /* Only for entries: what the record is sealed under; 0 where nobody looked. */
    uint64_t key_id;
    uint32_t key_version;
};

/* The names of enum policy_format, in its order, NULL-terminated. */
extern const char *const view_format_names[];

void view_encode(const struct view *view, struct buffer *out);
/* Lends the metadata from the cursor's bytes. */
void view_decode(struct cursor *in, struct view *out_view);

/* The object of interfaces.md 2. */
void view_write(struct json_writer *writer, const struct view *view);
/* {"token": …, "expires_at": …} of a CVV. */
void view_write_cvv(struct json_writer *writer, const char *token, int64_t expires_ms);

#endif
