/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/shares.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/gf256.h"

/* The polynomials, coefficient by coefficient: the root itself, then what is drawn.  Every
 * coefficient is drawn from all 256 values, the highest among them: were that never 0, k-1 shares
 * would rule out one root in 256 for each byte. */
static STATUS polynomials_draw(const struct secret *root, unsigned threshold,
                               struct secret **out_rows)
{
    OWNED(secret_free) struct secret *rows = NULL;

    TRY(secret_new_key((size_t)threshold * SHARES_BYTES, &rows));
    uint8_t *bytes = secret_bytes(rows);
    memcpy(bytes, secret_peek(root), SHARES_BYTES);
    random_bytes(bytes + SHARES_BYTES, (threshold - 1u) * SHARES_BYTES);
    *out_rows = MOVE(rows);
    return STATUS_OK;
}

static STATUS share_make(const struct secret *rows, unsigned threshold, uint8_t index,
                         struct secret **out_value)
{
    OWNED(secret_free) struct secret *value = NULL;

    TRY(secret_new_key(SHARES_BYTES, &value));
    for (size_t i = 0; i < SHARES_BYTES; i++)
        secret_bytes(value)[i] =
            gf256_polynomial(secret_peek(rows) + i, SHARES_BYTES, threshold, index);
    secret_protect(value);
    *out_value = MOVE(value);
    return STATUS_OK;
}

STATUS shares_split(const struct secret *root, unsigned threshold, unsigned count,
                    struct secret **out_values)
{
    OWNED(secret_free) struct secret *rows = NULL;
    struct secret *values[SHARES_COUNT_MAX] = {NULL};
    struct status status = STATUS_OK;

    assert(root != NULL);
    assert(out_values != NULL);
    ENSURE(secret_size(root) == SHARES_BYTES, WHY_BAD_INPUT);
    ENSURE(threshold >= SHARES_THRESHOLD_MIN && threshold <= count, WHY_BAD_INPUT);
    ENSURE(count <= SHARES_COUNT_MAX, WHY_BAD_INPUT);
    TRY(polynomials_draw(root, threshold, &rows));
    for (unsigned i = 0; i < count && !failed(status); i++)
        status = share_make(rows, threshold, (uint8_t)(i + 1), &values[i]);
    for (unsigned i = 0; i < count; i++)
        if (failed(status))
            secret_free(&values[i]);
        else
            out_values[i] = values[i];
    return status;
}

static STATUS parts_check(const struct shares_part *parts, unsigned count)
{
    uint32_t seen = 0;

    ENSURE(count >= SHARES_THRESHOLD_MIN && count <= SHARES_COUNT_MAX, WHY_BAD_INPUT);
    for (unsigned i = 0; i < count; i++) {
        ENSURE(parts[i].index > 0 && parts[i].index <= SHARES_COUNT_MAX, WHY_BAD_INPUT);
        ENSURE(secret_size(parts[i].value) == SHARES_BYTES, WHY_BAD_INPUT);
        ENSURE((seen & (1u << parts[i].index)) == 0, WHY_CONFLICT);
        seen |= 1u << parts[i].index;
    }
    return STATUS_OK;
}

STATUS shares_combine(const struct shares_part *parts, unsigned count, struct secret **out_root)
{
    OWNED(secret_free) struct secret *root = NULL;
    uint8_t points[SHARES_COUNT_MAX];
    uint8_t weights[SHARES_COUNT_MAX];

    assert(parts != NULL);
    assert(out_root != NULL);
    TRY(parts_check(parts, count));
    for (unsigned i = 0; i < count; i++)
        points[i] = parts[i].index;
    gf256_weights(points, count, weights);
    TRY(secret_new_key(SHARES_BYTES, &root));
    for (unsigned part = 0; part < count; part++)
        for (size_t i = 0; i < SHARES_BYTES; i++)
            secret_bytes(root)[i] ^=
                gf256_multiply(secret_peek(parts[part].value)[i], weights[part]);
    secret_protect(root);
    *out_root = MOVE(root);
    return STATUS_OK;
}
