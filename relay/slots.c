/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/slots.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/redact.h"
#include "base/secret.h"
#include "relay/escape.h"
#include "relay/slots_surface.h"

/* Escapes within escapes: a link inside a link inside a link is three.  What is still folded after
 * this many rounds is folded to hide. */
#define HIDDEN_ROUNDS_MAX 8u

/* "12", "2031", "12 / 2031": what an expiry slot may hold without a token. */
#define EXPIRY_LITERAL_MAX 9u

#define SAY_FORM                                                                                   \
    "A slot takes a token of its kind, or one placeholder {{ token.field | filter }} with known "  \
    "fields and fitting filters."
#define SAY_MEDIA                                                                                  \
    "Tokens are filled into application/json and application/x-www-form-urlencoded, in UTF-8 "     \
    "and without a content coding."

enum media { MEDIA_FORM, MEDIA_JSON, MEDIA_OTHER };

STATUS slots_refuse(struct slots_search *search, enum problem_code code, const char *detail,
                    const void *field, size_t field_size)
{
    char *out = search->problem->field;
    const uint8_t *bytes = field;
    size_t size = field_size < sizeof search->problem->field - 1
                      ? field_size
                      : sizeof search->problem->field - 1;

    for (size_t i = 0; i < size; i++)
        out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    out[size] = '\0';
    /* Errors repeat no input that could matter: a name may hold a card or a token as well. */
    (void)redact_mask((uint8_t *)out, size);
    if (expression_find_token(out, size))
        out[0] = '\0';
    (void)snprintf(search->problem->detail, sizeof search->problem->detail, "%s",
                   detail == NULL ? "" : detail);
    search->problem->code = code;
    return FAIL(WHY_BAD_INPUT);
}

/* Two buffers of one size; what was undone last stands in the first `count` bytes of `from`.  Both
 * keep their full size, so that freeing them wipes all that they held. */
struct unfolding {
    struct buffer from;
    struct buffer to;
    size_t count;
};

static void unfolding_free(struct unfolding *unfolding)
{
    buffer_free(&unfolding->from);
    buffer_free(&unfolding->to);
}

/* One round: every kind of escape once.  Returns whether there was any. */
static bool unfolding_round(struct unfolding *u, bool *out_found)
{
    bool changed = false;

    for (enum escape_kind kind = 0; kind < ESCAPE_BASE64 && !*out_found; kind++) {
        bool changed_now = false;
        if (!escape_suspected(kind, u->from.bytes, u->count))
            continue;
        u->count = escape_undo(kind, u->from.bytes, u->count, u->to.bytes, NULL, &changed_now);
        struct buffer swap = u->from;
        u->from = u->to;
        u->to = swap;
        changed |= changed_now;
        *out_found = expression_find_token(u->from.bytes, u->count);
    }
    return changed;
}

STATUS slots_find_hidden(const void *bytes, size_t size, bool *out_found)
{
    bool suspected = false;

    *out_found = expression_find_token(bytes, size);
    for (enum escape_kind kind = 0; kind < ESCAPE_BASE64; kind++)
        suspected |= escape_suspected(kind, bytes, size);
    if (*out_found || !suspected)
        return STATUS_OK;

    OWNED(unfolding_free)
    struct unfolding work = {.from = BUFFER(size), .to = BUFFER(size), .count = size};
    buffer_add(&work.from, bytes, size);
    (void)buffer_extend(&work.to, size);
    TRY(buffer_status(&work.from));
    TRY(buffer_status(&work.to));
    for (unsigned round = 0; round < HIDDEN_ROUNDS_MAX; round++)
        if (!unfolding_round(&work, out_found))
            return STATUS_OK;
    *out_found = true;
    return STATUS_OK;
}

static bool is_all_digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return size > 0;
}

static bool holds_card(const char *text, size_t size)
{
    struct redact_hit hit;
    const uint8_t *bytes = (const uint8_t *)text;

    /* The shortest numbers, too rare to be looked for in free text, are cards in a slot. */
    if (size == CONTRACT_PAN_DIGITS_MIN && is_all_digits(text, size) && redact_luhn(bytes, size))
        return true;
    return redact_find(bytes, size, 0, &hit) || redact_is_track(bytes, size);
}

static bool is_expiry(enum expression_field field)
{
    return field == EXPRESSION_EXP || field == EXPRESSION_EXP_MONTH || field == EXPRESSION_EXP_YEAR;
}

/* A slot takes its own kind only: a card number must not be steered into, say, the name, which a
 * gateway shows to people.  The parts of an expiry are one kind. */
static bool kind_fits(enum expression_field declared, enum expression_field asked)
{
    return declared == asked || (is_expiry(declared) && is_expiry(asked));
}

/* What may stand in a slot without being a token: dates and names that the caller knows. */
static STATUS literal_judge(enum expression_field field, const struct slots_value *value,
                            bool *out_fine)
{
    const char *text = value->text;
    size_t size = value->text_size;

    *out_fine = false;
    if (is_expiry(field)) {
        *out_fine = size <= EXPIRY_LITERAL_MAX;
        for (size_t i = 0; i < size; i++)
            *out_fine &= text[i] != '\0' && strchr("0123456789/- ", text[i]) != NULL;
        return STATUS_OK;
    }
    if (field != EXPRESSION_CARDHOLDER_NAME || !value->quoted)
        return STATUS_OK;
    /* A broken token or placeholder is not a name. */
    bool hidden = true;
    TRY(slots_find_hidden(text, size, &hidden));
    *out_fine = !hidden && memmem(text, size, "tok_", 4) == NULL &&
                memmem(text, size, "cvv_", 4) == NULL && memmem(text, size, "}}", 2) == NULL;
    return STATUS_OK;
}

STATUS slots_judge(struct slots_search *search, enum slot_surface surface,
                   const struct slots_value *value)
{
    const struct profile_slot *declared = value->declared;
    enum expression_field field = declared->takes.field;
    size_t place_size = strlen(declared->place);
    bool is_code = is_all_digits(value->text, value->text_size) && value->text_size >= 3 &&
                   value->text_size <= 4;

    if (holds_card(value->text, value->text_size) || (field == EXPRESSION_CVV && is_code))
        return slots_refuse(search, PROBLEM_CARD_IN_FREE_TEXT,
                            "A slot takes a token, and no number or CVV itself.", declared->place,
                            place_size);

    struct slot slot = {
        .surface = surface, .start = value->start, .size = value->size, .place = declared->place};
    struct status parsed =
        expression_parse(value->text, value->text_size, &declared->takes, &slot.expression);
    if (failed(parsed)) {
        bool fine = false;
        TRY(literal_judge(field, value, &fine));
        if (fine)
            return STATUS_OK;
        return slots_refuse(search, PROBLEM_INVALID_EXPRESSION, SAY_FORM, declared->place,
                            place_size);
    }
    if (!value->quoted)
        return slots_refuse(search, PROBLEM_INVALID_EXPRESSION,
                            "A token that is a number in JSON cannot be replaced: write a string.",
                            declared->place, place_size);
    if (!kind_fits(field, slot.expression.field))
        return slots_refuse(search, PROBLEM_INVALID_EXPRESSION,
                            "The token or placeholder is of another kind than this slot takes.",
                            declared->place, place_size);
    if (search->slots->count == SLOTS_MAX)
        return slots_refuse(search, PROBLEM_INVALID_FIELD, "There are too many slots.",
                            declared->place, place_size);
    search->slots->list[search->slots->count++] = slot;
    return STATUS_OK;
}

static STATUS hidden_refuse(struct slots_search *search, const char *text, const char *detail)
{
    bool found = false;

    if (text == NULL)
        return STATUS_OK;
    TRY(slots_find_hidden(text, strlen(text), &found));
    if (found)
        return slots_refuse(search, PROBLEM_TOKEN_OUTSIDE_SLOT, detail, "", 0);
    return STATUS_OK;
}

/* A charset in which the gateway reads other characters than we do is a way round every check, and
 * so are two of them. */
static bool is_readable(const char *content_type)
{
    static const char *const charsets[] = {"utf-8", "us-ascii"};
    const char *at = strcasestr(content_type, "charset");

    if (at == NULL)
        return true;
    at += strlen("charset");
    if (*at != '=' || strcasestr(at, "charset") != NULL)
        return false;
    at += at[1] == '"' ? 2 : 1;
    for (unsigned i = 0; i < sizeof charsets / sizeof *charsets; i++) {
        size_t size = strlen(charsets[i]);
        if (strncasecmp(at, charsets[i], size) == 0 && strchr("\"; \t", at[size]) != NULL)
            return true;
    }
    return false;
}

/* The gateway unpacks a body before it reads it, and so sees another one than we do. */
static bool is_coded(const char *coding)
{
    return coding != NULL && coding[0] != '\0' && strcasecmp(coding, "identity") != 0;
}

static enum media media_find(const char *content_type)
{
    if (content_type == NULL || !is_readable(content_type))
        return MEDIA_OTHER;

    const char *type = content_type + strspn(content_type, " \t");
    size_t size = strcspn(type, "; \t");
    static const char form[] = "application/x-www-form-urlencoded";
    static const char json[] = "application/json";
    if (size == sizeof form - 1 && strncasecmp(type, form, size) == 0)
        return MEDIA_FORM;
    if (size == sizeof json - 1 && strncasecmp(type, json, size) == 0)
        return MEDIA_JSON;
    if (size > 5 && strncasecmp(type + size - 5, "+json", 5) == 0)
        return MEDIA_JSON;
    return MEDIA_OTHER;
}

/* A body that we cannot read: it passes as long as no token shows. */
static STATUS other_find(struct slots_search *search)
{
    const struct slots_request *request = search->request;
    bool found = false;

    TRY(slots_find_hidden(request->body, request->body_size, &found));
    if (!found)
        return STATUS_OK;
    if (search->profile->form_count + search->profile->json_count > 0)
        return slots_refuse(search, PROBLEM_UNSUPPORTED_MEDIA_TYPE, SAY_MEDIA, "", 0);
    return slots_refuse(search, PROBLEM_TOKEN_OUTSIDE_SLOT, NULL, "", 0);
}

STATUS slots_find(const struct profile *profile, const struct slots_request *request,
                  struct slots *out_slots, struct slots_problem *out_problem)
{
    assert(profile != NULL);
    assert(request->target != NULL);

    struct slots slots = {0};
    struct slots_search search = {profile, request, &slots, out_problem};
    *out_problem = (struct slots_problem){0};

    TRY(hidden_refuse(&search, request->target, "It stands in the path or the query."));
    TRY(hidden_refuse(&search, request->content_type, "It stands in a header."));
    for (const char *const *header = request->headers; header != NULL && *header != NULL; header++)
        TRY(hidden_refuse(&search, *header, "It stands in a header."));
    if (request->body_size > UINT32_MAX)
        return slots_refuse(&search, PROBLEM_INVALID_FIELD, NULL, "", 0);
    if (request->body_size > 0) {
        enum media media =
            is_coded(request->content_encoding) ? MEDIA_OTHER : media_find(request->content_type);
        if (media == MEDIA_FORM)
            TRY(slots_form_find(&search));
        else if (media == MEDIA_JSON)
            TRY(slots_json_find(&search));
        else
            TRY(other_find(&search));
    }
    *out_slots = slots;
    return STATUS_OK;
}

const char *slots_place(const struct slots *slots, const char *token)
{
    for (unsigned i = 0; i < slots->count; i++)
        if (strcmp(slots->list[i].expression.token, token) == 0)
            return slots->list[i].place;
    return "";
}

STATUS slots_fill(const struct slots *slots, const struct secret *const *values,
                  const uint8_t *body, size_t body_size, struct buffer *out_body)
{
    size_t at = 0;

    for (unsigned i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->list[i];
        assert(slot->start >= at);
        assert((size_t)slot->start + slot->size <= body_size);
        buffer_add(out_body, body + at, slot->start - at);
        if (slot->surface == SLOT_FORM)
            slots_form_escape(out_body, secret_peek(values[i]), secret_size(values[i]));
        else
            slots_json_escape(out_body, secret_peek(values[i]), secret_size(values[i]));
        at = (size_t)slot->start + slot->size;
    }
    buffer_add(out_body, body + at, body_size - at);
    return buffer_status(out_body);
}
