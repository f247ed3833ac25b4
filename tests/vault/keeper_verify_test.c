/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_verify.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/fingerprint.h"
#include "keys/source.h"
#include "vault/steps.h"
#include "vault/token_key.h"

#define PAN    "4242424242424242" /* A published test number. */
#define ORIGIN "vault.test/log"

static char folder[64];
static char data[96];
static char seal[96];
static struct settings settings;
static struct secret *root;
static struct db *db;
static struct db_batch *batch;
static struct keyring *ring;
static struct store store;
static uint64_t key_id;

static void begin(void)
{
    char error[256] = "";
    uint8_t ignored[FINGERPRINT_BYTES];
    struct db_options options = {.families = store_families,
                                 .family_count = STORE_FAMILY_COUNT,
                                 .cache_bytes = 1u << 20,
                                 .wal_bytes_max = 1u << 20,
                                 .create = true};
    cr_assert(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "/tmp/cardkeep-keeper-verify-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(seal, sizeof seal, "%s/seal.key", folder);
    settings = (struct settings){.data = data,
                                 .seal_kind = SEAL_FILE,
                                 .seal_path = seal,
                                 .origin = ORIGIN,
                                 .cache_bytes = 1u << 20};
    struct source source = {.kind = "file", .path = seal};
    cr_assert(!failed(source_file_create(seal, error, sizeof error)), "%s", error);
    cr_assert(!failed(source_open(&source, &root, error, sizeof error)), "%s", error);
    cr_assert(!failed(db_open(data, &options, &db, error, sizeof error)), "%s", error);
    cr_assert(!failed(db_batch_new(&batch)));
    cr_assert(!failed(keyring_new(root, "development", &ring)));
    cr_assert(!failed(keyring_loaded(ring, clock_now_ms())));
    cr_assert(!failed(fingerprint_index(ring, "start", "", 0, clock_now_ms(), ignored)));
    cr_assert(!failed(keyring_use(ring, "demo", KEY_PURPOSE_CARD, clock_now_ms(), &key_id)));
    cr_assert(!failed(store_open(&store, db, ring)));
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *place)
{
    (void)info;
    (void)flag;
    (void)place;
    return remove(path);
}

static void end(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(keeper_verify, .init = begin, .fini = end, .timeout = 60);

/* A record, its token and its same-card row as tokenize.c makes them, with their parts as said. */
static void put_record(uint64_t id, uint64_t card_of, const char *last4)
{
    struct envelope_place place = find_place("demo", "view", id);
    struct view view = {.length = 16, .exp_month = 12, .exp_year = 2031};
    struct store_token token = {
        .state = STORE_TOKEN_LIVE, .record_id = id, .fingerprint = {(uint8_t)id}};
    struct store_same_card same = {.record_id = id, .token_count = 1};
    uint8_t key[STORE_KEY_BYTES];
    struct buffer plain OWNED(buffer_free) = BUFFER(4096);
    struct buffer sealed_view OWNED(buffer_free) = BUFFER(4096);
    struct buffer sealed_card OWNED(buffer_free) = BUFFER(4096);

    snprintf(view.token, sizeof view.token, "tok_test_%u", (unsigned)id);
    snprintf(view.last4, sizeof view.last4, "%s", last4);
    view_encode(&view, &plain);
    cr_assert(!failed(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, plain.bytes,
                                    plain.size, plain.size, &sealed_view)));
    buffer_clear(&plain);
    message_bytes_encode(PAN, strlen(PAN), &plain);
    place = find_place("demo", "card", card_of);
    cr_assert(!failed(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, plain.bytes,
                                    plain.size, plain.size, &sealed_card)));
    cr_assert(!failed(store_put_record(&store, batch, id, &sealed_view, &sealed_card)));
    cr_assert(!failed(token_key(&store, "demo", view.token, 0, key)));
    cr_assert(!failed(store_put_token(&store, batch, key, &token)));
    cr_assert(!failed(store_put_same_card(&store, batch, token.fingerprint, &same)));
}

static void put_token(uint8_t name, uint64_t record_id, enum store_token_state state)
{
    uint8_t key[STORE_KEY_BYTES] = {name};
    struct store_token token = {.state = state, .record_id = record_id, .fingerprint = {1}};
    cr_assert(!failed(store_put_token(&store, batch, key, &token)));
}

static void show(void *owner, const struct keeper_finding *finding)
{
    char key[129] = "";
    cr_assert_leq(finding->key_size, 64);
    encode_hex(finding->key, finding->key_size, key);
    buffer_format(owner, "%s %s is %s: %s\n", finding->family, key, finding->kind, finding->text);
}

/* In a process of its own, which is confined from then on; its words and its verdict come back. */
static enum keeper_verdict verify_apart(struct buffer *out)
{
    int ends[2];
    int status = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct buffer text = BUFFER(16384);
        struct keeper_verify_options options = {.found = show, .owner = &text, .hsm_fd = -1};
        enum keeper_verdict found = keeper_verify_run(&settings, &options, &text);
        bool whole = write(ends[1], text.bytes, text.size) == (ssize_t)text.size;
        _exit(whole ? (int)found : 99);
    }
    close(ends[1]);
    uint8_t *room = buffer_extend(out, 8192);
    cr_assert_not_null(room);
    out->size = 0;
    for (ssize_t count; (count = read(ends[0], room + out->size, 8192 - out->size)) > 0;)
        out->size += (size_t)count;
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
    return (enum keeper_verdict)WEXITSTATUS(status);
}

static void record(struct audit_log *log, const struct audit_entry *entry)
{
    struct audit_entry whole = *entry;
    uint64_t seq = 0;
    whole.ts_ms = clock_now_ms();
    whole.actor = whole.origin = "keeper";
    whole.outcome = "ok";
    cr_assert(!failed(audit_log_append(log, batch, &whole, &seq)));
}

/* A checkpoint over all of it, by a key that nobody asks for. */
static void sign(struct audit_log *log)
{
    struct buffer text OWNED(buffer_free) = BUFFER(1024);
    struct buffer note OWNED(buffer_free) = BUFFER(NOTE_BYTES_MAX);
    struct checkpoint now = {.origin = ORIGIN, .size = audit_log_size(log)};
    OWNED(secret_free) struct secret *seed = NULL;
    struct note_key key;

    cr_assert(!failed(secret_new_key(32, &seed)));
    random_bytes(secret_bytes(seed), 32);
    cr_assert(!failed(note_key_from_seed(ORIGIN, seed, &key)));
    audit_log_root(log, now.root);
    checkpoint_text(&now, &text);
    cr_assert(!failed(note_sign(buffer_text(&text), text.size, &key, seed, &note)));
    cr_assert(!failed(audit_log_put_checkpoint(log, batch, note.bytes, note.size)));
    audit_log_seal(log, batch);
    cr_assert(!failed(db_commit(db, batch)), "%s", db_trouble(db));
    audit_log_committed(log);
}

/* Commits all with its log, closes the store and verifies it. */
static enum keeper_verdict verdict(struct buffer *out)
{
    static const struct audit_families families = {STORE_AUDIT_ENTRIES, STORE_AUDIT_CHECKPOINTS,
                                                   STORE_AUDIT_STATE};
    OWNED(audit_log_free) struct audit_log *log = NULL;
    struct keyring_change change;

    cr_assert(!failed(audit_log_open(db, &families, ORIGIN, &log)));
    while (keyring_take_change(ring, &change)) {
        uint8_t key[8];
        for (unsigned i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)(change.row_id >> (56 - 8 * i));
        db_batch_put(batch, db, STORE_KEYS, key, sizeof key, change.row, change.row_size);
        struct audit_entry entry = {.event = change.event, .key_id = change.info.id};
        if (change.event[0] != '\0')
            record(log, &entry);
    }
    audit_log_seal(log, batch);
    cr_assert(!failed(db_commit(db, batch)), "%s", db_trouble(db));
    audit_log_committed(log);
    db_batch_clear(batch);
    sign(log);
    audit_log_free(&log);
    db_batch_free(&batch);
    store_close(&store);
    keyring_free(&ring);
    db_close(&db);
    secret_free(&root);
    return verify_apart(out);
}

static void expect(enum keeper_verdict wanted, const char *part)
{
    struct buffer out OWNED(buffer_free) = BUFFER(16384);
    enum keeper_verdict found = verdict(&out);
    cr_expect_eq(found, wanted, "%d: %s", (int)found, buffer_text(&out));
    cr_expect_not_null(strstr(buffer_text(&out), part), "%s", buffer_text(&out));
    cr_expect_null(strstr(buffer_text(&out), PAN));
}

Test(keeper_verify, opens_every_record)
{
    put_record(1, 1, "4242");
    put_record(2, 2, "4242");
    expect(KEEPER_VERIFY_GOOD, "record rows: 2, of which 2 hold");
}

Test(keeper_verify, finds_the_card_of_another_record)
{
    put_record(1, 1, "4242");
    put_record(2, 1, "4242");
    expect(KEEPER_VERIFY_BAD, "records 0000000000000002 is unauthentic: ");
}

Test(keeper_verify, finds_a_view_that_shows_another_card)
{
    put_record(1, 1, "4241");
    expect(KEEPER_VERIFY_BAD, "records 0000000000000001 is unauthentic: ");
}

Test(keeper_verify, finds_a_token_without_its_record)
{
    put_record(1, 1, "4242");
    put_token(2, 7, STORE_TOKEN_LIVE);
    put_token(3, 7, STORE_TOKEN_CONSUMED); /* It is shown still, and may come back. */
    put_token(4, 0, STORE_TOKEN_ERASED);
    expect(KEEPER_VERIFY_BAD, "token rows: 4, of which 2 hold");
}

Test(keeper_verify, finds_a_record_without_its_token)
{
    uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    struct buffer row OWNED(buffer_free) = BUFFER(4096);
    put_record(1, 1, "4242");
    cr_assert(!failed(db_commit(db, batch)));
    db_batch_clear(batch);
    cr_assert(!failed(db_get(db, STORE_RECORDS, key, sizeof key, &row)));
    uint8_t key_of_token[STORE_KEY_BYTES];
    cr_assert(!failed(token_key(&store, "demo", "tok_test_1", 0, key_of_token)));
    db_batch_delete(batch, db, STORE_TOKENS, key_of_token, sizeof key_of_token);
    expect(KEEPER_VERIFY_BAD, "records 0000000000000001 is orphaned: ");
}

Test(keeper_verify, finds_rows_of_no_name)
{
    put_record(1, 1, "4242");
    db_batch_put(batch, db, STORE_META, "mine", 4, "x", 1);
    expect(KEEPER_VERIFY_BAD, "meta 6d696e65 is unauthentic: ");
}

Test(keeper_verify, says_when_there_is_no_store_or_another_seal)
{
    char error[256] = "";
    put_record(1, 1, "4242");
    cr_assert_eq(unlink(seal), 0);
    cr_assert(!failed(source_file_create(seal, error, sizeof error)), "%s", error);
    expect(KEEPER_VERIFY_BAD, "keys 0000000000000000 is unauthentic: ");
}
