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

/* A record as tokenize.c makes it, with its parts as said. */
static void put_record(uint64_t id, uint64_t card_of, const char *last4)
{
    struct envelope_place place = find_place("demo", "view", id);
    struct view view = {.token = "tok_test_x", .length = 16, .exp_month = 12, .exp_year = 2031};
    struct buffer plain OWNED(buffer_free) = BUFFER(4096);
    struct buffer sealed_view OWNED(buffer_free) = BUFFER(4096);
    struct buffer sealed_card OWNED(buffer_free) = BUFFER(4096);

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
}

static void put_token(uint8_t name, uint64_t record_id, enum store_token_state state)
{
    uint8_t key[STORE_KEY_BYTES] = {name};
    struct store_token token = {.state = state, .record_id = record_id};
    cr_assert(!failed(store_put_token(&store, batch, key, &token)));
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
        enum keeper_verdict found = keeper_verify_run(&settings, NULL, &text);
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

/* Commits all, closes the store and verifies it. */
static enum keeper_verdict verdict(struct buffer *out)
{
    struct keyring_change change;
    while (keyring_take_change(ring, &change)) {
        uint8_t key[8];
        for (unsigned i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)(change.row_id >> (56 - 8 * i));
        db_batch_put(batch, db, STORE_KEYS, key, sizeof key, change.row, change.row_size);
    }
    cr_assert(!failed(db_commit(db, batch)), "%s", db_trouble(db));
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
    put_token(1, 1, STORE_TOKEN_LIVE);
    put_token(2, 2, STORE_TOKEN_LIVE);
    expect(KEEPER_VERIFY_GOOD, "record rows: 2, of which 2 hold");
}

Test(keeper_verify, finds_the_card_of_another_record)
{
    put_record(1, 1, "4242");
    put_record(2, 1, "4242");
    expect(KEEPER_VERIFY_BAD, "record 0000000000000002 does not hold: ");
}

Test(keeper_verify, finds_a_view_that_shows_another_card)
{
    put_record(1, 1, "4241");
    expect(KEEPER_VERIFY_BAD, "record 0000000000000001 does not hold: ");
}

Test(keeper_verify, finds_a_token_without_its_record)
{
    put_record(1, 1, "4242");
    put_token(1, 1, STORE_TOKEN_LIVE);
    put_token(2, 7, STORE_TOKEN_LIVE);
    put_token(3, 7, STORE_TOKEN_CONSUMED); /* It is shown still, and may come back. */
    put_token(4, 0, STORE_TOKEN_ERASED);
    expect(KEEPER_VERIFY_BAD, "token rows: 4, of which 2 hold");
}

Test(keeper_verify, says_when_there_is_no_store_or_another_seal)
{
    char error[256] = "";
    put_record(1, 1, "4242");
    cr_assert_eq(unlink(seal), 0);
    cr_assert(!failed(source_file_create(seal, error, sizeof error)), "%s", error);
    expect(KEEPER_VERIFY_BAD, "the store's keys are not this seal's");
}
