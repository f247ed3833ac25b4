/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"

#define TEXT_BYTES_MAX 320u
#define SAY_EVERY      10000u /* Rows. */

static const char *const kind_names[] = {
    [VERIFY_UNAUTHENTIC] = "unauthentic", [VERIFY_ORPHANED] = "orphaned",
    [VERIFY_MISSING] = "missing",         [VERIFY_ROLLED_BACK] = "rolled_back",
    [VERIFY_UNSIGNED] = "unsigned",
};

void verify_find(struct verify *verify, const struct verify_place *place, enum verify_kind kind,
                 const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list values;

    verify->findings++;
    if (verify->options->found == NULL)
        return;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    struct keeper_finding finding = {
        .family = store_families[place->family].name,
        .key = place->key,
        .key_size = place->key_size,
        .kind = kind_names[kind],
        .text = text,
    };
    verify->options->found(verify->options->owner, &finding);
}

void verify_count(struct verify *verify, enum store_family family)
{
    verify->rows++;
    if (verify->options->progress != NULL && verify->rows % SAY_EVERY == 0)
        verify->options->progress(verify->options->owner, store_families[family].name,
                                  verify->rows);
}

static void walk_say_log(struct verify *verify)
{
    buffer_format(verify->out, "audit entries: %" PRIu64 "%s\n", verify->log_entries,
                  !verify->log_holds     ? "; they do not hold, so no row was compared with them"
                  : verify->log_unsigned ? "; none of them is signed yet"
                  : verify->options->log_key_count == 0
                      ? "; their signatures were not asked (no verifier key was given)"
                      : ", signed");
    if (verify->log_skipped > 0)
        buffer_format(verify->out,
                      "%" PRIu64 " tokens are masked in the log: their rows were not compared "
                      "with it\n",
                      verify->log_skipped);
    if (verify->log_dropped > 0)
        buffer_format(verify->out,
                      "%" PRIu64 " leases were not followed to their end: too many are open\n",
                      verify->log_dropped);
}

STATUS verify_walk(struct verify *verify, char *reason, size_t reason_size)
{
    int64_t began_us = clock_monotonic_us();
    bool loaded = false;

    (void)snprintf(reason, reason_size, "the store cannot be read to its end");
    TRY(verify_keys_load(verify, &loaded));
    if (!loaded) {
        buffer_format(verify->out, "the store's keys are not this seal's, or not as stored: no "
                                   "other row can be opened\n");
        return STATUS_OK;
    }
    TRY(store_open(&verify->keeper.store, verify->keeper.db, verify->keeper.ring));
    TRY(verify_log_walk(verify));
    TRY(verify_rows_walk(verify));
    walk_say_log(verify);
    int64_t took_us = clock_monotonic_us() - began_us + 1;
    buffer_format(verify->out, "%" PRIu64 " rows in %" PRId64 ".%03d s: %" PRIu64 " rows/s\n",
                  verify->rows, took_us / 1000000, (int)(took_us / 1000 % 1000),
                  verify->rows * 1000000 / (uint64_t)took_us);
    return STATUS_OK;
}

void verify_close(struct verify *verify)
{
    if (verify->keeper.store.turn.buckets != NULL)
        store_close(&verify->keeper.store);
    verify->keeper.store = (struct store){0};
    keyring_free(&verify->keeper.ring);
    verify_jobs_free(verify);
    free(verify->keys);
    verify->keys = NULL;
    buffer_free(&verify->plain);
    buffer_free(&verify->row);
}
