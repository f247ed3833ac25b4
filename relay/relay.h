/* SPDX-License-Identifier: Apache-2.0 */
/* relay/relay.h -- what the steps of the relay share: one struct, made by serve.c, used by all.
 *
 * In      settings, policy, ledger.
 * Out     nothing of its own.
 * Never   changes who owns what: serve.c makes and frees every part.
 * Threads the loop's.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "base/client.h"
#include "base/http.h"
#include "base/http_turns.h"
#include "base/metrics.h"
#include "policies/policy.h"
#include "relay/lease.h"
#include "relay/ledger.h"
#include "relay/resolve.h"
#include "relay/settings.h"

#define RELAY_BUCKETS 4096u /* Of the table of idempotency keys under way. */

struct submission;
struct sign;
struct backup_desk;

struct relay_metrics {
    struct metric *answered;
    struct metric *not_sent;
    struct metric *sent_no_answer;
    struct metric *refused;
    struct metric *replayed;
    struct metric *guarded;
    struct metric *under_way;
    struct metric *settlements;
    struct metric *swept;
    struct metric *total;
    struct metric *lease;
    struct metric *gateway;
};

struct relay {
    struct loop *loop;
    const struct settings *settings;
    const struct policy *policy;
    struct ledger *ledger;
    struct lease_desk *desk;
    struct client *gateways;
    struct resolver *resolver;
    struct sign *sign;
    struct backup_desk *backups;
    struct http_server *server;
    /* Pages of the log cost the ledger far more than anything else: it has one at a time. */
    struct http_turns pages;
    struct relay_metrics metrics;
    /* Submissions under way; those with an idempotency key hang in a bucket by its digest. */
    struct submission *keys[RELAY_BUCKETS];
    unsigned submission_count;
    unsigned submission_max;
};

#endif
