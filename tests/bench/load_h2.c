/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/bench/load.h"

/* So large that the server never waits for our updates. */
#define WINDOW_BYTES (16 << 20)
#define FILL_BYTES   (16 * 1024)

static ssize_t body_read(nghttp2_session *session, int32_t stream, uint8_t *out, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct load_slot *slot = source->ptr;
    size_t size = slot->body.size - slot->body_sent;

    (void)session;
    (void)stream;
    (void)user;
    if (size > room)
        size = room;
    memcpy(out, slot->body.at + slot->body_sent, size);
    slot->body_sent += size;
    if (slot->body_sent == slot->body.size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    if (name_size != 7 || memcmp(name, ":status", 7) != 0 || value_size != 3)
        return 0;
    struct load_slot *slot = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (slot != NULL)
        slot->status = (unsigned)((value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0');
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t size, void *user)
{
    struct load_slot *slot = nghttp2_session_get_stream_user_data(session, stream);

    (void)flags;
    (void)user;
    if (slot != NULL)
        load_bytes_add(&slot->answer, bytes, size);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t why, void *user)
{
    struct load_slot *slot = nghttp2_session_get_stream_user_data(session, stream);

    (void)user;
    if (slot == NULL)
        return 0;
    if (why != NGHTTP2_NO_ERROR)
        slot->status = 0; /* A stream that was reset has no answer. */
    load_answered(slot);
    return 0;
}

void load_h2_start(struct load_conn *conn)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        load_die("no memory for HTTP/2");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    if (nghttp2_session_client_new(&conn->h2, callbacks, conn) != 0 ||
        nghttp2_submit_settings(conn->h2, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(conn->h2, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) != 0)
        load_die("no HTTP/2 session");
    nghttp2_session_callbacks_del(callbacks);
}

/* nghttp2's headers are not const, and it is told not to copy: these bytes stay. */
static nghttp2_nv header(char *name, char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

void load_h2_submit(struct load_slot *slot)
{
    static char names[][16] = {":method",      ":scheme",       ":authority",     ":path",
                               "content-type", "authorization", "idempotency-key"};
    static char scheme[] = "https";
    static char credential[] = "Bearer sk_test_bench";
    const struct load_options *options = &slot->conn->load->options;
    const char *type = load_work_content_type(options);
    nghttp2_data_provider body = {.source.ptr = slot, .read_callback = body_read};
    nghttp2_nv headers[7] = {
        header(names[0], lent(load_work_method(options))),
        header(names[1], scheme),
        header(names[2], lent(options->host)),
        header(names[3], slot->path),
    };
    size_t count = 4;

    if (type != NULL)
        headers[count++] = header(names[4], lent(type));
    if (options->kind == LOAD_PAY)
        headers[count++] = header(names[5], credential);
    if (slot->key[0] != '\0')
        headers[count++] = header(names[6], slot->key);
    int32_t stream = nghttp2_submit_request(slot->conn->h2, NULL, headers, count,
                                            slot->body.size > 0 ? &body : NULL, slot);
    if (stream < 0)
        load_die("no new request: %s", nghttp2_strerror(stream));
}

bool load_h2_take(struct load_conn *conn, const uint8_t *bytes, size_t size)
{
    ssize_t taken = nghttp2_session_mem_recv(conn->h2, bytes, size);

    /* After a GOAWAY nothing new is answered: it is as good as lost. */
    return taken == (ssize_t)size && nghttp2_session_check_request_allowed(conn->h2) != 0;
}

void load_h2_fill(struct load_conn *conn)
{
    const uint8_t *bytes = NULL;
    ssize_t size = 0;

    while (conn->out.size < FILL_BYTES && (size = nghttp2_session_mem_send(conn->h2, &bytes)) > 0)
        load_bytes_add(&conn->out, bytes, (size_t)size);
    if (size < 0)
        conn->lost = true;
}
