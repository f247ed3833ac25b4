/* SPDX-License-Identifier: Apache-2.0 */
/* Policies and the log while memory runs out. */
#include "base/encode.h"
#include "policies/audit_verify.h"
#include "policies/policy.h"
#include "tests/policies/audit_support.h"
#include "tests/support/failing_alloc.h"

TestSuite(no_memory, .init = audit_start, .fini = audit_stop, .timeout = 120);

static struct status policy_run(void)
{
    OWNED(policy_free) struct policy *policy = NULL;
    char error[POLICY_ERROR_MAX] = "";

    return policy_load(TESTS_DIR "/../policies/examples/development.yaml", &policy, error,
                       sizeof error);
}

static void fill(void)
{
    append(5);
    commit();
    checkpoint_and_commit();
    append(2);
    commit();
}

static struct status open_run(void)
{
    OWNED(audit_log_free) struct audit_log *log = NULL;
    return audit_log_open(db, &families, ORIGIN, &log);
}

static void reopen(void)
{
    db_batch_clear(batch);
    log_reopen();
}

/* A turn: entries, one of which is taken back, and the commit. */
static struct status turn_run(void)
{
    struct audit_entry entry = some_entry();
    uint64_t size = audit_log_size(audit);
    uint64_t seq = 0;
    struct status status = STATUS_OK;

    for (unsigned i = 0; i < 40 && !failed(status); i++)
        status = audit_log_append(audit, batch, &entry, &seq);
    if (failed(status)) {
        audit_log_rewind(audit, size);
        db_batch_clear(batch);
        return status;
    }
    audit_log_seal(audit, batch);
    TRY(db_commit(db, batch));
    audit_log_committed(audit);
    db_batch_clear(batch);
    return STATUS_OK;
}

static void log_is_whole(void)
{
    struct audit_verdict verdict;
    cr_expect_eq(audit_log_next_seq(audit), audit_log_size(audit));
    cr_expect(!failed(audit_verify_store(db, &families, ORIGIN, &key, &verdict)));
    cr_expect(verdict.good, "%s", verdict.trouble);
    cr_expect_eq(verdict.entries, audit_log_size(audit));
}

static struct status leaves_run(void)
{
    struct buffer out OWNED(buffer_free) = BUFFER(1u << 16);
    return audit_log_leaves(audit, 0, (unsigned)audit_log_size(audit), &out);
}

static struct status verify_run(void)
{
    struct audit_verdict verdict;

    TRY(audit_verify_store(db, &families, ORIGIN, &key, &verdict));
    ENSURE(verdict.good, WHY_FORGED);
    return STATUS_OK;
}

Test(no_memory, is_said_and_leaves_nothing_half_done)
{
    static const struct failing_alloc_case cases[] = {
        /* An unknown key is refused with fewer words. */
        {.name = "policies", .run = policy_run, .may_succeed = true},
        {.name = "log", .run = open_run},
        /* What follows a commit is kept in memory only if there is some. */
        {.name = "turn",
         .run = turn_run,
         .before = reopen,
         .unchanged = log_is_whole,
         .may_succeed = true},
        {.name = "leaves", .run = leaves_run, .before = reopen},
        {.name = "verdict", .run = verify_run},
    };

    fill();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
    log_is_whole();
}
