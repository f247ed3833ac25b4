/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes through `cardkeep scan`: in one window, and in two that overlap where the first byte
 * says, the same is found; and what is a note to the log's reader is one to the command line. */
#include <sodium.h>
#include <stdio.h>

#include "policies/note.h"
#include "tests/fuzz/require.h"
#include "vault/cli/audit_fetch.h"
#include "vault/cli/scan_find.h"

#define HITS_MAX  4096u
#define BYTES_MAX 4096u

struct seen {
    size_t base; /* Of the window, in all the bytes. */
    size_t size;
    unsigned count;
    struct scan_hit hits[HITS_MAX];
};

static struct scan_find *find;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    must(scan_find_new(&find));
    return 0;
}

static void on_hit(void *owner, const struct scan_hit *hit)
{
    struct seen *seen = owner;

    require(hit->digits >= 13 && hit->digits <= 19 && hit->brand != NULL);
    require(strlen(hit->last4) == 4 && strspn(hit->last4, "0123456789") == 4);
    require(seen->base + hit->offset < seen->size);
    require(seen->count < HITS_MAX);
    seen->hits[seen->count] = *hit;
    seen->hits[seen->count++].offset += seen->base;
}

static int hit_order(const void *a, const void *b)
{
    const struct scan_hit *one = a;
    const struct scan_hit *two = b;

    if (one->offset != two->offset)
        return one->offset < two->offset ? -1 : 1;
    if (one->form != two->form)
        return one->form < two->form ? -1 : 1;
    if (one->digits != two->digits)
        return one->digits < two->digits ? -1 : 1;
    return strcmp(one->last4, two->last4);
}

static void window(struct seen *seen, const uint8_t *data, size_t from, size_t until)
{
    size_t start = from < SCAN_FIND_OVERLAP ? 0 : from - SCAN_FIND_OVERLAP;
    size_t end = seen->size - until < SCAN_FIND_OVERLAP ? seen->size : until + SCAN_FIND_OVERLAP;
    const struct scan_window part = {
        .bytes = data + start, .size = end - start, .from = from - start, .until = until - start};

    seen->base = start;
    scan_find_window(find, &part, on_hit, seen);
}

static void windows(const uint8_t *data, size_t size, size_t cut)
{
    static struct seen whole;
    static struct seen parts;

    whole = (struct seen){.size = size};
    parts = (struct seen){.size = size};
    scan_find_window(find, &(struct scan_window){data, size, 0, size}, on_hit, &whole);
    window(&parts, data, 0, cut);
    window(&parts, data, cut, size);
    require(whole.count == parts.count);
    qsort(whole.hits, whole.count, sizeof whole.hits[0], hit_order);
    qsort(parts.hits, parts.count, sizeof parts.hits[0], hit_order);
    for (unsigned i = 0; i < whole.count; i++)
        require(hit_order(&whole.hits[i], &parts.hits[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint checkpoint;

    if (size < 2 || size > BYTES_MAX)
        return 0;
    size_t cut = ((size_t)data[0] << 8 | data[1]) % (size - 1);
    data += 2;
    size -= 2;
    windows(data, size, cut);
    uint64_t said = audit_fetch_note_size((const char *)data, size);
    if (!failed(checkpoint_parse((const char *)data, size, &checkpoint)))
        require(said == checkpoint.size || checkpoint.size > UINT64_C(999999999999999999));
    return 0;
}
