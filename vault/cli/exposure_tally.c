/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/exposure_tally.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SEEN_FIRST 1024u
#define SEEN_MAX   ((size_t)1 << 26)

static uint64_t token_hash(const char *token)
{
    uint8_t hash[HASH_BYTES];
    uint64_t value = 0;

    hash_begin();
    hash_add(token, strlen(token));
    hash_end(hash);
    memcpy(&value, hash, sizeof value);
    return value == 0 ? 1 : value;
}

/* False where it was there already. */
static bool seen_put(uint64_t *seen, size_t capacity, uint64_t value)
{
    size_t at = value & (capacity - 1);

    for (; seen[at] != 0; at = (at + 1) & (capacity - 1))
        if (seen[at] == value)
            return false;
    seen[at] = value;
    return true;
}

/* Half of the table stays free. */
static bool seen_grow(struct exposure_tally *tally)
{
    size_t capacity = tally->seen_capacity == 0 ? SEEN_FIRST : 2 * tally->seen_capacity;

    if (tally->tokens < tally->seen_capacity / 2)
        return true;
    uint64_t *grown = capacity > SEEN_MAX ? NULL : calloc(capacity, sizeof *grown);
    if (grown == NULL)
        return false;
    for (size_t i = 0; i < tally->seen_capacity; i++)
        if (tally->seen[i] != 0)
            (void)seen_put(grown, capacity, tally->seen[i]);
    free(tally->seen);
    tally->seen = grown;
    tally->seen_capacity = capacity;
    return true;
}

static void person_add(struct exposure_tally *tally, const char *by)
{
    unsigned i = 0;

    while (i < tally->person_count && strcmp(tally->persons[i].name, by) != 0)
        i++;
    if (i == EXPOSURE_PERSONS_MAX) {
        tally->full = true;
        return;
    }
    if (i == tally->person_count) {
        (void)snprintf(tally->persons[i].name, sizeof tally->persons[i].name, "%.63s", by);
        tally->person_count++;
    }
    tally->persons[i].uses++;
}

void exposure_tally_add(struct exposure_tally *tally, enum exposure_action action,
                        const char *token, const char *by)
{
    assert(action < EXPOSURE_ACTION_COUNT);
    tally->uses[action]++;
    person_add(tally, by);
    if (!seen_grow(tally)) {
        tally->full = true;
        return;
    }
    if (seen_put(tally->seen, tally->seen_capacity, token_hash(token)))
        tally->tokens++;
}

void exposure_tally_free(struct exposure_tally *tally)
{
    free(tally->seen);
    tally->seen = NULL;
    tally->seen_capacity = 0;
}
