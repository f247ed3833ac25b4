/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/note.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

/* C2SP signed-note's own example. */
static const char example_key[] =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
static const char example_note[] =
    "This is an example message.\n"
    "\n"
    "\xe2\x80\x94 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    "\n";

/* A worked checkpoint: seeds 00..1f (the log's) and 20..3f (a witness's), five entries. */
#define ORIGIN "vault.example/audit/test-1"
static const char log_key[] = ORIGIN "+4bc78077+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
static const char text[] = ORIGIN "\n5\nFH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB0=\n";
static const char log_line[] =
    "\xe2\x80\x94 " ORIGIN " "
    "S8eAdwRVZ5icteS5h8oDs7p7sEk4vIr/m+h924qp3/+rMbzXM1hT55bSO3D0hXoV0/DVQaOajbCZ02FbCGxKuoC4hAU="
    "\n";
static const char witness_line[] =
    "\xe2\x80\x94 witness.example/w1 "
    "IDJKvgAAAABlU/EAZLpULUeyKynyH4rmbcnuLb5uGSxjjyFKCuKsr4u6V1ZU4FFzW/"
    "PlISeC/bB7irvHwY4HWyP0oRJtnDqrZGk0Bw==\n";

static struct secret *seed;
static struct note_key key;

static struct secret *seed_from(uint8_t first)
{
    struct secret *made = NULL;
    cr_assert(!failed(secret_new_key(32, &made)));
    for (unsigned i = 0; i < 32; i++)
        secret_bytes(made)[i] = (uint8_t)(first + i);
    return made;
}

static void make_key(void)
{
    cr_assert(sodium_init() >= 0);
    seed = seed_from(0);
    cr_assert(!failed(note_key_from_seed(ORIGIN, seed, &key)));
}

static void free_key(void)
{
    secret_free(&seed);
}

static enum why why_refused(const char *note, size_t size, const struct note_key *known)
{
    const char *found = NULL;
    size_t found_size = 0;
    struct status status = note_open(note, size, known, 1, &found, &found_size);
    cr_assert_eq(failed(status), found == NULL, "a failure lends nothing");
    return status.why;
}

/* Opens a note that is put together of a text, the separator and lines. */
static enum why why_refused_parts(const char *of_text, const char *lines)
{
    char note[4096];
    int size = snprintf(note, sizeof note, "%s\n%s", of_text, lines);
    return why_refused(note, (size_t)size, &key);
}

TestSuite(note, .init = make_key, .fini = free_key);

Test(note, opens_the_example_of_the_specification)
{
    struct note_key example;
    const char *found = NULL;
    size_t size = 0;

    cr_assert(!failed(note_key_parse(example_key, &example)));
    cr_assert_str_eq(example.name, "example.com/foo");
    cr_assert(
        !failed(note_open(example_note, sizeof example_note - 1, &example, 1, &found, &size)));
    cr_assert_eq(size, strlen("This is an example message.\n"));
    cr_assert_arr_eq(found, "This is an example message.\n", size);
}

Test(note, writes_a_verifier_key_as_it_read_it)
{
    char written[NOTE_NAME_BYTES_MAX + 64];
    struct note_key again;

    note_key_text(&key, written, sizeof written);
    cr_assert_str_eq(written, log_key);
    cr_assert(!failed(note_key_parse(log_key, &again)));
    cr_assert_eq(memcmp(&again, &key, sizeof key), 0);
}

Test(note, parses_a_verifier_key_whose_base64_holds_a_plus)
{
    struct note_key plus;
    cr_assert(!failed(
        note_key_parse("TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6", &plus)));
    cr_assert_str_eq(plus.name, "TEST");
}

Test(note, refuses_a_verifier_key_with_any_character_changed)
{
    char changed[sizeof log_key];
    struct note_key parsed;

    for (size_t at = 0; at < sizeof log_key - 1; at++) {
        memcpy(changed, log_key, sizeof log_key);
        changed[at] = changed[at] == 'B' ? 'C' : 'B';
        cr_expect_eq(note_key_parse(changed, &parsed).why, WHY_BAD_INPUT, "at %zu", at);
    }
    cr_expect_eq(note_key_parse("", &parsed).why, WHY_BAD_INPUT);
    cr_expect_eq(note_key_parse("name", &parsed).why, WHY_BAD_INPUT);
    cr_expect_eq(note_key_parse("name+4bc78077", &parsed).why, WHY_BAD_INPUT);
}

Test(note, refuses_a_verifier_key_of_another_type)
{
    /* A real cosigner's, type 04. */
    struct note_key witness;
    cr_assert_eq(note_key_parse("witness.example/w1+20324abe+"
                                "BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X",
                                &witness)
                     .why,
                 WHY_BAD_INPUT);
}

Test(note, refuses_names_that_a_line_could_not_hold)
{
    static const char *const names[] = {"",
                                        "two words",
                                        "a+b",
                                        "line\nfeed",
                                        "tab\tbed",
                                        "thin\xe2\x80\x89space",
                                        "wide\xe3\x80\x80space",
                                        "half\xe2\x80",
                                        "over\xc0\xaflong",
                                        "sur\xed\xa0\x80rogate"};
    struct note_key made;
    char longest[NOTE_NAME_BYTES_MAX + 1];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect_eq(note_key_from_seed(names[i], seed, &made).why, WHY_BAD_INPUT, "%zu", i);
    memset(longest, 'x', sizeof longest);
    longest[NOTE_NAME_BYTES_MAX] = '\0';
    cr_expect_eq(note_key_from_seed(longest, seed, &made).why, WHY_BAD_INPUT);
    longest[NOTE_NAME_BYTES_MAX - 1] = '\0';
    cr_expect(!failed(note_key_from_seed(longest, seed, &made)));
    cr_expect(!failed(note_key_from_seed("m\xc3\xbcnze.example", seed, &made)));
}

Test(note, signs_the_worked_checkpoint_byte_for_byte)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    char wanted[1024];

    snprintf(wanted, sizeof wanted, "%s\n%s", text, log_line);
    cr_assert(!failed(note_sign(text, sizeof text - 1, &key, seed, &note)));
    cr_assert_str_eq(buffer_text(&note), wanted);
}

Test(note, does_not_sign_with_another_key_than_it_names)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    OWNED(secret_free) struct secret *other = seed_from(1);
    cr_assert_eq(note_sign(text, sizeof text - 1, &key, other, &note).why, WHY_BAD_INPUT);
    cr_assert_eq(note.size, 0);
}

Test(note, does_not_sign_what_would_be_no_note)
{
    OWNED(buffer_free) struct buffer note = BUFFER(2 * NOTE_BYTES_MAX);
    static char large[NOTE_BYTES_MAX];

    cr_expect_eq(note_sign("", 0, &key, seed, &note).why, WHY_BAD_INPUT);
    cr_expect_eq(note_sign("open", 4, &key, seed, &note).why, WHY_BAD_INPUT);
    cr_expect_eq(note_sign("a\tb\n", 4, &key, seed, &note).why, WHY_BAD_INPUT);
    cr_expect_eq(note_sign("\xff\n", 2, &key, seed, &note).why, WHY_BAD_INPUT);
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\n';
    cr_expect_eq(note_sign(large, sizeof large, &key, seed, &note).why, WHY_LIMIT);
    cr_expect_eq(note.size, 0);
}

Test(note, ignores_a_signature_of_a_type_it_does_not_know)
{
    char lines[1024];

    snprintf(lines, sizeof lines, "%s%s", log_line, witness_line);
    cr_expect_eq(why_refused_parts(text, lines), WHY_NONE);
    snprintf(lines, sizeof lines, "%s%s", witness_line, log_line);
    cr_expect_eq(why_refused_parts(text, lines), WHY_NONE);
}

Test(note, is_not_opened_by_unknown_signatures_alone)
{
    cr_assert_eq(why_refused_parts(text, witness_line), WHY_FORGED);
}

Test(note, is_refused_for_one_bad_signature_of_a_known_key_whatever_else_stands_on_it)
{
    char bad[sizeof log_line];
    char lines[1024];

    memcpy(bad, log_line, sizeof bad);
    bad[60] = bad[60] == 'A' ? 'B' : 'A';
    snprintf(lines, sizeof lines, "%s%s", log_line, bad);
    cr_expect_eq(why_refused_parts(text, lines), WHY_FORGED);
    snprintf(lines, sizeof lines, "%s%s", bad, log_line);
    cr_expect_eq(why_refused_parts(text, lines), WHY_FORGED);
}

Test(note, does_not_open_with_any_one_bit_changed)
{
    char note[1024];
    int size = snprintf(note, sizeof note, "%s\n%s", text, log_line);

    for (int bit = 0; bit < 8 * size; bit++) {
        note[bit / 8] = (char)(note[bit / 8] ^ (1 << bit % 8));
        cr_expect_neq(why_refused(note, (size_t)size, &key), WHY_NONE, "bit %d", bit);
        note[bit / 8] = (char)(note[bit / 8] ^ (1 << bit % 8));
    }
    cr_assert_eq(why_refused(note, (size_t)size, &key), WHY_NONE);
}

Test(note, does_not_open_cut_short_anywhere)
{
    char note[1024];
    int size = snprintf(note, sizeof note, "%s\n%s", text, log_line);
    for (int cut = 0; cut < size; cut++)
        cr_expect_neq(why_refused(note, (size_t)cut, &key), WHY_NONE, "cut at %d", cut);
}

Test(note, keeps_empty_lines_of_its_text)
{
    static const char airy[] = "one\n\n\ntwo\n\n";
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    const char *found = NULL;
    size_t size = 0;

    cr_assert(!failed(note_sign(airy, sizeof airy - 1, &key, seed, &note)));
    cr_assert(!failed(note_open(note.bytes, note.size, &key, 1, &found, &size)));
    cr_assert_eq(size, sizeof airy - 1);
    cr_assert_arr_eq(found, airy, size);
}

Test(note, refuses_what_is_no_note)
{
    cr_expect_eq(why_refused_parts(text, ""), WHY_BAD_INPUT);
    cr_expect_eq(why_refused_parts("", log_line), WHY_BAD_INPUT);
    cr_expect_eq(why_refused_parts(text, "- " ORIGIN " AAAAAAA=\n"), WHY_BAD_INPUT);
    cr_expect_eq(why_refused_parts(text, "\xe2\x80\x94 nothing\n"), WHY_BAD_INPUT);
    cr_expect_eq(why_refused_parts(text, "\xe2\x80\x94 short AAAA\n"), WHY_BAD_INPUT);
    cr_expect_eq(why_refused_parts(text, "\xe2\x80\x94 not base64!\n"), WHY_BAD_INPUT);
    cr_expect_eq(why_refused_parts("bell\a\n", log_line), WHY_BAD_INPUT);
}

Test(note, refuses_more_signatures_than_it_would_read)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);

    buffer_add_text(&note, text);
    buffer_add_text(&note, "\n");
    buffer_add_text(&note, log_line);
    for (unsigned i = 1; i < NOTE_SIGNATURES_MAX; i++)
        buffer_format(&note, "\xe2\x80\x94 other%u AAAAAAA=\n", i);
    cr_assert_eq(why_refused((const char *)note.bytes, note.size, &key), WHY_NONE);
    buffer_add_text(&note, "\xe2\x80\x94 last AAAAAAA=\n");
    cr_assert_eq(why_refused((const char *)note.bytes, note.size, &key), WHY_BAD_INPUT);
}

Test(note, lends_its_text_unchecked_when_asked_to_peek)
{
    char note[1024];
    int size = snprintf(note, sizeof note, "%s\n%s", text, witness_line);
    const char *found = NULL;
    size_t found_size = 0;

    cr_assert(!failed(note_peek(note, (size_t)size, &found, &found_size)));
    cr_assert_eq(found_size, sizeof text - 1);
    cr_assert_eq(note_peek("no note\n", 8, &found, &found_size).why, WHY_BAD_INPUT);
}

Test(checkpoint, is_written_as_it_was_read)
{
    static const char *const sizes[] = {"0", "1", "10", "18446744073709551615"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        OWNED(buffer_free) struct buffer again = BUFFER(1024);
        struct checkpoint parsed;
        char given[256];
        snprintf(given, sizeof given, ORIGIN "\n%s\nFH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB0=\n",
                 sizes[i]);
        cr_assert(!failed(checkpoint_parse(given, strlen(given), &parsed)));
        checkpoint_text(&parsed, &again);
        cr_assert_str_eq(buffer_text(&again), given);
    }
}

Test(checkpoint, refuses_every_other_way_to_write_it)
{
#define ROOT "FH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB0="
    static const char *const refused[] = {
        "",
        "\n5\n" ROOT "\n",
        "o\n05\n" ROOT "\n",
        "o\n\n" ROOT "\n",
        "o\n-5\n" ROOT "\n",
        "o\n+5\n" ROOT "\n",
        "o\n5 \n" ROOT "\n",
        "o\n0x5\n" ROOT "\n",
        "o\n18446744073709551616\n" ROOT "\n",
        "o\n99999999999999999999\n" ROOT "\n",
        "o\n5\n" ROOT,
        "o\n5\n" ROOT "\nextension\n",
        "o\n5\n" ROOT "\n\n",
        "o\n5\nFH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLA==\n",
        "o\n5\nFH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB1=\n",
        "o\n5\nFH3Ed0eaO2miSx\2572Abb8YoT98V/VCr/rDPcOqONyLB0=\n",
        "two words\n5\n" ROOT "\n",
    };
    struct checkpoint parsed;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect_eq(checkpoint_parse(refused[i], strlen(refused[i]), &parsed).why, WHY_BAD_INPUT,
                     "%zu", i);
    cr_assert(!failed(checkpoint_parse("o\n5\n" ROOT "\n", 4 + 44 + 1, &parsed)));
}
