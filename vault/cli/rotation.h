/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/rotation.h -- `cardkeep keys rotate|jobs|watch|pause|resume|rate`: keys that follow one
 * another, and the jobs that move what is under the old ones.
 *
 * In      what to rotate; a job's id.
 * Out     what became of it; with --watch a bar, where somebody sits at a terminal, until the job's
 *         end, and then whether that was a good one.
 * Never   sees a key.
 * Threads one.
 */
#ifndef VAULT_CLI_ROTATION_H
#define VAULT_CLI_ROTATION_H

#include "vault/cli/cli.h"

enum cli_exit rotation_rotate(const struct cli_arguments *arguments);
enum cli_exit rotation_jobs(const struct cli_arguments *arguments);
enum cli_exit rotation_watch(const struct cli_arguments *arguments);
enum cli_exit rotation_pause(const struct cli_arguments *arguments);
enum cli_exit rotation_resume(const struct cli_arguments *arguments);
enum cli_exit rotation_rate(const struct cli_arguments *arguments);

#endif
