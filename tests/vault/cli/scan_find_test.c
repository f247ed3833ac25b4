/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/scan_find.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

#define HITS_MAX 64u

static const char visa[] = "4242424242424242";

static struct scan_find *finder;
static struct scan_hit hits[HITS_MAX];
static unsigned hit_count;

static void make(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(scan_find_new(&finder)));
}

static void drop(void)
{
    scan_find_free(&finder);
}

static void on_hit(void *owner, const struct scan_hit *hit)
{
    (void)owner;
    cr_assert(hit_count < HITS_MAX);
    hits[hit_count++] = *hit;
}

static unsigned find(const void *bytes, size_t size)
{
    hit_count = 0;
    struct scan_window window = {.bytes = bytes, .size = size, .until = size};
    scan_find_window(finder, &window, on_hit, NULL);
    return hit_count;
}

static unsigned find_text(const char *text)
{
    return find(text, strlen(text));
}

TestSuite(scan_find, .init = make, .fini = drop);

Test(scan_find, finds_every_published_length_and_names_its_brand)
{
    static const struct {
        const char *number;
        const char *brand;
    } cards[] = {{"4222222222222", "visa"},          {"36227206271667", "diners"},
                 {"378282246310005", "amex"},        {"4242424242424242", "visa"},
                 {"2223003122003222", "mastercard"}, {"6011111111111117", "discover"},
                 {"3566002020360505", "jcb"},        {"6205500000000000004", "unionpay"},
                 {"2202208311110010", "mir"},        {"586824160825533338", "maestro"},
                 {"8171999900000000021", "unionpay"}};
    for (size_t i = 0; i < sizeof cards / sizeof cards[0]; i++) {
        cr_assert_eq(find_text(cards[i].number), 1, "%s", cards[i].number);
        cr_expect_str_eq(hits[0].brand, cards[i].brand);
        cr_expect_eq(hits[0].digits, strlen(cards[i].number));
        cr_expect_eq(hits[0].form, SCAN_FORM_DIGITS);
        cr_expect_eq(strcmp(hits[0].last4, cards[i].number + strlen(cards[i].number) - 4), 0);
        cr_expect(!hits[0].chance);
    }
}

Test(scan_find, leaves_numbers_with_a_wrong_digit_prefix_or_length)
{
    char number[sizeof visa];
    for (unsigned at = 0; at < sizeof visa - 1; at++) {
        memcpy(number, visa, sizeof number);
        number[at] = (char)('0' + (number[at] - '0' + 1) % 10);
        cr_expect_eq(find_text(number), 0, "digit %u", at);
    }
    cr_expect_eq(find_text("0000000000000000"), 0, "no brand begins with a zero");
    cr_expect_eq(find_text("4242424242424242"
                           "7"),
                 0, "a run of 17 digits is no Visa");
    cr_expect_eq(find_text("34242424242424242"
                           "4242424242424242"),
                 0, "a part of a longer run");
}

Test(scan_find, reads_groups_as_cards_print_them)
{
    cr_expect_eq(find_text("4242 4242 4242 4242"), 1);
    cr_expect_eq(find_text("4242-4242-4242-4242"), 1);
    cr_expect_eq(find_text("3782 822463 10005"), 1);
    cr_expect_eq(find_text("qty 12 4242 4242 4242 4242 each"), 1);
    cr_expect_eq(hits[0].offset, 7);
    cr_expect_eq(find_text("12 4242424242424242"), 1);
    cr_expect_eq(find_text("4242 4242-4242 4242"), 0, "two kinds of separators");
    cr_expect_eq(find_text("42 42 42 42 42 42 42 42"), 0, "a table of small numbers");
    cr_expect_eq(find_text("4242  4242 4242 4242"), 0, "two spaces");
}

Test(scan_find, finds_both_byte_orders_of_utf16)
{
    uint8_t bytes[2 * sizeof visa + 2] = {'x', 0};
    for (unsigned i = 0; i < sizeof visa - 1; i++)
        bytes[2 + 2 * i] = (uint8_t)visa[i];
    cr_assert_eq(find(bytes, 2 * sizeof visa), 1);
    cr_expect_eq(hits[0].form, SCAN_FORM_UTF16);
    cr_expect_eq(hits[0].offset, 2);
    cr_assert_eq(find(bytes + 1, 2 * sizeof visa - 2), 1, "big-endian: zeros first");
    bytes[9] = 'z';
    cr_expect_eq(find(bytes, 2 * sizeof visa), 0);
}

Test(scan_find, finds_packed_bcd_in_records)
{
    uint8_t record[32] = {0};
    memset(record, 0xee, sizeof record);
    cr_assert(!failed(decode_hex(visa, 16, record + 9, 8)));
    cr_assert_eq(find(record, sizeof record), 1);
    cr_expect_eq(hits[0].form, SCAN_FORM_BCD);
    cr_expect_eq(hits[0].offset, 9);
    cr_expect(!hits[0].chance);
    memset(record, 0xee, sizeof record);
    cr_assert(!failed(decode_hex("378282246310005f", 16, record, 8)));
    cr_expect_eq(find(record, sizeof record), 1, "filled with F");
    cr_assert(!failed(decode_hex("0378282246310005", 16, record, 8)));
    cr_expect_eq(find(record, sizeof record), 1, "filled with 0");
    record[8] = 0x11;
    cr_expect_eq(find(record, sizeof record), 0, "a part of a longer run");
}

Test(scan_find, calls_bcd_in_random_data_chance_and_in_text_nothing)
{
    uint8_t bytes[512];
    static const unsigned char seed[randombytes_SEEDBYTES] = {1};
    randombytes_buf_deterministic(bytes, sizeof bytes, seed);
    memset(bytes + 200, 0xee, 10);
    cr_assert(!failed(decode_hex(visa, 16, bytes + 201, 8)));
    bool found = false;
    for (unsigned i = 0; i < find(bytes, sizeof bytes); i++)
        found = found || (hits[i].offset == 201 && hits[i].chance);
    cr_expect(found);
    /* These letters and digits are, byte for byte, the BCD of a test number. */
    cr_expect_eq(find_text("...BBBBBBBB..."), 0);
}

Test(scan_find, looks_inside_base64_at_every_alignment)
{
    char text[256];
    char encoded[ENCODE_BASE64_SIZE(sizeof text)];
    for (unsigned before = 0; before < 6; before++) {
        int size = snprintf(text, sizeof text, "%.*s:%s:tail", (int)before, "abcdef", visa);
        encode_base64(text, (size_t)size, encoded);
        cr_assert_eq(find_text(encoded), 1, "%u", before);
        cr_expect_eq(hits[0].form, SCAN_FORM_BASE64);
        cr_expect_leq(hits[0].offset, 8 + before);
        snprintf(text, sizeof text, "{\"blob\": \"x%s\"}", encoded);
        cr_expect_eq(find_text(text), 1, "off its own alignment by a letter before it");
    }
}

Test(scan_find, looks_inside_base64_across_line_breaks)
{
    char text[128];
    char encoded[ENCODE_BASE64_SIZE(sizeof text)];
    char lines[2 * sizeof encoded];
    int size = snprintf(text, sizeof text, "%040d%s%040d", 1, ":4242424242424242:", 1);
    encode_base64(text, (size_t)size, encoded);
    for (unsigned width = 10; width < 80; width++) {
        size_t at = 0;
        for (size_t i = 0; encoded[i] != '\0'; i++) {
            if (i > 0 && i % width == 0) {
                lines[at++] = '\r';
                lines[at++] = '\n';
            }
            lines[at++] = encoded[i];
        }
        cr_expect_eq(find(lines, at), 1, "%u", width);
    }
}

Test(scan_find, finds_a_number_once_wherever_a_long_base64_run_is_cut)
{
    static char encoded[ENCODE_BASE64_SIZE(60000)];
    static char text[60000];
    /* The first piece ends within or close to the number. */
    for (size_t at = 24450; at < 24600; at++) {
        memset(text, 'x', sizeof text);
        memcpy(text + at, visa, sizeof visa - 1);
        encode_base64(text, sizeof text, encoded);
        cr_expect_eq(find_text(encoded), 1, "%zu: %u", at, hit_count);
    }
}

Test(scan_find, finds_a_number_once_wherever_a_file_is_cut)
{
    uint8_t bytes[4 * SCAN_FIND_OVERLAP];
    const size_t until = 2 * SCAN_FIND_OVERLAP;
    for (size_t at = SCAN_FIND_OVERLAP - 40; at < 3 * SCAN_FIND_OVERLAP; at++) {
        memset(bytes, '.', sizeof bytes);
        memcpy(bytes + at, visa, sizeof visa - 1);
        hit_count = 0;
        struct scan_window first = {
            .bytes = bytes, .size = until + SCAN_FIND_OVERLAP, .until = until};
        scan_find_window(finder, &first, on_hit, NULL);
        struct scan_window second = {.bytes = bytes + until - SCAN_FIND_OVERLAP,
                                     .size = sizeof bytes - until + SCAN_FIND_OVERLAP,
                                     .from = SCAN_FIND_OVERLAP,
                                     .until = sizeof bytes - until + SCAN_FIND_OVERLAP};
        scan_find_window(finder, &second, on_hit, NULL);
        cr_expect_eq(hit_count, 1, "at %zu: %u", at, hit_count);
    }
}
