/* SPDX-License-Identifier: Apache-2.0 */
/* vault/steps.h -- what the keeper does for each request, and what the steps share.
 *
 * In      a request whose caller is known and allowed, and the rest of its frame.
 * Out     rows, an entry and an answer in the turn; or a problem, and then the turn is as it was
 *         before.
 * Never   is reached but by keeper_turn.c, which has asked keeper_decide.c.
 * Threads the keeper's one.
 */
#ifndef VAULT_STEPS_H
#define VAULT_STEPS_H

#include "vault/keeper_inside.h"

/* --- the steps, one file each; they read the rest of the frame --- */
STATUS tokenize_run(struct keeper_op *op, struct cursor *in);
STATUS show_run(struct keeper_op *op, struct cursor *in);
STATUS erase_run(struct keeper_op *op, struct cursor *in);
STATUS code_run(struct keeper_op *op, struct cursor *in);
STATUS lease_run(struct keeper_op *op, struct cursor *in);
STATUS settle_run(struct keeper_op *op, struct cursor *in);
STATUS audit_read_head(struct keeper_op *op, struct cursor *in);
STATUS audit_read_entries(struct keeper_op *op, struct cursor *in);
STATUS keeper_backup_ask(struct keeper_op *op, struct cursor *in);
STATUS keeper_backup_show(struct keeper_op *op, struct cursor *in);
STATUS seal_hsm_init(struct keeper_op *op, struct cursor *in);
STATUS seal_migrate_ask(struct keeper_op *op, struct cursor *in);
STATUS retention_report_ask(struct keeper_op *op, struct cursor *in);
STATUS retention_report_show(struct keeper_op *op, struct cursor *in);
STATUS erasure_ask(struct keeper_op *op, struct cursor *in);
STATUS erasure_ask_list(struct keeper_op *op, struct cursor *in);
STATUS erasure_ask_show(struct keeper_op *op, struct cursor *in);
STATUS keeper_seal_show(struct keeper_op *op, struct cursor *in);
STATUS keeper_seal_ask_shut(struct keeper_op *op, struct cursor *in);
STATUS inventory_show(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_ask_init(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_ask_rekey(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_accept(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_collect(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_confirm(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_cancel(struct keeper_op *op, struct cursor *in);
STATUS keeper_ceremony_rehearsed(struct keeper_op *op, struct cursor *in);
STATUS keeper_unseal_run(struct keeper_op *op, struct cursor *in);
STATUS key_list_all(struct keeper_op *op, struct cursor *in);
STATUS key_list_one(struct keeper_op *op, struct cursor *in);
STATUS key_change_suspend(struct keeper_op *op, struct cursor *in);
STATUS key_change_activate(struct keeper_op *op, struct cursor *in);
STATUS key_change_deactivate(struct keeper_op *op, struct cursor *in);
STATUS key_change_ask_compromise(struct keeper_op *op, struct cursor *in);
STATUS key_change_ask_destroy(struct keeper_op *op, struct cursor *in);
STATUS rotate_run(struct keeper_op *op, struct cursor *in);
STATUS jobs_list(struct keeper_op *op, struct cursor *in);
STATUS jobs_show(struct keeper_op *op, struct cursor *in);
STATUS jobs_pause(struct keeper_op *op, struct cursor *in);
STATUS jobs_resume(struct keeper_op *op, struct cursor *in);
STATUS jobs_rate(struct keeper_op *op, struct cursor *in);

/* --- what two persons want: by kind, an approve_fn of approve.h --- */
STATUS keeper_ceremony_ask_approved(struct keeper_op *op, const struct approve_request *request,
                                    struct json_writer *out);
STATUS key_change_compromise(struct keeper_op *op, const struct approve_request *request,
                             struct json_writer *out);
STATUS seal_migrate_run(struct keeper_op *op, const struct approve_request *request,
                        struct json_writer *out);
STATUS key_change_destroy(struct keeper_op *op, const struct approve_request *request,
                          struct json_writer *out);
STATUS erasure_ask_tenant(struct keeper_op *op, const struct approve_request *request,
                          struct json_writer *out);
STATUS erasure_ask_epoch(struct keeper_op *op, const struct approve_request *request,
                         struct json_writer *out);

/* A number of a query; "" is 0. */
STATUS key_list_number(struct keeper_op *op, const char *text, const char *field,
                       uint64_t *out_number);

/* --- find.c: from a token to its row and record --- */
struct found {
    uint8_t key[STORE_KEY_BYTES];
    struct store_token token;
};
/* The token's row within `tenant`; erased, expired and consumed are told apart by code. */
STATUS find_token(struct keeper_op *op, const struct policy_tenant *tenant, const char *text,
                  struct found *out_found, struct problem *out_problem);
/* Its masked view; the metadata is lent from `plain`, which the caller frees.  The view's key is
 * known also where it does not open. */
STATUS find_view(struct keeper *keeper, const struct policy_tenant *tenant, uint64_t record_id,
                 struct buffer *plain, struct view *out_view);
/* The view of a token that was found, with its record, lent until the next look-up.  WHY_FORGED:
 * the record is another token's.  Refused as gone: its tenant keeps it no longer, and no sweep has
 * come by yet. */
STATUS find_shown(struct keeper_op *op, const struct policy_tenant *tenant, const char *text,
                  const struct found *found, struct buffer *plain, struct view *out_view,
                  struct store_record *out_record, struct problem *out_problem);
/* By today's word of its tenant. */
bool find_is_over(const struct policy_tenant *tenant, const struct view *view, int64_t now_ms);
/* Why a record does not open, where it is its key's state: `status` is what opening it said. */
STATUS find_judge(const struct keeper *keeper, uint64_t key_id, struct status status,
                  struct problem *out_problem);
uint32_t find_key_version(const struct keeper *keeper, uint64_t key_id);
struct envelope_place find_place(const char *tenant, const char *purpose, uint64_t record_id);

/* --- code.c: a CVV on its way into its cell --- */
struct code {
    uint8_t id[CVV_ID_BYTES];
    char token[CONTRACT_TOKEN_MAX + 1];
    int64_t expires_ms;
};
/* Checks the code of `card` and keeps it for the card token indexed by `token_key`. */
STATUS code_keep(struct keeper_op *op, const uint8_t token_key[static STORE_KEY_BYTES],
                 const struct message_card *card, const struct brand *brand, struct code *out_code);
/* What a repeated request is answered with: both directions of the kept form. */
void code_note(const struct code *code, struct buffer *out);
STATUS code_again(struct keeper_op *op, struct cursor *in, struct code *out_code);

/* --- tokenize.c --- */
#define TOKENIZE_NOTE_MAX (200u * 1024u) /* What is kept of a request, to answer it again. */
void tokenize_card_id(const struct store_same_card *same, char out[static VIEW_CARD_ID_CHARS + 1]);
/* The entry of a batch, or as many as its items need.  An `outcome` of NULL is "ok". */
STATUS tokenize_record(struct keeper_op *op, const struct audit_item *items, unsigned count,
                       const char *outcome);

/* --- tokenize_again.c: the same request under the same key --- */
STATUS tokenize_again(struct keeper_op *op, bool batch, const struct store_repeat *row);
/* Whether what is kept of such a request names a record that is not there any more. */
STATUS tokenize_again_is_gone(struct keeper *keeper, const struct store_repeat *row,
                              bool *out_gone);

/* --- repeat.c: idempotency keys --- */
#define REPEAT_OUTCOME "replayed" /* In the entry of a request that is answered again. */
struct repeat {
    bool wanted; /* The caller sent a key. */
    uint8_t key[STORE_KEY_BYTES];
    uint8_t digest[32];
};
/* `content` is what makes two requests the same.  *out_found tells whether there is a result to
 * answer again, lent in *out_row.  Another request under the same key is refused. */
STATUS repeat_find(struct keeper_op *op, enum message_type kind, const struct buffer *content,
                   struct repeat *out_repeat, bool *out_found, struct store_repeat *out_row);
STATUS repeat_keep(struct keeper_op *op, enum message_type kind, const struct repeat *repeat,
                   const struct buffer *result);

#endif
