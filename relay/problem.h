/* SPDX-License-Identifier: Apache-2.0 */
/* relay/problem.h -- the contract's table of problems, to look things up in.
 *
 * In      a code.
 * Out     its HTTP status, its text, its title.
 * Never   repeats input.
 * Threads any.
 */
#ifndef RELAY_PROBLEM_H
#define RELAY_PROBLEM_H

#include "base/http.h"
#include "vault/contract.h"

/* PROBLEM_NONE for a text that is no code. */
enum problem_code problem_find(const char *code);
int problem_status(enum problem_code code);
const char *problem_name(enum problem_code code);
/* With status, code and title filled in. */
struct http_problem problem_of(enum problem_code code);

#endif
