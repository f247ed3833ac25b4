/* SPDX-License-Identifier: Apache-2.0 */
/* vault/verify_table.h -- a bounded table from 16 bytes to a small struct, for the offline checker.
 *
 * In      keys that are keyed hashes, so that their first bytes are random.
 * Out     what was put under them.
 * Never   grows past its bound: what does not fit is refused.
 * Threads one.
 */
#ifndef VAULT_VERIFY_TABLE_H
#define VAULT_VERIFY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define VERIFY_TABLE_KEY_BYTES 16u

struct verify_table {
    size_t thing_size; /* A struct that begins with its 16 bytes of key. */
    size_t count_max;
    size_t count;
    size_t capacity; /* A power of two. */
    uint8_t *things;
    uint8_t *used;
};

#define VERIFY_TABLE(type, max)                                                                    \
    ((struct verify_table){.thing_size = sizeof(type), .count_max = (max)})

/* Replaces what is there under its key.  WHY_LIMIT: full; WHY_NO_MEMORY. */
STATUS verify_table_put(struct verify_table *table, const void *thing);
/* NULL where there is none; lent until the table changes. */
void *verify_table_find(const struct verify_table *table, const uint8_t *key);
void verify_table_drop(struct verify_table *table, const uint8_t *key);
/* Place by place, from 0; NULL for an empty one; `place` < table->capacity. */
const void *verify_table_at(const struct verify_table *table, size_t place);
void verify_table_free(struct verify_table *table);

#endif
