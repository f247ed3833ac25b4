/* SPDX-License-Identifier: Apache-2.0 */
/* relay/scrub_needle.h -- the shapes in which an inserted value may come back.
 *
 * In      the inserted values.
 * Out     needles, and whether one of them stands at a place.
 * Never   undoes escapes (relay/escape.h does, before); outlives its answer.
 * Threads one at a time.
 */
#ifndef RELAY_SCRUB_NEEDLE_H
#define RELAY_SCRUB_NEEDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "relay/scrub.h"

/* A number or a name: as it is, reversed, in hex, in base64 at three alignments and two alphabets.
 */
#define NEEDLE_SHAPES_MAX 9u

enum needle_gap {
    NEEDLE_GAP_NONE,
    NEEDLE_GAP_LINE, /* Line ends inside: base64 is wrapped. */
    NEEDLE_GAP_ANY,  /* Up to two characters that are no letters or digits. */
};

struct needle {
    uint8_t first[2]; /* Bytes that it may begin with; the same twice where there is one. */
    unsigned value;   /* Index of the scrub's value. */
    uint32_t start;   /* Of its bytes, in needles.text; its fill follows it where it has one. */
    uint32_t size;
    enum needle_gap gap;
    bool filled; /* Replaced by its fill, of the same size; else by the value's token or stars. */
    bool fold;   /* Upper and lower case are one. */
    bool word;   /* Not a part of a longer word or number. */
    bool beside; /* Only next to a name that means a security code. */
};

struct needles {
    const struct scrub *scrub; /* Borrowed. */
    struct needle list[SCRUB_VALUES_MAX * NEEDLE_SHAPES_MAX];
    unsigned count;
    struct buffer text;  /* Wiped with the rest. */
    uint8_t starts[256]; /* Of a first byte: whether any needle begins so. */
};

/* Fails with WHY_LIMIT when a value is longer than any that is ever inserted. */
STATUS needles_make(const struct scrub *scrub, struct needles *out_needles);
void needles_free(struct needles *needles);

/* How many bytes the needle takes at `at`; 0 when it does not stand there. */
size_t needle_match(const struct needles *needles, const struct needle *needle,
                    const uint8_t *bytes, size_t size, size_t at);

#endif
