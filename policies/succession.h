/* SPDX-License-Identifier: Apache-2.0 */
/* policies/succession.h -- one signing key names the next, in the log that it signs.
 *
 * In      two keys of one log; or an entry that says that one follows the other.
 * Out     the entry's texts; or both keys, where the older one has signed the younger.
 * Never   takes the log owner's word: what the entry holds is signed by the signer itself.
 * Threads any.
 *
 * What is signed has a space in its first line: no checkpoint has, so that neither can be taken for
 * the other.  Keys have the names of the log's first epoch.
 */
#ifndef POLICIES_SUCCESSION_H
#define POLICIES_SUCCESSION_H

#include "policies/note.h"

#define SUCCESSION_BYTES      64u
#define SUCCESSION_KEY_MAX    (NOTE_NAME_BYTES_MAX + 64u)
#define SUCCESSION_DETAIL_MAX (SUCCESSION_KEY_MAX + 160u)
/* The entries' events.  Of the first the object is the next key, and the detail
 * "after KEY signed SIGNATURE"; of the second the object is the key that is no more. */
#define SUCCESSION_EVENT        "signer.rotate"
#define SUCCESSION_RETIRE_EVENT "signer.retire"

struct succession {
    struct note_key from;
    struct note_key to;
    uint8_t signature[SUCCESSION_BYTES];
};

/* Fills the signature in; `seed` is of `from`. */
STATUS succession_sign(struct succession *succession, const struct secret *seed);
bool succession_holds(const struct succession *succession);

void succession_detail(const struct succession *succession, char out[static SUCCESSION_DETAIL_MAX]);
/* WHY_BAD_INPUT: the texts are not of that form; WHY_FORGED: it does not hold. */
STATUS succession_read(const char *object, const char *detail, struct succession *out_succession);

#endif
