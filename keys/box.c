/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/box.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/secret.h"

#define SIZE_BYTES           2u
#define SCRATCH_BYTES        (SIZE_BYTES + BOX_PLAIN_BYTES_MAX)
#define PREFIX_BYTES_MAX     (BOX_HEADER_BYTES + AEAD_NONCE_BYTES_MAX)
#define ASSOCIATED_BYTES_MAX (PREFIX_BYTES_MAX + BOX_PLACE_BYTES_MAX)
#define SALT_AT              (1u + 1u + 8u)
#define COMMIT_AT            (SALT_AT + BOX_SALT_BYTES)
#define OKM_BYTES            (AEAD_KEY_BYTES + BOX_COMMIT_BYTES)

static_assert(OKM_BYTES <= KDF_BYTES_MAX, "one derivation gives key and commitment");
static_assert(BOX_PLAIN_BYTES_MAX <= UINT16_MAX, "sizes are u16");

struct box {
    struct aead *aead;
    struct secret *scratch; /* Zero between calls. */
};

void box_free(struct box **box)
{
    assert(box != NULL);
    if (*box == NULL)
        return;
    aead_free(&(*box)->aead);
    secret_free(&(*box)->scratch);
    free(*box);
    *box = NULL;
}

STATUS box_new(struct box **out_box)
{
    assert(out_box != NULL);
    OWNED(box_free) struct box *box = calloc(1, sizeof *box);
    ENSURE(box != NULL, WHY_NO_MEMORY);
    TRY(aead_new(&box->aead));
    TRY(secret_new_key(SCRATCH_BYTES, &box->scratch));
    *out_box = MOVE(box);
    return STATUS_OK;
}

static void put_u64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static STATUS okm_derive(struct kdf *kdf, const struct box_place *place, const uint8_t *salt,
                         uint8_t okm[static OKM_BYTES])
{
    uint8_t context[KDF_CONTEXT_BYTES_MAX];

    assert(place->size <= BOX_PLACE_BYTES_MAX);
    memcpy(context, place->bytes, place->size);
    put_u64(context + place->size, place->key_id);
    memcpy(context + place->size + 8, salt, BOX_SALT_BYTES);
    return kdf_derive(kdf, place->label, context, place->size + 8 + BOX_SALT_BYTES, okm, OKM_BYTES);
}

/* What stands before the ciphertext, and the place that does not stand there at all. */
static size_t associated_encode(const uint8_t *prefix, size_t prefix_size,
                                const struct box_place *place,
                                uint8_t out[static ASSOCIATED_BYTES_MAX])
{
    assert(prefix_size <= PREFIX_BYTES_MAX);
    memcpy(out, prefix, prefix_size);
    memcpy(out + prefix_size, place->bytes, place->size);
    return prefix_size + place->size;
}

/* Header, salt, commitment and nonce of a new box; the key comes back in `okm`. */
static STATUS prefix_make(struct kdf *kdf, enum aead_suite suite, const struct box_place *place,
                          uint8_t prefix[static PREFIX_BYTES_MAX], uint8_t okm[static OKM_BYTES])
{
    prefix[0] = BOX_VERSION;
    prefix[1] = (uint8_t)suite;
    put_u64(prefix + 2, place->key_id);
    random_bytes(prefix + SALT_AT, BOX_SALT_BYTES);
    TRY(okm_derive(kdf, place, prefix + SALT_AT, okm));
    memcpy(prefix + COMMIT_AT, okm + AEAD_KEY_BYTES, BOX_COMMIT_BYTES);
    random_bytes(prefix + BOX_HEADER_BYTES, aead_nonce_bytes(suite));
    return STATUS_OK;
}

static STATUS cipher_append(struct box *box, const struct aead_input *input, size_t prefix_size,
                            const struct box_plain *plain, struct buffer *out)
{
    size_t padded_size = SIZE_BYTES + plain->padded;
    uint8_t *room = buffer_extend(out, prefix_size + padded_size + AEAD_TAG_BYTES);
    if (room == NULL)
        return buffer_status(out);

    uint8_t *scratch = secret_bytes(box->scratch);
    scratch[0] = (uint8_t)(plain->size >> 8);
    scratch[1] = (uint8_t)plain->size;
    if (plain->size > 0)
        memcpy(scratch + SIZE_BYTES, plain->bytes, plain->size);
    memcpy(room, input->associated, prefix_size);
    struct status status = aead_seal(box->aead, input, scratch, padded_size, room + prefix_size);
    sodium_memzero(scratch, SIZE_BYTES + plain->size);
    return status;
}

STATUS box_seal(struct box *box, struct kdf *kdf, enum aead_suite suite,
                const struct box_place *place, const struct box_plain *plain, struct buffer *out)
{
    assert(box != NULL);
    assert(kdf != NULL);
    assert(place != NULL);
    assert(plain != NULL);
    assert(out != NULL);
    assert(aead_nonce_bytes(suite) > 0);
    ENSURE(plain->padded <= BOX_PLAIN_BYTES_MAX, WHY_LIMIT);
    ENSURE(plain->size <= plain->padded, WHY_BAD_INPUT);

    uint8_t prefix[PREFIX_BYTES_MAX];
    uint8_t okm[OKM_BYTES];
    struct status status = prefix_make(kdf, suite, place, prefix, okm);
    if (!failed(status)) {
        size_t prefix_size = BOX_HEADER_BYTES + aead_nonce_bytes(suite);
        uint8_t associated[ASSOCIATED_BYTES_MAX];
        struct aead_input input = {
            .suite = suite,
            .key = okm,
            .nonce = prefix + BOX_HEADER_BYTES,
            .associated = associated,
            .associated_size = associated_encode(prefix, prefix_size, place, associated),
        };
        status = cipher_append(box, &input, prefix_size, plain, out);
    }
    sodium_memzero(okm, sizeof okm);
    return status;
}

void box_forget(struct box *box)
{
    assert(box != NULL);
    aead_forget(box->aead);
}

STATUS box_key_id(struct box_sealed sealed, uint64_t *out_key_id)
{
    assert(out_key_id != NULL);
    struct cursor cursor = cursor_over(sealed.bytes, sealed.size);
    uint8_t version = cursor_u8(&cursor);
    uint8_t suite = cursor_u8(&cursor);
    uint64_t key_id = cursor_u64(&cursor);

    ENSURE(!cursor.bad, WHY_FORGED);
    ENSURE(version == BOX_VERSION, WHY_FORGED);
    ENSURE(aead_nonce_bytes(suite) > 0, WHY_FORGED);
    *out_key_id = key_id;
    return STATUS_OK;
}

/* Copies out of the scratch what the padding surrounds. */
static STATUS plain_take(const uint8_t *scratch, size_t padded_size, uint8_t *out_plain,
                         size_t plain_max, size_t *out_size)
{
    size_t size = (size_t)scratch[0] << 8 | scratch[1];
    ENSURE(size <= padded_size - SIZE_BYTES, WHY_FORGED);
    ENSURE(size <= plain_max, WHY_LIMIT);
    if (size > 0)
        memcpy(out_plain, scratch + SIZE_BYTES, size);
    *out_size = size;
    return STATUS_OK;
}

STATUS box_open(struct box *box, struct kdf *kdf, const struct box_place *place,
                struct box_sealed sealed, uint8_t *out_plain, size_t plain_max, size_t *out_size)
{
    assert(box != NULL);
    assert(kdf != NULL);
    assert(place != NULL);
    assert(out_plain != NULL || plain_max == 0);
    assert(out_size != NULL);

    uint64_t key_id = 0;
    TRY(box_key_id(sealed, &key_id));
    ENSURE(key_id == place->key_id, WHY_FORGED);
    enum aead_suite suite = sealed.bytes[1];
    size_t prefix_size = BOX_HEADER_BYTES + aead_nonce_bytes(suite);
    ENSURE(sealed.size >= prefix_size + SIZE_BYTES + AEAD_TAG_BYTES, WHY_FORGED);
    ENSURE(sealed.size <= prefix_size + SCRATCH_BYTES + AEAD_TAG_BYTES, WHY_FORGED);

    uint8_t okm[OKM_BYTES];
    struct status status = okm_derive(kdf, place, sealed.bytes + SALT_AT, okm);
    if (!failed(status) &&
        sodium_memcmp(okm + AEAD_KEY_BYTES, sealed.bytes + COMMIT_AT, BOX_COMMIT_BYTES) != 0)
        status = FAIL(WHY_FORGED);
    if (!failed(status)) {
        uint8_t associated[ASSOCIATED_BYTES_MAX];
        struct aead_input input = {
            .suite = suite,
            .key = okm,
            .nonce = sealed.bytes + BOX_HEADER_BYTES,
            .associated = associated,
            .associated_size = associated_encode(sealed.bytes, prefix_size, place, associated),
        };
        size_t padded_size = sealed.size - prefix_size - AEAD_TAG_BYTES;
        uint8_t *scratch = secret_bytes(box->scratch);
        status = aead_open(box->aead, &input, sealed.bytes + prefix_size, sealed.size - prefix_size,
                           scratch);
        if (!failed(status))
            status = plain_take(scratch, padded_size, out_plain, plain_max, out_size);
        sodium_memzero(scratch, padded_size);
    }
    sodium_memzero(okm, sizeof okm);
    return status;
}
