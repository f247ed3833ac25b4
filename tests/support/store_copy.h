/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/store_copy.h -- the rows of a store as bytes, for store_breaker.c.
 *
 * In      a folder with a store in it.
 * Out     copies of its rows, by family and in order.
 * Never   is linked into a daemon.
 * Threads one.
 */
#ifndef TESTS_SUPPORT_STORE_COPY_H
#define TESTS_SUPPORT_STORE_COPY_H

#include "vault/store.h"

struct row {
    enum store_family family;
    uint8_t *key;
    size_t key_size;
    uint8_t *value;
    size_t value_size;
};

/* Ends the program with a sentence. */
void store_copy_die(const char *what);
void store_copy_must(struct status status, const char *what);

bool store_copy_same(const struct row *a, const struct row *b);
/* For the caller to free. */
uint8_t *store_copy_bytes(const uint8_t *bytes, size_t size);
struct db *store_copy_open(const char *path, bool read_only);
/* Every row of one family; `take` gets a copy of each, for good. */
void store_copy_each(struct db *from, enum store_family family,
                     void (*take)(const struct row *row));

#endif
