/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/bech32.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "base/encode.h"
#include "tests/keys/vectors.h"

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

Test(bech32, agrees_with_the_vectors_of_bip_350)
{
    FILE *file = vectors_open("bech32m.txt");
    struct vector vector;
    char again[BECH32_CHARS_MAX + 1];
    unsigned count = 0;

    for (; count < 7; count++) {
        struct bech32 code = {0};
        cr_assert(vectors_next(file, "valid", &vector));
        const char *text = (const char *)vector.bytes;
        cr_assert(!failed(bech32_decode(text, vector.size, &code)), "%.*s", (int)vector.size, text);
        cr_assert(!failed(bech32_encode(&code, again)));
        cr_assert_eq(strlen(again), vector.size);
        for (size_t i = 0; i < vector.size; i++)
            cr_assert_eq(again[i], tolower(text[i]));
    }
    for (; vectors_next(file, "invalid", &vector); count++) {
        struct bech32 code = {0};
        cr_assert(failed(bech32_decode((const char *)vector.bytes, vector.size, &code)), "%.*s",
                  (int)vector.size, (const char *)vector.bytes);
    }
    cr_assert_eq(count, 7 + 14);
    (void)fclose(file);
}

static void text_make(size_t bytes, char out[BECH32_CHARS_MAX + 1])
{
    uint8_t drawn[64];
    struct bech32 code = {.prefix = "test"};

    random_bytes(drawn, bytes);
    cr_assert(!failed(bech32_pack(drawn, bytes, &code)));
    cr_assert(!failed(bech32_encode(&code, out)));
}

static enum why decode_why(const char *text)
{
    struct bech32 code = {0};

    return bech32_decode(text, strlen(text), &code).why;
}

Test(bech32, carries_bytes_of_every_size_there_and_back)
{
    for (size_t size = 0; size <= 48; size++) {
        uint8_t bytes[48];
        uint8_t again[49];
        char text[BECH32_CHARS_MAX + 1];
        struct bech32 code = {.prefix = "test"};
        struct bech32 read = {0};
        random_bytes(bytes, size);
        cr_assert(!failed(bech32_pack(bytes, size, &code)));
        cr_assert(!failed(bech32_encode(&code, text)), "%zu bytes", size);
        cr_assert(!failed(bech32_decode(text, strlen(text), &read)));
        cr_assert_str_eq(read.prefix, "test");
        cr_assert(!failed(bech32_unpack(&read, again, size)));
        cr_assert_arr_eq(again, bytes, size);
        cr_assert(failed(bech32_unpack(&read, again, size + 1)), "another number of bytes");
    }
}

Test(bech32, refuses_bits_that_are_left_over_and_not_0)
{
    struct bech32 code = {.prefix = "test", .symbols = {0, 1}, .symbol_count = 2};
    uint8_t byte = 0;

    cr_assert_eq(bech32_unpack(&code, &byte, 1).why, WHY_BAD_INPUT);
    code.symbols[1] = 0x1c; /* Three bits of the byte, two that are left over. */
    cr_assert(!failed(bech32_unpack(&code, &byte, 1)));
    cr_assert_eq(byte, 7);
}

Test(bech32, refuses_what_would_be_longer_than_90_characters)
{
    uint8_t bytes[60] = {0};
    char text[BECH32_CHARS_MAX + 1];
    struct bech32 code = {.prefix = "test"};

    cr_assert(!failed(bech32_pack(bytes, 49, &code))); /* 4 + 1 + 79 + 6 */
    cr_assert(!failed(bech32_encode(&code, text)));
    cr_assert_eq(strlen(text), 90);
    cr_assert(!failed(bech32_pack(bytes, 50, &code)));
    cr_assert_eq(bech32_encode(&code, text).why, WHY_LIMIT);
    cr_assert_eq(bech32_pack(bytes, 60, &code).why, WHY_LIMIT);
}

Test(bech32, refuses_two_cases_in_one_text)
{
    char text[BECH32_CHARS_MAX + 1];

    text_make(20, text);
    cr_assert_eq(decode_why(text), WHY_NONE);
    text[0] = 'T';
    cr_assert_eq(decode_why(text), WHY_BAD_INPUT);
    for (char *at = text; *at != '\0'; at++)
        *at = (char)toupper(*at);
    cr_assert_eq(decode_why(text), WHY_NONE);
}

Test(bech32, notices_and_places_every_single_wrong_character)
{
    char text[BECH32_CHARS_MAX + 1];

    text_make(43, text);
    for (size_t at = strlen("test1"); text[at] != '\0'; at++) {
        char right = text[at];
        for (const char *wrong = alphabet; *wrong != '\0'; wrong++) {
            size_t found = 0;
            if (*wrong == right)
                continue;
            text[at] = *wrong;
            cr_assert_eq(decode_why(text), WHY_FORGED);
            cr_assert(!failed(bech32_locate(text, strlen(text), &found)));
            cr_assert_eq(found, at, "%c for %c at %zu, found at %zu", *wrong, right, at, found);
        }
        text[at] = right;
    }
}

/* Two or three wrong ones are at least two places away from every right text. */
Test(bech32, places_nothing_where_two_or_three_characters_are_wrong)
{
    for (unsigned round = 0; round < 20000; round++) {
        char text[BECH32_CHARS_MAX + 1];
        size_t found = 0;
        text_make(43, text);
        size_t size = strlen(text);
        unsigned count = 2 + round % 2;
        for (unsigned i = 0; i < count; i++) {
            /* Each in a stretch of its own, so that they are distinct. */
            size_t at = 5 + 26 * i + random_below(26);
            text[at] = alphabet[(bech32_symbol(text[at]) + 1 + random_below(31)) % 32];
        }
        cr_assert_eq(decode_why(text), WHY_FORGED);
        cr_assert_eq(bech32_locate(text, size, &found).why, WHY_NOT_FOUND, "%s", text);
    }
}

Test(bech32, has_no_symbol_for_what_is_not_in_its_alphabet)
{
    unsigned known = 0;

    for (unsigned c = 0; c < 256; c++) {
        const char *at = c == 0 ? NULL : strchr(alphabet, tolower((int)c));
        uint8_t symbol = bech32_symbol((char)c);
        cr_assert_eq(symbol, at == NULL ? BECH32_NO_SYMBOL : (uint8_t)(at - alphabet), "%u", c);
        known += at != NULL;
    }
    cr_assert_eq(known, 32 + 23, "23 letters in both cases, and 9 digits");
}
