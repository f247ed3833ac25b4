/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "tests/bench/load.h"

#define HEAD_BYTES_MAX 8192

void load_h1_submit(struct load_slot *slot)
{
    const struct load_options *options = &slot->conn->load->options;
    const char *type = load_work_content_type(options);
    char head[2048];
    int size = snprintf(head, sizeof head,
                        "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s%sContent-Length: %zu\r\n\r\n",
                        load_work_method(options), slot->path, options->host,
                        type != NULL ? "Content-Type: " : "", type != NULL ? type : "",
                        type != NULL ? "\r\n" : "",
                        options->kind == LOAD_PAY ? "Authorization: Bearer sk_test_bench\r\n" : "",
                        slot->key[0] != '\0' ? "Idempotency-Key: " : "", slot->key,
                        slot->key[0] != '\0' ? "\r\n" : "", slot->body.size);

    if (size < 0 || (size_t)size >= sizeof head)
        load_die("a head of more than %zu bytes", sizeof head);
    load_bytes_add(&slot->conn->out, head, (size_t)size);
    load_bytes_add(&slot->conn->out, slot->body.at, slot->body.size);
}

/* Where the body ends for an answer with a Content-Length; 0 while it is not whole. */
static size_t answer_size(struct load_bytes *in, unsigned *out_status, size_t *out_head)
{
    static const char length[] = "\r\nContent-Length:";
    const char *end = memmem(in->at, in->size, "\r\n\r\n", 4);
    uint64_t size = 0;

    if (end == NULL) {
        if (in->size > HEAD_BYTES_MAX)
            load_die("an answer's head of more than %d bytes", HEAD_BYTES_MAX);
        return 0;
    }
    *out_head = (size_t)(end - in->at) + 4;
    if (*out_head < 13 || memcmp(in->at, "HTTP/1.1 ", 9) != 0)
        load_die("an answer that is not HTTP/1.1");
    *out_status = (unsigned)((in->at[9] - '0') * 100 + (in->at[10] - '0') * 10 + in->at[11] - '0');
    const char *at = in->at;
    while (at < end && strncasecmp(at, length, sizeof length - 1) != 0)
        at++;
    if (at >= end) {
        if (*out_status != 204)
            load_die("an answer without Content-Length");
        return *out_head;
    }
    for (at += sizeof length - 1; *at == ' '; at++)
        ;
    for (; *at >= '0' && *at <= '9'; at++)
        size = size * 10 + (uint64_t)(*at - '0');
    return in->size >= *out_head + size ? *out_head + size : 0;
}

bool load_h1_take(struct load_conn *conn, const uint8_t *bytes, size_t size)
{
    struct load_slot *slot = &conn->slots[0];
    size_t head = 0;

    load_bytes_add(&conn->in, bytes, size);
    size_t whole = answer_size(&conn->in, &slot->status, &head);
    if (whole == 0)
        return true;
    load_bytes_add(&slot->answer, conn->in.at + head, whole - head);
    load_bytes_drop(&conn->in, whole);
    load_answered(slot);
    return true;
}
