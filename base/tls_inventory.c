/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_inventory.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"

#define NAME_MAX_BYTES 256

/* Digests and serial numbers with colons, as `openssl x509` prints them: no run of digits in them
 * looks like a card's. */
static void put_bytes(struct json_writer *out, const char *name, const uint8_t *bytes, size_t size)
{
    char text[3 * 64] = "";
    char pair[3];

    if (size > 64)
        size = 64;
    for (size_t i = 0; i < size; i++) {
        encode_hex(bytes + i, 1, pair);
        memcpy(text + 3 * i, pair, 2);
        text[3 * i + 2] = i + 1 == size ? '\0' : ':';
    }
    json_put_member(out, name, text);
}

static void put_name(struct json_writer *out, const char *name, const X509_NAME *value)
{
    char text[NAME_MAX_BYTES] = "";
    BIO *bio = BIO_new(BIO_s_mem());
    int size = 0;

    if (bio != NULL && X509_NAME_print_ex(bio, value, 0, XN_FLAG_RFC2253) >= 0)
        size = BIO_read(bio, text, (int)sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    BIO_free(bio);
    json_put_member(out, name, text);
}

static void put_time(struct json_writer *out, const char *name, const ASN1_TIME *time)
{
    struct tm when = {0};
    char text[CLOCK_TEXT_SIZE];

    if (ASN1_TIME_to_tm(time, &when) != 1) {
        json_put_member(out, name, NULL);
        return;
    }
    clock_text((int64_t)timegm(&when) * 1000, text);
    json_put_member(out, name, text);
}

static void put_certificate(struct json_writer *out, X509 *certificate, const char *role)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    const char *algorithm = key == NULL ? NULL : EVP_PKEY_get0_type_name(key);

    json_begin_object(out);
    json_put_member(out, "role", role);
    put_name(out, "subject", X509_get_subject_name(certificate));
    put_name(out, "issuer", X509_get_issuer_name(certificate));
    put_bytes(out, "serial", ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
    if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1)
        put_bytes(out, "sha256", digest, size);
    json_put_member(out, "algorithm", algorithm == NULL ? "unknown" : algorithm);
    json_put_member_int(out, "bits", key == NULL ? 0 : EVP_PKEY_get_bits(key));
    json_put_member(out, "signature", OBJ_nid2ln(X509_get_signature_nid(certificate)));
    put_time(out, "activates_at", X509_get0_notBefore(certificate));
    put_time(out, "expires_at", X509_get0_notAfter(certificate));
    json_end_object(out);
}

static void put_certificates(SSL_CTX *context, struct json_writer *out)
{
    STACK_OF(X509) *chain = NULL;
    X509 *own = SSL_CTX_get0_certificate(context);
    const STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    unsigned count = 0;

    if (own != NULL) {
        put_certificate(out, own, "listener");
        count++;
    }
    if (SSL_CTX_get0_chain_certs(context, &chain) == 1)
        for (int i = 0; i < sk_X509_num(chain) && count < TLS_INVENTORY_MAX; i++, count++)
            put_certificate(out, sk_X509_value(chain, i), "issuer");
    for (int i = 0; i < sk_X509_OBJECT_num(trusted) && count < TLS_INVENTORY_MAX; i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
        if (authority == NULL)
            continue;
        put_certificate(out, authority, "clients' authority");
        count++;
    }
}

void tls_inventory_write(struct tls_server *tls, const char *name, struct json_writer *out)
{
    SSL_CTX *context = tls_server_context(tls);
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context);

    json_begin_object(out);
    json_put_member(out, "where", name);
    json_key(out, "protocols");
    json_begin_array(out);
    /* Nothing sets a highest version, so it is OpenSSL's own. */
    if (SSL_CTX_get_min_proto_version(context) <= TLS1_2_VERSION)
        json_put_text(out, "TLSv1.2");
    json_put_text(out, "TLSv1.3");
    json_end_array(out);
    json_key(out, "ciphers");
    json_begin_array(out);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
        json_put_text(out, SSL_CIPHER_standard_name(sk_SSL_CIPHER_value(ciphers, i)));
    json_end_array(out);
    json_key(out, "certificates");
    json_begin_array(out);
    put_certificates(context, out);
    json_end_array(out);
    json_end_object(out);
}
