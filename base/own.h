/* SPDX-License-Identifier: Apache-2.0 */
/* base/own.h -- one owner at a time, ended with its scope.
 *
 * In      a pointer that its scope owns.
 * Out     its release on every way out.
 * Never   releases twice: MOVE leaves NULL behind.
 * Threads any.
 */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <stddef.h>

/* The variable so declared is handed, by address, to `end` when its scope is left. */
#define OWNED(end) __attribute__((cleanup(end)))

/* Gives away what a pointer owns: yields the pointer and leaves NULL behind. */
#define MOVE(pointer)                                                                              \
    __extension__({                                                                                \
        __typeof__(pointer) *move_from_ = &(pointer);                                              \
        __typeof__(pointer) move_value_ = *move_from_;                                             \
        *move_from_ = NULL;                                                                        \
        move_value_;                                                                               \
    })

#endif
