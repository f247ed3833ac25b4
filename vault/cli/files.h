/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/files.h -- makes files and folders that were not there, and takes back half-made ones.
 *
 * In      bytes.
 * Out     files, whole and synced.
 * Never   writes over anything.
 * Threads one.
 */
#ifndef VAULT_CLI_FILES_H
#define VAULT_CLI_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* WHY_CONFLICT: the file is there; WHY_IO: anything else, as errno says. */
STATUS files_write_new(int folder_fd, const char *name, unsigned mode, const void *bytes,
                       size_t size);

/* True when nothing is at `path`, or an empty folder. */
bool files_is_free(const char *path);

/* Removes a folder that this process made, and all that is in it; never follows a link. */
void files_remove_tree(const char *path);

/* `folder`/`name`; false when it does not fit. */
bool files_join(char *out, size_t out_size, const char *folder, const char *name);

#endif
