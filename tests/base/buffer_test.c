/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/own.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#endif

Test(cursor, takes_a_flag_that_is_0_or_1_and_no_other)
{
    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        uint8_t byte = (uint8_t)value;
        struct cursor cursor = cursor_over(&byte, 1);
        cr_expect_eq(cursor_flag(&cursor), value == 1);
        cr_expect_eq(cursor_done(&cursor), value <= 1, "%u", value);
    }
    struct cursor nothing = cursor_over("", 0);
    cr_expect(!cursor_flag(&nothing));
    cr_expect(nothing.bad);
}

Test(buffer, keeps_what_is_added_in_order_and_big_endian)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(64);
    buffer_add_u8(&buffer, 0x01);
    buffer_add_u16(&buffer, 0x0203);
    buffer_add_u32(&buffer, 0x04050607);
    buffer_add_u64(&buffer, 0x08090a0b0c0d0e0fu);
    buffer_add(&buffer, "\x10", 1);
    uint8_t wanted[16];
    for (unsigned i = 0; i < sizeof wanted; i++)
        wanted[i] = (uint8_t)(i + 1);
    cr_assert(!failed(buffer_status(&buffer)));
    cr_assert_eq(buffer.size, sizeof wanted);
    cr_assert_arr_eq(buffer.bytes, wanted, sizeof wanted);
}

Test(buffer, takes_its_maximum_and_not_a_byte_more)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(1000);
    for (unsigned i = 0; i < 1000; i++)
        buffer_add_u8(&buffer, (uint8_t)i);
    cr_assert(!failed(buffer_status(&buffer)));
    cr_assert_eq(buffer.size, 1000u);
    buffer_add(&buffer, "", 0);
    cr_assert(!failed(buffer_status(&buffer)));
    buffer_add_u8(&buffer, 1);
    cr_assert_eq(buffer_status(&buffer).why, WHY_LIMIT);
    cr_assert_eq(buffer.size, 1000u);
}

Test(buffer, fails_for_good_and_says_why_once)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(4);
    buffer_add_text(&buffer, "abc");
    buffer_add_text(&buffer, "de");
    cr_assert_eq(buffer_status(&buffer).why, WHY_LIMIT);
    buffer_add_text(&buffer, "f"); /* Would fit, but what precedes it is missing. */
    cr_assert_eq(buffer.size, 3u);
    cr_assert(buffer_extend(&buffer, 1) == NULL);
    cr_assert_str_eq(buffer_text(&buffer), "");
    buffer_clear(&buffer);
    cr_assert(!failed(buffer_status(&buffer)));
    buffer_add_text(&buffer, "wxyz");
    cr_assert_str_eq(buffer_text(&buffer), "wxyz");
}

Test(buffer, refuses_sizes_that_would_wrap_around)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(16);
    buffer_add_u8(&buffer, 1);
    cr_assert(buffer_extend(&buffer, SIZE_MAX) == NULL);
    cr_assert_eq(buffer_status(&buffer).why, WHY_LIMIT);
}

#if !defined(WITH_ASAN) /* Which ends the process for so large a request. */
Test(buffer, says_when_memory_ran_out)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(SIZE_MAX / 2);
    cr_assert(buffer_extend(&buffer, SIZE_MAX / 2 - 1) == NULL);
    cr_assert_eq(buffer_status(&buffer).why, WHY_NO_MEMORY);
}
#endif

Test(buffer, ends_its_text_with_a_nul_at_every_size)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(600);
    cr_assert_str_eq(buffer_text(&buffer), "");
    for (size_t i = 1; i <= 600; i++) {
        buffer_add_u8(&buffer, 'x');
        cr_assert_eq(strlen(buffer_text(&buffer)), i);
    }
    buffer_consume(&buffer, 599);
    cr_assert_str_eq(buffer_text(&buffer), "x");
    buffer_clear(&buffer);
    cr_assert_str_eq(buffer_text(&buffer), "");
}

Test(buffer, formats_behind_what_it_holds)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(16);
    buffer_add_text(&buffer, "n=");
    buffer_format(&buffer, "%d%s", 42, "!");
    cr_assert_str_eq(buffer_text(&buffer), "n=42!");
    buffer_format(&buffer, "%s", "eleven long"); /* Exactly full. */
    cr_assert_eq(buffer.size, 16u);
    cr_assert(!failed(buffer_status(&buffer)));
    buffer_format(&buffer, "%d", 1);
    cr_assert_eq(buffer_status(&buffer).why, WHY_LIMIT);
}

Test(buffer, gives_zeroed_room)
{
    static const uint8_t zeros[400];
    OWNED(buffer_free) struct buffer buffer = BUFFER(1024);
    uint8_t *room = buffer_extend(&buffer, 400);
    cr_assert_arr_eq(room, zeros, 400);
    memset(room, 0xaa, 400);
    buffer_consume(&buffer, 300);
    cr_assert_eq(buffer.size, 100u);
    cr_assert_arr_eq(buffer.bytes + 100, zeros, 300, "what was consumed is wiped");
    room = buffer_extend(&buffer, 300);
    cr_assert_arr_eq(room, zeros, 300);
    memset(room, 0xbb, 300);
    buffer_clear(&buffer);
    cr_assert_arr_eq(buffer.bytes, zeros, 400, "what was cleared is wiped");
    room = buffer_extend(&buffer, 0);
    cr_assert(room != NULL, "no room wanted is no failure");
}

Test(buffer, consumes_from_the_front)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(64);
    buffer_add_text(&buffer, "headbody");
    buffer_consume(&buffer, 0);
    buffer_consume(&buffer, 4);
    cr_assert_str_eq(buffer_text(&buffer), "body");
    buffer_consume(&buffer, 4);
    cr_assert_str_eq(buffer_text(&buffer), "");
}

Test(buffer, may_be_freed_twice_and_used_again)
{
    struct buffer buffer = BUFFER(8);
    buffer_free(&buffer);
    buffer_add_text(&buffer, "a");
    buffer_free(&buffer);
    buffer_free(&buffer);
    cr_assert(buffer.bytes == NULL);
    cr_assert_eq(buffer.bytes_max, 8u);
    buffer_add_text(&buffer, "b");
    cr_assert_str_eq(buffer_text(&buffer), "b");
    buffer_free(&buffer);
}

/* Only free() knows the last state of a chunk, so the test looks there. */
#if !defined(WITH_ASAN)
void __libc_free(void *pointer);
static unsigned dirty_count;
static bool watching;

void free(void *pointer)
{
    if (watching && pointer != NULL) {
        const uint8_t *bytes = pointer;
        for (size_t i = 0; i < malloc_usable_size(pointer); i++)
            dirty_count += bytes[i] == 0xd1 ? 1 : 0;
    }
    __libc_free(pointer);
}

Test(buffer, leaves_nothing_on_the_heap_when_it_grows_or_goes)
{
    watching = true;
    volatile uint8_t *seen = calloc(1, 64); /* Volatile: no compiler drops the bytes' last write. */
    for (unsigned i = 0; i < 64; i++)
        seen[i] = 0xd1;
    free((void *)(uintptr_t)seen);
    cr_assert_eq(dirty_count, 64u, "the watch works");
    dirty_count = 0;
    struct buffer buffer = BUFFER(1u << 16);
    for (unsigned i = 0; i < 5000; i++)
        buffer_add_u8(&buffer, 0xd1);
    cr_assert_eq(buffer.size, 5000u);
    buffer_free(&buffer);
    watching = false;
    cr_assert_eq(dirty_count, 0u);
}
#endif

Test(cursor, reads_back_what_a_buffer_wrote)
{
    OWNED(buffer_free) struct buffer buffer = BUFFER(64);
    buffer_add_u8(&buffer, 1);
    buffer_add_u16(&buffer, 0xfffe);
    buffer_add_u32(&buffer, 0xfffffffd);
    buffer_add_u64(&buffer, UINT64_MAX - 3);
    buffer_add_counted(&buffer, "name");
    buffer_add(&buffer, "xyz", 3);
    struct cursor cursor = cursor_over(buffer.bytes, buffer.size);
    char text[5];
    cr_assert_eq(cursor_u8(&cursor), 1u);
    cr_assert_eq(cursor_u16(&cursor), 0xfffeu);
    cr_assert_eq(cursor_u32(&cursor), 0xfffffffdu);
    cr_assert_eq(cursor_u64(&cursor), UINT64_MAX - 3);
    cursor_text(&cursor, text, sizeof text);
    cr_assert_str_eq(text, "name");
    cr_assert(!cursor_done(&cursor), "three bytes are left");
    const uint8_t *rest = cursor_bytes(&cursor, 3);
    cr_assert_arr_eq(rest, "xyz", 3);
    cr_assert(cursor_done(&cursor));
}

Test(cursor, goes_bad_for_good_at_the_first_field_that_does_not_fit)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct cursor cursor = cursor_over(bytes, sizeof bytes);
    cr_assert_eq(cursor_u32(&cursor), 0u);
    cr_assert(cursor.bad);
    cr_assert_eq(cursor_u8(&cursor), 0u, "a later field that would fit is zero too");
    cr_assert(cursor_bytes(&cursor, 0) == NULL);
    cr_assert(!cursor_done(&cursor));
    cursor = cursor_over(bytes, sizeof bytes);
    cr_assert(cursor_bytes(&cursor, SIZE_MAX) == NULL);
    cr_assert(cursor.bad);
}

Test(cursor, is_done_at_once_over_nothing)
{
    struct cursor cursor = cursor_over(NULL, 0);
    cr_assert(cursor_done(&cursor));
    cr_assert(cursor_bytes(&cursor, 0) != NULL);
    cr_assert(cursor_done(&cursor));
    cr_assert_eq(cursor_u8(&cursor), 0u);
    cr_assert(!cursor_done(&cursor));
}

Test(cursor, refuses_texts_that_do_not_fit_or_hold_a_nul)
{
    char text[4];
    struct cursor cursor = cursor_over("\0\3abc", 5);
    cursor_text(&cursor, text, sizeof text);
    cr_assert(cursor_done(&cursor));
    cr_assert_str_eq(text, "abc");
    cursor = cursor_over("\0\4abcd", 6);
    cursor_text(&cursor, text, sizeof text);
    cr_assert(cursor.bad, "no room for its NUL");
    cr_assert_str_eq(text, "");
    cursor = cursor_over("\0\3a\0c", 5);
    cursor_text(&cursor, text, sizeof text);
    cr_assert(cursor.bad, "a NUL inside");
    cursor = cursor_over("\0\4abc", 5);
    cursor_text(&cursor, text, sizeof text);
    cr_assert(cursor.bad, "cut short");
}

Test(buffer, refuses_to_count_a_text_past_16_bits)
{
    static char text[UINT16_MAX + 2];
    memset(text, 'x', UINT16_MAX);
    OWNED(buffer_free) struct buffer buffer = BUFFER(1u << 20);
    buffer_add_counted(&buffer, text);
    cr_assert(!failed(buffer_status(&buffer)));
    cr_assert_eq(buffer.size, 2u + UINT16_MAX);
    text[UINT16_MAX] = 'x';
    buffer_add_counted(&buffer, text);
    cr_assert_eq(buffer_status(&buffer).why, WHY_LIMIT);
}
