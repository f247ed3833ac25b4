/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/say.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define ERROR_BYTES_MAX 1024u

void say_out(const char *format, ...)
{
    assert(format != NULL);
    va_list list;
    va_start(list, format);
    (void)vfprintf(stdout, format, list); /* say_done() asks for the stream's error. */
    va_end(list);
}

void say_bytes(const void *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    if (size > 0)
        (void)fwrite(bytes, 1, size, stdout);
}

void say_error(const char *format, ...)
{
    assert(format != NULL);
    char text[ERROR_BYTES_MAX];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length < 0)
        return;
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    (void)fflush(stdout); /* In the order in which things happened, also into one file. */
    (void)fprintf(stderr, "cardkeep: %s\n", text);
}

void say_prompt(const char *text)
{
    assert(text != NULL);
    if (isatty(STDERR_FILENO) != 1)
        return;
    (void)fputs(text, stderr);
    (void)fflush(stderr);
}

bool say_done(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}
