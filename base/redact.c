/* SPDX-License-Identifier: Apache-2.0 */
#include "base/redact.h"

#include <assert.h>

#define RUN_DIGITS_MIN 13u
#define RUN_DIGITS_MAX 19u
#define CLEAR_DIGITS   4u

/* ISO/IEC 7813: the shortest number that tracks carry, and the longest name. */
#define TRACK_DIGITS_MIN 12u
#define TRACK_DIGITS_MAX 19u
#define TRACK_NAME_MAX   26u
#define TRACK_EXPIRY     4u

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_separator(uint8_t byte)
{
    return byte == ' ' || byte == '-';
}

/* The two sums of Luhn's formula over the digits so far: by the last of them being the check digit,
 * and by the next one being it.  Every digit added makes the one the other, so that each length of
 * a run is checked in passing. */
struct luhn {
    unsigned here;
    unsigned next;
};

static void luhn_add(struct luhn *luhn, uint8_t digit)
{
    unsigned value = digit - '0';
    unsigned doubled = 2 * value > 9 ? 2 * value - 9 : 2 * value;
    struct luhn before = *luhn;
    luhn->here = before.next + value;
    luhn->next = before.here + doubled;
}

bool redact_luhn(const uint8_t *digits, size_t count)
{
    assert(digits != NULL || count == 0);
    struct luhn luhn = {0, 0};
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(digits[i]))
            return false;
        luhn_add(&luhn, digits[i]);
    }
    return count > 1 && luhn.here % 10 == 0;
}

/* The longest run that starts at `start` and ends where its last group of digits does.  The
 * longest, for a shorter one would leave more than the last four digits to be read. */
static bool run_at(const uint8_t *bytes, size_t size, size_t start, struct redact_hit *out_hit)
{
    struct luhn luhn = {0, 0};
    unsigned digits = 0;
    bool found = false;
    for (size_t at = start; at < size && digits <= RUN_DIGITS_MAX; at++) {
        if (!is_digit(bytes[at])) {
            bool joins = is_separator(bytes[at]) && at + 1 < size && is_digit(bytes[at + 1]);
            if (!joins)
                break;
            continue;
        }
        luhn_add(&luhn, bytes[at]);
        digits++;
        bool group_ends = at + 1 == size || !is_digit(bytes[at + 1]);
        if (group_ends && digits >= RUN_DIGITS_MIN && digits <= RUN_DIGITS_MAX &&
            luhn.here % 10 == 0) {
            *out_hit =
                (struct redact_hit){.start = start, .size = at + 1 - start, .digits = digits};
            found = true;
        }
    }
    return found;
}

bool redact_find(const uint8_t *bytes, size_t size, size_t from, struct redact_hit *out_hit)
{
    assert(bytes != NULL || size == 0);
    assert(out_hit != NULL);
    for (size_t at = from; at < size; at++) {
        bool group_begins = is_digit(bytes[at]) && (at == 0 || !is_digit(bytes[at - 1]));
        if (group_begins && run_at(bytes, size, at, out_hit))
            return true;
    }
    return false;
}

/* Where the last digits that stay in the clear begin. */
static size_t clear_from(const uint8_t *bytes, const struct redact_hit *hit)
{
    size_t at = hit->start + hit->size;
    for (unsigned seen = 0; seen < CLEAR_DIGITS;)
        seen += is_digit(bytes[--at]) ? 1 : 0;
    return at;
}

static void stars_put(uint8_t *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (is_digit(bytes[i]))
            bytes[i] = '*';
    }
}

/* Hits may overlap: of "12 4242..." both what begins with 12 and what begins with 42 may have a
 * right check digit, and one of them is a card.  So the search goes on behind a hit's first group,
 * and stars are put only where it will not look again. */
static unsigned mask_once(uint8_t *bytes, size_t size)
{
    unsigned count = 0;
    size_t stars_from = 0;
    size_t stars_to = 0;
    struct redact_hit hit;
    for (size_t from = 0; redact_find(bytes, size, from, &hit); from = hit.start + 1) {
        count++;
        size_t to = clear_from(bytes, &hit);
        if (hit.start >= stars_to) {
            stars_put(bytes, stars_from, stars_to);
            stars_from = hit.start;
        }
        stars_to = to > stars_to ? to : stars_to;
    }
    stars_put(bytes, stars_from, stars_to);
    return count;
}

unsigned redact_mask(uint8_t *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    unsigned count = 0;
    unsigned more = 0;

    /* A hit's last four digits are the end of a group no more, and may begin a run with what stands
     * behind them.  Each hit takes nine digits, so this ends. */
    do {
        more = mask_once(bytes, size);
        count += more;
    } while (more > 0);
    return count;
}

static size_t digits_at(const uint8_t *bytes, size_t size, size_t at)
{
    size_t count = 0;
    while (at + count < size && is_digit(bytes[at + count]))
        count++;
    return count;
}

/* B, the number (some encoders space it), '^', a name, '^'. */
static bool is_track_1(const uint8_t *bytes, size_t size, size_t at)
{
    if (bytes[at] != 'B' && bytes[at] != 'b')
        return false;
    unsigned digits = 0;
    for (at++; at < size && digits <= TRACK_DIGITS_MAX; at++) {
        if (is_digit(bytes[at]))
            digits++;
        else if (bytes[at] != ' ' || digits == 0)
            break;
    }
    if (digits < TRACK_DIGITS_MIN || digits > TRACK_DIGITS_MAX || at >= size || bytes[at] != '^')
        return false;
    for (size_t i = 1; i <= TRACK_NAME_MAX + 1 && at + i < size; i++) {
        if (bytes[at + i] == '^')
            return true;
    }
    return false;
}

/* The number, '=', and an expiry at least. */
static bool is_track_2(const uint8_t *bytes, size_t size, size_t at, size_t digits)
{
    if (digits < TRACK_DIGITS_MIN || digits > TRACK_DIGITS_MAX)
        return false;
    at += digits;
    return at < size && bytes[at] == '=' && digits_at(bytes, size, at + 1) >= TRACK_EXPIRY;
}

bool redact_is_track(const uint8_t *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    for (size_t at = 0; at < size; at++) {
        if (is_track_1(bytes, size, at))
            return true;
        size_t digits = digits_at(bytes, size, at);
        if (is_track_2(bytes, size, at, digits))
            return true;
        at += digits > 0 ? digits - 1 : 0;
    }
    return false;
}
