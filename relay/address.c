/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"

/* An IPv4 address stands in the last 32 of 128 bits. */
#define MAPPED_BITS 96u

/* What is no public host in IPv4: RFC 6890 and its successors, and one cloud's metadata service
 * that hides behind a public address. */
static const char *const refused_v4[] = {
    "0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "172.16.0.0/12",  "192.0.0.0/24",  "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",   "168.63.129.16/32"};

/* IPv6 is turned round: only 2000::/3 is public at all, and these parts of it are not hosts.
 * 2001::/23 has Teredo and ORCHID, 2002::/16 wraps any IPv4 address. */
static const char *const public_v6 = "2000::/3";
static const char *const refused_v6[] = {"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"};

/* Either prefix carries an IPv4 address in its last 32 bits, which is what is judged. */
static const char *const carries_v4[] = {"::ffff:0:0/96", "64:ff9b::/96"};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static void address_map(const struct in_addr *v4, struct in6_addr *out)
{
    *out = (struct in6_addr){0};
    out->s6_addr[10] = 0xff;
    out->s6_addr[11] = 0xff;
    memcpy(out->s6_addr + 12, v4, sizeof *v4);
}

static bool bit_at(const struct in6_addr *address, unsigned bit)
{
    return (address->s6_addr[bit / 8] >> (7 - bit % 8)) & 1;
}

static bool range_holds(const struct address_range *range, const struct in6_addr *address)
{
    for (unsigned bit = 0; bit < range->bits; bit++)
        if (bit_at(&range->address, bit) != bit_at(address, bit))
            return false;
    return true;
}

/* One to three digits without a leading zero. */
static STATUS bits_parse(const char *text, unsigned most, unsigned *out_bits)
{
    unsigned bits = 0;
    size_t size = strlen(text);

    ENSURE(size >= 1 && size <= 3, WHY_BAD_INPUT);
    ENSURE(size == 1 || text[0] != '0', WHY_BAD_INPUT);
    for (size_t i = 0; i < size; i++) {
        ENSURE(text[i] >= '0' && text[i] <= '9', WHY_BAD_INPUT);
        bits = bits * 10 + (unsigned)(text[i] - '0');
    }
    ENSURE(bits <= most, WHY_BAD_INPUT);
    *out_bits = bits;
    return STATUS_OK;
}

STATUS address_range_parse(const char *text, struct address_range *out_range)
{
    char host[INET6_ADDRSTRLEN];
    struct address_range range = {.bits = 128};
    struct in_addr v4;
    unsigned offset = 0;

    const char *slash = strchr(text, '/');
    size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);
    ENSURE(size < sizeof host, WHY_BAD_INPUT);
    memcpy(host, text, size);
    host[size] = '\0';
    if (inet_pton(AF_INET, host, &v4) == 1) {
        address_map(&v4, &range.address);
        offset = MAPPED_BITS;
    } else {
        ENSURE(inet_pton(AF_INET6, host, &range.address) == 1, WHY_BAD_INPUT);
    }
    if (slash != NULL) {
        TRY(bits_parse(slash + 1, 128 - offset, &range.bits));
        range.bits += offset;
    }
    /* 10.0.0.1/8 is a slip of the pen: which of the two was meant? */
    for (unsigned bit = range.bits; bit < 128; bit++)
        ENSURE(!bit_at(&range.address, bit), WHY_BAD_INPUT);
    *out_range = range;
    return STATUS_OK;
}

static bool table_holds(const char *const *table, size_t count, const struct in6_addr *address)
{
    for (size_t i = 0; i < count; i++) {
        struct address_range range = {0};
        struct status status = address_range_parse(table[i], &range);
        assert(!failed(status)); /* Our own tables. */
        if (range_holds(&range, address))
            return true;
    }
    return false;
}

static bool is_public(const struct in6_addr *address)
{
    if (table_holds(carries_v4, COUNT_OF(carries_v4), address)) {
        struct in_addr v4;
        struct in6_addr mapped;
        memcpy(&v4, address->s6_addr + 12, sizeof v4);
        address_map(&v4, &mapped);
        return !table_holds(refused_v4, COUNT_OF(refused_v4), &mapped);
    }
    return table_holds(&public_v6, 1, address) &&
           !table_holds(refused_v6, COUNT_OF(refused_v6), address);
}

bool address_allowed(const struct in6_addr *address, const struct address_range *ranges,
                     unsigned range_count)
{
    for (unsigned i = 0; i < range_count; i++)
        if (range_holds(&ranges[i], address))
            return true;
    return is_public(address);
}

static STATUS resolve_status(int rc)
{
    switch (rc) {
    case 0:
        return STATUS_OK;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return FAIL(WHY_NOT_FOUND);
    case EAI_MEMORY:
        return FAIL(WHY_NO_MEMORY);
    default:
        return FAIL(WHY_IO);
    }
}

static void results_free(struct addrinfo **results)
{
    if (*results != NULL)
        freeaddrinfo(*results);
    *results = NULL;
}

static bool result_address(const struct addrinfo *result, struct in6_addr *out)
{
    if (result->ai_family == AF_INET && result->ai_addrlen >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, result->ai_addr, sizeof v4);
        address_map(&v4.sin_addr, out);
        return true;
    }
    if (result->ai_family == AF_INET6 && result->ai_addrlen >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, result->ai_addr, sizeof v6);
        *out = v6.sin6_addr;
        return true;
    }
    return false;
}

/* A mapped address is dialled as what it is: IPv4. */
static void address_text(const struct in6_addr *address, char out[static INET6_ADDRSTRLEN])
{
    const char *text = IN6_IS_ADDR_V4MAPPED(address)
                           ? inet_ntop(AF_INET, address->s6_addr + 12, out, INET6_ADDRSTRLEN)
                           : inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN);
    assert(text != NULL);
}

/* True when `text` is one of the entries of the list with commas. */
static bool list_has(const char *list, const char *text)
{
    size_t size = strlen(text);

    for (const char *at = list; *at != '\0';) {
        size_t entry = strcspn(at, ",");
        if (entry == size && memcmp(at, text, size) == 0)
            return true;
        at += entry + (at[entry] == ',');
    }
    return false;
}

STATUS address_resolve(const char *host, const struct address_range *ranges, unsigned range_count,
                       char out[static ADDRESS_LIST_MAX])
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    OWNED(results_free) struct addrinfo *results = NULL;
    char list[ADDRESS_LIST_MAX] = "";
    size_t used = 0;

    TRY(resolve_status(getaddrinfo(host, NULL, &hints, &results)));
    for (const struct addrinfo *result = results; result != NULL; result = result->ai_next) {
        struct in6_addr address;
        char text[INET6_ADDRSTRLEN];
        if (!result_address(result, &address) || !address_allowed(&address, ranges, range_count))
            continue;
        address_text(&address, text);
        if (list_has(list, text))
            continue;
        if (used + strlen(text) + 2 > sizeof list)
            break; /* Some are as good as all. */
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", used == 0 ? "" : ",", text);
    }
    ENSURE(used > 0, WHY_DENIED);
    memcpy(out, list, used + 1);
    return STATUS_OK;
}
