/* SPDX-License-Identifier: Apache-2.0 */
/* The requests, each one new. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/encode.h"
#include "tests/bench/load.h"
#include "vault/contract.h"

/* 9999 is assigned to no issuer: whatever follows is nobody's card.  Eleven digits follow, and the
 * check digit; the factor has no divisor in common with their number, so it spreads neighbours over
 * the range and never meets itself. */
#define CARD_PREFIX "9999"
#define CARD_RANGE  UINT64_C(100000000000)
#define CARD_SPREAD UINT64_C(180339887) /* The largest product has 64 bits. */
#define CARD_DIGITS 16

/* As it stands in a format. */
#define FIELD "&payment_method_data%%5Bcard%%5D%%5B"

static const struct load_work_kind {
    const char *method;
    const char *path;
    const char *content_type;
    unsigned expects;
    bool uses_tokens;
} kinds[LOAD_KIND_COUNT] = {
    [LOAD_TOKENIZE] = {"POST", "/v1/tokens", "application/json", 201, false},
    [LOAD_BATCH] = {"POST", "/v1/tokens/batch", "application/json", 200, false},
    [LOAD_SHOW] = {"GET", "/v1/tokens/", NULL, 200, true},
    [LOAD_LEASE] = {"POST", "/v1/leases", "application/json", 200, true},
    [LOAD_SETTLE] = {"POST", "/v1/leases", "application/json", 200, true},
    [LOAD_PAY] = {"POST", "/sandbox/v1/payment_intents", "application/x-www-form-urlencoded", 200,
                  true},
    [LOAD_FIXED] = {"GET", "/", NULL, 200, false},
};

unsigned load_work_expects(const struct load_options *options)
{
    return options->expect > 0 ? options->expect : kinds[options->kind].expects;
}

const char *load_work_method(const struct load_options *options)
{
    return options->method != NULL ? options->method : kinds[options->kind].method;
}

const char *load_work_content_type(const struct load_options *options)
{
    return options->content_type != NULL ? options->content_type
                                         : kinds[options->kind].content_type;
}

static __attribute__((format(printf, 2, 3))) void add(struct load_bytes *bytes, const char *format,
                                                      ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(size >= 0);
    assert((size_t)size < sizeof text);
    load_bytes_add(bytes, text, (size_t)size);
}

static void add_text(struct load_bytes *bytes, const char *text)
{
    load_bytes_add(bytes, text, strlen(text));
}

/* The right last digit for those before it (ISO/IEC 7812-1 annex B). */
static char check_digit(const char *digits, size_t count)
{
    unsigned sum = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(digits[count - 1 - i] - '0');
        unsigned doubled = i % 2 == 0 ? 2 * digit : digit;
        sum += doubled > 9 ? doubled - 9 : doubled;
    }
    return (char)('0' + (10 - sum % 10) % 10);
}

static void card_next(struct load *load, char out[static CARD_DIGITS + 1])
{
    uint64_t rest = load->card_next++ % CARD_RANGE * CARD_SPREAD % CARD_RANGE;

    memcpy(out, CARD_PREFIX, 4);
    for (unsigned i = CARD_DIGITS - 2; i >= 4; i--, rest /= 10)
        out[i] = (char)('0' + rest % 10);
    out[CARD_DIGITS - 1] = check_digit(out, CARD_DIGITS - 1);
    out[CARD_DIGITS] = '\0';
}

static void add_card(struct load *load, struct load_bytes *body)
{
    char card[CARD_DIGITS + 1];

    card_next(load, card);
    add_text(body, "{\"number\":\"");
    load_bytes_add(body, card, CARD_DIGITS);
    add_text(body, "\",\"exp_month\":12,\"exp_year\":2031}");
}

static const char *token_next(struct load *load)
{
    return load->tokens[load->next_id++ % load->token_count];
}

static void add_leases(struct load *load, struct load_bytes *body)
{
    add_text(body, "{\"leases\":[");
    for (unsigned i = 0; i < load->options.batch; i++) {
        const char *token = token_next(load);
        char submission[32];
        random_ordered_id(CONTRACT_SUBMISSION_PREFIX, submission,
                          sizeof submission); /* As relays do. */
        add(body,
            "%s{\"submission_id\":\"%s\",\"destination\":\"sandbox\","
            "\"purpose\":\"payment\",\"on_behalf_of\":\"shop\",\"tokens\":[\"%s\"]}",
            i == 0 ? "" : ",", submission, token);
    }
    add_text(body, "]}");
}

static void add_payment(struct load *load, struct load_slot *slot)
{
    char card[CARD_DIGITS + 1];
    const char *number = card;
    const char *month = "12";
    const char *year = "2031";

    if (load->options.cards) {
        card_next(load, card);
        load->next_id++;
    } else
        number = month = year = token_next(load);
    (void)snprintf(slot->key, sizeof slot->key, "%s-%" PRIu64, load->run_id, load->next_id);
    add(&slot->body,
        "amount=1999&currency=eur&confirm=true&payment_method_data%%5Btype%%5D=card" FIELD
        "number%%5D=%s" FIELD "exp_month%%5D=%s" FIELD "exp_year%%5D=%s",
        number, month, year);
}

void load_work_next(struct load *load, struct load_slot *slot)
{
    const struct load_options *options = &load->options;
    const struct load_work_kind *kind = &kinds[options->kind];
    const char *path = options->path != NULL ? options->path : kind->path;

    slot->body.size = 0;
    slot->settling = slot->lease[0] != '\0';
    if (slot->settling)
        path = "/v1/settlements";
    if (options->kind == LOAD_SHOW)
        (void)snprintf(slot->path, sizeof slot->path, "%s%s", path, token_next(load));
    else
        (void)snprintf(slot->path, sizeof slot->path, "%s", path);
    if (slot->settling)
        add(&slot->body, "{\"settlements\":[{\"lease_id\":\"%s\",\"outcome\":\"answered\"}]}",
            slot->lease);
    else if (options->kind == LOAD_TOKENIZE)
        add_card(load, &slot->body);
    else if (options->kind == LOAD_BATCH) {
        for (unsigned i = 0; i < options->batch; i++) {
            add_text(&slot->body, i == 0 ? "{\"cards\":[" : ",");
            add_card(load, &slot->body);
        }
        add_text(&slot->body, "]}");
    } else if (options->kind == LOAD_LEASE || options->kind == LOAD_SETTLE)
        add_leases(load, &slot->body);
    else if (options->kind == LOAD_PAY)
        add_payment(load, slot);
    else if (options->kind == LOAD_FIXED)
        load_bytes_add(&slot->body, options->body, options->body_size);
}

/* ---- Answers ---- */

/* The text behind `name` up to the next quote, and where it ends; NULL where there is none. */
static const char *member_find(const char *from, const char *end, const char *name,
                               size_t *out_size)
{
    const char *at = memmem(from, (size_t)(end - from), name, strlen(name));

    if (at == NULL)
        return NULL;
    at += strlen(name);
    const char *quote = memchr(at, '"', (size_t)(end - at));
    if (quote == NULL)
        return NULL;
    *out_size = (size_t)(quote - at);
    return at;
}

/* Counts what stands for an item done, and keeps tokens. */
static unsigned members_count(struct load *load, const struct load_slot *slot, const char *name)
{
    const char *at = slot->answer.at;
    const char *end = at + slot->answer.size;
    unsigned found = 0;
    size_t size = 0;

    while (at != NULL && (at = member_find(at, end, name, &size)) != NULL) {
        found++;
        if (load->tokens_out != NULL && load->token_made_count++ % load->options.keep_every == 0) {
            fwrite(at, 1, size, load->tokens_out);
            fputc('\n', load->tokens_out);
        }
        at += size;
    }
    return found;
}

/* What the vault or the relay calls it; a gateway may call it nothing. */
static void refusal_keep(struct load *load, const struct load_slot *slot)
{
    const char *end = slot->answer.at + slot->answer.size;
    size_t size = 0;

    if (load->refusal[0] != '\0' || slot->answer.size == 0)
        return;
    const char *code = member_find(slot->answer.at, end, "\"code\":\"", &size);
    if (code == NULL || size >= sizeof load->refusal || memchr(code, '\\', size) != NULL)
        return;
    memcpy(load->refusal, code, size);
    load->refusal[size] = '\0';
}

/* A refusal in its place stands in an answer that is good as a whole. */
void load_work_answered(struct load *load, struct load_slot *slot)
{
    const struct load_options *options = &load->options;
    const char *end = slot->answer.at + slot->answer.size;
    unsigned done = options->batch;
    size_t size = 0;

    if (slot->status != load_work_expects(options) || options->expect > 0) {
        if (slot->status != load_work_expects(options))
            refusal_keep(load, slot);
        slot->lease[0] = '\0';
        return;
    }
    if (options->kind == LOAD_BATCH || options->kind == LOAD_TOKENIZE)
        done = members_count(load, slot, "{\"token\":\"");
    else if (options->kind == LOAD_LEASE)
        done = members_count(load, slot, "\"lease_id\":\"");
    else if (options->kind == LOAD_SETTLE && slot->settling) {
        done = memmem(slot->answer.at, slot->answer.size, "\"settled\"", 9) == NULL ? 0 : 1;
        slot->lease[0] = '\0';
    } else if (options->kind == LOAD_SETTLE) {
        const char *lease = member_find(slot->answer.at, end, "\"lease_id\":\"", &size);
        done = lease == NULL ? 0 : 1;
        if (lease != NULL && size < sizeof slot->lease)
            memcpy(slot->lease, lease, size);
        slot->lease[lease != NULL && size < sizeof slot->lease ? size : 0] = '\0';
    }
    if (done >= options->batch)
        return;
    load->refused_count += options->batch - done;
    refusal_keep(load, slot);
}

/* ---- Before and after ---- */

static void tokens_read(struct load *load)
{
    const char *path = load->options.tokens_in;
    char line[LOAD_ID_MAX];
    size_t capacity = 0;

    if (path == NULL)
        load_die("this kind of request needs --tokens");
    FILE *file = fopen(path, "r");
    if (file == NULL)
        load_die("%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0')
            continue;
        if (load->token_count == capacity) {
            capacity = capacity == 0 ? 1024 : 2 * capacity;
            char **grown = realloc(load->tokens, capacity * sizeof *grown);
            if (grown == NULL)
                load_die("no memory for tokens");
            load->tokens = grown;
        }
        load->tokens[load->token_count] = strdup(line);
        if (load->tokens[load->token_count++] == NULL)
            load_die("no memory for tokens");
    }
    fclose(file);
    if (load->token_count == 0)
        load_die("%s has no token", path);
}

void load_work_start(struct load *load)
{
    const struct load_options *options = &load->options;
    uint64_t chance[2];

    if (getrandom(chance, sizeof chance, 0) != sizeof chance)
        load_die("no randomness");
    (void)snprintf(load->run_id, sizeof load->run_id, "%016" PRIx64, chance[0]);
    load->card_next = (options->first != UINT64_MAX ? options->first : chance[1]) % CARD_RANGE;
    if (kinds[options->kind].uses_tokens && !options->cards)
        tokens_read(load);
    if (options->tokens_out == NULL)
        return;
    load->tokens_out = fopen(options->tokens_out, "w");
    if (load->tokens_out == NULL)
        load_die("%s: %s", options->tokens_out, strerror(errno));
}

void load_work_end(struct load *load)
{
    if (load->tokens_out != NULL && fclose(load->tokens_out) != 0)
        load_die("%s: %s", load->options.tokens_out, strerror(errno));
    load->tokens_out = NULL;
}
