/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/params.h"

#include <assert.h>
#include <string.h>

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Appends the decoded text and a NUL. */
static STATUS text_add(struct buffer *out, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        uint8_t byte = bytes[at];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            ENSURE(size - at > 2, WHY_BAD_INPUT);
            int high = hex_value(bytes[at + 1]);
            int low = hex_value(bytes[at + 2]);
            ENSURE(high >= 0 && low >= 0, WHY_BAD_INPUT);
            byte = (uint8_t)(high * 16 + low);
            at += 2;
        }
        ENSURE(byte != 0, WHY_BAD_INPUT);
        buffer_add_u8(out, byte);
    }
    buffer_add_u8(out, 0);
    return buffer_status(out);
}

static bool is_list(const char *name)
{
    size_t size = strlen(name);
    return size > 2 && strcmp(name + size - 2, "[]") == 0;
}

static STATUS pair_add(struct params *params, const uint8_t *bytes, size_t size)
{
    ENSURE(params->count < PARAMS_MAX, WHY_LIMIT);
    const uint8_t *equals = memchr(bytes, '=', size);
    size_t name_size = equals == NULL ? size : (size_t)(equals - bytes);
    ENSURE(name_size > 0, WHY_BAD_INPUT);
    struct param param = {.name = params->text.size};
    TRY(text_add(&params->text, bytes, name_size));
    param.value = params->text.size;
    const uint8_t *value = equals == NULL ? bytes + size : equals + 1;
    TRY(text_add(&params->text, value, (size_t)(bytes + size - value)));
    const char *name = (const char *)params->text.bytes + param.name;
    ENSURE(is_list(name) || params_get(params, name) == NULL, WHY_BAD_INPUT);
    params->list[params->count++] = param;
    return STATUS_OK;
}

STATUS params_parse(const uint8_t *body, size_t size, struct params *out)
{
    assert(body != NULL || size == 0);
    assert(out != NULL);
    *out = (struct params){.text = BUFFER(PARAMS_BYTES_MAX)};
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(body + at, '&', size - at);
        size_t pair_size = end == NULL ? size - at : (size_t)(end - (body + at));
        if (pair_size > 0)
            TRY(pair_add(out, body + at, pair_size));
        at += pair_size + 1;
    }
    return STATUS_OK;
}

void params_free(struct params *params)
{
    buffer_free(&params->text);
    params->count = 0;
}

const char *params_name(const struct params *params, unsigned index)
{
    assert(index < params->count);
    return (const char *)params->text.bytes + params->list[index].name;
}

const char *params_value(const struct params *params, unsigned index)
{
    assert(index < params->count);
    return (const char *)params->text.bytes + params->list[index].value;
}

const char *params_get(const struct params *params, const char *name)
{
    for (unsigned i = 0; i < params->count; i++)
        if (strcmp(params_name(params, i), name) == 0)
            return params_value(params, i);
    return NULL;
}

static bool root_known(const char *name, const char *const *roots)
{
    size_t size = strcspn(name, "[");
    for (; *roots != NULL; roots++)
        if (strlen(*roots) == size && strncmp(*roots, name, size) == 0)
            return true;
    return false;
}

const char *params_unknown(const struct params *params, const char *const *roots)
{
    for (unsigned i = 0; i < params->count; i++)
        if (!root_known(params_name(params, i), roots))
            return params_name(params, i);
    return NULL;
}
