/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sandbox.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/privileges.h"

#define DESCRIPTORS_MOST 65536u

static void note_missing(struct sandbox_report *report, const char *name)
{
    size_t used = strlen(report->missing);
    snprintf(report->missing + used, sizeof report->missing - used, "%s%s", used == 0 ? "" : ", ",
             name);
}

static bool core_off(void)
{
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return false;
    /* A core that is piped to a program knows no limit; a process that cannot be dumped has none.
     * Nor can another process of the same user attach to it. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return false;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

/* Landlock and the filter of calls set it too, as the kernel takes neither without it; here it is
 * set where neither is to be had, and known to be set. */
static bool privileges_fixed(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

/* Up to the hard limit, and past it as long as we are root. */
static void raise_lock_limit(size_t lock_bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < lock_bytes) {
        struct rlimit more = {.rlim_cur = lock_bytes, .rlim_max = lock_bytes};
        if (setrlimit(RLIMIT_MEMLOCK, &more) == 0)
            return;
    }
    limit.rlim_cur = limit.rlim_max;
    /* What came of it is what memory_lockable() finds out. */
    (void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* Locks as much once: a limit is only one of the things that can stand against it. */
static bool memory_lockable(size_t lock_bytes)
{
    if (lock_bytes == 0)
        return true;
    void *probe =
        mmap(NULL, lock_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED)
        return false;
    bool locked = mlock(probe, lock_bytes) == 0;
    munmap(probe, lock_bytes);
    return locked;
}

static bool pipe_ignored(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    return sigaction(SIGPIPE, &ignore, NULL) == 0;
}

/* What this host's openssl.cnf names, as FIPS, is code: it is loaded while that can still be. */
static bool providers_loaded(void)
{
    return OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) == 1;
}

/* Files, then calls: a filter would not let us restrict ourselves any further. */
static STATUS close_in(const struct sandbox_options *options, struct sandbox_report *report)
{
    if (!calls_filtered())
        return STATUS_OK; /* A sanitizer reads /proc and starts a program to name its stacks. */
    struct status status = landlock_restrict(&options->files);
    report->files_closed = !failed(status);
    ENSURE(report->files_closed || status.why == WHY_NOT_FOUND, status.why);
    if (options->calls != NULL)
        TRY(calls_restrict(options->calls));
    report->calls_filtered = options->calls != NULL;
    return STATUS_OK;
}

static void name_missing(struct sandbox_report *report)
{
    if (!report->core_off)
        note_missing(report, "no core files");
    if (!report->privileges_fixed)
        note_missing(report, "no new privileges");
    if (!report->memory_lockable)
        note_missing(report, "memory that can be locked");
    if (!report->user_dropped)
        note_missing(report, "a user of its own");
}

STATUS sandbox_enter(const struct sandbox_options *options, struct sandbox_report *out_report)
{
    assert(out_report != NULL);
    struct sandbox_report report = {0};
    int parent_death_signal = 0;

    umask(077);
    bool pipe_off = pipe_ignored();
    bool death_known = prctl(PR_GET_PDEATHSIG, &parent_death_signal, 0, 0, 0) == 0;
    raise_lock_limit(options->lock_bytes);
    if (options->files.network == LANDLOCK_NO_NETWORK)
        report.network_left = privileges_leave_network();
    report.user_dropped = !failed(privileges_drop(options->user));
    /* The kernel forgets this one and makes us traceable again when the user changes: so it is set
     * anew, and all that follows is done last. */
    if (death_known && parent_death_signal != 0)
        death_known = prctl(PR_SET_PDEATHSIG, parent_death_signal, 0, 0, 0) == 0;
    report.core_off = core_off();
    report.privileges_fixed = privileges_fixed();
    report.memory_lockable = memory_lockable(options->lock_bytes);
    struct status owned = STATUS_OK;
    if (options->store != NULL)
        owned = privileges_own_folder(options->store, report.error, sizeof report.error);
    if (options->backups != NULL) {
        char ignored[512];
        status_ignore(privileges_own_folder(options->backups, ignored, sizeof ignored),
                      "a store without backups is better than none; the first one says why");
    }
    bool loaded = providers_loaded();
    struct status closed = close_in(options, &report);

    name_missing(&report);
    if (options->calls != NULL && !report.calls_filtered)
        note_missing(&report, "a filter of system calls");
    if (!death_known)
        note_missing(&report, "an end with its parent");
    if (!pipe_off)
        note_missing(&report, "broken pipes ignored");
    if (!loaded)
        note_missing(&report, "the host's settings of OpenSSL");
    bool complete = report.missing[0] == '\0' && !failed(closed);
    if (!report.files_closed)
        note_missing(&report, "a bound on its files (Landlock)");
    *out_report = report; /* Also with a failure: it says what the failure is. */
    TRY(owned);
    ENSURE(!options->strict || complete, WHY_DENIED);
    return STATUS_OK;
}

/* A store of many cards has many files, and a front many connections.  Soft limits are low for the
 * sake of programs that use select(); there are none here. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t most = limit.rlim_max < DESCRIPTORS_MOST ? limit.rlim_max : DESCRIPTORS_MOST;
    if (limit.rlim_cur >= most)
        return;
    limit.rlim_cur = most;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* Then it works with those that there are. */
}

STATUS sandbox_enter_parent(void)
{
    raise_descriptor_limit();
    ENSURE(core_off(), WHY_IO);
    ENSURE(privileges_fixed(), WHY_IO);
    return calls_refuse(&calls_programs);
}

STATUS sandbox_die_with_parent(void)
{
    ENSURE(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, WHY_IO);
    return STATUS_OK;
}
