/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "tests/support/pki.h"

#define URI "spiffe://test/tenant/one"

static struct pki *pki;
static struct pki_files server_files;
static struct pki_files client_files;
static struct tls_server *tls;
static char error[256];

static void make(void)
{
    pki = pki_new();
    server_files = pki_issue(pki, &(struct pki_subject){.name = "server", .alt = "DNS:localhost"});
    client_files = pki_issue(
        pki, &(struct pki_subject){.name = "client", .alt = "DNS:c.test,URI:" URI, .client = true});
    cr_assert(!failed(tls_server_new(server_files.certificate, server_files.key, pki_authority(pki),
                                     &tls, error, sizeof error)));
}

static void drop(void)
{
    tls_server_free(&tls);
    pki_free(&pki);
}

/* Both ends of a handshake in one thread, over memory. */
struct handshake {
    SSL_CTX *context; /* The client's. */
    SSL *client;
    SSL *server;
};

static void step(struct handshake *both)
{
    SSL_do_handshake(both->client);
    SSL_do_handshake(both->server);
}

static bool shake(struct handshake *both, const struct pki_files *as, int version,
                  SSL_SESSION *session)
{
    both->context = SSL_CTX_new(TLS_client_method());
    /* Else its end would make its sessions useless. */
    SSL_CTX_set_session_cache_mode(both->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_min_proto_version(both->context, version);
    SSL_CTX_set_max_proto_version(both->context, version);
    if (as != NULL) {
        SSL_CTX_use_certificate_file(both->context, as->certificate, SSL_FILETYPE_PEM);
        SSL_CTX_use_PrivateKey_file(both->context, as->key, SSL_FILETYPE_PEM);
    }
    both->client = SSL_new(both->context);
    both->server = SSL_new(tls_server_context(tls));
    BIO *near_end = NULL;
    BIO *far_end = NULL;
    BIO_new_bio_pair(&near_end, 0, &far_end, 0);
    SSL_set_bio(both->client, near_end, near_end);
    SSL_set_bio(both->server, far_end, far_end);
    SSL_set_connect_state(both->client);
    SSL_set_accept_state(both->server);
    if (session != NULL)
        SSL_set_session(both->client, session);
    for (unsigned i = 0; i < 20; i++)
        step(both);
    char byte = 0;
    SSL_read(both->client, &byte, 1); /* Takes TLS 1.3's session tickets in. */
    return SSL_is_init_finished(both->server) && SSL_is_init_finished(both->client);
}

static void part(struct handshake *both)
{
    /* A session of a connection that was not shut down would not be resumed. */
    SSL_set_shutdown(both->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(both->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(both->client);
    SSL_free(both->server);
    SSL_CTX_free(both->context);
}

static struct tls_peer peer_of(const struct pki_files *as, int version)
{
    struct handshake both;
    struct tls_peer peer;
    cr_assert(shake(&both, as, version, NULL), "the handshake ends whoever comes");
    tls_peer_read(both.server, &peer);
    part(&both);
    return peer;
}

TestSuite(tls, .init = make, .fini = drop, .timeout = 20);

Test(tls, names_a_client_by_its_certificate)
{
    struct tls_peer peer = peer_of(&client_files, TLS1_3_VERSION);
    cr_assert(peer.present);
    cr_assert(peer.verified);
    cr_assert_str_eq(peer.uri, URI, "the URI among several names");
    cr_assert_str_eq(peer.subject, "CN=client");
    cr_assert_str_eq(peer.trouble, "");
    cr_assert_eq(strlen(peer.sha256), 64);
    int64_t left_ms = peer.not_after_ms - clock_now_ms();
    cr_assert(left_ms > 3500 * 1000 && left_ms <= 3600 * 1000);
}

Test(tls, finds_no_peer_where_no_certificate_was_shown)
{
    struct tls_peer peer = peer_of(NULL, TLS1_3_VERSION);
    cr_assert(!peer.present);
    cr_assert(!peer.verified);
    cr_assert(!tls_peer_valid(&peer, 0));
}

static void check_refused(const struct pki_files *as, const char *trouble)
{
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (unsigned i = 0; i < 2; i++) {
        struct tls_peer peer = peer_of(as, versions[i]);
        cr_expect(peer.present);
        cr_expect(!peer.verified);
        cr_expect(!tls_peer_valid(&peer, clock_now_ms()));
        cr_expect_neq(strstr(peer.trouble, trouble), NULL, "%s", peer.trouble);
    }
}

Test(tls, does_not_verify_a_certificate_that_ran_out)
{
    struct pki_files files = pki_issue(
        pki,
        &(struct pki_subject){.name = "late", .client = true, .begins_s = -7200, .ends_s = -3600});
    check_refused(&files, "expired");
}

Test(tls, does_not_verify_a_certificate_that_is_not_valid_yet)
{
    struct pki_files files = pki_issue(
        pki,
        &(struct pki_subject){.name = "early", .client = true, .begins_s = 3600, .ends_s = 7200});
    check_refused(&files, "not yet valid");
}

Test(tls, does_not_verify_a_stranger)
{
    struct pki *other = pki_new();
    struct pki_files files =
        pki_issue(other, &(struct pki_subject){.name = "stranger", .client = true});
    check_refused(&files, "certificate");
    pki_free(&other);
}

Test(tls, does_not_verify_a_certificate_for_servers)
{
    struct pki_files files = pki_issue(pki, &(struct pki_subject){.name = "wrong-use"});
    check_refused(&files, "purpose");
}

static void check_resumed(const struct pki_files *as, int version, bool verified)
{
    struct handshake both;
    struct tls_peer peer;
    cr_assert(shake(&both, as, version, NULL));
    SSL_SESSION *session = SSL_get1_session(both.client);
    part(&both);
    cr_assert(shake(&both, as, version, session));
    cr_assert(SSL_session_reused(both.server), "version %x", (unsigned)version);
    tls_peer_read(both.server, &peer);
    part(&both);
    SSL_SESSION_free(session);
    cr_assert(peer.present);
    cr_assert_eq(peer.verified, verified);
    cr_assert_eq(peer.trouble[0] == '\0', verified);
}

Test(tls, keeps_the_verdict_when_a_session_is_resumed)
{
    struct pki_files late = pki_issue(
        pki,
        &(struct pki_subject){.name = "late", .client = true, .begins_s = -7200, .ends_s = -3600});
    check_resumed(&client_files, TLS1_2_VERSION, true);
    check_resumed(&client_files, TLS1_3_VERSION, true);
    check_resumed(&late, TLS1_2_VERSION, false);
    check_resumed(&late, TLS1_3_VERSION, false);
}

Test(tls, resumes_no_session_of_before_a_renewal)
{
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (unsigned i = 0; i < 2; i++) {
        struct handshake both;
        cr_assert(shake(&both, &client_files, versions[i], NULL));
        SSL_SESSION *session = SSL_get1_session(both.client);
        part(&both);
        cr_assert(!failed(tls_server_renew(tls, clock_now_ms(), error, sizeof error)));
        cr_assert(shake(&both, &client_files, versions[i], session));
        cr_assert(!SSL_session_reused(both.server));
        part(&both);
        SSL_SESSION_free(session);
    }
}

Test(tls, keeps_what_is_in_force_where_the_new_is_no_good)
{
    struct pki_files late =
        pki_issue(pki, &(struct pki_subject){.name = "late", .begins_s = -7200, .ends_s = -3600});
    void *before = tls_server_context(tls);

    rename(late.key, server_files.key);
    cr_assert(failed(tls_server_renew(tls, clock_now_ms(), error, sizeof error)));
    cr_assert_eq(tls_server_context(tls), before);
    rename(late.certificate, server_files.certificate);
    cr_assert(failed(tls_server_renew(tls, clock_now_ms(), error, sizeof error)));
    cr_assert_neq(strstr(error, "has expired"), NULL, "%s", error);
    cr_assert_eq(tls_server_context(tls), before);
    cr_assert(peer_of(&client_files, TLS1_3_VERSION).verified);
}

Test(tls, asks_at_each_request_whether_a_certificate_has_run_out_since)
{
    struct tls_peer peer = {.present = true, .verified = true, .not_after_ms = 1000};
    cr_assert(tls_peer_valid(&peer, 1000));
    cr_assert(!tls_peer_valid(&peer, 1001));
    peer.verified = false;
    cr_assert(!tls_peer_valid(&peer, 1000));
}

Test(tls, takes_neither_of_two_names)
{
    struct pki_files files = pki_issue(
        pki,
        &(struct pki_subject){.name = "two", .alt = "URI:" URI ",URI:urn:two", .client = true});
    struct tls_peer peer = peer_of(&files, TLS1_3_VERSION);
    cr_assert(peer.verified);
    cr_assert_str_eq(peer.uri, "");
}

Test(tls, takes_no_name_that_is_not_plain)
{
    char alt[TLS_NAME_BYTES_MAX + 64] = "URI:spiffe://";
    memset(alt + strlen(alt), 'a', TLS_NAME_BYTES_MAX);
    struct pki_files files =
        pki_issue(pki, &(struct pki_subject){.name = "long", .alt = alt, .client = true});
    struct tls_peer peer = peer_of(&files, TLS1_3_VERSION);
    cr_assert(peer.verified);
    cr_assert_str_eq(peer.uri, "", "cut short it would be somebody else's name");
    files = pki_issue(
        pki, &(struct pki_subject){.name = "odd", .alt = "URI:spiffe://a b", .client = true});
    peer = peer_of(&files, TLS1_3_VERSION);
    cr_assert_str_eq(peer.uri, "");
}

Test(tls, speaks_nothing_below_1_2_and_no_cipher_without_forward_secrecy)
{
    SSL_CTX *context = tls_server_context(tls);
    cr_assert_eq(SSL_CTX_get_min_proto_version(context), TLS1_2_VERSION);
    cr_assert(SSL_CTX_get_options(context) & SSL_OP_CLEANSE_PLAINTEXT);
    cr_assert(SSL_CTX_get_options(context) & SSL_OP_NO_RENEGOTIATION);
    cr_assert(SSL_CTX_get_options(context) & SSL_OP_NO_COMPRESSION);
    cr_assert_eq(SSL_CTX_get_max_early_data(context), 0);
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context);
    cr_assert(sk_SSL_CIPHER_num(ciphers) >= 4);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        int exchange = SSL_CIPHER_get_kx_nid(cipher);
        cr_expect(SSL_CIPHER_is_aead(cipher), "%s", SSL_CIPHER_get_name(cipher));
        cr_expect(exchange == NID_kx_ecdhe || exchange == NID_kx_any, "%s",
                  SSL_CIPHER_get_name(cipher));
    }
}

static void check_error(const char *certificate, const char *key, const char *clients,
                        const char *named)
{
    struct tls_server *none = NULL;
    struct status status = tls_server_new(certificate, key, clients, &none, error, sizeof error);
    cr_expect_eq(status.why, WHY_BAD_INPUT);
    cr_expect_eq(none, NULL);
    cr_expect_neq(strstr(error, named), NULL, "%s", error);
}

Test(tls, says_which_file_is_at_fault)
{
    const char *ca = pki_authority(pki);
    check_error("/nowhere/x.pem", server_files.key, ca, "/nowhere/x.pem cannot be read");
    check_error(server_files.key, server_files.key, ca, server_files.key);
    check_error(server_files.certificate, client_files.key, ca, client_files.key);
    check_error(server_files.certificate, server_files.key, "/nowhere/ca.pem", "/nowhere/ca.pem");
    check_error(server_files.certificate, server_files.key, server_files.key, "CA certificate");
}
