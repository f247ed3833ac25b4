/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cvv.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "tests/keys/shelf.h"
#include "tests/vault/cards.h"

#define BOOT       7u
#define CELLS      8u
#define NOW        SHELF_NOW_MS
#define DEADLINE   (NOW + 15 * 60 * 1000)
#define LEASE_ENDS (NOW + 120 * 1000)

static struct keyring *ring;
static struct cvv_cells *cells;
static const uint8_t token_key[STORE_KEY_BYTES] = "a card token";
static const uint8_t other_key[STORE_KEY_BYTES] = "another token";
static const uint8_t lease_id[CVV_LEASE_BYTES] = "a lease";
static const uint8_t other_lease[CVV_LEASE_BYTES] = "another lease";

static void make(void)
{
    pool_open();
    ring = shelf_ring();
    cr_assert(!failed(cvv_open(ring, BOOT, false, CELLS, &cells)));
}

static void drop(void)
{
    cvv_close(&cells);
    keyring_free(&ring);
    pool_close();
}

TestSuite(cvv, .init = make, .fini = drop);

static enum why try_store(const char *digits, int64_t now_ms, int64_t deadline_ms,
                          uint8_t out_id[static CVV_ID_BYTES])
{
    OWNED(secret_free) struct secret *code = secret_of(digits, strlen(digits));
    struct cvv_bond bond = {.tenant = "shop", .purchase = ""};

    memcpy(bond.token_key, token_key, sizeof token_key);
    return cvv_store(cells, &bond, code, now_ms, deadline_ms, out_id).why;
}

static void keep(const char *digits, uint8_t out_id[static CVV_ID_BYTES])
{
    cr_assert_eq(try_store(digits, NOW, DEADLINE, out_id), WHY_NONE);
}

/* PROBLEM_NONE where the code was lent, and it was `digits`. */
static enum problem_code lease_at(const uint8_t *id, const uint8_t *bond, int64_t now_ms,
                                  const char *digits)
{
    OWNED(secret_free) struct secret *code = NULL;
    enum problem_code problem = PROBLEM_COUNT;

    struct cvv_loan loan = {.ends_ms = now_ms + 120 * 1000};
    memcpy(loan.lease_id, lease_id, sizeof lease_id);
    struct status status = cvv_lease(cells, id, bond, &loan, now_ms, &code, &problem);
    cr_expect_eq(failed(status), problem != PROBLEM_NONE);
    cr_expect_eq(failed(status), code == NULL, "a refusal hands out nothing");
    if (code != NULL) {
        cr_assert_eq(secret_size(code), strlen(digits));
        cr_expect_arr_eq(secret_peek(code), digits, strlen(digits));
    }
    return problem;
}

static enum problem_code lease(const uint8_t *id)
{
    return lease_at(id, token_key, NOW, "737");
}

Test(cvv, lends_the_code_that_was_stored)
{
    uint8_t three[CVV_ID_BYTES];
    uint8_t four[CVV_ID_BYTES];

    keep("737", three);
    keep("7373", four);
    cr_expect_eq(cvv_held(cells), 2u);
    cr_expect_eq(lease_at(three, token_key, NOW, "737"), PROBLEM_NONE);
    cr_expect_eq(lease_at(four, token_key, NOW, "7373"), PROBLEM_NONE);
    cr_expect_eq(cvv_held(cells), 2u, "a leased code is still held");
}

Test(cvv, is_lent_to_one_submission_at_a_time)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_assert_eq(lease(id), PROBLEM_NONE);
    cr_expect_eq(lease(id), PROBLEM_STATE_CONFLICT);
}

Test(cvv, is_lent_for_the_card_it_was_given_with_only)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_expect_eq(lease_at(id, other_key, NOW, "737"), PROBLEM_STATE_CONFLICT);
    cr_expect_eq(lease(id), PROBLEM_NONE, "and the attempt costs nothing");
}

Test(cvv, is_gone_once_the_gateway_answered)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_assert_eq(lease(id), PROBLEM_NONE);
    cvv_destroy(cells, id);
    cr_expect_eq(cvv_held(cells), 0u);
    cr_expect_eq(cvv_deadline_ms(cells, id), 0);
    cr_expect_eq(lease(id), PROBLEM_CVV_CONSUMED);
    cvv_return(cells, id, lease_id, NOW);
    cr_expect_eq(lease(id), PROBLEM_CVV_CONSUMED, "and cannot be returned any more");
    cvv_destroy(cells, id);
    cr_expect_eq(cvv_held(cells), 0u, "a repeat changes nothing");
}

Test(cvv, returned_before_its_deadline_is_lent_again)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(lease_at(id, token_key, DEADLINE - 3 + i, "737"), PROBLEM_NONE);
        cvv_return(cells, id, lease_id, DEADLINE - 3 + i);
        cr_expect_eq(cvv_deadline_ms(cells, id), DEADLINE, "returning renews nothing");
    }
}

Test(cvv, comes_back_from_the_lease_that_has_it_alone)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_assert_eq(lease(id), PROBLEM_NONE);
    cvv_return(cells, id, other_lease, NOW);
    cr_expect_eq(lease(id), PROBLEM_STATE_CONFLICT, "it is out still");
    cvv_return(cells, id, NULL, NOW);
    cr_expect_eq(lease(id), PROBLEM_NONE, "given back whoever had it");
}

Test(cvv, returned_after_its_deadline_has_expired)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_assert_eq(lease_at(id, token_key, DEADLINE - 1, "737"), PROBLEM_NONE);
    cvv_return(cells, id, lease_id, DEADLINE);
    cr_expect_eq(cvv_held(cells), 0u);
    cr_expect_eq(lease(id), PROBLEM_CVV_EXPIRED);
}

Test(cvv, is_gone_at_its_deadline_though_a_lease_lasts_longer)
{
    static const struct cvv_loan loan = {.lease_id = "a lease", .ends_ms = DEADLINE + 60000};
    enum problem_code code = PROBLEM_NONE;
    OWNED(secret_free) struct secret *lent = NULL;
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_assert(!failed(cvv_lease(cells, id, token_key, &loan, DEADLINE - 1, &lent, &code)));
    cvv_sweep(cells, DEADLINE - 1, CELLS);
    cr_expect_eq(cvv_held(cells), 1u);
    cvv_sweep(cells, DEADLINE, CELLS);
    cr_expect_eq(cvv_held(cells), 0u);
    cvv_sweep(cells, DEADLINE + 1, CELLS);
    cr_expect_eq(cvv_held(cells), 0u, "once");
    cr_expect_eq(lease_at(id, token_key, DEADLINE + 2, "737"), PROBLEM_STATE_CONFLICT, "it is out");
    cvv_return(cells, id, lease_id, DEADLINE + 3);
    cr_expect_eq(lease_at(id, token_key, DEADLINE + 4, "737"), PROBLEM_CVV_EXPIRED);
    cr_expect_eq(cvv_held(cells), 0u);
}

/* Whether a sweep came by in between must not matter. */
Test(cvv, returned_after_its_lease_ran_out_is_consumed)
{
    for (unsigned swept = 0; swept < 2; swept++) {
        uint8_t id[CVV_ID_BYTES];
        keep("737", id);
        cr_assert_eq(lease(id), PROBLEM_NONE);
        if (swept == 1)
            cvv_sweep(cells, LEASE_ENDS, CELLS);
        cvv_return(cells, id, lease_id, LEASE_ENDS);
        cr_expect_eq(lease_at(id, token_key, LEASE_ENDS, "737"), PROBLEM_CVV_CONSUMED);
    }
}

Test(cvv, of_a_submission_that_never_ended_is_consumed_when_its_lease_runs_out)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cr_assert_eq(lease(id), PROBLEM_NONE);
    cr_expect_eq(lease_at(id, token_key, LEASE_ENDS - 1, "737"), PROBLEM_STATE_CONFLICT);
    cr_expect_eq(lease_at(id, token_key, LEASE_ENDS, "737"), PROBLEM_CVV_CONSUMED);
    cr_expect_eq(cvv_held(cells), 0u);
}

Test(cvv, expires_at_its_deadline)
{
    uint8_t id[CVV_ID_BYTES];
    uint8_t late[CVV_ID_BYTES];

    keep("737", id);
    keep("737", late);
    cr_expect_eq(cvv_deadline_ms(cells, id), DEADLINE);
    cr_expect_eq(lease_at(id, token_key, DEADLINE - 1, "737"), PROBLEM_NONE);
    cr_expect_eq(lease_at(late, token_key, DEADLINE, "737"), PROBLEM_CVV_EXPIRED);
    cr_expect_eq(cvv_deadline_ms(cells, late), 0);
    cr_expect_eq(cvv_held(cells), 1u);
}

Test(cvv, that_is_forgotten_was_never_there)
{
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    cvv_forget(cells, id);
    cr_expect_eq(cvv_held(cells), 0u);
    cr_expect_eq(cvv_deadline_ms(cells, id), 0);
    cr_expect_eq(lease(id), PROBLEM_CVV_EXPIRED, "as any id of this boot without a cell");
    cvv_forget(cells, id);
    cr_expect_eq(cvv_held(cells), 0u);
}

Test(cvv, that_is_destroyed_or_returned_without_a_lease_does_what_it_says)
{
    uint8_t id[CVV_ID_BYTES];
    const uint8_t nobody[CVV_ID_BYTES] = {1};

    keep("737", id);
    cvv_return(cells, id, lease_id, NOW);
    cr_expect_eq(cvv_held(cells), 1u);
    cvv_destroy(cells, id);
    cr_expect_eq(lease(id), PROBLEM_CVV_CONSUMED);
    cvv_destroy(cells, nobody);
    cvv_return(cells, nobody, lease_id, NOW);
    cvv_forget(cells, nobody);
    cr_expect_eq(cvv_held(cells), 0u);
}

Test(cvv, finds_no_cell_when_all_are_in_use_and_one_as_soon_as_one_ends)
{
    uint8_t ids[CELLS][CVV_ID_BYTES];
    uint8_t more[CVV_ID_BYTES];

    for (unsigned i = 0; i < CELLS; i++)
        keep("737", ids[i]);
    cr_expect_eq(try_store("737", NOW, DEADLINE, more), WHY_BUSY);
    cr_expect_eq(cvv_held(cells), CELLS);
    cr_assert_eq(lease(ids[3]), PROBLEM_NONE);
    cr_expect_eq(try_store("737", NOW, DEADLINE, more), WHY_BUSY, "a lease frees nothing");
    cvv_destroy(cells, ids[3]);
    cr_expect_eq(try_store("737", NOW, DEADLINE, more), WHY_NONE);
    cr_expect_eq(lease(more), PROBLEM_NONE);
    for (unsigned i = 0; i < CELLS; i++)
        cr_expect_eq(lease(ids[i]), i == 3 ? PROBLEM_CVV_EXPIRED : PROBLEM_NONE,
                     "the others were not touched");
    cr_expect_eq(try_store("737", DEADLINE, DEADLINE + 1, more), WHY_NONE, "nor is a sweep needed");
}

Test(cvv, cells_are_used_again_and_again)
{
    uint8_t ids[2 * CELLS][CVV_ID_BYTES];

    for (unsigned round = 0; round < 500; round++) {
        unsigned at = round % (2 * CELLS);
        if (round >= CELLS)
            cvv_forget(cells, ids[(round - CELLS) % (2 * CELLS)]);
        keep("737", ids[at]);
        for (unsigned i = 0; i < CELLS && i <= round; i++)
            cr_assert_neq(cvv_deadline_ms(cells, ids[(round - i) % (2 * CELLS)]), 0);
    }
    cr_expect_eq(cvv_held(cells), CELLS);
}

Test(cvv, sweep_looks_at_some_cells_a_call_and_at_all_in_turn)
{
    uint8_t id[CVV_ID_BYTES];

    for (unsigned i = 0; i < CELLS; i++)
        keep("737", id);
    cvv_sweep(cells, DEADLINE - 1, CELLS);
    cr_expect_eq(cvv_held(cells), CELLS);
    cvv_sweep(cells, DEADLINE, 3);
    cr_expect_eq(cvv_held(cells), CELLS - 3);
    cvv_sweep(cells, DEADLINE, 3);
    cvv_sweep(cells, DEADLINE, 3);
    cr_expect_eq(cvv_held(cells), 0u);
}

Test(cvv, of_more_than_a_cell_holds_is_refused_and_takes_no_cell)
{
    uint8_t id[CVV_ID_BYTES];

    for (unsigned i = 0; i < 2 * CELLS; i++)
        cr_expect_eq(try_store("123456789", NOW, DEADLINE, id), WHY_BAD_INPUT);
    cr_expect_eq(cvv_held(cells), 0u);
    keep("737", id);
}

static void token_of(const uint8_t *id, char out[static CONTRACT_TOKEN_MAX + 1])
{
    cr_assert(!failed(cvv_token(cells, "shop", id, out)));
}

Test(cvv, token_is_read_back_by_its_tenant)
{
    char token[CONTRACT_TOKEN_MAX + 1];
    uint8_t id[CVV_ID_BYTES];
    uint8_t back[CVV_ID_BYTES];

    keep("737", id);
    token_of(id, token);
    cr_expect_eq(strncmp(token, "cvv_test_", 9), 0);
    cr_expect_eq(strlen(token), 9u + 22 + 6);
    cr_assert(cvv_parse(cells, "shop", token, back));
    cr_expect_arr_eq(back, id, CVV_ID_BYTES);
    cr_expect(!cvv_parse(cells, "bank", token, back));
    cr_expect(!cvv_parse(cells, "sho", token, back));
}

Test(cvv, token_with_any_character_changed_is_nobodys)
{
    char token[CONTRACT_TOKEN_MAX + 1];
    uint8_t id[CVV_ID_BYTES];

    keep("737", id);
    token_of(id, token);
    for (size_t at = 0; token[at] != '\0'; at++) {
        char right = token[at];
        static const char others[] = "0Az_-\x01\x7f\xff";
        for (size_t i = 0; i < sizeof others; i++) { /* The NUL too. */
            uint8_t back[CVV_ID_BYTES];
            token[at] = others[i];
            cr_expect_eq(cvv_parse(cells, "shop", token, back), others[i] == right, "%s", token);
        }
        token[at] = right;
    }
    uint8_t back[CVV_ID_BYTES];
    cr_expect(!cvv_parse(cells, "shop", "", back));
    cr_expect(!cvv_parse(cells, "shop", "cvv_test_", back));
}

Test(cvv, token_says_whether_it_is_live)
{
    OWNED(cvv_close) struct cvv_cells *live = NULL;
    char token[CONTRACT_TOKEN_MAX + 1];
    uint8_t id[CVV_ID_BYTES];
    uint8_t back[CVV_ID_BYTES];

    cr_assert(!failed(cvv_open(ring, BOOT, true, CELLS, &live)));
    keep("737", id);
    cr_assert(!failed(cvv_token(live, "shop", id, token)));
    cr_expect_eq(strlen(token), 4u + 22 + 6);
    cr_expect(cvv_parse(live, "shop", token, back));
    cr_expect(!cvv_parse(cells, "shop", token, back));
}

Test(cvv, is_lost_in_a_restart_and_says_so)
{
    static struct shelf shelf;
    char token[CONTRACT_TOKEN_MAX + 1];
    uint8_t id[CVV_ID_BYTES];
    uint8_t back[CVV_ID_BYTES];

    keep("737", id);
    token_of(id, token);
    (void)shelf_store(&shelf, ring);
    cvv_close(&cells);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, NOW + 1000);
    cr_assert(!failed(cvv_open(ring, BOOT + 1, false, CELLS, &cells)));
    cr_assert(cvv_parse(cells, "shop", token, back), "the vault knows its own token");
    cr_expect_eq(lease(back), PROBLEM_CVV_LOST);
    cr_expect_eq(cvv_deadline_ms(cells, back), 0);
    keep("737", id);
    cr_expect_eq(lease(id), PROBLEM_NONE);
}

/* A mapping of this process, read through the kernel: most of it is nobody's to look at. */
struct memory {
    unsigned long from;
    size_t size;
    uint8_t bytes[1u << 20];
};

static bool memory_read(struct memory *memory)
{
    FILE *file = fopen("/proc/self/mem", "r");
    bool good = file != NULL && fseeko(file, (off_t)memory->from, SEEK_SET) == 0 &&
                fread(memory->bytes, 1, memory->size, file) == memory->size;

    if (file != NULL)
        (void)fclose(file);
    return good;
}

static bool memory_has(const struct memory *memory, const void *bytes, size_t size)
{
    return memmem(memory->bytes, memory->size, bytes, size) != NULL;
}

/* The one that holds the id together with its bond: the cells. */
static bool memory_find(const uint8_t *id, struct memory *memory)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    bool found = false;

    cr_assert_not_null(maps);
    while (!found && fgets(line, sizeof line, maps) != NULL) {
        unsigned long to = 0;
        unsigned long inode = 1;
        char rights[8] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &memory->from, &to, rights, &inode) != 4 ||
            strcmp(rights, "rw-p") != 0 || inode != 0 || strchr(line, '[') != NULL)
            continue;
        memory->size = to - memory->from;
        found = memory->size <= sizeof memory->bytes && memory_read(memory) &&
                memory_has(memory, id, CVV_ID_BYTES) &&
                memory_has(memory, token_key, sizeof token_key);
    }
    (void)fclose(maps);
    return found;
}

/* SAD-1: sealed while it is held, and not even that afterwards. */
Test(cvv, memory_never_holds_the_digits_and_nothing_of_a_code_that_ended)
{
    static struct memory before;
    static struct memory after;
    uint8_t id[CVV_ID_BYTES];

    keep("7373", id);
    cr_assert(memory_find(id, &before));
    cr_expect(!memory_has(&before, "7373", 4));
    cr_assert_eq(lease_at(id, token_key, NOW, "7373"), PROBLEM_NONE);
    cr_assert(memory_read(&before));
    cr_expect(!memory_has(&before, "7373", 4));
    cvv_destroy(cells, id);
    after.from = before.from;
    after.size = before.size;
    cr_assert(memory_read(&after));
    /* What stays of a cell is its id, its bond, its tenant and its times, not 60 bytes of cipher.
     */
    unsigned wiped = 0;
    for (size_t i = 0; i < before.size; i++)
        wiped += before.bytes[i] != 0 && after.bytes[i] == 0 ? 1 : 0;
    cr_expect(wiped > 60, "%u bytes wiped", wiped);
    cvv_forget(cells, id);
    cr_assert(memory_read(&after));
    for (size_t i = 0; i < after.size; i++)
        cr_assert_eq(after.bytes[i], 0, "byte %zu", i);
}
