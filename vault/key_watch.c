/* SPDX-License-Identifier: Apache-2.0 */
/* What people have to know of keys without asking: metrics, which `cardkeep status` reads, and a
 * log line each day for a key whose period ends. */
#include <inttypes.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/metrics.h"
#include "keys/keyring_rotate.h"
#include "vault/key_view.h"

#define WATCH_EVERY_MS (2 * 1000LL)
#define WARN_EVERY_MS  (24 * 3600 * 1000LL)
#define DUE_MAX        64u

static void watch_count(const struct keeper *keeper, unsigned due)
{
    static struct metric *compromised;
    static struct metric *held;
    static struct metric *ending;
    struct key_info info;
    int64_t count = 0;

    if (compromised == NULL) {
        compromised = metric_gauge("cardkeep_vault_keys_compromised", "",
                                   "Keys that were declared compromised and are not destroyed.");
        held = metric_gauge("cardkeep_vault_keys_held", "",
                            "Keys that somebody asked to be declared compromised.");
        ending = metric_gauge("cardkeep_vault_keys_ending", "",
                              "Keys whose period ends within 30 days.");
    }
    for (uint64_t id = 1; !failed(key_view_find(keeper, id, &info)); id++)
        count += info.state == KEY_STATE_COMPROMISED ? 1 : 0;
    metric_set(compromised, count);
    metric_set(held, keeper->approvals.hold_count);
    metric_set(ending, due);
}

static void watch_warn(const struct key_info *info)
{
    char id[24];
    char when[CLOCK_TEXT_SIZE];

    (void)snprintf(id, sizeof id, "%" PRIu64, info->id);
    clock_text(info->not_after_encrypt_ms, when);
    log_event(LOG_WARN, "key_ends_soon", "key", id, "purpose", key_purpose_name(info->purpose),
              "tenant", info->tenant, "at", when, NULL);
}

void key_watch_tick(struct keeper *keeper, int64_t now_ms)
{
    struct key_info due[DUE_MAX];
    int64_t monotonic_ms = clock_monotonic_ms();

    if (keeper->keys_counted_ms != 0 && monotonic_ms - keeper->keys_counted_ms < WATCH_EVERY_MS)
        return;
    keeper->keys_counted_ms = monotonic_ms;
    unsigned count = keyring_due(keeper->ring, now_ms, KEY_VIEW_WARN_MS, due, DUE_MAX);
    watch_count(keeper, count);
    if (count == 0 ||
        (keeper->keys_warned_ms != 0 && monotonic_ms - keeper->keys_warned_ms < WARN_EVERY_MS))
        return;
    keeper->keys_warned_ms = monotonic_ms;
    for (unsigned i = 0; i < count && i < DUE_MAX; i++)
        watch_warn(&due[i]);
}
