/* SPDX-License-Identifier: Apache-2.0 */
/* tests/relay/ledgers.h -- a ledger in a folder of its own, and what the tests do to it.
 *
 * In      submissions (tests/relay/submissions.h).
 * Out     `ledger`, open between store_make() and store_remove(); whether a row is there.
 * Never   is linked into a daemon.
 * Threads one.
 */
#ifndef TESTS_RELAY_LEDGERS_H
#define TESTS_RELAY_LEDGERS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/ledger_rows.h"
#include "relay/ledger_sweep.h"
#include "tests/relay/submissions.h"

static char folder[64];
static char store[96];
static struct ledger *ledger;

static inline void ledger_reopen(void)
{
    char error[256] = "";
    ledger_close(&ledger);
    struct status status = ledger_open(store, "relay.test/log", &ledger, error, sizeof error);
    cr_assert(!failed(status), "%s: %s", status.where, error);
}

static inline void store_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/cardkeep-ledger-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(store, sizeof store, "%s/store", folder);
    ledger_reopen();
}

static inline void store_remove(void)
{
    char command[128];
    ledger_close(&ledger);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

static inline void nowhere(struct ledger_op *op)
{
    (void)op;
}

/* Runs an intent; what was found.  `out_answer` takes the kept answer where one is wanted. */
static inline enum ledger_found intend(const struct ledger_submission *of,
                                       struct buffer *out_answer)
{
    struct ledger_intent intent = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                   .submission = of};
    ledger_run(ledger, &intent.op);
    cr_assert(!failed(intent.op.status), "%s", intent.op.status.where);
    if (out_answer != NULL)
        *out_answer = intent.answer;
    else
        buffer_free(&intent.answer);
    return intent.found;
}

static inline void finish_leased(const struct ledger_submission *of, enum ledger_outcome outcome,
                                 const struct buffer *answer, bool settles)
{
    struct ledger_end end = {.op = {.apply = ledger_rows_end_apply, .done = nowhere},
                             .submission = of,
                             .outcome = outcome,
                             .code = "ok",
                             .status = 200,
                             .answer = answer,
                             .settles = settles};
    ledger_run(ledger, &end.op);
    cr_assert(!failed(end.op.status), "%s", end.op.status.where);
}

static inline void finish(const struct ledger_submission *of, enum ledger_outcome outcome,
                          const struct buffer *answer)
{
    finish_leased(of, outcome, answer, false);
}

static inline bool has_row(enum ledger_family family, const char *id)
{
    struct buffer row OWNED(buffer_free) = BUFFER(1 << 20);
    struct status status = db_get(ledger_db(ledger), family, id, strlen(id), &row);
    cr_assert(!failed(status) || status.why == WHY_NOT_FOUND);
    return !failed(status);
}

/* Sweeps as if it were `now_ms`; how many rows went. */
static inline unsigned swept_at(int64_t now_ms)
{
    struct ledger_sweep sweep = ledger_sweep_at(now_ms, nowhere);

    ledger_run(ledger, &sweep.op);
    cr_assert(!failed(sweep.op.status), "%s", sweep.op.status.where);
    return sweep.deleted;
}

static inline bool has_key(const struct ledger_submission *of)
{
    struct buffer row OWNED(buffer_free) = BUFFER(1 << 20);
    return !failed(db_get(ledger_db(ledger), LEDGER_KEYS, of->key, sizeof of->key, &row));
}

#endif
