/* SPDX-License-Identifier: Apache-2.0 */
/* base/supervise.h -- one core process and its satellites, kept alive by a small parent.
 *
 * In      a function for each process.  The vault's core is the keeper, with front and signer as
 *         satellites; the relay's core is the relay, with its signer.
 * Out     forked processes.  Each satellite has a socket pair with the core; the core learns of
 *         its ends, at start and again whenever a satellite was restarted, by supervise_receive()
 *         on its control socket.
 * Never   reads a configuration, a key or a card; restarts a process that said it cannot start
 *         (exit 2).
 * Threads one, and before any starts.
 *
 * A satellite that dies is started again, with a new socket pair.  When the core dies its
 * satellites see the end of their sockets and leave, and all are started again.  Restarts slow down
 * to one in 5 s where they fail at once. SIGTERM and SIGINT: all get SIGTERM (keeper and signer
 * ignore it; they leave at the end of their sockets); once satellite 0 is gone the core's control
 * socket is closed.  SIGHUP: the core, or the satellites, that said `hears_hangup` get it, for what
 * they read again; the others never see one.
 */
#ifndef BASE_SUPERVISE_H
#define BASE_SUPERVISE_H

#include <stdbool.h>

#include "base/status.h"

#define SUPERVISE_SATELLITES_MAX 4u
#define SUPERVISE_EXIT_CONFIG    2 /* "Do not start me again." */
/* For everything under way to end, before it is killed: within the 90 s that systemd grants. */
#define SUPERVISE_STOP_MS 85000

struct supervise_satellite {
    const char *name;
    int (*run)(void *owner, int core_fd); /* Its exit code. */
    bool hears_hangup;                    /* It blocks SIGHUP and waits for it. */
};

struct supervise_options {
    const char *core_name;
    int (*core)(void *owner, int control_fd);
    bool core_hears_hangup;
    struct supervise_satellite satellites[SUPERVISE_SATELLITES_MAX];
    unsigned satellite_count;
    void *owner;
    /* In the supervisor, for a log: a process ended, with this status of waitpid().  May be NULL.
     */
    void (*on_end)(void *owner, const char *name, int wait_status);
};

/* Forks and watches until told to stop; the exit code for main(): 0 after a stop in which the core
 * left in good order, SUPERVISE_EXIT_CONFIG where one of them said so, else 1.  The children ignore
 * SIGINT (a terminal sends it to all; the supervisor passes SIGTERM on) and are killed when the
 * supervisor dies. */
int supervise_run(const struct supervise_options *options);

/* In the core: waits for the next satellite's socket.  *out_index is its place in the table; the
 * caller owns *out_fd.  WHY_NOT_FOUND: the supervisor wants the core to leave (or is gone).
 * WHY_BUSY: nothing waits on a control socket that does not block.  WHY_FORGED: that was no message
 * of the supervisor's. */
STATUS supervise_receive(int control_fd, unsigned *out_index, int *out_fd);

/* In a process with a loop: a descriptor that does not block, on which SIGTERM, SIGINT and SIGHUP
 * come and nowhere else. */
STATUS supervise_signals(int *out_fd);
/* The next of them; 0: none. */
int supervise_signal_take(int fd);

/* In a process that leaves at the end of its socket and not before: SIGTERM does nothing from here
 * on. */
bool supervise_ignore_term(void);

#endif
