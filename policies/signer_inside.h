/* SPDX-License-Identifier: Apache-2.0 */
/* policies/signer_inside.h -- what the signer's own files share.
 *
 * In      its options.
 * Out     its state, its files, its keys.
 * Never   is included outside policies/signer*.c.
 * Threads one.
 */
#ifndef POLICIES_SIGNER_INSIDE_H
#define POLICIES_SIGNER_INSIDE_H

#include "policies/signer.h"

/* As the state file keeps it. */
enum signer_phase {
    SIGNER_ALONE,    /* One key signs; there may be a next one, which does not. */
    SIGNER_BOTH,     /* The next one signs, too. */
    SIGNER_RETIRING, /* The next one takes the place of the first, which signs no more. */
    SIGNER_PHASE_COUNT
};

struct signer {
    const struct signer_options *options;
    struct note_key key; /* By the name of the epoch that it is in. */
    struct secret *seed;
    struct note_key next_key; /* Likewise. */
    struct secret *next_seed; /* NULL: there is none. */
    int64_t next_since_ms;
    enum signer_phase phase;
    int64_t since_ms;                   /* When the first was made. */
    struct merkle_frontier signed_last; /* As in the state file. */
    struct merkle_frontier frontier;    /* With the leaves that came since. */
    bool has_signed;                    /* The state file exists. */
    struct epoch_fork fork;             /* Of the epoch it is in. */
    struct frame_reader *reader;
    struct frame_writer *writer;
};

/* --- signer_files.c --- */
void signer_file_close(int *fd);
/* At most `room` bytes, to the end of the file. */
STATUS signer_file_read(int fd, uint8_t *out, size_t room, size_t *out_size);
/* `flags`: O_EXCL or O_TRUNC; WHY_CONFLICT.  Durable, but for its name. */
STATUS signer_file_write(const char *path, int flags, const uint8_t *bytes, size_t size);
/* A name is durable only once its folder is. */
STATUS signer_file_sync_folder(const char *path);

/* --- signer.c --- */
/* Whole or not at all, and durable before it returns. */
STATUS signer_state_save(struct signer *signer);

/* --- signer_keys.c --- */
/* Reads the seeds that the state file speaks of; ends what a process before this one began. */
STATUS signer_keys_load(struct signer *signer);
/* Keys by the name of the epoch that it is in. */
STATUS signer_keys_name(struct signer *signer);
/* Carries out a SIGNER_KEY, and answers it. */
STATUS signer_keys_step(struct signer *signer, const struct frame *frame);

#endif
