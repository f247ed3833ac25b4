/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

void store_copy_die(const char *what)
{
    (void)fprintf(stderr, "store_breaker: %s\n", what);
    exit(2);
}

void store_copy_must(struct status status, const char *what)
{
    if (failed(status)) {
        (void)fprintf(stderr, "%s (%s)\n", status.where, status_name(status.why));
        store_copy_die(what);
    }
}

bool store_copy_same(const struct row *a, const struct row *b)
{
    return a->family == b->family && a->key_size == b->key_size &&
           memcmp(a->key, b->key, a->key_size) == 0 && a->value_size == b->value_size &&
           memcmp(a->value, b->value, a->value_size) == 0;
}

uint8_t *store_copy_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *out = calloc(1, size + 1);

    if (out == NULL)
        store_copy_die("there is not enough memory");
    memcpy(out, bytes, size);
    return out;
}

struct db *store_copy_open(const char *path, bool read_only)
{
    char reason[256] = "";
    struct db *opened = NULL;
    struct db_options options = {.families = store_families,
                                 .family_count = STORE_FAMILY_COUNT,
                                 .cache_bytes = 8u << 20,
                                 .wal_bytes_max = 64u << 20,
                                 .read_only = read_only};

    store_copy_must(db_open(path, &options, &opened, reason, sizeof reason), reason);
    return opened;
}

void store_copy_each(struct db *from, enum store_family family, void (*take)(const struct row *row))
{
    OWNED(db_iterator_free) struct db_iterator *at = NULL;

    store_copy_must(db_iterate(from, family, NULL, 0, &at), "the store cannot be read");
    for (; db_iterator_valid(at); db_iterator_next(at)) {
        struct row row = {.family = family};
        const uint8_t *key = db_iterator_key(at, &row.key_size);
        const uint8_t *value = db_iterator_value(at, &row.value_size);
        row.key = store_copy_bytes(key, row.key_size);
        row.value = store_copy_bytes(value, row.value_size);
        take(&row);
    }
    store_copy_must(db_iterator_status(at), "the store cannot be read to its end");
}
