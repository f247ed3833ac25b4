/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_inside.h -- what the keeper's steps share: its state, and one request under way.
 *
 * In      a decoded request that was allowed.
 * Out     rows and an entry in the turn's batch, and an answer that waits for the sync.
 * Never   is included outside the keeper's own files.
 * Threads the keeper's one.
 */
#ifndef VAULT_KEEPER_INSIDE_H
#define VAULT_KEEPER_INSIDE_H

#include "base/backup.h"
#include "base/frames.h"
#include "keys/envelope.h"
#include "policies/audit_log.h"
#include "policies/policy.h"
#include "vault/approve.h"
#include "vault/brand.h"
#include "vault/ceremony.h"
#include "vault/cvv.h"
#include "vault/keeper_rotate.h"
#include "vault/message.h"
#include "vault/settings.h"
#include "vault/store.h"

#define KEEPER_TURN_ROWS_MAX   4096u /* Ends a turn: a batch that grows further gains nothing. */
#define KEEPER_REPEAT_MS       (24 * 3600 * 1000LL)
#define KEEPER_LEASE_KEPT_MS   (7 * 24 * 3600 * 1000LL)
#define KEEPER_UNSIGNED_MS_MAX (30 * 1000LL)
#define KEEPER_REFUSALS_MAX    100u /* Entries a second for refused callers; the rest is counted. */

struct keeper {
    const struct settings *settings;
    struct policy *policy;
    struct db *db;

    /* The seal (keeper_seal.c).  While the vault is sealed there is no root, no ring, no cell, and
     * nothing of the store can be read but its log. */
    struct secret *root;
    struct keyring *ring;      /* NULL: sealed. */
    struct seal_record seal;   /* In force; its kind is 0 before there is one. */
    char seal_why[384];        /* Why it is sealed, as a sentence. */
    bool seal_shut;            /* By somebody's hand, or for good: it does not open by itself. */
    bool seal_shutting;        /* Once this turn is committed. */
    struct secret *seal_given; /* A root to open it with, once this turn is committed. */
    unsigned key_troubles;     /* Of its keys, said already. */
    int64_t seal_due_ms;       /* Of the next try, by the clock that does not jump. */
    struct buffer seal_row;    /* A new one, which waits for this turn's commit. */
    struct keeper_hsm *hsm;    /* keeper_hsm.h */
    struct ceremony_book ceremonies;
    struct store store;
    struct audit_log *log;
    struct cvv_cells *cvvs;
    uint64_t next_record;
    struct approve_book approvals;
    int64_t keys_counted_ms, keys_warned_ms; /* key_watch.c's; of the clock that does not jump. */
    struct jobs *jobs;                       /* NULL before there was one to look for: jobs.c */
    int control_fd;
    int front_fd; /* -1: none. */
    struct frame_reader *front_in;
    struct frame_writer *front_out;

    /* The signer's side (keeper_sign.c). */
    int signer_fd; /* -1: none. */
    struct frame_reader *signer_in;
    struct frame_writer *signer_out;
    struct note_key signer_key;
    struct keeper_rotate rotate;
    struct epoch_fork fork; /* Where the log's epoch began. */
    bool signer_known;      /* Its HELLO was checked. */
    bool signer_greeted;    /* Of those, this one has; nothing is sent to it before. */
    bool signing;           /* A SIGN is out. */
    uint64_t next_leaf;
    uint64_t signed_size;
    int64_t asked_ms;   /* When that SIGN went out, by the clock that does not jump, */
    int64_t signed_ms;  /* and a moment whose entries are all signed. */
    struct buffer note; /* A checkpoint that waits for the next batch. */

    struct backup *backup; /* NULL: none are configured. */
    bool backup_asked;     /* By a request of this turn: begun once its entry is durable. */
    bool backup_alone;     /* And all older ones go. */
    struct retention_walk *retention; /* NULL before the first. */
    struct erasure_run *erasure;      /* NULL before the first look. */
    int64_t erased_ms;                /* When a row was deleted last. */

    /* The turn. */
    struct db_batch *batch;
    struct buffer answered; /* u64 frame ids whose answers wait for the sync. */
    struct buffer journal;  /* What happened to CVV cells: u8 kind, id. */
    struct buffer scratch;

    /* The store (keeper_store.c). */
    bool keys_by_hand;  /* This turn changed keys for a person: without its rows, not at all. */
    bool store_failed;  /* Not opened yet, or it failed a commit: all is refused. */
    uint64_t lost_size; /* Of the log, had the batch that failed been committed; 0: unknown. */
    unsigned store_attempts;
    int64_t store_due_ms; /* Of the next one, by the clock that does not jump. */
    bool leaving;
    unsigned refusals;
    uint64_t refusals_collapsed;
    int64_t ticked_ms, second_ms, swept_ms; /* These three too. */
    bool sweeps_on;                         /* More has run out than went in one turn. */
    int64_t last_entry_ms;
};
enum keeper_journal { KEEPER_CVV_STORED = 1, KEEPER_CVV_LEASED };

/* Where the turn stood, to take back what came since. */
struct keeper_mark {
    unsigned rows;
    uint64_t seq;
    uint32_t overlay;
    size_t journal;
};

/* One request: from here on its caller is known and allowed. */
struct keeper_op {
    struct keeper *keeper;
    uint64_t frame_id;
    int64_t now_ms;
    const struct message_caller *caller;
    const struct policy_principal *principal;
    const struct policy_tenant *tenant; /* NULL where the action has none. */
    enum policy_action action;
    char rule[POLICY_NAME_BYTES_MAX];
    char object[CONTRACT_TOKEN_MAX + 1]; /* For the entry of a refusal, with the next two: */
    const char *event;                   /* NULL: the action's name; */
    char certificate[65];                /* "": not noted. */
    struct problem problem; /* Why a step refused, where its status alone does not say. */
};

/* --- keeper_turn.c: dispatch, marks, commit --- */
struct keeper_mark keeper_mark(struct keeper *keeper);
void keeper_rewind(struct keeper *keeper, const struct keeper_mark *mark, int64_t now_ms);
void keeper_journal(struct keeper *keeper, enum keeper_journal kind,
                    const uint8_t id[static CVV_ID_BYTES]);
/* Carries out one frame of the front's. */
void keeper_dispatch(struct keeper *keeper, const struct frame *frame, int64_t now_ms);
/* Makes the turn durable; answers go out with it, or a refusal in their place. */
void keeper_commit(struct keeper *keeper, int64_t now_ms);
bool keeper_has_work(const struct keeper *keeper);
/* Refuses with a code; the status to return. */
STATUS keeper_refuse(struct keeper_op *op, enum problem_code code, const char *field,
                     const char *detail);
/* Opens the answer's frame; keeper_answer_end() closes it. */
struct buffer *keeper_answer(struct keeper_op *op, enum message_type type);
STATUS keeper_answer_end(struct keeper_op *op);

/* --- keeper_decide.c: the only place that asks policies/ --- */
/* Knows the caller and decides; false with *op->problem.  For actions with a destination it decides
 * whether the caller may ever do this; keeper_decide() then decides item by item. */
bool keeper_authorize(struct keeper_op *op);
bool keeper_decide(struct keeper_op *op, const struct policy_question *question,
                   struct problem *out_problem);
/* A right that changes an answer rather than permits it. */
bool keeper_may(struct keeper_op *op, enum policy_action action);

/* --- keeper_record.c: the only place that writes the audit log --- */
/* Appends an entry; who, where, when and by which rule are filled in here. */
STATUS keeper_record(struct keeper_op *op, struct audit_entry *entry);
void keeper_record_refusal(struct keeper_op *op, const struct problem *problem);
/* Forgets what the item before had in its entries: the next of many begins. */
void keeper_record_next(struct keeper_op *op);
/* The keeper's own: audit.start, key.create, … */
STATUS keeper_record_own(struct keeper *keeper, struct audit_entry *entry, int64_t now_ms);
STATUS keeper_record_start(struct keeper *keeper, int64_t now_ms);
void keeper_record_second(struct keeper *keeper, int64_t now_ms);

/* --- keeper_store.c --- */
/* While store_failed: tries again, if it is time, to open the store or to go on with it.  Fails
 * where no try could help. */
STATUS keeper_store_tick(struct keeper *keeper, int64_t now_ms);
void keeper_store_close(struct keeper *keeper);
/* The ring, from the rows of an open store. */
STATUS keeper_store_load_keys(struct keeper *keeper, int64_t now_ms);

/* --- keeper_sign.c --- */
STATUS keeper_sign_attach(struct keeper *keeper, int fd);
void keeper_sign_detach(struct keeper *keeper);
/* Reads what the signer says.  WHY_CONFLICT: the store is older than what was signed. */
STATUS keeper_sign_read(struct keeper *keeper);
void keeper_sign_tick(struct keeper *keeper);

/* --- keeper_backup.c: it begins a backup, and base/backup.c takes it on a thread of its own --- */
STATUS keeper_backup_open(struct keeper *keeper);
/* Begins what was asked for or is due, and records what has ended. */
void keeper_backup_tick(struct keeper *keeper, int64_t now_ms);
/* False: one is under way still, and holds the store. */
bool keeper_backup_close(struct keeper *keeper);

/* --- key_watch.c: each second, while open --- */
void key_watch_tick(struct keeper *keeper, int64_t now_ms);

/* --- keeper_state.c: readiness and housekeeping --- */
/* "" when all is well. */
const char *keeper_trouble(const struct keeper *keeper);
void keeper_tick(struct keeper *keeper, int64_t now_ms);
void keeper_say_state(struct keeper *keeper);

#endif
