/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define RANDOM_BLOCK_BYTES 4096u

#define MS_PER_SECOND      1000
#define SECONDS_PER_DAY    86400
#define MS_PER_DAY         ((int64_t)SECONDS_PER_DAY * MS_PER_SECOND)
/* The first and the last millisecond that four digits of a year can say. */
#define CLOCK_MS_MIN (-62167219200000)
#define CLOCK_MS_MAX 253402300799999

/* libsodium's codecs take no branch on what they encode: keys pass through here too. */

void encode_hex(const void *bytes, size_t size, char *out)
{
    assert(bytes != NULL || size == 0);
    assert(out != NULL);
    sodium_bin2hex(out, 2 * size + 1, bytes, size);
}

STATUS decode_hex(const char *text, size_t text_size, uint8_t *out, size_t out_size)
{
    assert(text != NULL || text_size == 0);
    assert(out != NULL || out_size == 0);
    ENSURE(text_size % 2 == 0, WHY_BAD_INPUT);
    ENSURE(text_size / 2 == out_size, WHY_BAD_INPUT);
    for (size_t i = 0; i < text_size; i++) {
        bool is_hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        ENSURE(is_hex, WHY_BAD_INPUT);
    }
    if (out_size == 0)
        return STATUS_OK;
    int rc = sodium_hex2bin(out, out_size, text, text_size, NULL, NULL, NULL);
    ENSURE(rc == 0, WHY_BAD_INPUT);
    return STATUS_OK;
}

void encode_base64(const void *bytes, size_t size, char *out)
{
    assert(bytes != NULL || size == 0);
    assert(out != NULL);
    sodium_bin2base64(out, ENCODE_BASE64_SIZE(size), bytes, size, sodium_base64_VARIANT_ORIGINAL);
}

STATUS decode_base64(const char *text, size_t text_size, uint8_t *out, size_t out_max,
                     size_t *out_size)
{
    assert(text != NULL || text_size == 0);
    assert(out_size != NULL);
    ENSURE(text_size % 4 == 0, WHY_BAD_INPUT);
    /* libsodium 1.0.18 takes every byte above 0x7f for a slash where char is signed. */
    uint8_t bits_seen = 0;
    for (size_t i = 0; i < text_size; i++)
        bits_seen |= (uint8_t)text[i];
    ENSURE(bits_seen < 0x80, WHY_BAD_INPUT);
    size_t size = text_size / 4 * 3;
    for (size_t i = 0; i < 2 && text_size > 0; i++)
        size -= text[text_size - 1 - i] == '=' ? 1 : 0;
    ENSURE(size <= out_max, WHY_LIMIT);
    if (size > 0) {
        size_t written = 0;
        int rc = sodium_base642bin(out, size, text, text_size, NULL, &written, NULL,
                                   sodium_base64_VARIANT_ORIGINAL);
        if (rc != 0 || written != size) {
            sodium_memzero(out, size);
            return FAIL(WHY_BAD_INPUT);
        }
    } else {
        ENSURE(text_size == 0, WHY_BAD_INPUT);
    }
    *out_size = size;
    return STATUS_OK;
}

__extension__ typedef unsigned __int128 encode_u128; /* gcc and clang; no standard name yet. */

void encode_base62(const uint8_t bytes[static 16], char out[static ENCODE_BASE62_CHARS + 1])
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    /* Ten digits at a time: two divisions of 128 bits instead of twenty-two. */
    static const uint64_t ten_digits = 839299365868340224u; /* 62 to the power of 10. */
    encode_u128 value = 0;
    for (unsigned i = 0; i < 16; i++)
        value = value << 8 | bytes[i];
    unsigned at = ENCODE_BASE62_CHARS;
    while (at > 0) {
        uint64_t part = (uint64_t)(value % ten_digits);
        value /= ten_digits;
        for (unsigned i = 0; i < 10 && at > 0; i++) {
            at--;
            out[at] = alphabet[part % 62];
            part /= 62;
        }
    }
    out[ENCODE_BASE62_CHARS] = '\0';
}

STATUS decode_base62(const char *text, uint8_t out[static 16])
{
    encode_u128 value = 0;

    for (unsigned i = 0; i < ENCODE_BASE62_CHARS; i++) {
        char c = text[i];
        unsigned digit = 0;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'Z')
            digit = (unsigned)(c - 'A') + 10;
        else if (c >= 'a' && c <= 'z')
            digit = (unsigned)(c - 'a') + 36;
        else
            return FAIL(WHY_BAD_INPUT);
        ENSURE(value <= (~(encode_u128)0 - digit) / 62, WHY_BAD_INPUT);
        value = value * 62 + digit;
    }
    for (unsigned i = 0; i < 16; i++)
        out[i] = (uint8_t)(value >> (120 - 8 * i));
    return STATUS_OK;
}

static _Thread_local struct {
    uint8_t bytes[RANDOM_BLOCK_BYTES];
    size_t left; /* The unused bytes are the last ones. */
} random_block;

/* There is no second source to fall back to, and no caller who could go on. */
static void random_fill(uint8_t *out, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        out += got;
        size -= (size_t)got;
    }
}

/* Runs in a child, on its only thread: parent and child must not draw the same bytes. */
static void random_forget(void)
{
    sodium_memzero(&random_block, sizeof random_block);
}

static void random_watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, random_forget) != 0)
        abort();
}

static void random_refill(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, random_watch_forks) != 0)
        abort();
    random_fill(random_block.bytes, sizeof random_block.bytes);
    random_block.left = sizeof random_block.bytes;
}

void random_bytes(void *out, size_t size)
{
    assert(out != NULL || size == 0);
    if (size == 0)
        return;
    if (size > RANDOM_BLOCK_BYTES) {
        random_fill(out, size);
        return;
    }
    if (size > random_block.left)
        random_refill();
    uint8_t *from = random_block.bytes + sizeof random_block.bytes - random_block.left;
    memcpy(out, from, size);
    sodium_memzero(from, size);
    random_block.left -= size;
}

uint32_t random_below(uint32_t bound)
{
    assert(bound > 0);
    /* Values below 2^32 mod bound would make the small results more likely. */
    uint32_t least = (uint32_t)-bound % bound;
    uint32_t value;
    do
        random_bytes(&value, sizeof value);
    while (value < least);
    return value % bound;
}

static void id_write(const char *prefix, const uint8_t bytes[static 16], char *out, size_t out_size)
{
    assert(prefix != NULL);
    assert(out != NULL);
    size_t prefix_size = strlen(prefix);

    assert(out_size > prefix_size + ENCODE_BASE62_CHARS);
    memcpy(out, prefix, prefix_size);
    encode_base62(bytes, out + prefix_size);
}

void random_id(const char *prefix, char *out, size_t out_size)
{
    uint8_t bytes[16];

    random_bytes(bytes, sizeof bytes);
    id_write(prefix, bytes, out, out_size);
    sodium_memzero(bytes, sizeof bytes);
}

void random_ordered_id(const char *prefix, char *out, size_t out_size)
{
    static _Thread_local uint64_t last; /* Where the clock was set back, it counts on. */
    uint64_t now = (uint64_t)clock_now_ms() << 16;
    uint8_t bytes[16];

    last = now > last ? now : last + 1;
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(last >> (56 - 8 * i));
    random_bytes(bytes + 8, sizeof bytes - 8);
    id_write(prefix, bytes, out, out_size);
}

STATUS decode_id(const char *prefix, const char *text, uint8_t out[static 16])
{
    size_t prefix_size = strlen(prefix);

    ENSURE(strncmp(text, prefix, prefix_size) == 0, WHY_BAD_INPUT);
    ENSURE(strlen(text) == prefix_size + ENCODE_BASE62_CHARS, WHY_BAD_INPUT);
    return decode_base62(text + prefix_size, out);
}

static struct timespec clock_read(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    assert(rc == 0);
    return now;
}

int64_t clock_now_ms(void)
{
    struct timespec now = clock_read(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    struct timespec now = clock_read(CLOCK_MONOTONIC);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_us(void)
{
    struct timespec now = clock_read(CLOCK_MONOTONIC);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Days and dates of the Gregorian calendar, without gmtime_r(), which takes libc's time zone lock.
 * Years here begin in March, so that a leap day is the last one of its year, and are counted in
 * eras of 400 years, which are all alike: 146 097 days. */
#define ERA_DAYS  146097
#define EPOCH_DAY 719468 /* 1970-01-01, counted from 0000-03-01. */

struct date {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
};

static struct date date_of(int64_t days)
{
    assert(days >= -EPOCH_DAY - 60);               /* 0000-01-01 is 60 days before 0000-03-01. */
    int64_t shifted = days + EPOCH_DAY + ERA_DAYS; /* An era more, so that nothing is negative. */
    int64_t era = shifted / ERA_DAYS;
    int64_t of_era = shifted % ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    struct date date = {.year = year + (era - 1) * 400};
    date.day = of_year - (153 * from_march + 2) / 5 + 1;
    date.month = from_march < 10 ? from_march + 3 : from_march - 9;
    date.year += date.month <= 2 ? 1 : 0;
    return date;
}

static int64_t date_days(struct date date)
{
    int64_t year = date.year - (date.month <= 2 ? 1 : 0) + 400;
    int64_t era = year / 400;
    int64_t of_era = year % 400;
    int64_t from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t of_year = (153 * from_march + 2) / 5 + date.day - 1;
    return (era - 1) * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY;
}

static char *put_digits(char *out, int64_t value, unsigned count)
{
    for (unsigned i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + count;
}

void clock_text(int64_t ms, char out[static CLOCK_TEXT_SIZE])
{
    if (ms < CLOCK_MS_MIN)
        ms = CLOCK_MS_MIN;
    if (ms > CLOCK_MS_MAX)
        ms = CLOCK_MS_MAX;
    int64_t in_day = (ms % MS_PER_DAY + MS_PER_DAY) % MS_PER_DAY;
    struct date date = date_of((ms - in_day) / MS_PER_DAY);
    int64_t seconds = in_day / MS_PER_SECOND;
    char *at = put_digits(out, date.year, 4);
    *at++ = '-';
    at = put_digits(at, date.month, 2);
    *at++ = '-';
    at = put_digits(at, date.day, 2);
    *at++ = 'T';
    at = put_digits(at, seconds / 3600, 2);
    *at++ = ':';
    at = put_digits(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, seconds % 60, 2);
    *at++ = '.';
    at = put_digits(at, in_day % MS_PER_SECOND, 3);
    *at++ = 'Z';
    *at = '\0';
}

/* What is left of a text; `bad` sticks. */
struct scan {
    const char *at;
    const char *end;
    bool bad;
};

static int64_t scan_digits(struct scan *scan, unsigned count, int64_t min, int64_t max)
{
    int64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        if (scan->at == scan->end || *scan->at < '0' || *scan->at > '9') {
            scan->bad = true;
            return min;
        }
        value = 10 * value + (*scan->at++ - '0');
    }
    scan->bad = scan->bad || value < min || value > max;
    return value;
}

static bool scan_char(struct scan *scan, char wanted)
{
    if (scan->at == scan->end || *scan->at != wanted)
        return false;
    scan->at++;
    return true;
}

static void scan_want(struct scan *scan, char wanted)
{
    scan->bad = !scan_char(scan, wanted) || scan->bad;
}

/* The milliseconds of ".digits", cut off and not rounded; 0 without a fraction. */
static int64_t scan_fraction(struct scan *scan)
{
    if (!scan_char(scan, '.'))
        return 0;
    int64_t value = 0;
    unsigned count = 0;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        if (count < 3)
            value = 10 * value + (*scan->at - '0');
        count++;
        scan->at++;
    }
    scan->bad = scan->bad || count == 0 || count > 9;
    for (unsigned i = count; i < 3; i++)
        value *= 10;
    return value;
}

static int64_t scan_offset_seconds(struct scan *scan)
{
    if (scan_char(scan, 'Z'))
        return 0;
    int64_t sign = scan_char(scan, '-') ? -1 : 1;
    if (sign > 0)
        scan_want(scan, '+');
    int64_t hours = scan_digits(scan, 2, 0, 23);
    scan_want(scan, ':');
    int64_t minutes = scan_digits(scan, 2, 0, 59);
    return sign * (hours * 3600 + minutes * 60);
}

STATUS clock_parse(const char *text, size_t size, int64_t *out_ms)
{
    assert(text != NULL);
    assert(out_ms != NULL);
    struct scan scan = {.at = text, .end = text + size};
    struct date date = {.year = scan_digits(&scan, 4, 0, 9999)};
    scan_want(&scan, '-');
    date.month = scan_digits(&scan, 2, 1, 12);
    scan_want(&scan, '-');
    date.day = scan_digits(&scan, 2, 1, 31);
    scan_want(&scan, 'T');
    int64_t seconds = 3600 * scan_digits(&scan, 2, 0, 23);
    scan_want(&scan, ':');
    seconds += 60 * scan_digits(&scan, 2, 0, 59);
    scan_want(&scan, ':');
    seconds += scan_digits(&scan, 2, 0, 59); /* Clocks here know no leap seconds. */
    int64_t ms = scan_fraction(&scan);
    seconds -= scan_offset_seconds(&scan);
    ENSURE(!scan.bad, WHY_BAD_INPUT);
    ENSURE(scan.at == scan.end, WHY_BAD_INPUT);

    int64_t days = date_days(date);
    /* A day that its month does not have comes back as one of the next month. */
    ENSURE(date_of(days).day == date.day, WHY_BAD_INPUT);
    ms += (days * SECONDS_PER_DAY + seconds) * MS_PER_SECOND;
    ENSURE(ms >= CLOCK_MS_MIN && ms <= CLOCK_MS_MAX, WHY_BAD_INPUT);
    *out_ms = ms;
    return STATUS_OK;
}
