/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/profile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS   (3600 * SECOND_MS)
#define DAY_MS    (24 * HOUR_MS)

static const char *const tls_choices[] = {"1.2", "1.3", NULL};
static const char *const trust_choices[] = {"system", NULL};
static const char *const credential_choices[] = {"caller", "none", NULL};

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* True when every character is a letter, a digit or one of `others`. */
static bool is_made_of(const char *text, const char *others)
{
    for (; *text != '\0'; text++)
        if (!is_letter_or_digit(*text) && strchr(others, *text) == NULL)
            return false;
    return true;
}

/* Copies what fits and is made of the right characters, and complains about the rest. */
static void text_take(struct config *config, const struct config_node *node, const char *text,
                      const char *others, char *out, size_t out_size)
{
    if (text == NULL)
        return; /* Said already. */
    if (text[0] == '\0' || !is_made_of(text, others))
        config_complain(config, node, "letters, digits and \"%s\" make it up", others);
    else if (strlen(text) >= out_size)
        config_complain(config, node, "it has at most %zu characters", out_size - 1);
    else
        memcpy(out, text, strlen(text) + 1);
}

static void hosts_read(struct config *config, const struct config_node *root,
                       struct profile *profile)
{
    const struct config_node *list = config_list(config, root, "hosts", true);
    unsigned count = list == NULL ? 0 : config_count(list);

    if (list != NULL && (count == 0 || count > PROFILE_HOSTS_MAX)) {
        config_complain(config, list, "hosts lists 1 to %u names", PROFILE_HOSTS_MAX);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct config_node *node = config_at(list, i);
        text_take(config, node, config_scalar(config, node), ".-", profile->hosts[i],
                  sizeof profile->hosts[i]);
    }
    profile->host_count = count;
}

static void accounts_read(struct config *config, const struct config_node *root,
                          struct profile *profile)
{
    const struct config_node *list = config_list(config, root, "account_headers", false);
    unsigned count = list == NULL ? 0 : config_count(list);

    if (count > PROFILE_ACCOUNTS_MAX) {
        config_complain(config, list, "at most %u names", PROFILE_ACCOUNTS_MAX);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct config_node *node = config_at(list, i);
        text_take(config, node, config_scalar(config, node), "-", profile->account_headers[i],
                  sizeof profile->account_headers[i]);
    }
    profile->account_count = count;
}

static void tls_read(struct config *config, const struct config_node *root, struct profile *profile)
{
    const struct config_node *tls = config_map(config, root, "tls", false);

    if (tls == NULL)
        return;
    profile->tls13_only = config_choice(config, tls, "minimum", tls_choices, 0) == 1;
    /* The only one there is; a destination may name its own authorities. */
    int trust = config_choice(config, tls, "trust", trust_choices, 0);
    (void)trust;
}

static void idempotency_read(struct config *config, const struct config_node *root,
                             struct profile *profile)
{
    const struct config_node *map = config_map(config, root, "idempotency", false);

    /* A gateway without keys of its own needs the relay's all the more. */
    profile->idempotency_window_ms = DAY_MS;
    if (map == NULL)
        return;
    text_take(config, map, config_text(config, map, "header", NULL), "-",
              profile->idempotency_header, sizeof profile->idempotency_header);
    profile->idempotency_length_max = (unsigned)config_int(config, map, "length_max", 255, 1, 255);
    profile->idempotency_window_ms =
        config_duration_ms(config, map, "window", DAY_MS, SECOND_MS, 365LL * DAY_MS);
}

/* RFC 6901: parts begin with '/', and '~' is only ever "~0" or "~1". */
static bool is_pointer(const char *text)
{
    if (text[0] != '/')
        return false;
    for (const char *at = strchr(text, '~'); at != NULL; at = strchr(at + 1, '~'))
        if (at[1] != '0' && at[1] != '1')
            return false;
    return true;
}

static void slot_read(struct config *config, const struct config_node *node, const char *place,
                      const char *takes, struct profile_slot *out)
{
    if (place == NULL || takes == NULL)
        return;
    if (place[0] == '\0' || strlen(place) >= sizeof out->place)
        config_complain(config, node, "a slot's place has 1 to %zu characters",
                        sizeof out->place - 1);
    else
        memcpy(out->place, place, strlen(place) + 1);
    if (failed(expression_parse_default(takes, &out->takes)))
        config_complain(config, node, "a slot takes a field and its filters, as in \"exp | yyyy\"");
}

static unsigned slots_read(struct config *config, const struct config_node *slots,
                           const char *surface, struct profile_slot *out)
{
    const struct config_node *map = config_map(config, slots, surface, false);
    unsigned count = map == NULL ? 0 : config_map_count(map);

    if (count > PROFILE_SLOTS_MAX) {
        config_complain(config, map, "at most %u slots", PROFILE_SLOTS_MAX);
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct config_node *value = NULL;
        const char *place = config_map_key(config, map, i, &value);
        slot_read(config, value, place, config_scalar(config, value), &out[i]);
    }
    return count;
}

static void surfaces_read(struct config *config, const struct config_node *root,
                          struct profile *profile)
{
    const struct config_node *slots = config_map(config, root, "slots", false);

    if (slots == NULL)
        return; /* A gateway that never takes a card. */
    profile->form_count = slots_read(config, slots, "form", profile->form);
    profile->json_count = slots_read(config, slots, "json", profile->json);
    for (unsigned i = 0; i < profile->json_count; i++)
        if (!is_pointer(profile->json[i].place))
            config_complain(config, slots, "a json slot is a pointer, as in \"/card/number\"");
}

static void deadline_read(struct config *config, const struct config_node *root,
                          struct profile *profile)
{
    const struct config_node *map = config_map(config, root, "deadline", false);

    profile->connect_ms = 5 * SECOND_MS;
    profile->total_ms = 60 * SECOND_MS;
    if (map == NULL)
        return;
    profile->connect_ms =
        config_duration_ms(config, map, "connect", profile->connect_ms, 100, 60 * SECOND_MS);
    profile->total_ms =
        config_duration_ms(config, map, "total", profile->total_ms, SECOND_MS, 600 * SECOND_MS);
    if (profile->connect_ms > profile->total_ms)
        config_complain(config, map, "connect is a part of total, so it is no longer");
}

static void profile_read(struct config *config, const struct config_node *root,
                         struct profile *profile)
{
    text_take(config, root, config_text(config, root, "gateway", NULL), "._-", profile->name,
              sizeof profile->name);
    hosts_read(config, root, profile);
    tls_read(config, root, profile);
    profile->credentials_caller =
        config_choice(config, root, "credentials", credential_choices, -1) == 0;
    accounts_read(config, root, profile);
    idempotency_read(config, root, profile);
    surfaces_read(config, root, profile);
    deadline_read(config, root, profile);
}

STATUS profile_load(const char *path, struct profile *out_profile, char *error, size_t error_size)
{
    assert(out_profile != NULL);
    assert(error != NULL && error_size > 0);

    OWNED(config_free) struct config *config = NULL;
    struct profile profile = {0};
    error[0] = '\0';
    struct status status = config_open(path, &config);
    if (!failed(status)) {
        const struct config_node *root = config_root(config);
        if (root != NULL)
            profile_read(config, root, &profile);
        status = config_finish(config);
    }
    if (failed(status)) {
        int size = snprintf(error, error_size, "%s", config == NULL ? "" : config_error(config));
        (void)size; /* A sentence cut short is still a sentence to begin with. */
        return status;
    }
    *out_profile = profile;
    return STATUS_OK;
}
