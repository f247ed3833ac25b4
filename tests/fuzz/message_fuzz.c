/* SPDX-License-Identifier: Apache-2.0 */
/* Frame bodies as a hostile neighbour would write them; the first byte chooses what they are read
 * as.  What is taken is taken in one way only: encoded again it is the bytes that were read.  And
 * of any view that is taken the JSON is JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "vault/message.h"

#define BODY_BYTES_MAX 65536u
#define JSON_NODES_MAX 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void view_check(const struct view *view)
{
    static struct json_node nodes[JSON_NODES_MAX];
    struct buffer text OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&text);
    struct view bare = *view;
    struct json json;
    size_t at = 0;

    bare.metadata_size = 0; /* Raw JSON, which the front has read before it let it in. */
    view_write(&writer, &bare);
    require(!failed(buffer_status(&text)));
    require(!failed(json_read(text.bytes, text.size, nodes, JSON_NODES_MAX, &json, &at)));
}

static void card_recode(struct cursor *in, struct buffer *out)
{
    struct message_card card;

    message_card_decode(in, &card);
    if (in->bad)
        return;
    require(card.metadata_size <= VIEW_METADATA_BYTES_MAX);
    message_card_encode(&card, out);
}

static void lease_recode(struct cursor *in, struct buffer *out)
{
    struct message_lease lease;

    message_lease_decode(in, &lease);
    require(lease.token_count <= CONTRACT_LEASE_TOKENS_MAX);
    require(lease.cvv_count <= CONTRACT_LEASE_TOKENS_MAX);
    if (!in->bad)
        message_lease_encode(&lease, out);
}

static void view_recode(struct cursor *in, struct buffer *out)
{
    struct view view;

    view_decode(in, &view);
    if (in->bad)
        return;
    view_check(&view);
    view_encode(&view, out);
}

static void recode(unsigned kind, struct cursor *in, struct buffer *out)
{
    struct message_caller caller;
    struct message_settlement settlement;
    struct message_lent_card lent;
    struct message_text text;
    struct problem problem;

    if (kind == 0) {
        message_caller_decode(in, &caller);
        if (!in->bad)
            message_caller_encode(&caller, out);
    } else if (kind == 1) {
        card_recode(in, out);
    } else if (kind == 2) {
        lease_recode(in, out);
    } else if (kind == 3) {
        message_settlement_decode(in, &settlement);
        if (!in->bad)
            message_settlement_encode(&settlement, out);
    } else if (kind == 4) {
        message_lent_card_decode(in, &lent);
        if (!in->bad)
            message_lent_card_encode(&lent, out);
    } else if (kind == 5) {
        problem_decode(in, &problem);
        if (!in->bad)
            problem_encode(&problem, out);
    } else if (kind == 7) {
        message_text_decode(in, &text);
        if (!in->bad)
            message_text_encode(&text, out);
    } else {
        view_recode(in, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);

    if (size < 1)
        return 0;
    struct cursor in = cursor_over(data + 1, size - 1);
    recode(data[0] % 8, &in, &out);
    require(in.at <= in.size);
    if (in.bad)
        return 0;
    require(!failed(buffer_status(&out)));
    require(out.size == in.at);
    require(in.at == 0 || memcmp(out.bytes, data + 1, in.at) == 0);
    return 0;
}
