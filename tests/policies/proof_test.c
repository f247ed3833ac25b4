/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/proof.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define ORIGIN "vault.example/audit/test-1"

/* The worked checkpoint, with a witness's signature beside the log's. */
static const char note[] =
    ORIGIN "\n5\nFH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB0=\n\n"
           "\u2014 " ORIGIN " S8eAdwRVZ5icteS5h8oDs7p7sEk4vIr/m+h924qp3/+rMbzXM1hT55bSO3D0hXoV0/"
           "DVQaOajbCZ02FbCGxKuoC4hAU=\n"
           "\u2014 witness.example/w1 IDJKvgAAAABlU/EAZLpULUeyKynyH4rmbcnuLb5uGSxjjyFKCuKsr4u6V1ZU"
           "4FFzW/PlISeC/bB7irvHwY4HWyP0oRJtnDqrZGk0Bw==\n";
static const char log_key[] = ORIGIN "+4bc78077+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
static const char witness_key[] =
    "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
static const char entry[] = "{\"seq\":3}";

static const char expected[] = "c2sp.org/tlog-proof@v1\n"
                               "extra eyJzZXEiOjN9\n"
                               "index 3\n"
                               "0+CmKo96klbIvrcVr97YPkMm0sRzedJZsXCahArS8R0=\n"
                               "/FLXGjaKeY/Zbsflt+5fj5/dEMf/mrFGxOrB5qChsQo=\n"
                               "F5V5gnXFBtu/Rv3nMkDrGdUvty+pCgWh/EyLSLSqBqI=\n"
                               "\n";

static struct note_key key;

static void make(unsigned index, struct buffer *out)
{
    OWNED(inclusion_free) struct inclusion *inclusion = NULL;
    struct inclusion_path path;
    char own[32];

    cr_assert(!failed(inclusion_new(index, 5, &inclusion)));
    for (unsigned i = 0; i < 5; i++) {
        uint8_t leaf[MERKLE_HASH_BYTES];
        int size = snprintf(own, sizeof own, "{\"seq\":%u}", i);
        merkle_leaf(own, (size_t)size, leaf);
        inclusion_add(inclusion, leaf);
    }
    cr_assert(!failed(inclusion_path(inclusion, &path)));
    int size = snprintf(own, sizeof own, "{\"seq\":%u}", index);
    struct proof_text text = {.bytes = own, .size = (size_t)size};
    struct proof_text under = {.bytes = note, .size = sizeof note - 1};
    cr_assert(!failed(proof_write(&path, &text, &under, out)));
}

static enum why open_why(const void *text, size_t size)
{
    OWNED(buffer_free) struct buffer got = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    struct proof proof = {0};

    struct status status = proof_open(text, size, ORIGIN, &key, &got, &proof);
    cr_assert(!failed(status) || proof.size == 0);
    return status.why;
}

static void start(void)
{
    cr_assert(!failed(note_key_parse(log_key, &key)));
}

TestSuite(proof, .init = start);

Test(proof, writes_the_worked_proof_to_the_byte)
{
    OWNED(buffer_free) struct buffer out = BUFFER(PROOF_BYTES_MAX);

    make(3, &out);
    cr_assert_eq(out.size, sizeof expected - 1 + sizeof note - 1);
    cr_expect_arr_eq(out.bytes, expected, sizeof expected - 1);
    cr_expect_arr_eq(out.bytes + sizeof expected - 1, note, sizeof note - 1);
}

Test(proof, opens_what_it_wrote_and_gives_the_entry)
{
    for (unsigned index = 0; index < 5; index++) {
        OWNED(buffer_free) struct buffer out = BUFFER(PROOF_BYTES_MAX);
        OWNED(buffer_free) struct buffer got = BUFFER(AUDIT_ENTRY_BYTES_MAX);
        struct proof proof;
        char own[32];

        make(index, &out);
        cr_assert(!failed(proof_open(out.bytes, out.size, ORIGIN, &key, &got, &proof)));
        (void)snprintf(own, sizeof own, "{\"seq\":%u}", index);
        cr_expect_str_eq(buffer_text(&got), own);
        cr_expect_eq(proof.index, index);
        cr_expect_eq(proof.size, 5);
        cr_expect_eq(proof.epoch, 1);
    }
}

Test(proof, refuses_it_with_any_bit_flipped)
{
    OWNED(buffer_free) struct buffer out = BUFFER(PROOF_BYTES_MAX);

    make(3, &out);
    const uint8_t *witness = memmem(out.bytes, out.size, "\u2014 witness", 11);
    size_t covered = (size_t)(witness - out.bytes); /* Behind it, another's business. */
    for (size_t bit = 0; bit < 8 * covered; bit++) {
        out.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum why why = open_why(out.bytes, out.size);
        cr_expect_neq(why, WHY_NONE, "bit %zu", bit);
        out.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_expect_eq(open_why(out.bytes, out.size), WHY_NONE);
}

Test(proof, refuses_another_entry_than_the_one_that_is_there)
{
    OWNED(buffer_free) struct buffer out = BUFFER(PROOF_BYTES_MAX);

    buffer_add_text(&out, expected);
    buffer_add_text(&out, note);
    uint8_t *extra = memmem(out.bytes, out.size, "eyJzZXEiOjN9", 12);
    char other[ENCODE_BASE64_SIZE(9)];
    encode_base64("{\"seq\":2}", 9, other);
    memcpy(extra, other, 12);
    cr_expect_eq(open_why(out.bytes, out.size), WHY_FORGED);
    encode_base64(entry, 9, other);
    memcpy(extra, other, 12);
    cr_expect_eq(open_why(out.bytes, out.size), WHY_NONE);
}

Test(proof, refuses_another_s_key_and_another_s_log)
{
    OWNED(buffer_free) struct buffer out = BUFFER(PROOF_BYTES_MAX);
    OWNED(buffer_free) struct buffer got = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    struct proof proof;
    struct note_key other = key;

    make(3, &out);
    other.public_key[0] ^= 1;
    cr_expect_eq(proof_open(out.bytes, out.size, ORIGIN, &other, &got, &proof).why, WHY_FORGED);
    cr_expect(failed(proof_open(out.bytes, out.size, "vault.example/other", &key, &got, &proof)));
    cr_expect(failed(note_key_parse(witness_key, &other)),
              "a witness vouches for a size, and not for a log");
}

Test(proof, refuses_what_is_no_proof_at_all)
{
    static const char *const heads[] = {
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v2\nextra eyJzZXEiOjN9\nindex 3\n\n",
        "c2sp.org/tlog-proof@v1\nindex 3\n\n",
        "c2sp.org/tlog-proof@v1\nextra eyJzZXEiOjN9\nindex 03\n\n",
        "c2sp.org/tlog-proof@v1\nextra eyJzZXEiOjN9\nindex \n\n",
        "c2sp.org/tlog-proof@v1\nextra eyJzZXEiOjN9\nindex 1234567890123456789\n\n",
        "c2sp.org/tlog-proof@v1\nextra eyJzZXEiOjN9\nindex 3\nAAAA\n\n",
        "c2sp.org/tlog-proof@v1\nextra eyJzZXEiOjN9\nindex 3\n",
        "c2sp.org/tlog-proof@v1\nextra ?\nindex 3\n\n",
    };

    for (unsigned i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        OWNED(buffer_free) struct buffer out = BUFFER(PROOF_BYTES_MAX);
        buffer_add_text(&out, heads[i]);
        if (i > 1)
            buffer_add_text(&out, note);
        cr_expect_eq(open_why(buffer_text(&out), out.size), WHY_BAD_INPUT, "head %u", i);
    }
}
