/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/card.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/redact.h"

#define DIGITS_MIN     12u
#define DIGITS_MAX     19u
#define EXP_YEARS_MAX  50u
#define NEVER_ASSIGNED "9999" /* National range: for numbers that tests make by computation. */

/* Published by gateways for tests (Stripe's, Adyen's, Braintree's lists and those that quote them).
 */
static const char *const published[] = {
    "4242424242424242",    "4000056655665556", "4000000000000002",    "4111111111111111",
    "4012888888881881",    "4222222222222",    "4007000000027",       "5555555555554444",
    "5105105105105100",    "5424000000000015", "2223003122003222",    "2223000048410010",
    "378282246310005",     "371449635398431",  "370000000000002",     "6011111111111117",
    "6011000990139424",    "36227206271667",   "30569309025904",      "38520000023237",
    "3056930009020004",    "3566002020360505", "3530111333300000",    "6200000000000005",
    "6205500000000000004", "6200000000000004", "8171999900000000021", "50339619890917",
    "6759411100000008",    "6304000000000000", "586824160825533338",  "6390028880000000010",
    "6759560045005727054", "2202208311110010", "2200000000000053",    "5066991111111118",
    "6062828888666688",    "135412345678911",
};

static const char decline_number[] = "4000000000000002";

static const struct {
    const char *prefix;
    const char *brand;
} brands[] = {
    {"4", "visa"},        {"51", "mastercard"}, {"52", "mastercard"}, {"53", "mastercard"},
    {"54", "mastercard"}, {"55", "mastercard"}, {"22", "mastercard"}, {"34", "amex"},
    {"37", "amex"},       {"6011", "discover"}, {"30", "diners"},     {"36", "diners"},
    {"38", "diners"},     {"35", "jcb"},        {"62", "unionpay"},   {"81", "unionpay"},
};

void card_wipe(struct card *card)
{
    sodium_memzero(card, sizeof *card);
}

static void text_copy(char *out, size_t out_size, const char *text)
{
    size_t size = strlen(text);
    if (size >= out_size)
        size = 0;
    memcpy(out, text, size);
    out[size] = '\0';
}

static unsigned digits_value(const char *text, size_t size)
{
    unsigned value = 0;
    if (size == 0 || size > 4)
        return 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value;
}

static unsigned year_value(const char *text, size_t size)
{
    unsigned year = digits_value(text, size);
    return size == 2 ? 2000 + year : year;
}

bool card_from_params(const struct params *params, struct card *out)
{
    assert(out != NULL);
    *out = (struct card){0};
    const char *number = params_get(params, "payment_method_data[card][number]");
    if (number == NULL)
        return false;
    text_copy(out->number, sizeof out->number, number);
    const char *cvc = params_get(params, "payment_method_data[card][cvc]");
    if (cvc != NULL)
        text_copy(out->cvc, sizeof out->cvc, cvc[0] == '\0' ? "-" : cvc);
    const char *month = params_get(params, "payment_method_data[card][exp_month]");
    const char *year = params_get(params, "payment_method_data[card][exp_year]");
    if (month != NULL)
        out->exp_month = digits_value(month, strlen(month));
    if (year != NULL)
        out->exp_year = year_value(year, strlen(year));
    return true;
}

void card_expiry(struct card *card, const char *text)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL)
        return;
    card->exp_month = digits_value(text, (size_t)(slash - text));
    card->exp_year = year_value(slash + 1, strlen(slash + 1));
}

static bool all_digits(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool is_published(const char *number)
{
    for (unsigned i = 0; i < sizeof published / sizeof published[0]; i++)
        if (strcmp(published[i], number) == 0)
            return true;
    return strncmp(number, NEVER_ASSIGNED, strlen(NEVER_ASSIGNED)) == 0;
}

struct card_verdict card_verdict_of(enum card_outcome outcome)
{
    switch (outcome) {
    case CARD_DECLINED:
        return (struct card_verdict){CARD_DECLINED, "card_declined", "generic_decline",
                                     "Your card was declined.", NULL};
    case CARD_REQUIRES_ACTION:
    case CARD_APPROVED:
        break;
    }
    return (struct card_verdict){.outcome = outcome};
}

struct card_verdict card_judge(const struct card *card, unsigned year_now)
{
    size_t digits = strlen(card->number);
    if (!all_digits(card->number) || digits < DIGITS_MIN || digits > DIGITS_MAX)
        return (struct card_verdict){CARD_DECLINED, "invalid_number", NULL,
                                     "Your card number is not a valid credit card number.",
                                     "payment_method_data[card][number]"};
    /* A few issued UnionPay numbers have another check digit. */
    if (!redact_luhn((const uint8_t *)card->number, digits) && strncmp(card->number, "62", 2) != 0)
        return (struct card_verdict){CARD_DECLINED, "incorrect_number", NULL,
                                     "Your card number is incorrect.",
                                     "payment_method_data[card][number]"};
    if (card->exp_month < 1 || card->exp_month > 12)
        return (struct card_verdict){CARD_DECLINED, "invalid_expiry_month", NULL,
                                     "Your card's expiration month is invalid.",
                                     "payment_method_data[card][exp_month]"};
    if (card->exp_year < year_now || card->exp_year > year_now + EXP_YEARS_MAX)
        return (struct card_verdict){CARD_DECLINED, "invalid_expiry_year", NULL,
                                     "Your card's expiration year is invalid.",
                                     "payment_method_data[card][exp_year]"};
    size_t cvc = strlen(card->cvc);
    if (cvc > 0 && (!all_digits(card->cvc) || cvc < 3 || cvc > 4))
        return (struct card_verdict){CARD_DECLINED, "invalid_cvc", NULL,
                                     "Your card's security code is invalid.",
                                     "payment_method_data[card][cvc]"};
    if (!is_published(card->number))
        return (struct card_verdict){CARD_DECLINED, "card_declined", "test_mode_live_card",
                                     "Your card was declined. Your request was in test mode, but "
                                     "used a non test card.",
                                     NULL};
    return card_verdict_of(strcmp(card->number, decline_number) == 0 ? CARD_DECLINED
                                                                     : CARD_APPROVED);
}

void card_face_of(const struct card *card, struct card_face *out)
{
    *out = (struct card_face){.exp_month = card->exp_month, .exp_year = card->exp_year};
    text_copy(out->brand, sizeof out->brand, "unknown");
    for (unsigned i = 0; i < sizeof brands / sizeof brands[0]; i++)
        if (strncmp(card->number, brands[i].prefix, strlen(brands[i].prefix)) == 0) {
            text_copy(out->brand, sizeof out->brand, brands[i].brand);
            break;
        }
    size_t digits = strlen(card->number);
    if (digits >= DIGITS_MIN)
        memcpy(out->last4, card->number + digits - 4, 4);
}
