/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/stand_in/criterion/criterion.h -- Criterion's macros without Criterion, for builds
 * under ThreadSanitizer, which bears no runner with threads of its own.
 *
 * In      the test files as they are.
 * Out     each test in a process of its own, forked while there is but one thread; a line for each;
 *         exit code 1 where one failed, by an assertion or by what the sanitizer found.
 * Never   measures time: .timeout is read and left to ctest.
 * Threads assertions any; everything else main's.
 */
#ifndef TESTS_SUPPORT_STAND_IN_CRITERION_H
#define TESTS_SUPPORT_STAND_IN_CRITERION_H

/* Test files take these from Criterion's header. */
#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*stand_in_fn)(void);

struct stand_in_options {
    stand_in_fn init;
    stand_in_fn fini;
    int signal;
    double timeout;
    bool disabled;
};

/* Linked as the constructors run: in the order of the file. */
struct stand_in_test {
    const char *suite;
    const char *name; /* NULL: a suite's options. */
    stand_in_fn run;
    struct stand_in_options options;
    struct stand_in_test *next;
};

void stand_in_add(struct stand_in_test *test);

/* Notes a failed assertion; a fatal one ends the test's process. */
void stand_in_failed(bool fatal, const char *where, const char *what);

#define Test(Suite, Name, ...)                                                                     \
    static void Suite##_##Name##_run(void);                                                        \
    static struct stand_in_test Suite##_##Name##_test = {                                          \
        .suite = #Suite, .name = #Name, .run = Suite##_##Name##_run, .options = {__VA_ARGS__}};    \
    __attribute__((constructor)) static void Suite##_##Name##_add(void)                            \
    {                                                                                              \
        stand_in_add(&Suite##_##Name##_test);                                                      \
    }                                                                                              \
    static void Suite##_##Name##_run(void)

#define TestSuite(Suite, ...)                                                                      \
    static struct stand_in_test Suite##_suite_options = {.suite = #Suite,                          \
                                                         .options = {__VA_ARGS__}};                \
    __attribute__((constructor)) static void Suite##_suite_add(void)                               \
    {                                                                                              \
        stand_in_add(&Suite##_suite_options);                                                      \
    }                                                                                              \
    struct stand_in_swallows_the_semicolon

#define STAND_IN_TEXT_(x) #x
#define STAND_IN_TEXT(x)  STAND_IN_TEXT_(x)
#define STAND_IN_HERE     __FILE__ ":" STAND_IN_TEXT(__LINE__)
#define STAND_IN(Fatal, Fact, What)                                                                \
    ((Fact) ? (void)0 : stand_in_failed((Fatal), STAND_IN_HERE, (What)))

/* What stands behind the operands is a message; the line says as much. */
#define cr_assert(Fact, ...)         STAND_IN(true, Fact, #Fact)
#define cr_expect(Fact, ...)         STAND_IN(false, Fact, #Fact)
#define cr_assert_eq(A, B, ...)      STAND_IN(true, (A) == (B), #A " == " #B)
#define cr_expect_eq(A, B, ...)      STAND_IN(false, (A) == (B), #A " == " #B)
#define cr_assert_neq(A, B, ...)     STAND_IN(true, (A) != (B), #A " != " #B)
#define cr_expect_neq(A, B, ...)     STAND_IN(false, (A) != (B), #A " != " #B)
#define cr_assert_lt(A, B, ...)      STAND_IN(true, (A) < (B), #A " < " #B)
#define cr_expect_lt(A, B, ...)      STAND_IN(false, (A) < (B), #A " < " #B)
#define cr_assert_leq(A, B, ...)     STAND_IN(true, (A) <= (B), #A " <= " #B)
#define cr_expect_leq(A, B, ...)     STAND_IN(false, (A) <= (B), #A " <= " #B)
#define cr_assert_gt(A, B, ...)      STAND_IN(true, (A) > (B), #A " > " #B)
#define cr_expect_gt(A, B, ...)      STAND_IN(false, (A) > (B), #A " > " #B)
#define cr_assert_geq(A, B, ...)     STAND_IN(true, (A) >= (B), #A " >= " #B)
#define cr_expect_geq(A, B, ...)     STAND_IN(false, (A) >= (B), #A " >= " #B)
#define cr_assert_null(A, ...)       STAND_IN(true, (A) == NULL, #A " is NULL")
#define cr_expect_null(A, ...)       STAND_IN(false, (A) == NULL, #A " is NULL")
#define cr_assert_not_null(A, ...)   STAND_IN(true, (A) != NULL, #A " is not NULL")
#define cr_expect_not_null(A, ...)   STAND_IN(false, (A) != NULL, #A " is not NULL")
#define cr_assert_str_eq(A, B, ...)  STAND_IN(true, strcmp((A), (B)) == 0, #A " is " #B)
#define cr_expect_str_eq(A, B, ...)  STAND_IN(false, strcmp((A), (B)) == 0, #A " is " #B)
#define cr_assert_str_neq(A, B, ...) STAND_IN(true, strcmp((A), (B)) != 0, #A " is not " #B)
#define cr_expect_str_neq(A, B, ...) STAND_IN(false, strcmp((A), (B)) != 0, #A " is not " #B)
#define cr_assert_arr_eq(A, B, Size, ...)                                                          \
    STAND_IN(true, memcmp((A), (B), (Size)) == 0, #A " holds " #B)
#define cr_expect_arr_eq(A, B, Size, ...)                                                          \
    STAND_IN(false, memcmp((A), (B), (Size)) == 0, #A " holds " #B)
#define cr_assert_arr_neq(A, B, Size, ...)                                                         \
    STAND_IN(true, memcmp((A), (B), (Size)) != 0, #A " does not hold " #B)
#define cr_expect_arr_neq(A, B, Size, ...)                                                         \
    STAND_IN(false, memcmp((A), (B), (Size)) != 0, #A " does not hold " #B)

#endif
