/* SPDX-License-Identifier: Apache-2.0 */
/* relay/profile.h -- a gateway as data: hosts, slots, idempotency, deadlines; and a destination
 * built on it.
 *
 * In      relay/gateways/<name>.yaml, and the `destinations` of the relay's configuration.
 * Out     read-only structs.
 * Never   takes a host from a request.
 * Threads any once loaded.
 */
#ifndef RELAY_PROFILE_H
#define RELAY_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/status.h"
#include "relay/expression.h"

#define PROFILE_SLOTS_MAX    32u
#define PROFILE_HOSTS_MAX    8u
#define PROFILE_ACCOUNTS_MAX 8u

struct profile_slot {
    char place[128];                 /* A form field's whole name, or a JSON pointer. */
    struct expression_default takes; /* What a bare token stands for here: `exp | yyyy`. */
};

struct profile {
    char name[64];
    char hosts[PROFILE_HOSTS_MAX][256];
    unsigned host_count;
    bool tls13_only;
    bool credentials_caller; /* The caller's Authorization passes. */
    /* Headers that name an account beside it: a repeat of a request says the same in them. */
    char account_headers[PROFILE_ACCOUNTS_MAX][64];
    unsigned account_count;
    char idempotency_header[64]; /* "" where the gateway has none. */
    unsigned idempotency_length_max;
    int64_t idempotency_window_ms; /* How long the relay holds a key; a day where none is named. */
    struct profile_slot form[PROFILE_SLOTS_MAX];
    unsigned form_count;
    struct profile_slot json[PROFILE_SLOTS_MAX];
    unsigned json_count;
    int64_t connect_ms;
    int64_t total_ms;
};

/* One entry of the relay's `destinations`. */
struct destination {
    char name[64];
    const struct profile *profile; /* Owned by the relay's settings. */
    char host[256];                /* One of the profile's hosts (the first where none is named). */
    uint16_t port;                 /* 443 by default. */
    char authorities[1024];        /* PEM path; "" is the system's bundle. */
    char pins[512];
    char allow[8][64]; /* Address ranges that are dialled though private: "127.0.0.0/8". */
    unsigned allow_count;
    char listen_host[64]; /* A listener bound to this destination; "" for none. */
    uint16_t listen_port;
    char listen_name[256];
};

/* `error` gets `file:line: …`. */
STATUS profile_load(const char *path, struct profile *out_profile, char *error, size_t error_size);

#endif
