/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_inside.h -- what the files of base/client share; for nobody else.
 *
 * client.c          requests from their start to their end, deadlines
 * client_turn.c     connections that are kept, and requests that wait for one
 * client_conn.c     one connection: dial, handshake, write, read
 * client_lookup.c   addresses, and names where none are given
 * client_trust.c    whom to believe, as what, and where a connection may be used again
 * client_request.c  a request's head as bytes
 * client_head.c, client_body.c  an answer
 *
 * What happens to a connection only marks requests as ended; client_settle(), which whoever was
 * called by the loop calls last, tells their owners and gives what became free to those who wait.
 *
 * Never   is included by anything but these and their tests.
 * Threads the loop's.
 */
#ifndef BASE_CLIENT_INSIDE_H
#define BASE_CLIENT_INSIDE_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#include "base/client.h"
#include "base/client_body.h"
#include "base/client_request.h"
#include "base/client_trust.h"
#include "base/work.h"

#define CLIENT_ROOM_BYTES      16384u /* What one TLS record holds. */
#define CLIENT_SPARE_OPS_MAX   64u
#define CLIENT_SPARE_BYTES_MAX 16384u /* Of a buffer that a request leaves to the next. */
/* Many a gateway's front closes what was idle for a minute.  Ours go before that, so that few
 * requests meet a connection that ends just now: they are not sent again. */
#define CLIENT_IDLE_MS 55000

enum client_conn_state { CONN_DIALLING, CONN_SHAKING, CONN_BUSY, CONN_IDLE };

struct client_conn {
    TAILQ_ENTRY(client_conn) idle; /* While CONN_IDLE: the one that is so longest first. */
    TAILQ_ENTRY(client_conn) site_idle;
    struct client *client;
    struct client_site *site;
    struct client_op *op; /* NULL while CONN_IDLE. */
    enum client_conn_state state;
    int fd;
    struct loop_watch *watch;
    SSL *ssl;
    uint64_t generation; /* The trust's, when it was made. */
    int64_t judged_ms;   /* When the chain was that the session it offers stands for. */
    char peer[INET6_ADDRSTRLEN];
    int64_t idle_until_ms;
};

enum client_op_state {
    OP_WAITING, /* For a connection: all that may be, or its site's share, are busy. */
    OP_RESOLVING,
    OP_DIALLING, /* Until the handshake is over. */
    OP_BUSY,     /* Its request is being written, its answer read. */
    OP_ENDED,
};

struct client_op {
    TAILQ_ENTRY(client_op) due_link;  /* Unless OP_ENDED: the soonest first. */
    TAILQ_ENTRY(client_op) turn_link; /* While OP_WAITING or OP_ENDED. */
    SLIST_ENTRY(client_op) spare_link;
    uint64_t turn; /* While OP_WAITING: the lowest has waited longest. */
    struct client *client;
    struct client_site *site;
    struct client_conn *conn;     /* While OP_DIALLING or OP_BUSY. */
    struct client_lookup *lookup; /* While OP_RESOLVING. */
    enum client_op_state state;
    client_done_fn done;
    void *owner;
    int64_t started_us;
    int64_t connect_ms;
    int64_t total_due_ms;
    int64_t connect_due_ms; /* Set when it begins to be dialled for. */
    int64_t due_ms;         /* When to look at it next. */

    struct buffer request; /* Its head. */
    const uint8_t *body;   /* Borrowed. */
    size_t body_size;
    size_t written; /* Of head and body. */
    bool is_sent;   /* SSL_write() was called: a byte of it may have left. */

    bool any_address;                     /* None were given. */
    char addresses[CLIENT_ADDRESSES_MAX]; /* Those to dial. */
    size_t address_at;                    /* The next of them. */

    struct client_head head;
    struct client_body answer;
    enum client_result result;
    enum client_trouble trouble;
    char text[CLIENT_TEXT_SIZE];
};

struct client {
    struct loop *loop; /* Borrowed. */
    unsigned connections_max;
    unsigned host_max; /* To one site. */
    unsigned conn_count;
    struct client_op_queue due;
    TAILQ_HEAD(, client_site) waiting; /* Those for which a request waits. */
    uint64_t turns;
    struct client_op_queue ended;
    unsigned ended_count;
    struct client_conn_queue idle;
    LIST_HEAD(, client_trust) trusts;
    LIST_HEAD(, client_site) sites;
    unsigned trust_count;
    unsigned site_count;
    SLIST_HEAD(, client_op) spare;
    unsigned spare_count;
    struct loop_timer *timer; /* Fires at the earliest of what is due, or before. */
    int64_t timer_due_ms;
    bool in_timer;
    LIST_HEAD(, client_lookup) lookups;
    struct work_pool *pool; /* NULL until a name is looked up. */
    bool is_closing;
    uint8_t room[CLIENT_ROOM_BYTES]; /* Of one call; zero between calls. */
};

/* client.c: it has ended so; its connection is closed.  `text` NULL: what it has stays. */
void client_end(struct client_op *op, enum client_result result, enum client_trouble trouble,
                const char *text);
/* It has its answer; its connection is kept, or closed. */
void client_answered(struct client_op *op, bool keep);
/* Looks at it again then at the latest. */
void client_due(struct client_op *op, int64_t due_ms);
void client_settle(struct client *client);

/* client_turn.c: the connection has its answer; `now_ms` begins its idleness. */
void client_idle_put(struct client_conn *conn, int64_t now_ms);
void client_idle_take(struct client_conn *conn);
/* Closes it in due form. */
void client_idle_retire(struct client_conn *conn);
/* Begins the request, or lets it wait. */
void client_turn_ask(struct client_op *op);
/* It waits no more. */
void client_turn_leave(struct client_op *op);
/* Begins those that can be, the one that has waited longest first. */
void client_turn_serve(struct client *client);

/* client_conn.c: makes one for `op`, to one of its addresses. */
void client_conn_open(struct client_op *op);
/* The next address; without one it ends. */
void client_conn_dial(struct client_conn *conn);
/* Writes the request of `op` over one that is idle and quiet. */
void client_conn_use(struct client_conn *conn, struct client_op *op);
/* Nothing came but what TLS says for itself.  For a connection that is idle. */
bool client_conn_is_quiet(struct client_conn *conn);
/* Not a byte of a record, nor a record of a ticket, to come either: it may be used again. */
bool client_conn_is_empty(struct client_conn *conn);
void client_conn_free(struct client_conn **conn);

/* client_lookup.c: client_conn_dial() follows. */
void client_lookup_start(struct client_op *op);
/* Takes the next of `op->addresses`; false when there is none, or it is no address. */
bool client_lookup_next(struct client_op *op, struct sockaddr_storage *out_address,
                        socklen_t *out_size, char out_text[static INET6_ADDRSTRLEN]);
unsigned client_lookup_count(const struct client_op *op);
bool client_lookup_has(const struct client_op *op, const char *address);

#endif
