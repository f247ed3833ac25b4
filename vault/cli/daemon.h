/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/daemon.h -- asks a running vault or relay, over mutual TLS.
 *
 * In      the command line's configuration, which names files and holds no secret; one request.
 * Out     the answer, and the exit code that it means.
 * Never   skips a check of the daemon's certificate; sends a request twice.
 * Threads one.
 */
#ifndef VAULT_CLI_DAEMON_H
#define VAULT_CLI_DAEMON_H

#include "base/buffer.h"
#include "vault/cli/cli.h"

#define DAEMON_ANSWER_BYTES_MAX (64u << 20)

struct daemon; /* The configuration, read. */

enum daemon_which { DAEMON_VAULT, DAEMON_RELAY };

struct daemon_request {
    enum daemon_which which;
    bool as_auditor;  /* Shows the auditor's certificate in the place of the person's own. */
    bool as_operator; /* The operator's, where the configuration names one. */
    bool as_security; /* The security engineer's, in the same way. */
    const char *method;
    const char *target;
    const struct buffer *body; /* JSON, or NULL. */
};

struct daemon_answer {
    int status;
    struct buffer body; /* The caller frees it. */
};

/* --config, else $CARDKEEP_CONFIG, else .cardkeep/cli.yaml.  --as NAME, for commands that take it,
 * is one of `people` there, in the place of all others.  Says what is wrong. */
enum cli_exit daemon_open(const struct cli_arguments *arguments, struct daemon **out_daemon);
void daemon_free(struct daemon **daemon);

/* CLI_DONE whenever there was an answer; otherwise the sentence is said. */
enum cli_exit daemon_fetch(const struct daemon *daemon, const struct daemon_request *request,
                           struct daemon_answer *out_answer);
/* The same, and only 2xx is CLI_DONE: a problem is said in its own words, as the exit code it has
 * (interfaces.md 5). */
enum cli_exit daemon_ask(const struct daemon *daemon, const struct daemon_request *request,
                         struct daemon_answer *out_answer);

/* "127.0.0.1:8443" and the path of the log's verifier key, as configured. */
const char *daemon_address(const struct daemon *daemon, enum daemon_which which);
const char *daemon_verifier(const struct daemon *daemon, enum daemon_which which);

/* GET on the metrics listener, plain HTTP as probes use it: /readyz, /metrics.  The caller frees
 * the body in either case; CLI_UNREACHABLE where there is no whole answer, and nothing is said. */
enum cli_exit daemon_probe(const struct daemon *daemon, enum daemon_which which, const char *target,
                           struct daemon_answer *out_answer);

#endif
