/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/pki.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "vault/cli/files.h"

#define SERIAL_BYTES      16
#define DAY_SECONDS       (24L * 3600)
#define AUTHORITY_DAYS    3650L
#define LEAF_DAYS         825L /* What common clients take at most. */
#define CLOCK_SKEW_SECOND 3600L

struct pki {
    int folder_fd; /* Borrowed. */
    EVP_PKEY *key;
    X509 *certificate;
};

static void key_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
    *key = NULL;
}

static void certificate_free(X509 **certificate)
{
    X509_free(*certificate);
    *certificate = NULL;
}

static void bio_free(BIO **bio)
{
    BIO_free(*bio);
    *bio = NULL;
}

void pki_free(struct pki **pki)
{
    if (*pki == NULL)
        return;
    key_free(&(*pki)->key);
    certificate_free(&(*pki)->certificate);
    free(*pki);
    *pki = NULL;
}

static STATUS bio_write_file(BIO *bio, int folder_fd, const char *name, const char *suffix,
                             unsigned mode)
{
    char file[96];
    int length = snprintf(file, sizeof file, "%s%s", name, suffix);
    assert(length > 0 && (size_t)length < sizeof file);
    char *bytes = NULL;
    long size = BIO_get_mem_data(bio, &bytes);
    ENSURE(size > 0, WHY_NO_MEMORY);
    return files_write_new(folder_fd, file, mode, bytes, (size_t)size);
}

static STATUS pair_write(int folder_fd, const char *name, EVP_PKEY *key, X509 *certificate)
{
    /* Secure: the key's text is wiped when the BIO is freed. */
    OWNED(bio_free) BIO *key_bio = BIO_new(BIO_s_secmem());
    OWNED(bio_free) BIO *certificate_bio = BIO_new(BIO_s_mem());
    ENSURE(key_bio != NULL && certificate_bio != NULL, WHY_NO_MEMORY);
    ENSURE(PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1,
           WHY_NO_MEMORY);
    ENSURE(PEM_write_bio_X509(certificate_bio, certificate) == 1, WHY_NO_MEMORY);
    TRY(bio_write_file(key_bio, folder_fd, name, ".key", 0600));
    return bio_write_file(certificate_bio, folder_fd, name, ".pem", 0644);
}

static STATUS extension_add(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ENSURE(extension != NULL, WHY_BAD_INPUT);
    int rc = X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    ENSURE(rc == 1, WHY_NO_MEMORY);
    return STATUS_OK;
}

/* RFC 5280 4.1.2.2: positive and, here, 127 random bits. */
static STATUS serial_set(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    ENSURE(serial != NULL, WHY_NO_MEMORY);
    bool good = BN_rand(serial, SERIAL_BYTES * 8 - 1, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL;
    BN_free(serial);
    ENSURE(good, WHY_NO_MEMORY);
    return STATUS_OK;
}

static STATUS certificate_begin(const char *name, long days, EVP_PKEY *key, X509 **out_certificate)
{
    OWNED(certificate_free) X509 *certificate = X509_new();
    ENSURE(certificate != NULL, WHY_NO_MEMORY);
    ENSURE(X509_set_version(certificate, X509_VERSION_3) == 1, WHY_NO_MEMORY);
    TRY(serial_set(certificate));
    /* From an hour ago: the clock of the machine beside this one may be a little behind. */
    ENSURE(X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SKEW_SECOND) != NULL,
           WHY_NO_MEMORY);
    ENSURE(X509_gmtime_adj(X509_getm_notAfter(certificate), days * DAY_SECONDS) != NULL,
           WHY_NO_MEMORY);
    X509_NAME *subject = X509_get_subject_name(certificate);
    ENSURE(X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                                      (const unsigned char *)"Cardkeep development", -1, -1,
                                      0) == 1,
           WHY_NO_MEMORY);
    ENSURE(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1,
           WHY_NO_MEMORY);
    ENSURE(X509_set_pubkey(certificate, key) == 1, WHY_NO_MEMORY);
    *out_certificate = MOVE(certificate);
    return STATUS_OK;
}

STATUS pki_new(int folder_fd, struct pki **out_pki)
{
    assert(folder_fd >= 0);
    assert(out_pki != NULL);
    OWNED(pki_free) struct pki *pki = calloc(1, sizeof *pki);
    ENSURE(pki != NULL, WHY_NO_MEMORY);
    pki->folder_fd = folder_fd;
    pki->key = EVP_EC_gen("P-256");
    ENSURE(pki->key != NULL, WHY_NO_MEMORY);
    TRY(certificate_begin("Cardkeep development authority", AUTHORITY_DAYS, pki->key,
                          &pki->certificate));
    X509 *self = pki->certificate;
    ENSURE(X509_set_issuer_name(self, X509_get_subject_name(self)) == 1, WHY_NO_MEMORY);
    TRY(extension_add(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
    TRY(extension_add(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
    TRY(extension_add(self, self, NID_subject_key_identifier, "hash"));
    ENSURE(X509_sign(self, pki->key, EVP_sha256()) > 0, WHY_NO_MEMORY);
    TRY(pair_write(folder_fd, "ca", pki->key, self));
    *out_pki = MOVE(pki);
    return STATUS_OK;
}

STATUS pki_publish(struct pki *pki, const char *name)
{
    OWNED(bio_free) BIO *bio = BIO_new(BIO_s_mem());
    ENSURE(bio != NULL && PEM_write_bio_X509(bio, pki->certificate) == 1, WHY_NO_MEMORY);
    return bio_write_file(bio, pki->folder_fd, name, ".pem", 0644);
}

STATUS pki_issue(struct pki *pki, const struct pki_leaf *leaf)
{
    assert(pki != NULL);
    assert(leaf != NULL);
    OWNED(key_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    ENSURE(key != NULL, WHY_NO_MEMORY);
    OWNED(certificate_free) X509 *certificate = NULL;
    TRY(certificate_begin(leaf->name, LEAF_DAYS, key, &certificate));
    X509 *issuer = pki->certificate;
    ENSURE(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1, WHY_NO_MEMORY);
    TRY(extension_add(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE"));
    TRY(extension_add(certificate, issuer, NID_key_usage, "critical,digitalSignature"));
    TRY(extension_add(certificate, issuer, NID_ext_key_usage,
                      leaf->use == PKI_SERVER ? "serverAuth" : "clientAuth"));
    TRY(extension_add(certificate, issuer, NID_subject_alt_name, leaf->san));
    TRY(extension_add(certificate, issuer, NID_subject_key_identifier, "hash"));
    TRY(extension_add(certificate, issuer, NID_authority_key_identifier, "keyid:always"));
    ENSURE(X509_sign(certificate, pki->key, EVP_sha256()) > 0, WHY_NO_MEMORY);
    return pair_write(pki->folder_fd, leaf->file, key, certificate);
}
