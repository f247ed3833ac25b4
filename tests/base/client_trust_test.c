/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

TestSuite(client_trust, .timeout = 60);

static struct kept kept;

static void expect_answer(const struct client_request *request, const char *why)
{
    ask_with(request, &kept);
    cr_expect_eq(kept.result, CLIENT_ANSWERED, "%s: %s", why, kept.text);
}

static void expect_refusal(const struct client_request *request, const char *why)
{
    unsigned before = host.requests;

    ask_with(request, &kept);
    cr_expect_eq(kept.result, CLIENT_NOT_SENT, "%s: %d", why, (int)kept.result);
    cr_expect_eq(kept.trouble, CLIENT_TROUBLE_TLS, "%s: %s", why, kept.text);
    cr_expect_neq(kept.text[0], '\0', "%s", why);
    cr_expect_eq(host.requests, before, "%s", why);
}

static void each_version(void (*check)(int version))
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (unsigned i = 0; i < 2; i++) {
        memset(&host, 0, sizeof host);
        host_start(serve_all, 4);
        check(versions[i]);
        host_stop();
    }
}

static void certify(const char *alt, int version)
{
    host_certify(alt);
    SSL_CTX_set_max_proto_version(host.context, version);
}

static void check_names(int version)
{
    static const struct {
        const char *alt;
        const char *asked;
        bool good;
    } cases[] = {
        {"DNS:gateway.test", "gateway.test", true},
        {"DNS:gateway.test", "GATEWAY.test", true},
        {"DNS:gateway.test", "gateway.test.", true},
        {"DNS:gateway.test", "other.test", false},
        {"DNS:gateway.test", "a.gateway.test", false},
        {"DNS:gateway.test", "test", false},
        {"DNS:*.gateway.test", "a.gateway.test", true},
        {"DNS:*.gateway.test", "b.a.gateway.test", false},
        {"DNS:*.gateway.test", "gateway.test", false},
        {"DNS:*.test", "gateway.test", false},
        {"DNS:a*.gateway.test", "ab.gateway.test", false},
        {"DNS:*b.gateway.test", "ab.gateway.test", false},
        {"DNS:elsewhere.test", "server", false}, /* Its common name. */
        {"IP:127.0.0.1", "server", false},       /* The same, where no DNS name outweighs it, … */
        {NULL, "server", false},                 /* … and where there is no name but it. */
        {"IP:127.0.0.1", "127.0.0.1", true},
        {"IP:127.0.0.1,IP:::1", "::1", true},
        {"IP:127.0.0.2", "127.0.0.1", false},
        {"DNS:127.0.0.1", "127.0.0.1", false},
        {"IP:127.0.0.1", "gateway.test", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[128];
        snprintf(why, sizeof why, "%s for %s, version %x",
                 cases[i].alt == NULL ? "no names" : cases[i].alt, cases[i].asked,
                 (unsigned)version);
        certify(cases[i].alt, version);
        client_free(&client);
        cr_assert(!failed(client_new(loop, 4, 4, &client)));
        struct client_request request = request_to("/");
        request.host = cases[i].asked;
        if (cases[i].good)
            expect_answer(&request, why);
        else
            expect_refusal(&request, why);
    }
}

Test(client_trust, is_in_a_certificate_of_the_very_host)
{
    each_version(check_names);
}

/* "sha256//…" of what the host shows. */
static void pin_of(char out[static 64])
{
    FILE *file = fopen(host.files.certificate, "r");
    cr_assert(file != NULL);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    uint8_t *key = NULL;
    uint8_t digest[32];
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    cr_assert_eq(EVP_Digest(key, (size_t)size, digest, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(key);
    X509_free(certificate);
    memcpy(out, "sha256//", 8);
    encode_base64(digest, sizeof digest, out + 8);
}

static void check_pins(int version)
{
    static const char other[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    char pin[64] = "";
    char pins[256];
    struct client_request request = request_to("/");

    certify("DNS:" HOST, version);
    pin_of(pin);
    request.pins = pin;
    expect_answer(&request, "its pin");
    snprintf(pins, sizeof pins, "%s;%s", other, pin);
    request.pins = pins;
    expect_answer(&request, "the second of two");
    snprintf(pins, sizeof pins, "%s;%s", pin, other);
    expect_answer(&request, "the first of two");
    snprintf(pins, sizeof pins, "%s;%.40s", other, pin);
    expect_refusal(&request, "a part of it");
    snprintf(pins, sizeof pins, "%sA", pin);
    expect_refusal(&request, "more than it");
    request.pins = other;
    expect_refusal(&request, "another's");
    request.pins = pin + 8;
    expect_refusal(&request, "a pin of no kind");
    request.pins = "";
    expect_refusal(&request, "none is as good as another");
    cr_expect_eq(host.requests, 3u);
}

Test(client_trust, is_in_a_key_that_is_pinned)
{
    each_version(check_pins);
}

static void check_authority(int version)
{
    struct pki *elsewhere = pki_new();
    struct client_request request = request_to("/");

    certify("DNS:" HOST, version);
    request.authorities = pki_authority(elsewhere);
    expect_refusal(&request, "another authority");
    request.authorities = "/nowhere/authorities.pem";
    expect_refusal(&request, "no file of authorities");
    request.authorities = host.files.key;
    expect_refusal(&request, "a file without authorities");
    request.authorities = NULL;
    expect_refusal(&request, "the host's authorities");
    request.authorities = host.files.certificate;
    expect_answer(&request, "the certificate itself, where it is named");
    request = request_to("/");
    expect_answer(&request, "its authority");
    pki_free(&elsewhere);
}

Test(client_trust, is_in_the_authorities_named_and_no_other)
{
    each_version(check_authority);
}

static void check_time(int version)
{
    static const struct pki_subject past = {
        .name = "server", .alt = "DNS:" HOST, .begins_s = -7200, .ends_s = -3600};
    struct client_request request = request_to("/");

    host.files = pki_issue(host.pki, &past);
    SSL_CTX_set_max_proto_version(host.context, version);
    SSL_CTX_use_certificate_file(host.context, host.files.certificate, SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(host.context, host.files.key, SSL_FILETYPE_PEM);
    expect_refusal(&request, "it has run out");
    cr_expect(strstr(kept.text, "expired") != NULL, "%s", kept.text);
}

Test(client_trust, ends_with_the_certificate)
{
    each_version(check_time);
}

Test(client_trust, is_not_in_weak_ciphers_or_old_versions)
{
    host_start(serve_all, 4);
    struct client_request request = request_to("/");
    certify("DNS:" HOST, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(host.context, "ECDHE+AES128:!AESGCM:!AESCCM");
    expect_refusal(&request, "CBC");
    SSL_CTX_set_cipher_list(host.context, "ECDHE+AESGCM");
    expect_answer(&request, "AEAD");
    request.tls13_only = true;
    expect_refusal(&request, "TLS 1.2 where 1.3 is asked for");
    certify("DNS:" HOST, TLS1_1_VERSION);
    SSL_CTX_set_min_proto_version(host.context, TLS1_VERSION);
    SSL_CTX_set_security_level(host.context, 0);
    request.tls13_only = false;
    client_free(&client);
    cr_assert(!failed(client_new(loop, 4, 4, &client)));
    expect_refusal(&request, "TLS 1.1");
    host_stop();
}

/* --- What it is shown --- */

static char shown[CONNECTIONS_MAX][64]; /* The name of each connection's client. */

static int take_any(int holds, X509_STORE_CTX *store)
{
    (void)holds;
    (void)store;
    return 1;
}

static void serve_shown(struct peer *peer)
{
    X509 *certificate = SSL_get0_peer_certificate(peer->ssl);

    if (certificate != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                  shown[peer->index], sizeof shown[0]);
    serve_all(peer);
}

static struct pki_files client_files(const char *name)
{
    const struct pki_subject subject = {.name = name, .alt = "URI:urn:test", .client = true};
    return pki_issue(host.pki, &subject);
}

Test(client_trust, is_asked_for_as_whom_the_request_says)
{
    host_start(serve_shown, 4);
    SSL_CTX_set_verify(host.context, SSL_VERIFY_PEER, take_any);
    struct pki_files one = client_files("one");
    struct pki_files two = client_files("two");
    struct client_request request = request_to("/");
    expect_answer(&request, "nobody");
    request.certificate = one.certificate;
    request.key = one.key;
    expect_answer(&request, "one");
    request.certificate = two.certificate;
    request.key = two.key;
    expect_answer(&request, "two");
    expect_answer(&request, "two again");
    cr_expect_str_eq(shown[0], "");
    cr_expect_str_eq(shown[1], "one");
    cr_expect_str_eq(shown[2], "two");
    cr_expect_eq(host.connections, 3u, "nobody goes by another's connection");
    request.key = one.key;
    expect_refusal(&request, "another's key");
    request.key = "/nowhere/key.pem";
    expect_refusal(&request, "no key");
    host_stop();
}

static void file_take_place(const char *path, const char *of)
{
    char other[PKI_PATH_SIZE + 8];
    char bytes[8192];
    FILE *from = fopen(path, "r");
    snprintf(other, sizeof other, "%s.new", of);
    FILE *to = fopen(other, "w");
    size_t size = fread(bytes, 1, sizeof bytes, from);
    cr_assert_eq(fwrite(bytes, 1, size, to), size);
    fclose(from);
    fclose(to);
    cr_assert_eq(rename(other, of), 0);
}

Test(client_trust, changes_with_its_files)
{
    host_start(serve_shown, 4);
    SSL_CTX_set_verify(host.context, SSL_VERIFY_PEER, take_any);
    struct pki_files one = client_files("one");
    struct pki_files two = client_files("two");
    struct client_request request = request_to("/");
    request.certificate = one.certificate;
    request.key = one.key;
    expect_answer(&request, "one");
    file_take_place(two.certificate, one.certificate);
    file_take_place(two.key, one.key);
    struct client_trust *trust = LIST_FIRST(&client->trusts);
    cr_expect_str_eq(trust->certificate, one.certificate);
    trust->looked_ms -= 2000; /* A while later. */
    expect_answer(&request, "two, in its place");
    cr_expect_str_eq(shown[0], "one");
    cr_expect_str_eq(shown[1], "two");
    cr_expect_eq(host.resumed, 0u, "nothing of before is resumed");
    file_take_place(two.key, one.certificate);
    trust->looked_ms -= 2000;
    expect_answer(&request, "over the connection that there is");
    cr_expect_eq(host.connections, 2u);
    request.addresses = "127.0.0.2";
    expect_refusal(&request, "another, while the file is no good");
    file_take_place(two.certificate, one.certificate);
    expect_answer(&request, "another, once it is");
    cr_expect_eq(host.connections, 4u, "of which one got no further than to be dialled");
    host_stop();
}

Test(client_trust, changes_with_an_identity_in_memory)
{
    struct tls_identity *identity = NULL;
    char error[256];

    host_start(serve_shown, 4);
    SSL_CTX_set_verify(host.context, SSL_VERIFY_PEER, take_any);
    struct pki_files one = client_files("one");
    struct pki_files two = client_files("two");
    const struct tls_files files = {
        .certificate = one.certificate, .key = one.key, .authorities = pki_authority(host.pki)};
    cr_assert(!failed(tls_identity_new(&files, &identity, error, sizeof error)), "%s", error);
    struct client_request request = request_to("/");
    request.authorities = NULL;
    request.identity = tls_identity_pem(identity);
    expect_answer(&request, "one");
    file_take_place(two.certificate, one.certificate);
    file_take_place(two.key, one.key);
    expect_answer(&request, "one, whatever the files say");
    cr_assert(!failed(tls_identity_renew(identity, clock_now_ms(), error, sizeof error)));
    expect_answer(&request, "two");
    cr_expect_eq(host.connections, 2u);
    cr_expect_str_eq(shown[0], "one");
    cr_expect_str_eq(shown[1], "two");
    host_stop();
    tls_identity_free(&identity);
}

/* --- Resumption --- */

static void serve_once(struct peer *peer)
{
    if (peer_hear(peer))
        peer_say(peer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
}

static void check_resumption(int version)
{
    struct client_request request = request_to("/");

    host.serve = serve_once;
    certify("DNS:" HOST ",DNS:other.test", version);
    expect_answer(&request, "the first");
    cr_expect_eq(host.resumed, 0u);
    expect_answer(&request, "the second");
    cr_expect_eq(host.resumed, 1u, "version %x", (unsigned)version);
    request.host = "other.test";
    expect_answer(&request, "another name");
    cr_expect_eq(host.resumed, 1u, "what was verified for one host speaks for no other");
    request.host = HOST;
    request.pins = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    expect_refusal(&request, "another pin");
    request.pins = NULL;
    struct client_site *site = NULL;
    LIST_FOREACH(site, &client->sites, all)
    {
        site->session_ms -= 3600000;
    }
    expect_answer(&request, "an hour later");
    cr_expect_eq(host.resumed, 1u, "it is judged anew");
}

Test(client_trust, is_resumed_for_the_same_host_and_a_while)
{
    each_version(check_resumption);
}

static void check_resumption_ends(int version)
{
    struct client_request request = request_to("/");

    host.serve = serve_once;
    certify("DNS:" HOST, version);
    expect_answer(&request, "the first");
    struct client_site *site = LIST_FIRST(&client->sites);
    site->session_ms -= 2400000;
    expect_answer(&request, "40 minutes later");
    cr_expect_eq(host.resumed, 1u, "version %x", (unsigned)version);
    site->session_ms -= 2400000;
    expect_answer(&request, "80 minutes after it was judged");
    cr_expect_eq(host.resumed, 1u, "tickets of what was resumed make it no younger");
    expect_answer(&request, "then it is young again");
    cr_expect_eq(host.resumed, 2u, "version %x", (unsigned)version);
}

Test(client_trust, is_not_prolonged_by_being_resumed)
{
    each_version(check_resumption_ends);
}

/* --- One host's trouble is not another's --- */

static void a_while_later(struct client_trust *trust, int64_t ms)
{
    trust->looked_ms -= ms;
    trust->made_ms -= ms;
}

/* Whoever comes after it is dialled anew has another authority's certificate. */
static void host_turn(struct pki *elsewhere)
{
    struct pki *own = host.pki;

    host.pki = elsewhere;
    host_certify("DNS:other.test");
    host.pki = own;
}

Test(client_trust, in_one_host_is_not_lost_by_another)
{
    host_start(serve_all, 4);
    struct pki *elsewhere = pki_new();
    struct client_request request = request_to("/");
    struct client_request other = request_to("/");
    other.host = "other.test";
    expect_answer(&request, "it has a connection");
    struct client_trust *trust = LIST_FIRST(&client->trusts);
    uint64_t generation = trust->generation;
    host_turn(elsewhere);
    for (unsigned i = 0; i < 3; i++) {
        expect_refusal(&other, "an authority that is not known");
        cr_expect(trust->is_doubted, "%s", kept.text);
        int64_t made_ms = trust->made_ms;
        a_while_later(trust, 2000);
        expect_refusal(&other, "the same");
        cr_expect_eq(trust->made_ms, made_ms - 2000, "it is not read anew so soon");
        a_while_later(trust, 20000);
        expect_answer(&request, "over the connection that there is");
        cr_expect_gt(trust->made_ms, made_ms, "for which it was read anew");
        cr_expect_str_eq(kept.body, "/ 0");
        cr_expect_eq(trust->generation, generation, "sessions stay good, too");
    }
    other.host = "third.test";
    other.authorities = pki_authority(elsewhere);
    expect_refusal(&other, "a known authority, another host");
    cr_expect(!LIST_FIRST(&client->trusts)->is_doubted, "there is nothing to be read anew");
    pki_free(&elsewhere);
    host_stop();
}

/* --- Connections are shared by whom they fit --- */

Test(client_trust, is_one_for_all_who_use_a_connection)
{
    host_start(serve_all, 16);
    struct client_request request = request_to("/");
    char pin[64] = "";
    pin_of(pin);
    for (unsigned i = 0; i < 2; i++) {
        struct client_request other = request;
        expect_answer(&other, "plain");
        other.host = "other.test";
        expect_answer(&other, "host");
        other = request;
        other.pins = pin;
        expect_answer(&other, "pins");
        other = request;
        other.tls13_only = true;
        expect_answer(&other, "version");
        other = request;
        other.addresses = "127.0.0.2";
        expect_answer(&other, "address");
        other = request;
        other.authorities = host.files.certificate;
        expect_answer(&other, "authorities");
        cr_expect_eq(host.connections, 6u, "one for each");
    }
    request.addresses = "127.0.0.2,127.0.0.1"; /* In another order it is the same one. */
    expect_answer(&request, "either address");
    cr_expect_eq(host.connections, 6u);
    host_stop();
}
