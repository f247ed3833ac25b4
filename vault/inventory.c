/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/inventory: the cryptographic architecture as it is in force (KEY-2, DOC-2, TLS-4), but
 * for the keys one by one, which /v1/keys has.  What the front knows of its certificates comes with
 * the request. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/keyring_rotate.h"
#include "vault/keeper_seal.h"
#include "vault/keeper_text.h"
#include "vault/key_view.h"

#define BODY_BYTES_MAX (256u * 1024u)
#define DUE_MAX        64u

/* What stands in the code and is chosen there: one row for each primitive that touches a card, a
 * key or the log. */
static const struct algorithm {
    const char *kind;
    const char *name;
    const char *id; /* As stored, "" where it is not. */
    const char *where;
} algorithms[] = {
    {"aead", "AES-256-GCM with key commitment", "1", "records, wrapped keys, CVV cells"},
    {"aead", "XChaCha20-Poly1305 with key commitment", "2", "records, after a migration to it"},
    {"kdf", "KBKDF-HMAC-SHA-256 (NIST SP 800-108)", "", "a key for each object, from its DEK"},
    {"mac", "HMAC-SHA-256", "", "fingerprints, token index, seals of rows, the ring's manifest"},
    {"hash", "SHA-256", "", "the log's Merkle tree (RFC 6962), digests of certificates"},
    {"signature", "Ed25519", "1", "checkpoints of the audit log (C2SP signed notes)"},
    {"random", "getrandom(2), through libsodium and OpenSSL", "", "keys, tokens, salts, nonces"},
};

static void put_algorithms(struct json_writer *out)
{
    json_key(out, "algorithms");
    json_begin_array(out);
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        json_begin_object(out);
        json_put_member(out, "kind", algorithms[i].kind);
        json_put_member(out, "name", algorithms[i].name);
        json_put_member(out, "id", algorithms[i].id[0] == '\0' ? NULL : algorithms[i].id);
        json_put_member(out, "where", algorithms[i].where);
        json_end_object(out);
    }
    json_end_array(out);
}

static void put_seal(const struct keeper *keeper, struct json_writer *out)
{
    static const char *const holders[] = {
        [SEAL_FILE] = "a file on the vault's host",
        [SEAL_SHARES] = "its custodians, in shares",
        [SEAL_PKCS11] = "an HSM, which unwraps it",
    };
    const struct seal_record *seal = &keeper->seal;
    char set[2 * SEAL_SET_BYTES + 1];
    char when[CLOCK_TEXT_SIZE];

    encode_hex(seal->set_id, sizeof seal->set_id, set);
    clock_text(seal->created_ms, when);
    json_key(out, "root");
    json_begin_object(out);
    json_put_member(out, "type", "key-wrapping");
    json_put_member(out, "algorithm", "AES-256-GCM under KBKDF-HMAC-SHA-256");
    json_put_member_int(out, "bits", 256);
    json_put_member(out, "set", set);
    json_put_member(out, "created_at", when);
    json_put_member(out, "seal", seal_kind_name(seal->kind));
    json_put_member(out, "holder", holders[seal->kind]);
    json_put_member_int(out, "threshold", seal->threshold);
    json_key(out, "custodians");
    json_begin_array(out);
    for (unsigned i = 0; i < seal->count; i++)
        json_put_text(out, seal->custodians[i].name);
    json_end_array(out);
    json_end_object(out);
}

/* Since when it signs, until when it is to, and which one follows. */
static void put_signer_period(const struct keeper *keeper, struct json_writer *out)
{
    struct buffer state OWNED(buffer_free) = BUFFER(2048);

    keeper_rotate_write(keeper, &state);
    json_key(out, "rotation");
    if (state.size > 0 && !failed(buffer_status(&state)))
        json_put_raw(out, state.bytes, state.size);
    else
        json_put_null(out); /* The signer has not said yet. */
}

static void put_signers(const struct keeper *keeper, struct json_writer *out)
{
    char text[NOTE_NAME_BYTES_MAX + 64];

    json_key(out, "signers");
    json_begin_array(out);
    if (keeper->signer_known) {
        note_key_text(&keeper->signer_key, text, sizeof text);
        json_begin_object(out);
        json_put_member(out, "name", keeper->signer_key.name);
        json_put_member(out, "verifier", text);
        json_put_member(out, "algorithm", "Ed25519");
        json_put_member_int(out, "bits", 256);
        json_put_member(out, "purpose", "audit log");
        json_put_member(out, "holder", "the signer's own file");
        put_signer_period(keeper, out);
        json_end_object(out);
    }
    json_end_array(out);
}

/* KEKs and fingerprint keys that end within a month, and keys that somebody has to deal with. */
static void put_warnings(const struct keeper *keeper, int64_t now_ms, struct json_writer *out)
{
    struct key_info due[DUE_MAX];
    unsigned count = keyring_due(keeper->ring, now_ms, KEY_VIEW_WARN_MS, due, DUE_MAX);

    json_key(out, "ending");
    json_begin_array(out);
    for (unsigned i = 0; i < count && i < DUE_MAX; i++)
        key_view_put(keeper, &due[i], out);
    json_end_array(out);
}

STATUS inventory_show(struct keeper_op *op, struct cursor *in)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct audit_entry entry = {.object = "inventory"};
    char now[CLOCK_TEXT_SIZE];

    TRY(keeper_text_open(in, &text));
    clock_text(op->now_ms, now);
    json_begin_object(&writer);
    json_put_member(&writer, "generated_at", now);
    json_put_member(&writer, "environment", keeper_environment(op->keeper));
    put_seal(op->keeper, &writer);
    put_signers(op->keeper, &writer);
    json_key(&writer, "listeners");
    json_begin_array(&writer);
    if (text.body.size > 0)
        json_put_raw(&writer, text.body.bytes, text.body.size);
    json_end_array(&writer);
    put_algorithms(&writer);
    put_warnings(op->keeper, op->now_ms, &writer);
    json_end_object(&writer);
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}
