/* SPDX-License-Identifier: Apache-2.0 */
/* vault/problem.h -- why a request was refused: one code of the contract, a field, a sentence.
 *
 * In      a code, and what may be told: a field's place, facts such as a count of digits, a
 *         rule's id.
 * Out     the same as a value that travels from the keeper to the front and from there to the
 *         caller.
 * Never   holds any part of what was sent.
 * Threads any.
 */
#ifndef VAULT_PROBLEM_H
#define VAULT_PROBLEM_H

#include "base/buffer.h"
#include "base/http.h"
#include "base/status.h"
#include "vault/contract.h"

struct problem {
    enum problem_code code;
    char field[96];   /* JSON pointer, "" for none. */
    char detail[160]; /* A sentence, "" for none. */
    char rule[64];    /* The rule that denied, "" for none. */
};

#define PROBLEM_NOTHING ((struct problem){.code = PROBLEM_NONE})

int problem_status(enum problem_code code);
const char *problem_name(enum problem_code code);
const char *problem_title(enum problem_code code);

/* Fills *out_problem; `field` and `detail` may be NULL. */
void problem_set(struct problem *out_problem, enum problem_code code, const char *field,
                 const char *detail);

/* The code that answers for a failure of ours: busy, store_unavailable, … */
enum problem_code problem_of(struct status status);

/* Both directions of the form in a frame. */
void problem_encode(const struct problem *problem, struct buffer *out);
void problem_decode(struct cursor *in, struct problem *out_problem);

/* As base/http.h wants it; lends the texts of `problem`. */
struct http_problem problem_http(const struct problem *problem);

#endif
