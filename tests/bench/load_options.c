/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

#define BODY_BYTES_MAX (1u << 20)

static const char usage[] =
    "usage: cardkeep-load [OPTION]… KIND\n"
    "\n"
    "KIND: tokenize, batch, show, lease, settle (a lease and its settlement in turn), pay, fixed.\n"
    "\n"
    "  --host HOST  --port PORT        whom to ask; localhost without\n"
    "  --ca FILE                       who vouches for the server\n"
    "  --certificate FILE --key FILE   who asks\n"
    "  --http1                         HTTP/1.1, one request under way on a connection\n"
    "  --in-flight COUNT               requests under way at any time; 64 without\n"
    "  --connections COUNT             over which they are spread; at most 32 on each without\n"
    "  --count COUNT | --seconds N     how much is counted\n"
    "  --warm-up COUNT                 requests before that; as many as are under way without\n"
    "  --batch COUNT                   cards, or leases, of a request\n"
    "  --first NUMBER                  where the range of cards begins; by chance without\n"
    "  --cards                         pay shows a card of its own in place of a token\n"
    "  --tokens FILE                   what show, lease, settle and pay use, one a line, in turn\n"
    "  --tokens-out FILE               where the tokens made go\n"
    "  --keep-every COUNT              only each so many-th of them\n"
    "  --method, --path, --content-type, --body FILE   the request of fixed; the path of pay\n"
    "  --expect STATUS                 of a good answer\n"
    "  --watch PID                     says its CPU time too; may be repeated\n"
    "\n"
    "Prints one JSON object; exits with 1 where an answer was not the one expected.\n";

static const char *const kind_names[LOAD_KIND_COUNT] = {
    [LOAD_TOKENIZE] = "tokenize", [LOAD_BATCH] = "batch",   [LOAD_SHOW] = "show",
    [LOAD_LEASE] = "lease",       [LOAD_SETTLE] = "settle", [LOAD_PAY] = "pay",
    [LOAD_FIXED] = "fixed",
};

const char *load_kind_name(enum load_kind kind)
{
    return kind_names[kind];
}

static uint64_t number(const char *text, uint64_t max)
{
    uint64_t value = 0;

    if (*text == '\0')
        load_die("a number is missing");
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || value > max / 10)
            load_die("%s: not a number up to %llu", text, (unsigned long long)max);
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (value > max)
        load_die("%s: %llu at most", text, (unsigned long long)max);
    return value;
}

static double seconds(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value > 0 && value < 1e6))
        load_die("%s: not a number of seconds", text);
    return value;
}

static void body_read(struct load_options *options, const char *path)
{
    FILE *file = fopen(path, "rb");
    char *body = calloc(1, BODY_BYTES_MAX);

    if (file == NULL || body == NULL)
        load_die("%s cannot be read", path);
    options->body_size = fread(body, 1, BODY_BYTES_MAX, file);
    options->body = body;
    fclose(file);
}

enum {
    OPTION_HOST = 256,
    OPTION_PORT,
    OPTION_CA,
    OPTION_CERTIFICATE,
    OPTION_KEY,
    OPTION_HTTP1,
    OPTION_IN_FLIGHT,
    OPTION_CONNECTIONS,
    OPTION_COUNT,
    OPTION_SECONDS,
    OPTION_WARM_UP,
    OPTION_BATCH,
    OPTION_FIRST,
    OPTION_TOKENS,
    OPTION_CARDS,
    OPTION_TOKENS_OUT,
    OPTION_KEEP_EVERY,
    OPTION_METHOD,
    OPTION_PATH,
    OPTION_CONTENT_TYPE,
    OPTION_BODY,
    OPTION_EXPECT,
    OPTION_WATCH,
    OPTION_HELP
};

static const struct option names[] = {
    {"host", required_argument, NULL, OPTION_HOST},
    {"port", required_argument, NULL, OPTION_PORT},
    {"ca", required_argument, NULL, OPTION_CA},
    {"certificate", required_argument, NULL, OPTION_CERTIFICATE},
    {"key", required_argument, NULL, OPTION_KEY},
    {"http1", no_argument, NULL, OPTION_HTTP1},
    {"in-flight", required_argument, NULL, OPTION_IN_FLIGHT},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"first", required_argument, NULL, OPTION_FIRST},
    {"cards", no_argument, NULL, OPTION_CARDS},
    {"tokens", required_argument, NULL, OPTION_TOKENS},
    {"tokens-out", required_argument, NULL, OPTION_TOKENS_OUT},
    {"keep-every", required_argument, NULL, OPTION_KEEP_EVERY},
    {"method", required_argument, NULL, OPTION_METHOD},
    {"path", required_argument, NULL, OPTION_PATH},
    {"content-type", required_argument, NULL, OPTION_CONTENT_TYPE},
    {"body", required_argument, NULL, OPTION_BODY},
    {"expect", required_argument, NULL, OPTION_EXPECT},
    {"watch", required_argument, NULL, OPTION_WATCH},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

/* Those that say what is sent; false where it is none of them. */
static bool request_option(struct load_options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_BATCH:
        options->batch = (unsigned)number(value, LOAD_BATCH_MAX);
        return true;
    case OPTION_FIRST:
        options->first = number(value, UINT64_MAX / 2);
        return true;
    case OPTION_CARDS:
        options->cards = true;
        return true;
    case OPTION_TOKENS:
        options->tokens_in = value;
        return true;
    case OPTION_TOKENS_OUT:
        options->tokens_out = value;
        return true;
    case OPTION_KEEP_EVERY:
        options->keep_every = (unsigned)number(value, UINT32_MAX / 2);
        return true;
    case OPTION_METHOD:
        options->method = value;
        return true;
    case OPTION_PATH:
        options->path = value;
        return true;
    case OPTION_CONTENT_TYPE:
        options->content_type = value;
        return true;
    case OPTION_BODY:
        body_read(options, value);
        return true;
    case OPTION_EXPECT:
        options->expect = (unsigned)number(value, LOAD_STATUS_MAX - 1);
        return true;
    default:
        return false;
    }
}

/* Those that say whom, as whom, and how much. */
static void run_option(struct load_options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_HOST:
        options->host = value;
        break;
    case OPTION_PORT:
        options->port = value;
        break;
    case OPTION_CA:
        options->ca = value;
        break;
    case OPTION_CERTIFICATE:
        options->certificate = value;
        break;
    case OPTION_KEY:
        options->key = value;
        break;
    case OPTION_HTTP1:
        options->http1 = true;
        break;
    case OPTION_IN_FLIGHT:
        options->in_flight = (unsigned)number(value, LOAD_IN_FLIGHT_MAX);
        break;
    case OPTION_CONNECTIONS:
        options->connections = (unsigned)number(value, LOAD_CONNECTIONS_MAX);
        break;
    case OPTION_COUNT:
        options->count = number(value, UINT64_MAX / 2);
        break;
    case OPTION_SECONDS:
        options->seconds = seconds(value);
        break;
    case OPTION_WARM_UP:
        options->warm_up = number(value, UINT64_MAX / 2);
        break;
    case OPTION_WATCH:
        if (options->pid_count == LOAD_PIDS_MAX)
            load_die("%u processes at most are watched", LOAD_PIDS_MAX);
        options->pids[options->pid_count++] = (int)number(value, INT32_MAX);
        break;
    case OPTION_HELP:
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static void check(struct load_options *options)
{
    bool many = options->kind == LOAD_BATCH || options->kind == LOAD_LEASE;

    if (options->port == NULL || options->ca == NULL)
        load_die("--port and --ca are needed");
    if ((options->certificate == NULL) != (options->key == NULL))
        load_die("--certificate and --key go together");
    if ((options->count > 0) == (options->seconds > 0))
        load_die("either --count or --seconds");
    if (options->batch == 0 || (options->batch > 1 && !many))
        load_die("--batch is for batch and lease");
    if (options->cards && options->kind != LOAD_PAY)
        load_die("--cards is for pay");
    if (options->http1)
        options->connections = options->in_flight;
    if (options->connections == 0)
        options->connections = (options->in_flight + 31) / 32;
    if (options->in_flight < options->connections || options->connections == 0 ||
        options->connections > LOAD_CONNECTIONS_MAX)
        load_die("there must be a request for each connection");
    if ((options->in_flight - 1) / options->connections + 1 > LOAD_STREAMS_MAX)
        load_die("%u requests at most on a connection", LOAD_STREAMS_MAX);
    if (options->warm_up == UINT64_MAX)
        options->warm_up = options->in_flight;
    if (options->keep_every == 0)
        options->keep_every = 1;
}

void load_options_read(struct load_options *options, int argc, char **argv)
{
    int option = 0;

    *options = (struct load_options){.host = "localhost",
                                     .in_flight = 64,
                                     .batch = 1,
                                     .first = UINT64_MAX,
                                     .warm_up = UINT64_MAX};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (!request_option(options, option, optarg))
            run_option(options, option, optarg);
    if (optind != argc - 1)
        load_die("one kind of request; --help lists them");
    while (options->kind < LOAD_KIND_COUNT && strcmp(kind_names[options->kind], argv[optind]) != 0)
        options->kind++;
    if (options->kind == LOAD_KIND_COUNT)
        load_die("%s: no kind of request; --help lists them", argv[optind]);
    check(options);
}
