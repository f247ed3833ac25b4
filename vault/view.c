/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/view.h"

#include <assert.h>

#include "base/encode.h"
#include "vault/brand.h"

const char *const view_format_names[] = {"opaque", "uuid", "card", NULL};

void view_encode(const struct view *view, struct buffer *out)
{
    assert(view->metadata_size <= VIEW_METADATA_BYTES_MAX);
    buffer_add_counted(out, view->token);
    buffer_add_u8(out, view->brand);
    buffer_add_u8(out, view->length);
    buffer_add_counted(out, view->bin);
    buffer_add_counted(out, view->last4);
    buffer_add_u8(out, view->exp_month);
    buffer_add_u16(out, view->exp_year);
    buffer_add_u8(out, view->format);
    buffer_add_u8(out, view->single_use ? 1 : 0);
    buffer_add_u64(out, (uint64_t)view->expires_ms);
    buffer_add_u64(out, (uint64_t)view->created_ms);
    buffer_add_counted(out, view->card_id);
    buffer_add_counted(out, view->cvv_token);
    buffer_add_u64(out, (uint64_t)view->cvv_expires_ms);
    buffer_add_u32(out, view->metadata_size);
    buffer_add(out, view->metadata, view->metadata_size);
}

void view_decode(struct cursor *in, struct view *out_view)
{
    *out_view = (struct view){0};
    cursor_text(in, out_view->token, sizeof out_view->token);
    out_view->brand = cursor_u8(in);
    out_view->length = cursor_u8(in);
    cursor_text(in, out_view->bin, sizeof out_view->bin);
    cursor_text(in, out_view->last4, sizeof out_view->last4);
    out_view->exp_month = cursor_u8(in);
    out_view->exp_year = cursor_u16(in);
    out_view->format = cursor_u8(in);
    out_view->single_use = cursor_flag(in);
    out_view->expires_ms = (int64_t)cursor_u64(in);
    out_view->created_ms = (int64_t)cursor_u64(in);
    cursor_text(in, out_view->card_id, sizeof out_view->card_id);
    cursor_text(in, out_view->cvv_token, sizeof out_view->cvv_token);
    out_view->cvv_expires_ms = (int64_t)cursor_u64(in);
    out_view->metadata_size = cursor_u32(in);
    out_view->metadata = cursor_bytes(in, out_view->metadata_size);
    if (out_view->metadata_size > VIEW_METADATA_BYTES_MAX ||
        out_view->format >= POLICY_FORMAT_COUNT)
        in->bad = true;
}

static void view_write_time(struct json_writer *writer, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    json_key(writer, key);
    if (ms == 0) {
        json_put_null(writer);
        return;
    }
    clock_text(ms, text);
    json_put_text(writer, text);
}

void view_write_cvv(struct json_writer *writer, const char *token, int64_t expires_ms)
{
    json_begin_object(writer);
    json_put_member(writer, "token", token);
    view_write_time(writer, "expires_at", expires_ms);
    json_end_object(writer);
}

void view_write(struct json_writer *writer, const struct view *view)
{
    json_begin_object(writer);
    json_put_member(writer, "token", view->token);
    json_put_member(writer, "type", "card");
    json_put_member(writer, "brand", brand_by_number(view->brand)->name);
    if (view->bin[0] != '\0')
        json_put_member(writer, "bin", view->bin);
    json_put_member(writer, "last4", view->last4);
    json_put_member_int(writer, "length", view->length);
    json_put_member_int(writer, "exp_month", view->exp_month);
    json_put_member_int(writer, "exp_year", view->exp_year);
    json_put_member(writer, "format", view_format_names[view->format]);
    json_put_member_bool(writer, "single_use", view->single_use);
    view_write_time(writer, "expires_at", view->expires_ms);
    view_write_time(writer, "created_at", view->created_ms);
    if (view->card_id[0] != '\0')
        json_put_member(writer, "card_id", view->card_id);
    json_key(writer, "metadata");
    if (view->metadata_size == 0)
        json_put_raw(writer, "{}", 2);
    else
        json_put_raw(writer, view->metadata, view->metadata_size);
    if (view->cvv_token[0] != '\0') {
        json_key(writer, "cvv");
        view_write_cvv(writer, view->cvv_token, view->cvv_expires_ms);
    }
    json_end_object(writer);
}
