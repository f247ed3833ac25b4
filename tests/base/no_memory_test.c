/* SPDX-License-Identifier: Apache-2.0 */
/* base/ while memory runs out.  libh2o ends the process where its own allocations fail. */
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/client.h"
#include "base/config.h"
#include "base/encode.h"
#include "base/frames.h"
#include "base/http.h"
#include "base/loop.h"
#include "base/secret.h"
#include "base/tls.h"
#include "base/work.h"
#include "tests/base/db_kit.h"
#include "tests/support/failing_alloc.h"
#include "tests/support/pki.h"

static struct db *db;
static struct loop *loop;
static struct pki *pki;
static struct pki_files files;
static int ends[2];

TestSuite(no_memory, .timeout = 120);

/* ---- Bytes, processes ---- */

static struct status buffer_run(void)
{
    struct buffer out OWNED(buffer_free) = BUFFER(1u << 20);
    static const uint8_t bytes[100000];

    buffer_add_text(&out, "few");
    buffer_add(&out, bytes, sizeof bytes);
    return buffer_status(&out);
}

static struct status pool_run(void)
{
    TRY(secret_pool_open(4));
    secret_pool_close();
    return STATUS_OK;
}

static void pool_is_shut(void)
{
    struct secret *none = NULL;
    cr_expect_eq(secret_pool_free_count(), 0);
    cr_expect_eq(secret_new(16, &none).why, WHY_BUSY, "no pool, no slot");
}

static struct status key_run(void)
{
    OWNED(secret_free) struct secret *key = NULL;
    return secret_new_key(32, &key);
}

static void pair_close(void)
{
    close(ends[0]);
    close(ends[1]);
}

static void pair_open(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

/* A body larger than a reader starts with, so that it grows. */
static struct status frames_run(void)
{
    OWNED(frame_writer_free) struct frame_writer *writer = NULL;
    OWNED(frame_reader_free) struct frame_reader *reader = NULL;
    static const uint8_t body[80000] = {1};
    struct frame frame = {0};

    pair_close(); /* No half frame of the attempt before. */
    pair_open();
    TRY(frame_writer_new(1u << 20, &writer));
    TRY(frame_reader_new(&reader));
    buffer_add(frame_begin(writer, 1, 7), body, sizeof body);
    TRY(frame_end(writer));
    cr_assert(!failed(frame_flush(writer, ends[0])));
    for (;;) {
        struct status status = frame_reader_next(reader, &frame);
        if (status.why != WHY_NOT_FOUND)
            return status;
        TRY(frame_reader_fill(reader, ends[1]));
    }
}

static const char document[] = "a: {b: [1, 2, three], c: \"a longer text than that\"}\nd: 4\n";

static struct status config_run(void)
{
    OWNED(config_free) struct config *config = NULL;
    struct status status = config_open_bytes("test.yaml", document, sizeof document - 1, &config);

    return status;
}

/* ---- The disk ---- */

static void db_make(void)
{
    make_folder();
    db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "1"), WHY_NONE);
}

static void db_drop(void)
{
    db_close(&db);
    drop_folder();
}

static struct status db_run(void)
{
    OWNED(db_close) struct db *made = NULL;
    struct db_options options = options_of(true);

    return db_open(store, &options, &made, reason, sizeof reason);
}

static struct status rows_run(void)
{
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    struct buffer out OWNED(buffer_free) = BUFFER(4096);

    TRY(db_get(db, ROWS, "a", 1, &out));
    TRY(db_iterate(db, ROWS, NULL, 0, &walk));
    TRY(db_batch_new(&batch));
    db_batch_put(batch, db, ROWS, "b", 1, "2", 1);
    return db_commit(db, batch);
}

static void rows_are_as_before(void)
{
    expect_row(db, ROWS, "a", "1");
    expect_row(db, ROWS, "b", NULL);
}

Test(no_memory, is_said_and_leaves_nothing_half_done)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "buffer", .run = buffer_run},
        {.name = "pool", .run = pool_run, .unchanged = pool_is_shut},
        {.name = "key", .run = key_run},
        {.name = "frames", .run = frames_run, .before = pair_open, .after = pair_close},
        {.name = "config", .run = config_run},
        {.name = "store", .run = db_run, .before = make_folder, .after = drop_folder},
        {.name = "rows",
         .run = rows_run,
         .before = db_make,
         .after = db_drop,
         .unchanged = rows_are_as_before},
    };

    cr_assert(sodium_init() >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
}

/* ---- What speaks HTTP ---- */

static void nothing(void *owner)
{
    (void)owner;
}

static struct status loop_run_once(void)
{
    OWNED(loop_free) struct loop *made = NULL;
    return loop_new(&made);
}

static void loop_make(void)
{
    pair_open();
    cr_assert(!failed(loop_new(&loop)));
}

static void loop_drop(void)
{
    loop_free(&loop);
    pair_close();
}

static struct status timers_run(void)
{
    struct loop_timer *timer = NULL;
    struct loop_watch *watch = NULL;

    TRY(loop_timer(loop, 60000, nothing, NULL, &timer));
    struct status status = loop_watch(loop, ends[0], nothing, NULL, &watch);
    loop_watch_free(&watch);
    loop_timer_cancel(&timer);
    return status;
}

static bool was_set;

/* As every daemon's tick does. */
static void set_again(void *owner)
{
    struct loop_timer *timer = NULL;

    (void)owner;
    failing_alloc_start(1, true, FAILING_ALLOC_OURS);
    was_set = !failed(loop_timer(loop, 60000, nothing, NULL, &timer));
    (void)failing_alloc_stop();
    loop_stop(loop);
}

Test(no_memory, keeps_no_timer_from_setting_itself_anew)
{
    struct loop_timer *timer = NULL;

    loop_make();
    cr_assert(!failed(loop_timer(loop, 0, set_again, NULL, &timer)));
    loop_run(loop);
    cr_expect(was_set);
    loop_drop();
}

static struct status workers_run(void)
{
    OWNED(work_pool_free) struct work_pool *pool = NULL;
    struct work_options options = {.loop = loop, .thread_count = 2, .queue_max = 4};

    return work_pool_new(&options, &pool);
}

static void files_make(void)
{
    if (pki == NULL) {
        pki = pki_new();
        files = pki_issue(pki, &(struct pki_subject){.name = "s", .alt = "DNS:localhost"});
    }
    loop_make();
}

static struct status tls_run(void)
{
    OWNED(tls_server_free) struct tls_server *tls = NULL;
    char error[256] = "";

    return tls_server_new(files.certificate, files.key, pki_authority(pki), &tls, error,
                          sizeof error);
}

static void on_call(void *owner, struct http_call *call)
{
    (void)owner;
    (void)call;
}

static struct status server_run(void)
{
    OWNED(http_server_free) struct http_server *server = NULL;
    struct http_server_options options = {
        .loop = loop, .limits = http_limits_default(), .on_call = on_call, .component = "test"};

    return http_server_new(&options, &server);
}

static void on_answer(void *owner, struct client_answer *answer)
{
    (void)owner;
    (void)answer;
}

/* Started and cancelled. */
static struct status client_run(void)
{
    OWNED(client_free) struct client *client = NULL;
    struct client_op *op = NULL;
    static const char *const headers[] = {"A", "b", NULL};
    struct client_request request = {.method = "POST",
                                     .host = "localhost",
                                     .port = 1,
                                     .target = "/",
                                     .headers = headers,
                                     .body = "body",
                                     .body_size = 4,
                                     .addresses = "127.0.0.1",
                                     .connect_ms = 1000,
                                     .total_ms = 1000,
                                     .answer_bytes_max = 100};

    TRY(client_new(loop, 4, 4, &client));
    TRY(client_start(client, &request, on_answer, NULL, &op));
    client_cancel(&op);
    return STATUS_OK;
}

Test(no_memory, of_what_speaks_http_is_said_and_leaves_nothing_half_done)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "loop", .run = loop_run_once},
        {.name = "timers", .run = timers_run, .before = loop_make, .after = loop_drop},
        {.name = "workers", .run = workers_run, .before = loop_make, .after = loop_drop},
        {.name = "tls", .run = tls_run, .before = files_make, .after = loop_drop},
        {.name = "server", .run = server_run, .before = loop_make, .after = loop_drop},
        {.name = "client",
         .run = client_run,
         .before = loop_make,
         .after = loop_drop,
         .may_succeed = true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
    pki_free(&pki);
}
