/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_confine.h"

#include "vault/settings.h"

static const struct call_rule handed_sockets[] = {
    CALL(recvmsg, "the supervisor hands it the front's and the signer's sockets"),
};
static const struct call_list handed = CALL_LIST(handed_sockets);

static const struct call_rule backup_wakes[] = {
    CALL(eventfd2, "a backup says that it has ended"),
};
static const struct call_list backups = CALL_LIST(backup_wakes);

const struct call_list *const keeper_confine_calls[] = {&calls_always, &calls_threads, &calls_store,
                                                        &handed,       &backups,       NULL};

STATUS keeper_confine(const struct settings *settings, size_t lock_bytes,
                      struct sandbox_report *out_report)
{
    const struct landlock_path paths[] = {
        {settings->data, LANDLOCK_KEEP},
        {settings->backup_folder, LANDLOCK_KEEP},
        {settings->policies, LANDLOCK_READ},
        {settings->seal_path, LANDLOCK_READ},
        {"/etc/ssl/openssl.cnf", LANDLOCK_READ}, /* The host's providers, FIPS among them. */
        {"/etc/localtime", LANDLOCK_READ},       /* RocksDB's own log. */
        {"/proc/sys/kernel/random/uuid", LANDLOCK_READ}, /* A store's name. */
        {"/sys/devices/system/cpu", LANDLOCK_READ},      /* How many threads are sensible. */
    };
    struct sandbox_options options = {
        .lock_bytes = lock_bytes,
        .user = settings->user,
        .strict = settings->production,
        .store = settings->data,
        .backups = settings->backup_folder,
        .files = {.paths = paths,
                  .path_count = sizeof paths / sizeof paths[0],
                  .network = LANDLOCK_NO_NETWORK},
        .calls = keeper_confine_calls,
    };

    return sandbox_enter(&options, out_report);
}
