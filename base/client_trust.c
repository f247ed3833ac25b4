/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/client_inside.h"
#include "base/encode.h"
#include "base/own.h"

#define LOOK_EVERY_MS  1000    /* At files, while connections are used again. */
#define DOUBT_EVERY_MS 10000   /* Reading the host's authorities takes milliseconds. */
#define SESSION_MS_MAX 3600000 /* What resumes it is not judged again: not for longer. */
#define PIN_CHARS      44u     /* Base64 of a SHA-256. */

static const char host_authorities[] = "/etc/ssl/certs/ca-certificates.crt";
/* As a listener's: base/tls.c. */
static const char cipher_list[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static char group_list[] = /* Not const, for OpenSSL casts it. */
    "X25519:P-256:P-384";
static const uint8_t alpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static void context_free(SSL_CTX **context)
{
    SSL_CTX_free(*context);
    *context = NULL;
}

static void explain(const char *what, char text[static CLIENT_TEXT_SIZE])
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    (void)snprintf(text, CLIENT_TEXT_SIZE, "%s (%s)", what,
                   reason == NULL ? "no reason given" : reason);
    ERR_clear_error();
}

/* --- Whom to believe --- */

/* Kept with the site and nowhere else: what was verified for one host speaks for no other.  A
 * ticket of a resumed connection is as old as what that resumed: nothing was judged since. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct client_conn *conn = SSL_get_app_data(ssl);
    struct client_site *site = conn->site;

    SSL_SESSION_free(site->session);
    site->session = session;
    site->session_ms = SSL_session_reused(ssl) == 1 ? conn->judged_ms : clock_monotonic_ms();
    site->session_generation = conn->generation;
    return 1; /* It is ours now. */
}

static bool set_protocol(SSL_CTX *context, bool tls13_only)
{
    SSL_CTX_set_options(context,
                        SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT);
    /* Buffers that are made and wiped, 17 KiB each, for every few records would cost more than the
     * handful of connections that keep theirs. */
    SSL_CTX_clear_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(context, 1); /* One recv() for an answer, not two for each record. */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(context, tls_no_password);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    /* An authority that somebody named is the end of a chain, its own issuer or not. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    return SSL_CTX_set_min_proto_version(context, tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION) ==
               1 &&
           SSL_CTX_set_cipher_list(context, cipher_list) == 1 &&
           SSL_CTX_set1_groups_list(context, group_list) == 1 &&
           SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn) == 0;
}

static struct tls_files files_of(const struct client_trust *trust)
{
    return (struct tls_files){.certificate = trust->certificate,
                              .key = trust->key,
                              .authorities = trust->authorities == NULL ? host_authorities
                                                                        : trust->authorities};
}

static bool use_files(const struct client_trust *trust, SSL_CTX *context,
                      char text[static CLIENT_TEXT_SIZE])
{
    const char *authorities = files_of(trust).authorities;
    char what[CLIENT_TEXT_SIZE - 64];

    if (SSL_CTX_load_verify_file(context, authorities) != 1) {
        (void)snprintf(what, sizeof what, "%s holds no authorities that can be used", authorities);
        explain(what, text);
        return false;
    }
    if (trust->certificate == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, trust->certificate) == 1 &&
        SSL_CTX_use_PrivateKey_file(context, trust->key, SSL_FILETYPE_PEM) == 1)
        return true;
    (void)snprintf(what, sizeof what, "%s and its key cannot be used", trust->certificate);
    explain(what, text);
    return false;
}

static bool use_identity(const struct tls_pem *identity, SSL_CTX *context,
                         char text[static CLIENT_TEXT_SIZE])
{
    static const struct tls_files names = {.certificate = "the certificate",
                                           .key = "the certificate's key",
                                           .authorities = "the file of authorities"};

    assert(identity->authorities.size > 0);
    return !failed(tls_files_use(identity, &names, context, text, CLIENT_TEXT_SIZE));
}

/* Makes its context, or leaves none: then no connection is made, and those that there are stay.
 * Where it is made of the same as before they stay in use: what was verified under fewer
 * authorities is still good. */
static void trust_make(struct client_trust *trust, int64_t now_ms,
                       char text[static CLIENT_TEXT_SIZE])
{
    SSL_CTX *context OWNED(context_free) = SSL_CTX_new(TLS_client_method());

    SSL_CTX_free(trust->context);
    trust->context = NULL;
    trust->made_ms = now_ms;
    trust->is_doubted = false;
    ERR_clear_error();
    if (context == NULL || !set_protocol(context, trust->tls13_only)) {
        explain("TLS cannot be set up", text);
        return;
    }
    if (trust->identity != NULL ? use_identity(trust->identity, context, text)
                                : use_files(trust, context, text)) {
        trust->context = MOVE(context);
        trust->generation += trust->is_changed;
        trust->is_changed = false;
    }
}

/* OpenSSL may read authorities without a word while memory runs out, and not know them later: it is
 * made anew for who fails under it, though not for each. */
static bool is_good(const struct client_trust *trust, int64_t now_ms)
{
    return trust->context != NULL &&
           !(trust->is_doubted && now_ms - trust->made_ms >= DOUBT_EVERY_MS);
}

/* Files that changed are read anew, for connections that are made from now on. */
static void trust_refresh(struct client_trust *trust, int64_t now_ms,
                          char text[static CLIENT_TEXT_SIZE])
{
    struct tls_stamp stamp = {0};
    bool changed = false;

    trust->looked_ms = now_ms;
    if (trust->identity != NULL) {
        changed = trust->identity_generation != trust->identity->generation;
        trust->identity_generation = trust->identity->generation;
    } else {
        struct tls_files files = files_of(trust);
        tls_files_stamp(&files, &stamp);
        changed = memcmp(&stamp, &trust->stamp, sizeof stamp) != 0;
        trust->stamp = stamp;
    }
    trust->is_changed = trust->is_changed || changed;
    if (changed || !is_good(trust, now_ms))
        trust_make(trust, now_ms, text);
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool trust_fits(const struct client_trust *trust, const struct client_request *request)
{
    if (trust->tls13_only != request->tls13_only || trust->identity != request->identity)
        return false;
    return trust->identity != NULL || (same_text(trust->authorities, request->authorities) &&
                                       same_text(trust->certificate, request->certificate) &&
                                       same_text(trust->key, request->key));
}

static void trust_free(struct client_trust **trust_at)
{
    struct client_trust *trust = *trust_at;

    if (trust == NULL)
        return;
    SSL_CTX_free(trust->context);
    free(trust->authorities);
    free(trust->certificate);
    free(trust->key);
    free(trust);
    *trust_at = NULL;
}

static STATUS text_copy(const char *text, char **out_copy)
{
    *out_copy = text == NULL ? NULL : strdup(text);
    ENSURE(text == NULL || *out_copy != NULL, WHY_NO_MEMORY);
    return STATUS_OK;
}

static void trusts_forget(struct client *client)
{
    struct client_trust *trust = LIST_FIRST(&client->trusts);

    while (trust != NULL && client->trust_count >= CLIENT_TRUSTS_MAX) {
        struct client_trust *next = LIST_NEXT(trust, all);
        if (trust->site_count == 0) {
            LIST_REMOVE(trust, all);
            client->trust_count--;
            trust_free(&trust);
        }
        trust = next;
    }
}

static STATUS trust_find(struct client *client, const struct client_request *request,
                         struct client_trust **out_trust)
{
    struct client_trust *known = NULL;

    LIST_FOREACH(known, &client->trusts, all)
    {
        if (trust_fits(known, request)) {
            *out_trust = known;
            return STATUS_OK;
        }
    }
    trusts_forget(client);
    OWNED(trust_free) struct client_trust *trust = calloc(1, sizeof *trust);
    ENSURE(trust != NULL, WHY_NO_MEMORY);
    trust->identity = request->identity;
    trust->tls13_only = request->tls13_only;
    trust->is_changed = true;
    if (request->identity == NULL) {
        TRY(text_copy(request->authorities, &trust->authorities));
        TRY(text_copy(request->certificate, &trust->certificate));
        TRY(text_copy(request->key, &trust->key));
    }
    LIST_INSERT_HEAD(&client->trusts, trust, all);
    client->trust_count++;
    *out_trust = MOVE(trust);
    return STATUS_OK;
}

/* --- Where connections may be used again --- */

static void site_free(struct client_site **site_at)
{
    struct client_site *site = *site_at;

    if (site == NULL)
        return;
    if (site->trust != NULL)
        site->trust->site_count--;
    SSL_SESSION_free(site->session);
    free(site->host);
    free(site->pins);
    free(site);
    *site_at = NULL;
}

static bool site_fits(const struct client_site *site, const struct client_request *request)
{
    return site->port == request->port && strcmp(site->host, request->host) == 0 &&
           same_text(site->pins, request->pins) && trust_fits(site->trust, request);
}

static void sites_forget(struct client *client)
{
    struct client_site *site = LIST_FIRST(&client->sites);

    while (site != NULL && client->site_count >= CLIENT_SITES_MAX) {
        struct client_site *next = LIST_NEXT(site, all);
        if (site->users == 0) {
            LIST_REMOVE(site, all);
            client->site_count--;
            site_free(&site);
        }
        site = next;
    }
}

STATUS client_trust_site(struct client *client, const struct client_request *request,
                         int64_t now_ms, struct client_site **out_site)
{
    struct client_site *known = NULL;
    char unused[CLIENT_TEXT_SIZE];

    LIST_FOREACH(known, &client->sites, all)
    {
        if (!site_fits(known, request))
            continue;
        struct client_trust *trust = known->trust;
        /* An identity is in memory, so that a look at it costs nothing. */
        if (trust->identity != NULL || now_ms - trust->looked_ms >= LOOK_EVERY_MS)
            trust_refresh(trust, now_ms, unused);
        known->users++;
        *out_site = known;
        return STATUS_OK;
    }
    sites_forget(client);
    OWNED(site_free) struct client_site *site = calloc(1, sizeof *site);
    ENSURE(site != NULL, WHY_NO_MEMORY);
    TRY(text_copy(request->host, &site->host));
    TRY(text_copy(request->pins, &site->pins));
    TRY(trust_find(client, request, &site->trust));
    site->trust->site_count++;
    site->port = request->port;
    site->users = 1;
    TAILQ_INIT(&site->idle);
    TAILQ_INIT(&site->waiting);
    LIST_INSERT_HEAD(&client->sites, site, all);
    client->site_count++;
    *out_site = MOVE(site);
    return STATUS_OK;
}

void client_trust_leave(struct client_site **site)
{
    assert((*site)->users > 0);
    (*site)->users--;
    *site = NULL;
}

void client_trust_close(struct client *client)
{
    struct client_site *site = NULL;
    struct client_trust *trust = NULL;

    while ((site = LIST_FIRST(&client->sites)) != NULL) {
        assert(site->users == 0);
        LIST_REMOVE(site, all);
        site_free(&site);
    }
    while ((trust = LIST_FIRST(&client->trusts)) != NULL) {
        LIST_REMOVE(trust, all);
        trust_free(&trust);
    }
}

/* --- One connection --- */

/* A name's last dot is for resolvers alone. */
static bool set_host(SSL *ssl, const char *host)
{
    struct in6_addr address;
    char name[CLIENT_ADDRESSES_MAX];
    size_t size = strlen(host);

    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    if (size >= sizeof name)
        return false;
    memcpy(name, host, size + 1);
    if (size > 1 && name[size - 1] == '.')
        name[size - 1] = '\0';
    /* RFC 6125 section 6.4.4, RFC 9525: a common name is a text, not the name of a host. */
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static void set_session(struct client_conn *conn, int64_t now_ms)
{
    struct client_site *site = conn->site;

    if (site->session == NULL)
        return;
    conn->judged_ms = site->session_ms;
    if (site->session_generation == conn->generation &&
        now_ms - site->session_ms < SESSION_MS_MAX && SSL_SESSION_is_resumable(site->session))
        (void)SSL_set_session(conn->ssl, site->session);
}

bool client_trust_ssl(struct client_conn *conn, int64_t now_ms, char text[static CLIENT_TEXT_SIZE])
{
    struct client_trust *trust = conn->site->trust;

    trust_refresh(trust, now_ms, text);
    if (trust->context == NULL)
        return false;
    ERR_clear_error();
    conn->generation = trust->generation;
    conn->ssl = SSL_new(trust->context);
    if (conn->ssl == NULL || !set_host(conn->ssl, conn->site->host) ||
        SSL_set_app_data(conn->ssl, conn) != 1) {
        explain("TLS cannot be begun", text);
        return false;
    }
    set_session(conn, now_ms);
    SSL_set_connect_state(conn->ssl);
    return true;
}

/* "sha256//…;sha256//…", of the certificate's public key as it is written in it. */
static bool pin_fits(const char *pins, X509 *certificate)
{
    static const char kind[] = "sha256//";
    uint8_t *key = NULL;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    char wanted[PIN_CHARS + 1] = "";
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    bool good = size > 0 &&
                EVP_Digest(key, (size_t)size, digest, &digest_size, EVP_sha256(), NULL) == 1 &&
                digest_size == 32;

    OPENSSL_free(key);
    if (!good)
        return false;
    encode_base64(digest, digest_size, wanted);
    for (const char *at = pins; *at != '\0';) {
        size_t item = strcspn(at, ";");
        if (item == sizeof kind - 1 + PIN_CHARS && memcmp(at, kind, sizeof kind - 1) == 0 &&
            memcmp(at + sizeof kind - 1, wanted, PIN_CHARS) == 0)
            return true;
        at += item + (at[item] == ';');
    }
    return false;
}

/* Of an authority that is not known, be it no authority of ours or one that was not read: of two of
 * one name the other was, perhaps, and its key does not fit. */
static bool misses_issuer(long verdict)
{
    return verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
           verdict == X509_V_ERR_CERT_SIGNATURE_FAILURE ||
           verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
}

void client_trust_explain(struct client_conn *conn, char text[static CLIENT_TEXT_SIZE])
{
    long verdict = SSL_get_verify_result(conn->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    if (verdict != X509_V_OK)
        reason = X509_verify_cert_error_string(verdict);
    (void)snprintf(text, CLIENT_TEXT_SIZE, "TLS failed: %s",
                   reason == NULL ? "the connection ended" : reason);
    ERR_clear_error();
    if (misses_issuer(verdict))
        conn->site->trust->is_doubted = true;
}

bool client_trust_judge(struct client_conn *conn, char text[static CLIENT_TEXT_SIZE])
{
    X509 *certificate = SSL_get0_peer_certificate(conn->ssl);
    const uint8_t *protocol = NULL;
    unsigned size = 0;

    /* OpenSSL has seen to it, of a resumed session too; this is the second of two checks. */
    if (certificate == NULL || SSL_get_verify_result(conn->ssl) != X509_V_OK) {
        client_trust_explain(conn, text);
        return false;
    }
    if (conn->site->pins != NULL && !pin_fits(conn->site->pins, certificate)) {
        (void)snprintf(text, CLIENT_TEXT_SIZE, "TLS failed: the key is none of those pinned");
        return false;
    }
    SSL_get0_alpn_selected(conn->ssl, &protocol, &size);
    if (size > 0 && (size != alpn[0] || memcmp(protocol, alpn + 1, size) != 0)) {
        (void)snprintf(text, CLIENT_TEXT_SIZE, "TLS failed: the peer chose another protocol");
        return false;
    }
    return true;
}
