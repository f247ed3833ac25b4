/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/envelope.h"

#include <assert.h>
#include <string.h>

#include "keys/box.h"

#define LABEL_PREFIX    "cardkeep/v1/"
#define LABEL_BYTES_MAX (sizeof LABEL_PREFIX + ENVELOPE_PURPOSE_MAX)
#define TEXT_BYTES_MAX  (2u + 64u) /* A tenant or an environment, with its length. */
#define PLACE_BYTES_MAX (2u * TEXT_BYTES_MAX + 2u + 16u)

static_assert(PLACE_BYTES_MAX <= BOX_PLACE_BYTES_MAX, "every place fits");
static_assert(LABEL_BYTES_MAX <= KDF_LABEL_BYTES_MAX, "every label fits");
static_assert((int)ENVELOPE_AES_256_GCM == (int)AEAD_AES_256_GCM, "suites are on disk");
static_assert((int)ENVELOPE_XCHACHA20_POLY1305 == (int)AEAD_XCHACHA20_POLY1305,
              "suites are on disk");
static_assert(ENVELOPE_VERSION == BOX_VERSION, "one format");
static_assert(ENVELOPE_PLAIN_BYTES_MAX == BOX_PLAIN_BYTES_MAX, "one bound");
static_assert(ENVELOPE_OVERHEAD_MAX ==
                  BOX_HEADER_BYTES + AEAD_NONCE_BYTES_MAX + 2u + AEAD_TAG_BYTES,
              "one layout");

/* The place in the box's terms; `bytes` and `label` hold what the returned place points to. */
static STATUS place_encode(const struct keyring *ring, const struct envelope_place *place,
                           uint64_t key_id, struct buffer *bytes, char label[LABEL_BYTES_MAX],
                           struct box_place *out_place)
{
    size_t purpose_size = strlen(place->purpose);

    assert(purpose_size >= 1 && purpose_size <= ENVELOPE_PURPOSE_MAX);
    assert(strlen(place->tenant) < KEYRING_TENANT_BYTES_MAX);
    memcpy(label, LABEL_PREFIX, sizeof LABEL_PREFIX);
    memcpy(label + sizeof LABEL_PREFIX - 1, place->purpose, purpose_size + 1);
    buffer_add_counted(bytes, keyring_environment(ring));
    buffer_add_counted(bytes, place->tenant);
    buffer_add_u16(bytes, sizeof place->object);
    buffer_add(bytes, place->object, sizeof place->object);
    TRY(buffer_status(bytes));
    *out_place = (struct box_place){
        .label = label, .bytes = bytes->bytes, .size = bytes->size, .key_id = key_id};
    return STATUS_OK;
}

/* Keys of no tenant (the index) are for all; any other is for its own tenant's objects alone. */
static bool key_is_for(const struct key_info *info, const struct envelope_place *place)
{
    return info->tenant[0] == '\0' || strcmp(info->tenant, place->tenant) == 0;
}

STATUS envelope_seal(struct keyring *ring, uint64_t key_id, enum envelope_suite suite,
                     const struct envelope_place *place, const uint8_t *plain, size_t size,
                     size_t padded, struct buffer *out)
{
    assert(ring != NULL);
    assert(place != NULL);
    assert(plain != NULL || size == 0);
    assert(out != NULL);
    struct kdf *kdf = NULL;
    const struct key_info *info = NULL;
    TRY(keyring_kdf(ring, key_id, true, &kdf, &info));
    ENSURE(key_is_for(info, place), WHY_DENIED);

    uint8_t room[PLACE_BYTES_MAX + 1] = {0};
    struct buffer bytes = BUFFER_OVER(room);
    char label[LABEL_BYTES_MAX];
    struct box_place where;
    TRY(place_encode(ring, place, key_id, &bytes, label, &where));
    struct box_plain content = {.bytes = plain, .size = size, .padded = padded};
    return box_seal(keyring_box(ring), kdf, (enum aead_suite)suite, &where, &content, out);
}

/* What was sealed, and where the plaintext goes. */
struct opening {
    const uint8_t *sealed;
    size_t sealed_size;
    uint8_t *plain;
    size_t plain_max;
};

static STATUS envelope_open_with(struct keyring *ring, bool migrating,
                                 const struct envelope_place *place, const struct opening *opening,
                                 size_t *out_size)
{
    uint64_t key_id = 0;
    struct kdf *kdf = NULL;
    const struct key_info *info = NULL;

    TRY(envelope_key_id(opening->sealed, opening->sealed_size, &key_id));
    if (migrating)
        TRY(keyring_kdf_migrating(ring, key_id, &kdf, &info));
    else
        TRY(keyring_kdf(ring, key_id, false, &kdf, &info));
    /* The place names the tenant too, and what is sealed for one place opens in no other; this
     * refuses before any key is derived for a tenant that it is not of. */
    ENSURE(key_is_for(info, place), WHY_FORGED);

    uint8_t room[PLACE_BYTES_MAX + 1] = {0};
    struct buffer bytes = BUFFER_OVER(room);
    char label[LABEL_BYTES_MAX];
    struct box_place where;
    TRY(place_encode(ring, place, key_id, &bytes, label, &where));
    struct box_sealed box = {.bytes = opening->sealed, .size = opening->sealed_size};
    return box_open(keyring_box(ring), kdf, &where, box, opening->plain, opening->plain_max,
                    out_size);
}

STATUS envelope_open(struct keyring *ring, const struct envelope_place *place,
                     const uint8_t *sealed, size_t sealed_size, uint8_t *out_plain,
                     size_t plain_max, size_t *out_size)
{
    assert(ring != NULL);
    assert(place != NULL);
    const struct opening opening = {sealed, sealed_size, out_plain, plain_max};
    return envelope_open_with(ring, false, place, &opening, out_size);
}

STATUS envelope_open_migrating(struct keyring *ring, const struct envelope_place *place,
                               const uint8_t *sealed, size_t sealed_size, uint8_t *out_plain,
                               size_t plain_max, size_t *out_size)
{
    assert(ring != NULL);
    assert(place != NULL);
    const struct opening opening = {sealed, sealed_size, out_plain, plain_max};
    return envelope_open_with(ring, true, place, &opening, out_size);
}

STATUS envelope_suite_of(const uint8_t *sealed, size_t sealed_size, enum envelope_suite *out_suite)
{
    uint64_t key_id = 0;

    TRY(envelope_key_id(sealed, sealed_size, &key_id)); /* It is long enough, and one of ours. */
    ENSURE(sealed[1] == ENVELOPE_AES_256_GCM || sealed[1] == ENVELOPE_XCHACHA20_POLY1305,
           WHY_FORGED);
    *out_suite = (enum envelope_suite)sealed[1];
    return STATUS_OK;
}

STATUS envelope_key_id(const uint8_t *sealed, size_t sealed_size, uint64_t *out_key_id)
{
    assert(sealed != NULL || sealed_size == 0);
    return box_key_id((struct box_sealed){.bytes = sealed, .size = sealed_size}, out_key_id);
}
