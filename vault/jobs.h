/* SPDX-License-Identifier: Apache-2.0 */
/* vault/jobs.h -- what goes on for longer than a request: records moved from key to key.
 *
 * In      a job's row; the records, in the order of their ids.
 * Out     slices: some records moved and the job's row, in one batch, so that after a crash the
 *         counts are exact and the walk goes on where it was; entries at the begin, at the end, and
 *         each JOBS_ENTRY_RECORDS records; the end is a statement (statement.h).
 * Never   holds up a request for longer than a fraction of what its commit takes anyway; goes past
 *         a record that does not open: the job fails there, and says which.
 * Threads the keeper's.
 */
#ifndef VAULT_JOBS_H
#define VAULT_JOBS_H

#include "vault/steps.h"

#define JOBS_RATE_MAX      1000000u
#define JOBS_RUNNING_MAX   64u
#define JOBS_ENTRY_RECORDS 100000u
#define JOBS_PREFIX        "job_"

enum job_kind {
    JOB_REENCRYPT = 1, /* Every record under a key goes under the active one. */
    JOB_FINGERPRINT,   /* Every card is found under the active fingerprint key. */
};

enum job_state { JOB_RUNNING = 1, JOB_PAUSED, JOB_DONE, JOB_FAILED };

struct job {
    uint64_t id; /* 0: a new one. */
    enum job_kind kind;
    enum job_state state;
    enum envelope_suite suite; /* To seal with. */
    char tenant[64];
    uint64_t key_id;  /* The one to empty; 0: all that `newest` had before it. */
    uint64_t keep;    /* The active one at the begin, which stays. */
    uint64_t newest;  /* The newest id of any key at the begin. */
    uint64_t cursor;  /* Every record up to it was looked at. */
    uint64_t last;    /* The last record at the begin; those made since are under newer keys. */
    uint64_t scanned; /* Records looked at, */
    uint64_t moved;   /* and those of them that were moved. */
    uint32_t rate;    /* Records a second; 0: as many as requests leave room for. */
    int64_t begun_ms;
    int64_t changed_ms; /* Of the state. */
    char by[64];        /* Who asked; "schedule". */
    char reason[24];
    char detail[96]; /* Why it failed. */
};

const char *jobs_kind_name(enum job_kind kind);
const char *jobs_state_name(enum job_state state);

/* True for the keys that the job empties. */
bool jobs_covers(const struct job *job, const struct key_info *key);

/* WHY_NOT_FOUND.  Sees this turn's changes. */
STATUS jobs_get(struct keeper *keeper, uint64_t id, struct job *out_job);
STATUS jobs_put(struct keeper *keeper, const struct job *job);
/* The first job behind `id`, 0 to begin with.  WHY_NOT_FOUND: none, or only of this turn. */
STATUS jobs_next(struct keeper *keeper, uint64_t id, struct job *out_job);
/* Gives a new job its id, its bounds and its time, and puts its row: kind, tenant, key_id, rate,
 * suite, by and reason are the caller's.  WHY_LIMIT: too many are under way. */
STATUS jobs_begin(struct keeper *keeper, struct job *job, int64_t now_ms);

/* A job that ended, began after the key's state changed last, and covers it: nothing is under the
 * key any more.  WHY_NOT_FOUND. */
STATUS jobs_find_proof(struct keeper *keeper, const struct key_info *key, struct job *out_job);

/* In a turn of the keeper's: commits what is gathered, and lets a job ride along. */
void jobs_commit(struct keeper *keeper, int64_t now_ms);
/* Between turns: a slice of its own, where no request is near.  Commits it. */
void jobs_tick(struct keeper *keeper, int64_t now_ms);
/* How long the keeper may wait for something to happen, at most `usual_ms`. */
int jobs_wait_ms(const struct keeper *keeper, int usual_ms);
void jobs_close(struct jobs **jobs);

/* --- for the kinds of jobs: job_*.c --- */
struct job_slice {
    struct keeper *keeper;
    struct job *job;
    struct secret *room; /* For a plaintext. */
    int64_t now_ms;
    uint64_t record_id; /* The one that could not be moved. */
};
/* One record that is there, of any tenant; *out_moved where it was moved. */
STATUS job_reencrypt_record(struct job_slice *slice, uint64_t record_id, bool *out_moved);
STATUS job_fingerprint_record(struct job_slice *slice, uint64_t record_id, bool *out_moved);
/* Finds a card under the keys that came before the active fingerprint key.  WHY_NOT_FOUND. */
STATUS job_fingerprint_find(struct keeper *keeper, const char *tenant, const struct secret *pan,
                            struct store_same_card *out_same);

#endif
