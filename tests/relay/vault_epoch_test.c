/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/vault_epoch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "vault/contract.h"

#define PATIENCE_MS 20000

static char folder[64];
static char store[96];
static struct ledger *ledger;
static struct loop *loop;

static void begin(void)
{
    char error[256] = "";
    snprintf(folder, sizeof folder, "/tmp/cardkeep-vault-epoch-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(store, sizeof store, "%s/store", folder);
    cr_assert(!failed(ledger_open(store, "relay.test/log", &ledger, error, sizeof error)));
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(ledger_start(ledger, loop, 64)));
}

static void end(void)
{
    char command[128];
    ledger_close(&ledger);
    loop_free(&loop);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(vault_epoch, .init = begin, .fini = end, .timeout = 60);

static void on_time(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

/* The next op behind all others: when it is home, so are they. */
static void on_home(struct ledger_op *op)
{
    (void)op;
    loop_stop(loop);
}

static STATUS nothing(struct ledger_op *op, struct ledger *of, struct db_batch *batch)
{
    (void)op;
    (void)of;
    (void)batch;
    return STATUS_OK;
}

static void hear(struct vault_epoch *epoch, int status, const char *value)
{
    char name[] = CONTRACT_HEADER_EPOCH;
    char text[512] = "";
    struct client_header header = {.name = name, .value = text};
    struct client_answer answer = {.result = CLIENT_ANSWERED,
                                   .status = status,
                                   .headers = &header,
                                   .header_count = value == NULL ? 0 : 1};
    struct ledger_op last = {.apply = nothing, .done = on_home};
    struct loop_timer *timer = NULL;

    if (value != NULL)
        snprintf(text, sizeof text, "%s", value);
    vault_epoch_hear(epoch, &answer);
    cr_assert(!failed(ledger_submit(ledger, &last)));
    cr_assert(!failed(loop_timer(loop, PATIENCE_MS, on_time, NULL, &timer)));
    loop_run(loop);
    loop_timer_cancel(&timer);
}

static uint64_t entries(void)
{
    return audit_log_size(ledger_log(ledger));
}

Test(vault_epoch, is_in_the_log_once_for_each_change_and_known_after_a_restart)
{
    OWNED(vault_epoch_free) struct vault_epoch *epoch = NULL;
    struct buffer text OWNED(buffer_free) = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(vault_epoch_new(ledger, &epoch)));
    cr_expect_eq(vault_epoch_known(epoch), 1);
    hear(epoch, 200, NULL);
    cr_expect_eq(entries(), 0, "there is nothing to say of the first");
    hear(epoch, 200, "2 from 9 entries, root A, to 7 entries, root B; accepted by user 0");
    hear(epoch, 200, "2 from 9 entries, root A, to 7 entries, root B; accepted by user 0");
    hear(epoch, 503, NULL);
    cr_expect_eq(vault_epoch_known(epoch), 2);
    cr_assert_eq(entries(), 1);
    cr_assert(!failed(audit_log_entry(ledger_log(ledger), 0, &text)));
    cr_expect_not_null(strstr(buffer_text(&text), "\"event\":\"vault.rolled_back\""));
    cr_expect_not_null(strstr(buffer_text(&text), "\"object\":\"epoch/2\""));
    cr_expect_not_null(strstr(buffer_text(&text), "from 9 entries, root A, to 7 entries"));
    vault_epoch_free(&epoch);
    cr_assert(!failed(vault_epoch_new(ledger, &epoch)));
    cr_expect_eq(vault_epoch_known(epoch), 2);
    hear(epoch, 200, NULL);
    cr_expect_eq(vault_epoch_known(epoch), 1, "a vault that forgot it is a change as well");
    cr_expect_eq(entries(), 2);
}

Test(vault_epoch, does_not_take_what_is_no_epoch)
{
    static const char *const wrong[] = {"", "0 x", "1 x", "two", "-2 x", "02 x", "9999999999 x"};
    OWNED(vault_epoch_free) struct vault_epoch *epoch = NULL;
    cr_assert(!failed(vault_epoch_new(ledger, &epoch)));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hear(epoch, 200, wrong[i]);
        cr_expect_eq(vault_epoch_known(epoch), 1, "%s", wrong[i]);
    }
    cr_expect_eq(entries(), 0);
}
