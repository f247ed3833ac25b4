/* SPDX-License-Identifier: Apache-2.0 */
/* base/h2o/khash.h -- what h2o/http2_internal.h includes and Debian's package leaves out.
 *
 * Out     a map of streams that is only ever pointed at: the layouts of libh2o's structs.
 * Never   finds a stream.  Whoever looks for one asks libh2o for all (foreach_request).
 * Threads none.
 */
#ifndef BASE_H2O_KHASH_H
#define BASE_H2O_KHASH_H

#include <stdint.h>

#define KHASH_MAP_INIT_INT64(name, type) struct kh_##name;
#define khash_t(name)                    struct kh_##name
typedef uint32_t khiter_t;
#define kh_get(name, map, key) ((void)(map), (void)(key), (khiter_t)0)
#define kh_end(map)            ((khiter_t)0)
#define kh_val(map, at)        ((void)(at), NULL)

#endif
