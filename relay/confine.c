/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/confine.h"

#include <string.h>

#include "relay/settings.h"

const struct call_list *const confine_calls[] = {&calls_always, &calls_threads, &calls_store,
                                                 &calls_serve,  &calls_dial,    NULL};

static const struct call_rule until_it_listens[] = {
    CALL(listen, "its listeners are there"),
    CALL(seccomp, "nothing more is to be given up"),
};
static const struct call_list coming_up = CALL_LIST(until_it_listens);

static const struct landlock_path of_the_host[] = {
    /* Names: hosts, nsswitch.conf, and resolv.conf, which is exchanged for another at any time, so
     * that the folder is what must be named; and the host's authorities, where a gateway's are not
     * named. */
    {"/etc", LANDLOCK_READ},
    {"/run/systemd/resolve", LANDLOCK_READ},
    {"/run/NetworkManager", LANDLOCK_READ},
    {"/usr/share/ca-certificates", LANDLOCK_READ},
    {"/usr/local/share/ca-certificates", LANDLOCK_READ},
    {"/usr/share/zoneinfo", LANDLOCK_READ},
    {"/proc/sys/kernel/random/uuid", LANDLOCK_READ}, /* A store's name. */
    {"/sys/devices/system/cpu", LANDLOCK_READ},      /* How many threads are sensible. */
    {"/dev/null", LANDLOCK_APPEND},                  /* Where libraries' complaints go. */
};
#define HOST_COUNT (sizeof of_the_host / sizeof of_the_host[0])

STATUS confine_relay(const struct settings *settings, size_t lock_bytes,
                     struct sandbox_report *out_report)
{
    const struct landlock_path own[] = {
        {settings->data, LANDLOCK_KEEP},
        {settings->backup_folder, LANDLOCK_KEEP},
        {settings->policies, LANDLOCK_READ},
        {settings->certificate, LANDLOCK_READ},
        {settings->key, LANDLOCK_READ},
        {settings->clients, LANDLOCK_READ},
        {settings->vault_authorities, LANDLOCK_READ},
        {settings->vault_certificate, LANDLOCK_READ},
        {settings->vault_key, LANDLOCK_READ},
        /* Those that take their place later are other files. */
        {settings->certificate, LANDLOCK_BESIDE},
        {settings->key, LANDLOCK_BESIDE},
        {settings->clients, LANDLOCK_BESIDE},
        {settings->vault_authorities, LANDLOCK_BESIDE},
        {settings->vault_certificate, LANDLOCK_BESIDE},
        {settings->vault_key, LANDLOCK_BESIDE},
    };
    const size_t own_count = sizeof own / sizeof own[0];
    struct landlock_path
        paths[sizeof own / sizeof own[0] + HOST_COUNT + SETTINGS_DESTINATIONS_MAX] = {0};
    size_t count = own_count + HOST_COUNT;

    memcpy(paths, own, sizeof own);
    memcpy(paths + own_count, of_the_host, sizeof of_the_host);
    for (unsigned i = 0; i < settings->destination_count; i++) /* Empty: nothing is there. */
        paths[count++].path = settings->destinations[i].destination.authorities;
    struct sandbox_options options = {
        .lock_bytes = lock_bytes,
        .user = settings->user,
        .strict = settings->production,
        .store = settings->data,
        .backups = settings->backup_folder,
        .files = {.paths = paths, .path_count = count, .network = LANDLOCK_LISTENS_AND_DIALS},
        .calls = confine_calls,
    };

    return sandbox_enter(&options, out_report);
}

STATUS confine_listening(void)
{
    return calls_refuse(&coming_up);
}
