/* SPDX-License-Identifier: Apache-2.0 */
/* relay/refusal.h -- the contract's table of problems, to look things up in.
 *
 * In      a code.
 * Out     its HTTP status, its text, its title.
 * Never   repeats input.
 * Threads any.
 */
#ifndef RELAY_REFUSAL_H
#define RELAY_REFUSAL_H

#include "base/http.h"
#include "vault/contract.h"

/* PROBLEM_NONE for a text that is no code. */
enum problem_code refusal_find(const char *code);
int refusal_status(enum problem_code code);
const char *refusal_name(enum problem_code code);
/* With status, code and title filled in. */
struct http_problem refusal_of(enum problem_code code);
/* Answers a call with it; of a denial, the rule of `decision` is told where there is one. */
struct policy_decision;
void refusal_answer(struct http_call *call, enum problem_code code,
                    const struct policy_decision *decision);

#endif
