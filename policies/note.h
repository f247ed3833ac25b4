/* SPDX-License-Identifier: Apache-2.0 */
/* policies/note.h -- C2SP signed notes (v1.0.0) and tlog checkpoints (v1.0.0), Ed25519.
 *
 * In      a text, or a note from outside.
 * Out     a signed note; or a checkpoint whose signature holds under a known key.
 * Never   accepts a note with a known key and a bad signature, whatever else stands on it.
 * Threads any.
 */
#ifndef POLICIES_NOTE_H
#define POLICIES_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"
#include "policies/merkle.h"

#define NOTE_NAME_BYTES_MAX  128u
#define NOTE_BYTES_MAX       16384u
#define NOTE_SIGNATURES_MAX  64u
#define NOTE_SIGNATURE_BYTES 64u

/* A verifier key: `name+hex8(id)+base64(0x01 | public key)`. */
struct note_key {
    char name[NOTE_NAME_BYTES_MAX];
    uint8_t id[4];
    uint8_t public_key[32];
};

struct checkpoint {
    char origin[NOTE_NAME_BYTES_MAX];
    uint64_t size;
    uint8_t root[MERKLE_HASH_BYTES];
};

/* From a 32-byte seed; the public half, named. */
STATUS note_key_from_seed(const char *name, const struct secret *seed, struct note_key *out_key);
/* The same public key under another name, which note_key_from_seed() would take. */
void note_key_rename(const struct note_key *key, const char *name, struct note_key *out_key);
STATUS note_key_parse(const char *text, struct note_key *out_key);
/* Room for NOTE_NAME_BYTES_MAX + 64. */
void note_key_text(const struct note_key *key, char *out, size_t out_size);

/* Appends text, an empty line and the signature line.  `text` ends in a line feed. */
STATUS note_sign(const char *text, size_t size, const struct note_key *key,
                 const struct secret *seed, struct buffer *out);

/* Appends one more signature line to a note of the same text, which note_sign() has made. */
STATUS note_cosign(const char *text, size_t size, const struct note_key *key,
                   const struct secret *seed, struct buffer *out);
/* True when the note has a signature line of this key, good or bad. */
bool note_names(const void *note, size_t size, const struct note_key *key);

/* Bytes that are no note, for another purpose: who signs sees to it that they cannot be a note's
 * text. */
STATUS note_key_sign(const struct note_key *key, const struct secret *seed, const void *bytes,
                     size_t size, uint8_t out_signature[static NOTE_SIGNATURE_BYTES]);
bool note_key_verifies(const struct note_key *key, const void *bytes, size_t size,
                       const uint8_t signature[static NOTE_SIGNATURE_BYTES]);

/* Lends the signed text when at least one signature is by one of `keys` and none of theirs is bad.
 * WHY_FORGED otherwise, WHY_BAD_INPUT when it is no note. */
STATUS note_open(const void *note, size_t size, const struct note_key *keys, unsigned key_count,
                 const char **out_text, size_t *out_text_size);

/* Lends the text of a note whose signatures were checked elsewhere, or are not of interest.
 * WHY_BAD_INPUT when it is no note. */
STATUS note_peek(const void *note, size_t size, const char **out_text, size_t *out_text_size);

/* Three lines: origin (a key name), size, root.  No extension lines, in either direction. */
void checkpoint_text(const struct checkpoint *checkpoint, struct buffer *out);
STATUS checkpoint_parse(const char *text, size_t size, struct checkpoint *out_checkpoint);

#endif
