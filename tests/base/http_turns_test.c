/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_turns.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/http_inside.h"

#define CALLS (3 * HTTP_TURNS_WAITING_MAX)

static struct http_call calls[CALLS];
static struct http_turns turns;

static struct http_call *call_at(unsigned index)
{
    return &calls[index];
}

/* What becomes of a call whose client goes. */
static void leave(unsigned index)
{
    cr_assert_not_null(calls[index].gone);
    calls[index].gone(calls[index].owner);
}

static void check_take(unsigned index, enum http_turn expected)
{
    cr_assert_eq(http_turns_take(&turns, call_at(index)), expected, "%u", index);
}

static void start(void)
{
    memset(&turns, 0, sizeof turns);
    memset(calls, 0, sizeof calls);
}

TestSuite(http_turns, .init = start);

Test(http_turns, come_one_after_the_other)
{
    check_take(0, HTTP_TURN_NOW);
    check_take(1, HTTP_TURN_LATER);
    check_take(2, HTTP_TURN_LATER);
    cr_assert_eq(http_turns_next(&turns), call_at(1));
    check_take(3, HTTP_TURN_LATER);
    cr_assert_eq(http_turns_next(&turns), call_at(2));
    cr_assert_eq(http_turns_next(&turns), call_at(3));
    cr_assert_null(http_turns_next(&turns));
    check_take(4, HTTP_TURN_NOW);
}

Test(http_turns, pass_over_those_who_left)
{
    check_take(0, HTTP_TURN_NOW);
    for (unsigned i = 1; i < 5; i++)
        check_take(i, HTTP_TURN_LATER);
    leave(1);
    leave(3);
    cr_assert_eq(http_turns_next(&turns), call_at(2));
    leave(4);
    cr_assert_null(http_turns_next(&turns));
    check_take(5, HTTP_TURN_NOW);
}

Test(http_turns, are_for_so_many_and_no_more)
{
    check_take(0, HTTP_TURN_NOW);
    for (unsigned i = 1; i <= HTTP_TURNS_WAITING_MAX; i++)
        check_take(i, HTTP_TURN_LATER);
    /* Each that goes makes a place for one, all the way round. */
    for (unsigned i = 1; i <= HTTP_TURNS_WAITING_MAX + 5; i++) {
        check_take(HTTP_TURNS_WAITING_MAX + i, HTTP_TURN_NEVER);
        cr_assert_eq(http_turns_next(&turns), call_at(i), "%u", i);
        check_take(HTTP_TURNS_WAITING_MAX + i, HTTP_TURN_LATER);
    }
}
