/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include <assert.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/sandbox.h"

#define OWN_FIRST 256 /* Above every character. */

static int daemon_usage(const struct daemon_command *command)
{
    (void)fputs(command->usage, stderr);
    return DAEMON_EXIT_USAGE;
}

int daemon_main(int argc, char **argv, const struct daemon_command *command)
{
    struct option options[DAEMON_OPTIONS_MAX + 5] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
    };
    struct daemon_call call = {0};
    const struct daemon_option *own = command->options;

    assert(command->run != NULL);
    for (int i = 0; own != NULL && own[i].name != NULL; i++) {
        assert(i < (int)DAEMON_OPTIONS_MAX);
        options[4 + i] = (struct option){
            own[i].name, own[i].argument ? required_argument : no_argument, NULL, OWN_FIRST + i};
    }
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            call.config_path = optarg;
            break;
        case 'k':
            call.only_check = true;
            break;
        case 'h':
            (void)fputs(command->usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            (void)puts(command->version);
            return EXIT_SUCCESS;
        default:
            if (option < OWN_FIRST)
                return daemon_usage(command);
            call.values[option - OWN_FIRST] = optarg == NULL ? "" : optarg;
        }
    }
    if (call.config_path == NULL || optind != argc)
        return daemon_usage(command);
    return command->run(&call);
}

void daemon_print_guards(FILE *out)
{
    (void)fprintf(out, "guards: {system_calls: %s, files: %s}\n",
                  calls_filtered() ? "filtered" : "not filtered in this build",
                  landlock_version() > 0 ? "bounded" : "not bounded, this kernel has no Landlock");
}

/* A process that was killed for a call says nothing itself. */
static void on_end(void *owner, const char *name, int wait_status)
{
    char how[48];

    (void)owner;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_SUCCESS)
        return;
    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS) {
        log_event(LOG_ERROR, "process_ended", "process", name, "how", "SIGSYS", "reason",
                  "it made a system call that its list does not have; the kernel's log names it",
                  NULL);
        return;
    }
    if (WIFSIGNALED(wait_status))
        (void)snprintf(how, sizeof how, "signal %d", WTERMSIG(wait_status));
    else
        (void)snprintf(how, sizeof how, "exit code %d", WEXITSTATUS(wait_status));
    log_event(LOG_WARN, "process_ended", "process", name, "how", how, NULL);
}

int daemon_supervise(struct supervise_options *options, bool strict)
{
    struct status status = sandbox_enter_parent();

    if (failed(status))
        log_failure(strict ? LOG_ERROR : LOG_WARN, "supervisor_not_guarded", status, NULL);
    if (failed(status) && strict)
        return DAEMON_EXIT_USAGE;
    options->on_end = on_end;
    return supervise_run(options);
}
