/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds bytes to whatever reads sealed ones: as an envelope, as a key row, as a manifest.  Under a
 * random root nothing may open; and whatever is thrown, nothing may break. */
#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keys/envelope.h"

#define NOW_MS 1800000000000LL

static struct keyring *ring;
static struct secret *root;
static uint64_t key_id;

static void must(struct status status)
{
    if (failed(status))
        abort();
}

static void ring_make(void)
{
    if (sodium_init() < 0)
        abort();
    must(secret_new_key(32, &root));
    randombytes_buf(secret_bytes(root), 32);
    must(keyring_new(root, "fuzz", &ring));
    must(keyring_loaded(ring, NOW_MS));
    must(keyring_use(ring, "shop", KEY_PURPOSE_CARD, NOW_MS, &key_id));
}

static void rows_load(const uint8_t *data, size_t size)
{
    struct keyring *fresh = NULL;
    uint64_t row_id = size == 0 ? 0 : data[size - 1] % 4;

    must(keyring_new(root, "fuzz", &fresh));
    struct status status = keyring_load(fresh, row_id, data, size);
    if (!failed(status)) {
        status = keyring_loaded(fresh, NOW_MS);
        assert(failed(status)); /* No manifest over it can be right. */
    }
    keyring_free(&fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct envelope_place place = {.tenant = "shop", .purpose = "card"};
    static uint8_t plain[ENVELOPE_PLAIN_BYTES_MAX];
    size_t plain_size = 0;
    uint64_t id = 0;

    if (ring == NULL)
        ring_make();
    struct status status =
        envelope_open(ring, &place, data, size, plain, sizeof plain, &plain_size);
    assert(failed(status));
    status_ignore(envelope_key_id(data, size, &id), "any answer is fine");
    if (size <= 600)
        rows_load(data, size);
    return 0;
}
