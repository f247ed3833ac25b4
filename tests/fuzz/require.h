/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/require.h -- what every fuzz target begins with.
 *
 * In      a fact; libFuzzer's bytes.
 * Out     an abort where the fact does not hold, which is how libFuzzer hears of it.
 * Never   is left out of a build, as an assert could be.
 * Threads any.
 */
#ifndef TESTS_FUZZ_REQUIRE_H
#define TESTS_FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool fact)
{
    if (!fact)
        abort();
}

/* For what cannot fail here but for want of memory. */
static inline void must(struct status status)
{
    require(!failed(status));
}

static inline bool same_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

/* A copy with a NUL, so that the sanitizer sees who reads beyond; free() it. */
static inline char *text_of(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    return text;
}

#endif
