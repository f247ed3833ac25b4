/* SPDX-License-Identifier: Apache-2.0 */
/* What the other side says: a vault's leases, a gateway's answer, HTTP/2 frames of a
 * client, and a form as the sandbox reads it.  The first byte says which. */
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#include "base/client_body.h"
#include "base/http_frames.h"
#include "base/own.h"
#include "base/secret.h"
#include "relay/lease_json.h"
#include "relay/sandbox/params.h"
#include "tests/fuzz/require.h"

#define BYTES_MAX        65536u
#define SECRETS          64u
#define FRAME_HEAD       9u
#define PREFACE_SIZE     24u
#define ANSWER_BYTES_MAX 4096u

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    must(secret_pool_open(SECRETS));
    return 0;
}

static void lease_check(const struct lease *lease)
{
    require(lease->id[0] != '\0');
    require(lease->card_count <= CONTRACT_LEASE_TOKENS_MAX);
    require(lease->cvv_count <= CONTRACT_LEASE_TOKENS_MAX);
    for (unsigned i = 0; i < lease->card_count; i++) {
        const struct lease_card *card = &lease->cards[i];
        require(card->number != NULL && secret_size(card->number) >= 1);
        require(card->exp_month >= 1 && card->exp_month <= 12 && card->exp_year <= 9999);
    }
    for (unsigned i = 0; i < lease->cvv_count; i++)
        require(lease->cvvs[i].value != NULL && secret_size(lease->cvvs[i].value) >= 1);
}

static void leases(const uint8_t *data, size_t size)
{
    struct lease_refusal refusal = {.code = PROBLEM_NONE};

    for (unsigned count = 1; count <= 2; count++) {
        struct lease_json answer;
        bool good = !failed(lease_json_open(&answer, data, size, count));
        while (good && answer.left > 0) {
            static struct lease lease;
            struct status status = lease_json_next_lease(&answer, &lease, &refusal);
            require(!failed(status) || status.why == WHY_DENIED || status.why == WHY_FORGED ||
                    status.why == WHY_BUSY);
            require(status.why != WHY_DENIED || refusal.code != PROBLEM_NONE);
            if (!failed(status)) {
                lease_check(&lease);
                lease_clear(&lease);
            }
            require(secret_pool_free_count() == SECRETS);
        }
        lease_json_close(&answer);
        good = !failed(lease_json_open(&answer, data, size, count));
        while (good && answer.left > 0)
            status_ignore(lease_json_next_settled(&answer), "any of its answers is fine");
        lease_json_close(&answer);
    }
    refusal.code = PROBLEM_NONE;
    if (!failed(lease_json_problem(data, size, &refusal)))
        require(refusal.code != PROBLEM_NONE);
    require(strnlen(refusal.detail, sizeof refusal.detail) < sizeof refusal.detail);
}

/* Names in small letters; and nothing in a value that would end a line of whoever passes it on. */
static void head_check(const struct client_head *head)
{
    const uint8_t *at = head->fields.bytes;
    const uint8_t *end = head->fields.size == 0 ? at : at + head->fields.size;
    unsigned count = 0;

    for (bool is_name = true; at < end; is_name = !is_name) {
        const uint8_t *stop = memchr(at, '\0', (size_t)(end - at));
        require(stop != NULL);
        require(!is_name || stop > at);
        for (; at < stop; at++) {
            require(*at != '\r' && *at != '\n');
            require(!is_name || (isgraph(*at) && !isupper(*at) && *at != ':'));
        }
        at = stop + 1;
        count += is_name;
    }
    require(count == head->field_count && count <= CLIENT_HEADERS_MAX);
    require(head->status == 0 || (head->status >= 100 && head->status <= 999));
}

struct answer {
    struct client_head head;
    struct client_body body;
    enum client_read read;
    size_t used;
};

static void answer_free(struct answer *answer)
{
    client_head_free(&answer->head);
    client_body_free(&answer->body);
}

/* In pieces of so many bytes, each in room of its own, so that the sanitizer sees who reads on. */
static void answer_read(struct answer *answer, const uint8_t *data, size_t size, size_t piece)
{
    client_head_begin(&answer->head, size % 2 == 1, ANSWER_BYTES_MAX);
    client_body_begin(&answer->body, ANSWER_BYTES_MAX);
    answer->read = CLIENT_READ_MORE;
    while (answer->read == CLIENT_READ_MORE && answer->used < size) {
        size_t left = size - answer->used;
        size_t part = left < piece ? left : piece;
        size_t used = 0;
        char *room = text_of(data + answer->used, part);
        answer->read = client_body_take(&answer->head, &answer->body, (uint8_t *)room, part, &used);
        free(room);
        require(used <= part && (answer->read != CLIENT_READ_MORE || used == part));
        answer->used += used;
    }
}

/* Whole and in pieces it is the same answer. */
static void gateway(const uint8_t *data, size_t size)
{
    const size_t pieces[] = {1, 2 + size % 13};
    struct answer whole OWNED(answer_free) = {0};

    answer_read(&whole, data, size, size + 1);
    for (unsigned i = 0; i < 2; i++) {
        struct answer parts OWNED(answer_free) = {0};
        answer_read(&parts, data, size, pieces[i]);
        require(parts.read == whole.read);
        if (whole.read == CLIENT_READ_BAD)
            continue;
        require(parts.used == whole.used && parts.body.step == whole.body.step);
        require(same_bytes(parts.head.fields.bytes, parts.head.fields.size, whole.head.fields.bytes,
                           whole.head.fields.size));
        require(same_bytes(parts.body.bytes.bytes, parts.body.bytes.size, whole.body.bytes.bytes,
                           whole.body.bytes.size));
        require(client_body_ends(&parts.body) == client_body_ends(&whole.body));
    }
    if (whole.read == CLIENT_READ_BAD)
        return;
    head_check(&whole.head);
    require(whole.body.bytes.size <= ANSWER_BYTES_MAX);
    require(whole.read != CLIENT_READ_DONE || whole.head.status >= 200);
}

/* A look at many frames finds what looks at each of them find. */
static void frames(const uint8_t *data, size_t size)
{
    struct http_frames whole;
    struct http_frames parts;
    struct http_frames_seen sum = {0};

    http_frames_begin(&whole, 0);
    http_frames_begin(&parts, 0);
    struct http_frames_seen seen = http_frames_look(&whole, data, size);
    if (size < PREFACE_SIZE) {
        require(!whole.open && !seen.bad && seen.cost == 0);
        return;
    }
    (void)http_frames_look(&parts, data, PREFACE_SIZE);
    for (size_t at = PREFACE_SIZE; size - at >= FRAME_HEAD && !sum.bad;) {
        size_t length =
            FRAME_HEAD + ((size_t)data[at] << 16 | (size_t)data[at + 1] << 8 | data[at + 2]);
        if (length > size - at)
            break;
        struct http_frames_seen one = http_frames_look(&parts, data + at, length);
        sum.bad = one.bad;
        sum.continues = sum.continues || one.continues;
        sum.cost += one.cost;
        sum.data_bytes += one.data_bytes;
        sum.header_bytes += one.header_bytes;
        if (length > FRAME_HEAD + 16384)
            break; /* libh2o ends the connection here. */
        at += length;
    }
    require(seen.bad == sum.bad && seen.continues == sum.continues && seen.cost == sum.cost);
    require(seen.data_bytes == sum.data_bytes && seen.header_bytes == sum.header_bytes);
    require(seen.bad || whole.block_bytes <= HTTP_BLOCK_BYTES_MAX);
    require(http_frames_spend(&whole, seen.cost, 0) == (seen.cost <= HTTP_FRAMES_SPARE_MAX));
}

static void percent(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++)
        buffer_format(out, "%%%02X", (unsigned)(uint8_t)*text);
}

/* Written anew with every byte escaped it is the same form. */
static void form(const uint8_t *data, size_t size)
{
    struct params read OWNED(params_free) = {0};
    struct params again OWNED(params_free) = {0};
    struct buffer text OWNED(buffer_free) = BUFFER(8 * BYTES_MAX);

    if (failed(params_parse(data, size, &read)))
        return;
    require(read.count <= PARAMS_MAX);
    for (unsigned i = 0; i < read.count; i++) {
        const char *name = params_name(&read, i);
        size_t length = strlen(name);
        for (unsigned k = 0; k < i; k++)
            require(strcmp(params_name(&read, k), name) != 0 ||
                    (length >= 2 && strcmp(name + length - 2, "[]") == 0));
        buffer_add_text(&text, i == 0 ? "" : "&");
        percent(&text, name);
        buffer_add_text(&text, "=");
        percent(&text, params_value(&read, i));
    }
    must(buffer_status(&text));
    must(params_parse(text.bytes, text.size, &again));
    require(again.count == read.count);
    for (unsigned i = 0; i < read.count; i++) {
        require(strcmp(params_name(&read, i), params_name(&again, i)) == 0);
        require(strcmp(params_value(&read, i), params_value(&again, i)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {leases, gateway, frames, form};
    if (size < 1 || size > BYTES_MAX)
        return 0;
    readers[data[0] % (sizeof readers / sizeof readers[0])](data + 1, size - 1);
    return 0;
}
