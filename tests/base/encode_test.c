/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"

/* Stands in for libc's: the only way to see what a failing source of randomness does. */
static bool random_is_broken;
static unsigned random_call_count;

ssize_t getrandom(void *out, size_t size, unsigned flags)
{
    random_call_count++;
    if (random_is_broken) {
        errno = ENOSYS;
        return -1;
    }
    /* Short and interrupted, as it may be. */
    if (random_call_count % 3 == 1) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_getrandom, out, size > 1000 ? 1000 : size, flags);
}

Test(encode, writes_and_reads_hex_in_lower_case)
{
    static const uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
    char text[9];
    uint8_t back[4];
    encode_hex(bytes, sizeof bytes, text);
    cr_assert_str_eq(text, "000fa5ff");
    cr_assert(!failed(decode_hex(text, 8, back, sizeof back)));
    cr_assert_arr_eq(back, bytes, 4);
    encode_hex(NULL, 0, text);
    cr_assert_str_eq(text, "");
    cr_assert(!failed(decode_hex("", 0, NULL, 0)));
}

Test(encode, refuses_hex_it_would_not_write)
{
    static const char *const wrong[] = {"000FA5FF", "000fa5f",  "000fa5",   "000fa5ff00",
                                        "000fa5fg", "0x0fa5ff", "00 0fa5f", "000fa5f\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t out[4] = {1, 2, 3, 4};
        cr_expect_eq(decode_hex(wrong[i], strlen(wrong[i]), out, 4).why, WHY_BAD_INPUT, "%s",
                     wrong[i]);
        cr_expect_arr_eq(out, "\1\2\3\4", 4, "a failure writes nothing");
    }
}

Test(encode, writes_and_reads_the_base64_of_rfc_4648)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xff", "+/8="}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[ENCODE_BASE64_SIZE(6)];
        uint8_t back[6];
        size_t size = 99;
        encode_base64(pairs[i][0], strlen(pairs[i][0]), text);
        cr_assert_str_eq(text, pairs[i][1]);
        cr_assert(!failed(decode_base64(text, strlen(text), back, sizeof back, &size)));
        cr_assert_eq(size, strlen(pairs[i][0]));
        cr_assert_arr_eq(back, pairs[i][0], size);
    }
}

Test(encode, refuses_base64_that_is_not_canonical)
{
    static const char *const wrong[] = {"Zg",   "Zg=",      "Zh==",   "Zm9=", "Z===",
                                        "====", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm9_",
                                        "=m9v", "Zm9vY",    "Zm=v"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t out[16];
        size_t size = 77;
        cr_expect_eq(decode_base64(wrong[i], strlen(wrong[i]), out, sizeof out, &size).why,
                     WHY_BAD_INPUT, "%s", wrong[i]);
        cr_expect_eq(size, 77u);
    }
    uint8_t out[2];
    size_t size = 0;
    cr_assert_eq(decode_base64("Zm9v", 4, out, 2, &size).why, WHY_LIMIT);
}

/* libsodium 1.0.18 reads each of them as a slash where char is signed. */
Test(encode, refuses_base64_with_a_byte_that_is_not_ascii)
{
    for (unsigned byte = 0x80; byte <= 0xff; byte++) {
        for (unsigned at = 0; at < 4; at++) {
            char text[] = "Zm9v";
            uint8_t out[4];
            size_t size = 77;
            text[at] = (char)byte;
            cr_expect_eq(decode_base64(text, 4, out, sizeof out, &size).why, WHY_BAD_INPUT,
                         "%02x at %u", byte, at);
            cr_expect_eq(size, 77u);
        }
    }
}

Test(encode, writes_128_bits_as_22_characters_of_base62)
{
    uint8_t bytes[16] = {0};
    char text[ENCODE_BASE62_CHARS + 1];
    encode_base62(bytes, text);
    cr_assert_str_eq(text, "0000000000000000000000");
    bytes[15] = 61;
    encode_base62(bytes, text);
    cr_assert_str_eq(text, "000000000000000000000z");
    bytes[15] = 62;
    encode_base62(bytes, text);
    cr_assert_str_eq(text, "0000000000000000000010");
    memset(bytes, 0xff, sizeof bytes);
    encode_base62(bytes, text);
    cr_assert_str_eq(text, "7n42DGM5Tflk9n8mt7Fhc7"); /* 2^128 - 1. */
}

Test(encode, gives_every_flipped_bit_another_base62)
{
    uint8_t bytes[16];
    random_bytes(bytes, sizeof bytes);
    char text[ENCODE_BASE62_CHARS + 1];
    char other[ENCODE_BASE62_CHARS + 1];
    encode_base62(bytes, text);
    for (unsigned bit = 0; bit < 128; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        encode_base62(bytes, other);
        cr_expect(strcmp(text, other) != 0, "bit %u", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(random, fills_every_byte_of_any_size)
{
    static const size_t sizes[] = {1, 16, 32, 4095, 4096, 4097, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        static uint8_t seen[10000];
        static uint8_t bytes[10001];
        memset(seen, 0, sizeof seen);
        for (unsigned round = 0; round < 16; round++) {
            bytes[sizes[i]] = 0x5a;
            random_bytes(bytes, sizes[i]);
            cr_assert_eq(bytes[sizes[i]], 0x5au, "not a byte past the end");
            for (size_t at = 0; at < sizes[i]; at++)
                seen[at] |= bytes[at];
        }
        for (size_t at = 0; at < sizes[i]; at++)
            cr_assert(seen[at] != 0, "byte %zu of %zu stayed zero 16 times", at, sizes[i]);
    }
    random_bytes(NULL, 0);
}

Test(random, asks_the_kernel_once_for_many_small_draws)
{
    uint8_t bytes[16];
    random_bytes(bytes, sizeof bytes);
    unsigned before = random_call_count;
    for (unsigned i = 0; i < 4096 / 16 - 1; i++)
        random_bytes(bytes, sizeof bytes);
    cr_assert_eq(random_call_count, before);
    random_bytes(bytes, sizeof bytes);
    cr_assert(random_call_count > before);
}

Test(random, ends_the_process_when_its_source_fails, .signal = SIGABRT)
{
    uint8_t bytes[16];
    random_is_broken = true;
    random_bytes(bytes, sizeof bytes);
}

Test(random, does_not_repeat_itself_in_a_child)
{
    uint64_t mine = 0;
    uint64_t theirs = 0;
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    random_bytes(&mine, sizeof mine);
    pid_t child = fork();
    if (child == 0) {
        random_bytes(&theirs, sizeof theirs);
        ssize_t rc = write(ends[1], &theirs, sizeof theirs);
        _exit(rc == sizeof theirs ? 0 : 1);
    }
    random_bytes(&mine, sizeof mine);
    cr_assert_eq(read(ends[0], &theirs, sizeof theirs), (ssize_t)sizeof theirs);
    cr_assert(mine != theirs);
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

Test(random, stays_below_its_bound_and_reaches_all_of_it)
{
    unsigned counts[10] = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t value = random_below(10);
        cr_assert(value < 10);
        counts[value]++;
    }
    for (unsigned i = 0; i < 10; i++)
        cr_expect(counts[i] > 800 && counts[i] < 1200, "%u came %u times", i, counts[i]);
    cr_assert_eq(random_below(1), 0u);
    /* Two thirds of the range: a plain remainder would give the lower half twice as often. */
    unsigned low = 0;
    for (unsigned i = 0; i < 6000; i++)
        low += random_below(0xaaaaaaab) < 0x55555556 ? 1 : 0;
    cr_expect(low > 2700 && low < 3300, "%u of 6000", low);
}

Test(random, makes_ids_of_a_prefix_and_22_characters)
{
    char one[32];
    char two[32];
    random_id("tok_", one, 4 + ENCODE_BASE62_CHARS + 1);
    random_id("tok_", two, sizeof two);
    cr_assert_eq(strlen(one), 26u);
    cr_assert_arr_eq(one, "tok_", 4);
    cr_assert_eq(strspn(one + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
                 22u);
    cr_assert(strcmp(one, two) != 0);
}

Test(ids, that_are_ordered_are_so_by_their_bytes_and_by_time)
{
    char before[64] = "";
    char id[64];
    uint8_t bytes[16];

    int64_t begun_ms = clock_now_ms();
    for (unsigned i = 0; i < 200000; i++) {
        random_ordered_id("sub_", id, sizeof id);
        cr_assert_gt(strcmp(id, before), 0, "%s behind %s", id, before);
        memcpy(before, id, sizeof before);
    }
    cr_assert(!failed(decode_id("sub_", id, bytes)));
    cr_expect_eq(decode_id("lse_", id, bytes).why, WHY_BAD_INPUT, "another's");
    cr_expect_eq(decode_id("sub_", id + 4, bytes).why, WHY_BAD_INPUT, "without its prefix");
    cr_expect_eq(decode_id("sub", id, bytes).why, WHY_BAD_INPUT, "too long");
    cr_expect_eq(decode_id("sub_", "sub_", bytes).why, WHY_BAD_INPUT, "too short");
    cr_assert(!failed(decode_id("sub_", id, bytes)));
    int64_t ms = 0;
    for (unsigned i = 0; i < 6; i++)
        ms = ms << 8 | bytes[i];
    /* More than 65536 in a millisecond borrow from the next. */
    cr_expect(ms >= begun_ms && ms <= clock_now_ms() + 4, "%lld", (long long)ms);
    random_ordered_id("sub_", before, sizeof before);
    cr_expect_str_neq(id + 14, before + 14, "64 bits are random");
}

Test(clock, agrees_with_itself_and_moves_on)
{
    int64_t ms = clock_now_ms();
    cr_assert(ms / 1000 - time(NULL) <= 1 && time(NULL) - ms / 1000 <= 1);
    int64_t before = clock_monotonic_us();
    struct timespec pause = {.tv_nsec = 2000000};
    nanosleep(&pause, NULL);
    int64_t after = clock_monotonic_us();
    cr_assert(after - before >= 2000, "%lld us", (long long)(after - before));
    cr_assert(clock_monotonic_ms() - after / 1000 <= 1000);
    cr_assert(clock_monotonic_ms() >= after / 1000);
}

Test(clock, writes_times_as_libc_does)
{
    static const int64_t seconds[] = {
        0,          -1,           951782400,    951868800, 1709164800,  1709251199, 4107542399,
        4107542400, -62167219200, 253402300799, -1,        -2203891200, 68169600};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        char text[CLOCK_TEXT_SIZE];
        char wanted[64];
        struct tm tm;
        time_t at = (time_t)seconds[i];
        cr_assert(gmtime_r(&at, &tm) != NULL);
        snprintf(wanted, sizeof wanted, "%04d-%02d-%02dT%02d:%02d:%02d.007Z", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        clock_text(seconds[i] * 1000 + 7, text);
        cr_expect_str_eq(text, wanted);
        int64_t back = 1;
        cr_expect(!failed(clock_parse(text, strlen(text), &back)));
        cr_expect_eq(back, seconds[i] * 1000 + 7);
    }
}

Test(clock, reads_back_every_day_of_a_thousand_years)
{
    for (int64_t day = -200000; day < 165000; day += 1) {
        char text[CLOCK_TEXT_SIZE];
        int64_t back = 0;
        clock_text(day * 86400000 + 1, text);
        cr_assert(!failed(clock_parse(text, strlen(text), &back)), "%s", text);
        cr_assert_eq(back, day * 86400000 + 1, "%s", text);
    }
}

Test(clock, stays_within_four_digits_of_year)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(INT64_MAX, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
    clock_text(INT64_MIN, text);
    cr_assert_str_eq(text, "0000-01-01T00:00:00.000Z");
}

Test(clock, reads_offsets_and_fractions)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.1Z", 100},
        {"1970-01-01T00:00:00.123456789Z", 123},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T18:30:00.5-05:30", 500},
        {"2024-02-29T12:00:00-00:00", 1709208000000},
        {"2000-02-29T00:00:00Z", 951782400000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = 5;
        cr_expect(!failed(clock_parse(cases[i].text, strlen(cases[i].text), &ms)), "%s",
                  cases[i].text);
        cr_expect_eq(ms, cases[i].ms, "%s", cases[i].text);
    }
}

Test(clock, refuses_what_is_no_time)
{
    static const char *const wrong[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-01-01t00:00:00z",
        "1970-1-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00Zx",
        "+970-01-01T00:00:00Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t ms = 5;
        cr_expect_eq(clock_parse(wrong[i], strlen(wrong[i]), &ms).why, WHY_BAD_INPUT, "%s",
                     wrong[i]);
        cr_expect_eq(ms, 5);
    }
}
