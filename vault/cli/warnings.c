/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/warnings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"

#define PATH_METRICS "/metrics"
#define DAY_SECONDS  86400
#define SOON_SECONDS (30 * DAY_SECONDS)
#define LABEL_MAX    64u
#define LEFT         "_tls_left_seconds{"
#define DIGITS_MAX   15u

/* A gauge that should be 0, and what to do where it is not: %s is the number. */
static const struct gauge {
    const char *suffix;
    const char *sentence;
} gauges[] = {
    {"_keys_compromised ", "compromised keys: %s; 'cardkeep keys list --state compromised'"},
    {"_keys_held ", "keys that a request holds back: %s; 'cardkeep approvals list'"},
    {"_keys_ending ", "keys whose period ends within 30 days: %s; 'cardkeep keys inventory'"},
    {"_tls_stale{", "certificates in files that are no good, and not in force: %s; see the log"},
};

/* A whole number at `text`; a fraction behind it is left out. */
static int64_t number_at(const char *text)
{
    bool minus = *text == '-';
    int64_t value = 0;

    text += minus ? 1 : 0;
    for (unsigned i = 0; i < DIGITS_MAX && text[i] >= '0' && text[i] <= '9'; i++)
        value = 10 * value + (text[i] - '0');
    return minus ? -value : value;
}

/* The sum of all lines whose name ends in `suffix`, whatever their labels. */
static int64_t sum_of(const char *metrics, const char *suffix)
{
    int64_t sum = 0;

    for (const char *line = metrics; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        const char *at = memmem(line, (size_t)(end - line), suffix, strlen(suffix));
        const char *value = memrchr(line, ' ', (size_t)(end - line));
        if (line[0] != '#' && at != NULL && value != NULL)
            sum += number_at(value + 1);
        line = *end == '\0' ? end : end + 1;
    }
    return sum;
}

void warnings_left(const char *metrics, warnings_left_fn on_left, void *owner)
{
    for (const char *at = strstr(metrics, LEFT); at != NULL; at = strstr(at + 1, LEFT)) {
        char name[LABEL_MAX] = "";
        const char *end = strchrnul(at, '\n');
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *value = memrchr(at, ' ', (size_t)(end - at));
        if (quote == NULL || value == NULL || value < quote)
            continue;
        size_t size = strcspn(quote + 1, "\"\n");
        (void)snprintf(name, sizeof name, "%.*s", size < LABEL_MAX ? (int)size : 0, quote + 1);
        on_left(owner, name, number_at(value + 1));
    }
}

struct soon {
    const char *daemon_name;
    warnings_fn on_warning;
    void *owner;
};

static void soon_on_left(void *owner, const char *name, int64_t seconds)
{
    const struct soon *soon = owner;
    char sentence[WARNINGS_TEXT_MAX];

    if (seconds >= SOON_SECONDS)
        return;
    if (seconds <= 0)
        (void)snprintf(sentence, sizeof sentence,
                       "%s: the certificate of '%s' has run out; put a new one in its place",
                       soon->daemon_name, name);
    else
        (void)snprintf(sentence, sizeof sentence,
                       "%s: the certificate of '%s' runs out in %" PRId64
                       " days; put a new one in its place",
                       soon->daemon_name, name, seconds / DAY_SECONDS);
    soon->on_warning(soon->owner, sentence);
}

void warnings_read(const char *metrics, const char *daemon_name, warnings_fn on_warning,
                   void *owner)
{
    struct soon soon = {.daemon_name = daemon_name, .on_warning = on_warning, .owner = owner};

    for (unsigned i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        char sentence[WARNINGS_TEXT_MAX];
        char number[24];
        const char *place = strstr(gauges[i].sentence, "%s");
        int64_t count = sum_of(metrics, gauges[i].suffix);
        if (count <= 0)
            continue;
        (void)snprintf(number, sizeof number, "%" PRId64, count);
        (void)snprintf(sentence, sizeof sentence, "%s: %.*s%s%s", daemon_name,
                       (int)(place - gauges[i].sentence), gauges[i].sentence, number, place + 2);
        on_warning(owner, sentence);
    }
    warnings_left(metrics, soon_on_left, &soon);
}

static void answer_free(struct daemon_answer *answer)
{
    buffer_free(&answer->body);
}

void warnings_ask(const struct daemon *daemon, enum daemon_which which, warnings_fn on_warning,
                  void *owner)
{
    struct daemon_answer answer OWNED(answer_free) = {0};

    if (daemon_probe(daemon, which, PATH_METRICS, &answer) == CLI_DONE && answer.status == 200)
        warnings_read(buffer_text(&answer.body), which == DAEMON_VAULT ? "vault" : "relay",
                      on_warning, owner);
}
