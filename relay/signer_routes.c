/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/signer_routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "relay/accept.h"
#include "relay/refusal.h"
#include "relay/sign.h"
#include "vault/contract.h"

#define TEXT_MAX        128u
#define STATE_BYTES_MAX 2048u
#define PATH_ROTATE     CONTRACT_PATH_SIGNER "/rotate"

/* One that was asked for, or a caller to refuse; on its way to signer and ledger. */
struct rotate_ask {
    struct ledger_op op; /* First, so that an op pointer is this. */
    struct relay *relay;
    struct http_call *call; /* NULL: the caller is gone. */
    enum problem_code code; /* PROBLEM_NONE: may. */
    const struct policy_principal *principal;
    struct policy_decision decision;
    char origin[TEXT_MAX];
    char request_id[TEXT_MAX];
    struct signer_keys keys;
    struct rotation rotation;
};

static_assert(offsetof(struct rotate_ask, op) == 0, "an op pointer is a rotate_ask");

static void ask_free(struct rotate_ask **ask)
{
    free(*ask);
    *ask = NULL;
}

static void on_gone(void *owner)
{
    ((struct rotate_ask *)owner)->call = NULL;
}

static void answer_state(struct http_call *call, int status, const struct sign *sign)
{
    struct buffer body OWNED(buffer_free) = BUFFER(STATE_BYTES_MAX);

    sign_write(sign, &body);
    if (body.size == 0 || failed(buffer_status(&body))) {
        refusal_answer(call, PROBLEM_AUDIT_UNAVAILABLE, NULL);
        return;
    }
    http_answer(call, &(struct http_answer){.status = status,
                                            .content_type = "application/json",
                                            .body = body.bytes,
                                            .body_size = body.size});
}

/* Writer thread. */
static STATUS ask_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct rotate_ask *ask = (struct rotate_ask *)op;
    bool stranger = ask->code == PROBLEM_UNKNOWN_PRINCIPAL;
    struct sign_announcement named = {
        .entry = {.actor = ask->principal != NULL ? ask->principal->name : "-",
                  .origin = ask->origin,
                  .bundle = policy_bundle(ask->relay->policy),
                  .rule = ask->decision.rule[0] != '\0' ? ask->decision.rule : NULL,
                  .decision = ask->decision.allowed ? "allow" : "deny",
                  .request_id = ask->request_id},
        .overlap_ms = ask->relay->settings->signer_overlap_ms,
    };

    if (ask->code == PROBLEM_NONE)
        return sign_announce(ledger, batch, &ask->keys, &named, &ask->rotation);
    named.entry.event = stranger                      ? "auth.fail"
                        : ask->code == PROBLEM_DENIED ? "policy.deny"
                                                      : policy_action_name(POLICY_KEY_ROTATE);
    named.entry.outcome = refusal_name(ask->code);
    named.entry.object = "signer";
    return ledger_audit(ledger, batch, &named.entry);
}

static void ask_done(struct ledger_op *op)
{
    OWNED(ask_free) struct rotate_ask *ask = (struct rotate_ask *)op;
    struct http_call *call = MOVE(ask->call);

    if (!failed(op->status) && ask->code == PROBLEM_NONE)
        sign_rotates(ask->relay->sign, &ask->rotation);
    if (call == NULL)
        return;
    if (failed(op->status))
        refusal_answer(call, PROBLEM_AUDIT_UNAVAILABLE, NULL);
    else if (ask->code != PROBLEM_NONE)
        refusal_answer(call, ask->code, &ask->decision);
    else
        answer_state(call, 201, ask->relay->sign);
}

/* Takes the ask; it is freed when it is home. */
static void ask_submit(struct rotate_ask *ask)
{
    ask->op.apply = ask_apply;
    ask->op.done = ask_done;
    if (!failed(ledger_submit(ask->relay->ledger, &ask->op)))
        return;
    if (ask->call != NULL)
        refusal_answer(ask->call, PROBLEM_BUSY, NULL);
    ask_free(&ask);
}

static void on_made(void *owner, const struct signer_keys *keys)
{
    struct rotate_ask *ask = owner;

    if (keys == NULL)
        ask->code = PROBLEM_AUDIT_UNAVAILABLE;
    else
        ask->keys = *keys;
    ask_submit(ask);
}

/* Who may not, hears so and not how things stand. */
static void judge(struct rotate_ask *ask, enum policy_action action)
{
    struct policy_question question = {.action = action, .principal = ask->principal, .tenant = ""};

    if (ask->principal == NULL) {
        ask->code = PROBLEM_UNKNOWN_PRINCIPAL;
        return;
    }
    ask->decision = policy_decide(ask->relay->policy, &question);
    if (!ask->decision.allowed)
        ask->code = PROBLEM_DENIED;
    else if (action == POLICY_KEY_ROTATE && !sign_may_rotate(ask->relay->sign))
        ask->code = PROBLEM_STATE_CONFLICT;
}

static STATUS start(struct relay *relay, struct http_call *call, bool rotates)
{
    OWNED(ask_free) struct rotate_ask *ask = calloc(1, sizeof *ask);

    ENSURE(ask != NULL, WHY_NO_MEMORY);
    ask->relay = relay;
    ask->principal = accept_principal(relay, call);
    (void)snprintf(ask->origin, sizeof ask->origin, "%s", http_peer_address(call));
    (void)snprintf(ask->request_id, sizeof ask->request_id, "%s", http_request_id(call));
    judge(ask, rotates ? POLICY_KEY_ROTATE : POLICY_KEY_READ);
    if (!rotates && ask->code == PROBLEM_NONE) {
        answer_state(call, 200, relay->sign);
        return STATUS_OK;
    }
    if (ask->code == PROBLEM_NONE)
        TRY(sign_make(relay->sign, on_made, ask));
    ask->call = call;
    http_defer(call, ask, on_gone);
    if (ask->code != PROBLEM_NONE)
        ask_submit(ask);
    ask = NULL; /* ask_done() frees it. */
    return STATUS_OK;
}

bool signer_routes_call(struct relay *relay, struct http_call *call)
{
    const char *path = http_path(call);
    bool rotates = strcmp(path, PATH_ROTATE) == 0;

    if (!rotates && strcmp(path, CONTRACT_PATH_SIGNER) != 0)
        return false;
    if (strcmp(http_method(call), rotates ? "POST" : "GET") != 0)
        refusal_answer(call, PROBLEM_METHOD_NOT_ALLOWED, NULL);
    else if (failed(start(relay, call, rotates)))
        refusal_answer(call, PROBLEM_AUDIT_UNAVAILABLE, NULL);
    return true;
}
