/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cvv.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/envelope.h"
#include "keys/fingerprint.h"

#define CVV_PLAIN_BYTES  8u /* Padded, so that 3 and 4 digits look alike. */
#define CVV_SEALED_MAX   (ENVELOPE_OVERHEAD_MAX + CVV_PLAIN_BYTES)
#define CVV_RANDOM_BYTES 12u
#define CVV_CHECK_CHARS  6u

enum cvv_state { CVV_FREE = 0, CVV_STORED, CVV_LEASED, CVV_CONSUMED, CVV_EXPIRED };

/* One code.  CONSUMED and EXPIRED cells are wiped but for id, state and deadline, which are kept so
 * that a late caller hears the right reason; any of them is taken when a free cell is needed. */
struct cvv_cell {
    uint8_t id[CVV_ID_BYTES];
    uint8_t token_key[STORE_KEY_BYTES];
    int64_t deadline_ms;
    struct cvv_loan loan; /* While it is LEASED. */
    uint32_t next;        /* In its bucket, CVV_NONE at the end. */
    uint8_t state;
    uint8_t sealed_size;
    uint8_t sealed[CVV_SEALED_MAX];
    char tenant[64];
};

#define CVV_NONE UINT32_MAX

struct cvv_cells {
    struct keyring *ring; /* Borrowed. */
    uint32_t boot;
    bool live;
    unsigned count;
    unsigned held;
    unsigned hand;          /* Where the next search for a free cell, and the next sweep, begins. */
    struct cvv_cell *cells; /* Locked. */
    size_t cells_size;
    uint32_t *buckets; /* First cell of each; `count` of them. */
};

STATUS cvv_open(struct keyring *ring, uint32_t boot, bool live, unsigned cell_count,
                struct cvv_cells **out_cells)
{
    OWNED(cvv_close) struct cvv_cells *cells = calloc(1, sizeof *cells);

    assert(cell_count > 0);
    ENSURE(cells != NULL, WHY_NO_MEMORY);
    cells->ring = ring;
    cells->boot = boot;
    cells->live = live;
    cells->count = cell_count;
    cells->cells_size = cell_count * sizeof *cells->cells;
    void *memory =
        mmap(NULL, cells->cells_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ENSURE(memory != MAP_FAILED, WHY_NO_MEMORY);
    cells->cells = memory;
    ENSURE(mlock(memory, cells->cells_size) == 0, WHY_LIMIT);
    ENSURE(madvise(memory, cells->cells_size, MADV_DONTDUMP) == 0, WHY_LIMIT);
    cells->buckets = calloc(cell_count, sizeof *cells->buckets);
    ENSURE(cells->buckets != NULL, WHY_NO_MEMORY);
    for (unsigned i = 0; i < cell_count; i++)
        cells->buckets[i] = CVV_NONE;
    *out_cells = MOVE(cells);
    return STATUS_OK;
}

void cvv_close(struct cvv_cells **cells)
{
    if (*cells == NULL)
        return;
    if ((*cells)->cells != NULL) {
        sodium_memzero((*cells)->cells, (*cells)->cells_size);
        (void)munmap((*cells)->cells, (*cells)->cells_size);
    }
    free((*cells)->buckets);
    free(*cells);
    *cells = NULL;
}

static uint32_t *cvv_bucket(const struct cvv_cells *cells, const uint8_t *id)
{
    uint32_t hash;

    memcpy(&hash, id, sizeof hash); /* The id's random part. */
    return &cells->buckets[hash % cells->count];
}

static struct cvv_cell *cvv_find(const struct cvv_cells *cells, const uint8_t *id)
{
    uint32_t at = *cvv_bucket(cells, id);

    while (at != CVV_NONE && memcmp(cells->cells[at].id, id, CVV_ID_BYTES) != 0)
        at = cells->cells[at].next;
    return at == CVV_NONE ? NULL : &cells->cells[at];
}

static void cvv_unlink(struct cvv_cells *cells, struct cvv_cell *cell)
{
    uint32_t *link = cvv_bucket(cells, cell->id);
    uint32_t index = (uint32_t)(cell - cells->cells);

    while (*link != index) {
        assert(*link != CVV_NONE);
        link = &cells->cells[*link].next;
    }
    *link = cell->next;
    sodium_memzero(cell, sizeof *cell);
}

static bool cvv_is_held(const struct cvv_cell *cell)
{
    return cell->state == CVV_STORED || cell->state == CVV_LEASED;
}

/* The one place where a cell stops holding a code. */
static void cvv_wipe(struct cvv_cells *cells, struct cvv_cell *cell)
{
    if (cell->sealed_size == 0)
        return;
    sodium_memzero(cell->sealed, sizeof cell->sealed);
    cell->sealed_size = 0;
    cells->held--;
}

static void cvv_end(struct cvv_cells *cells, struct cvv_cell *cell, enum cvv_state state)
{
    assert(cvv_is_held(cell));
    assert(state == CVV_CONSUMED || state == CVV_EXPIRED);
    cvv_wipe(cells, cell);
    cell->state = (uint8_t)state;
}

static void cvv_expire(struct cvv_cells *cells, struct cvv_cell *cell, int64_t now_ms)
{
    if (cell->state == CVV_STORED && now_ms >= cell->deadline_ms)
        cvv_end(cells, cell, CVV_EXPIRED);
    else if (cell->state == CVV_LEASED && now_ms >= cell->loan.ends_ms)
        cvv_end(cells, cell, CVV_CONSUMED); /* Bytes may have left: never a second try. */
    else if (cell->state == CVV_LEASED && now_ms >= cell->deadline_ms)
        cvv_wipe(cells, cell); /* No lease keeps it for longer: it expires if it comes back. */
}

static struct cvv_cell *cvv_take_cell(struct cvv_cells *cells, int64_t now_ms)
{
    for (unsigned i = 0; i < cells->count; i++) {
        struct cvv_cell *cell = &cells->cells[cells->hand];
        cells->hand = (cells->hand + 1) % cells->count;
        cvv_expire(cells, cell, now_ms);
        if (cell->state == CVV_CONSUMED || cell->state == CVV_EXPIRED)
            cvv_unlink(cells, cell);
        if (cell->state == CVV_FREE)
            return cell;
    }
    return NULL;
}

static struct envelope_place cvv_place(const struct cvv_cell *cell)
{
    struct envelope_place place = {.tenant = cell->tenant, .purpose = "cvv"};

    memcpy(place.object, cell->id, sizeof place.object);
    return place;
}

STATUS cvv_store(struct cvv_cells *cells, const struct cvv_bond *bond, const struct secret *cvv,
                 int64_t now_ms, int64_t deadline_ms, uint8_t out_id[static CVV_ID_BYTES])
{
    uint64_t key_id = 0;
    struct buffer sealed OWNED(buffer_free) = BUFFER(CVV_SEALED_MAX);

    assert(deadline_ms > now_ms);
    TRY(keyring_use(cells->ring, bond->tenant, KEY_PURPOSE_CVV, now_ms, &key_id));
    struct cvv_cell *cell = cvv_take_cell(cells, now_ms);
    ENSURE(cell != NULL, WHY_BUSY);
    random_bytes(cell->id, CVV_RANDOM_BYTES);
    for (unsigned i = 0; i < 4; i++)
        cell->id[CVV_RANDOM_BYTES + i] = (uint8_t)(cells->boot >> (24 - 8 * i));
    (void)snprintf(cell->tenant, sizeof cell->tenant, "%s", bond->tenant);
    struct envelope_place place = cvv_place(cell);
    struct status status =
        envelope_seal(cells->ring, key_id, ENVELOPE_AES_256_GCM, &place, secret_peek(cvv),
                      secret_size(cvv), CVV_PLAIN_BYTES, &sealed);
    if (failed(status)) {
        sodium_memzero(cell, sizeof *cell);
        return status;
    }
    memcpy(cell->sealed, sealed.bytes, sealed.size);
    cell->sealed_size = (uint8_t)sealed.size;
    memcpy(cell->token_key, bond->token_key, sizeof cell->token_key);
    cell->deadline_ms = deadline_ms;
    cell->state = CVV_STORED;
    cells->held++;
    uint32_t *bucket = cvv_bucket(cells, cell->id);
    cell->next = *bucket;
    *bucket = (uint32_t)(cell - cells->cells);
    memcpy(out_id, cell->id, CVV_ID_BYTES);
    return STATUS_OK;
}

/* Keyed, so that nobody can tell a token of another tenant from one that never was. */
static STATUS cvv_check(struct cvv_cells *cells, const char *tenant, const uint8_t *id,
                        char out[static CVV_CHECK_CHARS + 1])
{
    uint8_t hash[FINGERPRINT_BYTES];
    char text[ENCODE_BASE62_CHARS + 1];
    struct buffer in OWNED(buffer_free) = BUFFER(256);

    buffer_add_counted(&in, tenant);
    buffer_add(&in, id, CVV_ID_BYTES);
    TRY(buffer_status(&in));
    TRY(fingerprint_index(cells->ring, "cvv", in.bytes, in.size, 0, hash));
    encode_base62(hash, text);
    (void)snprintf(out, CVV_CHECK_CHARS + 1, "%s", text + ENCODE_BASE62_CHARS - CVV_CHECK_CHARS);
    return STATUS_OK;
}

STATUS cvv_token(struct cvv_cells *cells, const char *tenant, const uint8_t id[static CVV_ID_BYTES],
                 char out[static CONTRACT_TOKEN_MAX + 1])
{
    char text[ENCODE_BASE62_CHARS + 1];
    char check[CVV_CHECK_CHARS + 1];

    TRY(cvv_check(cells, tenant, id, check));
    encode_base62(id, text);
    (void)snprintf(out, CONTRACT_TOKEN_MAX + 1, "%s%s%s%s", CONTRACT_CVV_PREFIX,
                   cells->live ? "" : CONTRACT_TEST_INFIX, text, check);
    return STATUS_OK;
}

bool cvv_parse(struct cvv_cells *cells, const char *tenant, const char *token,
               uint8_t out_id[static CVV_ID_BYTES])
{
    char right[CONTRACT_TOKEN_MAX + 1];
    size_t prefix = strlen(CONTRACT_CVV_PREFIX) + (cells->live ? 0 : strlen(CONTRACT_TEST_INFIX));

    if (strlen(token) != prefix + ENCODE_BASE62_CHARS + CVV_CHECK_CHARS)
        return false;
    if (failed(decode_base62(token + prefix, out_id)))
        return false;
    if (failed(cvv_token(cells, tenant, out_id, right)))
        return false;
    return sodium_memcmp(right, token, prefix + ENCODE_BASE62_CHARS + CVV_CHECK_CHARS) == 0;
}

/* Why a token that this vault made has no code any more. */
static enum problem_code cvv_why_gone(const struct cvv_cells *cells, const struct cvv_cell *cell,
                                      const uint8_t *id)
{
    if (cell != NULL)
        return cell->state == CVV_CONSUMED ? PROBLEM_CVV_CONSUMED : PROBLEM_CVV_EXPIRED;
    uint32_t boot = 0;
    for (unsigned i = 0; i < 4; i++)
        boot = boot << 8 | id[CVV_RANDOM_BYTES + i];
    return boot == cells->boot ? PROBLEM_CVV_EXPIRED : PROBLEM_CVV_LOST;
}

STATUS cvv_lease(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES],
                 const uint8_t token_key[static STORE_KEY_BYTES], const struct cvv_loan *loan,
                 int64_t now_ms, struct secret **out_cvv, enum problem_code *out_code)
{
    struct cvv_cell *cell = cvv_find(cells, id);
    OWNED(secret_free) struct secret *cvv = NULL;
    size_t size = 0;

    *out_code = PROBLEM_NONE;
    if (cell != NULL)
        cvv_expire(cells, cell, now_ms);
    if (cell == NULL || !cvv_is_held(cell)) {
        *out_code = cvv_why_gone(cells, cell, id);
        return FAIL(WHY_DENIED);
    }
    if (cell->state == CVV_LEASED || memcmp(cell->token_key, token_key, STORE_KEY_BYTES) != 0) {
        *out_code = PROBLEM_STATE_CONFLICT;
        return FAIL(WHY_CONFLICT);
    }
    TRY(secret_new(CVV_PLAIN_BYTES, &cvv));
    struct envelope_place place = cvv_place(cell);
    TRY(envelope_open(cells->ring, &place, cell->sealed, cell->sealed_size, secret_bytes(cvv),
                      CVV_PLAIN_BYTES, &size));
    secret_shorten(cvv, size);
    cell->state = CVV_LEASED;
    cell->loan = *loan;
    *out_cvv = MOVE(cvv);
    return STATUS_OK;
}

void cvv_destroy(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES])
{
    struct cvv_cell *cell = cvv_find(cells, id);

    if (cell != NULL && cvv_is_held(cell))
        cvv_end(cells, cell, CVV_CONSUMED);
}

void cvv_return(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES],
                const uint8_t *lease_id, int64_t now_ms)
{
    struct cvv_cell *cell = cvv_find(cells, id);

    if (cell != NULL)
        cvv_expire(cells, cell, now_ms);
    if (cell == NULL || cell->state != CVV_LEASED)
        return;
    if (lease_id != NULL && memcmp(cell->loan.lease_id, lease_id, CVV_LEASE_BYTES) != 0)
        return;
    cell->state = CVV_STORED;
    cell->loan = (struct cvv_loan){0};
    cvv_expire(cells, cell, now_ms);
}

void cvv_forget(struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES])
{
    struct cvv_cell *cell = cvv_find(cells, id);

    if (cell == NULL)
        return;
    cvv_wipe(cells, cell);
    cvv_unlink(cells, cell);
}

int64_t cvv_deadline_ms(const struct cvv_cells *cells, const uint8_t id[static CVV_ID_BYTES])
{
    const struct cvv_cell *cell = cvv_find(cells, id);

    return cell != NULL && cvv_is_held(cell) ? cell->deadline_ms : 0;
}

void cvv_sweep(struct cvv_cells *cells, int64_t now_ms, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct cvv_cell *cell = &cells->cells[cells->hand];
        cells->hand = (cells->hand + 1) % cells->count;
        cvv_expire(cells, cell, now_ms);
    }
}

unsigned cvv_held(const struct cvv_cells *cells)
{
    return cells->held;
}
