/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/signer_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "base/supervise.h"

#define SIGNER_LOCK_BYTES (64u << 10)

static const struct call_rule remembering[] = {
    CALL(fsync, "what it signed is on the disk before it is out"),
    CALL(rename, "whole or not at all"),
    CALL(renameat, "the same"),
    CALL(renameat2, "the same"),
};
static const struct call_list memory_file = CALL_LIST(remembering);

const struct call_list *const signer_process_calls[] = {&calls_always, &memory_file, NULL};

static STATUS signer_confine(const struct signer_process *process,
                             struct sandbox_report *out_report)
{
    char next[4096];
    int size = snprintf(next, sizeof next, "%s.next", process->options.key_path);

    ENSURE(size > 0 && (size_t)size < sizeof next, WHY_LIMIT);
    const struct landlock_path paths[] = {
        {process->options.key_path, LANDLOCK_READ},
        {next, LANDLOCK_READ},
        {process->options.key_path, LANDLOCK_OF_FILE}, /* Its next one, which takes its place. */
        {process->options.state_path, LANDLOCK_READ},
        {process->options.state_path, LANDLOCK_OF_FILE}, /* Its next one, until it is renamed. */
        {"/etc/ssl/openssl.cnf", LANDLOCK_READ},         /* The host's providers. */
    };
    struct sandbox_options options = {
        .lock_bytes = SIGNER_LOCK_BYTES,
        .user = process->user,
        .strict = process->production,
        .files = {.paths = paths,
                  .path_count = sizeof paths / sizeof paths[0],
                  .network = LANDLOCK_NO_NETWORK},
        .calls = signer_process_calls,
    };

    return sandbox_enter(&options, out_report);
}

int signer_process_run(const struct signer_process *process)
{
    const struct signer_options *options = &process->options;
    struct sandbox_report report = {0};

    if (!supervise_ignore_term() ||
        failed(log_open(process->component, process->level, STDERR_FILENO)))
        return EXIT_FAILURE;
    struct status status = signer_confine(process, &report);
    if (!failed(status) && report.missing[0] != '\0')
        log_event(LOG_WARN, "guards_missing", "missing", report.missing, NULL);
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
