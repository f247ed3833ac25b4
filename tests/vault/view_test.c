/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/view.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "tests/vault/cards.h"
#include "vault/card.h"

#define METADATA "{\"order\":\"A-17\"}"

static const struct view full = {
    .token = "tok_test_4fxUrN3vnhxRCqXDaXmuPkKy1w",
    .brand = 1,
    .length = 16,
    .bin = "424242",
    .last4 = "4242",
    .exp_month = 12,
    .exp_year = 2031,
    .format = POLICY_FORMAT_OPAQUE,
    .single_use = true,
    .expires_ms = 1800000000000,
    .created_ms = 1700000000001,
    .metadata = (const uint8_t *)METADATA,
    .metadata_size = sizeof METADATA - 1,
    .card_id = "0123456789abcdef0123456789abcdef",
    .cvv_token = "cvv_test_x",
    .cvv_expires_ms = 1700000900000,
};

static const char full_json[] =
    "{\"token\":\"tok_test_4fxUrN3vnhxRCqXDaXmuPkKy1w\",\"type\":\"card\",\"brand\":\"visa\","
    "\"bin\":\"424242\",\"last4\":\"4242\",\"length\":16,\"exp_month\":12,\"exp_year\":2031,"
    "\"format\":\"opaque\",\"single_use\":true,\"expires_at\":\"2027-01-15T08:00:00.000Z\","
    "\"created_at\":\"2023-11-14T22:13:20.001Z\","
    "\"card_id\":\"0123456789abcdef0123456789abcdef\",\"metadata\":{\"order\":\"A-17\"},"
    "\"cvv\":{\"token\":\"cvv_test_x\",\"expires_at\":\"2023-11-14T22:28:20.000Z\"}}";

static void write(const struct view *view, struct buffer *out)
{
    struct json_writer writer = json_writer_over(out);

    buffer_clear(out);
    view_write(&writer, view);
    cr_assert(!failed(buffer_status(out)));
}

Test(view, comes_back_as_it_was_encoded)
{
    struct buffer body OWNED(buffer_free) = BUFFER(16384);
    struct buffer json OWNED(buffer_free) = BUFFER(16384);
    struct view view;

    view_encode(&full, &body);
    struct cursor in = cursor_over(body.bytes, body.size);
    view_decode(&in, &view);
    cr_assert(cursor_done(&in));
    cr_expect(view.metadata >= body.bytes && view.metadata < body.bytes + body.size, "it is lent");
    write(&view, &json); /* Every field shows there. */
    cr_expect_str_eq(buffer_text(&json), full_json);
}

Test(view, leaves_out_of_its_json_what_it_does_not_have)
{
    struct buffer json OWNED(buffer_free) = BUFFER(16384);
    struct view view = full;

    view.length = 14;
    view.bin[0] = '\0';
    view.single_use = false;
    view.expires_ms = 0;
    view.metadata_size = 0;
    view.card_id[0] = '\0';
    view.cvv_token[0] = '\0';
    view.format = POLICY_FORMAT_UUID;
    view.brand = UINT8_MAX;
    write(&view, &json);
    cr_expect_str_eq(
        buffer_text(&json),
        "{\"token\":\"tok_test_4fxUrN3vnhxRCqXDaXmuPkKy1w\",\"type\":\"card\","
        "\"brand\":\"unknown\",\"last4\":\"4242\",\"length\":14,\"exp_month\":12,"
        "\"exp_year\":2031,\"format\":\"uuid\",\"single_use\":false,\"expires_at\":null,"
        "\"created_at\":\"2023-11-14T22:13:20.001Z\",\"metadata\":{}}");
}

Test(view, names_every_format)
{
    cr_expect_str_eq(view_format_names[POLICY_FORMAT_OPAQUE], "opaque");
    cr_expect_str_eq(view_format_names[POLICY_FORMAT_UUID], "uuid");
    cr_expect_str_eq(view_format_names[POLICY_FORMAT_CARD], "card");
    cr_expect_null(view_format_names[POLICY_FORMAT_COUNT]);
}

/* What decodes is what would have been encoded: nothing is read in two ways. */
Test(view, with_a_byte_changed_is_another_view_or_none)
{
    struct buffer body OWNED(buffer_free) = BUFFER(16384);
    struct buffer again OWNED(buffer_free) = BUFFER(32768);
    unsigned refused = 0;

    view_encode(&full, &body);
    for (size_t i = 0; i < body.size; i++) {
        struct view view;
        body.bytes[i] ^= 0x80;
        struct cursor in = cursor_over(body.bytes, body.size);
        view_decode(&in, &view);
        if (cursor_done(&in)) {
            buffer_clear(&again);
            view_encode(&view, &again);
            cr_assert_eq(again.size, body.size);
            cr_expect_arr_eq(again.bytes, body.bytes, body.size);
        } else {
            refused++;
        }
        body.bytes[i] ^= 0x80;
    }
    cr_expect(refused > 10, "sizes, flags and the format: %u", refused);
}

Test(view, that_is_cut_short_is_refused)
{
    struct buffer body OWNED(buffer_free) = BUFFER(16384);

    view_encode(&full, &body);
    for (size_t size = 0; size < body.size; size++) {
        struct view view;
        struct cursor in = cursor_over(body.bytes, size);
        view_decode(&in, &view);
        cr_expect(in.bad, "%zu of %zu bytes", size, body.size);
    }
}

Test(view, takes_metadata_up_to_its_limit)
{
    static uint8_t metadata[VIEW_METADATA_BYTES_MAX];
    struct buffer body OWNED(buffer_free) = BUFFER(65536);
    struct view view = full;

    view.metadata = metadata;
    view.metadata_size = sizeof metadata;
    view_encode(&view, &body);
    struct cursor in = cursor_over(body.bytes, body.size);
    view_decode(&in, &view);
    cr_expect(cursor_done(&in));
    cr_expect_eq(view.metadata_size, sizeof metadata);

    buffer_add_u8(&body, 0); /* One more byte, and a size that says so. */
    size_t at = body.size - 1 - sizeof metadata - 4;
    body.bytes[at + 2] = (uint8_t)((sizeof metadata + 1) >> 8);
    body.bytes[at + 3] = (uint8_t)(sizeof metadata + 1);
    in = cursor_over(body.bytes, body.size);
    view_decode(&in, &view);
    cr_expect(in.bad);
}

/* MSK-1, from the number to the answer: of 15 digits or more no seven in a row show, of fewer no
 * five. */
Test(view, never_shows_more_of_a_number_than_its_mask, .init = pool_open, .fini = pool_close)
{
    static const struct policy_tenant tenant = {.luhn = POLICY_LUHN_OFF};
    struct buffer json OWNED(buffer_free) = BUFFER(16384);

    for (size_t length = 12; length <= 19; length++) {
        for (unsigned round = 0; round < 100; round++) {
            char number[20] = {0};
            struct card_mask mask;
            struct problem problem;
            for (size_t i = 0; i < length; i++)
                number[i] = (char)('0' + random_below(10));
            OWNED(secret_free) struct secret *card = secret_of(number, length);
            cr_assert(card_check_number(card, &tenant, &mask, &problem));
            struct view view = full;
            view.brand = brand_number(mask.brand);
            view.length = mask.length;
            view.card_id[0] = '\0';
            memcpy(view.bin, mask.bin, sizeof view.bin);
            memcpy(view.last4, mask.last4, sizeof view.last4);
            write(&view, &json);
            size_t run = length <= 14 ? 5 : 7;
            for (size_t at = 0; at + run <= length; at++) {
                char part[8] = {0};
                memcpy(part, number + at, run);
                cr_expect_null(strstr(buffer_text(&json), part));
            }
        }
    }
}
