/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's store, configuration and readers while memory runs out. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/secret.h"
#include "relay/address.h"
#include "relay/lease.h"
#include "relay/lease_json.h"
#include "relay/ledger.h"
#include "relay/ledger_rows.h"
#include "relay/resolve.h"
#include "relay/settings.h"
#include "relay/slots.h"
#include "tests/relay/submissions.h"
#include "tests/support/failing_alloc.h"

static char folder[64];
static char path[96];
static struct loop *loop;
static struct settings *settings;
static struct ledger *ledger;

TestSuite(no_memory, .timeout = 120);

static void folder_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/cardkeep-no-memory-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void folder_drop(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

/* ---- The ledger ---- */

static struct status ledger_open_run(void)
{
    OWNED(ledger_close) struct ledger *made = NULL;
    char error[256] = "";

    return ledger_open(folder, "relay.test/log", &made, error, sizeof error);
}

static void ledger_make(void)
{
    char error[256] = "";
    folder_make();
    cr_assert(!failed(ledger_open(folder, "relay.test/log", &ledger, error, sizeof error)));
}

static void ledger_drop(void)
{
    ledger_close(&ledger);
    folder_drop();
}

static struct status intent_run(void)
{
    struct ledger_submission of = submission("sub_0123456789abcdefghijkl", 1, 1);
    struct ledger_intent intent = {.op = {.apply = ledger_rows_intent_apply}, .submission = &of};

    ledger_run(ledger, &intent.op);
    buffer_free(&intent.answer);
    return intent.op.status;
}

/* No attempt is on record: the key is free. */
static void nothing_is_intended(void)
{
    struct ledger_submission of = submission("sub_0123456789abcdefghijkl", 1, 1);
    struct buffer row OWNED(buffer_free) = BUFFER(8192);

    cr_expect_eq(db_get(ledger_db(ledger), LEDGER_OPEN, of.id, strlen(of.id), &row).why,
                 WHY_NOT_FOUND);
    cr_expect_eq(audit_log_size(ledger_log(ledger)), 0);
}

/* ---- Readers ---- */

static struct status slots_run(void)
{
    static struct slots slots;
    static struct slots_problem problem;
    struct profile profile = {0};
    struct slots_request request = {.target = "/",
                                    .content_type = "application/json",
                                    .body = (const uint8_t *)"{\"a\":[1,2,3]}",
                                    .body_size = 13};

    return slots_find(&profile, &request, &slots, &problem);
}

static struct status lease_run(void)
{
    struct lease_json answer OWNED(lease_json_close) = {0};
    static const char results[] = "{\"results\":[{}]}";

    return lease_json_open(&answer, (const uint8_t *)results, sizeof results - 1, 1);
}

Test(no_memory, is_said_and_leaves_nothing_half_done)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "ledger", .run = ledger_open_run, .before = folder_make, .after = folder_drop},
        /* What follows a commit is kept in memory only if there is some. */
        {.name = "intent",
         .run = intent_run,
         .before = ledger_make,
         .after = ledger_drop,
         .unchanged = nothing_is_intended,
         .may_succeed = true},
        {.name = "slots", .run = slots_run},
        {.name = "lease", .run = lease_run},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
}

/* ---- Configuration, and what is made from it ---- */

static const char document[] =
    "environment: development\n"
    "data: data/relay\n"
    "listen: {api: {address: '127.0.0.1:8444', certificate: r, key: r, clients: c}}\n"
    "vault: {address: '127.0.0.1:8443', authorities: c, certificate: r, key: r}\n"
    "signer: {key: signer.key, state: signer.state, origin: relay.test/log}\n"
    "policies: policies.yaml\n"
    "gateways: gateways\n"
    "destinations:\n"
    "  sandbox: {gateway: sandbox, host: localhost, port: 8445, authorities: c,\n"
    "            allow: ['127.0.0.0/8']}\n";

static struct status settings_run(void)
{
    OWNED(settings_free) struct settings *made = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    return settings_load(path, &made, error, sizeof error);
}

static void settings_make(void)
{
    char command[256];
    folder_make();
    (void)snprintf(command, sizeof command, "cp -r %s/../relay/gateways %s/", TESTS_DIR, folder);
    cr_assert_eq(system(command), 0);
    (void)snprintf(path, sizeof path, "%s/relay.yaml", folder);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(document, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void parts_make(void)
{
    char error[SETTINGS_ERROR_MAX] = "";
    settings_make();
    cr_assert(!failed(settings_load(path, &settings, error, sizeof error)), "%s", error);
    cr_assert(!failed(loop_new(&loop)));
    (void)snprintf(path, sizeof path, "%s/store", folder);
    cr_assert(!failed(ledger_open(path, "relay.test/log", &ledger, error, sizeof error)));
}

static void parts_drop(void)
{
    ledger_close(&ledger);
    loop_free(&loop);
    settings_free(&settings);
    folder_drop();
}

static struct status resolver_run(void)
{
    OWNED(resolve_free) struct resolver *resolver = NULL;
    return resolve_new(loop, settings, &resolver);
}

static struct status desk_run(void)
{
    OWNED(lease_desk_free) struct lease_desk *desk = NULL;
    return lease_desk_new(loop, settings, ledger, &desk);
}

Test(no_memory, of_the_configuration_and_its_parts_is_said)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "settings",
         .run = settings_run,
         .may_succeed = true,
         .stride = 13,
         .before = settings_make,
         .after = folder_drop},
        {.name = "resolver", .run = resolver_run, .before = parts_make, .after = parts_drop},
        {.name = "desk", .run = desk_run, .before = parts_make, .after = parts_drop},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
}
