/* SPDX-License-Identifier: Apache-2.0 */
/* base/tls_files.h -- a certificate, its key and whom it is shown to, from PEM files.
 *
 * In      paths.
 * Out     what is in them, judged as a whole: certificates that are some and hold now, a chain in
 *         order, the key that belongs to them; or one sentence that names the file.
 * Never   takes half of what changed: bytes are read once, and what was judged is what is used.
 * Threads any.
 */
#ifndef BASE_TLS_FILES_H
#define BASE_TLS_FILES_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define TLS_PRINT_SIZE 96u /* "AB:CD:…" of 32 bytes, with the NUL. */

struct tls_files {
    const char *certificate; /* It first, then what issued it. */
    const char *key;
    const char *authorities; /* Whom to believe; NULL: nobody. */
};

/* The files' bytes; the key's are wiped as a buffer's are. */
struct tls_pem {
    uint64_t generation; /* Of no other reading in this process. */
    struct buffer certificate;
    struct buffer key;
    struct buffer authorities;
};

/* Digests as `openssl x509 -fingerprint -sha256` prints one: no run of them looks like a card. */
struct tls_facts {
    char certificate[TLS_PRINT_SIZE];
    char authorities[TLS_PRINT_SIZE]; /* Of the file's bytes; "" where there is none. */
    int64_t not_after_ms;             /* The first that runs out, of the chain. */
};

/* What tells a file from the one that took its place. */
struct tls_stamp {
    struct tls_stamp_file {
        uint64_t device;
        uint64_t inode;
        int64_t size;
        int64_t changed_ns;
    } files[3];
};

/* WHY_BAD_INPUT with a sentence. */
STATUS tls_files_read(const struct tls_files *files, struct tls_pem *out_pem, char *error,
                      size_t error_size);
void tls_files_free(struct tls_pem *pem);

/* OpenSSL would ask for a key's password, on a terminal that a daemon does not have. */
int tls_no_password(char *out, int size, int writing, void *owner);

/* Into an SSL_CTX that has none yet; `files` names them in the sentence.  Dates are not judged. */
STATUS tls_files_use(const struct tls_pem *pem, const struct tls_files *files, void *context,
                     char *error, size_t error_size);

/* Are the dates good, and does each certificate of the chain issue the one before it?  The facts
 * are given either way. */
STATUS tls_files_judge(const struct tls_pem *pem, const struct tls_files *files, void *context,
                       int64_t now_ms, struct tls_facts *out_facts, char *error, size_t error_size);

/* All of that, and nothing kept: for --check. */
STATUS tls_files_check(const struct tls_files *files, int64_t now_ms, struct tls_facts *out_facts,
                       char *error, size_t error_size);

/* Authorities alone, as base/client.h takes them: a file of certificates of which one holds now.
 * For --check. */
STATUS tls_authorities_check(const char *path, int64_t now_ms, char *error, size_t error_size);

void tls_files_stamp(const struct tls_files *files, struct tls_stamp *out_stamp);

/* A client's, for base/client.h: kept in memory, so that a request finds three files that belong
 * together whatever lies on the disk at that moment. */
struct tls_identity;
STATUS tls_identity_new(const struct tls_files *files, struct tls_identity **out_identity,
                        char *error, size_t error_size);
void tls_identity_free(struct tls_identity **identity);
/* Reads the files again; what was in force stays so where they are no good. */
STATUS tls_identity_renew(struct tls_identity *identity, int64_t now_ms, char *error,
                          size_t error_size);
const struct tls_pem *tls_identity_pem(const struct tls_identity *identity);
const struct tls_files *tls_identity_files(const struct tls_identity *identity);
const struct tls_facts *tls_identity_facts(const struct tls_identity *identity);

#endif
