/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/behaviour.h -- how the gateway shall misbehave, on request.
 *
 * In      the header Sandbox-Behaviour, or the form field metadata[sandbox_behaviour].
 * Out     one of a closed list, and what it does to an answer.
 * Never   guesses: an unknown name is refused.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_BEHAVIOUR_H
#define RELAY_SANDBOX_BEHAVIOUR_H

#include "base/http.h"
#include "relay/sandbox/card.h"
#include "relay/sandbox/reply.h"

enum behaviour {
    BEHAVIOUR_NONE, /* As the card's number says. */
    BEHAVIOUR_APPROVE,
    BEHAVIOUR_DECLINE,
    BEHAVIOUR_REQUIRES_ACTION,
    BEHAVIOUR_SLOW,         /* Carried out; answered after Sandbox-Delay-Ms, 10 s without it. */
    BEHAVIOUR_CLOSE_BEFORE, /* Carried out; no byte of an answer. */
    BEHAVIOUR_CLOSE_HALF,   /* Carried out; the head and half of the body. */
    BEHAVIOUR_ECHO,         /* The card in the body, in a header and in an error's message. */
    BEHAVIOUR_MALFORMED,    /* Carried out; what comes back is no HTTP. */
    BEHAVIOUR_ERROR_500,    /* Not carried out. */
    BEHAVIOUR_ERROR_400,
    BEHAVIOUR_REDIRECT,
    BEHAVIOUR_COUNT
};

/* WHY_BAD_INPUT: there is no such behaviour.  NULL is BEHAVIOUR_NONE. */
STATUS behaviour_parse(const char *text, enum behaviour *out);

/* The verdict that it forces; false when it forces none. */
bool behaviour_verdict(enum behaviour behaviour, struct card_verdict *out);

/* True when it answers in the place of the gateway, which then does nothing. */
bool behaviour_instead(enum behaviour behaviour, struct reply *reply);

/* Adds the member "echo" with all the shapes in which a card may come back to an object. */
void behaviour_echo(const struct card *card, struct reply *reply);

/* Sends the answer's head and half of its body, or what is no HTTP, or nothing, and hangs up. */
void behaviour_cut(enum behaviour behaviour, struct http_call *call, const struct reply *reply);

#endif
