/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/own.h"

/* Resumption: as many clients as connections, for an hour.  Kept here and not in tickets, so that a
 * stolen ticket key is no way into recorded traffic. */
#define SESSION_COUNT_MAX 4096
#define SESSION_SECONDS   3600

static const char cipher_list[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static char group_list[] = /* Not const, for OpenSSL casts it. */
    "X25519:P-256:P-384";
static const uint8_t session_context[] = "cardkeep";
/* In our order of preference, as ALPN writes them. */
static const uint8_t alpn_list[] = "\x02h2\x08http/1.1";

struct tls_server {
    struct tls_files files;
    struct tls_facts facts;
    SSL_CTX *context;
};

/* Lets every handshake end: SSL_get_verify_result() keeps the verdict, also for resumed sessions,
 * and whoever answers acts on it. */
static int tls_on_verify(int holds, X509_STORE_CTX *store)
{
    (void)holds;
    (void)store;
    return 1;
}

static int tls_on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *offered,
                       unsigned offered_size, void *owner)
{
    (void)ssl;
    (void)owner;
    uint8_t *chosen = NULL;
    int rc = SSL_select_next_proto(&chosen, out_size, alpn_list, sizeof alpn_list - 1, offered,
                                   offered_size);
    if (rc != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static STATUS set_protocol(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT |
                                     SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* Each of these alone keeps older versions out, as they have none of these ciphers. */
    ENSURE(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1, WHY_IO);
    ENSURE(SSL_CTX_set_cipher_list(context, cipher_list) == 1, WHY_IO);
    ENSURE(SSL_CTX_set1_groups_list(context, group_list) == 1, WHY_IO);
    ENSURE(SSL_CTX_set_max_early_data(context, 0) == 1, WHY_IO);
    SSL_CTX_set_alpn_select_cb(context, tls_on_alpn, NULL);

    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(context, SESSION_COUNT_MAX);
    SSL_CTX_set_timeout(context, SESSION_SECONDS);
    /* Without a context of its own a resumption with a client certificate fails. */
    ENSURE(SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) ==
               1,
           WHY_IO);
    return STATUS_OK;
}

static void context_free(SSL_CTX **context)
{
    SSL_CTX_free(*context);
    *context = NULL;
}

/* `strict`: only with dates that are good. */
static STATUS context_make(const struct tls_server *tls, int64_t now_ms, bool strict,
                           SSL_CTX **out_context, struct tls_facts *out_facts, char *error,
                           size_t error_size)
{
    struct tls_pem pem OWNED(tls_files_free) = {0};
    SSL_CTX *context OWNED(context_free) = SSL_CTX_new(TLS_server_method());

    ENSURE(context != NULL, WHY_NO_MEMORY);
    TRY(set_protocol(context));
    TRY(tls_files_read(&tls->files, &pem, error, error_size));
    TRY(tls_files_use(&pem, &tls->files, context, error, error_size));
    struct status judged =
        tls_files_judge(&pem, &tls->files, context, now_ms, out_facts, error, error_size);
    if (strict)
        TRY(judged);
    if (tls->files.authorities != NULL)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, tls_on_verify);
    *out_context = MOVE(context);
    return STATUS_OK;
}

STATUS tls_server_new(const char *certificate, const char *key, const char *clients,
                      struct tls_server **out_tls, char *error, size_t error_size)
{
    assert(certificate != NULL);
    assert(key != NULL);
    assert(error_size > 0);
    error[0] = '\0';
    ERR_clear_error();

    OWNED(tls_server_free) struct tls_server *tls = calloc(1, sizeof *tls);
    ENSURE(tls != NULL, WHY_NO_MEMORY);
    tls->files = (struct tls_files){.certificate = certificate, .key = key, .authorities = clients};
    TRY(context_make(tls, clock_now_ms(), false, &tls->context, &tls->facts, error, error_size));
    *out_tls = MOVE(tls);
    return STATUS_OK;
}

STATUS tls_server_renew(struct tls_server *tls, int64_t now_ms, char *error, size_t error_size)
{
    SSL_CTX *context = NULL;
    struct tls_facts facts = {0};

    TRY(context_make(tls, now_ms, true, &context, &facts, error, error_size));
    /* Open connections hold the old one, and its sessions end with them: nothing of it resumes
     * under the new one, whose authorities may be others. */
    SSL_CTX_free(tls->context);
    tls->context = context;
    tls->facts = facts;
    return STATUS_OK;
}

const struct tls_files *tls_server_files(const struct tls_server *tls)
{
    return &tls->files;
}

const struct tls_facts *tls_server_facts(const struct tls_server *tls)
{
    return &tls->facts;
}

void tls_server_free(struct tls_server **tls)
{
    if (*tls == NULL)
        return;
    SSL_CTX_free((*tls)->context);
    free(*tls);
    *tls = NULL;
}

void *tls_server_context(struct tls_server *tls)
{
    return tls->context;
}

bool tls_peer_valid(const struct tls_peer *peer, int64_t now_ms)
{
    return peer->present && peer->verified && now_ms <= peer->not_after_ms;
}

/* A name that is too long, or holds anything but visible ASCII, is no name: it stays "". */
static void copy_name(char out[static TLS_NAME_BYTES_MAX], const uint8_t *bytes, int size)
{
    if (size <= 0 || (size_t)size >= TLS_NAME_BYTES_MAX)
        return;
    for (int i = 0; i < size; i++)
        if (bytes[i] <= 0x20 || bytes[i] >= 0x7f)
            return;
    memcpy(out, bytes, (size_t)size);
    out[size] = '\0';
}

/* Of two names only the issuer knows which is meant. */
static void read_uri(X509 *certificate, struct tls_peer *peer)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    unsigned count = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        copy_name(peer->uri, ASN1_STRING_get0_data(uri), ASN1_STRING_length(uri));
        count++;
    }
    if (count > 1)
        peer->uri[0] = '\0';
    GENERAL_NAMES_free(names);
}

static void read_subject(X509 *certificate, struct tls_peer *peer)
{
    BIO *memory = BIO_new(BIO_s_mem());
    if (memory == NULL)
        return;
    if (X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) > 0) {
        int size = BIO_read(memory, peer->subject, sizeof peer->subject - 1);
        peer->subject[size > 0 ? size : 0] = '\0';
    }
    BIO_free(memory);
}

static void read_not_after(X509 *certificate, struct tls_peer *peer)
{
    struct tm when = {0};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) == 1)
        peer->not_after_ms = (int64_t)timegm(&when) * 1000;
}

static void read_digest(X509 *certificate, struct tls_peer *peer)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1 && size == 32)
        encode_hex(digest, size, peer->sha256);
}

void tls_peer_read(void *ssl, struct tls_peer *out_peer)
{
    *out_peer = (struct tls_peer){0};
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == NULL)
        return;
    long verdict = SSL_get_verify_result(ssl);
    out_peer->present = true;
    out_peer->verified = verdict == X509_V_OK && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0;
    if (verdict != X509_V_OK)
        snprintf(out_peer->trouble, sizeof out_peer->trouble, "%s",
                 X509_verify_cert_error_string(verdict));
    read_uri(certificate, out_peer);
    read_subject(certificate, out_peer);
    read_not_after(certificate, out_peer);
    read_digest(certificate, out_peer);
    X509_free(certificate);
}
