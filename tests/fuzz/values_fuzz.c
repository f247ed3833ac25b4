/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a slot, what a profile says of one, escapes of every kind, and ranges of
 * addresses.  The first byte says which. */
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>

#include "base/own.h"
#include "base/secret.h"
#include "relay/address.h"
#include "relay/escape.h"
#include "relay/expression.h"
#include "tests/fuzz/require.h"

#define BYTES_MAX 8192u
#define SECRETS   8u

static struct secret *number;
static struct secret *cvv;
static struct secret *name;

static struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;
    must(secret_new(strlen(text), &secret));
    memcpy(secret_bytes(secret), text, strlen(text));
    return secret;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    must(secret_pool_open(SECRETS));
    number = secret_of("4242424242424242"); /* Published. */
    cvv = secret_of("737");
    name = secret_of("A. Example");
    return 0;
}

/* What was understood can be made, or the card lacks it; and nothing is longer than base64 of the
 * longest part. */
static void make(const struct expression *expression, const struct expression_card *card)
{
    struct secret *value OWNED(secret_free) = NULL;
    struct status status = expression_make(expression, card, &value);

    require(failed(status) == (value == NULL));
    if (failed(status))
        require(status.why == WHY_NOT_FOUND);
    else
        require(secret_size(value) >= 1 && secret_size(value) <= 4 * 16 + 4);
}

static void expression(const uint8_t *data, size_t size)
{
    static const char *const defaults[] = {"number",
                                           "cvv",
                                           "exp | mm/yy",
                                           "exp_month | mm",
                                           "cardholder_name | upper",
                                           "number | last4 | base64"};
    const struct expression_card whole = {
        .number = number, .cvv = cvv, .cardholder_name = name, .exp_month = 9, .exp_year = 2031};
    const struct expression_card bare = {.number = number, .exp_month = 12, .exp_year = 2030};

    for (unsigned i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        struct expression_default takes;
        struct expression read = {0};
        must(expression_parse_default(defaults[i], &takes));
        struct status status = expression_parse((const char *)data, size, &takes, &read);
        if (failed(status)) {
            require(status.why == WHY_BAD_INPUT);
            continue;
        }
        size_t length = strlen(read.token);
        require(length >= 1 && length <= EXPRESSION_TOKEN_MAX);
        require(memmem(data, size, read.token, length) != NULL);
        require(read.is_cvv_token == (strncmp(read.token, "cvv_", 4) == 0));
        require(!read.is_cvv_token || read.field == EXPRESSION_CVV);
        require(read.filter_count <= EXPRESSION_FILTERS_MAX);
        make(&read, &whole);
        make(&read, &bare);
        /* Its token alone is the same card's. */
        struct expression alone = {0};
        if (!failed(expression_parse(read.token, length, &takes, &alone)))
            require(strcmp(alone.token, read.token) == 0);
    }
    (void)expression_is_token((const char *)data, size);
    require(secret_pool_free_count() == SECRETS - 3);
}

static void expression_of_slot(const uint8_t *data, size_t size)
{
    struct expression_default takes = {0};
    char *text = text_of(data, size);

    if (!failed(expression_parse_default(text, &takes))) {
        require(takes.filter_count <= EXPRESSION_FILTERS_MAX);
        require(takes.field <= EXPRESSION_CARDHOLDER_NAME);
        struct expression whole = {.field = takes.field, .filter_count = takes.filter_count};
        memcpy(whole.filters, takes.filters, sizeof whole.filters);
        const struct expression_card card = {.number = number,
                                             .cvv = cvv,
                                             .cardholder_name = name,
                                             .exp_month = 1,
                                             .exp_year = 2040};
        make(&whole, &card);
    }
    free(text);
}

/* One layer less: no byte more than before, each from a place behind the one before it. */
static void escapes(const uint8_t *data, size_t size)
{
    static struct escape_span spans[BYTES_MAX];
    static uint8_t out[BYTES_MAX];
    static uint8_t again[BYTES_MAX];

    for (unsigned kind = 0; kind < ESCAPE_KINDS; kind++) {
        bool changed = true;
        bool changed_again = true;
        size_t count = escape_undo((enum escape_kind)kind, data, size, out, spans, &changed);
        require(count <= size);
        for (size_t i = 0; i < count; i++) {
            require(spans[i].start < spans[i].end && spans[i].end <= size);
            require(i == 0 || spans[i - 1].start <= spans[i].start);
            require(i == 0 || spans[i - 1].end <= spans[i].end);
        }
        require(changed || same_bytes(out, count, data, size));
        require(!changed || escape_suspected((enum escape_kind)kind, data, size));
        size_t other = escape_undo((enum escape_kind)kind, data, size, again, NULL, &changed_again);
        require(changed == changed_again && same_bytes(out, count, again, other));
    }
}

static void ranges(const uint8_t *data, size_t size)
{
    struct address_range range;
    char *text = text_of(data, size);
    char host[INET6_ADDRSTRLEN];
    char again[INET6_ADDRSTRLEN + 8];
    struct address_range same = {.bits = 0};

    if (!failed(address_range_parse(text, &range))) {
        require(range.bits <= 128);
        for (unsigned bit = range.bits; bit < 128; bit++)
            require((range.address.s6_addr[bit / 8] & 0x80u >> bit % 8) == 0);
        require(address_allowed(&range.address, &range, 1));
        require(inet_ntop(AF_INET6, &range.address, host, sizeof host) != NULL);
        (void)snprintf(again, sizeof again, "%s/%u", host, range.bits);
        must(address_range_parse(again, &same));
        require(same.bits == range.bits);
        require(memcmp(&same.address, &range.address, sizeof same.address) == 0);
        /* The first address behind the range is allowed only where any address would be. */
        struct in6_addr outside = range.address;
        if (range.bits > 0) {
            outside.s6_addr[(range.bits - 1) / 8] ^= (uint8_t)(0x80u >> ((range.bits - 1) % 8));
            require(address_allowed(&outside, &range, 1) == address_allowed(&outside, NULL, 0));
        }
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {expression, expression_of_slot,
                                                               escapes, ranges};
    if (size < 1 || size > BYTES_MAX)
        return 0;
    readers[data[0] % (sizeof readers / sizeof readers[0])](data + 1, size - 1);
    return 0;
}
