/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <assert.h>

const char *status_name(enum why why)
{
    static const char *const names[WHY_COUNT] = {
        [WHY_NONE] = "none",           [WHY_BAD_INPUT] = "bad input",
        [WHY_DENIED] = "denied",       [WHY_NOT_FOUND] = "not found",
        [WHY_CONFLICT] = "conflict",   [WHY_LIMIT] = "limit",
        [WHY_BUSY] = "busy",           [WHY_TIMEOUT] = "timeout",
        [WHY_FORGED] = "forged",       [WHY_IO] = "io",
        [WHY_NO_MEMORY] = "no memory",
    };
    assert((unsigned)why < WHY_COUNT);
    return names[why];
}
