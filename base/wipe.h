/* SPDX-License-Identifier: Apache-2.0 */
/* base/wipe.h -- libh2o's recycling, and all freeing, made to wipe (limits.md 9, trap 37).
 *
 * In      chunks that libh2o puts back on its lists or frees; what anybody frees in a process that
 *         has an HTTP server.
 * Out     the same, zeroed first: this file defines h2o_mem_free_recycle, h2o_mem_clear_pool's
 *         freeing path and free in the executable, which wins over the libraries'.
 * Never   is linked as a shared object of its own.
 * Threads any.
 */
#ifndef BASE_WIPE_H
#define BASE_WIPE_H

#include <stdbool.h>
#include <stdint.h>

/* How many chunks were wiped since start: a test asserts that this grows with a request. */
uint64_t wipe_count(void);

/* Makes sure that the hook is the one that libh2o calls; false where the dynamic linker chose
 * another. */
bool wipe_is_in_force(void);

/* From now on free() wipes; and libh2o's body-spill threshold is out of reach (trap 15).  Called by
 * http_server_new(). */
void wipe_set_up(void);

#endif
