/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vault/cards.h -- the published test numbers, and others made when they are needed.
 *
 * In      a prefix and a length.
 * Out     digits whose check digit is right, or wrong.
 * Never   holds a number that could be somebody's.
 * Threads any.
 */
#ifndef TESTS_VAULT_CARDS_H
#define TESTS_VAULT_CARDS_H

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/redact.h"
#include "base/secret.h"

struct card {
    const char *number;
    const char *brand;
};

static const struct card published[] = {
    {"4242424242424242", "visa"},
    {"4000056655665556", "visa"},
    {"4000000000000002", "visa"},
    {"4111111111111111", "visa"},
    {"4012888888881881", "visa"},
    {"4222222222222", "visa"},
    {"4007000000027", "visa"},
    {"5555555555554444", "mastercard"},
    {"5105105105105100", "mastercard"},
    {"5424000000000015", "mastercard"},
    {"2223003122003222", "mastercard"},
    {"2223000048410010", "mastercard"},
    {"378282246310005", "american_express"},
    {"371449635398431", "american_express"},
    {"370000000000002", "american_express"},
    {"6011111111111117", "discover"},
    {"6011000990139424", "discover"},
    {"36227206271667", "diners_club"},
    {"30569309025904", "diners_club"},
    {"38520000023237", "diners_club"},
    {"3056930009020004", "diners_club"},
    {"3566002020360505", "jcb"},
    {"3530111333300000", "jcb"},
    {"6200000000000005", "unionpay"},
    {"6205500000000000004", "unionpay"},
    {"8171999900000000021", "unionpay"},
    {"50339619890917", "maestro"},
    {"6759411100000008", "maestro"},
    {"6304000000000000", "maestro"},
    {"586824160825533338", "maestro"},
    {"6390028880000000010", "maestro"},
    {"6759560045005727054", "maestro"},
    {"2202208311110010", "mir"},
    {"2200000000000053", "mir"},
    {"5066991111111118", "elo"},
    {"6062828888666688", "hipercard"},
    {"135412345678911", "uatp"},
};
#define PUBLISHED_COUNT (sizeof published / sizeof published[0])

/* `length` digits that begin with `prefix`; the check digit is right, or one too high. */
static inline void card_make(const char *prefix, size_t length, bool right, char *out)
{
    size_t size = strlen(prefix);

    cr_assert(length > size && length < 40);
    memset(out, '0', length);
    memcpy(out, prefix, size);
    out[length] = '\0';
    for (size_t i = size; i + 1 < length; i++)
        out[i] = (char)('0' + i % 10);
    while (!redact_luhn((const uint8_t *)out, length))
        out[length - 1]++;
    if (!right)
        out[length - 1] = (char)('0' + (out[length - 1] - '0' + 1) % 10);
}

static inline struct secret *secret_of(const void *bytes, size_t size)
{
    struct secret *secret = NULL;

    cr_assert(!failed(secret_new(size, &secret)));
    if (size > 0)
        memcpy(secret_bytes(secret), bytes, size);
    return secret;
}

static inline void pool_open(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_pool_open(8)));
}

/* Closing finds a slot that a test, or what it tests, forgot. */
static inline void pool_close(void)
{
    cr_assert_eq(secret_pool_free_count(), 8u);
    secret_pool_close();
}

#endif
