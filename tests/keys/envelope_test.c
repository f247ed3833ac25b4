/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/envelope.h"

#include <string.h>

#include "base/own.h"
#include "keys/aead.h"
#include "keys/keyring_parts.h"
#include "tests/keys/shelf.h"

static const char pan[] = "4242424242424242"; /* A published test number. */
static const struct envelope_place place = {
    .tenant = "shop", .purpose = "card", .object = {1, 2, 3}};

#define PADDED 32u

static struct keyring *ring;
static uint64_t key_id;
static uint8_t sealed[512];
static size_t sealed_size;

static void seal_under(enum envelope_suite suite, const char *text, size_t padded)
{
    OWNED(buffer_free) struct buffer out = BUFFER(sizeof sealed);

    cr_assert(!failed(envelope_seal(ring, key_id, suite, &place, (const uint8_t *)text,
                                    strlen(text), padded, &out)));
    memcpy(sealed, out.bytes, out.size);
    sealed_size = out.size;
}

static void seal_one_card(void)
{
    ring = shelf_ring();
    key_id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    seal_under(ENVELOPE_AES_256_GCM, pan, PADDED);
}

static void close_ring(void)
{
    keyring_free(&ring);
}

TestSuite(envelope, .init = seal_one_card, .fini = close_ring);

/* Why `sealed`, as changed by the test, would not open; and nothing came out of it then. */
static enum why why_refused(const struct envelope_place *where)
{
    static const uint8_t zeros[64];
    uint8_t plain[64] = {0};
    size_t size = 99;
    enum why why = envelope_open(ring, where, sealed, sealed_size, plain, sizeof plain, &size).why;

    if (why != WHY_NONE) {
        cr_expect_arr_eq(plain, zeros, sizeof plain, "a failure hands out nothing");
        cr_expect_eq(size, 99);
    }
    return why;
}

static void expect_opens_to(const char *text)
{
    uint8_t plain[64] = {0};
    size_t size = 0;

    cr_assert(
        !failed(envelope_open(ring, &place, sealed, sealed_size, plain, sizeof plain, &size)));
    cr_assert_eq(size, strlen(text));
    cr_assert_arr_eq(plain, text, size);
}

Test(envelope, opens_to_what_was_sealed)
{
    expect_opens_to(pan);
}

Test(envelope, opens_to_what_was_sealed_in_the_second_suite)
{
    size_t gcm_size = sealed_size;

    seal_under(ENVELOPE_XCHACHA20_POLY1305, pan, PADDED);
    cr_assert_eq(sealed[1], ENVELOPE_XCHACHA20_POLY1305);
    cr_assert_eq(sealed_size, gcm_size + 12, "its nonce is longer");
    expect_opens_to(pan);
}

Test(envelope, opens_an_empty_plaintext_and_the_largest)
{
    OWNED(buffer_free) struct buffer out = BUFFER(2 * ENVELOPE_PLAIN_BYTES_MAX);
    static uint8_t big[ENVELOPE_PLAIN_BYTES_MAX];
    static uint8_t back[ENVELOPE_PLAIN_BYTES_MAX];
    size_t size = 0;

    seal_under(ENVELOPE_AES_256_GCM, "", 0);
    expect_opens_to("");
    memset(big, 0x5a, sizeof big);
    cr_assert(!failed(envelope_seal(ring, key_id, ENVELOPE_XCHACHA20_POLY1305, &place, big,
                                    sizeof big, sizeof big, &out)));
    cr_assert_eq(out.size, sizeof big + ENVELOPE_OVERHEAD_MAX);
    cr_assert(!failed(envelope_open(ring, &place, out.bytes, out.size, back, sizeof back, &size)));
    cr_assert_eq(size, sizeof big);
    cr_assert_arr_eq(back, big, sizeof big);
}

Test(envelope, does_not_open_with_any_one_bit_changed)
{
    const enum envelope_suite suites[] = {ENVELOPE_AES_256_GCM, ENVELOPE_XCHACHA20_POLY1305};

    for (unsigned i = 0; i < 2; i++) {
        seal_under(suites[i], pan, PADDED);
        for (size_t bit = 0; bit < 8 * sealed_size; bit++) {
            bool in_key_id = bit >= 16 && bit < 80;
            sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            enum why why = why_refused(&place);
            if (in_key_id) /* Another id is another key, or none; or this ring's KEK. */
                cr_expect(why == WHY_NOT_FOUND || why == WHY_DENIED || why == WHY_FORGED);
            else
                cr_expect_eq(why, WHY_FORGED, "suite %u bit %zu", suites[i], bit);
            sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        cr_assert_eq(why_refused(&place), WHY_NONE);
    }
}

Test(envelope, does_not_open_when_cut_short_or_made_longer)
{
    size_t whole = sealed_size;

    for (sealed_size = 0; sealed_size < whole; sealed_size++)
        cr_expect_eq(why_refused(&place), WHY_FORGED, "%zu bytes", sealed_size);
    sealed_size = whole + 1;
    cr_expect_eq(why_refused(&place), WHY_FORGED);
}

Test(envelope, does_not_open_for_another_tenant_object_or_purpose)
{
    struct envelope_place tenant = place;
    struct envelope_place purpose = place;
    tenant.tenant = "shop2";
    purpose.purpose = "view";
    cr_expect_eq(why_refused(&tenant), WHY_FORGED);
    cr_expect_eq(why_refused(&purpose), WHY_FORGED);
    for (unsigned i = 0; i < sizeof place.object; i++) {
        struct envelope_place object = place;
        object.object[i] ^= 0x80;
        cr_expect_eq(why_refused(&object), WHY_FORGED, "object byte %u", i);
    }
    cr_expect_eq(why_refused(&place), WHY_NONE);
}

Test(envelope, does_not_open_under_the_next_key_of_the_same_tenant)
{
    uint64_t next = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + KEYRING_EPOCH_MS);

    cr_assert_neq(next, key_id);
    cr_assert_eq(why_refused(&place), WHY_NONE, "a deactivated key opens");
    sealed[9] = (uint8_t)next; /* The last byte of the key id. */
    cr_assert_eq(why_refused(&place), WHY_FORGED);
}

/* KEY-3: the very same key, already unwrapped, in a ring of another environment. */
Test(envelope, does_not_open_in_another_environment)
{
    memcpy(ring->environment, "live", 5);
    cr_assert_eq(why_refused(&place), WHY_FORGED);
    memcpy(ring->environment, "test", 5);
    cr_assert_eq(why_refused(&place), WHY_NONE);
}

/* Derives as the header says, from the ring's key. */
static void okm_by_hand(uint8_t okm[64], const uint8_t *salt, const char *environment)
{
    OWNED(buffer_free) struct buffer context = BUFFER(512);
    struct kdf *kdf = NULL;

    buffer_add_counted(&context, environment);
    buffer_add_counted(&context, place.tenant);
    buffer_add_u16(&context, 16);
    buffer_add(&context, place.object, 16);
    buffer_add_u64(&context, key_id);
    buffer_add(&context, salt, 32);
    cr_assert(!failed(keyring_kdf(ring, key_id, false, &kdf, NULL)));
    cr_assert(!failed(kdf_derive(kdf, "cardkeep/v1/card", context.bytes, context.size, okm, 64)));
}

/* An envelope made by hand, tag and all, with the commitment given. */
static void seal_by_hand(const uint8_t *commit, const uint8_t *okm)
{
    OWNED(buffer_free) struct buffer out = BUFFER(512);
    OWNED(buffer_free) struct buffer associated = BUFFER(512);
    OWNED(aead_free) struct aead *aead = NULL;
    const uint8_t content[2 + 4] = {0, 4, 't', 'e', 'x', 't'};

    cr_assert(!failed(aead_new(&aead)));
    buffer_add_u8(&out, ENVELOPE_VERSION);
    buffer_add_u8(&out, ENVELOPE_AES_256_GCM);
    buffer_add_u64(&out, key_id);
    buffer_add(&out, sealed + 10, 32); /* The salt that okm was derived with. */
    buffer_add(&out, commit, 32);
    buffer_add(&out, "twelve bytes", 12);
    buffer_add(&associated, out.bytes, out.size);
    buffer_add_counted(&associated, "test");
    buffer_add_counted(&associated, place.tenant);
    buffer_add_u16(&associated, 16);
    buffer_add(&associated, place.object, 16);
    struct aead_input input = {.suite = AEAD_AES_256_GCM,
                               .key = okm,
                               .nonce = out.bytes + 74,
                               .associated = associated.bytes,
                               .associated_size = associated.size};
    sealed_size = out.size + sizeof content + AEAD_TAG_BYTES;
    memcpy(sealed, out.bytes, out.size);
    cr_assert(!failed(aead_seal(aead, &input, content, sizeof content, sealed + out.size)));
}

Test(envelope, has_the_bytes_that_its_header_describes)
{
    uint8_t okm[64];

    okm_by_hand(okm, sealed + 10, "test");
    cr_assert_arr_eq(sealed + 42, okm + 32, 32, "the commitment");
    seal_by_hand(okm + 32, okm);
    expect_opens_to("text");
}

/* A ciphertext can be made to open under two keys, so a good tag is not enough.  Here the tag is
 * good and the commitment alone is not. */
Test(envelope, refuses_a_good_tag_under_a_commitment_to_another_key)
{
    uint8_t okm[64];
    uint8_t other[64];

    okm_by_hand(okm, sealed + 10, "test");
    okm_by_hand(other, sealed + 10, "live");
    seal_by_hand(other + 32, okm);
    cr_assert_eq(why_refused(&place), WHY_FORGED);
}

Test(envelope, never_looks_the_same_twice)
{
    uint8_t first[sizeof sealed];

    memcpy(first, sealed, sealed_size);
    seal_under(ENVELOPE_AES_256_GCM, pan, PADDED);
    cr_assert_arr_eq(first, sealed, 10, "version, suite and key id");
    for (size_t at = 10; at + 8 <= sealed_size; at += 8) /* Eight equal bytes: 2^-64. */
        cr_expect_arr_neq(first + at, sealed + at, 8, "at %zu", at);
}

Test(envelope, hides_the_length_in_its_padding)
{
    size_t size = sealed_size;

    seal_under(ENVELOPE_AES_256_GCM, "378282246310005", PADDED); /* 15 digits. */
    cr_assert_eq(sealed_size, size);
    expect_opens_to("378282246310005");
}

Test(envelope, does_not_contain_its_plaintext)
{
    cr_assert(memmem(sealed, sealed_size, pan, 4) == NULL);
}

Test(envelope, refuses_padding_below_the_size_and_above_the_bound)
{
    OWNED(buffer_free) struct buffer out = BUFFER(65536);
    static const uint8_t plain[16];

    cr_expect_eq(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, plain, 16, 15, &out).why,
                 WHY_BAD_INPUT);
    cr_expect_eq(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, plain, 16,
                               ENVELOPE_PLAIN_BYTES_MAX + 1, &out)
                     .why,
                 WHY_LIMIT);
    cr_expect_eq(out.size, 0);
}

Test(envelope, refuses_an_output_buffer_without_room)
{
    OWNED(buffer_free) struct buffer out = BUFFER(64);

    cr_assert_eq(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, (const uint8_t *)pan, 16,
                               PADDED, &out)
                     .why,
                 WHY_LIMIT);
}

Test(envelope, says_when_there_is_no_room_for_the_plaintext)
{
    uint8_t plain[15];
    size_t size = 0;

    cr_assert_eq(envelope_open(ring, &place, sealed, sealed_size, plain, sizeof plain, &size).why,
                 WHY_LIMIT);
}

Test(envelope, is_not_sealed_under_another_tenants_key)
{
    OWNED(buffer_free) struct buffer out = BUFFER(512);
    uint64_t other = shelf_use(ring, "other", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    cr_assert_eq(envelope_seal(ring, other, ENVELOPE_AES_256_GCM, &place, (const uint8_t *)pan, 16,
                               PADDED, &out)
                     .why,
                 WHY_DENIED);
}

Test(envelope, is_sealed_under_an_active_key_alone)
{
    OWNED(buffer_free) struct buffer out = BUFFER(512);

    cr_assert(!failed(keyring_change_state(ring, key_id, KEY_STATE_DEACTIVATED, SHELF_NOW_MS)));
    cr_assert_eq(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place, (const uint8_t *)pan, 16,
                               PADDED, &out)
                     .why,
                 WHY_DENIED);
    expect_opens_to(pan);
}

Test(envelope, does_not_open_under_a_compromised_key_or_a_missing_one)
{
    uint64_t found = 0;

    cr_assert(!failed(keyring_change_state(ring, key_id, KEY_STATE_COMPROMISED, SHELF_NOW_MS)));
    cr_assert_eq(why_refused(&place), WHY_DENIED);
    cr_assert(!failed(envelope_key_id(sealed, sealed_size, &found)));
    cr_assert_eq(found, key_id);
    sealed[9] = 200;
    cr_assert_eq(why_refused(&place), WHY_NOT_FOUND);
}

Test(envelope, tells_its_key_only_if_it_is_an_envelope)
{
    uint64_t found = 0;

    cr_assert(!failed(envelope_key_id(sealed, 10, &found)));
    cr_assert_eq(found, key_id);
    cr_expect_eq(envelope_key_id(sealed, 9, &found).why, WHY_FORGED);
    sealed[0] = 2;
    cr_expect_eq(envelope_key_id(sealed, sealed_size, &found).why, WHY_FORGED);
    sealed[0] = 1;
    sealed[1] = 3;
    cr_expect_eq(envelope_key_id(sealed, sealed_size, &found).why, WHY_FORGED);
}

Test(envelope, opens_after_a_restart_under_the_rows_that_were_stored)
{
    static struct shelf shelf;

    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS + 1000);
    expect_opens_to(pan);
}

/* A compromised key opens where it is moved away from, and nowhere else. */
Test(envelope, under_a_compromised_key_opens_in_a_migration_alone)
{
    uint8_t plain[64];
    size_t size = 0;

    cr_assert(!failed(keyring_change_state(ring, key_id, KEY_STATE_COMPROMISED, SHELF_NOW_MS)));
    cr_expect_eq(why_refused(&place), WHY_DENIED);
    cr_assert(!failed(
        envelope_open_migrating(ring, &place, sealed, sealed_size, plain, sizeof plain, &size)));
    cr_expect_eq(size, strlen(pan));
    cr_expect_arr_eq(plain, pan, strlen(pan));
    cr_expect_eq(why_refused(&place), WHY_DENIED, "nor when the key was opened for another");
    struct envelope_place elsewhere = place;
    elsewhere.object[0] ^= 1;
    cr_expect_eq(
        envelope_open_migrating(ring, &elsewhere, sealed, sealed_size, plain, sizeof plain, &size)
            .why,
        WHY_FORGED);
}

Test(envelope, tells_its_suite)
{
    enum envelope_suite suite = ENVELOPE_XCHACHA20_POLY1305;

    cr_assert(!failed(envelope_suite_of(sealed, sealed_size, &suite)));
    cr_expect_eq(suite, ENVELOPE_AES_256_GCM);
    seal_under(ENVELOPE_XCHACHA20_POLY1305, pan, PADDED);
    cr_assert(!failed(envelope_suite_of(sealed, sealed_size, &suite)));
    cr_expect_eq(suite, ENVELOPE_XCHACHA20_POLY1305);
    sealed[1] = 3;
    cr_expect_eq(envelope_suite_of(sealed, sealed_size, &suite).why, WHY_FORGED);
    cr_expect_eq(envelope_suite_of(sealed, 1, &suite).why, WHY_FORGED);
}
