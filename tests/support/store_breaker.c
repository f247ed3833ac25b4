/* SPDX-License-Identifier: Apache-2.0 */
/* store_breaker STORE OLDER SEAL ORIGIN VERIFIER STRIDE ROWS: is everything found that can be done
 * to a row?
 *
 * STORE is a copy that it may write to, OLDER an earlier copy of it.  Each row (or about
 * ROWS of each family, drawn; 0 for all) is changed in one byte (every STRIDE-th of them, from a
 * drawn one on), renamed, exchanged with its neighbour, deleted, and replaced by its earlier self,
 * one at a time; each time the whole store is checked as `cardkeep store check` does, and then put
 * right again.  Says as JSON what was tried, found, and named by its own key; and each thing that
 * was missed. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "keys/source.h"
#include "tests/support/store_copy.h"
#include "vault/settings.h"
#include "vault/verify.h"

#define ROWS_MAX 100000u
#define TEXT_MAX (1u << 20)

enum harm {
    HARM_FLIP,
    HARM_RENAME,
    HARM_SWAP,
    HARM_DELETE,
    HARM_OLDER,
    HARM_BACK,
    HARM_REVIVE,
    HARM_FORGET,
    HARM_FAMILY,
    HARM_COUNT
};

static const char *const harm_names[] = {
    [HARM_FLIP] = "flipped",   [HARM_RENAME] = "renamed",    [HARM_SWAP] = "swapped",
    [HARM_DELETE] = "deleted", [HARM_OLDER] = "rolled_back", [HARM_BACK] = "put_back",
    [HARM_REVIVE] = "revived", [HARM_FORGET] = "forgotten",  [HARM_FAMILY] = "family_rolled_back"};

static struct settings settings;
static struct secret *root;
static struct note_key log_key;
static struct db *db;
static struct db_batch *batch;
static struct row rows[ROWS_MAX];
static size_t row_count;
static unsigned tried[STORE_FAMILY_COUNT][HARM_COUNT];
static unsigned found[STORE_FAMILY_COUNT][HARM_COUNT];
static unsigned named[STORE_FAMILY_COUNT][HARM_COUNT];
static struct buffer missed = {.bytes_max = TEXT_MAX};
static struct json_writer missed_writer;

/* The keys that a finding may name, and whether one did. */
static const struct row *wanted[2];
static bool was_named;

/* The log is named where it first does not hold, which may be behind the row that was harmed. */
static bool is_log(const char *family)
{
    return strncmp(family, "audit_", 6) == 0;
}

static void on_found(void *owner, const struct keeper_finding *finding)
{
    const bool *say = owner;
    char key[129] = "";

    for (unsigned i = 0; i < 2 && wanted[i] != NULL; i++) {
        const char *family = store_families[wanted[i]->family].name;
        was_named =
            was_named || (is_log(family) && is_log(finding->family)) ||
            (strcmp(family, finding->family) == 0 && wanted[i]->key_size == finding->key_size &&
             memcmp(wanted[i]->key, finding->key, finding->key_size) == 0);
    }
    encode_hex(finding->key, finding->key_size > 64 ? 64 : finding->key_size, key);
    if (*say)
        (void)fprintf(stderr, "%s %s is %s: %s\n", finding->family, key, finding->kind,
                      finding->text);
}

/* How many findings there are in the store as it is. */
static uint64_t check(bool say)
{
    struct buffer out OWNED(buffer_free) = BUFFER(65536);
    struct keeper_verify_options options = {
        .log_keys = &log_key, .log_key_count = 1, .found = on_found, .owner = &say};
    struct verify verify = {.keeper = {.settings = &settings, .root = root, .db = db},
                            .options = &options,
                            .plain = BUFFER(ENVELOPE_PLAIN_BYTES_MAX),
                            .row = BUFFER(256u * 1024u),
                            .out = &out};
    char reason[256] = "";

    was_named = false;
    struct status status = verify_walk(&verify, reason, sizeof reason);
    uint64_t count = verify.findings;
    verify_close(&verify);
    /* A walk that ends early has to have a reason, and says nothing of which row it was. */
    return failed(status) && count == 0 ? UINT64_MAX : count;
}

static void put(enum store_family family, const uint8_t *key, size_t key_size, const uint8_t *value,
                size_t value_size)
{
    db_batch_put(batch, db, family, key, key_size, value, value_size);
}

static void drop(const struct row *row)
{
    db_batch_delete(batch, db, row->family, row->key, row->key_size);
}

static void restore(const struct row *row)
{
    put(row->family, row->key, row->key_size, row->value, row->value_size);
}

static void commit(void)
{
    store_copy_must(db_commit(db, batch), "a row cannot be written");
    db_batch_clear(batch);
}

/* What waits in the batch is done, checked and noted; the caller puts it right. */
static void judge(enum harm harm, const struct row *row, const struct row *other, size_t at)
{
    char key[129] = "";
    char value[129] = "";

    commit();
    wanted[0] = row;
    wanted[1] = other;
    uint64_t count = check(false);
    tried[row->family][harm]++;
    found[row->family][harm] += count > 0;
    named[row->family][harm] += was_named;
    if (count > 0 && (was_named || harm == HARM_FAMILY))
        return;
    encode_hex(row->key, row->key_size > 64 ? 64 : row->key_size, key);
    json_begin_object(&missed_writer);
    json_put_member(&missed_writer, "family", store_families[row->family].name);
    json_put_member(&missed_writer, "harm", harm_names[harm]);
    json_put_member(&missed_writer, "key", key);
    json_put_member_u64(&missed_writer, "at", at);
    json_put_member_bool(&missed_writer, "found", count > 0);
    encode_hex(row->value, row->value_size > 64 ? 64 : row->value_size, value);
    json_put_member(&missed_writer, "value", value);
    json_end_object(&missed_writer);
}

static const struct row *find_row(enum store_family family, const uint8_t *key, size_t key_size)
{
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].family == family && rows[i].key_size == key_size &&
            memcmp(rows[i].key, key, key_size) == 0)
            return &rows[i];
    return NULL;
}

static void flips(struct row *row, size_t stride)
{
    for (size_t at = random_below((uint32_t)stride); at < row->value_size; at += stride) {
        uint8_t bit = (uint8_t)(1u << random_below(8));
        uint8_t *changed = store_copy_bytes(row->value, row->value_size);
        changed[at] ^= bit;
        put(row->family, row->key, row->key_size, changed, row->value_size);
        judge(HARM_FLIP, row, NULL, at);
        restore(row);
        free(changed);
    }
}

static void renames(struct row *row, size_t stride)
{
    for (size_t at = random_below((uint32_t)stride) % row->key_size; at < row->key_size;
         at += stride) {
        struct row moved = *row;
        moved.key = store_copy_bytes(row->key, row->key_size);
        moved.key[at] ^= (uint8_t)(1u << random_below(8));
        if (find_row(row->family, moved.key, row->key_size) == NULL) {
            drop(row);
            put(row->family, moved.key, row->key_size, row->value, row->value_size);
            judge(HARM_RENAME, row, &moved, at);
            drop(&moved);
            restore(row);
        }
        free(moved.key);
    }
}

static void harm_row(size_t index, size_t stride)
{
    struct row *row = &rows[index];
    struct row *next = index + 1 < row_count ? &rows[index + 1] : NULL;
    bool differ = next != NULL && next->family == row->family &&
                  (next->value_size != row->value_size ||
                   memcmp(next->value, row->value, row->value_size) != 0);

    flips(row, stride);
    renames(row, stride);
    drop(row);
    judge(HARM_DELETE, row, NULL, 0);
    restore(row);
    if (!differ)
        return;
    put(row->family, row->key, row->key_size, next->value, next->value_size);
    put(next->family, next->key, next->key_size, row->value, row->value_size);
    judge(HARM_SWAP, row, next, 0);
    restore(row);
    restore(next);
}

/* Rows as they were: changed since, or gone since. */
static void harm_older(const struct row *old)
{
    const struct row *now = find_row(old->family, old->key, old->key_size);

    if (now != NULL && store_copy_same(now, old))
        return;
    restore(old);
    judge(now != NULL ? HARM_OLDER : HARM_BACK, old, NULL, 0);
    if (now != NULL)
        restore(now);
    else
        drop(old);
}

static struct row *old_rows;
static size_t old_count;

static void keep_old(const struct row *row)
{
    old_rows = reallocarray(old_rows, old_count + 1, sizeof *old_rows);
    if (old_rows == NULL)
        store_copy_die("there is not enough memory");
    old_rows[old_count++] = *row;
}

/* Whether `row` belongs to a token or a lease: its record, its same-card row, its expiry. */
static bool belongs(const struct row *row, const struct row *owner)
{
    switch ((unsigned)row->family) {
    case STORE_RECORDS:
        return owner->family == STORE_TOKENS && memcmp(row->key, owner->value + 2, 8) == 0;
    case STORE_FINGERPRINTS:
        return owner->family == STORE_TOKENS &&
               memmem(owner->value, owner->value_size, row->key, row->key_size) != NULL;
    case STORE_EXPIRIES:
        return memmem(row->key, row->key_size, owner->key, owner->key_size) != NULL;
    default:
        return false;
    }
}

/* A token that was erased comes back, with all that was its own, as it was. */
static void harm_revive(const struct row *old)
{
    const struct row *now = find_row(old->family, old->key, old->key_size);

    if (old->family != STORE_TOKENS || now == NULL || old->value[0] != STORE_TOKEN_LIVE ||
        now->value[0] != STORE_TOKEN_ERASED)
        return;
    restore(old);
    for (size_t i = 0; i < old_count; i++)
        if (belongs(&old_rows[i], old))
            restore(&old_rows[i]);
    judge(HARM_REVIVE, old, NULL, 0);
    for (size_t i = 0; i < old_count; i++) {
        const struct row *own = &old_rows[i];
        const struct row *own_now = find_row(own->family, own->key, own->key_size);
        if (belongs(own, old) && own_now == NULL)
            drop(own);
        else if (belongs(own, old))
            restore(own_now);
    }
    restore(now);
}

/* A token or a lease goes, with all that says that it was there but the log. */
static void harm_forget(const struct row *row)
{
    if (row->family != STORE_TOKENS && row->family != STORE_LEASES)
        return;
    drop(row);
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].family != STORE_FINGERPRINTS && belongs(&rows[i], row))
            drop(&rows[i]);
    judge(HARM_FORGET, row, NULL, 0);
    for (size_t i = 0; i < row_count; i++)
        if (belongs(&rows[i], row))
            restore(&rows[i]);
    restore(row);
}

/* All families of the set as they were, and the others as they are. */
static void harm_families(unsigned set)
{
    const struct row *first = NULL;
    bool differs = false;

    for (size_t i = 0; i < row_count; i++)
        if ((set >> rows[i].family & 1) != 0) {
            drop(&rows[i]);
            first = first == NULL ? &rows[i] : first;
        }
    for (size_t i = 0; i < old_count; i++)
        if ((set >> old_rows[i].family & 1) != 0)
            restore(&old_rows[i]);
    for (size_t i = 0; i < row_count && !differs; i++) {
        bool same = false;
        for (size_t j = 0; j < old_count && !same; j++)
            same = store_copy_same(&old_rows[j], &rows[i]);
        differs = (set >> rows[i].family & 1) != 0 && !same;
    }
    if (first != NULL && differs)
        judge(HARM_FAMILY, first, NULL, set);
    commit();
    for (size_t i = 0; i < old_count; i++)
        if ((set >> old_rows[i].family & 1) != 0)
            drop(&old_rows[i]);
    for (size_t i = 0; i < row_count; i++)
        if ((set >> rows[i].family & 1) != 0)
            restore(&rows[i]);
    commit();
}

static void keep(const struct row *row)
{
    if (row_count == ROWS_MAX)
        store_copy_die("the store has too many rows");
    rows[row_count++] = *row;
}

static void counts_write(struct json_writer *writer, const char *name,
                         unsigned counts[STORE_FAMILY_COUNT][HARM_COUNT])
{
    json_key(writer, name);
    json_begin_object(writer);
    for (unsigned i = 0; i < STORE_FAMILY_COUNT; i++) {
        json_key(writer, store_families[i].name);
        json_begin_object(writer);
        for (unsigned j = 0; j < HARM_COUNT; j++)
            json_put_member_u64(writer, harm_names[j], counts[i][j]);
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void report(void)
{
    struct buffer out OWNED(buffer_free) = BUFFER(2 * TEXT_MAX);
    struct json_writer writer = json_writer_over(&out);

    json_end_array(&missed_writer);
    json_begin_object(&writer);
    json_put_member_u64(&writer, "rows", row_count);
    counts_write(&writer, "tried", tried);
    counts_write(&writer, "found", found);
    counts_write(&writer, "named", named);
    json_key(&writer, "missed");
    json_put_raw(&writer, missed.bytes, missed.size);
    json_end_object(&writer);
    store_copy_must(buffer_status(&out), "too much was missed");
    (void)printf("%s\n", buffer_text(&out));
}

static void open_all(char **words)
{
    static char key_text[NOTE_NAME_BYTES_MAX + 66];
    char error[256] = "";
    struct source source = {.kind = "file", .path = words[3], .data = words[1]};
    FILE *file = fopen(words[5], "re");

    if (file == NULL || fgets(key_text, sizeof key_text, file) == NULL)
        store_copy_die("no verifier key");
    (void)fclose(file);
    key_text[strcspn(key_text, "\n")] = '\0';
    store_copy_must(note_key_parse(key_text, &log_key), "no verifier key");
    if (sodium_init() < 0)
        store_copy_die("no random numbers");
    store_copy_must(secret_pool_open(16), "no memory can be locked");
    store_copy_must(source_open(&source, &root, error, sizeof error), error);
    settings = (struct settings){.data = words[1], .origin = words[4]};
    db = store_copy_open(words[1], false);
    store_copy_must(db_batch_new(&batch), "there is not enough memory");
}

static size_t number(const char *text)
{
    size_t value = 0;

    for (; *text >= '0' && *text <= '9' && value < 100000; text++)
        value = 10 * value + (size_t)(*text - '0');
    return value;
}

/* Whether a row is among about `rows_max` of its family. */
static bool is_drawn(const struct row *row, size_t rows_max)
{
    size_t count = 0;

    for (size_t i = 0; i < row_count; i++)
        count += rows[i].family == row->family;
    return rows_max == 0 || random_below((uint32_t)count) < rows_max;
}

int main(int argc, char **argv)
{
    if (argc != 8)
        store_copy_die("usage: store_breaker STORE OLDER SEAL ORIGIN VERIFIER STRIDE ROWS");
    size_t stride = number(argv[6]);
    size_t rows_max = number(argv[7]);
    if (stride == 0)
        store_copy_die("STRIDE is 1 or more");
    open_all(argv);
    if (check(true) != 0)
        store_copy_die("the store is not sound as it is");
    missed_writer = json_writer_over(&missed);
    json_begin_array(&missed_writer);
    for (unsigned i = 0; i < STORE_FAMILY_COUNT; i++)
        store_copy_each(db, (enum store_family)i, keep);
    for (size_t i = 0; i < row_count; i++)
        if (is_drawn(&rows[i], rows_max))
            harm_row(i, stride);
    struct db *older = store_copy_open(argv[2], true);
    for (unsigned i = 0; i < STORE_FAMILY_COUNT; i++)
        store_copy_each(older, (enum store_family)i, keep_old);
    for (size_t i = 0; i < old_count; i++)
        harm_older(&old_rows[i]);
    for (size_t i = 0; i < old_count; i++)
        harm_revive(&old_rows[i]);
    for (size_t i = 0; i < row_count; i++)
        harm_forget(&rows[i]);
    for (unsigned i = 0; i < STORE_FAMILY_COUNT; i++)
        harm_families(1u << i);
    /* What a store is without its log; and with the log of today. */
    unsigned log =
        1u << STORE_AUDIT_ENTRIES | 1u << STORE_AUDIT_CHECKPOINTS | 1u << STORE_AUDIT_STATE;
    harm_families(log);
    harm_families(((1u << STORE_FAMILY_COUNT) - 1) & ~log);
    harm_families(1u << STORE_RECORDS | 1u << STORE_TOKENS | 1u << STORE_FINGERPRINTS);
    harm_families(1u << STORE_LEASES | 1u << STORE_EXPIRIES);
    db_close(&older);
    commit();
    if (check(true) != 0)
        store_copy_die("the store is not sound any more");
    report();
    db_batch_free(&batch);
    db_close(&db);
    secret_free(&root);
    return EXIT_SUCCESS;
}
