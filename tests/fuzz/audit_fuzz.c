/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's own forms: trees beside RFC 6962's recursive definition, whole logs as a hostile
 * store would tell them, epochs, what a signer says first, queries, and entries made of any texts.
 * The first byte says which. */
#include <sodium.h>
#include <stdio.h>

#include "base/json.h"
#include "base/own.h"
#include "base/redact.h"
#include "policies/audit_page.h"
#include "policies/audit_verify.h"
#include "policies/epoch.h"
#include "policies/signer.h"
#include "tests/fuzz/require.h"

#define ORIGIN     "vault.example/audit/test-1"
#define LEAVES_MAX 512u
#define NODES_MAX  1024u
#define BYTES_MAX  16384u

/* The key of the worked checkpoint in the corpus of note_fuzz.c. */
static const char log_key[] = ORIGIN "+4bc78077+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

static struct note_key key;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    must(note_key_parse(log_key, &key));
    return 0;
}

struct leaves {
    uint8_t hashes[LEAVES_MAX][MERKLE_HASH_BYTES];
    unsigned count;
};

/* RFC 6962 section 2.1, bottom up: pairs of one level make the next, and what is left over goes up
 * as it is, which is the same tree as the one that is split at powers of two. */
static void root_of(const struct leaves *leaves, uint8_t out[static MERKLE_HASH_BYTES])
{
    static struct leaves level;
    uint8_t pair[1 + 2 * MERKLE_HASH_BYTES] = {1};

    level = *leaves;
    if (level.count == 0) {
        crypto_hash_sha256(out, pair, 0);
        return;
    }
    while (level.count > 1) {
        for (unsigned i = 0; i + 1 < level.count; i += 2) {
            memcpy(pair + 1, level.hashes[i], (size_t)2 * MERKLE_HASH_BYTES);
            crypto_hash_sha256(level.hashes[i / 2], pair, sizeof pair);
        }
        if (level.count % 2 == 1)
            memmove(level.hashes[level.count / 2], level.hashes[level.count - 1],
                    MERKLE_HASH_BYTES);
        level.count = (level.count + 1) / 2;
    }
    memcpy(out, level.hashes[0], MERKLE_HASH_BYTES);
}

/* Entries end at line ends; the tree is stored and read again behind each of them. */
static void tree(const uint8_t *data, size_t size)
{
    static struct leaves leaves;
    static uint8_t marked[BYTES_MAX + 1];
    struct merkle_frontier frontier = {0};
    uint8_t ours[MERKLE_HASH_BYTES];
    uint8_t theirs[MERKLE_HASH_BYTES];

    leaves.count = 0;
    for (size_t at = 0; at < size && leaves.count < LEAVES_MAX;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - (data + at));
        uint8_t leaf[MERKLE_HASH_BYTES];
        merkle_leaf(data + at, length, leaf);
        marked[0] = 0;
        memcpy(marked + 1, data + at, length);
        crypto_hash_sha256(leaves.hashes[leaves.count], marked, length + 1);
        require(memcmp(leaf, leaves.hashes[leaves.count++], sizeof leaf) == 0);
        merkle_add(&frontier, leaf);

        struct buffer stored OWNED(buffer_free) = BUFFER(4096);
        merkle_frontier_encode(&frontier, &stored);
        must(buffer_status(&stored));
        must(merkle_frontier_decode(stored.bytes, stored.size, &frontier));
        at += length + 1;
    }
    require(frontier.size == leaves.count);
    merkle_root(&frontier, ours);
    root_of(&leaves, theirs);
    require(memcmp(ours, theirs, sizeof ours) == 0);
}

/* A line is an entry; "!" begins a note that a line "!" ends.  One checkpoint was ever signed by
 * this key, over entries that nobody has: no log is good. */
static void log_verify(const uint8_t *data, size_t size)
{
    struct audit_verify *verify OWNED(audit_verify_free) = NULL;
    struct audit_verdict verdict;
    uint64_t entries = 0;

    must(audit_verify_new(ORIGIN, &key, &verify));
    for (size_t at = 0; at < size;) {
        bool note = data[at] == '!';
        at += note;
        const uint8_t *end =
            note ? memmem(data + at, size - at, "\n!", 2) : memchr(data + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - (data + at));
        if (note) {
            audit_verify_checkpoint(verify, data + at, length);
        } else {
            audit_verify_entry(verify, data + at, length);
            entries++;
        }
        at += length + (note ? 3 : 1);
    }
    audit_verify_end(verify, &verdict);
    require(!verdict.good && verdict.trouble[0] != '\0');
    require(verdict.entries <= entries && verdict.epoch >= 1);
    require(strnlen(verdict.trouble, sizeof verdict.trouble) < sizeof verdict.trouble);
    struct redact_hit hit;
    require(!redact_find((const uint8_t *)verdict.trouble, strlen(verdict.trouble), 0, &hit));
}

static void epoch_texts(const char *text)
{
    struct epoch_statement statement;
    char again[EPOCH_TEXT_BYTES_MAX];
    char name[NOTE_NAME_BYTES_MAX];

    if (!failed(epoch_statement_parse(text, &statement))) {
        require(statement.given && statement.epoch >= 2 && statement.epoch <= EPOCH_MAX);
        epoch_statement_text(&statement, again);
        require(strcmp(again, text) == 0);
    }
    uint32_t epoch = epoch_of("log", text);
    if (epoch > 0) {
        must(epoch_origin("log", epoch, name));
        require(strcmp(name, text) == 0);
    }
}

static void epochs(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_over(data, size);
    struct epoch_fork fork;
    char *text = text_of(data, size);

    epoch_texts(text);
    free(text);
    epoch_fork_decode(&in, &fork);
    if (in.bad)
        return;
    struct buffer again OWNED(buffer_free) = BUFFER(4096);
    epoch_fork_encode(&fork, &again);
    must(buffer_status(&again));
    require(same_bytes(again.bytes, again.size, data, in.at));
    char said[EPOCH_ENTRY_BYTES_MAX];
    epoch_fork_text(&fork, said);
    const char *by = strstr(said, "; accepted by ");
    require(by != NULL && (fork.by[0] == '\0' || strstr(by, fork.by) != NULL));
}

/* Nothing that the key at hand did not sign comes out of either. */
static void successions(const uint8_t *data, size_t size)
{
    struct frame frame = {.type = SIGNER_KEYS, .body = data, .size = (uint32_t)size};
    struct signer_keys keys;
    struct succession read;
    char *text = text_of(data, size);
    char *detail = strchr(text, '\n');

    if (detail != NULL) {
        *detail++ = '\0';
        if (!failed(succession_read(text, detail, &read)))
            require(succession_holds(&read) && strcmp(read.from.name, read.to.name) == 0);
    }
    free(text);
    if (failed(signer_keys_parse(&frame, &keys)))
        return;
    require(keys.has_next || !keys.both);
    require(!keys.has_next || succession_holds(&keys.succession));
}

static void hello(const uint8_t *data, size_t size)
{
    struct frame frame = {.type = SIGNER_HELLO, .body = data, .size = (uint32_t)size};
    struct checkpoint last;
    struct note_key said;
    struct epoch_fork fork;
    char text[NOTE_NAME_BYTES_MAX + 64];

    successions(data, size);
    if (failed(signer_hello_parse(&frame, &last, &said, &fork)))
        return;
    note_key_text(&said, text, sizeof text);
    require(memmem(data, size, text, strlen(text)) != NULL);
    require(strcmp(last.origin, said.name) == 0 && fork.epoch >= 1);
}

static void query(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    char again[64];
    uint64_t start = 0;
    uint64_t start_again = 0;
    unsigned limit = 0;
    unsigned limit_again = 0;

    if (!failed(audit_page_query(text, &start, &limit))) {
        require(limit >= 1 && limit <= AUDIT_PAGE_ENTRIES_MAX);
        (void)snprintf(again, sizeof again, "limit=%u&start=%llu", limit,
                       (unsigned long long)start);
        must(audit_page_query(again, &start_again, &limit_again));
        require(start == start_again && limit == limit_again);
        require(strspn(text, "startlimit=&0123456789") == strlen(text));
    }
    free(text);
}

/* Texts that end at NULs become an entry: JSON, with its sequence number and no card in any text
 * but event and outcome, which are the daemon's own. */
static void entry(const uint8_t *data, size_t size)
{
    static struct json_node nodes[NODES_MAX];
    struct buffer out OWNED(buffer_free) = BUFFER(2 * AUDIT_ENTRY_BYTES_MAX);
    char *text = text_of(data, size);
    const char *texts[12] = {"-", "-", "-", "-"};
    const char *at = text;
    struct json json;
    size_t wrong = 0;
    int64_t seq = 0;

    for (unsigned i = 0; i < 12 && at <= text + size; i++, at += strlen(at) + 1)
        texts[i] = at;
    const struct audit_item items[] = {{.object = texts[8], .outcome = texts[9]},
                                       {.object = texts[9], .outcome = "ok", .key_id = size}};
    struct audit_entry written = {.ts_ms = 1795420800000,
                                  .actor = texts[0],
                                  .origin = texts[1],
                                  .event = texts[2],
                                  .outcome = texts[3],
                                  .object = texts[4],
                                  .purpose = texts[5],
                                  .detail = texts[6],
                                  .request_id = texts[7],
                                  .items = items,
                                  .item_count = texts[9] != NULL ? 2 : 0};
    struct status status = audit_entry_write(&written, 7, &out);
    free(text);
    if (failed(status)) {
        require(status.why == WHY_LIMIT);
        return;
    }
    require(out.size <= AUDIT_ENTRY_BYTES_MAX);
    must(json_read(out.bytes, out.size, nodes, NODES_MAX, &json, &wrong));
    must(json_int(&json, json_member(&json, 0, "seq"), &seq));
    require(seq == 7);
    static const char *const free_texts[] = {"actor",   "origin", "object",
                                             "purpose", "detail", "request_id"};
    for (unsigned i = 0; i < sizeof free_texts / sizeof free_texts[0]; i++) {
        static char value[BYTES_MAX * 3];
        size_t length = 0;
        struct redact_hit hit;
        uint32_t node = json_member(&json, 0, free_texts[i]);
        if (node != JSON_NONE && !failed(json_read_text(&json, node, value, sizeof value, &length)))
            require(!redact_find((const uint8_t *)value, length, 0, &hit));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {tree,  log_verify, epochs,
                                                               hello, query,      entry};
    if (size < 1 || size > BYTES_MAX)
        return 0;
    readers[data[0] % (sizeof readers / sizeof readers[0])](data + 1, size - 1);
    return 0;
}
