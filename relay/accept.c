/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/accept.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/encode.h"
#include "base/hash.h"
#include "base/own.h"
#include "base/redact.h"
#include "relay/dry_run.h"

#define OUR_HEADERS          "cardkeep-"
#define HEADER_PURPOSE       "cardkeep-purpose"
#define HEADER_BEHALF        "cardkeep-on-behalf-of"
#define HEADER_DRY_RUN       "cardkeep-dry-run"
#define HEADER_NAME_MAX      64u
#define PURPOSE_FALLBACK     "payment"
#define CONNECTION_BYTES_MAX 4096u

const struct policy_principal *accept_principal(const struct relay *relay,
                                                const struct http_call *call)
{
    const struct tls_peer *peer = http_peer(call);

    if (peer == NULL || !tls_peer_valid(peer, clock_now_ms()))
        return NULL;
    return policy_principal_by_uri(relay->policy, peer->uri);
}

/* Visible ASCII, and spaces where allowed, within `most` characters. */
static bool is_sane(const char *text, size_t most, bool spaces)
{
    size_t size = strlen(text);

    if (size == 0 || size > most)
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] < (spaces ? 0x20 : 0x21) || text[i] > 0x7e)
            return false;
    return true;
}

/* Finds the destination and leaves the gateway's own path and query in `target`. */
static void route(struct submission *submission, const struct settings_destination *bound)
{
    const char *path = http_path(submission->call);
    const char *query = http_query(submission->call);

    submission->to = bound;
    if (bound == NULL) {
        size_t size = strcspn(path + 1, "/");
        submission->to = settings_destination_find(submission->relay->settings, path + 1, size);
        path += 1 + size;
    }
    buffer_add_text(&submission->target, path[0] == '\0' ? "/" : path);
    if (query[0] != '\0') {
        buffer_add_text(&submission->target, "?");
        buffer_add_text(&submission->target, query);
    }
}

static void decide(struct submission *submission)
{
    int64_t start_us = clock_monotonic_us();
    struct policy_question question = {
        .action = POLICY_CARD_SUBMIT,
        .principal = submission->principal,
        .tenant = submission->principal->tenant,
        .destination = submission->to->destination.name,
        .purpose = submission->purpose,
    };

    submission->decision = policy_decide(submission->relay->policy, &question);
    submission->outcome.policy_us = clock_monotonic_us() - start_us;
}

/* A header of ours that is misspelt, or there twice, must not be taken for absent: a dry run that
 * is sent in earnest is money. */
static bool our_headers_are_known(const struct http_call *call)
{
    static const char *const known[] = {HEADER_PURPOSE, HEADER_BEHALF, HEADER_DRY_RUN};
    unsigned seen[3] = {0};
    const char *name = NULL;
    const char *value = NULL;

    for (unsigned i = 0; http_header_at(call, i, &name, &value); i++) {
        bool found = strncasecmp(name, OUR_HEADERS, strlen(OUR_HEADERS)) != 0;
        for (unsigned k = 0; k < 3 && !found; k++) {
            found = strcasecmp(name, known[k]) == 0;
            seen[k] += found ? 1 : 0;
        }
        if (!found)
            return false;
    }
    return seen[0] <= 1 && seen[1] <= 1 && seen[2] <= 1;
}

static bool take_text(const struct http_call *call, const char *name,
                      char out[static SUBMISSION_TEXT_MAX + 1])
{
    const char *value = http_header(call, name);

    if (value == NULL)
        return true;
    struct redact_hit hit;
    if (!is_sane(value, SUBMISSION_TEXT_MAX, true) ||
        redact_find((const uint8_t *)value, strlen(value), 0, &hit))
        return false; /* It would stand in the ledger. */
    snprintf(out, SUBMISSION_TEXT_MAX + 1, "%s", value);
    return true;
}

static bool read_our_headers(struct submission *submission)
{
    struct http_call *call = submission->call;
    const char *dry = http_header(call, HEADER_DRY_RUN);

    if (!our_headers_are_known(call) || (dry != NULL && strcmp(dry, "true") != 0))
        return false;
    submission->dry_run = dry != NULL;
    if (!take_text(call, HEADER_BEHALF, submission->on_behalf_of) ||
        !take_text(call, HEADER_PURPOSE, submission->purpose))
        return false;
    if (submission->purpose[0] == '\0')
        snprintf(submission->purpose, sizeof submission->purpose, "%s", PURPOSE_FALLBACK);
    return true;
}

static bool read_method(struct submission *submission)
{
    const char *method = http_method(submission->call);
    size_t size = strlen(method);

    if (size == 0 || size > SUBMISSION_METHOD_MAX ||
        strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != size)
        return false;
    /* Neither means anything through a relay; TRACE would be an echo of what was inserted. */
    if (strcmp(method, "CONNECT") == 0 || strcmp(method, "TRACE") == 0)
        return false;
    snprintf(submission->method, sizeof submission->method, "%s", method);
    return true;
}

/* The key stands under its own name, or under the gateway's. */
static bool read_idempotency(struct submission *submission)
{
    const struct profile *profile = &submission->to->profile;
    const char *key = http_header(submission->call, "idempotency-key");
    size_t most = profile->idempotency_header[0] != '\0' ? profile->idempotency_length_max
                                                         : CONTRACT_IDEMPOTENCY_KEY_MAX;

    if (key == NULL && profile->idempotency_header[0] != '\0') {
        char name[sizeof profile->idempotency_header];
        for (size_t i = 0; i < sizeof name; i++) {
            char c = profile->idempotency_header[i];
            name[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        }
        key = http_header(submission->call, name);
    }
    if (key == NULL)
        return true;
    if (most > CONTRACT_IDEMPOTENCY_KEY_MAX)
        most = CONTRACT_IDEMPOTENCY_KEY_MAX;
    if (!is_sane(key, most, true))
        return false;
    snprintf(submission->idempotency_key, sizeof submission->idempotency_key, "%s", key);
    return true;
}

static STATUS copy_headers(struct submission *submission)
{
    const struct profile *profile = &submission->to->profile;
    struct buffer connection OWNED(buffer_free) = BUFFER(CONNECTION_BYTES_MAX);
    const char *name = NULL;
    const char *value = NULL;

    for (unsigned i = 0; http_header_at(submission->call, i, &name, &value); i++)
        if (strcasecmp(name, "connection") == 0)
            buffer_format(&connection, "%s,", value); /* It may stand more than once. */
    TRY(buffer_status(&connection));
    for (unsigned i = 0; http_header_at(submission->call, i, &name, &value); i++)
        forward_add(&submission->forward, profile, buffer_text(&connection), name, value);
    const char *key = submission->idempotency_key[0] != '\0' ? submission->idempotency_key : NULL;
    return forward_end(&submission->forward, profile, key);
}

/* WHY_LIMIT when there are more than one lease takes. */
static STATUS add_token(const char **list, unsigned *count, const char *token)
{
    for (unsigned i = 0; i < *count; i++)
        if (strcmp(list[i], token) == 0)
            return STATUS_OK;
    ENSURE(*count < CONTRACT_LEASE_TOKENS_MAX, WHY_LIMIT);
    list[(*count)++] = token;
    return STATUS_OK;
}

static STATUS list_tokens(struct submission *submission)
{
    for (unsigned i = 0; i < submission->slots.count; i++) {
        const struct expression *expression = &submission->slots.list[i].expression;
        if (expression->is_cvv_token)
            TRY(add_token(submission->cvv_tokens, &submission->cvv_token_count, expression->token));
        else
            TRY(add_token(submission->card_tokens, &submission->card_token_count,
                          expression->token));
    }
    struct ledger_submission *row = &submission->row;
    for (unsigned i = 0; i < submission->card_token_count; i++)
        row->tokens[row->token_count++] = submission->card_tokens[i];
    for (unsigned i = 0; i < submission->cvv_token_count; i++)
        row->tokens[row->token_count++] = submission->cvv_tokens[i];
    return STATUS_OK;
}

static_assert(LEDGER_KEY_BYTES == HASH_BYTES, "SHA-256");

/* Every part with its size before it, so that no two lists of parts hash alike. */
static void digest_add(const void *part, size_t size)
{
    uint64_t told = size;

    hash_add(&told, sizeof told);
    if (size > 0)
        hash_add(part, size);
}

/* Adds what is forwarded under a name; nothing where it is not there. */
static void digest_add_header(const struct forward *forward, const char *name)
{
    for (const char *const *at = forward->headers; at[0] != NULL; at += 2)
        if (strcasecmp(at[0], name) == 0) {
            digest_add(name, strlen(name));
            digest_add(at[1], strlen(at[1]));
        }
}

/* A key holds for one caller and one destination. */
static void digest_key(const struct submission *submission, uint8_t out[static LEDGER_KEY_BYTES])
{
    const char *const parts[] = {submission->principal->name, submission->to->destination.name,
                                 submission->idempotency_key};

    hash_begin();
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        digest_add(parts[i], strlen(parts[i]));
    hash_end(out);
}

/* What makes a repeat the same request.  The headers that say whose account it is are of it: the
 * answer of one account is none of another's. */
static void digest_request(const struct submission *submission,
                           uint8_t out[static LEDGER_KEY_BYTES])
{
    const struct profile *profile = &submission->to->profile;

    hash_begin();
    digest_add(submission->method, strlen(submission->method));
    digest_add(submission->target.bytes, submission->target.size);
    digest_add(submission->body.bytes, submission->body.size);
    digest_add_header(&submission->forward, "authorization");
    for (unsigned i = 0; i < profile->account_count; i++)
        digest_add_header(&submission->forward, profile->account_headers[i]);
    hash_end(out);
}

static void fill_row(struct submission *submission)
{
    struct ledger_submission *row = &submission->row;

    row->principal = submission->principal->name;
    row->tenant = submission->principal->tenant[0] != '\0' ? submission->principal->tenant : NULL;
    row->destination = submission->to->destination.name;
    row->purpose = submission->purpose;
    row->on_behalf_of = submission->on_behalf_of[0] != '\0' ? submission->on_behalf_of : NULL;
    row->method = submission->method;
    row->request_id = submission->request_id;
    row->origin = submission->origin;
    row->bundle = policy_bundle(submission->relay->policy);
    row->rule = submission->decision.rule;
    row->kept_ms = submission->relay->settings->ledger_kept_ms;
    row->window_ms = submission->to->profile.idempotency_window_ms;
    row->has_key = submission->idempotency_key[0] != '\0';
    digest_key(submission, row->key);
    digest_request(submission, row->digest);
}

/* What there is no memory for may pass another time; what is too large will not. */
static enum problem_code code_of(struct status status, enum problem_code too_large)
{
    return status.why == WHY_NO_MEMORY ? PROBLEM_BUSY : too_large;
}

/* The request itself, its slots and its tokens; PROBLEM_NONE when all is well. */
static enum problem_code read_request(struct submission *submission)
{
    struct slots_problem problem = {0};
    size_t size = 0;
    const uint8_t *body = http_body(submission->call, &size);

    buffer_add(&submission->body, body, size);
    struct status status = buffer_status(&submission->body);
    if (failed(status))
        return code_of(status, PROBLEM_TOO_LARGE);
    status = buffer_status(&submission->target);
    if (!failed(status))
        status = copy_headers(submission);
    if (failed(status))
        return code_of(status, PROBLEM_HEADER_TOO_LARGE);
    struct slots_request request = {
        .target = buffer_text(&submission->target),
        .content_type = http_header(submission->call, "content-type"),
        .content_encoding = http_header(submission->call, "content-encoding"),
        .headers = submission->forward.headers,
        .body = submission->body.bytes,
        .body_size = submission->body.size,
    };
    status = slots_find(&submission->to->profile, &request, &submission->slots, &problem);
    if (failed(status)) {
        snprintf(submission->field, sizeof submission->field, "%s", problem.field);
        snprintf(submission->detail, sizeof submission->detail, "%s", problem.detail);
        return status.why == WHY_BAD_INPUT ? problem.code : PROBLEM_BUSY;
    }
    if (failed(list_tokens(submission))) {
        snprintf(submission->detail, sizeof submission->detail,
                 "One request takes at most %u card tokens and as many for CVVs.",
                 CONTRACT_LEASE_TOKENS_MAX);
        return PROBLEM_INVALID_FIELD;
    }
    return PROBLEM_NONE;
}

/* Headers that are wrong, by what is to be said of them; NULL when none is. */
static const char *headers_trouble(struct submission *submission)
{
    if (!read_our_headers(submission))
        return "Of headers that begin with Cardkeep-, Purpose, On-Behalf-Of and Dry-Run: true are "
               "known, each once and without a card number.";
    if (submission->to != NULL && !read_idempotency(submission))
        return "The idempotency key is empty, too long for this gateway, or not printable.";
    return NULL;
}

/* Another with the same key is under way.  Whether that one is sent is not known yet, so that this
 * is what its repeat hears: not that it may be tried anew under another key. */
static void refuse_twin(struct submission *submission, const struct submission *twin)
{
    submission->outcome.safe_to_retry = false;
    if (memcmp(submission->row.digest, twin->row.digest, sizeof twin->row.digest) != 0) {
        submission_refuse(submission, PROBLEM_IDEMPOTENCY_CONFLICT, ANSWER_FAILED_RELAY);
        return;
    }
    memcpy(submission->intent.first_id, twin->row.id, sizeof submission->intent.first_id);
    submission->outcome.submission_id = submission->intent.first_id;
    submission->outcome.outcome = LEDGER_SENT_NO_ANSWER;
    submission->outcome.retry_after_s = 1;
    snprintf(submission->detail, sizeof submission->detail,
             "A request with this idempotency key is under way; ask again with the same key.");
    submission_refuse(submission, PROBLEM_STATE_CONFLICT, ANSWER_FAILED_RELAY);
}

/* The order of the questions is the order of the answers: who, where, may they, what. */
static void judge(struct submission *submission)
{
    const char *trouble = headers_trouble(submission);

    if (submission->principal == NULL) {
        submission_refuse(submission, PROBLEM_UNKNOWN_PRINCIPAL, ANSWER_FAILED_POLICY);
        return;
    }
    if (submission->to == NULL) {
        submission_refuse(submission, PROBLEM_UNKNOWN_DESTINATION, ANSWER_FAILED_RELAY);
        return;
    }
    decide(submission);
    if (!submission->decision.allowed) {
        submission_refuse(submission, PROBLEM_DENIED, ANSWER_FAILED_POLICY);
        return;
    }
    if (trouble != NULL) {
        snprintf(submission->detail, sizeof submission->detail, "%s", trouble);
        submission_refuse(submission, PROBLEM_INVALID_HEADER, ANSWER_FAILED_RELAY);
        return;
    }
    if (!read_method(submission)) {
        submission_refuse(submission, PROBLEM_METHOD_NOT_ALLOWED, ANSWER_FAILED_RELAY);
        return;
    }
    enum problem_code code = read_request(submission);
    if (code != PROBLEM_NONE) {
        submission_refuse(submission, code, ANSWER_FAILED_RELAY);
        return;
    }
    if (submission->dry_run) {
        dry_run_answer(submission);
        return;
    }
    fill_row(submission);
    const struct submission *twin = NULL;
    if (submission->row.has_key && !submission_claim(submission, &twin)) {
        refuse_twin(submission, twin);
        return;
    }
    submit_start(submission);
}

void accept_call(struct relay *relay, struct http_call *call,
                 const struct settings_destination *bound)
{
    struct submission *submission = NULL;

    if (failed(submission_new(relay, call, &submission))) {
        struct http_problem problem = refusal_of(PROBLEM_BUSY);
        struct answer_outcome outcome = {.outcome = LEDGER_NOT_SENT,
                                         .safe_to_retry = true,
                                         .failed = ANSWER_FAILED_RELAY,
                                         .retry_after_s = 1};
        answer_problem(call, &problem, &outcome);
        return;
    }
    submission->principal = accept_principal(relay, call);
    route(submission, bound);
    judge(submission);
}
