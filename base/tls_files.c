/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"

#define FILE_BYTES_MAX   (256u * 1024u)
#define READ_BYTES       4096u
#define CERTIFICATES_MAX 512u /* Of one file. */

static atomic_uint_fast64_t readings;

static const char not_certificate[] = "is not a usable certificate";
static const char not_key[] = "is not the certificate's private key";
static const char not_authority[] = "holds no usable CA certificate";

static void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void bio_free(BIO **bio)
{
    BIO_free(*bio);
    *bio = NULL;
}

static void x509_free(X509 **certificate)
{
    X509_free(*certificate);
    *certificate = NULL;
}

static void pkey_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
    *key = NULL;
}

static void context_free(SSL_CTX **context)
{
    SSL_CTX_free(*context);
    *context = NULL;
}

/* Writes what is wrong with `path` and what to do about it. */
static STATUS refuse(const char *path, const char *what, char *error, size_t error_size)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    (void)snprintf(error, error_size, "%s %s (%s); check that it is PEM and the right file", path,
                   what, reason == NULL ? "no reason given" : reason);
    ERR_clear_error();
    return FAIL(WHY_BAD_INPUT);
}

/* All of it; false with errno. */
static bool all_read(int fd, struct buffer *out)
{
    uint8_t piece[READ_BYTES];
    ssize_t count = 0;

    while (!failed(buffer_status(out)) && (count = read(fd, piece, sizeof piece)) != 0) {
        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0)
            buffer_add(out, piece, (size_t)count);
    }
    OPENSSL_cleanse(piece, sizeof piece);
    return true;
}

static STATUS file_read(const char *path, struct buffer *out, char *error, size_t error_size)
{
    int fd OWNED(fd_close) = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* A pipe waits. */

    *out = BUFFER(FILE_BYTES_MAX);
    if (fd >= 0 && all_read(fd, out))
        return buffer_status(out);
    (void)snprintf(error, error_size, "%s cannot be read (%s); check the path and its permissions",
                   path, strerror(errno));
    return FAIL(WHY_BAD_INPUT);
}

STATUS tls_files_read(const struct tls_files *files, struct tls_pem *out_pem, char *error,
                      size_t error_size)
{
    struct tls_pem pem OWNED(tls_files_free) = {0};

    assert(files->certificate != NULL);
    assert(files->key != NULL);
    TRY(file_read(files->certificate, &pem.certificate, error, error_size));
    TRY(file_read(files->key, &pem.key, error, error_size));
    if (files->authorities != NULL)
        TRY(file_read(files->authorities, &pem.authorities, error, error_size));
    pem.generation = atomic_fetch_add(&readings, 1) + 1;
    *out_pem = pem;
    pem = (struct tls_pem){0};
    return STATUS_OK;
}

void tls_files_free(struct tls_pem *pem)
{
    buffer_free(&pem->certificate);
    buffer_free(&pem->key);
    buffer_free(&pem->authorities);
}

/* Lends the bytes to OpenSSL. */
static BIO *bio_over(const struct buffer *bytes)
{
    return BIO_new_mem_buf(bytes->size == 0 ? (const void *)"" : bytes->bytes, (int)bytes->size);
}

/* True at the end of a PEM file that had something in it; the error of having come there goes. */
static bool ended_well(unsigned count)
{
    unsigned long code = ERR_peek_last_error();
    bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

    if (end && count > 0)
        ERR_clear_error();
    return end && count > 0;
}

static bool use_chain(SSL_CTX *context, const struct buffer *bytes)
{
    BIO *bio OWNED(bio_free) = bio_over(bytes);
    unsigned count = 0;

    for (; bio != NULL && count < CERTIFICATES_MAX; count++) {
        X509 *certificate OWNED(x509_free) = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (certificate == NULL)
            return ended_well(count);
        if (count == 0 && SSL_CTX_use_certificate(context, certificate) != 1)
            return false;
        if (count > 0 && SSL_CTX_add1_chain_cert(context, certificate) != 1)
            return false;
    }
    return false;
}

int tls_no_password(char *out, int size, int writing, void *owner)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)owner;
    return 0;
}

static bool use_key(SSL_CTX *context, const struct buffer *bytes)
{
    BIO *bio OWNED(bio_free) = bio_over(bytes);

    if (bio == NULL)
        return false;
    EVP_PKEY *key OWNED(pkey_free) = PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL);
    return key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 &&
           SSL_CTX_check_private_key(context) == 1;
}

/* Whom to believe, and, as a server, whom to name to clients. */
static bool use_authorities(SSL_CTX *context, const struct buffer *bytes)
{
    BIO *bio OWNED(bio_free) = bio_over(bytes);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    unsigned count = 0;

    for (; bio != NULL && count < CERTIFICATES_MAX; count++) {
        X509 *certificate OWNED(x509_free) = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (certificate == NULL)
            return ended_well(count);
        if (X509_STORE_add_cert(store, certificate) != 1 ||
            SSL_CTX_add_client_CA(context, certificate) != 1)
            return false;
    }
    return false;
}

STATUS tls_files_use(const struct tls_pem *pem, const struct tls_files *files, void *context,
                     char *error, size_t error_size)
{
    ERR_clear_error();
    if (!use_chain(context, &pem->certificate))
        return refuse(files->certificate, not_certificate, error, error_size);
    if (!use_key(context, &pem->key))
        return refuse(files->key, not_key, error, error_size);
    if (files->authorities != NULL && !use_authorities(context, &pem->authorities))
        return refuse(files->authorities, not_authority, error, error_size);
    return STATUS_OK;
}

/* --- Judging --- */

static void print_of(const uint8_t digest[static 32], char out[static TLS_PRINT_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";

    for (unsigned i = 0; i < 32; i++) {
        out[3 * i] = digits[digest[i] >> 4];
        out[3 * i + 1] = digits[digest[i] & 0xf];
        out[3 * i + 2] = i == 31 ? '\0' : ':';
    }
}

static int64_t time_ms(const ASN1_TIME *time)
{
    struct tm when = {0};

    return ASN1_TIME_to_tm(time, &when) == 1 ? (int64_t)timegm(&when) * 1000 : 0;
}

/* "" while it holds. */
static const char *dates_trouble(const X509 *certificate, int64_t now_ms)
{
    if (time_ms(X509_get0_notBefore(certificate)) > now_ms)
        return "holds a certificate that is not valid yet";
    if (time_ms(X509_get0_notAfter(certificate)) < now_ms)
        return "holds a certificate that has expired";
    return "";
}

static STATUS complain(const char *path, const char *what, char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "%s %s; put one there that holds", path, what);
    return FAIL(WHY_BAD_INPUT);
}

static STATUS judge_chain(SSL_CTX *context, const char *path, int64_t now_ms,
                          struct tls_facts *facts, char *error, size_t error_size)
{
    X509 *certificate = SSL_CTX_get0_certificate(context);
    STACK_OF(X509) *chain = NULL;
    const char *trouble = "";

    SSL_CTX_get0_chain_certs(context, &chain);
    int count = chain == NULL ? 0 : sk_X509_num(chain); /* What issued the first. */
    for (int i = 0; i <= count && trouble[0] == '\0'; i++) {
        X509 *next = i == 0 ? certificate : sk_X509_value(chain, i - 1);
        trouble = dates_trouble(next, now_ms);
        if (i > 0 && X509_check_issued(next, certificate) != X509_V_OK)
            trouble = "holds a chain in which one did not issue the one before it";
        if (time_ms(X509_get0_notAfter(next)) < facts->not_after_ms)
            facts->not_after_ms = time_ms(X509_get0_notAfter(next));
        certificate = next;
    }
    return trouble[0] == '\0' ? STATUS_OK : complain(path, trouble, error, error_size);
}

/* One that has run out beside one that holds is what a change of authorities looks like. */
static STATUS judge_authorities(SSL_CTX *context, const char *path, int64_t now_ms, char *error,
                                size_t error_size)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    const char *trouble = not_authority;

    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        const X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (one == NULL)
            continue;
        trouble = dates_trouble(one, now_ms);
        if (trouble[0] == '\0')
            return STATUS_OK;
    }
    return complain(path, trouble, error, error_size);
}

STATUS tls_files_judge(const struct tls_pem *pem, const struct tls_files *files, void *context,
                       int64_t now_ms, struct tls_facts *out_facts, char *error, size_t error_size)
{
    X509 *certificate = SSL_CTX_get0_certificate(context);
    struct tls_facts facts = {.not_after_ms = INT64_MAX};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    assert(certificate != NULL);
    ENSURE(X509_digest(certificate, EVP_sha256(), digest, &size) == 1, WHY_NO_MEMORY);
    print_of(digest, facts.certificate);
    if (files->authorities != NULL) {
        ENSURE(EVP_Digest(pem->authorities.bytes, pem->authorities.size, digest, &size,
                          EVP_sha256(), NULL) == 1,
               WHY_NO_MEMORY);
        print_of(digest, facts.authorities);
    }
    struct status status =
        judge_chain(context, files->certificate, now_ms, &facts, error, error_size);
    if (!failed(status) && files->authorities != NULL)
        status = judge_authorities(context, files->authorities, now_ms, error, error_size);
    *out_facts = facts;
    return status;
}

STATUS tls_files_check(const struct tls_files *files, int64_t now_ms, struct tls_facts *out_facts,
                       char *error, size_t error_size)
{
    struct tls_pem pem OWNED(tls_files_free) = {0};
    SSL_CTX *context OWNED(context_free) = SSL_CTX_new(TLS_method());

    ENSURE(context != NULL, WHY_NO_MEMORY);
    TRY(tls_files_read(files, &pem, error, error_size));
    TRY(tls_files_use(&pem, files, context, error, error_size));
    return tls_files_judge(&pem, files, context, now_ms, out_facts, error, error_size);
}

STATUS tls_authorities_check(const char *path, int64_t now_ms, char *error, size_t error_size)
{
    SSL_CTX *context OWNED(context_free) = SSL_CTX_new(TLS_method());

    ENSURE(context != NULL, WHY_NO_MEMORY);
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(context, path) != 1)
        return refuse(path, not_authority, error, error_size);
    return judge_authorities(context, path, now_ms, error, error_size);
}

void tls_files_stamp(const struct tls_files *files, struct tls_stamp *out_stamp)
{
    const char *const paths[] = {files->certificate, files->key, files->authorities};

    *out_stamp = (struct tls_stamp){0};
    for (unsigned i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct stat info;
        if (paths[i] == NULL || stat(paths[i], &info) != 0)
            continue; /* A file that has gone is one that changed. */
        out_stamp->files[i] = (struct tls_stamp_file){
            .device = info.st_dev,
            .inode = info.st_ino,
            .size = info.st_size,
            .changed_ns = (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec};
    }
}

/* --- A client's --- */

struct tls_identity {
    struct tls_files files;
    struct tls_pem pem;
    struct tls_facts facts;
};

static STATUS identity_read(const struct tls_identity *identity, int64_t now_ms, bool strict,
                            struct tls_pem *out_pem, struct tls_facts *out_facts, char *error,
                            size_t error_size)
{
    struct tls_pem pem OWNED(tls_files_free) = {0};
    SSL_CTX *context OWNED(context_free) = SSL_CTX_new(TLS_method());

    ENSURE(context != NULL, WHY_NO_MEMORY);
    TRY(tls_files_read(&identity->files, &pem, error, error_size));
    TRY(tls_files_use(&pem, &identity->files, context, error, error_size));
    struct status status =
        tls_files_judge(&pem, &identity->files, context, now_ms, out_facts, error, error_size);
    if (strict)
        TRY(status);
    *out_pem = pem;
    pem = (struct tls_pem){0};
    return STATUS_OK;
}

STATUS tls_identity_new(const struct tls_files *files, struct tls_identity **out_identity,
                        char *error, size_t error_size)
{
    struct tls_identity *identity OWNED(tls_identity_free) = calloc(1, sizeof *identity);

    ENSURE(identity != NULL, WHY_NO_MEMORY);
    identity->files = *files;
    TRY(identity_read(identity, clock_now_ms(), false, &identity->pem, &identity->facts, error,
                      error_size));
    *out_identity = MOVE(identity);
    return STATUS_OK;
}

void tls_identity_free(struct tls_identity **identity)
{
    if (*identity == NULL)
        return;
    tls_files_free(&(*identity)->pem);
    free(*identity);
    *identity = NULL;
}

STATUS tls_identity_renew(struct tls_identity *identity, int64_t now_ms, char *error,
                          size_t error_size)
{
    struct tls_pem pem = {0};
    struct tls_facts facts = {0};

    TRY(identity_read(identity, now_ms, true, &pem, &facts, error, error_size));
    tls_files_free(&identity->pem);
    identity->pem = pem;
    identity->facts = facts;
    return STATUS_OK;
}

const struct tls_pem *tls_identity_pem(const struct tls_identity *identity)
{
    return &identity->pem;
}

const struct tls_files *tls_identity_files(const struct tls_identity *identity)
{
    return &identity->files;
}

const struct tls_facts *tls_identity_facts(const struct tls_identity *identity)
{
    return &identity->facts;
}
