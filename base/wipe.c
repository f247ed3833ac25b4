/* SPDX-License-Identifier: Apache-2.0 */
/* The functions named h2o_… below have the names and signatures of libh2o's own and stand in the
 * executable, where the dynamic linker finds them first: libh2o calls its memory functions through
 * its PLT, as every library calls free().  base_net exports them (CMakeLists.txt);
 * wipe_is_in_force() proves that it worked. */
#include "base/wipe.h"

#include <assert.h>
#include <dlfcn.h>
#include <h2o.h>
#include <malloc.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Under the sanitizers libh2o's own stay in place, so that they can see every use of freed memory.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WIPE_OFF
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WIPE_OFF
#endif
#endif

static atomic_uint_fast64_t chunks_wiped;

uint64_t wipe_count(void)
{
    return atomic_load_explicit(&chunks_wiped, memory_order_relaxed);
}

static void frees_begin_to_wipe(void);

void wipe_set_up(void)
{
    frees_begin_to_wipe();
    /* Beyond this size libh2o moves a buffer to a file in /tmp: never. */
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
}

#ifdef WIPE_OFF

/* What libh2o keeps for the next request is thread-local, and no leak when its thread ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}

bool wipe_is_in_force(void)
{
    return false;
}

static void frees_begin_to_wipe(void)
{
}

#else

/* glibc's own, by the name that it has for those who stand in for it. */
extern void __libc_free(void *memory);

static atomic_bool frees_wipe;

/* The names and values of HTTP/2's headers, and much in OpenSSL, are allocations of
 * their own, which nobody could wipe but here. */
void free(void *memory)
{
    if (memory != NULL && atomic_load_explicit(&frees_wipe, memory_order_relaxed))
        sodium_memzero(memory, malloc_usable_size(memory));
    __libc_free(memory);
}

/* libh2o's layouts, private to its memory.c but the same in every 0.13. */
struct recycled_chunk {
    struct recycled_chunk *next;
};
struct direct_chunk {
    struct direct_chunk *next;
    size_t unused;
    uint8_t bytes[];
};

static void frees_begin_to_wipe(void)
{
    atomic_store_explicit(&frees_wipe, true, memory_order_relaxed);
}

static void wipe(void *memory, size_t size)
{
    sodium_memzero(memory, size);
    atomic_fetch_add_explicit(&chunks_wiped, 1, memory_order_relaxed);
}

/* What libh2o does once a chunk is clean: keeps up to `max`, frees the rest. */
static void recycle(h2o_mem_recycle_t *allocator, void *memory)
{
    if (allocator->cnt == allocator->max) {
        __libc_free(memory);
        return;
    }
    struct recycled_chunk *chunk = memory;
    chunk->next = (struct recycled_chunk *)allocator->_link;
    allocator->_link = (struct st_h2o_mem_recycle_chunk_t *)chunk;
    allocator->cnt++;
}

void h2o_mem_free_recycle(h2o_mem_recycle_t *allocator, void *memory)
{
    wipe(memory, malloc_usable_size(memory));
    recycle(allocator, memory);
}

/* Buffers that outgrew the recycled size go to free(), hence this one too. */
void h2o_buffer__do_free(h2o_buffer_t *buffer)
{
    h2o_buffer_prototype_t *prototype = buffer->_prototype;
    bool recycled = buffer->capacity == prototype->_initial_buf.capacity;
    assert(buffer->_fd == -1); /* wipe_set_up() put files out of reach. */

    /* HTTP/2's write buffers (80 KiB, no mmap settings) only ever grow at their end, so that their
     * size is all that was ever in them; input buffers move what they hold. */
    size_t used = prototype->mmap_settings == NULL
                      ? (size_t)(buffer->bytes - buffer->_buf) + buffer->size
                      : buffer->capacity;
    wipe(buffer->_buf, used);
    if (recycled)
        recycle(&prototype->allocator, buffer);
    else
        __libc_free(buffer);
}

typedef void (*clear_pool_fn)(h2o_mem_pool_t *pool);

static clear_pool_fn clear_pool_of_libh2o(void)
{
    static _Atomic(clear_pool_fn) found;
    clear_pool_fn fn = atomic_load_explicit(&found, memory_order_acquire);
    if (fn != NULL)
        return fn;
    void *symbol = dlsym(RTLD_NEXT, "h2o_mem_clear_pool");
    assert(symbol != NULL);
    memcpy(&fn, &symbol, sizeof fn); /* ISO C has no cast from an object to a function. */
    atomic_store_explicit(&found, fn, memory_order_release);
    return fn;
}

/* A pool's allocations of 1 KiB and more are freed one by one; wiped here, freed by libh2o.  The
 * rest is recycled, hence wiped above, once what hangs on the pool has been disposed of. */
void h2o_mem_clear_pool(h2o_mem_pool_t *pool)
{
    /* Disposing may look at those allocations, so that comes first. */
    h2o_mem_pool_t shared = {.shared_refs = pool->shared_refs};
    pool->shared_refs = NULL;
    if (shared.shared_refs != NULL)
        clear_pool_of_libh2o()(&shared);

    struct direct_chunk *chunk = (struct direct_chunk *)pool->directs;
    for (; chunk != NULL; chunk = chunk->next)
        wipe(chunk->bytes, malloc_usable_size(chunk) - offsetof(struct direct_chunk, bytes));
    clear_pool_of_libh2o()(pool);
}

/* True when freeing inside libh2o comes by here; `round` makes libh2o free something. */
static bool counts(void (*round)(void))
{
    uint64_t before = wipe_count();
    round();
    return wipe_count() > before;
}

static void free_a_pool(void)
{
    h2o_mem_pool_t pool;
    h2o_mem_init_pool(&pool);
    h2o_mem_alloc_pool(&pool, 1);
    clear_pool_of_libh2o()(&pool);
}

static void free_a_buffer(void)
{
    h2o_buffer_t *buffer;
    h2o_buffer_init(&buffer, &h2o_socket_buffer_prototype);
    h2o_buffer_reserve(&buffer, 1);
    buffer->size = 1;
    h2o_buffer_consume(&buffer, 1);
}

/* True when libraries find this function of ours first. */
static bool is_first(const char *name, void (*ours)(void *))
{
    void *first = dlsym(RTLD_DEFAULT, name);
    return memcmp(&first, &ours, sizeof first) == 0;
}

bool wipe_is_in_force(void)
{
    void (*clear_pool)(void *) = NULL;
    clear_pool_fn ours = h2o_mem_clear_pool;
    memcpy(&clear_pool, &ours, sizeof clear_pool); /* For its address only. */
    return counts(free_a_pool) && counts(free_a_buffer) && is_first("free", free) &&
           is_first("h2o_mem_clear_pool", clear_pool);
}

#endif
