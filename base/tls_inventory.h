/* SPDX-License-Identifier: Apache-2.0 */
/* base/tls_inventory.h -- what a listener trusts and shows, for the inventory (PCI DSS 4.2.1.1 and
 * 12.3.3).
 *
 * In      a listener's context, as it is in force.
 * Out     JSON: protocols, cipher suites, and every certificate with its dates.
 * Never   writes anything secret: certificates are public.
 * Threads the listener's.
 */
#ifndef BASE_TLS_INVENTORY_H
#define BASE_TLS_INVENTORY_H

#include "base/json.h"
#include "base/tls.h"

/* One object; at most TLS_INVENTORY_MAX certificates, the listener's own first. */
#define TLS_INVENTORY_MAX 16u
void tls_inventory_write(struct tls_server *tls, const char *name, struct json_writer *out);

#endif
