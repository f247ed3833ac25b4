/* SPDX-License-Identifier: Apache-2.0 */
/* base/hash.h -- SHA-256 by OpenSSL, which uses the processor's own instructions for it.
 *
 * In      bytes, piece by piece, between hash_begin() and hash_end().
 * Out     their hash.
 * Never   fails: where its first use in a thread finds no memory, the process ends.
 * Threads any; one hash at a time in each.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32u

void hash_begin(void);
void hash_add(const void *bytes, size_t size);
/* Of what was hashed nothing stays behind. */
void hash_end(uint8_t out[static HASH_BYTES]);

#endif
