/* SPDX-License-Identifier: Apache-2.0 */
/* vault/erasure.h -- a token, a tenant's cards or all under one key go, and so do their bytes.
 *
 * In      what is to be erased; of a tenant or a key, with two persons' word (approve.h).
 * Out     rows gone, in slices that a kill does not undo; keys destroyed that nothing needs any
 *         more; every file that held any of it written anew; and a report in the log, of counts and
 *         of a search for the erased ciphertexts through every file.
 * Never   says that bytes are gone that were found; holds up a request for longer than a slice.
 * Threads the keeper's one; files are written and searched on base/purge.h's.
 *
 * An erasure is a row of STORE_JOBS that says how far it came, and a second one with samples of
 * what was erased: with each bit turned over, for else they would be what the search finds.
 */
#ifndef VAULT_ERASURE_H
#define VAULT_ERASURE_H

#include "base/purge.h"
#include "vault/keeper_inside.h"

#define ERASURE_ID_PREFIX    "ers_"
#define ERASURE_SAMPLES_MAX  192u /* Records of which markers are kept. */
#define ERASURE_SAMPLE_MARKS 3u   /* The view's salt, the card's ciphertext, the fingerprint. */
#define ERASURE_OTHERS_MAX   64u
#define ERASURE_AHEAD_MAX    16384u
#define ERASURE_KEYS_MAX     (1u << 22)

enum erasure_kind { ERASURE_TOKEN = 1, ERASURE_TENANT, ERASURE_EPOCH, ERASURE_KIND_END };
enum erasure_state { ERASURE_RUNNING = 1, ERASURE_DONE, ERASURE_FOUND, ERASURE_STATE_END };

/* In their order. */
enum erasure_phase {
    ERASURE_TOKENS = 1, /* Live tokens, and with each what belongs to it. */
    ERASURE_RECORDS,    /* Records that no token named; and who needs which key. */
    ERASURE_KEYS,       /* Keys that nobody needs. */
    ERASURE_REPEATS,    /* Answers that are kept for a repeat, and name what is gone. */
    ERASURE_PURGE,      /* Files are written anew. */
    ERASURE_BACKUP,     /* One in the place of all others, where that was asked for. */
    ERASURE_SEARCH,     /* For what is to be gone. */
    ERASURE_REPORT,
    ERASURE_PHASE_END
};

struct erasure {
    uint64_t id;
    enum erasure_kind kind;
    enum erasure_state state;
    enum erasure_phase phase;
    bool backups;                /* Older ones go. */
    uint8_t at[STORE_KEY_BYTES]; /* The phase has come so far: a row's key, of zeros at first. */
    char tenant[POLICY_NAME_BYTES_MAX];
    uint64_t record_bound; /* Records from here on came later, and stay. */
    uint64_t key_bound;    /* The same of keys. */
    uint64_t key_id;       /* Of an epoch. */
    char asked_by[POLICY_NAME_BYTES_MAX];
    char approved_by[POLICY_NAME_BYTES_MAX]; /* "": it needed nobody. */
    int64_t asked_ms;
    int64_t ended_ms;
    uint64_t entry; /* The report's place in the log, and 1. */

    uint64_t tokens;
    uint64_t records; /* Without a token. */
    uint64_t repeats;
    uint64_t keys;
    uint64_t unread; /* Rows that could not be read, and stay. */

    uint32_t tables; /* Files that are gone. */
    uint32_t logs;
    uint32_t manifests;
    uint32_t attempts; /* At the search. */
    uint64_t files;    /* That were searched. */
    uint64_t bytes;
    uint32_t marks; /* That were looked for, and of which so many were found. */
    uint32_t marks_found;
    uint32_t others; /* Of cards that stay: that they are found proves the search. */
    uint32_t others_found;
    uint32_t backup_files;
    uint32_t backup_marks_found;
};

/* What was taken of rows before they went. */
struct erasure_samples {
    uint64_t seen; /* Records, of which `count` were kept. */
    uint32_t count;
    uint8_t marks[ERASURE_SAMPLES_MAX][ERASURE_SAMPLE_MARKS][MARKERS_BYTES];
    uint32_t other_count;
    uint8_t others[ERASURE_OTHERS_MAX][MARKERS_BYTES];
};

/* The one under way. */
struct erasure_run {
    struct erasure row;
    struct erasure_samples samples;
    struct purge *purge;
    bool looked; /* For one that an earlier process left. */
    bool asked;  /* There is a new row, once the turn is committed. */
    bool active;
    uint64_t next_id;
    int64_t purge_since_ms; /* When the purge at work began. */
    int64_t due_ms;         /* Of the next try, by the clock that does not jump. */
    int64_t backup_ms;      /* When the backup was asked for; 0: it was not. */
    uint8_t *keys_used;     /* A bit for each key that a record names. */
    /* Keys of the rows that come next: to begin a walk over random keys costs as much as thousands
     * of its steps. */
    uint8_t ahead[ERASURE_AHEAD_MAX][STORE_KEY_BYTES];
    unsigned ahead_count;
    unsigned ahead_next;
    char trouble[PURGE_REASON_MAX];
};

/* --- erasure.c --- */
/* Reads which one is under way, unless that is known. */
STATUS erasure_open(struct keeper *keeper);
/* It is read again before anything more is done: a commit failed, or there is a new one. */
void erasure_forget(struct keeper *keeper);
/* Waits a moment for a purge under way; false: it holds the store still. */
bool erasure_close(struct keeper *keeper);
/* A slice, or what has ended on the other thread. */
void erasure_tick(struct keeper *keeper, int64_t now_ms);
/* The next slice is due at once. */
bool erasure_is_busy(const struct keeper *keeper);
int erasure_fd(const struct keeper *keeper);

/* --- erasure_rows.c --- */
STATUS erasure_get(struct keeper *keeper, uint64_t id, struct erasure *out_row);
STATUS erasure_put(struct keeper *keeper, const struct erasure *row);
/* The first behind `id`.  WHY_NOT_FOUND. */
STATUS erasure_next(struct keeper *keeper, uint64_t id, struct erasure *out_row);
STATUS erasure_get_samples(struct keeper *keeper, uint64_t id, struct erasure_samples *out);
STATUS erasure_put_samples(struct keeper *keeper, uint64_t id,
                           const struct erasure_samples *samples);
void erasure_sample(struct erasure_samples *samples, const struct store_record *record,
                    const uint8_t *fingerprint);
void erasure_sample_other(struct erasure_samples *samples, const struct store_record *record);
/* What to look for, as it stood in the files. */
STATUS erasure_markers(const struct erasure_samples *samples, struct markers **out_gone,
                       struct markers **out_there);

/* --- erasure_walk.c: a slice of the phase at hand; moves on to the next one at its end --- */
STATUS erasure_walk(struct keeper *keeper, struct erasure_run *run, int64_t now_ms);
/* Samples the token's record, and erases it. */
STATUS erasure_take_token(struct keeper *keeper, struct erasure_run *run,
                          const uint8_t key[static STORE_KEY_BYTES],
                          const struct store_token *token, int64_t now_ms);

/* --- erasure_ask.c: the routes' steps are in steps.h --- */
struct json_writer;
void erasure_write(const struct erasure *row, const char *trouble, struct json_writer *writer);

#endif
