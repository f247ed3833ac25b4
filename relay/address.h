/* SPDX-License-Identifier: Apache-2.0 */
/* relay/address.h -- which addresses a destination's name may stand for (NET-1).
 *
 * In      a host name and the ranges that the destination lists.
 * Out     the addresses to dial, checked: loopback, link-local, private, unique-local, shared
 *         (100.64/10), multicast, unspecified, broadcast, documentation, metadata and IPv4-mapped
 *         or NAT64 forms of these are refused unless a listed range holds them.
 * Never   lets one bad address pass because another is good: bad ones are dropped, none left is a
 *         refusal.
 * Threads any; address_resolve() blocks: a worker's.
 */
#ifndef RELAY_ADDRESS_H
#define RELAY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/status.h"

#define ADDRESS_LIST_MAX 1024u

struct address_range {
    struct in6_addr address; /* IPv4 as IPv4-mapped. */
    unsigned bits;           /* Of 128. */
};

/* "10.0.0.0/8", "::1", "fd00::/8".  WHY_BAD_INPUT, also when bits are set behind the prefix. */
STATUS address_range_parse(const char *text, struct address_range *out_range);
bool address_allowed(const struct in6_addr *address, const struct address_range *ranges,
                     unsigned range_count);

/* "192.0.2.1,2001:db8::1" into `out`.  WHY_NOT_FOUND: no such name; WHY_DENIED: only refused
 * addresses; WHY_IO: the resolver did not answer. */
STATUS address_resolve(const char *host, const struct address_range *ranges, unsigned range_count,
                       char out[static ADDRESS_LIST_MAX]);

#endif
