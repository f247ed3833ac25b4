/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/pki.h -- a certificate authority for one test, with what it issues, as PEM files.
 *
 * In      who a certificate is for and when it holds.
 * Out     paths.  Keys are P-256; every file goes with pki_free().
 * Never   fails quietly: asserts.
 * Threads one at a time.
 */
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

#include <stdbool.h>
#include <stdint.h>

#define PKI_PATH_SIZE 128u

struct pki;

struct pki_files {
    char certificate[PKI_PATH_SIZE];
    char key[PKI_PATH_SIZE];
};

struct pki_subject {
    const char *name; /* Its common name, and the files'. */
    const char *alt; /* Alternative names as OpenSSL writes them: "DNS:localhost,URI:spiffe://…". */
    bool client;     /* For a client; else for a server. */
    int64_t begins_s; /* From now. */
    int64_t ends_s;   /* From now; 0 is an hour. */
};

struct pki *pki_new(void);
/* The CA's certificate. */
const char *pki_authority(const struct pki *pki);
/* Where all files are; for more of them. */
const char *pki_folder(const struct pki *pki);
struct pki_files pki_issue(struct pki *pki, const struct pki_subject *subject);
void pki_free(struct pki **pki);

#endif
