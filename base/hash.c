/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Fetched once in each thread, for hundreds of thousands of hashes a second pass here. */
struct hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *ctx;
};

static _Thread_local struct hasher *hasher;
static pthread_once_t hasher_once = PTHREAD_ONCE_INIT;
static pthread_key_t hasher_key; /* Only for what it does when a thread ends. */

/* There is no log without its hash, and nothing that a caller could do about it. */
static void must(bool done)
{
    if (!done)
        abort();
}

static void hasher_free(void *memory)
{
    struct hasher *gone = memory;

    EVP_MD_CTX_free(gone->ctx);
    EVP_MD_free(gone->sha256);
    free(gone);
}

static void hasher_key_make(void)
{
    must(pthread_key_create(&hasher_key, hasher_free) == 0);
}

static void hasher_make(void)
{
    must(pthread_once(&hasher_once, hasher_key_make) == 0);
    hasher = calloc(1, sizeof *hasher);
    must(hasher != NULL);
    hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->ctx = EVP_MD_CTX_new();
    must(hasher->sha256 != NULL && hasher->ctx != NULL);
    must(pthread_setspecific(hasher_key, hasher) == 0);
}

void hash_begin(void)
{
    if (hasher == NULL)
        hasher_make();
    must(EVP_DigestInit_ex2(hasher->ctx, hasher->sha256, NULL) == 1);
}

void hash_add(const void *bytes, size_t size)
{
    must(EVP_DigestUpdate(hasher->ctx, bytes, size) == 1);
}

/* OpenSSL wipes the block that it was filling. */
void hash_end(uint8_t out[static HASH_BYTES])
{
    unsigned size = 0;

    must(EVP_DigestFinal_ex(hasher->ctx, out, &size) == 1);
    assert(size == HASH_BYTES);
}
