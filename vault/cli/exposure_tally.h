/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/exposure_tally.h -- counts uses, tokens and who they were by.
 *
 * In      uses, one after another.
 * Out     how many of each kind, of how many tokens, and by whom.
 * Never   keeps a token: of each a hash, to know it again.
 * Threads one.
 */
#ifndef VAULT_CLI_EXPOSURE_TALLY_H
#define VAULT_CLI_EXPOSURE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPOSURE_PERSONS_MAX    256u
#define EXPOSURE_NAME_BYTES_MAX 64u

enum exposure_action { EXPOSURE_SEALED, EXPOSURE_OPENED, EXPOSURE_SHOWN, EXPOSURE_ACTION_COUNT };

struct exposure_tally {
    uint64_t uses[EXPOSURE_ACTION_COUNT];
    uint64_t tokens; /* Each counted once. */
    struct {
        char name[EXPOSURE_NAME_BYTES_MAX];
        uint64_t uses;
    } persons[EXPOSURE_PERSONS_MAX];
    unsigned person_count;
    bool full; /* There was no memory, or more persons than have room. */

    uint64_t *seen; /* A table of hashes; 0 is a free place. */
    size_t seen_capacity;
};

void exposure_tally_add(struct exposure_tally *tally, enum exposure_action action,
                        const char *token, const char *by);
void exposure_tally_free(struct exposure_tally *tally);

#endif
