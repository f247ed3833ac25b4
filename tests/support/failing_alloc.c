/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/failing_alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALLOCATIONS_MAX 20000u /* An operation that asks for more has lost its way. */

static _Thread_local struct {
    unsigned of; /* 0: nothing fails. */
    unsigned first;
    bool all;
    unsigned seen;
    unsigned failed;
} failing;

static bool fails(unsigned of)
{
    if ((failing.of & of) == 0)
        return false;
    failing.seen++;
    if (failing.all ? failing.seen < failing.first : failing.seen != failing.first)
        return false;
    failing.failed++;
    errno = ENOMEM;
    return true;
}

/* What --wrap makes of the names. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *owner);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *owner);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from);
void *__real_sodium_malloc(size_t size);
void *__wrap_sodium_malloc(size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(FAILING_ALLOC_OURS) ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails(FAILING_ALLOC_OURS) ? NULL : __real_reallocarray(old, count, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *owner)
{
    return fails(FAILING_ALLOC_OURS) ? EAGAIN : __real_pthread_create(thread, how, run, owner);
}

char *__wrap_strdup(const char *text)
{
    return fails(FAILING_ALLOC_OURS) ? NULL : __real_strdup(text);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from)
{
    if (fails(FAILING_ALLOC_OURS))
        return MAP_FAILED;
    return __real_mmap(at, size, protection, flags, fd, from);
}

void *__wrap_sodium_malloc(size_t size)
{
    return fails(FAILING_ALLOC_OURS) ? NULL : __real_sodium_malloc(size);
}

/* ---- OpenSSL's ---- */

static void *openssl_new(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails(FAILING_ALLOC_OPENSSL) ? NULL : __real_calloc(1, size);
}

static void *openssl_grow(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails(FAILING_ALLOC_OPENSSL) ? NULL : realloc(old, size);
}

static void openssl_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

/* Only before its first allocation does OpenSSL take other functions for its own. */
__attribute__((constructor)) static void openssl_take(void)
{
    if (CRYPTO_set_mem_functions(openssl_new, openssl_grow, openssl_free) != 1)
        abort();
}

/* ---- The loop ---- */

void failing_alloc_start(unsigned first, bool all, unsigned of)
{
    failing.first = first;
    failing.all = all;
    failing.seen = 0;
    failing.failed = 0;
    failing.of = of;
}

unsigned failing_alloc_stop(void)
{
    failing.of = 0;
    return failing.failed;
}

static void call(void (*maybe)(void))
{
    if (maybe != NULL)
        maybe();
}

/* True when an allocation failed. */
static bool attempt(const struct failing_alloc_case *one, unsigned first, bool all)
{
    unsigned of = one->of != 0 ? one->of : FAILING_ALLOC_OURS;

    call(one->before);
    failing_alloc_start(first, all, of);
    struct status status = one->run();
    unsigned failed_count = failing_alloc_stop();
    if (failed_count == 0) {
        cr_assert_eq(status.why, WHY_NONE, "%s, nothing failing: %s at %s", one->name,
                     status_name(status.why), status.where);
    } else if (!one->may_succeed || failed(status)) {
        cr_expect_eq(status.why, WHY_NO_MEMORY, "%s, allocation %u%s: %s at %s", one->name, first,
                     all ? " and all that follow" : "", status_name(status.why), status.where);
        call(one->unchanged);
        status = one->run();
        cr_expect_eq(status.why, WHY_NONE, "%s, again after allocation %u: %s at %s", one->name,
                     first, status_name(status.why), status.where);
    }
    call(one->after);
    return failed_count > 0;
}

void failing_alloc_each(const struct failing_alloc_case *one)
{
    for (int all = 0; all <= 1; all++) {
        unsigned first = 1;
        while (attempt(one, first, all != 0)) {
            first += one->stride > 1 ? one->stride : 1;
            cr_assert_lt(first, ALLOCATIONS_MAX, "%s never has enough", one->name);
        }
        cr_expect_gt(first, 1, "%s allocates nothing", one->name);
    }
}
