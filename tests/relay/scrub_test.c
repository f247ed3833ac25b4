/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/scrub.h"

#define TOKEN "tok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3"
#define ROOM  65536u

/* Every number in this file is a published test number. */
static const char *const pans[] = {
    "4242424242424242",    "4000056655665556", "4111111111111111",   "4012888888881881",
    "4222222222222",       "4007000000027",    "5555555555554444",   "5105105105105100",
    "2223003122003222",    "2223000048410010", "378282246310005",    "371449635398431",
    "6011111111111117",    "36227206271667",   "30569309025904",     "3056930009020004",
    "3566002020360505",    "3530111333300000", "6200000000000005",   "6205500000000000004",
    "8171999900000000021", "50339619890917",   "586824160825533338", "6759560045005727054",
    "2202208311110010",    "135412345678911"};
#define PAN_COUNT (sizeof pans / sizeof *pans)

static struct secret *secrets[SCRUB_VALUES_MAX];
static struct scrub scrub;
static struct buffer out;
static unsigned hits;

static void open_pool(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_pool_open(2 * SCRUB_VALUES_MAX)));
    out = BUFFER(4 * ROOM);
}

static void close_pool(void)
{
    for (unsigned i = 0; i < SCRUB_VALUES_MAX; i++)
        secret_free(&secrets[i]);
    buffer_free(&out);
    secret_pool_close();
}

TestSuite(scrub, .init = open_pool, .fini = close_pool);

static void watch(unsigned index, enum scrub_kind kind, const char *value)
{
    secret_free(&secrets[index]);
    cr_assert(!failed(secret_new(strlen(value), &secrets[index])));
    memcpy(secret_bytes(secrets[index]), value, strlen(value));
    scrub.values[index] = (struct scrub_value){kind, secrets[index], TOKEN};
    if (scrub.count <= index)
        scrub.count = index + 1;
}

static const char *clean_bytes(const void *bytes, size_t size)
{
    buffer_clear(&out);
    cr_assert(!failed(scrub_bytes(&scrub, bytes, size, &out, &hits)));
    return buffer_text(&out);
}

static const char *clean(const char *text)
{
    return clean_bytes(text, strlen(text));
}

static void expect_clean(const char *text, const char *expected)
{
    cr_expect_str_eq(clean(text), expected, "%s", text);
    cr_expect_eq(hits, strcmp(text, expected) != 0 ? 1 : 0, "%s: %u", text, hits);
}

static void expect_untouched(const char *text)
{
    expect_clean(text, text);
}

/* How a gateway may write a number; each writes into `to`. */
typedef void (*spell_fn)(const char *pan, char *to);

static void spell_plain(const char *pan, char *to)
{
    to[snprintf(to, 64, "%s", pan)] = '\0';
}

/* A macro, so that the compiler sees the format. */
#define SPELL_EACH(pan, to, format)                                                                \
    for (const char *c_ = (pan); *c_ != '\0'; c_++)                                                \
    (to) += snprintf((to), 16, (format), (unsigned)(uint8_t)*c_)

static void spell_percent(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "%%%02x");
}

static void spell_percent_twice(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "%%25%02X");
}

static void spell_entity(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "&#%u;");
}

static void spell_entity_hex(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "&amp;#x%04X;");
}

static void spell_unicode(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "\\u%04x");
}

static void spell_unicode_twice(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "\\\\u%04x");
}

static void spell_hex(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "%02x");
}

static void spell_hex_spaced(const char *pan, char *to)
{
    SPELL_EACH(pan, to, "%02x ");
}

static void spell_wide(const char *pan, char *to)
{
    for (; *pan != '\0'; pan++)
        to += snprintf(to, 16, "\xef\xbc%c", 0x90 + (*pan - '0'));
}

static void spell_spaced(const char *pan, char *to)
{
    for (unsigned i = 0; *pan != '\0'; pan++, i++)
        to += snprintf(to, 16, "%s%c", i > 0 && i % 4 == 0 ? " " : "", *pan);
}

static void spell_dashed(const char *pan, char *to)
{
    for (unsigned i = 0; *pan != '\0'; pan++, i++)
        to += snprintf(to, 16, "%s%c", i > 0 && i % 4 == 0 ? " -" : i > 0 ? "\xc2\xa0" : "", *pan);
}

static void spell_dotted(const char *pan, char *to)
{
    for (unsigned i = 0; *pan != '\0'; pan++, i++)
        to += snprintf(to, 16, "%s%c", i > 0 ? "._" : "", *pan);
}

static void spell_backwards(const char *pan, char *to)
{
    for (size_t i = strlen(pan); i > 0; i--)
        *to++ = pan[i - 1];
    *to = '\0';
}

static void spell_mixed(const char *pan, char *to)
{
    for (unsigned i = 0; *pan != '\0'; pan++, i++) {
        if (i % 4 == 0)
            to += snprintf(to, 16, "%%%02x", (unsigned)*pan);
        else if (i % 4 == 1)
            to += snprintf(to, 16, "\\u%04x", (unsigned)*pan);
        else
            to += snprintf(to, 16, i % 4 == 2 ? "&#%u;" : "%c", (unsigned)*pan);
    }
}

static void base64_of(const char *before, const char *pan, const char *behind, char *to)
{
    char plain[1024];
    snprintf(plain, sizeof plain, "%s%s%s", before, pan, behind);
    encode_base64(plain, strlen(plain), to);
}

static void spell_base64(const char *pan, char *to)
{
    base64_of("", pan, "", to);
}

static void spell_base64_second(const char *pan, char *to)
{
    base64_of("\x01", pan, "\xff\xfe", to);
}

static void spell_base64_third(const char *pan, char *to)
{
    base64_of("\xff\xff", pan, "\x01", to);
}

static void spell_base64_percent(const char *pan, char *to)
{
    char coded[400];
    base64_of("n=", pan, "", coded);
    SPELL_EACH(coded, to, "%%%02X");
}

static void spell_base64_of_form(const char *pan, char *to)
{
    char spaced[64];
    spell_spaced(pan, spaced);
    base64_of("card[number]=", spaced, "&card[cvc]=1", to);
}

static void spell_base64_wrapped(const char *pan, char *to)
{
    char coded[400];
    base64_of("?", pan, "", coded);
    for (unsigned i = 0; coded[i] != '\0'; i++)
        to += snprintf(to, 16, "%s%c", i > 0 && i % 5 == 0 ? "\\r\\n" : "", coded[i]);
}

static void spell_base64_twice(const char *pan, char *to)
{
    char coded[400];
    base64_of("", pan, "", coded);
    base64_of("say ", coded, "", to);
}

static const spell_fn spellings[] = {
    spell_plain,          spell_percent,      spell_percent_twice,  spell_entity,
    spell_entity_hex,     spell_unicode,      spell_unicode_twice,  spell_hex,
    spell_hex_spaced,     spell_wide,         spell_spaced,         spell_dashed,
    spell_dotted,         spell_backwards,    spell_mixed,          spell_base64,
    spell_base64_second,  spell_base64_third, spell_base64_percent, spell_base64_of_form,
    spell_base64_wrapped, spell_base64_twice};
#define SPELL_COUNT (sizeof spellings / sizeof *spellings)

/* Bytes that stand around a number in an answer; no letters or digits at their ends, so that base64
 * begins where it was written. */
static size_t add_noise(char *to)
{
    static const char chars[] = "{}[]\",:; abcxyzABC019<>/=&?";
    size_t size = random_below(200);
    for (size_t i = 0; i < size; i++)
        to[i] = chars[random_below(sizeof chars - 1)];
    to[size] = ' ';
    return size + 1;
}

/* Undoes by hand, in one more way than the code does: drops all but the digits of each reading. */
static bool shows_digits(const char *text, const char *pan)
{
    char digits[ROOM];
    size_t count = 0;
    for (; *text != '\0'; text++)
        if (*text >= '0' && *text <= '9')
            digits[count++] = *text;
    digits[count] = '\0';
    return strstr(digits, pan) != NULL;
}

Test(scrub, leaves_no_number_in_any_spelling_at_any_place)
{
    static char text[ROOM];
    char spelled[1024];

    for (unsigned p = 0; p < PAN_COUNT; p++) {
        watch(0, SCRUB_NUMBER, pans[p]);
        for (unsigned s = 0; s < SPELL_COUNT; s++) {
            spellings[s](pans[p], spelled);
            size_t size = add_noise(text);
            size_t start = size;
            size += (size_t)snprintf(text + size, 1024, "%s", spelled);
            text[size++] = ' ';
            size += add_noise(text + size);
            text[size] = '\0';
            const char *cleaned = clean(text);
            cr_expect_geq(hits, 1, "spelling %u of %s", s, pans[p]);
            cr_expect_null(strstr(cleaned, spelled), "spelling %u of %s", s, pans[p]);
            cr_expect_arr_eq(cleaned, text, start, "what stands before stays");
            cr_expect(!shows_digits(cleaned, pans[p]), "spelling %u of %s", s, pans[p]);
            /* Nothing is left for a second look. */
            char *again = strdup(cleaned);
            (void)clean(again);
            cr_expect_eq(hits, 0, "spelling %u of %s: %s", s, pans[p], again);
            free(again);
        }
    }
}

Test(scrub, finds_a_number_at_every_offset_and_against_every_edge)
{
    char text[64];
    watch(0, SCRUB_NUMBER, pans[0]);
    for (unsigned offset = 0; offset < 40; offset++) {
        memset(text, '4', sizeof text); /* Also as a part of a longer run of digits. */
        memcpy(text + offset, pans[0], 16);
        const char *cleaned = clean_bytes(text, offset + 16);
        cr_expect_geq(hits, 1);
        cr_expect_null(strstr(cleaned, pans[0]), "offset %u", offset);
    }
    expect_clean(pans[0], TOKEN);
    expect_clean("4242", "4242");
    cr_expect_arr_eq(clean_bytes(pans[0], 15), pans[0], 15, "a digit is missing");
    cr_expect_eq(hits, 0);
}

Test(scrub, puts_the_token_in_its_place_and_touches_nothing_else)
{
    watch(0, SCRUB_NUMBER, pans[0]);
    expect_clean("{\"number\":\"4242424242424242\",\"last4\":\"4242\"}",
                 "{\"number\":\"" TOKEN "\",\"last4\":\"4242\"}");
    expect_clean("No such card: 4242 4242 4242 4242.", "No such card: " TOKEN ".");
    expect_clean("a=%34%32&n=4%32424242424242%342", "a=%34%32&n=" TOKEN);
    expect_untouched("{\"n\":\"4000056655665556\",\"x\":\"%34\\u0034&#52;\"}");
    expect_untouched("");
}

Test(scrub, keeps_json_whole_where_a_bare_number_stood)
{
    watch(0, SCRUB_NUMBER, pans[0]);
    expect_clean("{\"n\": 4242424242424242 }", "{\"n\": \"" TOKEN "\" }");
    expect_clean("[1,4242424242424242]", "[1,\"" TOKEN "\"]");
    expect_clean("[4242424242424242,1]", "[\"" TOKEN "\",1]");
    expect_clean("number: 4242424242424242, thanks", "number: " TOKEN ", thanks");
    watch(0, SCRUB_CVV, "737");
    expect_clean("{\"cvc\":737}", "{\"cvc\":\"***\"}");
}

Test(scrub, leaves_base64_and_hex_that_still_decode)
{
    char coded[64];
    uint8_t plain[64];
    size_t size;

    watch(0, SCRUB_NUMBER, pans[0]);
    for (unsigned skip = 0; skip < 3; skip++) {
        static const char binary[] = "\x01\x02\x03"
                                     "4242424242424242"
                                     "\x04\x05\x06\x07\x08";
        encode_base64(binary + 3 - skip, skip + 16 + 5, coded);
        const char *cleaned = clean(coded);
        cr_expect_eq(hits, 1);
        cr_assert(!failed(decode_base64(cleaned, strlen(cleaned), plain, sizeof plain, &size)));
        cr_assert_eq(size, skip + 16 + 5);
        cr_expect_arr_eq(plain, binary + 3 - skip, skip);
        for (unsigned i = 0; i < 15; i++)
            cr_expect_eq(plain[skip + i], '0');
        cr_expect_arr_eq(plain + skip + 16, "\x04\x05\x06\x07\x08", 5);
    }
    expect_clean("34323432343234323432343234323432", "30303030303030303030303030303030");
}

Test(scrub, replaces_a_code_beside_its_name_only)
{
    watch(0, SCRUB_CVV, "737");
    expect_clean("{\"cvc\":\"737\"}", "{\"cvc\":\"***\"}");
    expect_clean("{\"security_code\" : \"737\"}", "{\"security_code\" : \"***\"}");
    expect_clean("card[verification_value]=737&a=1", "card[verification_value]=***&a=1");
    expect_clean("card%5Bcvc%5D=737", "card%5Bcvc%5D=***");
    expect_clean("{\\\"CVV2\\\":\\\"737\\\"}", "{\\\"CVV2\\\":\\\"***\\\"}");
    expect_clean("<CardCode>737</CardCode>", "<CardCode>***</CardCode>");
    expect_clean("The security code 737 is wrong", "The security code *** is wrong");
    expect_clean("Your cvc (737) is wrong", "Your cvc (***) is wrong");
    expect_clean("737 is not a valid CVC", "*** is not a valid CVC");
    expect_clean("X-Echo-Cvc: 737", "X-Echo-Cvc: ***");
    expect_clean("cvc=%37%33%37", "cvc=***");
    expect_clean("\"cvc\":\"373337\"", "\"cvc\":\"303030\"");
    expect_clean("\"cvc\":\"NzM3\"", "\"cvc\":\"MDAw\"");
}

Test(scrub, leaves_alone_what_only_equals_a_code)
{
    watch(0, SCRUB_CVV, "737");
    static const char *const texts[] = {"{\"amount\":737}",
                                        "{\"cvc_check\":\"pass\",\"amount\":737}",
                                        "737",
                                        "amount=737&cvc=1",
                                        "{\"amount\":737,\"cvc_check\":\"pass\"}",
                                        "cvc=7370",
                                        "cvc=1737",
                                        "{\"cvc\":\"1\",\"a\":\"737\"}",
                                        "<amount>737</amount><cvc>x</cvc>",
                                        "Content-Length: 737",
                                        "amount: 737\ncvc: pass"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_untouched(texts[i]);
}

Test(scrub, finds_a_code_within_base64_that_holds_text)
{
    char coded[256];
    uint8_t plain[256];
    size_t size;
    static const char form[] = "card[cvc]=737&amount=1099&currency=eur";

    watch(0, SCRUB_CVV, "737");
    encode_base64(form, strlen(form), coded);
    const char *cleaned = clean(coded);
    cr_expect_eq(hits, 1);
    cr_assert(!failed(decode_base64(cleaned, strlen(cleaned), plain, sizeof plain, &size)));
    cr_expect_arr_eq(plain, "card[cvc", 8);
    cr_expect_null(memmem(plain, size, "73", 2));
    cr_expect_null(memmem(plain, size, "37", 2));
    cr_expect_not_null(memmem(plain, size, "mount=1099", 10));
}

Test(scrub, replaces_a_name_in_any_case_as_a_word)
{
    watch(0, SCRUB_NAME, "Jos\xc3\xa9 Example");
    expect_clean("{\"name\":\"Jos\\u00e9 Example\"}", "{\"name\":\"" TOKEN "\"}");
    expect_clean("name=jOS%C3%A9+example&x=1", "name=" TOKEN "&x=1");
    expect_untouched("Jos\xc3\xa9 Examples");
    char coded[64];
    base64_of("\x01", "Jos\xc3\xa9 Example", "\x01\x02", coded);
    (void)clean(coded);
    cr_expect_eq(hits, 1);
    watch(0, SCRUB_NAME, "Al");
    expect_untouched("{\"name\":\"Al\"}");
}

Test(scrub, watches_several_values_at_once)
{
    watch(0, SCRUB_NUMBER, pans[0]);
    watch(1, SCRUB_NUMBER, "NDAwMDA1NjY1NTY2NTU1Ng=="); /* As a filter made it. */
    watch(2, SCRUB_CVV, "1234");
    cr_expect_str_eq(clean("4242424242424242 NDAwMDA1NjY1NTY2NTU1Ng== cvc 1234, 1234"),
                     TOKEN " " TOKEN " cvc ***, 1234");
    cr_expect_eq(hits, 3);
}

Test(scrub, watches_the_largest_lease_whole)
{
    struct buffer text OWNED(buffer_free) = BUFFER(4096);
    char value[32];

    for (unsigned i = 0; i < 8; i++) {
        watch(3 * i, SCRUB_NUMBER, pans[i]);
        snprintf(value, sizeof value, "Holder Number %c", 'A' + (int)i);
        watch(3 * i + 1, SCRUB_NAME, value);
        buffer_format(&text, "%s, %s, ", pans[i], value);
        snprintf(value, sizeof value, "73%u", i);
        watch(3 * i + 2, SCRUB_CVV, value);
        buffer_format(&text, "cvc %s; ", value);
    }
    cr_assert_eq(scrub.count, SCRUB_VALUES_MAX);
    clean(buffer_text(&text));
    cr_expect_eq(hits, SCRUB_VALUES_MAX, "%u: %s", hits, buffer_text(&out));
}

Test(scrub, leaves_cut_numbers_alone)
{
    watch(0, SCRUB_NUMBER, "4242");
    expect_untouched("{\"last4\":\"4242\"}");
}

Test(scrub, does_without_a_token)
{
    watch(0, SCRUB_NUMBER, pans[0]);
    scrub.values[0].token = NULL;
    expect_clean("n=4242424242424242", "n=***");
}

Test(scrub, passes_nothing_on_when_the_room_ends)
{
    OWNED(buffer_free) struct buffer small = BUFFER(20);
    unsigned untouched = 7;

    watch(0, SCRUB_NUMBER, pans[0]);
    cr_expect_eq(scrub_bytes(&scrub, (const uint8_t *)pans[0], 16, &small, &untouched).why,
                 WHY_LIMIT);
    cr_expect_eq(untouched, 7);
    cr_expect_str_eq(buffer_text(&small), "");
}

Test(scrub, refuses_a_value_that_nobody_inserts)
{
    OWNED(buffer_free) struct buffer room = BUFFER(64);
    char name[300];

    memset(name, 'n', sizeof name);
    name[299] = '\0';
    watch(0, SCRUB_NAME, name);
    cr_expect_eq(scrub_bytes(&scrub, (const uint8_t *)"x", 1, &room, &hits).why, WHY_LIMIT);
}

Test(scrub, reads_a_large_answer_in_little_time)
{
    static char text[ROOM * 4];
    OWNED(buffer_free) struct buffer room = BUFFER(sizeof text * 4);

    watch(0, SCRUB_NUMBER, pans[0]);
    watch(1, SCRUB_CVV, "424");
    watch(2, SCRUB_NAME, "4444444444");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "42 42-%34\\u0034&#5"[random_below(18)];
    clock_t start = clock(); /* Processor time: the machine may have other things to do. */
    struct status status = scrub_bytes(&scrub, (const uint8_t *)text, sizeof text, &room, &hits);
    cr_expect(status.why == WHY_NONE || status.why == WHY_LIMIT);
    cr_expect_lt(clock() - start, 20 * CLOCKS_PER_SEC, "quadratic would be minutes");
}
