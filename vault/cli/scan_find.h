/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/scan_find.h -- finds card numbers in bytes, in the shapes in which they get away.
 *
 * In      a window of bytes.
 * Out     where each number of 13 to 19 digits stands that has a known prefix, a length that goes
 *         with it and a right check digit: as ASCII digits (grouped as on cards, or not), UTF-16,
 *         packed BCD on byte borders, or inside base64 (line breaks allowed).
 * Never   gives away more of a number than its last four digits.
 * Threads one at a time per finder.
 */
#ifndef VAULT_CLI_SCAN_FIND_H
#define VAULT_CLI_SCAN_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* No find is longer, in any shape: windows that overlap by this much miss none. */
#define SCAN_FIND_OVERLAP 256u

enum scan_form { SCAN_FORM_DIGITS, SCAN_FORM_UTF16, SCAN_FORM_BCD, SCAN_FORM_BASE64 };

struct scan_hit {
    size_t offset; /* In the window; of the first byte, or of the base64 group that holds it. */
    enum scan_form form;
    unsigned digits;
    const char *brand;
    char last4[5];
    bool chance; /* BCD in data that looks random: 26 in every megabyte, without any card. */
};

typedef void (*scan_hit_fn)(void *owner, const struct scan_hit *hit);

struct scan_find; /* Room to decode in. */

STATUS scan_find_new(struct scan_find **out_find);
void scan_find_free(struct scan_find **find);

/* What begins in [from, until) is reported; the bytes around are looked at only to see where a
 * number begins and ends.  At a file's start `from` is 0, at its end `until` is `size`; elsewhere
 * there are SCAN_FIND_OVERLAP bytes on that side. */
struct scan_window {
    const uint8_t *bytes;
    size_t size;
    size_t from;
    size_t until;
};
void scan_find_window(struct scan_find *find, const struct scan_window *window, scan_hit_fn on_hit,
                      void *owner);

const char *scan_find_form_name(enum scan_form form);

/* The brand of a whole number, NULL when none has this prefix with this length. */
const char *scan_find_brand(const uint8_t *digits, unsigned count);

#endif
