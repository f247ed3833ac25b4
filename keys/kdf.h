/* SPDX-License-Identifier: Apache-2.0 */
/* keys/kdf.h -- NIST SP 800-108r1 KBKDF in counter mode with HMAC-SHA-256, from a prekeyed HMAC.
 *
 * In      a key once, then labels and contexts.
 * Out     derived bytes: HMAC(key, counter32 | label | 0x00 | context | bits32) per 32 bytes; or a
 *         plain HMAC.
 * Never   keys the HMAC again per call (limits.md 4: 5 times dearer by EVP_KDF, which is its test
 *         oracle).
 * Threads one at a time per kdf.
 *
 * What a kdf keeps of its key is OpenSSL's HMAC state, on OpenSSL's heap and cleansed when freed:
 * it is not in guarded pages, so the process around it must not swap and must not leave cores.
 */
#ifndef KEYS_KDF_H
#define KEYS_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/status.h"

#define KDF_KEY_BYTES_MIN     32u
#define KDF_BYTES_MAX         64u
#define KDF_LABEL_BYTES_MAX   64u
#define KDF_CONTEXT_BYTES_MAX 512u
#define KDF_HMAC_BYTES        32u

struct kdf;

/* `key` is only read, and may go afterwards.  WHY_BAD_INPUT: it is under 256 bits. */
STATUS kdf_new(const struct secret *key, struct kdf **out_kdf);
void kdf_free(struct kdf **kdf);

/* WHY_LIMIT when label, context or output pass their maximum. */
STATUS kdf_derive(struct kdf *kdf, const char *label, const void *context, size_t context_size,
                  uint8_t *out, size_t out_size);

/* HMAC-SHA-256 over the concatenation of two parts (the second may be empty). */
STATUS kdf_hmac(struct kdf *kdf, const void *first, size_t first_size, const void *second,
                size_t second_size, uint8_t out[static KDF_HMAC_BYTES]);

#endif
