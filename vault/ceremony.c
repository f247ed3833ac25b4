/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/ceremony.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/share_text.h"

#define SENTENCE_MAX 160u

enum custodian_state { STATE_ASKED, STATE_ACCEPTED, STATE_COLLECTED, STATE_CONFIRMED };
static const char *const state_names[] = {"asked", "accepted", "collected", "confirmed"};

const char *const ceremony_kind_names[] = {"init", "rekey"};

struct custodian {
    struct seal_custodian row;
    enum custodian_state state;
    uint8_t box[CUSTODIAN_BOX_BYTES];
};

struct ceremony {
    char id[CEREMONY_ID_BYTES];
    enum ceremony_kind kind;
    int64_t ends_ms;
    uint8_t set[SHARE_SET_BYTES];
    unsigned threshold;
    unsigned count;
    struct custodian custodians[SEAL_CUSTODIANS_MAX];
    struct secret *root; /* NULL until all have accepted. */
};

STATUS ceremony_plan_check(const struct ceremony_plan *plan, struct problem *out_problem)
{
    char field[48];

    if (plan->count < SHARES_THRESHOLD_MIN || plan->count > SHARES_COUNT_MAX) {
        problem_set(out_problem, PROBLEM_INVALID_FIELD, "/custodians",
                    "A root is held by 2 to 16 custodians.");
        return FAIL(WHY_BAD_INPUT);
    }
    if (plan->threshold < SHARES_THRESHOLD_MIN || plan->threshold > plan->count) {
        problem_set(out_problem, PROBLEM_INVALID_FIELD, "/threshold",
                    "It is at least 2, and at most the number of custodians.");
        return FAIL(WHY_BAD_INPUT);
    }
    for (unsigned i = 0; i < plan->count; i++)
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(plan->names[i], plan->names[k]) != 0)
                continue;
            (void)snprintf(field, sizeof field, "/custodians/%u", i);
            problem_set(out_problem, PROBLEM_INVALID_FIELD, field,
                        "Nobody holds two shares: the name stands there twice.");
            return FAIL(WHY_BAD_INPUT);
        }
    return STATUS_OK;
}

STATUS ceremony_new(const struct ceremony_plan *plan, int64_t ends_ms, struct ceremony **out)
{
    struct ceremony *ceremony = calloc(1, sizeof *ceremony);

    ENSURE(ceremony != NULL, WHY_NO_MEMORY);
    assert(plan->count >= SHARES_THRESHOLD_MIN && plan->count <= SHARES_COUNT_MAX);
    assert(plan->threshold >= SHARES_THRESHOLD_MIN && plan->threshold <= plan->count);
    random_id("cer_", ceremony->id, sizeof ceremony->id);
    random_bytes(ceremony->set, sizeof ceremony->set);
    ceremony->kind = plan->kind;
    ceremony->ends_ms = ends_ms;
    ceremony->threshold = plan->threshold;
    ceremony->count = plan->count;
    for (unsigned i = 0; i < plan->count; i++)
        memcpy(ceremony->custodians[i].row.name, plan->names[i], CEREMONY_NAME_BYTES);
    *out = ceremony;
    return STATUS_OK;
}

void ceremony_free(struct ceremony **ceremony)
{
    if (*ceremony == NULL)
        return;
    secret_free(&(*ceremony)->root);
    sodium_memzero(*ceremony, sizeof **ceremony);
    free(*ceremony);
    *ceremony = NULL;
}

const char *ceremony_id(const struct ceremony *ceremony)
{
    return ceremony->id;
}

enum ceremony_kind ceremony_kind(const struct ceremony *ceremony)
{
    return ceremony->kind;
}

int64_t ceremony_ends_ms(const struct ceremony *ceremony)
{
    return ceremony->ends_ms;
}

/* --- One custodian's steps --- */

static STATUS refuse(struct problem *out_problem, const char *sentence)
{
    assert(strlen(sentence) < SENTENCE_MAX);
    problem_set(out_problem, PROBLEM_STATE_CONFLICT, NULL, sentence);
    return FAIL(WHY_CONFLICT);
}

static unsigned count_at_least(const struct ceremony *ceremony, enum custodian_state state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ceremony->count; i++)
        count += ceremony->custodians[i].state >= state ? 1 : 0;
    return count;
}

static struct custodian *custodian_find(struct ceremony *ceremony, const char *name)
{
    for (unsigned i = 0; i < ceremony->count; i++)
        if (strcmp(ceremony->custodians[i].row.name, name) == 0)
            return &ceremony->custodians[i];
    return NULL;
}

/* Who comes back is who accepted: by name, and by the very certificate. */
static STATUS custodian_know(struct ceremony *ceremony, const struct ceremony_person *person,
                             struct custodian **out, struct problem *out_problem)
{
    struct custodian *custodian = custodian_find(ceremony, person->name);

    if (custodian == NULL) {
        problem_set(out_problem, PROBLEM_DENIED, NULL,
                    "You are none of this ceremony's custodians; ask who opened it to name you.");
        return FAIL(WHY_DENIED);
    }
    if (custodian->state >= STATE_ACCEPTED &&
        strcmp(custodian->row.certificate, person->certificate) != 0)
        return refuse(out_problem, "You accepted with another certificate; come back with that "
                                   "one, or have the ceremony begun again.");
    *out = custodian;
    return STATUS_OK;
}

static STATUS accept_check(struct ceremony *ceremony, const struct ceremony_person *person,
                           const uint8_t *public_key, struct problem *out_problem)
{
    for (unsigned i = 0; i < ceremony->count; i++) {
        const struct custodian *other = &ceremony->custodians[i];
        if (other->state < STATE_ACCEPTED)
            continue;
        if (strcmp(other->row.certificate, person->certificate) == 0)
            return refuse(out_problem, "Another custodian accepted with this certificate; each "
                                       "comes with its own.");
        if (memcmp(other->row.public_key, public_key, CUSTODIAN_KEY_BYTES) == 0)
            return refuse(out_problem, "Another custodian gave this public key; make your own "
                                       "with 'cardkeep custodian key'.");
    }
    if (!custodian_public_is_good(public_key)) {
        problem_set(out_problem, PROBLEM_INVALID_FIELD, "/public_key",
                    "No share can be sealed to this key; make one with 'cardkeep custodian key'.");
        return FAIL(WHY_BAD_INPUT);
    }
    return STATUS_OK;
}

STATUS ceremony_accept(struct ceremony *ceremony, const struct ceremony_person *person,
                       const uint8_t public_key[static CUSTODIAN_KEY_BYTES],
                       struct problem *out_problem)
{
    struct custodian *custodian = NULL;

    TRY(custodian_know(ceremony, person, &custodian, out_problem));
    if (custodian->state >= STATE_ACCEPTED)
        return refuse(out_problem, "You accepted already; collect your share when all others "
                                   "have, too.");
    TRY(accept_check(ceremony, person, public_key, out_problem));
    (void)snprintf(custodian->row.certificate, sizeof custodian->row.certificate, "%s",
                   person->certificate);
    memcpy(custodian->row.public_key, public_key, CUSTODIAN_KEY_BYTES);
    custodian->state = STATE_ACCEPTED;
    return STATUS_OK;
}

static void shares_end(struct secret **values, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        secret_free(&values[i]);
}

static STATUS boxes_fill(struct ceremony *ceremony, struct secret **values)
{
    for (unsigned i = 0; i < ceremony->count; i++) {
        struct custodian *custodian = &ceremony->custodians[i];
        struct share share = {.threshold = (uint8_t)ceremony->threshold,
                              .index = (uint8_t)(i + 1),
                              .value = values[i]};
        memcpy(share.set, ceremony->set, sizeof share.set);
        share_digest(&share, custodian->row.digest);
        TRY(custodian_seal(custodian->row.public_key, &share, custodian->box));
    }
    return STATUS_OK;
}

/* The root, its shares into their boxes, and the shares gone again. */
static STATUS root_draw(struct ceremony *ceremony)
{
    OWNED(secret_free) struct secret *root = NULL;
    struct secret *values[SHARES_COUNT_MAX] = {NULL};

    assert(count_at_least(ceremony, STATE_ACCEPTED) == ceremony->count);
    TRY(secret_new_key(SHARES_BYTES, &root));
    random_bytes(secret_bytes(root), SHARES_BYTES);
    secret_protect(root);
    TRY(shares_split(root, ceremony->threshold, ceremony->count, values));
    struct status status = boxes_fill(ceremony, values);
    shares_end(values, ceremony->count);
    TRY(status);
    ceremony->root = MOVE(root);
    return STATUS_OK;
}

STATUS ceremony_collect(struct ceremony *ceremony, const struct ceremony_person *person,
                        const uint8_t *public_key, struct ceremony_box *out_box,
                        struct problem *out_problem)
{
    struct custodian *custodian = NULL;
    unsigned accepted = count_at_least(ceremony, STATE_ACCEPTED);
    char sentence[SENTENCE_MAX];

    TRY(custodian_know(ceremony, person, &custodian, out_problem));
    if (custodian->state < STATE_ACCEPTED)
        return refuse(out_problem, "Accept the duty first, with 'cardkeep custodian accept'.");
    if (custodian->state > STATE_ACCEPTED)
        return refuse(out_problem, "Your share was given to you, and is given once; if it is "
                                   "lost, have the ceremony cancelled and begun again.");
    if (public_key != NULL &&
        memcmp(public_key, custodian->row.public_key, CUSTODIAN_KEY_BYTES) != 0) {
        problem_set(out_problem, PROBLEM_INVALID_FIELD, "/public_key",
                    "You accepted with another key; name with --key the file that you accepted "
                    "with.");
        return FAIL(WHY_BAD_INPUT);
    }
    if (accepted < ceremony->count) {
        (void)snprintf(sentence, sizeof sentence,
                       "%u of %u custodians have accepted; there are shares to collect when all "
                       "have.",
                       accepted, ceremony->count);
        return refuse(out_problem, sentence);
    }
    if (ceremony->root == NULL)
        TRY(root_draw(ceremony));
    memcpy(out_box->set, ceremony->set, sizeof out_box->set);
    memcpy(out_box->box, custodian->box, sizeof out_box->box);
    out_box->threshold = (uint8_t)ceremony->threshold;
    out_box->index = (uint8_t)(custodian - ceremony->custodians + 1);
    custodian->state = STATE_COLLECTED;
    return STATUS_OK;
}

STATUS ceremony_confirm(struct ceremony *ceremony, const struct ceremony_person *person,
                        const uint8_t digest[static SHARE_DIGEST_BYTES], bool *out_all,
                        struct problem *out_problem)
{
    struct custodian *custodian = NULL;

    TRY(custodian_know(ceremony, person, &custodian, out_problem));
    if (custodian->state < STATE_COLLECTED)
        return refuse(out_problem, "Collect your share first, with 'cardkeep custodian collect'.");
    if (custodian->state > STATE_COLLECTED)
        return refuse(out_problem, "You proved your share already; wait for the others.");
    if (sodium_memcmp(digest, custodian->row.digest, SHARE_DIGEST_BYTES) != 0) {
        problem_set(out_problem, PROBLEM_INVALID_FIELD, "/digest",
                    "That is not the share that you were given; read back what you wrote down.");
        return FAIL(WHY_BAD_INPUT);
    }
    custodian->state = STATE_CONFIRMED;
    *out_all = count_at_least(ceremony, STATE_CONFIRMED) == ceremony->count;
    return STATUS_OK;
}

void ceremony_finish(struct ceremony *ceremony, int64_t now_ms, struct secret **out_root,
                     struct seal_record *out_record)
{
    assert(ceremony->root != NULL);
    assert(count_at_least(ceremony, STATE_CONFIRMED) == ceremony->count);
    *out_record = (struct seal_record){
        .kind = SEAL_SHARES,
        .created_ms = now_ms,
        .threshold = (uint8_t)ceremony->threshold,
        .count = (uint8_t)ceremony->count,
    };
    memcpy(out_record->set_id, ceremony->set, sizeof out_record->set_id);
    for (unsigned i = 0; i < ceremony->count; i++)
        out_record->custodians[i] = ceremony->custodians[i].row;
    *out_root = MOVE(ceremony->root);
}

/* --- What it says of itself --- */

void ceremony_set_text(const uint8_t set[static SHARE_SET_BYTES],
                       char out[static 2 * SHARE_SET_BYTES + 1])
{
    encode_hex(set, SHARE_SET_BYTES, out);
}

void ceremony_say(const struct ceremony *ceremony, struct buffer *out)
{
    buffer_format(out, "%u of %u:", ceremony->threshold, ceremony->count);
    for (unsigned i = 0; i < ceremony->count; i++)
        buffer_format(out, "%s %s", i == 0 ? "" : ",", ceremony->custodians[i].row.name);
}

void ceremony_write(const struct ceremony *ceremony, int64_t ends_ms, struct json_writer *writer)
{
    char time[CLOCK_TEXT_SIZE];
    char key[SHARE_TEXT_PUBLIC_SIZE];

    clock_text(ends_ms, time);
    json_begin_object(writer);
    json_put_member(writer, "id", ceremony->id);
    json_put_member(writer, "kind", ceremony_kind_names[ceremony->kind]);
    json_put_member_int(writer, "threshold", ceremony->threshold);
    json_put_member(writer, "ends_at", time);
    json_key(writer, "custodians");
    json_begin_array(writer);
    for (unsigned i = 0; i < ceremony->count; i++) {
        const struct custodian *custodian = &ceremony->custodians[i];
        json_begin_object(writer);
        json_put_member(writer, "name", custodian->row.name);
        json_put_member(writer, "state", state_names[custodian->state]);
        if (custodian->state >= STATE_ACCEPTED) {
            share_text_write_public(custodian->row.public_key, key);
            json_put_member(writer, "public_key", key);
        }
        json_end_object(writer);
    }
    json_end_array(writer);
    json_end_object(writer);
}
