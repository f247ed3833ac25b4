/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/say.h -- what the command line says to people and to scripts.
 *
 * In      texts.
 * Out     results on stdout, one sentence about what went wrong on stderr.
 * Never   says a card number, a key or a byte of either.
 * Threads one.
 */
#ifndef VAULT_CLI_SAY_H
#define VAULT_CLI_SAY_H

#include <stdbool.h>
#include <stddef.h>

/* A result, as it stands: lines end where `format` says. */
void say_out(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_bytes(const void *bytes, size_t size);
/* "cardkeep: …" and a newline, on stderr.  Control characters of what came from outside become '?',
 * so that a file's name cannot write over the terminal. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A question without a newline, on stderr, and only where somebody sits there. */
void say_prompt(const char *text);

/* False when stdout did not take everything (a full disk behind a redirection). */
bool say_done(void);

#endif
