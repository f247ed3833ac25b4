/* SPDX-License-Identifier: Apache-2.0 */
/* vault/verify.h -- what the parts of the offline checker share.
 *
 * In      an open store and its root key.
 * Out     findings, one by one.
 * Never   is included but by keeper_verify.c, verify_*.c and their tests.
 * Threads one.
 */
#ifndef VAULT_VERIFY_H
#define VAULT_VERIFY_H

#include "policies/note.h"
#include "vault/keeper_verify.h"
#include "vault/steps.h"

/* What a deadline may lag behind: a sweep's backlog, clocks that are set. */
#define VERIFY_SLACK_MS (24 * 3600 * 1000LL)

enum verify_kind {
    VERIFY_UNAUTHENTIC, /* Changed, or moved from another place: no seal tells the two apart. */
    VERIFY_ORPHANED,    /* What it belongs to is not there. */
    VERIFY_MISSING,     /* It is not there, and something says that it has to be. */
    VERIFY_ROLLED_BACK, /* Authentic, and older than the log says. */
    VERIFY_UNSIGNED,    /* An entry that should be under a checkpoint by now. */
};

/* What the log said of a job last. */
struct verify_said {
    unsigned state; /* 0: nothing. */
    uint64_t seq;
    uint64_t scanned;
};
#define VERIFY_JOB_KINDS 3u
struct verify_said_list {
    struct verify_said *said; /* By id - 1. */
    size_t count;
};
/* No record below the bound is left, of the tenant or, where there is one, under the key. */
struct verify_erased {
    uint64_t id;
    uint64_t record_bound;
    uint64_t key_id;
    char tenant[64];
};

struct verify {
    struct keeper keeper; /* Its store, ring and root; nothing else of it. */
    const struct keeper_verify_options *options;
    struct buffer plain;
    struct buffer row;
    struct buffer *out;
    uint64_t findings;
    uint64_t rows; /* Walked so far, of all families. */

    /* What the signer remembers, as it was before the store was opened. */
    struct checkpoint signed_last;
    bool has_signed_last;

    /* What the log says (verify_log.c). */
    bool log_holds;
    bool log_unsigned; /* There is no checkpoint yet. */
    uint64_t log_entries;
    int64_t log_ms;     /* The latest time in it so far; at the end, of all. */
    int64_t last_ms;    /* Its last entry's time. */
    uint64_t log_opens; /* How often a root opened the store. */
    char log_set[24];   /* Of the seal that is in force; "" where the log does not say. */
    uint64_t log_set_seq;
    uint64_t log_generation; /* The keyring's, as it was said last. */
    bool has_seal;           /* The two rows of the meta family. */
    bool has_boots;
    int64_t log_erased_ms; /* When it says so last; */
    int64_t log_purged_ms; /* and when the files were written anew last, 0: never. */
    uint64_t log_erased;   /* How many tokens the log says were erased. */

    struct verify_said_list said[VERIFY_JOB_KINDS]; /* Of requests, jobs and erasures. */
    struct verify_erased *erased;
    size_t erased_count;

    /* Sums over the tokens of each card (verify_same.c). */
    uint64_t same_tokens[2];
    uint64_t same_rows[2];
    bool same_differs;
    uint64_t log_skipped;    /* Entries whose token is masked, so that its row cannot be found. */
    struct verify_key *keys; /* What it says of each key, by id - 1. */
    size_t key_count;
    uint64_t log_dropped; /* Leases that were not followed: their table was full. */
};

/* A place in the store. */
struct verify_place {
    enum store_family family;
    const void *key;
    size_t key_size;
};

/* --- keeper_verify.c --- */
void verify_find(struct verify *verify, const struct verify_place *place, enum verify_kind kind,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* One more row was walked. */
void verify_count(struct verify *verify, enum store_family family);
/* All of it, over an open store and root; the store's parts are verify->keeper's. */
STATUS verify_walk(struct verify *verify, char *reason, size_t reason_size);
void verify_close(struct verify *verify);

/* --- verify_root.c: shares, one a line, as many as it takes; `reason` gets a sentence --- */
STATUS verify_root_join(int fd, const struct seal_record *seal, struct secret **out_root,
                        char *reason, size_t reason_size);

/* --- verify_log.c: the log itself, and what it says of the rows --- */
STATUS verify_log_walk(struct verify *verify);

/* --- verify_facts.c: one entry after another, oldest first --- */
struct verify_facts;
struct json;
STATUS verify_facts_new(struct verify *verify, struct verify_facts **out_facts);
void verify_facts_free(struct verify_facts **facts);
STATUS verify_facts_entry(struct verify_facts *facts, const struct json *entry, uint64_t seq);
/* Says what is left open at the end. */
STATUS verify_facts_end(struct verify_facts *facts);

/* --- verify_keys.c: key rows against the log --- */
struct verify_key {
    enum key_state state; /* As stored; 0: no row. */
    unsigned said;        /* The states that the log allows, as bits; 0: it says nothing. */
    uint64_t seq;         /* The entry that said it. */
    uint64_t stated;      /* The entry that states that no record is under it; 0: none. */
};
/* Loads the ring, and says which rows keep it from being loaded. */
STATUS verify_keys_load(struct verify *verify, bool *out_loaded);
/* What the log says of one key, and at the end what the rows say. */
STATUS verify_keys_entry(struct verify *verify, const char *event, uint64_t key_id, uint64_t seq);
STATUS verify_keys_end(struct verify *verify);
/* The entry that states that no record is under the key; 0: none does. */
uint64_t verify_keys_stated(const struct verify *verify, uint64_t key_id);

/* --- verify_seal.c: the seal's row, and what the log says of it --- */
void verify_seal_entry(struct verify *verify, const char *event, const char *detail, uint64_t seq);
STATUS verify_seal_row(struct verify *verify, const uint8_t *row, size_t size);

/* --- verify_jobs.c: what waits for a second person, or goes on for long --- */
struct verify_job_entry {
    const char *event;
    const char *object;
    const char *detail;
    uint64_t seq;
    bool ok;
};
STATUS verify_jobs_entry(struct verify *verify, const struct verify_job_entry *entry);
STATUS verify_jobs_end(struct verify *verify);
/* False: what is wrong with the row. */
bool verify_jobs_row(struct verify *verify, const struct store_job_key *key,
                     enum verify_kind *out_kind, const char **out_text);
/* Which erasure has reported the record gone; 0: none. */
STATUS verify_jobs_erasures(struct verify *verify);
uint64_t verify_jobs_erased(const struct verify *verify, uint64_t record_id, uint64_t key_id,
                            const char *tenant);
void verify_jobs_free(struct verify *verify);

/* --- verify_marks.c: what erasures leave --- */
void verify_marks_end(struct verify *verify);

/* --- verify_same.c: how many tokens a card has --- */
void verify_same_token(struct verify *verify, const uint8_t *fingerprint);
void verify_same_row(struct verify *verify, const uint8_t *fingerprint, uint32_t count);
STATUS verify_same_end(struct verify *verify);

/* --- verify_rows.c: every row of every family but keys and log --- */
STATUS verify_rows_walk(struct verify *verify);

#endif
