/* SPDX-License-Identifier: Apache-2.0 */
/* tests/bench/load.h -- `cardkeep-load`: keeps so many requests under way and says how it went.
 *
 * In      options; a token file, where requests need tokens that were made before.
 * Out     one JSON object; a token file, where tokens are made.
 * Never   trusts a server that its authority does not vouch for; counts an answer that is not the
 *         one expected as good.
 * Threads one.
 *
 * What is counted lies between two instants, with the same number of requests under way at both:
 * the warm-up before and the drain after are outside.
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LOAD_CONNECTIONS_MAX 1024u
#define LOAD_IN_FLIGHT_MAX   65536u
#define LOAD_BATCH_MAX       1000u
#define LOAD_PIDS_MAX        16u
#define LOAD_PATH_MAX        512u
#define LOAD_ID_MAX          72u
#define LOAD_STATUS_MAX      600u
/* libh2o's bound on the streams of a connection. */
#define LOAD_STREAMS_MAX 100u

enum load_kind {
    LOAD_TOKENIZE, /* One card. */
    LOAD_BATCH,    /* Several cards. */
    LOAD_SHOW,     /* The masked view. */
    LOAD_LEASE,    /* As the relay; the leases run out by themselves. */
    LOAD_SETTLE,   /* A lease, then its settlement: two requests. */
    LOAD_PAY,      /* A Stripe-shaped payment, through the relay or not. */
    LOAD_FIXED,    /* Always the same request. */
    LOAD_KIND_COUNT
};

struct load_options {
    enum load_kind kind;
    const char *host;
    const char *port;
    const char *ca;
    const char *certificate; /* NULL: shows none. */
    const char *key;
    bool http1;
    unsigned connections;
    unsigned in_flight; /* Of all connections together. */
    unsigned batch;     /* Cards, or leases, of a request. */
    uint64_t count;     /* Of requests; 0: for so many seconds. */
    double seconds;
    uint64_t warm_up; /* Requests. */
    uint64_t first;   /* Which cards: two runs with ranges apart share none. */
    const char *method;
    const char *path;
    const char *content_type;
    const char *body;
    size_t body_size;
    bool cards; /* A payment shows a card of its own, where nobody fills in tokens. */
    const char *tokens_in;
    const char *tokens_out;
    unsigned keep_every; /* Of the tokens made, each n-th goes to the file. */
    unsigned expect;     /* The status of a good answer; 0: what the kind has. */
    int pids[LOAD_PIDS_MAX];
    unsigned pid_count;
};

struct load_bytes {
    char *at;
    size_t size;
    size_t capacity;
};

/* A request under way; it belongs to one connection for good. */
struct load_slot {
    struct load_conn *conn;
    char path[LOAD_PATH_MAX];
    struct load_bytes body;
    size_t body_sent;
    char key[LOAD_ID_MAX]; /* Idempotency-Key; "": none. */
    char lease[LOAD_ID_MAX];
    bool settling; /* This request settles `lease`. */
    unsigned status;
    struct load_bytes answer;
    uint64_t began_us;
};

struct load_conn {
    struct load *load;
    SSL *ssl;
    int fd;
    nghttp2_session *h2; /* NULL: HTTP/1.1, one slot. */
    struct load_slot *slots;
    unsigned slot_count;
    unsigned open_count; /* Of slots under way. */
    bool wants_write;
    bool lost;
    struct load_bytes out;
    struct load_bytes in; /* HTTP/1.1 alone: an answer that is not whole. */
};

enum load_phase { LOAD_WARMING, LOAD_COUNTING, LOAD_DRAINING };

struct load {
    struct load_options options;
    SSL_CTX *tls;
    int poll_fd;
    struct load_conn *conns;
    unsigned lost_count;
    unsigned open_count;
    enum load_phase phase;
    uint64_t now_us; /* Of the last wake-up: a clock read per answer would be most of the work. */
    /* The work. */
    char run_id[17];
    uint64_t next_id;
    uint64_t card_next;
    char **tokens;
    size_t token_count;
    uint64_t token_made_count;
    FILE *tokens_out;
    /* What is counted. */
    uint64_t warm_count;
    uint64_t began_us;
    uint64_t ended_us;
    uint64_t request_count;
    uint64_t item_count;
    uint32_t *latencies_us;
    size_t latency_capacity;
    uint64_t answer_count; /* Of the warm-up and the drain too. */
    uint64_t status_counts[LOAD_STATUS_MAX];
    char refusal[LOAD_ID_MAX]; /* The `code` of the first answer that was not expected. */
    uint64_t refused_count;    /* Items of a batch that were refused in their place. */
    uint64_t lost_request_count;
    uint64_t server_cpu_ns[LOAD_PIDS_MAX];
    uint64_t own_cpu_ns;
};

/* Says why on stderr and ends the process with 2. */
void load_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void load_options_read(struct load_options *options, int argc, char **argv);
const char *load_kind_name(enum load_kind kind);

/* Bytes that grow. */
void load_bytes_add(struct load_bytes *bytes, const void *from, size_t size);
void load_bytes_drop(struct load_bytes *bytes, size_t size);

/* The requests: what the next one is; what its answer says. */
void load_work_start(struct load *load);
void load_work_next(struct load *load, struct load_slot *slot);
void load_work_answered(struct load *load, struct load_slot *slot);
unsigned load_work_expects(const struct load_options *options);
const char *load_work_method(const struct load_options *options);
const char *load_work_content_type(const struct load_options *options);
void load_work_end(struct load *load);

/* Connections.  load_conn_ready() reads, tells load_answered() of each answer, and writes. */
void load_conn_open(struct load *load, struct load_conn *conn);
void load_conn_ready(struct load_conn *conn);
void load_conn_flush(struct load_conn *conn);
void load_conn_submit(struct load_slot *slot);
void load_conn_free(struct load_conn *conn);

void load_h2_start(struct load_conn *conn);
void load_h2_submit(struct load_slot *slot);
bool load_h2_take(struct load_conn *conn, const uint8_t *bytes, size_t size);
void load_h2_fill(struct load_conn *conn);
void load_h1_submit(struct load_slot *slot);
bool load_h1_take(struct load_conn *conn, const uint8_t *bytes, size_t size);

/* A slot's answer is whole: counts it, and starts the slot's next request. */
void load_answered(struct load_slot *slot);

/* CPU time of the processes watched, and the end of it all. */
void load_report_began(struct load *load);
void load_report_ended(struct load *load);
bool load_report_print(struct load *load);

#endif
