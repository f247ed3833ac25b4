/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/succession.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define SIGNATURE_CHARS (ENCODE_BASE64_SIZE(SUCCESSION_BYTES) - 1)

static const char after[] = "after ";
static const char is_signed[] = " signed ";

static void text_of(const struct succession *succession, struct buffer *out)
{
    char key[SUCCESSION_KEY_MAX];

    buffer_add_text(out, "cardkeep signer succession 1\n");
    note_key_text(&succession->from, key, sizeof key);
    buffer_add_text(out, key);
    buffer_add_text(out, "\n");
    note_key_text(&succession->to, key, sizeof key);
    buffer_add_text(out, key);
    buffer_add_text(out, "\n");
}

STATUS succession_sign(struct succession *succession, const struct secret *seed)
{
    struct buffer text OWNED(buffer_free) = BUFFER(3 * SUCCESSION_KEY_MAX);

    assert(strcmp(succession->from.name, succession->to.name) == 0);
    text_of(succession, &text);
    TRY(buffer_status(&text));
    return note_key_sign(&succession->from, seed, text.bytes, text.size, succession->signature);
}

bool succession_holds(const struct succession *succession)
{
    struct buffer text OWNED(buffer_free) = BUFFER(3 * SUCCESSION_KEY_MAX);

    text_of(succession, &text);
    return !failed(buffer_status(&text)) &&
           strcmp(succession->from.name, succession->to.name) == 0 &&
           note_key_verifies(&succession->from, text.bytes, text.size, succession->signature);
}

void succession_detail(const struct succession *succession, char out[static SUCCESSION_DETAIL_MAX])
{
    char key[SUCCESSION_KEY_MAX];
    char signature[SIGNATURE_CHARS + 1];

    note_key_text(&succession->from, key, sizeof key);
    encode_base64(succession->signature, SUCCESSION_BYTES, signature);
    int size = snprintf(out, SUCCESSION_DETAIL_MAX, "%s%s%s%s", after, key, is_signed, signature);
    assert(size > 0 && (size_t)size < SUCCESSION_DETAIL_MAX);
}

STATUS succession_read(const char *object, const char *detail, struct succession *out_succession)
{
    struct succession succession = {0};
    char key[SUCCESSION_KEY_MAX] = "";
    size_t size = 0;

    TRY(note_key_parse(object, &succession.to));
    ENSURE(strncmp(detail, after, sizeof after - 1) == 0, WHY_BAD_INPUT);
    detail += sizeof after - 1;
    size_t length = strcspn(detail, " ");
    ENSURE(length < sizeof key, WHY_BAD_INPUT);
    memcpy(key, detail, length);
    TRY(note_key_parse(key, &succession.from));
    detail += length;
    ENSURE(strncmp(detail, is_signed, sizeof is_signed - 1) == 0, WHY_BAD_INPUT);
    detail += sizeof is_signed - 1;
    TRY(decode_base64(detail, strlen(detail), succession.signature, SUCCESSION_BYTES, &size));
    ENSURE(size == SUCCESSION_BYTES, WHY_BAD_INPUT);
    ENSURE(succession_holds(&succession), WHY_FORGED);
    *out_succession = succession;
    return STATUS_OK;
}
