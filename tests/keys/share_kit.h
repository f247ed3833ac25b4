/* SPDX-License-Identifier: Apache-2.0 */
/* tests/keys/share_kit.h -- a share to try things with.
 *
 * In      nothing.
 * Out     a share of which every byte is drawn; whether two are the same.
 * Never   the same one twice.
 * Threads one.
 */
#ifndef TESTS_KEYS_SHARE_KIT_H
#define TESTS_KEYS_SHARE_KIT_H

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "keys/share.h"

static inline struct share share_drawn(uint8_t index)
{
    struct share share = {.threshold = 3, .index = index};

    cr_assert(sodium_init() >= 0);
    random_bytes(share.set, sizeof share.set);
    cr_assert(!failed(secret_new_key(SHARES_BYTES, &share.value)));
    random_bytes(secret_bytes(share.value), SHARES_BYTES);
    return share;
}

static inline bool share_same(const struct share *a, const struct share *b)
{
    uint8_t bytes[2][SHARE_BYTES];

    share_encode(a, bytes[0]);
    share_encode(b, bytes[1]);
    return memcmp(bytes[0], bytes[1], SHARE_BYTES) == 0;
}

#endif
