/* SPDX-License-Identifier: Apache-2.0 */
/* raw_rows list STORE FAMILY: every row of a family as it is stored, in hex, also beside a vault at
 * work.  Of a vault that is stopped: raw_rows delete STORE FAMILY KEY takes one away, raw_rows put
 * STORE FAMILY KEY VALUE writes one. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "vault/store.h"

#define KEY_BYTES_MAX 64u
#define ROW_BYTES_MAX (1u << 20)

static int family_of(const char *name)
{
    for (int i = 0; i < STORE_FAMILY_COUNT; i++)
        if (strcmp(store_families[i].name, name) == 0)
            return i;
    return -1;
}

static void say(const uint8_t *bytes, size_t size, char end)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    putchar(end);
}

static STATUS list(struct db *db, unsigned family)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;

    TRY(db_iterate(db, family, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t key_size = 0;
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &key_size);
        const uint8_t *value = db_iterator_value(rows, &size);
        say(key, key_size, ' ');
        say(value, size, '\n');
    }
    return db_iterator_status(rows);
}

/* With a value of NULL the row goes. */
static STATUS change(struct db *db, unsigned family, const char *key_hex, const char *value_hex)
{
    static uint8_t value[ROW_BYTES_MAX];
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);
    uint8_t key[KEY_BYTES_MAX];
    size_t key_size = 0;
    size_t size = 0;

    ENSURE(sodium_hex2bin(key, sizeof key, key_hex, strlen(key_hex), NULL, &key_size, NULL) == 0,
           WHY_BAD_INPUT);
    TRY(db_batch_new(&batch));
    if (value_hex == NULL) {
        TRY(db_get(db, family, key, key_size, &row));
        db_batch_delete(batch, db, family, key, key_size);
    } else {
        ENSURE(sodium_hex2bin(value, sizeof value, value_hex, strlen(value_hex), NULL, &size,
                              NULL) == 0,
               WHY_BAD_INPUT);
        db_batch_put(batch, db, family, key, key_size, value, size);
    }
    return db_commit(db, batch);
}

int main(int count, char **words)
{
    bool changes = (count == 5 && strcmp(words[1], "delete") == 0) ||
                   (count == 6 && strcmp(words[1], "put") == 0);
    bool lists = count == 4 && strcmp(words[1], "list") == 0;
    int family = count >= 4 ? family_of(words[3]) : -1;
    struct db_options options = {.families = store_families,
                                 .family_count = STORE_FAMILY_COUNT,
                                 .cache_bytes = 1u << 20,
                                 .wal_bytes_max = 64u << 20,
                                 .read_only = lists};
    OWNED(db_close) struct db *db = NULL;
    char reason[256] = "";

    if ((!changes && !lists) || family < 0) {
        (void)fprintf(stderr, "raw_rows list STORE FAMILY | delete STORE FAMILY KEY | put STORE "
                              "FAMILY KEY VALUE\n");
        return 2;
    }
    struct status status = db_open(words[2], &options, &db, reason, sizeof reason);
    if (!failed(status))
        status = lists ? list(db, (unsigned)family)
                       : change(db, (unsigned)family, words[4], count == 6 ? words[5] : NULL);
    if (failed(status))
        (void)fprintf(stderr, "raw_rows: %s %s\n", status_name(status.why), reason);
    return failed(status) ? EXIT_FAILURE : EXIT_SUCCESS;
}
