/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/own.h"
#include "relay/slots_surface.h"

#define SAY_PERCENT "A % stands there without two hex digits behind it."

/* One field of the body, as sent. */
struct field {
    const uint8_t *name;
    size_t name_size;
    const uint8_t *value;
    size_t value_size;
};

static const char hex_digits[] = "0123456789ABCDEF";

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Strict, so that no other reader can see another name in the same bytes: false for a '%' without
 * two hex digits behind it. */
static bool form_decode(const uint8_t *bytes, size_t size, struct buffer *out)
{
    buffer_clear(out);
    for (size_t at = 0; at < size; at++) {
        uint8_t c = bytes[at];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = size - at > 2 ? hex_value(bytes[at + 1]) : -1;
            int low = size - at > 2 ? hex_value(bytes[at + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high * 16 + low);
            at += 2;
        }
        buffer_add_u8(out, c);
    }
    return true;
}

static const struct profile_slot *declared_find(const struct profile *profile,
                                                const struct buffer *name)
{
    for (unsigned i = 0; i < profile->form_count; i++) {
        const char *place = profile->form[i].place;
        if (strlen(place) == name->size && memcmp(place, name->bytes, name->size) == 0)
            return &profile->form[i];
    }
    return NULL;
}

static STATUS outside_check(struct slots_search *search, const struct buffer *name,
                            const struct buffer *value)
{
    bool in_name = false;
    bool in_value = false;

    TRY(slots_find_hidden(name->bytes, name->size, &in_name));
    if (in_name)
        return slots_refuse(search, PROBLEM_TOKEN_OUTSIDE_SLOT, "It stands in a field's name.", "",
                            0);
    TRY(slots_find_hidden(value->bytes, value->size, &in_value));
    if (in_value)
        return slots_refuse(search, PROBLEM_TOKEN_OUTSIDE_SLOT, NULL, name->bytes, name->size);
    return STATUS_OK;
}

/* `seen` has one mark for each declared slot: the second field of that name would be a way to show
 * us one value and the gateway another. */
static STATUS field_find(struct slots_search *search, const struct field *field,
                         struct buffer *name, struct buffer *value, bool *seen)
{
    const uint8_t *body = search->request->body;

    if (!form_decode(field->name, field->name_size, name))
        return slots_refuse(search, PROBLEM_INVALID_FIELD, SAY_PERCENT, "", 0);
    if (!form_decode(field->value, field->value_size, value))
        return slots_refuse(search, PROBLEM_INVALID_FIELD, SAY_PERCENT, name->bytes, name->size);
    TRY(buffer_status(name));
    TRY(buffer_status(value));

    const struct profile_slot *declared = declared_find(search->profile, name);
    if (declared == NULL)
        return outside_check(search, name, value);
    bool *seen_here = &seen[declared - search->profile->form];
    if (*seen_here)
        return slots_refuse(search, PROBLEM_INVALID_FIELD, "It stands there twice.", name->bytes,
                            name->size);
    *seen_here = true;
    const struct slots_value taken = {.declared = declared,
                                      .start = (uint32_t)(field->value - body),
                                      .size = (uint32_t)field->value_size,
                                      .text = buffer_text(value),
                                      .text_size = value->size,
                                      .quoted = true};
    return slots_judge(search, SLOT_FORM, &taken);
}

STATUS slots_form_find(struct slots_search *search)
{
    const uint8_t *at = search->request->body;
    const uint8_t *end = at + search->request->body_size;
    OWNED(buffer_free) struct buffer name = BUFFER(search->request->body_size);
    OWNED(buffer_free) struct buffer value = BUFFER(search->request->body_size);
    bool seen[PROFILE_SLOTS_MAX] = {0};

    while (at < end) {
        const uint8_t *stop = memchr(at, '&', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        const uint8_t *equals = stop == at ? NULL : memchr(at, '=', (size_t)(stop - at));
        const uint8_t *name_end = equals == NULL ? stop : equals;
        const uint8_t *value_start = equals == NULL ? stop : equals + 1;
        const struct field field = {at, (size_t)(name_end - at), value_start,
                                    (size_t)(stop - value_start)};
        if (stop > at)
            TRY(field_find(search, &field, &name, &value, seen));
        at = stop < end ? stop + 1 : end;
    }
    return STATUS_OK;
}

void slots_form_escape(struct buffer *out, const uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = value[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (!plain)
            buffer_add_u8(out, '%');
        buffer_add_u8(out, plain ? c : (uint8_t)hex_digits[c >> 4]);
        if (!plain)
            buffer_add_u8(out, (uint8_t)hex_digits[c & 15]);
    }
}
