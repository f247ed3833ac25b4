/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/own.h"
#include "vault/keeper_ceremony.h"
#include "vault/keeper_inside.h"
#include "vault/keeper_seal.h"
#include "vault/retention.h"

#define TICK_MS         250
#define SWEEP_ROWS      256u
#define SWEEP_MS        50 /* From portion to portion, while there is more than one. */
#define STATE_BYTES_MAX (256u * 1024u)

const char *keeper_trouble(const struct keeper *keeper)
{
    if (keeper->db == NULL)
        return "the store cannot be opened";
    if (keeper->store_failed)
        return "the store takes no writes";
    if (!keeper->signer_known)
        return "the audit signer has not answered yet";
    if (keeper->signed_size < audit_log_size(keeper->log) &&
        clock_monotonic_ms() - keeper->signed_ms > KEEPER_UNSIGNED_MS_MAX)
        return "the audit log is not being signed";
    return "";
}

/* Counters of the keeper, for the front's /metrics. */
static void state_metrics(struct keeper *keeper, struct buffer *out)
{
    static struct metric *entries;
    static struct metric *codes;
    static struct metric *unsigned_entries;
    static struct metric *sealed;

    if (entries == NULL) {
        entries = metric_gauge("cardkeep_vault_audit_entries", "", "Entries in the audit log.");
        sealed = metric_gauge("cardkeep_vault_sealed", "", "1 while the vault is sealed.");
        codes = metric_gauge("cardkeep_vault_cvv_held", "", "CVVs held in memory.");
        unsigned_entries = metric_gauge("cardkeep_vault_audit_unsigned_entries", "",
                                        "Entries behind the newest checkpoint.");
    }
    uint64_t size = audit_log_size(keeper->log);
    metric_set(entries, (int64_t)size);
    metric_set(codes, keeper->cvvs == NULL ? 0 : cvv_held(keeper->cvvs));
    metric_set(sealed, keeper->ring == NULL ? 1 : 0);
    metric_set(unsigned_entries,
               size > keeper->signed_size ? (int64_t)(size - keeper->signed_size) : 0);
    metrics_render(out);
}

/* What relays are told of the log; "" while there is nothing to tell. */
static void state_epoch(const struct keeper *keeper, struct buffer *out)
{
    char fork[EPOCH_ENTRY_BYTES_MAX];
    char text[MESSAGE_EPOCH_MAX] = "";

    if (keeper->fork.epoch > 1) {
        epoch_fork_text(&keeper->fork, fork);
        (void)snprintf(text, sizeof text, "%u %s", (unsigned)keeper->fork.epoch, fork);
    }
    buffer_add_counted(out, text);
}

void keeper_say_state(struct keeper *keeper)
{
    struct buffer text OWNED(buffer_free) = BUFFER(STATE_BYTES_MAX);

    if (keeper->front_fd < 0)
        return;
    if (keeper->log != NULL)
        state_metrics(keeper, &text);
    const char *trouble = keeper_trouble(keeper);
    enum message_readiness ready = trouble[0] == '\0' ? MESSAGE_READY : MESSAGE_NOT_READY;
    if (ready == MESSAGE_READY && keeper_sealed(keeper) != NULL) {
        ready = MESSAGE_SEALED;
        trouble = keeper_sealed(keeper);
    }
    struct buffer *out = frame_begin(keeper->front_out, MESSAGE_STATE, 0);
    buffer_add_u8(out, (uint8_t)ready);
    buffer_add_counted(out, trouble);
    buffer_add_u32(out, (uint32_t)text.size);
    buffer_add(out, text.bytes, text.size);
    state_epoch(keeper, out);
    struct status status = frame_end(keeper->front_out);
    if (failed(status))
        log_failure(LOG_ERROR, "state_not_said", status, NULL);
}

/* What has run out goes: a portion of it in a turn, and the next one soon where that was not all.
 */
static void state_sweep(struct keeper *keeper, int64_t now_ms)
{
    unsigned rows = 0;
    bool more = false;
    struct status status = store_sweep(&keeper->store, keeper->batch, now_ms, SWEEP_ROWS, &rows);

    if (failed(status))
        log_failure(LOG_ERROR, "rows_not_swept", status, NULL);
    status = retention_sweep(keeper, now_ms, &more); /* Whatever became of the others. */
    if (failed(status))
        log_failure(LOG_ERROR, "cards_not_swept", status, NULL);
    keeper->swept_ms = clock_monotonic_ms();
    keeper->sweeps_on = rows == SWEEP_ROWS || more;
}

/* Once a second: what has run out goes, what was counted is written. */
static void state_second(struct keeper *keeper, int64_t now_ms)
{
    log_flush();
    if (keeper->cvvs != NULL) /* Whether the disk works or not. */
        cvv_sweep(keeper->cvvs, now_ms, keeper->settings->cvv_cells);
    keeper->sweeps_on = keeper->sweeps_on && !keeper->store_failed && keeper->ring != NULL;
    if (keeper->store_failed)
        return;
    keeper_record_second(keeper, now_ms);
    keeper_ceremony_tick(keeper, now_ms);
    keeper_unseal_tick(keeper, now_ms);
    if (keeper->ring == NULL)
        return;
    keeper_seal_watch(keeper, now_ms);
    key_watch_tick(keeper, now_ms);
    struct status status = keyring_tick(keeper->ring, now_ms);
    if (!failed(status))
        status = approve_tick(keeper, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "housekeeping_failed", status, NULL);
    if (!keeper->sweeps_on) /* Else it goes at its own pace, one portion in a turn. */
        state_sweep(keeper, now_ms);
}

void keeper_tick(struct keeper *keeper, int64_t now_ms)
{
    int64_t monotonic_ms = clock_monotonic_ms();

    if (keeper->sweeps_on && monotonic_ms - keeper->swept_ms >= SWEEP_MS && !keeper->store_failed &&
        keeper->ring != NULL)
        state_sweep(keeper, now_ms);
    if (monotonic_ms - keeper->ticked_ms < TICK_MS)
        return;
    keeper->ticked_ms = monotonic_ms;
    if (monotonic_ms - keeper->second_ms >= 1000) {
        keeper->second_ms = monotonic_ms;
        state_second(keeper, now_ms);
        keeper_say_state(keeper);
    }
    if (!keeper->store_failed && keeper->signer_known)
        keeper_sign_tick(keeper);
}
