/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/signer_process.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "base/supervise.h"

#define SIGNER_LOCK_BYTES (64u << 10)

int signer_process_run(const struct signer_process *process)
{
    const struct signer_options *options = &process->options;
    struct sandbox_report report = {0};

    if (!supervise_ignore_term() ||
        failed(log_open(process->component, process->level, STDERR_FILENO)))
        return EXIT_FAILURE;
    struct status status =
        sandbox_enter(SIGNER_LOCK_BYTES, process->user, process->production, &report);
    if (!failed(status))
        status = signer_run(options);
    if (!failed(status))
        return EXIT_SUCCESS;
    log_failure(LOG_ERROR, "signer_ended", status, "key", options->key_path, "state",
                options->state_path, "missing", report.missing, NULL);
    /* A missing, open or damaged key or state does not mend itself. */
    bool hopeless = status.why == WHY_NOT_FOUND || status.why == WHY_DENIED ||
                    status.why == WHY_BAD_INPUT || status.why == WHY_FORGED;
    return hopeless ? SUPERVISE_EXIT_CONFIG : EXIT_FAILURE;
}
