/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"

/* Under AddressSanitizer what no secret holds is out of bounds, as it is on the heap. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SECRET_WITH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SECRET_WITH_ASAN
#endif
#if defined(SECRET_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum tier { TIER_SLOT, TIER_KEY };

/* Apart from the bytes, so that writing past a secret's end cannot change what it is. */
struct secret {
    uint8_t *bytes;
    size_t size;
    struct secret *next_free;
    enum tier tier;
    bool in_use;
    bool is_protected;
};

/* One mapping: a page that nobody may touch, the slots, another such page. */
static struct {
    pthread_mutex_t lock; /* Guards what follows. */
    uint8_t *mapping;
    size_t mapping_size;
    size_t page_size;
    struct secret *slots;
    struct secret *first_free;
    unsigned slot_count;
    unsigned free_count;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void pool_lock(void)
{
    int rc = pthread_mutex_lock(&pool.lock);
    assert(rc == 0);
}

static void pool_unlock(void)
{
    int rc = pthread_mutex_unlock(&pool.lock);
    assert(rc == 0);
}

static uint8_t *pool_bytes(void)
{
    return pool.mapping + pool.page_size;
}

static size_t pool_bytes_size(void)
{
    return pool.mapping_size - 2 * pool.page_size;
}

/* Guards first, then the lock, for mlock() touches every page. */
static STATUS pool_map(unsigned slot_count)
{
    pool.page_size = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (size_t)slot_count * SECRET_BYTES_MAX;
    size = (size + pool.page_size - 1) / pool.page_size * pool.page_size;
    pool.mapping_size = size + 2 * pool.page_size;
    void *mapping = mmap(NULL, pool.mapping_size, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ENSURE(mapping != MAP_FAILED, WHY_NO_MEMORY);
    pool.mapping = mapping;
    ENSURE(mprotect(pool_bytes(), size, PROT_READ | PROT_WRITE) == 0, WHY_NO_MEMORY);
    ENSURE(madvise(pool_bytes(), size, MADV_DONTDUMP) == 0, WHY_LIMIT);
    ENSURE(madvise(pool_bytes(), size, MADV_DONTFORK) == 0, WHY_LIMIT);
    ENSURE(mlock(pool_bytes(), size) == 0, WHY_LIMIT);
    return STATUS_OK;
}

static STATUS pool_make(unsigned slot_count)
{
    TRY(pool_map(slot_count));
    pool.slots = calloc(slot_count, sizeof *pool.slots);
    ENSURE(pool.slots != NULL, WHY_NO_MEMORY);
    for (unsigned i = slot_count; i > 0; i--) {
        struct secret *slot = &pool.slots[i - 1];
        slot->bytes = pool_bytes() + (size_t)(i - 1) * SECRET_BYTES_MAX;
        slot->next_free = pool.first_free;
        pool.first_free = slot;
    }
    ASAN_POISON_MEMORY_REGION(pool_bytes(), pool_bytes_size());
    pool.slot_count = slot_count;
    pool.free_count = slot_count;
    return STATUS_OK;
}

/* Accepts a half-made pool. */
static void pool_unmake(void)
{
    if (pool.mapping != NULL) {
        if (pool.slots != NULL) { /* Until then the bytes may not be accessible. */
            ASAN_UNPOISON_MEMORY_REGION(pool_bytes(), pool_bytes_size());
            sodium_memzero(pool_bytes(), pool_bytes_size());
        }
        int rc = munmap(pool.mapping, pool.mapping_size); /* Unlocks as well. */
        assert(rc == 0);
    }
    free(pool.slots);
    pool.mapping = NULL;
    pool.slots = NULL;
    pool.first_free = NULL;
    pool.slot_count = 0;
    pool.free_count = 0;
}

STATUS secret_pool_open(unsigned slot_count)
{
    ENSURE(slot_count > 0, WHY_LIMIT);
    pool_lock();
    assert(pool.slots == NULL);
    struct status status = pool_make(slot_count);
    if (failed(status))
        pool_unmake();
    pool_unlock();
    return status;
}

void secret_pool_close(void)
{
    pool_lock();
    assert(pool.free_count == pool.slot_count);
    pool_unmake();
    pool_unlock();
}

unsigned secret_pool_free_count(void)
{
    pool_lock();
    unsigned count = pool.free_count;
    pool_unlock();
    return count;
}

STATUS secret_new(size_t size, struct secret **out_secret)
{
    assert(out_secret != NULL);
    ENSURE(size <= SECRET_BYTES_MAX, WHY_LIMIT);
    pool_lock();
    struct secret *slot = pool.first_free;
    if (slot != NULL) {
        pool.first_free = slot->next_free;
        pool.free_count--;
    }
    pool_unlock();
    ENSURE(slot != NULL, WHY_BUSY);
    assert(!slot->in_use);
    *slot = (struct secret){.bytes = slot->bytes, .size = size, .tier = TIER_SLOT, .in_use = true};
    ASAN_UNPOISON_MEMORY_REGION(slot->bytes, size);
    *out_secret = slot;
    return STATUS_OK;
}

STATUS secret_new_key(size_t size, struct secret **out_secret)
{
    assert(out_secret != NULL);
    assert(size > 0);
    ENSURE(sodium_init() >= 0, WHY_IO);
    OWNED(secret_free) struct secret *secret = calloc(1, sizeof *secret);
    ENSURE(secret != NULL, WHY_NO_MEMORY);
    *secret = (struct secret){.size = size, .tier = TIER_KEY, .in_use = true};
    secret->bytes = sodium_malloc(size);
    ENSURE(secret->bytes != NULL, WHY_NO_MEMORY);
    /* sodium_malloc() locks too, but says nothing when that fails; locks do not add up, so this one
     * ends with its own.  sodium_mlock() also keeps the pages out of core files. */
    ENSURE(sodium_mlock(secret->bytes, size) == 0, WHY_LIMIT);
    sodium_memzero(secret->bytes, size);
    *out_secret = MOVE(secret);
    return STATUS_OK;
}

void secret_protect(struct secret *secret)
{
    assert(secret != NULL);
    assert(secret->tier == TIER_KEY);
    /* The pages have a mapping of their own, so that only a broken process can fail here. */
    if (sodium_mprotect_readonly(secret->bytes) != 0)
        abort();
    secret->is_protected = true;
}

uint8_t *secret_bytes(struct secret *secret)
{
    assert(secret != NULL);
    assert(secret->in_use);
    assert(!secret->is_protected);
    return secret->bytes;
}

const uint8_t *secret_peek(const struct secret *secret)
{
    assert(secret != NULL);
    assert(secret->in_use);
    return secret->bytes;
}

size_t secret_size(const struct secret *secret)
{
    assert(secret != NULL);
    assert(secret->in_use);
    return secret->size;
}

void secret_shorten(struct secret *secret, size_t size)
{
    assert(secret != NULL);
    assert(secret->in_use);
    assert(secret->tier == TIER_SLOT);
    assert(size <= secret->size);
    sodium_memzero(secret->bytes + size, secret->size - size);
    ASAN_POISON_MEMORY_REGION(secret->bytes + size, SECRET_BYTES_MAX - size);
    secret->size = size;
}

/* Wipes the whole slot: its holder may have written past what it asked for. */
static void slot_return(struct secret *slot)
{
    ASAN_UNPOISON_MEMORY_REGION(slot->bytes, SECRET_BYTES_MAX);
    sodium_memzero(slot->bytes, SECRET_BYTES_MAX);
    ASAN_POISON_MEMORY_REGION(slot->bytes, SECRET_BYTES_MAX);
    slot->in_use = false;
    slot->size = 0;
    pool_lock();
    slot->next_free = pool.first_free;
    pool.first_free = slot;
    pool.free_count++;
    pool_unlock();
}

void secret_free(struct secret **secret)
{
    assert(secret != NULL);
    struct secret *gone = MOVE(*secret);
    if (gone == NULL)
        return;
    assert(gone->in_use);
    if (gone->tier == TIER_SLOT) {
        slot_return(gone);
        return;
    }
    sodium_free(gone->bytes); /* Wipes, also what is read-only by now; accepts NULL. */
    sodium_memzero(gone, sizeof *gone);
    free(gone);
}
