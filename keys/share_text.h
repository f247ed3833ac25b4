/* SPDX-License-Identifier: Apache-2.0 */
/* keys/share_text.h -- shares and custodians' keys as text that a person can write down and type.
 *
 * In      a share or a key; or what somebody typed: in groups of any size, with spaces, hyphens or
 *         line ends between them, in upper or lower case.
 * Out     "ckshare1 q2vk 9x8g …": a prefix that says what it is, and Bech32m in groups of four, the
 *         last of three; or the share; or one sentence about what is wrong with what was typed,
 *         that names the group to look at.
 * Never   mends what was typed; repeats any of it in a sentence.
 * Threads any.
 */
#ifndef KEYS_SHARE_TEXT_H
#define KEYS_SHARE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"
#include "keys/custodian.h"
#include "keys/share.h"

#define SHARE_TEXT_TYPED_MAX 320u /* Bytes that are looked at, white space among them. */

enum share_text_kind {
    SHARE_TEXT_SHARE,  /* ckshare1… */
    SHARE_TEXT_PUBLIC, /* ckpub1…, a custodian's public key. */
    SHARE_TEXT_KEY,    /* ckkey1…, its own half. */
    SHARE_TEXT_KINDS
};

enum share_text_flaw {
    SHARE_TEXT_GOOD,
    SHARE_TEXT_PREFIX,    /* It begins like none of the kinds. */
    SHARE_TEXT_OTHER,     /* It is of another kind: `found`. */
    SHARE_TEXT_CHARACTER, /* `group` has one that is never used. */
    SHARE_TEXT_LENGTH,    /* `count` characters in the place of `wanted`; `group`, or 0. */
    SHARE_TEXT_CHECKSUM,  /* `group` has a wrong one; 0: more than one is wrong. */
    SHARE_TEXT_CONTENT,   /* Well typed, and yet no such thing: another version's. */
};

/* What is wrong with what was typed: enough for a sentence, and nothing of the text itself. */
struct share_text_fault {
    enum share_text_flaw flaw;
    enum share_text_kind wanted_kind;
    enum share_text_kind found;
    unsigned group; /* From 1, behind the prefix, in groups of four. */
    unsigned count;
    unsigned wanted;
};

/* One sentence that says what to do. */
void share_text_explain(const struct share_text_fault *fault, struct buffer *out);

/* The text and a NUL, in guarded memory. */
STATUS share_text_write(const struct share *share, struct secret **out_text);
/* WHY_BAD_INPUT or, where the checksum is wrong, WHY_FORGED, with *out_fault. */
STATUS share_text_read(const uint8_t *typed, size_t size, struct share *out_share,
                       struct share_text_fault *out_fault);

/* A public key is no secret, and travels as one word. */
#define SHARE_TEXT_PUBLIC_SIZE 66u
void share_text_write_public(const uint8_t key[static CUSTODIAN_KEY_BYTES],
                             char out[static SHARE_TEXT_PUBLIC_SIZE]);
STATUS share_text_read_public(const uint8_t *typed, size_t size,
                              uint8_t out_key[static CUSTODIAN_KEY_BYTES],
                              struct share_text_fault *out_fault);

STATUS share_text_write_key(const struct secret *key, struct secret **out_text);
STATUS share_text_read_key(const uint8_t *typed, size_t size, struct secret **out_key,
                           struct share_text_fault *out_fault);

#endif
