/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/daemon.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/client.h"
#include "base/config.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "vault/cli/probe.h"
#include "vault/cli/say.h"

#define CONFIG_DEFAULT    ".cardkeep/cli.yaml"
#define CONNECT_MS        5000
#define TOTAL_MS          60000
#define PROBLEM_NODES_MAX 64u
#define TEXT_BYTES_MAX    512u

/* Paths belong to `config`. */
struct endpoint {
    char host[256];
    uint16_t port;
    char address[288];
    char metrics_host[256];
    uint16_t metrics_port;
    const char *name;
    const char *authorities;
    const char *verifier;
};

struct pair {
    const char *certificate;
    const char *key;
};

struct daemon {
    struct config *config;
    struct endpoint endpoints[2]; /* By enum daemon_which. */
    struct pair identity;
    struct pair auditor;
    struct pair operator;
    struct pair security;
};

static const char *const which_names[] = {[DAEMON_VAULT] = "vault", [DAEMON_RELAY] = "relay"};

void daemon_free(struct daemon **daemon)
{
    if (*daemon == NULL)
        return;
    config_free(&(*daemon)->config);
    free(*daemon);
    *daemon = NULL;
}

static void endpoint_read(struct daemon *daemon, enum daemon_which which,
                          const struct config_node *root)
{
    struct config *config = daemon->config;
    struct endpoint *endpoint = &daemon->endpoints[which];
    const struct config_node *map = config_map(config, root, which_names[which], true);
    const struct config_node *verifiers = config_map(config, root, "verifiers", true);
    if (map == NULL || verifiers == NULL)
        return;
    config_address(config, map, "address", NULL, endpoint->host, sizeof endpoint->host,
                   &endpoint->port);
    config_address(config, map, "metrics", NULL, endpoint->metrics_host,
                   sizeof endpoint->metrics_host, &endpoint->metrics_port);
    bool v6 = strchr(endpoint->host, ':') != NULL;
    (void)snprintf(endpoint->address, sizeof endpoint->address, v6 ? "[%s]:%u" : "%s:%u",
                   endpoint->host, endpoint->port);
    endpoint->name = config_text(config, map, "name", NULL);
    endpoint->authorities = config_path(config, map, "authorities", NULL);
    endpoint->verifier = config_path(config, verifiers, which_names[which], NULL);
}

static void pair_read(struct daemon *daemon, const struct config_node *root, const char *key,
                      struct pair *out)
{
    const struct config_node *map = config_map(daemon->config, root, key, true);
    if (map == NULL)
        return;
    out->certificate = config_path(daemon->config, map, "certificate", NULL);
    out->key = config_path(daemon->config, map, "key", NULL);
}

/* Reads all, so that each is checked; `as` becomes everybody.  False: there is no such person. */
static bool people_read(struct daemon *daemon, const struct config_node *root, const char *as)
{
    const struct config_node *map = config_map(daemon->config, root, "people", false);
    bool found = as == NULL;

    for (unsigned i = 0; map != NULL && i < config_map_count(map); i++) {
        const struct config_node *value = NULL;
        const char *name = config_map_key(daemon->config, map, i, &value);
        struct pair pair = {.certificate = config_path(daemon->config, value, "certificate", NULL),
                            .key = config_path(daemon->config, value, "key", NULL)};
        if (as == NULL || name == NULL || strcmp(name, as) != 0)
            continue;
        daemon->identity = daemon->auditor = daemon->operator= daemon->security = pair;
        found = true;
    }
    return found;
}

static STATUS daemon_read(struct daemon *daemon, const char *path, const char *as)
{
    TRY(config_open(path, &daemon->config));
    const struct config_node *root = config_root(daemon->config);
    ENSURE(root != NULL, WHY_BAD_INPUT);
    endpoint_read(daemon, DAEMON_VAULT, root);
    endpoint_read(daemon, DAEMON_RELAY, root);
    pair_read(daemon, root, "identity", &daemon->identity);
    pair_read(daemon, root, "auditor", &daemon->auditor);
    daemon->operator= daemon->identity;
    if (config_has(daemon->config, root, "operator"))
        pair_read(daemon, root, "operator", &daemon->operator);
    daemon->security = daemon->identity;
    if (config_has(daemon->config, root, "security"))
        pair_read(daemon, root, "security", &daemon->security);
    bool known = people_read(daemon, root, as);
    TRY(config_finish(daemon->config));
    ENSURE(known, WHY_NOT_FOUND);
    return STATUS_OK;
}

enum cli_exit daemon_open(const struct cli_arguments *arguments, struct daemon **out_daemon)
{
    const char *path = cli_option(arguments, "config");
    if (path == NULL)
        path = secure_getenv("CARDKEEP_CONFIG");
    if (path == NULL || path[0] == '\0')
        path = CONFIG_DEFAULT;
    OWNED(daemon_free) struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL) {
        say_error("there is not enough memory");
        return CLI_UNREACHABLE;
    }
    const char *as = cli_option(arguments, "as");
    struct status status = daemon_read(daemon, path, as);
    if (status.why == WHY_NOT_FOUND && daemon->config != NULL && as != NULL) {
        say_error("%s names nobody '%s' under `people`; --as takes one of those", path, as);
        return CLI_USAGE;
    }
    if (failed(status)) {
        const char *error = daemon->config == NULL ? "" : config_error(daemon->config);
        say_error("%s%s; 'cardkeep dev init DIR' makes a configuration, --config names one",
                  error[0] != '\0' ? "" : path, error[0] != '\0' ? error : " cannot be read");
        return CLI_USAGE;
    }
    *out_daemon = MOVE(daemon);
    return CLI_DONE;
}

const char *daemon_address(const struct daemon *daemon, enum daemon_which which)
{
    return daemon->endpoints[which].address;
}

const char *daemon_verifier(const struct daemon *daemon, enum daemon_which which)
{
    return daemon->endpoints[which].verifier;
}

enum cli_exit daemon_probe(const struct daemon *daemon, enum daemon_which which, const char *target,
                           struct daemon_answer *out_answer)
{
    const struct endpoint *endpoint = &daemon->endpoints[which];
    *out_answer = (struct daemon_answer){.body = BUFFER(DAEMON_ANSWER_BYTES_MAX)};
    struct status status = probe_get(endpoint->metrics_host, endpoint->metrics_port, target,
                                     &out_answer->body, &out_answer->status);
    return failed(status) ? CLI_UNREACHABLE : CLI_DONE;
}

struct fetch {
    struct daemon_answer *answer;
    const struct endpoint *endpoint;
    enum daemon_which which;
    bool answered;
};

static void fetch_on_done(void *owner, struct client_answer *answer)
{
    struct fetch *fetch = owner;
    if (answer->result == CLIENT_ANSWERED) {
        fetch->answered = true;
        fetch->answer->status = answer->status;
        buffer_add(&fetch->answer->body, answer->body, answer->body_size);
        return;
    }
    const char *advice = answer->trouble == CLIENT_TROUBLE_TLS
                             ? "do the certificates in the configuration still hold?"
                             : "is it running, and is the address right?";
    say_error("cannot reach the %s at %s (%s); %s", which_names[fetch->which],
              fetch->endpoint->address,
              answer->trouble_text == NULL ? "no answer" : answer->trouble_text, advice);
}

static const struct pair *pair_choose(const struct daemon *daemon,
                                      const struct daemon_request *request)
{
    if (request->as_auditor)
        return &daemon->auditor;
    if (request->as_operator)
        return &daemon->operator;
    return request->as_security ? &daemon->security : &daemon->identity;
}

enum cli_exit daemon_fetch(const struct daemon *daemon, const struct daemon_request *request,
                           struct daemon_answer *out_answer)
{
    assert(request->method != NULL);
    const struct endpoint *endpoint = &daemon->endpoints[request->which];
    const struct pair *pair = pair_choose(daemon, request);
    char key[ENCODE_BASE62_CHARS + 8];
    random_id("cli_", key, sizeof key);
    const char *headers[] = {"Idempotency-Key", key, "Content-Type", "application/json", NULL};
    const char *no_headers[] = {NULL};
    struct client_request sent = {.method = request->method,
                                  .host = endpoint->name,
                                  .port = endpoint->port,
                                  .target = request->target,
                                  .headers = request->body == NULL ? no_headers : headers,
                                  .addresses = endpoint->host,
                                  .authorities = endpoint->authorities,
                                  .certificate = pair->certificate,
                                  .key = pair->key,
                                  .connect_ms = CONNECT_MS,
                                  .total_ms = TOTAL_MS,
                                  .answer_bytes_max = DAEMON_ANSWER_BYTES_MAX};
    if (request->body != NULL) {
        sent.body = request->body->bytes;
        sent.body_size = request->body->size;
    }
    *out_answer = (struct daemon_answer){.body = BUFFER(DAEMON_ANSWER_BYTES_MAX)};
    struct fetch fetch = {.answer = out_answer, .endpoint = endpoint, .which = request->which};
    struct status status = client_fetch(&sent, fetch_on_done, &fetch);
    if (failed(status))
        say_error("cannot ask the %s (%s); can the certificate and key that the configuration "
                  "names be read?",
                  which_names[request->which], status_name(status.why));
    return fetch.answered && !failed(status) ? CLI_DONE : CLI_UNREACHABLE;
}

/* "Nov 22 09:00:00 2026 GMT" of a certificate that has run out: what a caller that is not known
 * looks at first. */
static bool certificate_ran_out(const char *path, char out[static TEXT_BYTES_MAX])
{
    FILE *file = fopen(path, "re");
    X509 *certificate = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);
    BIO *text = BIO_new(BIO_s_mem());
    bool over = false;

    if (certificate != NULL && text != NULL &&
        X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        int size = ASN1_TIME_print(text, X509_get0_notAfter(certificate)) == 1
                       ? BIO_read(text, out, (int)TEXT_BYTES_MAX - 1)
                       : 0;
        out[size > 0 ? size : 0] = '\0';
        over = true;
    }
    BIO_free(text);
    X509_free(certificate);
    if (file != NULL)
        (void)fclose(file);
    return over;
}

static void problem_text(const struct json *json, const char *name, char out[TEXT_BYTES_MAX])
{
    size_t length = 0;
    out[0] = '\0';
    uint32_t node = json_member(json, 0, name);
    if (node == JSON_NONE || failed(json_string(json, node, out, TEXT_BYTES_MAX, &length)))
        out[0] = '\0';
}

static enum cli_exit problem_say(enum daemon_which which, const struct daemon_answer *answer)
{
    struct json_node nodes[PROBLEM_NODES_MAX];
    struct json json;
    size_t at = 0;
    char code[TEXT_BYTES_MAX] = "";
    char title[TEXT_BYTES_MAX] = "";
    char detail[TEXT_BYTES_MAX] = "";
    char field[TEXT_BYTES_MAX] = "";
    char rule[TEXT_BYTES_MAX] = "";
    if (!failed(json_read(answer->body.bytes, answer->body.size, nodes, PROBLEM_NODES_MAX, &json,
                          &at)) &&
        nodes[0].type == JSON_OBJECT) {
        problem_text(&json, "code", code);
        problem_text(&json, "title", title);
        problem_text(&json, "detail", detail);
        problem_text(&json, "field", field);
        problem_text(&json, "rule", rule);
    }
    say_error("the %s answered %d%s%s: %s%s%s%s%s%s%s", which_names[which], answer->status,
              code[0] == '\0' ? "" : " ", code, title[0] == '\0' ? "without saying why" : title,
              detail[0] == '\0' ? "" : " ", detail, field[0] == '\0' ? "" : " Field: ", field,
              rule[0] == '\0' ? "" : " Rule: ", rule);
    if (answer->status == 401 || answer->status == 403)
        return CLI_REFUSED;
    if (strcmp(code, "sealed") == 0)
        return CLI_SEALED;
    return answer->status >= 500 ? CLI_UNREACHABLE : CLI_FOUND;
}

enum cli_exit daemon_ask(const struct daemon *daemon, const struct daemon_request *request,
                         struct daemon_answer *out_answer)
{
    enum cli_exit code = daemon_fetch(daemon, request, out_answer);
    if (code != CLI_DONE || (out_answer->status >= 200 && out_answer->status <= 299))
        return code;
    const char *certificate = pair_choose(daemon, request)->certificate;
    char ended[TEXT_BYTES_MAX];
    if (out_answer->status == 401 && certificate_ran_out(certificate, ended)) {
        say_error("your certificate %s ran out at %s; have a new one issued, and come back with it",
                  certificate, ended);
        return CLI_REFUSED;
    }
    return problem_say(request->which, out_answer);
}
