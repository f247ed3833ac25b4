/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer: the number is not in it afterwards, neither as it stands nor with the separators
 * dropped; and without values every byte stays. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "relay/scrub.h"

#define OUT_MAX (1u << 22)

/* A published test number. */
static const char pan[] = "4242424242424242";
static struct scrub scrub;

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void watch(enum scrub_kind kind, const char *text)
{
    struct secret *value = NULL;
    require(!failed(secret_new(strlen(text), &value)));
    memcpy(secret_bytes(value), text, strlen(text));
    scrub.values[scrub.count++] = (struct scrub_value){kind, value, "tok_x"};
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    require(!failed(secret_pool_open(4)));
    watch(SCRUB_NUMBER, pan);
    watch(SCRUB_CVV, "737");
    watch(SCRUB_NAME, "A. Example");
    return 0;
}

/* True when the number's digits stand one after another, one separator at most between them. */
static bool shows_number(const uint8_t *bytes, size_t size)
{
    for (size_t start = 0; start < size; start++) {
        size_t digit = 0;
        for (size_t at = start; at < size && digit < sizeof pan - 1; at++) {
            if (bytes[at] == (uint8_t)pan[digit])
                digit++;
            else if (digit == 0 || (bytes[at] != ' ' && bytes[at] != '-') || bytes[at - 1] == ' ' ||
                     bytes[at - 1] == '-')
                break;
        }
        if (digit == sizeof pan - 1)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct scrub nothing = {.count = 0};
    OWNED(buffer_free) struct buffer same = BUFFER(OUT_MAX);
    OWNED(buffer_free) struct buffer once = BUFFER(OUT_MAX);
    unsigned hits = 0;

    require(!failed(scrub_bytes(&nothing, data, size, &same, &hits)));
    require(hits == 0 && same.size == size);
    require(size == 0 || memcmp(same.bytes, data, size) == 0);

    if (failed(scrub_bytes(&scrub, data, size, &once, &hits)))
        return 0;
    require(!shows_number(once.bytes, once.size));
    require(hits > 0 || once.size == size);
    return 0;
}
