/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/lease_id.h"

#include <string.h>

#include "vault/contract.h"

#define PREFIX     "lse_"
#define TIME_BYTES 6u /* Of random_ordered_id(). */

STATUS lease_id_of(struct store *store, const char *relay, const char *submission, int64_t now_ms,
                   uint8_t out[static STORE_KEY_BYTES])
{
    uint8_t ordered[16];
    uint8_t hash[STORE_KEY_BYTES];

    TRY(store_key(store, "lease", relay, submission, now_ms, hash));
    memcpy(out, hash, STORE_KEY_BYTES);
    if (failed(decode_id(CONTRACT_SUBMISSION_PREFIX, submission, ordered)))
        return STATUS_OK;
    memcpy(out, ordered, TIME_BYTES);
    memcpy(out + TIME_BYTES, hash, STORE_KEY_BYTES - TIME_BYTES);
    return STATUS_OK;
}

void lease_id_write(const uint8_t id[static STORE_KEY_BYTES], char out[static LEASE_ID_TEXT_BYTES])
{
    memcpy(out, PREFIX, sizeof PREFIX - 1);
    encode_base62(id, out + sizeof PREFIX - 1);
}

STATUS lease_id_read(const char *text, uint8_t out[static STORE_KEY_BYTES])
{
    return decode_id(PREFIX, text, out);
}
