/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of text as a front that was broken into would send them: the keeper reads object, query
 * and id.  What is taken is within its bounds; what is refused has a problem or a reason; and no
 * problem repeats what was sent. */
#include <sodium.h>

#include "base/own.h"
#include "tests/fuzz/require.h"
#include "vault/keeper_text.h"

static const char *const fields[] = {"reason", "threshold", "custodians", NULL};
static const char *const params[] = {"tenant", "state", NULL};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    return 0;
}

static void object_read(struct keeper_text *text)
{
    static const struct read_object_range range = {1, 2, 16, PROBLEM_INVALID_FIELD};
    struct keeper_op op = {0};
    struct read_object object;
    char reason[64];

    if (failed(keeper_text_object(&op, text, fields, &object))) {
        require(op.problem.code != PROBLEM_NONE);
        return;
    }
    read_object_free_text(&object, 0, reason, sizeof reason);
    int64_t threshold = read_object_int(&object, &range);
    require(strlen(reason) < sizeof reason);
    if (!failed(keeper_text_judge(&object)))
        require(threshold == 0 || (threshold >= 2 && threshold <= 16));
    else
        require(op.problem.code != PROBLEM_NONE);
}

static void query_read(struct keeper_text *text)
{
    struct keeper_text_param values[2];
    struct keeper_op op = {0};

    if (failed(keeper_text_params(&op, text, params, values))) {
        require(op.problem.code != PROBLEM_NONE);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        require(strpbrk(values[i].value, "&=% \"\\") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct cursor in = cursor_over(data, size);
    uint64_t id = 0;

    if (failed(keeper_text_open(&in, &text)))
        return 0;
    if (!failed(keeper_text_id(&text, "job_", &id)))
        require(id >= 1 && id < 1000000000000);
    query_read(&text);
    object_read(&text);
    return 0;
}
