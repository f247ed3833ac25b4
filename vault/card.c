/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/card.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/redact.h"

/* Keeps the digits and drops separators; counts what is neither. */
static size_t card_squeeze(uint8_t *bytes, size_t size, size_t *out_foreign)
{
    size_t kept = 0;

    *out_foreign = 0;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] >= '0' && bytes[i] <= '9')
            bytes[kept++] = bytes[i];
        else if (bytes[i] != ' ' && bytes[i] != '-')
            (*out_foreign)++;
    }
    return kept;
}

static bool card_luhn_wanted(const struct policy_tenant *tenant, const uint8_t *digits,
                             size_t count)
{
    if (tenant->luhn == POLICY_LUHN_OFF)
        return false;
    for (unsigned i = 0; i < tenant->luhn_off_prefix_count; i++) {
        char prefix[12];
        int size = snprintf(prefix, sizeof prefix, "%u", tenant->luhn_off_prefixes[i]);
        if ((size_t)size <= count && memcmp(digits, prefix, (size_t)size) == 0)
            return false;
    }
    return true;
}

/* At most six and four digits may show, and only the last four of a short number
 * (standards.md 5.3). */
static struct card_mask card_mask_of(const uint8_t *digits, size_t count)
{
    struct card_mask mask = {
        .length = (uint8_t)count,
        .brand = brand_find(digits, (unsigned)count),
        .luhn_passed = redact_luhn(digits, count),
    };

    assert(count >= CONTRACT_PAN_DIGITS_MIN);
    if (count > 14)
        memcpy(mask.bin, digits, 6);
    memcpy(mask.last4, digits + count - 4, 4);
    return mask;
}

bool card_check_number(struct secret *number, const struct policy_tenant *tenant,
                       struct card_mask *out_mask, struct problem *out_problem)
{
    uint8_t *bytes = secret_bytes(number);
    size_t foreign = 0;

    assert(tenant != NULL);
    if (redact_is_track(bytes, secret_size(number))) {
        problem_set(out_problem, PROBLEM_TRACK_DATA_REFUSED, "/number", NULL);
        return false;
    }
    size_t count = card_squeeze(bytes, secret_size(number), &foreign);
    if (foreign > 0) {
        problem_set(out_problem, PROBLEM_INVALID_NUMBER, "/number",
                    "It may hold digits, spaces and hyphens only.");
        return false;
    }
    if (count < CONTRACT_PAN_DIGITS_MIN || count > CONTRACT_PAN_DIGITS_MAX) {
        problem_set(out_problem, PROBLEM_INVALID_NUMBER, "/number", NULL);
        (void)snprintf(out_problem->detail, sizeof out_problem->detail,
                       "It has %zu digits; 12 to 19 are accepted.", count);
        return false;
    }
    secret_shorten(number, count);
    struct card_mask mask = card_mask_of(bytes, count);
    if (!mask.luhn_passed && tenant->luhn == POLICY_LUHN_REQUIRE &&
        card_luhn_wanted(tenant, bytes, count)) {
        problem_set(out_problem, PROBLEM_INVALID_NUMBER, "/number", "Its check digit is wrong.");
        return false;
    }
    *out_mask = mask;
    return true;
}

bool card_check_expiry(unsigned month, unsigned year, int64_t now_ms, struct problem *out_problem)
{
    if (month < 1 || month > 12) {
        problem_set(out_problem, PROBLEM_INVALID_EXPIRY, "/exp_month", "It must be 1 to 12.");
        return false;
    }
    if (year < 2000 || year > 2099) {
        problem_set(out_problem, PROBLEM_INVALID_EXPIRY, "/exp_year",
                    "It must have four digits, 2000 to 2099.");
        return false;
    }
    /* Half a day of grace: the month ends last at UTC-12. */
    time_t seconds = (time_t)(now_ms / 1000) - 12 * 3600;
    struct tm now;
    (void)gmtime_r(&seconds, &now);
    unsigned now_months = (unsigned)(now.tm_year + 1900) * 12 + (unsigned)now.tm_mon;
    if (year * 12 + (month - 1) < now_months) {
        problem_set(out_problem, PROBLEM_INVALID_EXPIRY, "/exp_year", "The card has expired.");
        return false;
    }
    return true;
}

bool card_check_cvv(const struct secret *cvv, const struct brand *brand,
                    struct problem *out_problem)
{
    size_t size = secret_size(cvv);
    const uint8_t *bytes = secret_peek(cvv);
    bool good = size == 3 || size == 4;

    for (size_t i = 0; good && i < size; i++)
        good = bytes[i] >= '0' && bytes[i] <= '9';
    if (good && brand->code_digits != 0 && size != brand->code_digits)
        good = false;
    if (!good)
        problem_set(out_problem, PROBLEM_INVALID_CVV, "/cvv",
                    brand->code_digits == 4   ? "It must be 4 digits for this brand."
                    : brand->code_digits == 3 ? "It must be 3 digits for this brand."
                                              : "It must be 3 or 4 digits.");
    return good;
}
