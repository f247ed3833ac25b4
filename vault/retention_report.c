/* SPDX-License-Identifier: Apache-2.0 */
/* One walk over all records does both: it counts what is beyond its time, and gives tokens the time
 * that today's policy says.  It is not kept: after a restart it begins anew. */
#include "vault/retention_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/own.h"
#include "keys/fingerprint.h"
#include "vault/erase.h"
#include "vault/keeper_text.h"
#include "vault/retention.h"
#include "vault/token_key.h"

#define SLICE_RECORDS 64u
#define AGAIN_MS      5000
/* The sweep comes once a second, and takes so many: what is due for less than this is not late. */
#define GRACE_MS         (5 * 1000LL)
#define TENANTS_MAX      320u /* Those of the policy, and some that left it. */
#define REPORT_BYTES_MAX 49152u

struct class
{
    char tenant[POLICY_NAME_BYTES_MAX];
    uint64_t records;
    uint64_t beyond;
    uint64_t unreadable; /* Whose age cannot be asked: their key is not to be had. */
    int64_t oldest_ms;   /* 0: none. */
};

struct retention_walk {
    bool running;
    bool reports; /* Somebody asked; else times are put right, and nobody hears of it. */
    char asked_by[POLICY_NAME_BYTES_MAX];
    char request_id[65];
    uint64_t at;
    uint64_t moved;
    uint64_t review; /* What the retentions are, in one number. */
    int64_t started_ms;
    int64_t ended_ms; /* Of the last report; 0: none yet. */
    uint64_t entry;
    int64_t due_ms; /* Of the next try, by the clock that does not jump. */
    unsigned class_count;
    struct class classes[TENANTS_MAX];
    struct buffer report; /* The last one. */
};

/* --- Whose, and how old --- */

static struct class *class_of(struct retention_walk *walk, const char *tenant)
{
    for (unsigned i = 0; i < walk->class_count; i++)
        if (strcmp(walk->classes[i].tenant, tenant) == 0)
            return &walk->classes[i];
    if (walk->class_count == TENANTS_MAX)
        return &walk->classes[TENANTS_MAX - 1]; /* Counted all the same. */
    struct class *class = &walk->classes[walk->class_count++];
    *class = (struct class){0};
    (void)snprintf(class->tenant, sizeof class->tenant, "%s", tenant);
    return class;
}

static STATUS key_of(struct keeper *keeper, uint64_t record_id, struct key_info *out_info)
{
    struct store_record record;
    uint64_t key_id = 0;

    TRY(store_get_record(&keeper->store, record_id, &record));
    TRY(envelope_key_id(record.view, record.view_size, &key_id));
    ENSURE(key_id > 0 && keyring_info_at(keeper->ring, (unsigned)(key_id - 1), out_info),
           WHY_FORGED);
    return STATUS_OK;
}

/* A token whose time is not what today's policy says gets that. */
static STATUS token_review(struct keeper *keeper, const struct policy_tenant *tenant,
                           const struct view *view, uint64_t *moved)
{
    uint8_t key[STORE_KEY_BYTES];
    struct store_token token;

    TRY(token_key(&keeper->store, tenant->name, view->token, 0, key));
    TRY(store_get_token(&keeper->store, key, &token));
    int64_t due_ms = retention_due_ms(tenant, view->created_ms, view->expires_ms);
    if (token.state == STORE_TOKEN_ERASED || token.due_ms == due_ms)
        return STATUS_OK;
    (*moved)++;
    return retention_move(keeper, key, &token, due_ms);
}

static void class_count(struct class *class, int64_t created_ms, int64_t due_ms, int64_t now_ms)
{
    class->records++;
    if (class->oldest_ms == 0 || created_ms < class->oldest_ms)
        class->oldest_ms = created_ms;
    if (due_ms + GRACE_MS <= now_ms)
        class->beyond++;
}

/* Of a record that cannot be read its key tells: no record is older than that. */
static STATUS record_look(struct keeper *keeper, struct retention_walk *walk, uint64_t id,
                          int64_t now_ms)
{
    struct buffer plain OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64);
    static const struct policy_tenant unknown = {.retention_ms = 1};
    struct key_info info;
    struct view view;

    struct status status = key_of(keeper, id, &info);
    if (status.why == WHY_FORGED) {
        class_of(walk, "")->unreadable++;
        return STATUS_OK;
    }
    TRY(status);
    struct class *class = class_of(walk, info.tenant);
    const struct policy_tenant *tenant = policy_tenant(keeper->policy, info.tenant);
    if (tenant == NULL) /* Of a tenant that left nothing is to be there. */
        tenant = &unknown;
    struct policy_tenant named = *tenant;
    (void)snprintf(named.name, sizeof named.name, "%s", info.tenant);
    status = find_view(keeper, &named, id, &plain, &view);
    if (failed(status)) {
        class->unreadable++;
        class_count(class, info.created_ms, info.created_ms + named.retention_ms, now_ms);
        return STATUS_OK;
    }
    class_count(class, view.created_ms, retention_due_ms(&named, view.created_ms, view.expires_ms),
                now_ms);
    if (walk->reports || tenant == &unknown)
        return STATUS_OK;
    status = token_review(keeper, tenant, &view, &walk->moved);
    return status.why == WHY_NOT_FOUND || status.why == WHY_FORGED ? STATUS_OK : status;
}

static STATUS walk_slice(struct keeper *keeper, struct retention_walk *walk, int64_t now_ms,
                         bool *out_end)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint8_t from[8];
    unsigned count = 0;

    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)((walk->at + 1) >> (56 - 8 * i));
    TRY(db_iterate(keeper->db, STORE_RECORDS, from, sizeof from, &rows));
    for (; db_iterator_valid(rows) && count < SLICE_RECORDS; db_iterator_next(rows)) {
        size_t size = 0;
        struct cursor key = cursor_over(db_iterator_key(rows, &size), 8);
        ENSURE(size == 8, WHY_FORGED);
        uint64_t id = cursor_u64(&key);
        struct status status = record_look(keeper, walk, id, now_ms);
        if (status.why != WHY_NOT_FOUND) /* Deleted in this very turn. */
            TRY(status);
        walk->at = id;
        count++;
    }
    *out_end = !db_iterator_valid(rows);
    return db_iterator_status(rows);
}

/* --- The report --- */

static int64_t mark_of(struct keeper *keeper, const char *name)
{
    uint64_t mark = 0;

    return failed(store_get_mark(&keeper->store, name, &mark)) ? 0 : (int64_t)mark;
}

static void put_class(const struct keeper *keeper, const struct class *class,
                      struct json_writer *writer)
{
    const struct policy_tenant *tenant = policy_tenant(keeper->policy, class->tenant);

    json_begin_object(writer);
    json_put_member(writer, "tenant", class->tenant);
    json_put_member(writer, "class", "cards");
    json_key(writer, "retention_seconds");
    if (tenant == NULL)
        json_put_null(writer);
    else
        json_put_int(writer, tenant->retention_ms / 1000);
    json_put_member_u64(writer, "records", class->records);
    json_put_member_u64(writer, "beyond_retention", class->beyond);
    json_put_member_u64(writer, "unreadable", class->unreadable);
    json_put_member_time(writer, "oldest", class->oldest_ms);
    json_key(writer, "cvv_lifetime_seconds");
    if (tenant == NULL)
        json_put_null(writer);
    else
        json_put_int(writer, tenant->cvv_lifetime_ms / 1000);
    json_end_object(writer);
}

static uint64_t beyond_all(const struct retention_walk *walk)
{
    uint64_t beyond = 0;

    for (unsigned i = 0; i < walk->class_count; i++)
        beyond += walk->classes[i].beyond;
    return beyond;
}

static STATUS report_write(struct keeper *keeper, struct retention_walk *walk, int64_t now_ms)
{
    struct json_writer writer = json_writer_over(&walk->report);

    buffer_clear(&walk->report);
    json_begin_object(&writer);
    json_put_member_time(&writer, "at", now_ms);
    json_put_member(&writer, "asked_by", walk->asked_by);
    json_put_member_u64(&writer, "beyond_retention", beyond_all(walk));
    json_key(&writer, "classes");
    json_begin_array(&writer);
    for (unsigned i = 0; i < walk->class_count; i++)
        put_class(keeper, &walk->classes[i], &writer);
    json_end_array(&writer);
    json_put_member_int(&writer, "cvv_ceiling_seconds", POLICY_CVV_LIFETIME_MAX_MS / 1000);
    json_put_member_time(&writer, "last_purge", mark_of(keeper, ERASE_MARK_PURGED));
    json_put_member_time(&writer, "unpurged_since", mark_of(keeper, ERASE_MARK_UNPURGED));
    json_end_object(&writer);
    return buffer_status(&walk->report);
}

static STATUS report_end(struct keeper *keeper, struct retention_walk *walk, int64_t now_ms)
{
    bool good = beyond_all(walk) == 0;
    struct audit_entry entry = {
        .event = "retention.report",
        .actor = walk->asked_by,
        .object = "store",
        .request_id = walk->request_id,
        .outcome = good ? "ok" : "beyond_retention",
    };

    TRY(report_write(keeper, walk, now_ms));
    entry.detail = buffer_text(&walk->report);
    walk->entry = audit_log_next_seq(keeper->log);
    TRY(keeper_record_own(keeper, &entry, now_ms));
    walk->ended_ms = now_ms;
    if (!good)
        log_event(LOG_ERROR, "records_beyond_retention", NULL);
    return STATUS_OK;
}

static STATUS review_end(struct keeper *keeper, struct retention_walk *walk, int64_t now_ms)
{
    char detail[64];
    struct audit_entry entry = {
        .event = "retention.review", .object = "store", .detail = detail, .count = walk->moved};

    TRY(store_put_mark(&keeper->store, keeper->batch, ERASE_MARK_REVIEW, walk->review));
    if (walk->moved == 0)
        return STATUS_OK;
    (void)snprintf(detail, sizeof detail, "%" PRIu64 " tokens go at another time", walk->moved);
    return keeper_record_own(keeper, &entry, now_ms);
}

/* --- When --- */

static STATUS walk_begin(struct keeper *keeper, bool reports, int64_t now_ms)
{
    if (keeper->retention == NULL)
        keeper->retention = calloc(1, sizeof *keeper->retention);
    struct retention_walk *walk = keeper->retention;
    ENSURE(walk != NULL, WHY_NO_MEMORY);
    if (walk->report.bytes_max == 0)
        walk->report = BUFFER(REPORT_BYTES_MAX);
    walk->running = true;
    walk->reports = reports;
    walk->at = 0;
    walk->moved = 0;
    walk->class_count = 0;
    walk->started_ms = now_ms;
    const struct policy_tenant *tenant = NULL;
    for (unsigned i = 0; (tenant = policy_tenant_at(keeper->policy, i)) != NULL; i++)
        (void)class_of(walk, tenant->name); /* Those without a record are in the report too. */
    return STATUS_OK;
}

/* All tenants' retentions in one number, to see that one changed. */
static STATUS retentions(struct keeper *keeper, int64_t now_ms, uint64_t *out_number)
{
    struct buffer text OWNED(buffer_free) = BUFFER(64u * 1024u);
    uint8_t hash[FINGERPRINT_BYTES];
    const struct policy_tenant *tenant = NULL;

    for (unsigned i = 0; (tenant = policy_tenant_at(keeper->policy, i)) != NULL; i++) {
        buffer_add_counted(&text, tenant->name);
        buffer_add_u64(&text, (uint64_t)tenant->retention_ms);
    }
    TRY(buffer_status(&text));
    TRY(fingerprint_index(keeper->ring, "retention", text.bytes, text.size, now_ms, hash));
    struct cursor in = cursor_over(hash, 8);
    *out_number = cursor_u64(&in);
    return STATUS_OK;
}

/* After a start: whether all tokens have their times by today's policy. */
static STATUS review_begin(struct keeper *keeper, int64_t now_ms)
{
    uint64_t now = 0;
    uint64_t before = 0;

    TRY(retentions(keeper, now_ms, &now));
    struct status status = store_get_mark(&keeper->store, ERASE_MARK_REVIEW, &before);
    if (status.why != WHY_NOT_FOUND)
        TRY(status);
    TRY(walk_begin(keeper, false, now_ms));
    keeper->retention->review = now;
    keeper->retention->running = status.why == WHY_NOT_FOUND || before != now;
    return STATUS_OK;
}

static STATUS walk_step(struct keeper *keeper, int64_t now_ms)
{
    struct retention_walk *walk = keeper->retention;
    uint64_t at = walk == NULL ? 0 : walk->at;
    bool end = false;

    if (walk == NULL)
        return review_begin(keeper, now_ms);
    if (!walk->running || clock_monotonic_ms() < walk->due_ms)
        return STATUS_OK;
    struct status status = walk_slice(keeper, walk, now_ms, &end);
    if (!failed(status) && end) {
        walk->running = false;
        status =
            walk->reports ? report_end(keeper, walk, now_ms) : review_end(keeper, walk, now_ms);
    }
    if (failed(status)) {
        walk->at = at;
        walk->running = true;
        walk->due_ms = clock_monotonic_ms() + AGAIN_MS;
    }
    return status;
}

void retention_report_tick(struct keeper *keeper, int64_t now_ms)
{
    if (keeper->store_failed || keeper->ring == NULL || keeper_has_work(keeper))
        return;
    struct keeper_mark mark = keeper_mark(keeper);
    struct status status = walk_step(keeper, now_ms);

    if (!failed(status))
        return;
    keeper_rewind(keeper, &mark, now_ms);
    log_failure(LOG_ERROR, "retention_not_walked", status, NULL);
}

bool retention_report_is_busy(const struct keeper *keeper)
{
    const struct retention_walk *walk = keeper->retention;

    return keeper->ring != NULL && walk != NULL && walk->running &&
           clock_monotonic_ms() >= walk->due_ms;
}

void retention_report_close(struct keeper *keeper)
{
    if (keeper->retention != NULL)
        buffer_free(&keeper->retention->report);
    free(keeper->retention);
    keeper->retention = NULL;
}

/* --- POST and GET /v1/retention --- */

static STATUS state_answer(struct keeper_op *op, unsigned status)
{
    const struct retention_walk *walk = op->keeper->retention;
    struct buffer body OWNED(buffer_free) = BUFFER(REPORT_BYTES_MAX + 1024);
    struct json_writer writer = json_writer_over(&body);
    bool has = walk != NULL && walk->ended_ms != 0;

    json_begin_object(&writer);
    json_put_member_bool(&writer, "running", walk != NULL && walk->running && walk->reports);
    json_key(&writer, "report");
    if (has)
        json_put_raw(&writer, walk->report.bytes, walk->report.size);
    else
        json_put_null(&writer);
    json_key(&writer, "entry");
    if (has)
        json_put_int(&writer, (int64_t)walk->entry);
    else
        json_put_null(&writer);
    json_end_object(&writer);
    return keeper_answer_text(op, status, &body);
}

STATUS retention_report_ask(struct keeper_op *op, struct cursor *in)
{
    static const char *const no_names[] = {NULL};
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct keeper *keeper = op->keeper;
    struct audit_entry entry = {.object = "store"};
    struct read_object object;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, no_names, &object));
    TRY(keeper_text_judge(&object));
    /* A review puts times right, and a report would count what it has not come to. */
    if (keeper->retention == NULL || keeper->retention->running)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "All records are being looked at; ask again when that has ended.");
    TRY(keeper_record(op, &entry));
    TRY(walk_begin(keeper, true, op->now_ms));
    struct retention_walk *walk = keeper->retention;
    walk->ended_ms = 0;
    (void)snprintf(walk->asked_by, sizeof walk->asked_by, "%s", op->principal->name);
    (void)snprintf(walk->request_id, sizeof walk->request_id, "%s", op->caller->request_id);
    return state_answer(op, 202);
}

STATUS retention_report_show(struct keeper_op *op, struct cursor *in)
{
    static const char *const no_names[] = {NULL};
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct audit_entry entry = {.object = "store"};

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, no_names, NULL));
    TRY(keeper_record(op, &entry));
    return state_answer(op, 200);
}
