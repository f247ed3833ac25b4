/* SPDX-License-Identifier: Apache-2.0 */
/* POST and GET /v1/erasures.  One person erases a token; a tenant's cards, or all under one key,
 * take two. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/approve.h"
#include "vault/erase.h"
#include "vault/erasure.h"
#include "vault/keeper_text.h"
#include "vault/key_view.h"

#define ONE_BYTES_MAX  4096u
#define LIST_BYTES_MAX (256u * 1024u)
#define LIST_MAX       100u
#define OBJECT_MAX     32u
#define DETAIL_MAX     160u

enum ask_field { ASK_TOKEN, ASK_TENANT, ASK_EPOCH, ASK_BACKUPS };
static const char *const ask_names[] = {"token", "tenant", "epoch", "backups", NULL};

static const char *const kind_names[ERASURE_KIND_END] = {
    [ERASURE_TOKEN] = "token", [ERASURE_TENANT] = "tenant", [ERASURE_EPOCH] = "epoch"};
static const char *const state_names[ERASURE_STATE_END] = {
    [ERASURE_RUNNING] = "running", [ERASURE_DONE] = "done", [ERASURE_FOUND] = "bytes_found"};
static const char *const phase_names[ERASURE_PHASE_END] = {
    [ERASURE_TOKENS] = "tokens",   [ERASURE_RECORDS] = "records", [ERASURE_KEYS] = "keys",
    [ERASURE_REPEATS] = "repeats", [ERASURE_PURGE] = "purge",     [ERASURE_BACKUP] = "backup",
    [ERASURE_SEARCH] = "search",   [ERASURE_REPORT] = "report"};

/* --- Views --- */

static void put_search(const struct erasure *row, struct json_writer *writer)
{
    json_key(writer, "search");
    if (row->attempts == 0) {
        json_put_null(writer);
        return;
    }
    json_begin_object(writer);
    json_put_member_u64(writer, "files", row->files);
    json_put_member_u64(writer, "bytes", row->bytes);
    json_put_member_u64(writer, "erased_markers", row->marks);
    json_put_member_u64(writer, "erased_markers_found", row->marks_found);
    json_put_member_u64(writer, "other_markers", row->others);
    json_put_member_u64(writer, "other_markers_found", row->others_found);
    json_put_member_u64(writer, "backup_files", row->backup_files);
    json_put_member_u64(writer, "erased_markers_found_in_backups", row->backup_marks_found);
    json_end_object(writer);
}

static void put_counts(const struct erasure *row, struct json_writer *writer)
{
    json_key(writer, "erased");
    json_begin_object(writer);
    json_put_member_u64(writer, "tokens", row->tokens);
    json_put_member_u64(writer, "records_without_token", row->records);
    json_put_member_u64(writer, "kept_answers", row->repeats);
    json_put_member_u64(writer, "keys", row->keys);
    json_put_member_u64(writer, "unreadable_rows", row->unread);
    json_end_object(writer);
    json_key(writer, "files_gone");
    json_begin_object(writer);
    json_put_member_u64(writer, "tables", row->tables);
    json_put_member_u64(writer, "logs", row->logs);
    json_put_member_u64(writer, "manifests", row->manifests);
    json_end_object(writer);
}

void erasure_write(const struct erasure *row, const char *trouble, struct json_writer *writer)
{
    char id[OBJECT_MAX];

    (void)snprintf(id, sizeof id, ERASURE_ID_PREFIX "%" PRIu64, row->id);
    json_begin_object(writer);
    json_put_member(writer, "erasure", id);
    json_put_member(writer, "kind", kind_names[row->kind]);
    json_put_member(writer, "tenant", row->tenant[0] == '\0' ? NULL : row->tenant);
    json_key(writer, "epoch");
    if (row->kind == ERASURE_EPOCH)
        json_put_int(writer, (int64_t)row->key_id);
    else
        json_put_null(writer);
    json_put_member_bool(writer, "backups", row->backups);
    json_put_member(writer, "state", state_names[row->state]);
    json_put_member(writer, "phase", phase_names[row->phase]);
    json_put_member(writer, "trouble", trouble);
    json_put_member(writer, "asked_by", row->asked_by);
    json_put_member(writer, "approved_by", row->approved_by[0] == '\0' ? NULL : row->approved_by);
    json_put_member_time(writer, "asked_at", row->asked_ms);
    json_put_member_time(writer, "ended_at", row->ended_ms);
    put_counts(row, writer);
    put_search(row, writer);
    json_key(writer, "entry");
    if (row->entry == 0)
        json_put_null(writer);
    else
        json_put_int(writer, (int64_t)row->entry - 1);
    json_end_object(writer);
}

/* --- Beginning --- */

/* Keys in use take no more of what is to go: what comes after this goes under a new one. */
static STATUS keys_retire(struct keeper_op *op, const struct erasure *row)
{
    struct key_info info;

    for (unsigned i = 0; keyring_info_at(op->keeper->ring, i, &info); i++) {
        bool wanted = row->kind == ERASURE_EPOCH ? info.id == row->key_id
                                                 : strcmp(info.tenant, row->tenant) == 0;
        if (wanted && info.level == KEY_LEVEL_DEK && info.purpose == KEY_PURPOSE_CARD &&
            info.state == KEY_STATE_ACTIVE)
            TRY(keyring_change_state(op->keeper->ring, info.id, KEY_STATE_DEACTIVATED, op->now_ms));
    }
    return STATUS_OK;
}

static uint64_t key_count(const struct keeper *keeper)
{
    struct key_info info;
    unsigned count = 0;

    while (keyring_info_at(keeper->ring, count, &info))
        count++;
    return count;
}

/* Its row, from which it is carried out; `samples` has what its request deleted itself. */
static STATUS begin(struct keeper_op *op, struct erasure *row,
                    const struct erasure_samples *samples)
{
    struct keeper *keeper = op->keeper;
    char object[OBJECT_MAX];
    char detail[DETAIL_MAX];
    struct audit_entry entry = {.event = "erasure.begin", .object = object, .detail = detail};

    row->id = keeper->erasure->next_id;
    row->state = ERASURE_RUNNING;
    row->phase = ERASURE_TOKENS;
    row->record_bound = keeper->next_record;
    row->key_bound = key_count(keeper) + 1;
    row->asked_ms = op->now_ms;
    TRY(erasure_put_samples(keeper, row->id, samples));
    TRY(erasure_put(keeper, row));
    (void)snprintf(object, sizeof object, ERASURE_ID_PREFIX "%" PRIu64, row->id);
    (void)snprintf(detail, sizeof detail, "%s%s%s", kind_names[row->kind],
                   row->tenant[0] == '\0' ? "" : " of tenant ", row->tenant);
    entry.key_id = row->key_id;
    entry.tenant = row->tenant[0] == '\0' ? NULL : row->tenant;
    TRY(keeper_record(op, &entry));
    keeper->erasure->next_id++;
    keeper->erasure->asked = true;
    return STATUS_OK;
}

static bool is_tenant(const struct keeper *keeper, const char *name)
{
    struct key_info info;

    if (policy_tenant(keeper->policy, name) != NULL)
        return true;
    for (unsigned i = 0; name[0] != '\0' && keyring_info_at(keeper->ring, i, &info); i++)
        if (strcmp(info.tenant, name) == 0)
            return true; /* One that left: its cards go all the same. */
    return false;
}

/* --- Asking --- */

struct ask {
    char token[CONTRACT_TOKEN_MAX + 1];
    char tenant[POLICY_NAME_BYTES_MAX];
    uint64_t epoch;
    bool backups;
    char certificate[APPROVE_CERTIFICATE_MAX];
};

static STATUS ask_read(struct keeper_op *op, struct cursor *in, struct ask *out)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct read_object_range epoch = {
        .field = ASK_EPOCH, .least = 1, .most = ERASURE_KEYS_MAX, .code = PROBLEM_INVALID_FIELD};
    struct read_object object;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, ask_names, &object));
    read_object_text(&object, ASK_TOKEN, out->token, sizeof out->token);
    read_object_free_text(&object, ASK_TENANT, out->tenant, sizeof out->tenant);
    out->epoch = (uint64_t)read_object_int(&object, &epoch);
    out->backups = read_object_bool(&object, ASK_BACKUPS);
    if (out->epoch == 0)
        read_object_need(&object, ASK_TENANT);
    else if (out->tenant[0] != '\0' || out->token[0] != '\0')
        read_object_refuse(&object, ASK_EPOCH, PROBLEM_INVALID_FIELD,
                           "Name a token and its tenant, a tenant, or an epoch by its key.");
    TRY(keeper_text_judge(&object));
    (void)snprintf(out->certificate, sizeof out->certificate, "%s", text.head.certificate);
    return STATUS_OK;
}

static STATUS ask_token(struct keeper_op *op, const struct ask *ask)
{
    struct keeper *keeper = op->keeper;
    struct buffer body OWNED(buffer_free) = BUFFER(ONE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    static struct erasure_run aside; /* As if it were under way: what is sampled is its own. */
    struct policy_tenant tenant = {0};
    struct audit_entry entry = {
        .event = "card.delete", .object = op->object, .tenant = ask->tenant};
    struct found found;

    (void)snprintf(op->object, sizeof op->object, "%s", ask->token);
    (void)snprintf(tenant.name, sizeof tenant.name, "%s", ask->tenant);
    struct status status = find_token(op, &tenant, ask->token, &found, &op->problem);
    bool is_there = !failed(status) || op->problem.code == PROBLEM_EXPIRED;
    if (!is_there || found.token.state == STORE_TOKEN_ERASED)
        return status;
    op->problem = PROBLEM_NOTHING;
    aside = (struct erasure_run){.row = {.kind = ERASURE_TOKEN, .backups = ask->backups}};
    (void)snprintf(aside.row.tenant, sizeof aside.row.tenant, "%s", ask->tenant);
    (void)snprintf(aside.row.asked_by, sizeof aside.row.asked_by, "%s", op->principal->name);
    TRY(erasure_take_token(keeper, &aside, found.key, &found.token, op->now_ms));
    TRY(erase_note(keeper, op->now_ms));
    TRY(keeper_record(op, &entry));
    TRY(begin(op, &aside.row, &aside.samples));
    erasure_write(&aside.row, "", &writer);
    return keeper_answer_text(op, 202, &body);
}

/* Of two persons: what the first says is kept as text, and read again when the second agrees. */
static const char *detail_text(bool backups)
{
    return backups ? "{\"backups\":true}" : "{\"backups\":false}";
}

static STATUS ask_tenant(struct keeper_op *op, const struct ask *ask)
{
    char target[APPROVE_TARGET_MAX];
    struct approve_ask asked = {
        .kind = APPROVE_ERASE_TENANT,
        .target = target,
        .detail = detail_text(ask->backups),
        .certificate = ask->certificate,
    };

    if (!is_tenant(op->keeper, ask->tenant))
        return keeper_refuse(op, PROBLEM_NOT_FOUND, "/tenant", NULL);
    (void)snprintf(target, sizeof target, "tenant/%s", ask->tenant);
    return approve_ask(op, &asked);
}

static STATUS ask_epoch(struct keeper_op *op, const struct ask *ask)
{
    char target[APPROVE_TARGET_MAX];
    struct key_info info;
    struct approve_ask asked = {
        .kind = APPROVE_ERASE_EPOCH,
        .target = target,
        .detail = detail_text(ask->backups),
        .certificate = ask->certificate,
        .key_id = ask->epoch,
    };

    if (failed(key_view_find(op->keeper, ask->epoch, &info)))
        return keeper_refuse(op, PROBLEM_NOT_FOUND, "/epoch", NULL);
    if (info.level != KEY_LEVEL_DEK || info.purpose != KEY_PURPOSE_CARD)
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/epoch",
                             "An epoch is named by the key that sealed its cards: level DEK, "
                             "purpose card.");
    (void)snprintf(target, sizeof target, "key/%" PRIu64, ask->epoch);
    return approve_ask(op, &asked);
}

STATUS erasure_ask(struct keeper_op *op, struct cursor *in)
{
    struct ask ask = {0};

    TRY(ask_read(op, in, &ask));
    TRY(erasure_open(op->keeper));
    if (ask.token[0] != '\0')
        return ask_token(op, &ask);
    return ask.epoch == 0 ? ask_tenant(op, &ask) : ask_epoch(op, &ask);
}

/* --- Carried out: approve.c calls these --- */

static STATUS approved(struct keeper_op *op, const struct approve_request *request,
                       struct erasure *row, struct json_writer *out)
{
    static const struct erasure_samples none;

    TRY(erasure_open(op->keeper));
    row->backups = strcmp(request->detail, detail_text(true)) == 0;
    (void)snprintf(row->asked_by, sizeof row->asked_by, "%s", request->asked.name);
    (void)snprintf(row->approved_by, sizeof row->approved_by, "%s", request->ended.name);
    TRY(begin(op, row, &none));
    json_key(out, "erasure");
    erasure_write(row, "", out);
    return keys_retire(op, row);
}

STATUS erasure_ask_tenant(struct keeper_op *op, const struct approve_request *request,
                          struct json_writer *out)
{
    struct erasure row = {.kind = ERASURE_TENANT};
    const char *name = strchr(request->target, '/');

    ENSURE(name != NULL, WHY_FORGED);
    (void)snprintf(row.tenant, sizeof row.tenant, "%s", name + 1);
    return approved(op, request, &row, out);
}

STATUS erasure_ask_epoch(struct keeper_op *op, const struct approve_request *request,
                         struct json_writer *out)
{
    struct erasure row = {.kind = ERASURE_EPOCH, .key_id = request->key_id};
    struct key_info info;

    TRY(key_view_find(op->keeper, request->key_id, &info));
    (void)snprintf(row.tenant, sizeof row.tenant, "%s", info.tenant);
    return approved(op, request, &row, out);
}

/* --- Looking --- */

static const char *trouble_of(const struct keeper *keeper, uint64_t id)
{
    const struct erasure_run *run = keeper->erasure;

    return run->active && run->row.id == id ? run->trouble : "";
}

STATUS erasure_ask_list(struct keeper_op *op, struct cursor *in)
{
    static const char *const no_names[] = {NULL};
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(LIST_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct erasure row = {0};
    struct audit_entry entry = {.object = "erasures"};

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, no_names, NULL));
    TRY(erasure_open(op->keeper));
    if (op->keeper->erasure->next_id > LIST_MAX + 1) /* The newest of them. */
        row.id = op->keeper->erasure->next_id - LIST_MAX - 1;
    json_begin_object(&writer);
    json_key(&writer, "erasures");
    json_begin_array(&writer);
    for (;;) {
        struct status status = erasure_next(op->keeper, row.id, &row);
        if (status.why == WHY_NOT_FOUND)
            break;
        TRY(status);
        erasure_write(&row, trouble_of(op->keeper, row.id), &writer);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}

STATUS erasure_ask_show(struct keeper_op *op, struct cursor *in)
{
    static const char *const no_names[] = {NULL};
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(ONE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct audit_entry entry = {.object = op->object};
    struct erasure row;
    uint64_t id = 0;

    TRY(keeper_text_open(in, &text));
    (void)snprintf(op->object, sizeof op->object, "%.32s", text.head.segment);
    TRY(keeper_text_params(op, &text, no_names, NULL));
    TRY(keeper_text_id(&text, ERASURE_ID_PREFIX, &id));
    TRY(erasure_open(op->keeper));
    TRY(erasure_get(op->keeper, id, &row));
    erasure_write(&row, trouble_of(op->keeper, id), &writer);
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}
