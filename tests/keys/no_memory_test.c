/* SPDX-License-Identifier: Apache-2.0 */
/* Keys while memory runs out: ours, and OpenSSL's. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/own.h"
#include "keys/aead.h"
#include "keys/box.h"
#include "keys/envelope.h"
#include "keys/fingerprint.h"
#include "keys/permutation.h"
#include "keys/share_text.h"
#include "keys/shares.h"
#include "keys/source.h"
#include "tests/keys/shelf.h"
#include "tests/support/failing_alloc.h"

#define BOTH (FAILING_ALLOC_OURS | FAILING_ALLOC_OPENSSL)

static struct secret *root;
static struct keyring *ring;
static struct shelf shelf;
static char path[64];

static void begin(void)
{
    root = shelf_root(7);
}

static void end(void)
{
    secret_free(&root);
}

TestSuite(no_memory, .init = begin, .fini = end, .timeout = 120);

static struct status kdf_run(void)
{
    OWNED(kdf_free) struct kdf *kdf = NULL;
    uint8_t out[32];

    TRY(kdf_new(root, &kdf));
    TRY(kdf_derive(kdf, "label", "context", 7, out, sizeof out));
    OWNED(permutation_free) struct permutation *permutation = NULL;
    TRY(permutation_new(kdf, "label", "here", &permutation));
    TRY(permutation_apply(permutation, out, out));
    TRY(permutation_invert(permutation, out, out));
    return kdf_hmac(kdf, "a", 1, "b", 1, out);
}

static struct status aead_run_suite(enum aead_suite suite)
{
    OWNED(aead_free) struct aead *aead = NULL;
    static const uint8_t nonce[AEAD_NONCE_BYTES_MAX] = {1};
    static const uint8_t plain[5] = "abcd";
    uint8_t sealed[sizeof plain + AEAD_TAG_BYTES];
    uint8_t opened[sizeof plain];
    struct aead_input input = {.suite = suite,
                               .key = secret_peek(root),
                               .nonce = nonce,
                               .associated = (const uint8_t *)"place",
                               .associated_size = 5};

    TRY(aead_new(&aead));
    TRY(aead_seal(aead, &input, plain, sizeof plain, sealed));
    return aead_open(aead, &input, sealed, sizeof sealed, opened);
}

static struct status aead_run(void)
{
    return aead_run_suite(AEAD_AES_256_GCM);
}

static struct status aead_second_run(void)
{
    return aead_run_suite(AEAD_XCHACHA20_POLY1305);
}

static struct status ring_run(void)
{
    OWNED(keyring_free) struct keyring *made = NULL;

    TRY(keyring_new(root, "test", &made));
    return keyring_loaded(made, SHELF_NOW_MS);
}

/* A key's first use makes a KEK and a DEK; a failure on the way leaves the ring as it was. */
static void ring_open(void)
{
    ring = shelf_ring();
}

static void ring_close(void)
{
    keyring_free(&ring);
}

static struct status use_run(void)
{
    uint64_t key_id = 0;
    return keyring_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS, &key_id);
}

static void used_ring_open(void)
{
    ring = shelf_ring();
    (void)shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
}

static struct status renew_run(void)
{
    OWNED(secret_free) struct secret *new_root = NULL;

    TRY(secret_new_key(32, &new_root));
    memset(secret_bytes(new_root), 9, 32);
    return keyring_root_renew(ring, new_root);
}

/* Whole keys alone are in the ring, and what is in it can be stored and loaded. */
static void ring_is_whole(void)
{
    memset(&shelf, 0, sizeof shelf);
    (void)shelf_store(&shelf, ring);
    cr_expect_eq(shelf_why(&shelf), WHY_NONE);
}

static void shelf_fill(void)
{
    ring = shelf_ring();
    memset(&shelf, 0, sizeof shelf);
    for (unsigned i = 0; i < 20; i++) {
        char tenant[16];
        (void)snprintf(tenant, sizeof tenant, "tenant%u", i);
        (void)shelf_use(ring, tenant, KEY_PURPOSE_CARD, SHELF_NOW_MS);
    }
    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
}

static struct status load_run(void)
{
    OWNED(keyring_free) struct keyring *made = NULL;

    TRY(keyring_new(root, "test", &made));
    for (unsigned id = 0; id < SHELF_ROWS_MAX; id++)
        if (shelf.rows[id].size > 0)
            TRY(keyring_load(made, id, shelf.rows[id].bytes, shelf.rows[id].size));
    return keyring_loaded(made, SHELF_NOW_MS + 1000);
}

static struct status envelope_run(void)
{
    struct buffer sealed OWNED(buffer_free) = BUFFER(4096);
    struct envelope_place place = {.tenant = "shop", .purpose = "view"};
    uint64_t key_id = 0;
    uint8_t plain[64];
    size_t size = 0;

    TRY(keyring_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS, &key_id));
    TRY(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, (const uint8_t *)"plain", 5, 32,
                      &sealed));
    return envelope_open(ring, &place, sealed.bytes, sealed.size, plain, sizeof plain, &size);
}

static struct status index_run(void)
{
    uint8_t out[FINGERPRINT_BYTES];
    return fingerprint_index(ring, "label", "bytes", 5, SHELF_NOW_MS, out);
}

static void seal_make(void)
{
    char error[256] = "";

    (void)snprintf(path, sizeof path, "/tmp/cardkeep-seal-%d", getpid());
    cr_assert(!failed(source_file_create(path, error, sizeof error)), "%s", error);
}

static void seal_remove(void)
{
    cr_assert_eq(unlink(path), 0);
}

static struct status source_run(void)
{
    OWNED(secret_free) struct secret *opened = NULL;
    struct source source = {.kind = "file", .path = path};
    char error[256] = "";

    return source_open(&source, &opened, error, sizeof error);
}

/* A root into shares, one of them to its custodian and onto paper, and all of it back. */
static struct status shares_run(void)
{
    struct secret *values[3] = {NULL};
    OWNED(secret_free) struct secret *key = NULL;
    OWNED(secret_free) struct secret *text = NULL;
    OWNED(secret_free) struct secret *rebuilt = NULL;
    OWNED(share_free) struct share opened = {0};
    OWNED(share_free) struct share typed = {0};
    uint8_t public_key[CUSTODIAN_KEY_BYTES];
    uint8_t box[CUSTODIAN_BOX_BYTES];
    struct share_text_fault fault;

    TRY(custodian_new(public_key, &key));
    struct status status = shares_split(root, 2, 3, values);
    if (!failed(status)) {
        struct share share = {.threshold = 2, .index = 1, .value = values[0]};
        status = custodian_seal(public_key, &share, box);
        if (!failed(status))
            status = custodian_open(key, box, share.set, 1, &opened);
        if (!failed(status))
            status = share_text_write(&opened, &text);
        if (!failed(status))
            status = share_text_read(secret_peek(text), strlen((const char *)secret_peek(text)),
                                     &typed, &fault);
        const struct shares_part parts[] = {{1, typed.value}, {2, values[1]}};
        if (!failed(status))
            status = shares_combine(parts, 2, &rebuilt);
    }
    for (unsigned i = 0; i < 3; i++)
        secret_free(&values[i]);
    return status;
}

Test(no_memory, is_said_and_leaves_nothing_half_done)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "kdf", .run = kdf_run},
        {.name = "shares", .run = shares_run},
        {.name = "aead", .run = aead_run},
        {.name = "second suite", .run = aead_second_run},
        {.name = "keyring", .run = ring_run},
        {.name = "a first use",
         .run = use_run,
         .before = ring_open,
         .after = ring_close,
         .unchanged = ring_is_whole},
        {.name = "a new root",
         .run = renew_run,
         .before = used_ring_open,
         .after = ring_close,
         .unchanged = ring_is_whole},
        {.name = "loading", .run = load_run, .before = shelf_fill},
        {.name = "envelope", .run = envelope_run, .before = ring_open, .after = ring_close},
        {.name = "index",
         .run = index_run,
         .before = ring_open,
         .after = ring_close,
         .unchanged = ring_is_whole},
        {.name = "seal", .run = source_run, .before = seal_make, .after = seal_remove},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
}

Test(no_memory, of_openssl_is_said_too)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "kdf", .run = kdf_run, .of = BOTH, .may_succeed = true},
        {.name = "aead", .run = aead_run, .of = BOTH, .may_succeed = true},
        {.name = "a first use",
         .run = use_run,
         .before = ring_open,
         .after = ring_close,
         .unchanged = ring_is_whole,
         .of = BOTH,
         .may_succeed = true},
        {.name = "envelope",
         .run = envelope_run,
         .before = ring_open,
         .after = ring_close,
         .of = BOTH,
         .may_succeed = true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
}
