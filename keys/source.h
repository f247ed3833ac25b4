/* SPDX-License-Identifier: Apache-2.0 */
/* keys/source.h -- where the root key comes from: the seal.
 *
 * In      what the configuration names (a file now; shares and PKCS#11 take their place beside it).
 * Out     the 32-byte root key in guarded, read-only memory.
 * Never   reads a seal that others than its owner can read; writes a root key where one is.
 * Threads one.
 */
#ifndef KEYS_SOURCE_H
#define KEYS_SOURCE_H

#include <stdbool.h>

#include "base/secret.h"
#include "base/status.h"

#define SOURCE_ROOT_BYTES 32u

struct source {
    const char *kind; /* "file" */
    const char *path;
    bool production;  /* A file seal is refused then (KEY-1). */
    const char *data; /* The store's folder, for the same-tree check; NULL: none. */
};

/* `error` gets a sentence.  WHY_NOT_FOUND: no such seal; WHY_DENIED: refused in production or open
 * to others; WHY_FORGED: not a seal, or damaged (it carries a checksum). */
STATUS source_open(const struct source *source, struct secret **out_root, char *error,
                   size_t error_size);

/* Makes a new file seal, mode 0600, never over an existing file (WHY_CONFLICT). */
STATUS source_file_create(const char *path, char *error, size_t error_size);

#endif
