/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/pki.h -- a development authority and the certificates it issues.
 *
 * In      names.
 * Out     P-256 keys (mode 0600) and certificates as PEM files in one folder.
 * Never   writes over a file; is meant for production, where the operator's own authority issues.
 * Threads one.
 */
#ifndef VAULT_CLI_PKI_H
#define VAULT_CLI_PKI_H

#include "base/status.h"

struct pki; /* The authority: its key and certificate. */

enum pki_use { PKI_SERVER, PKI_CLIENT };

struct pki_leaf {
    const char *file; /* "vault": makes vault.pem and vault.key. */
    const char *name; /* The subject's common name. */
    const char *san;  /* "DNS:localhost,IP:127.0.0.1" or "URI:urn:…". */
    enum pki_use use;
};

/* Makes an authority with ca.pem and ca.key in the folder open as `folder_fd`, which stays the
 * caller's and must stay open.  WHY_CONFLICT: a file is there already. */
STATUS pki_new(int folder_fd, struct pki **out_pki);
/* The authority's certificate again, as `name`.pem: whom a daemon believes lies in a folder of its
 * own, which it may read. */
STATUS pki_publish(struct pki *pki, const char *name);
STATUS pki_issue(struct pki *pki, const struct pki_leaf *leaf);
void pki_free(struct pki **pki);

#endif
