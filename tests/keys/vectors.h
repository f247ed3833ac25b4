/* SPDX-License-Identifier: Apache-2.0 */
/* tests/keys/vectors.h -- reads "name = hex" and "name = "text"" lines of tests/vectors/.
 *
 * In      a file's name; the name of the field that comes next.
 * Out     its bytes.
 * Never   skips a field: another name than the expected one fails the test.
 * Threads one.
 */
#ifndef TESTS_KEYS_VECTORS_H
#define TESTS_KEYS_VECTORS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

#define VECTOR_BYTES_MAX 512u

struct vector {
    uint8_t bytes[VECTOR_BYTES_MAX];
    size_t size;
};

static inline FILE *vectors_open(const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/vectors/%s", TESTS_DIR, name);
    FILE *file = fopen(path, "re");
    cr_assert(file != NULL, "%s", path);
    return file;
}

/* False at the end of the file. */
static inline bool vectors_next(FILE *file, const char *name, struct vector *out_vector)
{
    char line[2 * VECTOR_BYTES_MAX + 64];
    size_t name_size = strlen(name);

    do {
        if (fgets(line, sizeof line, file) == NULL)
            return false;
    } while (line[0] == '#' || line[0] == '\n');
    cr_assert(strncmp(line, name, name_size) == 0 && strncmp(line + name_size, " =", 2) == 0,
              "%s expected in: %s", name, line);
    const char *hex = line + name_size + 2;
    hex += strspn(hex, " ");
    size_t size = strcspn(hex, "\n");
    if (hex[0] == '"') {
        out_vector->size = size - 2;
        cr_assert(out_vector->size <= sizeof out_vector->bytes);
        memcpy(out_vector->bytes, hex + 1, size - 2);
        return true;
    }
    out_vector->size = size / 2;
    cr_assert(out_vector->size <= sizeof out_vector->bytes);
    cr_assert(!failed(decode_hex(hex, size, out_vector->bytes, out_vector->size)));
    return true;
}

#endif
