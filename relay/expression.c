/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/expression.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/redact.h"

/* White space is free, but not without end. */
#define TEXT_MAX 512u
/* "yyyy-mm" and "mm/yyyy" with their NUL. */
#define DATE_SIZE 8u
/* Base62 behind a prefix from which on a text is taken for a token. */
#define TOKEN_TAIL_MIN 20u
#define UUID_SIZE      36u
/* Of tokens in the shape of a card number. */
#define DIGITS_MIN 12u
#define DIGITS_MAX 19u

struct words {
    const char *text;
    size_t size;
};

static const char *const field_names[] = {
    [EXPRESSION_NUMBER] = "number",     [EXPRESSION_EXP_MONTH] = "exp_month",
    [EXPRESSION_EXP_YEAR] = "exp_year", [EXPRESSION_EXP] = "exp",
    [EXPRESSION_CVV] = "cvv",           [EXPRESSION_CARDHOLDER_NAME] = "cardholder_name",
};

static const char *const filter_names[] = {
    [EXPRESSION_M] = "m",
    [EXPRESSION_MM] = "mm",
    [EXPRESSION_YY] = "yy",
    [EXPRESSION_YYYY] = "yyyy",
    [EXPRESSION_MMYY] = "mmyy",
    [EXPRESSION_MM_SLASH_YY] = "mm/yy",
    [EXPRESSION_MM_SLASH_YYYY] = "mm/yyyy",
    [EXPRESSION_YYYY_DASH_MM] = "yyyy-mm",
    [EXPRESSION_YYMM] = "yymm",
    [EXPRESSION_LAST4] = "last4",
    [EXPRESSION_BIN6] = "bin6",
    [EXPRESSION_BIN8] = "bin8",
    [EXPRESSION_BASE64] = "base64",
    [EXPRESSION_UPPER] = "upper",
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_base62(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static struct words trim(struct words words)
{
    while (words.size > 0 && is_space(words.text[0])) {
        words.text++;
        words.size--;
    }
    while (words.size > 0 && is_space(words.text[words.size - 1]))
        words.size--;
    return words;
}

/* Takes what stands before the next `mark` off the front; all that is left when there is none. */
static struct words cut(struct words *rest, char mark, bool *out_more)
{
    const char *at = rest->size == 0 ? NULL : memchr(rest->text, mark, rest->size);
    struct words first = {rest->text, at == NULL ? rest->size : (size_t)(at - rest->text)};

    *out_more = at != NULL;
    rest->size -= first.size + (at != NULL);
    rest->text += first.size + (at != NULL);
    return trim(first);
}

static bool words_equal(struct words words, const char *text)
{
    return strlen(text) == words.size && memcmp(words.text, text, words.size) == 0;
}

static STATUS name_find(const char *const *names, size_t count, struct words words,
                        unsigned *out_index)
{
    for (unsigned i = 0; i < count; i++) {
        if (words_equal(words, names[i])) {
            *out_index = i;
            return STATUS_OK;
        }
    }
    return FAIL(WHY_BAD_INPUT);
}

static bool is_date(enum expression_filter filter)
{
    return filter <= EXPRESSION_YYMM;
}

static bool filter_fits(enum expression_field field, enum expression_filter filter)
{
    switch (field) {
    case EXPRESSION_NUMBER:
        return filter >= EXPRESSION_LAST4 && filter <= EXPRESSION_BASE64;
    case EXPRESSION_EXP_MONTH:
        return filter == EXPRESSION_M || filter == EXPRESSION_MM || filter == EXPRESSION_BASE64;
    case EXPRESSION_EXP_YEAR:
        return filter == EXPRESSION_YY || filter == EXPRESSION_YYYY || filter == EXPRESSION_BASE64;
    case EXPRESSION_EXP:
        return is_date(filter) || filter == EXPRESSION_BASE64;
    case EXPRESSION_CVV:
        return filter == EXPRESSION_BASE64;
    case EXPRESSION_CARDHOLDER_NAME:
        return filter == EXPRESSION_BASE64 || filter == EXPRESSION_UPPER;
    }
    return false;
}

/* A shape or a cut comes first, then upper, then base64, each once: any other order would mean
 * something else than it seems to. */
static unsigned filter_rank(enum expression_filter filter)
{
    if (filter == EXPRESSION_BASE64)
        return 3;
    return filter == EXPRESSION_UPPER ? 2 : 1;
}

static STATUS filters_check(enum expression_field field, const enum expression_filter *filters,
                            unsigned count)
{
    unsigned rank = 0;

    ENSURE(count <= EXPRESSION_FILTERS_MAX, WHY_BAD_INPUT);
    for (unsigned i = 0; i < count; i++) {
        ENSURE(filter_fits(field, filters[i]), WHY_BAD_INPUT);
        ENSURE(filter_rank(filters[i]) > rank, WHY_BAD_INPUT);
        rank = filter_rank(filters[i]);
    }
    /* An expiry date has no shape of its own, and none is guessed. */
    ENSURE(field != EXPRESSION_EXP || (count > 0 && is_date(filters[0])), WHY_BAD_INPUT);
    return STATUS_OK;
}

/* "yyyy | base64", behind the first bar. */
static STATUS filters_parse(struct words rest, enum expression_filter *out_filters,
                            unsigned *out_count)
{
    unsigned count = 0;

    for (bool more = true; more; count++) {
        unsigned filter = 0;
        ENSURE(count < EXPRESSION_FILTERS_MAX, WHY_BAD_INPUT);
        TRY(name_find(filter_names, COUNT_OF(filter_names), cut(&rest, '|', &more), &filter));
        out_filters[count] = (enum expression_filter)filter;
    }
    *out_count = count;
    return STATUS_OK;
}

STATUS expression_parse_default(const char *text, struct expression_default *out)
{
    struct expression_default takes = {0};
    struct words rest = {text, strlen(text)};
    unsigned field = 0;
    bool more;

    ENSURE(rest.size <= TEXT_MAX, WHY_BAD_INPUT);
    TRY(name_find(field_names, COUNT_OF(field_names), cut(&rest, '|', &more), &field));
    takes.field = (enum expression_field)field;
    if (more)
        TRY(filters_parse(rest, takes.filters, &takes.filter_count));
    TRY(filters_check(takes.field, takes.filters, takes.filter_count));
    *out = takes;
    return STATUS_OK;
}

/* Bytes of a token's prefix, "test_" included; 0 where none stands. */
static size_t prefix_size(const char *text, size_t size)
{
    if (size < 4 || (memcmp(text, "tok_", 4) != 0 && memcmp(text, "cvv_", 4) != 0))
        return 0;
    return size >= 9 && memcmp(text + 4, "test_", 5) == 0 ? 9 : 4;
}

/* How many characters of base62 stand from `text` on. */
static size_t tail_size(const char *text, size_t size)
{
    size_t count = 0;

    while (count < size && is_base62(text[count]))
        count++;
    return count;
}

static bool is_uuid(const char *text, size_t size)
{
    if (size != UUID_SIZE)
        return false;
    for (size_t i = 0; i < size; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = text[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return true;
}

/* A token in a card number's shape fails the check digit; what passes it is taken for a card. */
static bool is_card_shaped(const char *text, size_t size)
{
    if (size < DIGITS_MIN || size > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return !redact_luhn((const uint8_t *)text, size);
}

bool expression_is_token(const char *text, size_t size)
{
    if (size > EXPRESSION_TOKEN_MAX)
        return false;
    if (is_uuid(text, size))
        return true;
    size_t prefix = prefix_size(text, size);
    size_t tail = size - prefix;
    return prefix > 0 && tail >= TOKEN_TAIL_MIN && tail_size(text + prefix, tail) == tail;
}

bool expression_find_token(const void *bytes, size_t size)
{
    const char *text = bytes;

    for (size_t at = 0; at < size; at++) {
        if (text[at] == '{' && at + 1 < size && text[at + 1] == '{')
            return true;
        if (text[at] != 't' && text[at] != 'c')
            continue;
        size_t prefix = prefix_size(text + at, size - at);
        if (prefix > 0 && tail_size(text + at + prefix, size - at - prefix) >= TOKEN_TAIL_MIN)
            return true;
    }
    return false;
}

static STATUS token_take(struct words words, struct expression *out)
{
    ENSURE(expression_is_token(words.text, words.size) || is_card_shaped(words.text, words.size),
           WHY_BAD_INPUT);
    memcpy(out->token, words.text, words.size);
    out->token[words.size] = '\0';
    out->is_cvv_token = words.size > 4 && memcmp(words.text, "cvv_", 4) == 0;
    return STATUS_OK;
}

static void takes_copy(const struct expression_default *takes, struct expression *out)
{
    out->field = takes->field;
    memcpy(out->filters, takes->filters, sizeof out->filters);
    out->filter_count = takes->filter_count;
}

/* "token.field | filter | filter", between the braces. */
static STATUS braced_parse(struct words inner, const struct expression_default *takes,
                           struct expression *out)
{
    bool has_filters;
    bool has_field;

    struct words path = cut(&inner, '|', &has_filters);
    struct words token = cut(&path, '.', &has_field);
    TRY(token_take(token, out));
    takes_copy(takes, out);
    if (has_field) {
        unsigned field = 0;
        TRY(name_find(field_names, COUNT_OF(field_names), trim(path), &field));
        /* The slot's own shape holds for the slot's own field. */
        if ((enum expression_field)field != takes->field)
            out->filter_count = 0;
        out->field = (enum expression_field)field;
    }
    if (has_filters)
        TRY(filters_parse(inner, out->filters, &out->filter_count));
    return STATUS_OK;
}

STATUS expression_parse(const char *text, size_t size, const struct expression_default *takes,
                        struct expression *out)
{
    assert(takes != NULL);

    struct expression made = {0};
    struct words words = {text, size};
    ENSURE(size > 0, WHY_BAD_INPUT);
    ENSURE(size <= TEXT_MAX, WHY_BAD_INPUT);
    if (size >= 4 && memcmp(text, "{{", 2) == 0 && memcmp(text + size - 2, "}}", 2) == 0) {
        struct words inner = {text + 2, size - 4};
        TRY(braced_parse(inner, takes, &made));
    } else {
        /* Bare digits mean a token only where a number is due: "12" and "2031" are dates. */
        ENSURE(takes->field == EXPRESSION_NUMBER || !is_card_shaped(text, size), WHY_BAD_INPUT);
        TRY(token_take(words, &made));
        takes_copy(takes, &made);
    }
    ENSURE(!made.is_cvv_token || made.field == EXPRESSION_CVV, WHY_BAD_INPUT);
    TRY(filters_check(made.field, made.filters, made.filter_count));
    *out = made;
    return STATUS_OK;
}

/* The shape of an expiry: the first filter, or the plain month ("1") and year ("2031"). */
static enum expression_filter date_shape(const struct expression *expression)
{
    if (expression->filter_count > 0 && is_date(expression->filters[0]))
        return expression->filters[0];
    return expression->field == EXPRESSION_EXP_MONTH ? EXPRESSION_M : EXPRESSION_YYYY;
}

static int date_write(enum expression_filter shape, const struct expression_card *card,
                      char out[static DATE_SIZE])
{
    unsigned month = card->exp_month % 100;
    unsigned year = card->exp_year % 10000;
    unsigned yy = year % 100;

    switch (shape) {
    case EXPRESSION_M:
        return snprintf(out, DATE_SIZE, "%u", month);
    case EXPRESSION_MM:
        return snprintf(out, DATE_SIZE, "%02u", month);
    case EXPRESSION_YY:
        return snprintf(out, DATE_SIZE, "%02u", yy);
    case EXPRESSION_YYYY:
        return snprintf(out, DATE_SIZE, "%04u", year);
    case EXPRESSION_MMYY:
        return snprintf(out, DATE_SIZE, "%02u%02u", month, yy);
    case EXPRESSION_MM_SLASH_YY:
        return snprintf(out, DATE_SIZE, "%02u/%02u", month, yy);
    case EXPRESSION_MM_SLASH_YYYY:
        return snprintf(out, DATE_SIZE, "%02u/%04u", month, year);
    case EXPRESSION_YYYY_DASH_MM:
        return snprintf(out, DATE_SIZE, "%04u-%02u", year, month);
    case EXPRESSION_YYMM:
        return snprintf(out, DATE_SIZE, "%02u%02u", yy, month);
    case EXPRESSION_LAST4:
    case EXPRESSION_BIN6:
    case EXPRESSION_BIN8:
    case EXPRESSION_BASE64:
    case EXPRESSION_UPPER:
        break;
    }
    return 0;
}

static STATUS date_make(const struct expression *expression, const struct expression_card *card,
                        struct secret **out_value)
{
    ENSURE(card->exp_month != 0 && card->exp_year != 0, WHY_NOT_FOUND);
    ENSURE(card->exp_month <= 12, WHY_BAD_INPUT);
    ENSURE(card->exp_year >= 1000 && card->exp_year <= 9999, WHY_BAD_INPUT);

    OWNED(secret_free) struct secret *value = NULL;
    TRY(secret_new(DATE_SIZE, &value));
    int size = date_write(date_shape(expression), card, (char *)secret_bytes(value));
    assert(size > 0);
    secret_shorten(value, (size_t)size);
    *out_value = MOVE(value);
    return STATUS_OK;
}

/* A copy of the field's text, cut where a filter says so. */
static STATUS text_make(const struct secret *source, const struct expression *expression,
                        struct secret **out_value)
{
    ENSURE(source != NULL, WHY_NOT_FOUND);
    size_t size = secret_size(source);
    size_t start = 0;
    size_t count = size;
    for (unsigned i = 0; i < expression->filter_count; i++) {
        enum expression_filter filter = expression->filters[i];
        if (filter == EXPRESSION_LAST4)
            count = 4;
        else if (filter == EXPRESSION_BIN6)
            count = 6;
        else if (filter == EXPRESSION_BIN8)
            count = 8;
        ENSURE(count <= size, WHY_BAD_INPUT);
        if (filter == EXPRESSION_LAST4)
            start = size - count;
    }

    OWNED(secret_free) struct secret *value = NULL;
    TRY(secret_new(count, &value));
    memcpy(secret_bytes(value), secret_peek(source) + start, count);
    *out_value = MOVE(value);
    return STATUS_OK;
}

static const struct secret *field_secret(enum expression_field field,
                                         const struct expression_card *card)
{
    if (field == EXPRESSION_NUMBER)
        return card->number;
    return field == EXPRESSION_CVV ? card->cvv : card->cardholder_name;
}

static bool has_filter(const struct expression *expression, enum expression_filter filter)
{
    for (unsigned i = 0; i < expression->filter_count; i++)
        if (expression->filters[i] == filter)
            return true;
    return false;
}

/* ASCII letters only: other alphabets need tables that no gateway asks for. */
static void upper_apply(struct secret *value)
{
    uint8_t *bytes = secret_bytes(value);

    for (size_t i = 0; i < secret_size(value); i++)
        if (bytes[i] >= 'a' && bytes[i] <= 'z')
            bytes[i] = (uint8_t)(bytes[i] - 'a' + 'A');
}

static STATUS base64_apply(struct secret **value)
{
    size_t size = ENCODE_BASE64_SIZE(secret_size(*value));
    OWNED(secret_free) struct secret *coded = NULL;

    TRY(secret_new(size, &coded));
    encode_base64(secret_peek(*value), secret_size(*value), (char *)secret_bytes(coded));
    secret_shorten(coded, size - 1); /* Its NUL. */
    secret_free(value);
    *value = MOVE(coded);
    return STATUS_OK;
}

STATUS expression_make(const struct expression *expression, const struct expression_card *card,
                       struct secret **out_value)
{
    assert(expression != NULL);
    assert(card != NULL);
    TRY(filters_check(expression->field, expression->filters, expression->filter_count));

    OWNED(secret_free) struct secret *value = NULL;
    if (expression->field == EXPRESSION_EXP || expression->field == EXPRESSION_EXP_MONTH ||
        expression->field == EXPRESSION_EXP_YEAR)
        TRY(date_make(expression, card, &value));
    else
        TRY(text_make(field_secret(expression->field, card), expression, &value));
    if (has_filter(expression, EXPRESSION_UPPER))
        upper_apply(value);
    if (has_filter(expression, EXPRESSION_BASE64))
        TRY(base64_apply(&value));
    *out_value = MOVE(value);
    return STATUS_OK;
}
