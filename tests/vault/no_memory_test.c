/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's rows, cells and configuration while memory runs out. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/support/failing_alloc.h"
#include "tests/vault/cards.h"
#include "tests/vault/rows.h"
#include "vault/cvv.h"
#include "vault/front_pending.h"
#include "vault/overlay.h"
#include "vault/settings.h"

static struct cvv_cells *cells;
static const uint8_t id[STORE_KEY_BYTES] = "sixteen bytes ..";

TestSuite(no_memory, .timeout = 120);

static struct status overlay_run(void)
{
    struct overlay overlay OWNED(overlay_close) = {0};

    TRY(overlay_open(&overlay));
    for (uint32_t i = 0; i < 300; i++)
        TRY(overlay_put(&overlay, 1, &i, sizeof i, "a value of some size", 20));
    return STATUS_OK;
}

static struct status pending_run(void)
{
    OWNED(front_pending_free) struct front_pending *pending = NULL;
    return front_pending_new(8, &pending);
}

static struct status cells_run(void)
{
    OWNED(cvv_close) struct cvv_cells *made = NULL;
    return cvv_open(ring, 1, false, 8, &made);
}

static void ring_make(void)
{
    pool_open();
    ring = shelf_ring();
    cr_assert(!failed(cvv_open(ring, 1, false, 8, &cells)));
}

static void ring_drop(void)
{
    cvv_close(&cells);
    keyring_free(&ring);
    pool_close();
}

static struct status code_run(void)
{
    OWNED(secret_free) struct secret *code = secret_of("123", 3);
    struct cvv_bond bond = {.tenant = "shop", .purchase = ""};
    uint8_t made[CVV_ID_BYTES];

    TRY(cvv_store(cells, &bond, code, SHELF_NOW_MS, SHELF_NOW_MS + 1000, made));
    cvv_forget(cells, made);
    return STATUS_OK;
}

static void no_cell_is_held(void)
{
    cr_expect_eq(cvv_held(cells), 0);
}

static struct status token_run(void)
{
    struct store_token token = {.state = STORE_TOKEN_LIVE, .record_id = 7};

    TRY(store_put_token(&store, batch, id, &token));
    return store_get_token(&store, id, &token);
}

/* As a request that fails does: what it put is taken back. */
static void row_is_absent(void)
{
    struct store_token token;

    overlay_rewind(&store.turn, 0);
    db_batch_clear(batch);
    cr_expect_eq(store_get_token(&store, id, &token).why, WHY_NOT_FOUND);
}

Test(no_memory, is_said_and_leaves_nothing_half_done)
{
    static const struct failing_alloc_case cases[] = {
        {.name = "overlay", .run = overlay_run},
        {.name = "pending calls", .run = pending_run},
        {.name = "cells", .run = cells_run, .before = ring_make, .after = ring_drop},
        {.name = "code",
         .run = code_run,
         .before = ring_make,
         .after = ring_drop,
         .unchanged = no_cell_is_held},
        {.name = "token",
         .run = token_run,
         .before = rows_open,
         .after = rows_close,
         .unchanged = row_is_absent},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failing_alloc_each(&cases[i]);
}

/* ---- Configuration ---- */

static char path[64];

static struct status settings_run(void)
{
    struct settings settings OWNED(settings_close) = {0};
    char error[512] = "";

    return settings_read(path, &settings, error, sizeof error);
}

Test(no_memory, of_the_configuration_is_said)
{
    static const char text[] =
        "environment: development\ndata: data/vault\n"
        "listen: {api: {address: '127.0.0.1:9443', certificate: v, key: k, clients: c}}\n"
        "seal: {kind: file, path: root.seal}\n"
        "signer: {key: signer.key, state: signer.state, origin: vault.test/log}\n"
        "policies: policies.yaml\n";
    const struct failing_alloc_case one = {
        .name = "settings", .run = settings_run, .may_succeed = true};

    (void)snprintf(path, sizeof path, "/tmp/cardkeep-settings-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, sizeof text - 1), (ssize_t)(sizeof text - 1));
    close(fd);
    failing_alloc_each(&one);
    cr_assert_eq(unlink(path), 0);
}
