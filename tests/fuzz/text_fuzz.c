/* SPDX-License-Identifier: Apache-2.0 */
/* base/encode.h, base/redact.h and the characters of base/json.h beside other readers: timegm(),
 * libsodium's hex, and plain ones that are written here from the standards.  The first byte says
 * which. */
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/redact.h"
#include "tests/fuzz/require.h"

#define BYTES_MAX 4096u

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    return 0;
}

static void hex(const uint8_t *data, size_t size)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t theirs[BYTES_MAX];
    char again[2 * BYTES_MAX + 1];
    size_t theirs_size = 0;
    const char *end = NULL;

    bool read = !failed(decode_hex((const char *)data, size, bytes, size / 2));
    bool theirs_read = sodium_hex2bin(theirs, sizeof theirs, (const char *)data, size, NULL,
                                      &theirs_size, &end) == 0 &&
                       end == (const char *)data + size && size % 2 == 0;
    if (read) {
        require(theirs_read && same_bytes(bytes, size / 2, theirs, theirs_size));
        encode_hex(bytes, size / 2, again);
        require(same_bytes(again, strlen(again), data, size));
    } else if (theirs_read) {
        /* Ours writes and reads small letters only. */
        bool large = false;
        for (size_t i = 0; i < size; i++)
            large |= data[i] >= 'A' && data[i] <= 'F';
        require(large);
    }
}

/* RFC 4648 section 4, with the padding, and with zero bits where bits are left over. */
static bool base64_read(const uint8_t *text, size_t size, uint8_t *out, size_t *out_size)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t pads = 0;

    *out_size = 0;
    while (pads < 2 && pads < size && text[size - 1 - pads] == '=')
        pads++;
    if (size % 4 != 0)
        return false;
    for (size_t i = 0; i < size - pads; i++) {
        const char *at = text[i] == '\0' ? NULL : strchr(alphabet, text[i]);
        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        bit_count += 6;
        if (bit_count >= 8)
            out[(*out_size)++] = (uint8_t)(bits >> (bit_count -= 8));
    }
    return (bits & ((1u << bit_count) - 1)) == 0 && bit_count == 2 * pads;
}

static void base64(const uint8_t *data, size_t size)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t theirs[BYTES_MAX];
    char again[ENCODE_BASE64_SIZE(BYTES_MAX)];
    size_t bytes_size = 0;
    size_t theirs_size = 0;

    bool read = !failed(decode_base64((const char *)data, size, bytes, sizeof bytes, &bytes_size));
    require(read == base64_read(data, size, theirs, &theirs_size));
    if (read) {
        require(same_bytes(bytes, bytes_size, theirs, theirs_size));
        encode_base64(bytes, bytes_size, again);
        require(same_bytes(again, strlen(again), data, size));
    }
    if (read && bytes_size > 0) {
        size_t least = bytes_size;
        struct status status = decode_base64((const char *)data, size, bytes, least - 1, &least);
        require(status.why == WHY_LIMIT);
    }
    encode_base64(data, size, again);
    require(sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL) == strlen(again) + 1);
    must(decode_base64(again, strlen(again), bytes, sizeof bytes, &bytes_size));
    require(same_bytes(bytes, bytes_size, data, size));
}

static void base62(const uint8_t *data, size_t size)
{
    char again[ENCODE_BASE62_CHARS + 1];
    char *text = text_of(data, size);
    uint8_t bytes[16];

    if (!failed(decode_base62(text, bytes))) {
        encode_base62(bytes, again);
        require(strncmp(again, text, ENCODE_BASE62_CHARS) == 0); /* What follows is another's. */
    }
    free(text);
    if (size < sizeof bytes)
        return;
    encode_base62(data, again);
    require(!failed(decode_base62(again, bytes)));
    require(memcmp(bytes, data, sizeof bytes) == 0);
}

/* What clock_text() writes is what gmtime_r() says, and is read back as it was. */
static void clock_of(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];
    char theirs[64];
    struct tm tm;
    int64_t again = 0;
    time_t seconds = ms / 1000;

    clock_text(ms, text);
    require(gmtime_r(&seconds, &tm) != NULL);
    size_t size = strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S", &tm);
    require(strlen(text) == CLOCK_TEXT_SIZE - 1 && size == 19);
    require(memcmp(text, theirs, 19) == 0);
    require(!failed(clock_parse(text, strlen(text), &again)) && again == ms);
}

static void clock_read(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    struct tm tm = {0};
    int64_t ms = 0;
    int day_end = 0;

    if (!failed(clock_parse(text, size, &ms))) {
        int taken = sscanf(text, "%4d-%2d-%2d%*1c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
                           &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &day_end);
        require(taken == 6 && day_end == 19);
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        int day = tm.tm_mday;
        int64_t shift = 0;
        const char *offset = text + strcspn(text + day_end, "Zz+-") + day_end;
        if (*offset == '+' || *offset == '-')
            shift = ((offset[1] - '0') * 600 + (offset[2] - '0') * 60 + (offset[4] - '0') * 10 +
                     (offset[5] - '0')) *
                    (*offset == '+' ? 60 : -60);
        int64_t millis = 0;
        for (int i = 0, scale = 100; text[day_end] == '.' && scale > 0; i++, scale /= 10) {
            char digit = text[day_end + 1 + i];
            if (digit < '0' || digit > '9')
                break;
            millis += (digit - '0') * scale;
        }
        int64_t theirs = (int64_t)timegm(&tm);
        require(tm.tm_mday == day); /* No 30th of February was carried over. */
        require(ms == (theirs - shift) * 1000 + millis);
        if (ms >= 0 && ms < INT64_C(253402300800000))
            clock_of(ms);
    }
    free(text);
}

static unsigned value_of(uint8_t digit, bool twice)
{
    unsigned value = (unsigned)(digit - '0') * (twice ? 2u : 1u);
    return value / 10 + value % 10;
}

static bool luhn(const uint8_t *digits, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += value_of(digits[i], (count - i) % 2 == 0);
    return count > 1 && sum % 10 == 0; /* One digit has none to check. */
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* The longest hit that begins at `start`, read off the header's sentence; 0 for none. */
static size_t hit_at(const uint8_t *bytes, size_t size, size_t start)
{
    uint8_t digits[19];
    size_t count = 0;
    size_t longest = 0;

    if (!is_digit(bytes[start]) || (start > 0 && is_digit(bytes[start - 1])))
        return 0;
    for (size_t at = start; at < size && count < sizeof digits; at++) {
        if (!is_digit(bytes[at])) {
            if ((bytes[at] != ' ' && bytes[at] != '-') || !is_digit(bytes[at - 1]))
                break;
            continue;
        }
        digits[count++] = bytes[at];
        bool ends = at + 1 == size || !is_digit(bytes[at + 1]);
        if (ends && count >= 13 && luhn(digits, count))
            longest = at + 1 - start;
    }
    return longest;
}

static void cards(const uint8_t *data, size_t size)
{
    uint8_t masked[BYTES_MAX];
    struct redact_hit hit;
    bool found = redact_find(data, size, 0, &hit);
    size_t at = 0;

    while (found) {
        for (; at < hit.start; at++)
            require(hit_at(data, size, at) == 0);
        require(hit_at(data, size, hit.start) == hit.size);
        require(hit.digits >= 13 && hit.digits <= 19);
        at = hit.start + 1;
        found = redact_find(data, size, at, &hit);
    }
    for (; at < size; at++)
        require(hit_at(data, size, at) == 0);

    if (size > 0)
        memcpy(masked, data, size);
    unsigned hits = redact_mask(masked, size);
    require((hits > 0) == redact_find(data, size, 0, &hit));
    require(!redact_find(masked, size, 0, &hit));
    require(redact_mask(masked, size) == 0);
    for (size_t i = 0; i < size; i++)
        require(masked[i] == data[i] || (masked[i] == '*' && is_digit(data[i])));

    for (size_t i = 0; i < size && is_digit(data[i]); i++)
        require(redact_luhn(data, i + 1) == luhn(data, i + 1));
    require(!redact_is_track(data, size) || size > 13);
}

/* RFC 3629 section 4, its grammar as a table: lead bytes, the second byte's bounds, the size. */
static uint32_t utf8_size(const uint8_t *bytes, size_t size)
{
    static const struct {
        uint8_t from, to, least, most;
        uint32_t size;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

    for (size_t i = 0; size > 0 && i < sizeof rows / sizeof rows[0]; i++) {
        if (bytes[0] < rows[i].from || bytes[0] > rows[i].to)
            continue;
        if (size < rows[i].size)
            return 0;
        if (rows[i].size > 1 && (bytes[1] < rows[i].least || bytes[1] > rows[i].most))
            return 0;
        for (uint32_t k = 2; k < rows[i].size; k++)
            if ((bytes[k] & 0xc0u) != 0x80u)
                return 0;
        return rows[i].size;
    }
    return 0;
}

static void characters(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        require(json_utf8_size(data + i, size - i) == utf8_size(data + i, size - i));
        require(json_escape_size(data + i, size - i) <= 12);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {hex,        base64, base62,
                                                               clock_read, cards,  characters};
    uint64_t ms = 0;

    if (size < 1 || size > BYTES_MAX)
        return 0;
    readers[data[0] % (sizeof readers / sizeof readers[0])](data + 1, size - 1);
    if (size == 1 + sizeof ms) {
        memcpy(&ms, data + 1, sizeof ms);
        clock_of((int64_t)(ms % UINT64_C(253402300800000)));
    }
    return 0;
}
