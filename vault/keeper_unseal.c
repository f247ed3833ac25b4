/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/seal/unseal: custodians give their shares, one each; with the last that is needed the
 * root is rebuilt, held against the seal's row, and opens the vault behind this turn. */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "keys/share_text.h"
#include "vault/keeper_ceremony.h"
#include "vault/keeper_seal.h"

#define BODY_BYTES_MAX 1024u
#define SENTENCE_MAX   160u
#define SEAL_KEY       "seal"

/* What was given so far, by index less 1. */
struct unseal {
    struct share shares[SEAL_CUSTODIANS_MAX]; /* A value of NULL: not given. */
    unsigned count;
    int64_t ends_ms; /* By the clock that does not jump. */
};

void keeper_unseal_drop(struct keeper *keeper)
{
    if (keeper->ceremonies.unseal == NULL)
        return;
    for (unsigned i = 0; i < SEAL_CUSTODIANS_MAX; i++)
        share_free(&keeper->ceremonies.unseal->shares[i]);
    free(keeper->ceremonies.unseal);
    keeper->ceremonies.unseal = NULL;
}

static void say_why(struct keeper *keeper, const char *why)
{
    (void)snprintf(keeper->seal_why, sizeof keeper->seal_why, "%s", why);
    keeper->second_ms = 0; /* The front hears of it at once. */
}

void keeper_unseal_show(const struct keeper *keeper, struct json_writer *writer)
{
    const struct unseal *unseal = keeper->ceremonies.unseal;
    char time[CLOCK_TEXT_SIZE];

    if (keeper->seal.kind != SEAL_SHARES || keeper_sealed(keeper) == NULL)
        return;
    json_key(writer, "unsealing");
    json_begin_object(writer);
    json_put_member_int(writer, "given", unseal == NULL ? 0 : (int64_t)unseal->count);
    json_put_member_int(writer, "threshold", keeper->seal.threshold);
    json_key(writer, "by");
    json_begin_array(writer);
    for (unsigned i = 0; unseal != NULL && i < keeper->seal.count; i++)
        if (unseal->shares[i].value != NULL)
            json_put_text(writer, keeper->seal.custodians[i].name);
    json_end_array(writer);
    if (unseal != NULL) {
        clock_text(clock_now_ms() + unseal->ends_ms - clock_monotonic_ms(), time);
        json_put_member(writer, "until", time);
    }
    json_end_object(writer);
}

void keeper_unseal_tick(struct keeper *keeper, int64_t now_ms)
{
    char detail[48];

    if (keeper->ceremonies.unseal == NULL ||
        clock_monotonic_ms() < keeper->ceremonies.unseal->ends_ms)
        return;
    (void)snprintf(detail, sizeof detail, "%u shares are forgotten",
                   keeper->ceremonies.unseal->count);
    struct audit_entry entry = {
        .event = "seal.forget", .object = "seal", .outcome = "expired", .detail = detail};
    struct status status = keeper_record_own(keeper, &entry, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
    keeper_unseal_drop(keeper);
    say_why(keeper, "The shares that were given came too slowly, and are forgotten; all that are "
                    "needed have to be given again.");
}

/* --- One share --- */

static STATUS state_check(struct keeper_op *op)
{
    const struct keeper *keeper = op->keeper;

    if (keeper->seal.kind == 0)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The vault has no seal yet; 'cardkeep init' gives it one.");
    if (keeper->seal.kind != SEAL_SHARES)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Its seal is not of shares; 'cardkeep status' says what opens it.");
    if (keeper_sealed(keeper) == NULL || keeper->seal_given != NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The vault is open; no share is needed.");
    return STATUS_OK;
}

static STATUS share_read(struct keeper_op *op, const struct secret *typed, struct share *out)
{
    struct buffer sentence OWNED(buffer_free) = BUFFER(SENTENCE_MAX - 1);
    struct share_text_fault fault = {0};
    struct status status = share_text_read(secret_peek(typed), secret_size(typed), out, &fault);

    if (!failed(status) || fault.flaw == SHARE_TEXT_GOOD)
        return status;
    share_text_explain(&fault, &sentence);
    return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/share", buffer_text(&sentence));
}

/* The place of the caller among the custodians. */
static STATUS place_find(struct keeper_op *op, unsigned *out_place)
{
    const struct seal_record *seal = &op->keeper->seal;

    for (unsigned i = 0; i < seal->count; i++)
        if (strcmp(seal->custodians[i].name, op->principal->name) == 0) {
            *out_place = i;
            return STATUS_OK;
        }
    return keeper_refuse(op, PROBLEM_DENIED, NULL,
                         "You are no custodian of this vault's seal; 'cardkeep seal show' names "
                         "them.");
}

/* Of this set, this custodian's, and the very one that it was given. */
static STATUS share_check(struct keeper_op *op, const struct share *share, unsigned place)
{
    const struct seal_record *seal = &op->keeper->seal;
    uint8_t digest[SHARE_DIGEST_BYTES];
    char sentence[SENTENCE_MAX];
    char set[2 * SHARE_SET_BYTES + 1];

    if (memcmp(share->set, seal->set_id, sizeof share->set) != 0) {
        ceremony_set_text(seal->set_id, set);
        (void)snprintf(sentence, sizeof sentence,
                       "That share is of another set, an older one perhaps; type the one that is "
                       "marked %s.",
                       set);
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/share", sentence);
    }
    if (share->index != place + 1)
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/share",
                             "That is another custodian's share; each gives its own.");
    share_digest(share, digest);
    if (sodium_memcmp(digest, seal->custodians[place].digest, sizeof digest) != 0)
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/share",
                             "That is not the share that you were given, though it is marked so; "
                             "type the one of the ceremony.");
    return STATUS_OK;
}

static STATUS unseal_begin(struct keeper *keeper)
{
    if (keeper->ceremonies.unseal != NULL)
        return STATUS_OK;
    keeper->ceremonies.unseal = calloc(1, sizeof *keeper->ceremonies.unseal);
    ENSURE(keeper->ceremonies.unseal != NULL, WHY_NO_MEMORY);
    keeper->ceremonies.unseal->ends_ms = clock_monotonic_ms() + keeper->settings->unseal_ms;
    return STATUS_OK;
}

/* A certificate names one principal, so that one person gives one share. */
static STATUS share_is_new(struct keeper_op *op, unsigned place)
{
    const struct unseal *unseal = op->keeper->ceremonies.unseal;
    char sentence[SENTENCE_MAX];

    if (unseal == NULL || unseal->shares[place].value == NULL)
        return STATUS_OK;
    (void)snprintf(sentence, sizeof sentence,
                   "Your share is in already; %u of %u are, and others give the rest.",
                   unseal->count, op->keeper->seal.threshold);
    return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, sentence);
}

static STATUS root_check(struct keeper *keeper, const struct secret *root)
{
    OWNED(buffer_free) struct buffer row = BUFFER(SEAL_ROW_BYTES_MAX);

    TRY(db_get(keeper->db, STORE_META, SEAL_KEY, sizeof SEAL_KEY, &row));
    return seal_check(row.bytes, row.size, root, keeper_environment(keeper));
}

/* Rebuilds the root of what was given; wrong or right, the shares are gone. */
static STATUS root_join(struct keeper_op *op)
{
    struct keeper *keeper = op->keeper;
    struct shares_part parts[SHARES_COUNT_MAX];
    OWNED(secret_free) struct secret *root = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < keeper->seal.count; i++)
        if (keeper->ceremonies.unseal->shares[i].value != NULL)
            parts[count++] = (struct shares_part){
                .index = (uint8_t)(i + 1), .value = keeper->ceremonies.unseal->shares[i].value};
    assert(count == keeper->seal.threshold);
    struct status status = shares_combine(parts, count, &root);
    keeper_unseal_drop(keeper);
    TRY(status);
    status = root_check(keeper, root);
    if (status.why == WHY_DENIED || status.why == WHY_FORGED) {
        log_failure(LOG_ERROR, "seal_row_forged", status, NULL);
        say_why(keeper, "The seal's row is not as it was stored: what the shares gave is not its "
                        "root.");
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The shares are right, and the seal's row is not as it was stored; "
                             "restore the store, all shares are forgotten.");
    }
    TRY(status);
    keeper_seal_give(keeper, &root);
    return STATUS_OK;
}

static STATUS unseal_answer(struct keeper_op *op, unsigned given)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    bool opens = given == op->keeper->seal.threshold;

    json_begin_object(&writer);
    json_put_member(&writer, "state", opens ? "opening" : "sealed");
    json_put_member_int(&writer, "given", given);
    json_put_member_int(&writer, "threshold", op->keeper->seal.threshold);
    json_end_object(&writer);
    return keeper_answer_text(op, 200, &body);
}

/* The entry and the answer first: what they could fail for must not leave the share behind. */
static STATUS share_keep(struct keeper_op *op, struct share *share, unsigned place)
{
    struct keeper *keeper = op->keeper;
    struct unseal *unseal = keeper->ceremonies.unseal;
    unsigned given = unseal->count + 1;
    char text[SENTENCE_MAX];

    (void)snprintf(text, sizeof text, "share %u, the %s of %u that are needed", share->index,
                   given == keeper->seal.threshold ? "last" : "next", keeper->seal.threshold);
    struct audit_entry entry = {
        .event = op->event, .object = op->object, .certificate = op->certificate, .detail = text};
    TRY(keeper_record(op, &entry));
    unseal->shares[place] = *share;
    share->value = NULL;
    unseal->count = given;
    if (given == keeper->seal.threshold)
        TRY(root_join(op));
    (void)snprintf(text, sizeof text, "%u of %u shares are in.", given, keeper->seal.threshold);
    if (given < keeper->seal.threshold)
        say_why(keeper, text);
    struct status status = unseal_answer(op, given);
    if (failed(status)) {
        keeper_unseal_drop(keeper);
        secret_free(&keeper->seal_given);
    }
    return status;
}

STATUS keeper_unseal_run(struct keeper_op *op, struct cursor *in)
{
    enum { UNSEAL_SHARE };
    static const char *const names[] = {[UNSEAL_SHARE] = "share", NULL};
    const struct read_object_secret rule = {UNSEAL_SHARE, SHARE_TEXT_TYPED_MAX,
                                            PROBLEM_INVALID_FIELD};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    OWNED(secret_free) struct secret *typed = NULL;
    struct share share OWNED(share_free) = {0};
    struct read_object object;
    unsigned place = 0;

    TRY(keeper_text_open(in, &text));
    (void)keeper_ceremony_person(op, &text, "seal.unseal");
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_need(&object, UNSEAL_SHARE);
    read_object_take(&object, &rule, text.body.bytes, &typed);
    TRY(keeper_text_judge(&object));
    TRY(state_check(op));
    TRY(place_find(op, &place));
    TRY(share_read(op, typed, &share));
    TRY(share_check(op, &share, place));
    TRY(share_is_new(op, place));
    TRY(unseal_begin(op->keeper));
    return share_keep(op, &share, place);
}
