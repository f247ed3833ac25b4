/* SPDX-License-Identifier: Apache-2.0 */
/* `audit verify` against a daemon that may lie: a TLS server of this test's own. */
#include "vault/cli/audit.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/http.h"
#include "base/json.h"
#include "policies/audit_entry.h"
#include "policies/merkle.h"
#include "policies/note.h"
#include "vault/cli/dev.h"
#include "vault/cli/files.h"
#include "vault/contract.h"

#define ENTRIES       600u
#define SIGNED_FIRST  300u
#define SIGNED_SECOND 590u
#define ORIGIN        "localhost/cardkeep/vault"
#define PAGE_BYTES    (4u << 20)

static char folder[64];
static char target[80];
static char config[112];

/* The log as served: a test changes it. */
static struct buffer entries[ENTRIES];
static unsigned entry_count;
static struct buffer notes[2];
static unsigned note_count;
static unsigned newest; /* Which of the notes is served as the newest. */
static int status_served = 200;

static struct loop *loop;
static struct tls_server *tls;
static struct http_server *server;
static pthread_t thread;

static void answer(struct http_call *call, int status, const struct buffer *body)
{
    http_answer(call, &(struct http_answer){.status = status,
                                            .content_type = "application/json",
                                            .body = body->bytes,
                                            .body_size = body->size});
}

static void page_answer(struct http_call *call)
{
    unsigned start = 0;
    unsigned limit = 0;
    cr_assert_eq(sscanf(http_query(call), "start=%u&limit=%u", &start, &limit), 2);
    cr_assert_leq(limit, CONTRACT_AUDIT_ENTRIES_MAX);
    struct buffer body = BUFFER(PAGE_BYTES);
    struct json_writer writer = json_writer_over(&body);
    unsigned end = start + limit < entry_count ? start + limit : entry_count;
    json_begin_object(&writer);
    json_put_member_int(&writer, "size", entry_count);
    json_put_member_int(&writer, "start", start);
    json_key(&writer, "entries");
    json_begin_array(&writer);
    for (unsigned i = start; i < end; i++)
        json_put_bytes(&writer, entries[i].bytes, entries[i].size);
    json_end_array(&writer);
    json_key(&writer, "checkpoints");
    json_begin_array(&writer);
    static const unsigned sizes[] = {SIGNED_FIRST, SIGNED_SECOND};
    for (unsigned i = 0; i < note_count; i++)
        if (sizes[i] > start && sizes[i] <= end)
            json_put_bytes(&writer, notes[i].bytes, notes[i].size);
    json_end_array(&writer);
    json_end_object(&writer);
    cr_assert(!failed(buffer_status(&body)));
    answer(call, 200, &body);
    buffer_free(&body);
}

static void on_call(void *owner, struct http_call *call)
{
    (void)owner;
    cr_assert(http_peer(call)->verified);
    cr_assert_str_eq(http_peer(call)->uri, "urn:cardkeep:auditor");
    if (status_served != 200) {
        http_answer_problem(
            call,
            &(struct http_problem){.status = status_served,
                                   .code = status_served == 503 ? "sealed" : "denied",
                                   .title = "No."},
            NULL);
        return;
    }
    if (strcmp(http_path(call), CONTRACT_PATH_AUDIT_CHECKPOINT) == 0)
        answer(call, 200, &notes[newest]);
    else
        page_answer(call);
}

static void note_make(struct buffer *out, const struct merkle_frontier *frontier,
                      const struct secret *seed)
{
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = frontier->size};
    struct note_key key;
    struct buffer text = BUFFER(1024);
    merkle_root(frontier, checkpoint.root);
    checkpoint_text(&checkpoint, &text);
    cr_assert(!failed(note_key_from_seed(ORIGIN, seed, &key)));
    *out = BUFFER(NOTE_BYTES_MAX);
    cr_assert(!failed(note_sign((const char *)text.bytes, text.size, &key, seed, out)));
    buffer_free(&text);
}

static void log_make(void)
{
    char path[128];
    char hex[65] = "";
    struct secret *seed = NULL;
    snprintf(path, sizeof path, "%s/keys/vault-signer.key", target);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_eq(fread(hex, 1, 64, file), 64);
    fclose(file);
    cr_assert(!failed(secret_new_key(32, &seed)));
    cr_assert(!failed(decode_hex(hex, 64, secret_bytes(seed), 32)));
    struct merkle_frontier frontier = {0};
    for (entry_count = 0; entry_count < ENTRIES; entry_count++) {
        if (entry_count == SIGNED_FIRST)
            note_make(&notes[0], &frontier, seed);
        if (entry_count == SIGNED_SECOND)
            note_make(&notes[1], &frontier, seed);
        struct audit_entry entry = {.ts_ms = 1,
                                    .actor = "shop",
                                    .origin = "test",
                                    .event = "card.tokenize",
                                    .outcome = "ok"};
        entries[entry_count] = BUFFER(4096);
        cr_assert(!failed(audit_entry_write(&entry, entry_count, &entries[entry_count])));
        uint8_t leaf[MERKLE_HASH_BYTES];
        merkle_leaf(entries[entry_count].bytes, entries[entry_count].size, leaf);
        merkle_add(&frontier, leaf);
    }
    note_count = 2;
    newest = 1;
    secret_free(&seed);
}

static void *loop_thread(void *owner)
{
    (void)owner;
    loop_run(loop);
    return NULL;
}

static void server_start(uint16_t *out_port)
{
    char error[512] = "";
    char certificate[128];
    char key[128];
    char authority[128];
    snprintf(certificate, sizeof certificate, "%s/tls/vault/vault.pem", target);
    snprintf(key, sizeof key, "%s/tls/vault/vault.key", target);
    snprintf(authority, sizeof authority, "%s/tls/ca.pem", target);
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(tls_server_new(certificate, key, authority, &tls, error, sizeof error)), "%s",
              error);
    struct http_server_options options = {
        .loop = loop, .limits = http_limits_default(), .on_call = on_call, .component = "vault"};
    struct http_listen listen = {.address = "127.0.0.1", .tls = tls};
    cr_assert(!failed(http_server_new(&options, &server)));
    cr_assert(!failed(http_server_listen(server, &listen, error, sizeof error)), "%s", error);
    *out_port = listen.bound_port;
    cr_assert(pthread_create(&thread, NULL, loop_thread, NULL) == 0);
}

/* The configuration of `dev init`, but for the port that the server was given. */
static void config_make(uint16_t port)
{
    FILE *file = fopen(config, "we");
    cr_assert_not_null(file);
    for (unsigned i = 0; i < 2; i++)
        fprintf(file,
                "%s: {address: \"127.0.0.1:%u\", name: localhost, authorities: tls/ca.pem, "
                "metrics: \"127.0.0.1:1\"}\n",
                i == 0 ? "vault" : "relay", port);
    fprintf(file, "identity: {certificate: tls/shop.pem, key: tls/shop.key}\n"
                  "auditor: {certificate: tls/auditor.pem, key: tls/auditor.key}\n"
                  "verifiers: {vault: keys/vault-signer.pub, relay: keys/relay-signer.pub}\n");
    cr_assert(fclose(file) == 0);
}

static void make(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    uint16_t port = 0;
    cr_redirect_stdout();
    cr_redirect_stderr();
    cr_assert(sigaction(SIGPIPE, &ignore, NULL) == 0);
    cr_assert(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "/tmp/cardkeep-audit-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(target, sizeof target, "%s/dev", folder);
    snprintf(config, sizeof config, "%s/test.yaml", target);
    struct cli_arguments arguments = {.words = {target}, .word_count = 1};
    arguments.options[arguments.option_count++] =
        (struct cli_option){.name = "gateways", .value = folder};
    cr_assert_eq(dev_init(&arguments), CLI_DONE);
    log_make();
    server_start(&port);
    config_make(port);
}

static void drop(void)
{
    loop_stop(loop);
    cr_assert(pthread_join(thread, NULL) == 0);
    http_server_free(&server);
    tls_server_free(&tls);
    loop_free(&loop);
    for (unsigned i = 0; i < ENTRIES; i++)
        buffer_free(&entries[i]);
    buffer_free(&notes[0]);
    buffer_free(&notes[1]);
    files_remove_tree(folder);
}

TestSuite(audit, .init = make, .fini = drop, .timeout = 30);

static enum cli_exit verify(const char *switched_on)
{
    struct cli_arguments arguments = {0};
    arguments.options[arguments.option_count++] =
        (struct cli_option){.name = "config", .value = config};
    if (switched_on != NULL)
        arguments.options[arguments.option_count++] =
            (struct cli_option){.name = switched_on, .value = ""};
    return audit_verify_command(&arguments);
}

Test(audit, holds_for_a_whole_log_over_many_pages)
{
    cr_expect_eq(verify(NULL), CLI_DONE);
    cr_expect_eq(verify("json"), CLI_DONE);
}

Test(audit, finds_a_byte_changed_in_any_signed_entry)
{
    static const unsigned where[] = {0, 1, 255, 256, SIGNED_FIRST, SIGNED_SECOND - 1};
    for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
        uint8_t *byte = (uint8_t *)strstr(buffer_text(&entries[where[i]]), "shop");
        cr_assert_not_null(byte);
        *byte = 'S';
        cr_expect_eq(verify(NULL), CLI_FOUND, "entry %u", where[i]);
        *byte = 's';
    }
    cr_expect_eq(verify(NULL), CLI_DONE);
}

Test(audit, finds_a_log_cut_short_of_what_was_signed)
{
    entry_count = SIGNED_SECOND - 1;
    cr_expect_eq(verify(NULL), CLI_FOUND);
    note_count = 1; /* And the pages do not show that more was signed. */
    cr_expect_eq(verify(NULL), CLI_FOUND);
    entry_count = ENTRIES;
    cr_expect_eq(verify(NULL), CLI_FOUND, "a checkpoint held back");
    newest = 0;
    cr_expect_eq(verify(NULL), CLI_DONE, "all that is known of is the first");
}

Test(audit, finds_entries_swapped)
{
    struct buffer kept = entries[10];
    entries[10] = entries[11];
    entries[11] = kept;
    cr_expect_eq(verify(NULL), CLI_FOUND);
}

Test(audit, finds_a_checkpoint_by_another_key)
{
    uint8_t *byte = notes[0].bytes + notes[0].size - 10;
    uint8_t before = *byte;
    *byte = before == 'A' ? 'B' : 'A';
    cr_expect_eq(verify(NULL), CLI_FOUND);
    *byte = before;
    cr_expect_eq(verify("relay"), CLI_FOUND, "the relay's key did not sign the vault's log");
}

Test(audit, says_who_refused_and_who_is_sealed)
{
    status_served = 403;
    cr_expect_eq(verify(NULL), CLI_REFUSED);
    status_served = 503;
    cr_expect_eq(verify(NULL), CLI_SEALED);
}

Test(audit, shows_the_newest_entries)
{
    struct cli_arguments arguments = {0};
    arguments.options[arguments.option_count++] =
        (struct cli_option){.name = "config", .value = config};
    arguments.options[arguments.option_count++] =
        (struct cli_option){.name = "count", .value = "300"};
    cr_expect_eq(audit_tail_command(&arguments), CLI_DONE);
    fflush(stdout);
    FILE *out = cr_get_redirected_stdout();
    static char text[1u << 20];
    size_t size = fread(text, 1, sizeof text - 1, out);
    text[size] = '\0';
    cr_expect_null(strstr(text, "     299  "));
    cr_expect_not_null(strstr(text, "     300  "));
    cr_expect_not_null(strstr(text, "     599  "));
}
