/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds bytes to whatever reads notes, proofs, checkpoints, verifier keys and frontiers.  What is
 * read must be written again as it came; no note may open but the one that this key has signed, and
 * no proof but of what it is over. */
#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "policies/note.h"
#include "policies/proof.h"

/* The worked checkpoint's log; its note is in the corpus. */
static const char log_key[] =
    "vault.example/audit/test-1+4bc78077+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
static const char signed_text[] =
    "vault.example/audit/test-1\n5\nFH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB0=\n";

static struct note_key key;

static void key_make(void)
{
    if (sodium_init() < 0 || failed(note_key_parse(log_key, &key)))
        abort();
}

static void note_read(const uint8_t *data, size_t size)
{
    const char *text = NULL;
    size_t text_size = 0;

    if (failed(note_open(data, size, &key, 1, &text, &text_size)))
        return;
    assert(text_size == sizeof signed_text - 1);
    assert(memcmp(text, signed_text, text_size) == 0);
}

static void checkpoint_read(const uint8_t *data, size_t size)
{
    OWNED(buffer_free) struct buffer again = BUFFER(1024);
    struct checkpoint checkpoint;

    if (failed(checkpoint_parse((const char *)data, size, &checkpoint)))
        return;
    checkpoint_text(&checkpoint, &again);
    assert(!failed(buffer_status(&again)));
    assert(again.size == size);
    assert(memcmp(again.bytes, data, size) == 0);
}

static void key_read(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1);
    char again[NOTE_NAME_BYTES_MAX + 64];
    struct note_key parsed;

    if (text == NULL)
        return;
    if (size > 0)
        memcpy(text, data, size);
    if (!failed(note_key_parse(text, &parsed))) {
        note_key_text(&parsed, again, sizeof again);
        assert(strcmp(again, text) == 0);
    }
    free(text);
}

static void frontier_read(const uint8_t *data, size_t size)
{
    OWNED(buffer_free) struct buffer again = BUFFER(4096);
    struct merkle_frontier frontier;
    uint8_t root[MERKLE_HASH_BYTES];

    if (failed(merkle_frontier_decode(data, size, &frontier)))
        return;
    merkle_root(&frontier, root);
    merkle_frontier_encode(&frontier, &again);
    assert(again.size == size);
    assert(memcmp(again.bytes, data, size) == 0);
}

/* No entry is proven but the five that the checkpoint is over. */
static void proof_read(const uint8_t *data, size_t size)
{
    OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    struct proof proof;

    if (failed(proof_open(data, size, "vault.example/audit/test-1", &key, &entry, &proof)))
        return;
    assert(proof.size == 5);
    assert(proof.index < 5);
    assert(entry.size == 9);
    assert(memcmp(entry.bytes, "{\"seq\":", 7) == 0);
    assert(entry.bytes[7] == '0' + proof.index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (key.name[0] == '\0')
        key_make();
    note_read(data, size);
    proof_read(data, size);
    checkpoint_read(data, size);
    key_read(data, size);
    frontier_read(data, size);
    return 0;
}
