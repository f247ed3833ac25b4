/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/share_text.h"

#include <ctype.h>
#include <stdio.h>

#include "keys/bech32.h"
#include "tests/keys/share_kit.h"

#define TEXT_MAX 128u
#define PREFIX   9u /* "ckshare1 " */

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static void written(const struct share *share, char text[TEXT_MAX])
{
    struct secret *secret = NULL;

    cr_assert(!failed(share_text_write(share, &secret)));
    (void)snprintf(text, TEXT_MAX, "%s", (const char *)secret_peek(secret));
    secret_free(&secret);
}

/* Reads it, and whether it is `share`. */
static enum why read_as(const char *text, const struct share *share, struct share_text_fault *fault)
{
    struct share read = {0};
    enum why why = share_text_read((const uint8_t *)text, strlen(text), &read, fault).why;

    if (why == WHY_NONE && !share_same(&read, share))
        why = WHY_COUNT; /* Read, and another one. */
    share_free(&read);
    return why;
}

static void sentence(const struct share_text_fault *fault, const char *expected)
{
    struct buffer text = BUFFER(512);

    share_text_explain(fault, &text);
    cr_assert_str_eq(buffer_text(&text), expected);
    buffer_free(&text);
}

Test(share_text, writes_groups_of_four_behind_a_prefix)
{
    struct share share = share_drawn(2);
    char text[TEXT_MAX];

    written(&share, text);
    cr_assert_eq(strncmp(text, "ckshare1 ", PREFIX), 0);
    cr_assert_eq(strlen(text), PREFIX + 18 * 5 + 3);
    for (size_t i = PREFIX; text[i] != '\0'; i++)
        cr_assert((i - PREFIX) % 5 == 4 ? text[i] == ' ' : strchr(alphabet, text[i]) != NULL);
    share_free(&share);
}

Test(share_text, is_read_in_any_grouping_and_either_case)
{
    struct share share = share_drawn(16);
    struct share_text_fault fault;
    char text[TEXT_MAX];
    char other[2 * TEXT_MAX];
    size_t size = 0;

    written(&share, text);
    cr_assert_eq(read_as(text, &share, &fault), WHY_NONE);
    for (size_t i = 0; text[i] != '\0'; i++)
        if (text[i] != ' ')
            other[size++] = (char)(i % 2 == 0 ? toupper(text[i]) : text[i]);
    other[size] = '\0';
    cr_assert_eq(read_as(other, &share, &fault), WHY_NONE, "no groups, and both cases");
    size = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        other[size++] = (char)toupper(text[i]);
        if (i % 11 == 10)
            other[size++] = "\t\r\n-"[i % 4];
    }
    other[size] = '\0';
    cr_assert_eq(read_as(other, &share, &fault), WHY_NONE, "groups of eleven");
    share_free(&share);
}

Test(share_text, gives_back_every_byte_and_notices_each_one_that_is_flipped)
{
    struct share share = share_drawn(7);
    struct share_text_fault fault;
    char right[TEXT_MAX];
    char text[TEXT_MAX];

    written(&share, right);
    for (unsigned bit = 0; bit < 8 * SHARES_BYTES; bit++) {
        secret_bytes(share.value)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        written(&share, text);
        cr_assert_str_neq(text, right);
        cr_assert_eq(read_as(text, &share, &fault), WHY_NONE);
        cr_assert_eq(read_as(right, &share, &fault), WHY_COUNT, "bit %u is not in the text", bit);
        secret_bytes(share.value)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    share_free(&share);
}

Test(share_text, notices_every_wrong_character_and_names_its_group)
{
    struct share share = share_drawn(1);
    struct share_text_fault fault;
    char text[TEXT_MAX];

    written(&share, text);
    for (size_t at = PREFIX; text[at] != '\0'; at++) {
        char right = text[at];
        for (const char *wrong = alphabet; right != ' ' && *wrong != '\0'; wrong++) {
            if (*wrong == right)
                continue;
            text[at] = *wrong;
            cr_assert_eq(read_as(text, &share, &fault), WHY_FORGED);
            cr_assert_eq(fault.flaw, SHARE_TEXT_CHECKSUM);
            cr_assert_eq(fault.group, (at - PREFIX) / 5 + 1, "%zu", at);
        }
        text[at] = right;
    }
    share_free(&share);
}

Test(share_text, notices_every_swap_of_neighbours)
{
    struct share share = share_drawn(1);
    struct share_text_fault fault;
    char text[TEXT_MAX];
    unsigned swaps = 0;

    written(&share, text);
    for (size_t at = PREFIX; text[at + 1] != '\0'; at++) {
        size_t next = text[at + 1] == ' ' ? at + 2 : at + 1;
        if (text[at] == ' ' || text[at] == text[next])
            continue;
        char held = text[at];
        text[at] = text[next];
        text[next] = held;
        cr_assert_eq(read_as(text, &share, &fault), WHY_FORGED, "%zu", at);
        cr_assert_eq(fault.group, 0, "two are wrong");
        text[next] = text[at];
        text[at] = held;
        swaps++;
    }
    cr_assert_gt(swaps, 40);
    share_free(&share);
}

Test(share_text, notices_every_character_that_is_missing_or_too_many)
{
    struct share share = share_drawn(1);
    struct share_text_fault fault;
    char right[TEXT_MAX];
    char text[TEXT_MAX + 1];

    written(&share, right);
    for (size_t at = PREFIX; right[at] != '\0'; at++) {
        if (right[at] == ' ')
            continue;
        (void)snprintf(text, sizeof text, "%.*s%s", (int)at, right, right + at + 1);
        cr_assert_eq(read_as(text, &share, &fault), WHY_BAD_INPUT);
        cr_assert_eq(fault.flaw, SHARE_TEXT_LENGTH);
        cr_assert_eq(fault.count, 74);
        /* Of the last group's three nobody can tell which groups it had. */
        cr_assert_eq(fault.group, at < PREFIX + 90 ? (at - PREFIX) / 5 + 1 : 0, "%zu", at);
        (void)snprintf(text, sizeof text, "%.*sq%s", (int)at, right, right + at);
        cr_assert_eq(read_as(text, &share, &fault), WHY_BAD_INPUT);
        cr_assert_eq(fault.count, 76);
    }
    share_free(&share);
}

Test(share_text, says_in_one_sentence_what_to_do)
{
    struct share share = share_drawn(1);
    struct share_text_fault fault;
    char text[TEXT_MAX];
    char public_text[SHARE_TEXT_PUBLIC_SIZE];
    const uint8_t key[CUSTODIAN_KEY_BYTES] = {9};

    written(&share, text);
    char right = text[PREFIX + 5 * 5 + 1];
    text[PREFIX + 5 * 5 + 1] = 'b';
    cr_assert_eq(read_as(text, &share, &fault), WHY_BAD_INPUT);
    sentence(&fault, "Group 6 has a character that is never used (1, b, i and o are not); compare "
                     "that group with what was written down.");
    text[PREFIX + 5 * 5 + 1] = right == 'q' ? 'p' : 'q';
    cr_assert_eq(read_as(text, &share, &fault), WHY_FORGED);
    sentence(&fault, "A character of group 6 is wrong; compare that group with what was written "
                     "down.");
    text[PREFIX] = text[PREFIX] == 'q' ? 'p' : 'q';
    cr_assert_eq(read_as(text, &share, &fault), WHY_FORGED);
    sentence(&fault, "More than one character is wrong; compare every group of four with what was "
                     "written down.");
    text[PREFIX + 88] = '\0';
    cr_assert_eq(read_as(text, &share, &fault), WHY_BAD_INPUT);
    sentence(&fault, "Behind ckshare1 there are 71 characters in the place of 75; compare every "
                     "group of four with what was written down.");
    text[PREFIX + 3] = ' ';
    cr_assert_eq(read_as(text, &share, &fault), WHY_BAD_INPUT);
    sentence(&fault, "Behind ckshare1 there are 70 characters in the place of 75; group 1 has not "
                     "four, compare it with what was written down.");
    cr_assert_eq(read_as("tok_4pXk", &share, &fault), WHY_BAD_INPUT);
    sentence(&fault, "What was typed does not begin with ckshare1, as a share does; type it from "
                     "there.");
    share_text_write_public(key, public_text);
    cr_assert_eq(read_as(public_text, &share, &fault), WHY_BAD_INPUT);
    sentence(&fault, "That is a custodian's public key; a share is wanted, which begins with "
                     "ckshare1.");
    share_free(&share);
}

Test(share_text, refuses_another_version_a_threshold_and_an_index_that_no_share_has)
{
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {{0, 0}, {0, 2}, {9, 1}, {9, 17}, {10, 0}, {10, 17}};
    struct share share = share_drawn(1);
    uint8_t bytes[SHARE_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct share read = {0};
        share_encode(&share, bytes);
        bytes[rows[i].at] = rows[i].value;
        cr_assert_eq(share_decode(bytes, &read).why,
                     rows[i].at == 0 ? WHY_NOT_FOUND : WHY_BAD_INPUT, "row %zu", i);
        cr_assert(read.value == NULL);
    }
    share_free(&share);
}

static void coded(const char *prefix, const uint8_t *bytes, size_t size,
                  char out[BECH32_CHARS_MAX + 1])
{
    struct bech32 code = {0};

    (void)snprintf(code.prefix, sizeof code.prefix, "%s", prefix);
    cr_assert(!failed(bech32_pack(bytes, size, &code)));
    cr_assert(!failed(bech32_encode(&code, out)));
}

Test(share_text, refuses_a_right_checksum_over_what_is_no_share)
{
    const uint8_t bytes[SHARE_BYTES] = {2};
    char text[BECH32_CHARS_MAX + 1];
    struct share_text_fault fault;
    struct share share = {0};
    struct secret *key = NULL;
    uint8_t public_key[CUSTODIAN_KEY_BYTES];

    cr_assert(sodium_init() >= 0);
    coded("ckshare", bytes, sizeof bytes, text);
    cr_assert_eq(read_as(text, &share, &fault), WHY_BAD_INPUT);
    cr_assert_eq(fault.flaw, SHARE_TEXT_CONTENT);
    sentence(&fault, "It is typed as it was written, and is no version of a share that this "
                     "program knows; use the program that wrote it, or a newer one.");
    coded("ckpub", bytes, 33, text);
    cr_assert_eq(share_text_read_public((uint8_t *)text, strlen(text), public_key, &fault).why,
                 WHY_BAD_INPUT);
    cr_assert_eq(fault.flaw, SHARE_TEXT_CONTENT);
    coded("ckkey", bytes, 33, text);
    cr_assert_eq(share_text_read_key((uint8_t *)text, strlen(text), &key, &fault).why,
                 WHY_BAD_INPUT);
    cr_assert_eq(fault.flaw, SHARE_TEXT_CONTENT);
    cr_assert(key == NULL);
}

Test(share_text, carries_a_custodian_s_keys)
{
    uint8_t public_key[CUSTODIAN_KEY_BYTES];
    uint8_t again[CUSTODIAN_KEY_BYTES];
    char text[SHARE_TEXT_PUBLIC_SIZE];
    struct share_text_fault fault;
    struct secret *key = NULL;
    struct secret *read = NULL;
    struct secret *secret = NULL;

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(custodian_new(public_key, &key)));
    share_text_write_public(public_key, text);
    cr_assert_eq(strlen(text) + 1, SHARE_TEXT_PUBLIC_SIZE);
    cr_assert(!failed(share_text_read_public((uint8_t *)text, strlen(text), again, &fault)));
    cr_assert_arr_eq(again, public_key, sizeof again);

    cr_assert(!failed(share_text_write_key(key, &secret)));
    const char *typed = (const char *)secret_peek(secret);
    cr_assert_eq(strncmp(typed, "ckkey1 ", 7), 0);
    cr_assert(!failed(share_text_read_key((const uint8_t *)typed, strlen(typed), &read, &fault)));
    cr_assert_arr_eq(secret_peek(read), secret_peek(key), CUSTODIAN_KEY_BYTES);
    cr_assert_eq(share_text_read_public((const uint8_t *)typed, strlen(typed), again, &fault).why,
                 WHY_BAD_INPUT);
    cr_assert_eq(fault.flaw, SHARE_TEXT_OTHER);
    secret_free(&secret);
    secret_free(&read);
    secret_free(&key);
}

Test(share_text, has_a_digest_that_every_part_of_a_share_changes)
{
    struct share share = share_drawn(3);
    uint8_t right[SHARE_DIGEST_BYTES];
    uint8_t other[SHARE_DIGEST_BYTES];

    share_digest(&share, right);
    share_digest(&share, other);
    cr_assert_arr_eq(right, other, sizeof right);
    share.index++;
    share_digest(&share, other);
    cr_assert_neq(memcmp(right, other, sizeof right), 0);
    share.index--;
    share.threshold++;
    share_digest(&share, other);
    cr_assert_neq(memcmp(right, other, sizeof right), 0);
    share.threshold--;
    share.set[0] ^= 1;
    share_digest(&share, other);
    cr_assert_neq(memcmp(right, other, sizeof right), 0);
    share.set[0] ^= 1;
    secret_bytes(share.value)[31] ^= 1;
    share_digest(&share, other);
    cr_assert_neq(memcmp(right, other, sizeof right), 0);
    share_free(&share);
}
