/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front_confine.h"

#include "vault/settings.h"

const struct call_list *const front_confine_calls[] = {&calls_always, &calls_serve, NULL};

static const struct call_rule until_it_listens[] = {
    CALL(socket, "its listeners are there"),
    CALL(bind, "the same"),
    CALL(listen, "the same"),
    CALL(seccomp, "nothing more is to be given up"),
};
static const struct call_list coming_up = CALL_LIST(until_it_listens);

STATUS front_confine(const struct settings *settings, size_t lock_bytes,
                     struct sandbox_report *out_report)
{
    const struct landlock_path paths[] = {
        {settings->api.certificate, LANDLOCK_READ},
        {settings->api.key, LANDLOCK_READ},
        {settings->api.clients, LANDLOCK_READ},
        /* Those that take their place later are other files. */
        {settings->api.certificate, LANDLOCK_BESIDE},
        {settings->api.key, LANDLOCK_BESIDE},
        {settings->api.clients, LANDLOCK_BESIDE},
        {"/etc/ssl/openssl.cnf", LANDLOCK_READ}, /* The host's word on ciphers and versions. */
        {"/etc/localtime", LANDLOCK_READ},       /* libh2o's dates. */
        {"/dev/null", LANDLOCK_APPEND},          /* Where libraries' complaints go. */
    };
    struct sandbox_options options = {
        .lock_bytes = lock_bytes,
        .user = settings->user,
        .strict = settings->production,
        .files = {.paths = paths,
                  .path_count = sizeof paths / sizeof paths[0],
                  .network = LANDLOCK_LISTENS},
        .calls = front_confine_calls,
    };

    return sandbox_enter(&options, out_report);
}

STATUS front_confine_listening(void)
{
    return calls_refuse(&coming_up);
}
