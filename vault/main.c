/* SPDX-License-Identifier: Apache-2.0 */
/* cardkeep-vault: keeps cards, gives tokens for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/daemon.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/own.h"
#include "base/sandbox.h"
#include "base/supervise.h"
#include "base/tls_files.h"
#include "policies/policy.h"
#include "policies/signer_process.h"
#include "vault/front.h"
#include "vault/hsm.h"
#include "vault/keeper.h"
#include "vault/keeper_verify.h"
#include "vault/settings.h"

#define ERROR_MAX        768u
#define VERIFY_TEXT_MAX  16384u
#define FINDING_KEY_MAX  64u
#define LOG_KEYS_MAX     8u
#define FINDING_TEXT_MAX 1024u

static const char usage[] =
    "usage: cardkeep-vault --config FILE [--check | --verify-store [--verifier KEY] [--json]\n"
    "                      [--store DIR]]\n"
    "                      [--accept-rollback WORD]\n"
    "\n"
    "Keeps cards and gives tokens for them; gives cards to relays that policies allow.\n"
    "\n"
    "  --config FILE  the configuration\n"
    "  --check        say what was understood of it, and leave\n"
    "  --verify-store name every row of the store that is not what was written last, and leave\n"
    "  --verifier KEY with it: the .pub file of the signer, to ask the log's signatures as well\n"
    "  --json         with it: one JSON object a line\n"
    "  --store DIR    with it: another store than the configuration's, restored from a backup\n"
    "  --accept-rollback SIZE:ROOT:EPOCH\n"
    "                 go on from a store that is older than what was signed; the log line that\n"
    "                 refuses it names the three, and both logs keep who said so\n"
    "  --version      say the version\n"
    "  --help         say this\n"
    "\n"
    "Exit codes: 0 done, 1 failed and may be tried again, or a store with something in it that\n"
    "is not right, 2 wrong usage or configuration.\n"
    "\n"
    "  cardkeep-vault --config vault.yaml --check\n"
    "  curl --cert app.pem --key app.key --cacert ca.pem https://localhost:8443/v1/tokens \\\n"
    "       -H 'Content-Type: application/json' \\\n"
    "       -d '{\"number\": \"4242424242424242\", \"exp_month\": 12, \"exp_year\": 2031}'\n";

/* The supervisor tells all to end at one time, but the keeper goes when the front is gone, and the
 * signer when the keeper is: what was begun is answered, and the last entries are signed. */
static int run_keeper(void *owner, int control_fd)
{
    return supervise_ignore_term() ? keeper_run(owner, control_fd) : EXIT_FAILURE;
}

static int run_signer(void *owner, int core_fd)
{
    const struct settings *settings = owner;
    struct signer_process process = {
        .options = {.origin = settings->origin,
                    .key_path = settings->signer_key,
                    .state_path = settings->signer_state,
                    .fd = core_fd,
                    .accept = &settings->accept},
        .component = "signer",
        .level = settings->log_level,
        .user = settings->user,
        .production = settings->production,
    };
    return signer_process_run(&process);
}

static bool can_read(const char *what, const char *path)
{
    if (access(path, R_OK) == 0)
        return true;
    (void)fprintf(stderr, "cardkeep-vault: %s: %s: %s\n", what, path, strerror(errno));
    return false;
}

/* That they are some, belong together, and hold today. */
static bool check_certificate(const struct settings *settings)
{
    const struct tls_files files = {.certificate = settings->api.certificate,
                                    .key = settings->api.key,
                                    .authorities = settings->api.clients};
    struct tls_facts facts = {0};
    char error[ERROR_MAX] = "memory ran out";

    if (!failed(tls_files_check(&files, clock_now_ms(), &facts, error, sizeof error)))
        return true;
    (void)fprintf(stderr, "cardkeep-vault: listen: api: %s\n", error);
    return false;
}

static int check(const struct settings *settings)
{
    OWNED(policy_free) struct policy *policy = NULL;
    char error[POLICY_ERROR_MAX] = "";
    bool good =
        check_certificate(settings) &&
        (settings->seal_path == NULL || can_read("the seal", settings->seal_path)) &&
        (settings->hsm.module == NULL || (can_read("the HSM's module", settings->hsm.module) &&
                                          can_read("the HSM's PIN", settings->hsm.pin))) &&
        can_read("the signer's key", settings->signer_key);

    if (!good)
        return DAEMON_EXIT_USAGE;
    if (failed(policy_load(settings->policies, &policy, error, sizeof error)) ||
        (settings->production && failed(policy_check_retention(policy, error, sizeof error)))) {
        (void)fprintf(stderr, "cardkeep-vault: %s\n", error);
        return DAEMON_EXIT_USAGE;
    }
    settings_print(settings, stdout);
    daemon_print_guards(stdout);
    return EXIT_SUCCESS;
}

enum option {
    OPTION_VERIFY_STORE,
    OPTION_ACCEPT_ROLLBACK,
    OPTION_VERIFIER,
    OPTION_JSON,
    OPTION_STORE
};

static const struct daemon_option own_options[] = {
    [OPTION_VERIFY_STORE] = {"verify-store", false},
    [OPTION_ACCEPT_ROLLBACK] = {"accept-rollback", true},
    [OPTION_VERIFIER] = {"verifier", true},
    [OPTION_JSON] = {"json", false},
    [OPTION_STORE] = {"store", true},
    {NULL, false},
};

static void show_progress(void *owner, const char *family, uint64_t rows)
{
    (void)owner;
    (void)fprintf(stderr, "\r%llu rows (%s) ", (unsigned long long)rows, family);
}

/* One finding a line; as JSON, one object a line. */
static void show_finding(void *owner, const struct keeper_finding *finding)
{
    const bool *json = owner;
    char key[2 * FINDING_KEY_MAX + 1] = "";
    struct buffer line OWNED(buffer_free) = BUFFER(FINDING_TEXT_MAX);

    if (finding->key_size <= FINDING_KEY_MAX)
        encode_hex(finding->key, finding->key_size, key);
    if (*json) {
        struct json_writer writer = json_writer_over(&line);
        json_begin_object(&writer);
        json_put_member(&writer, "family", finding->family);
        json_put_member(&writer, "key", key);
        json_put_member(&writer, "kind", finding->kind);
        json_put_member(&writer, "text", finding->text);
        json_end_object(&writer);
    } else
        buffer_format(&line, "%s %s is %s: %s", finding->family, key, finding->kind, finding->text);
    (void)printf("%s\n", buffer_text(&line));
}

/* One line a key; how many there are, 0 after it was said that they are none. */
static unsigned log_keys_read(const char *path, struct note_key out_keys[static LOG_KEYS_MAX])
{
    char text[LOG_KEYS_MAX * (NOTE_NAME_BYTES_MAX + 66u)] = "";
    FILE *file = fopen(path, "re");
    unsigned count = 0;

    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        (void)fclose(file);
    }
    for (char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\r\n");
        char *next = line + size + strspn(line + size, "\r\n");
        line[size] = '\0';
        if (count == LOG_KEYS_MAX || failed(note_key_parse(line, &out_keys[count]))) {
            count = 0;
            break;
        }
        count++;
        line = next;
    }
    if (count == 0)
        (void)fprintf(stderr, "cardkeep-vault: %s holds no verifier key (name+id+key)\n", path);
    return count;
}

static void show_summary(struct buffer *text, bool json, enum keeper_verdict verdict)
{
    static const char *const names[] = {
        [KEEPER_VERIFY_GOOD] = "good", [KEEPER_VERIFY_BAD] = "bad", [KEEPER_VERIFY_SHUT] = "shut"};
    struct buffer line OWNED(buffer_free) = BUFFER(2 * VERIFY_TEXT_MAX);
    struct json_writer writer = json_writer_over(&line);

    if (!json) {
        (void)fputs(buffer_text(text), stdout);
        return;
    }
    json_begin_object(&writer);
    json_put_member(&writer, "verdict", names[verdict]);
    json_put_member(&writer, "summary", buffer_text(text));
    json_end_object(&writer);
    (void)printf("%s\n", buffer_text(&line));
}

/* A process with the HSM's module, for what has no supervisor; it leaves with its socket.  -1: no
 * HSM, or no process to be had, which is then said where its root is missing. */
static int hsm_start(const struct settings *settings)
{
    int ends[2];

    if (settings->hsm.module == NULL ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct settings own = *settings;
        (void)close(ends[0]);
        _exit(failed(sandbox_die_with_parent()) ? EXIT_FAILURE : hsm_run(&own, ends[1]));
    }
    (void)close(ends[1]);
    if (pid > 0)
        return ends[0];
    (void)close(ends[0]);
    return -1;
}

/* What a rehearsal opens is a backup: older than what the signer knows, as it should be. */
static void store_choose(struct settings *settings, const char *store)
{
    if (store == NULL)
        return;
    settings->data = store;
    settings->signer_state = NULL;
}

static int verify_store(struct settings *settings, const struct daemon_call *call)
{
    struct note_key log_keys[LOG_KEYS_MAX];
    unsigned log_key_count = 0;
    const char *verifier = call->values[OPTION_VERIFIER];
    bool json = call->values[OPTION_JSON] != NULL;

    struct buffer text OWNED(buffer_free) = BUFFER(VERIFY_TEXT_MAX);
    /* The filter of system calls has no ioctl(), by which the C library knows a terminal. */
    static char room[BUFSIZ];
    bool terminal = isatty(STDERR_FILENO) == 1;

    if (verifier != NULL)
        log_key_count = log_keys_read(verifier, log_keys);
    if (verifier != NULL && log_key_count == 0)
        return DAEMON_EXIT_USAGE;
    store_choose(settings, call->values[OPTION_STORE]);
    (void)setvbuf(stdout, room, _IOFBF, sizeof room);
    struct keeper_verify_options options = {
        .log_keys = log_keys,
        .log_key_count = log_key_count,
        .found = show_finding,
        .progress = terminal ? show_progress : NULL,
        .owner = &json,
        .hsm_fd = hsm_start(settings),
    };
    enum keeper_verdict verdict = keeper_verify_run(settings, &options, &text);
    if (terminal)
        (void)fputs("\r", stderr);
    show_summary(&text, json, verdict);
    (void)fflush(stdout);
    return verdict == KEEPER_VERIFY_GOOD  ? EXIT_SUCCESS
           : verdict == KEEPER_VERIFY_BAD ? EXIT_FAILURE
                                          : DAEMON_EXIT_USAGE;
}

static int run(const struct daemon_call *call)
{
    struct settings settings OWNED(settings_close) = {0};
    char error[ERROR_MAX] = "";

    if (failed(settings_read(call->config_path, &settings, error, sizeof error))) {
        (void)fprintf(stderr, "cardkeep-vault: %s\n", error);
        return DAEMON_EXIT_USAGE;
    }
    if (call->only_check)
        return check(&settings);
    if (call->values[OPTION_VERIFY_STORE] != NULL)
        return verify_store(&settings, call);
    const char *accept = call->values[OPTION_ACCEPT_ROLLBACK];
    if (accept != NULL && failed(epoch_statement_take(accept, &settings.accept))) {
        (void)fputs(
            "cardkeep-vault: --accept-rollback takes SIZE:ROOT:EPOCH, as the log line has it "
            "that refuses an older store\n",
            stderr);
        return DAEMON_EXIT_USAGE;
    }
    struct supervise_options options = {
        .core_name = "keeper",
        .core = run_keeper,
        .satellites = {{.name = "front", .run = front_run, .hears_hangup = true},
                       {.name = "signer", .run = run_signer}},
        .satellite_count = 2,
        .owner = &settings,
    };
    if (settings.hsm.module != NULL)
        options.satellites[options.satellite_count++] =
            (struct supervise_satellite){.name = "hsm", .run = hsm_run};
    return daemon_supervise(&options, settings.production);
}

int main(int argc, char **argv)
{
    static const struct daemon_command command = {.usage = usage,
                                                  .version = "cardkeep-vault " CARDKEEP_VERSION,
                                                  .options = own_options,
                                                  .run = run};

    return daemon_main(argc, argv, &command);
}
