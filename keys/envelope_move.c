/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/envelope_move.h"

#include <assert.h>
#include <sodium.h>

#include "keys/box.h"

/* What an envelope of this size was padded to. */
static STATUS padding_find(const uint8_t *sealed, size_t sealed_size, size_t *out_padded)
{
    enum envelope_suite suite;

    TRY(envelope_suite_of(sealed, sealed_size, &suite));
    size_t around = BOX_HEADER_BYTES + aead_nonce_bytes(suite) + 2u + AEAD_TAG_BYTES;
    ENSURE(sealed_size >= around, WHY_FORGED);
    *out_padded = sealed_size - around;
    return STATUS_OK;
}

STATUS envelope_move(struct keyring *ring, const struct envelope_place *place,
                     const struct envelope_moved *moved, struct secret *room, struct buffer *out)
{
    size_t padded = 0;
    size_t size = 0;

    assert(ring != NULL);
    assert(secret_size(room) >= ENVELOPE_PLAIN_BYTES_MAX);
    TRY(padding_find(moved->sealed, moved->sealed_size, &padded));
    uint8_t *plain = secret_bytes(room);
    TRY(envelope_open_migrating(ring, place, moved->sealed, moved->sealed_size, plain,
                                ENVELOPE_PLAIN_BYTES_MAX, &size));
    struct status status =
        envelope_seal(ring, moved->key_id, moved->suite, place, plain, size, padded, out);
    sodium_memzero(plain, size);
    return status;
}
