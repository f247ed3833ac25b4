/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pki.h"

#include <assert.h>
#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR_S 3600

struct pki {
    char folder[64];
    char authority[PKI_PATH_SIZE];
    EVP_PKEY *key;
    X509 *certificate;
    long serial;
};

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension != NULL);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *certificate_begin(struct pki *pki, const struct pki_subject *subject, EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    assert(certificate != NULL);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++pki->serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), (long)subject->begins_s - 60);
    X509_gmtime_adj(X509_getm_notAfter(certificate),
                    subject->ends_s == 0 ? HOUR_S : (long)subject->ends_s);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)subject->name, -1, -1, 0);
    return certificate;
}

static void write_certificate(const char *path, X509 *certificate)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    int rc = PEM_write_X509(file, certificate);
    assert(rc == 1);
    fclose(file);
}

static void write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    int rc = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    assert(rc == 1);
    fclose(file);
}

struct pki *pki_new(void)
{
    struct pki *pki = calloc(1, sizeof *pki);
    assert(pki != NULL);
    snprintf(pki->folder, sizeof pki->folder, "/tmp/cardkeep-pki-XXXXXX");
    char *made = mkdtemp(pki->folder);
    assert(made != NULL);

    const struct pki_subject self = {.name = "Test authority"};
    pki->key = EVP_EC_gen("P-256");
    pki->certificate = certificate_begin(pki, &self, pki->key);
    X509_set_issuer_name(pki->certificate, X509_get_subject_name(pki->certificate));
    add_extension(pki->certificate, pki->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(pki->certificate, pki->certificate, NID_key_usage, "critical,keyCertSign");
    add_extension(pki->certificate, pki->certificate, NID_subject_key_identifier, "hash");
    X509_sign(pki->certificate, pki->key, EVP_sha256());
    snprintf(pki->authority, sizeof pki->authority, "%s/authority.pem", pki->folder);
    write_certificate(pki->authority, pki->certificate);
    return pki;
}

const char *pki_authority(const struct pki *pki)
{
    return pki->authority;
}

const char *pki_folder(const struct pki *pki)
{
    return pki->folder;
}

struct pki_files pki_issue(struct pki *pki, const struct pki_subject *subject)
{
    struct pki_files files;
    snprintf(files.certificate, sizeof files.certificate, "%s/%s.pem", pki->folder, subject->name);
    snprintf(files.key, sizeof files.key, "%s/%s.key", pki->folder, subject->name);

    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_begin(pki, subject, key);
    X509_set_issuer_name(certificate, X509_get_subject_name(pki->certificate));
    add_extension(certificate, pki->certificate, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate, pki->certificate, NID_ext_key_usage,
                  subject->client ? "clientAuth" : "serverAuth");
    if (subject->alt != NULL)
        add_extension(certificate, pki->certificate, NID_subject_alt_name, subject->alt);
    X509_sign(certificate, pki->key, EVP_sha256());
    write_certificate(files.certificate, certificate);
    write_key(files.key, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return files;
}

static void remove_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    assert(directory != NULL);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        unlinkat(dirfd(directory), entry->d_name, 0); /* "." and ".." stay, and are no harm. */
    closedir(directory);
    rmdir(folder);
}

void pki_free(struct pki **pki)
{
    if (*pki == NULL)
        return;
    remove_folder((*pki)->folder);
    X509_free((*pki)->certificate);
    EVP_PKEY_free((*pki)->key);
    free(*pki);
    *pki = NULL;
}
