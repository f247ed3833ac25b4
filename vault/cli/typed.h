/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/typed.h -- a secret that somebody types, or that stands on standard input.
 *
 * In      a question.
 * Out     one line, in guarded memory; on a terminal it is not shown while it is typed.
 * Never   takes a secret from the command line or the environment.
 * Threads one.
 */
#ifndef VAULT_CLI_TYPED_H
#define VAULT_CLI_TYPED_H

#include <stdbool.h>

#include "base/secret.h"
#include "base/status.h"

#define TYPED_BYTES_MAX 320u

/* The line without its end, and a NUL behind it.  WHY_NOT_FOUND at the end of the input, WHY_LIMIT
 * when it is longer than any share or card, WHY_IO. */
STATUS typed_ask(const char *question, struct secret **out_line, size_t *out_size);

/* The first line of a file that only its owner may read.  WHY_DENIED where others may, too;
 * WHY_NOT_FOUND, WHY_IO; WHY_LIMIT as above. */
STATUS typed_file(const char *path, struct secret **out_line, size_t *out_size);

#endif
