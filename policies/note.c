/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/note.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

/* The signature types of the specification; the others are of no use to us. */
#define TYPE_ED25519 0x01u

/* U+2014 and a space: what every signature line begins with. */
static const char dash[] = "\xe2\x80\x94 ";
#define DASH_BYTES      (sizeof dash - 1)

#define ID_BYTES        4u
#define PUBLIC_BYTES    32u
#define SIGNATURE_BYTES 64u
#define TYPED_KEY_BYTES (1u + PUBLIC_BYTES)
#define ED25519_BYTES   (ID_BYTES + SIGNATURE_BYTES)
#define SIZE_DIGITS_MAX 20u /* Of 2^64 - 1. */

static_assert(PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "public key size");
static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "signature size");
static_assert(SIGNATURE_BYTES == NOTE_SIGNATURE_BYTES, "signature size");

/* A run of text inside a note. */
struct piece {
    const char *text;
    size_t size;
};

/* Reads one UTF-8 character at `at`, its length into *out_length; false where there is none. */
static bool utf8_read(const uint8_t *text, size_t size, uint32_t *out_code, unsigned *out_length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned length = text[0] < 0x80             ? 1
                      : (text[0] & 0xe0) == 0xc0 ? 2
                      : (text[0] & 0xf0) == 0xe0 ? 3
                      : (text[0] & 0xf8) == 0xf0 ? 4
                                                 : 0;
    if (length == 0 || length > size)
        return false;
    uint32_t code = length == 1 ? text[0] : text[0] & (0x7fu >> length);
    for (unsigned i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return false;
        code = code << 6 | (text[i] & 0x3fu);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return false;
    *out_code = code;
    *out_length = length;
    return true;
}

/* The characters with Unicode's White_Space property. */
static bool is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* UTF-8 without control characters other than the line feed. */
static bool text_good(const char *text, size_t size)
{
    uint32_t code = 0;
    unsigned length = 0;

    for (size_t at = 0; at < size; at += length) {
        if (!utf8_read((const uint8_t *)text + at, size - at, &code, &length))
            return false;
        if (code < 0x20 && code != '\n')
            return false;
    }
    return true;
}

static bool name_good(struct piece name)
{
    uint32_t code = 0;
    unsigned length = 0;

    if (name.size == 0 || name.size >= NOTE_NAME_BYTES_MAX)
        return false;
    for (size_t at = 0; at < name.size; at += length) {
        if (!utf8_read((const uint8_t *)name.text + at, name.size - at, &code, &length))
            return false;
        if (code < 0x20 || code == '+' || is_space(code))
            return false;
    }
    return true;
}

/* Cuts what stands before the first `mark` off `rest`; false, and nothing changed, without one. */
static bool cut(struct piece *rest, char mark, struct piece *out_before)
{
    const char *at = rest->size == 0 ? NULL : memchr(rest->text, mark, rest->size);

    if (at == NULL)
        return false;
    *out_before = (struct piece){rest->text, (size_t)(at - rest->text)};
    rest->size -= out_before->size + 1;
    rest->text = at + 1;
    return true;
}

/* A text that says too much is as wrong here as one that says nothing. */
static STATUS base64_read(struct piece text, uint8_t *out, size_t room, size_t *out_size)
{
    ENSURE(!failed(decode_base64(text.text, text.size, out, room, out_size)), WHY_BAD_INPUT);
    return STATUS_OK;
}

static void typed_key(const struct note_key *key, uint8_t out[static TYPED_KEY_BYTES])
{
    out[0] = TYPE_ED25519;
    memcpy(out + 1, key->public_key, PUBLIC_BYTES);
}

/* The first bytes of SHA-256(name | LF | type | public key). */
static void key_id(const struct note_key *key, uint8_t out[static ID_BYTES])
{
    crypto_hash_sha256_state state;
    uint8_t typed[TYPED_KEY_BYTES];
    uint8_t hash[crypto_hash_sha256_BYTES];

    typed_key(key, typed);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)key->name, strlen(key->name));
    crypto_hash_sha256_update(&state, (const uint8_t *)"\n", 1);
    crypto_hash_sha256_update(&state, typed, sizeof typed);
    crypto_hash_sha256_final(&state, hash);
    memcpy(out, hash, ID_BYTES);
}

static STATUS key_pair(const struct secret *seed, uint8_t out_public[static PUBLIC_BYTES],
                       struct secret **out_pair)
{
    assert(secret_size(seed) == crypto_sign_SEEDBYTES);

    OWNED(secret_free) struct secret *pair = NULL;
    TRY(secret_new_key(crypto_sign_SECRETKEYBYTES, &pair));
    int rc = crypto_sign_seed_keypair(out_public, secret_bytes(pair), secret_peek(seed));
    assert(rc == 0);
    *out_pair = MOVE(pair);
    return STATUS_OK;
}

STATUS note_key_from_seed(const char *name, const struct secret *seed, struct note_key *out_key)
{
    struct piece piece = {name, strlen(name)};
    ENSURE(name_good(piece), WHY_BAD_INPUT);
    ENSURE(secret_size(seed) == crypto_sign_SEEDBYTES, WHY_BAD_INPUT);

    struct note_key key = {0};
    memcpy(key.name, name, piece.size);
    OWNED(secret_free) struct secret *pair = NULL;
    TRY(key_pair(seed, key.public_key, &pair));
    key_id(&key, key.id);
    *out_key = key;
    return STATUS_OK;
}

void note_key_rename(const struct note_key *key, const char *name, struct note_key *out_key)
{
    struct note_key renamed = {0};

    assert(strlen(name) < sizeof renamed.name);
    memcpy(renamed.name, name, strlen(name));
    memcpy(renamed.public_key, key->public_key, sizeof renamed.public_key);
    key_id(&renamed, renamed.id);
    *out_key = renamed;
}

STATUS note_key_parse(const char *text, struct note_key *out_key)
{
    struct piece rest = {text, strlen(text)};
    struct piece name = {0};
    struct piece id_hex = {0};
    /* At the first two plus signs only: base64 may hold more. */
    ENSURE(cut(&rest, '+', &name) && cut(&rest, '+', &id_hex), WHY_BAD_INPUT);
    ENSURE(name_good(name), WHY_BAD_INPUT);

    struct note_key key = {0};
    memcpy(key.name, name.text, name.size);
    ENSURE(id_hex.size == 2 * ID_BYTES, WHY_BAD_INPUT);
    TRY(decode_hex(id_hex.text, id_hex.size, key.id, sizeof key.id));

    uint8_t typed[TYPED_KEY_BYTES];
    size_t typed_size = 0;
    TRY(base64_read(rest, typed, sizeof typed, &typed_size));
    ENSURE(typed_size == sizeof typed, WHY_BAD_INPUT);
    ENSURE(typed[0] == TYPE_ED25519, WHY_BAD_INPUT);
    memcpy(key.public_key, typed + 1, PUBLIC_BYTES);

    uint8_t id[ID_BYTES];
    key_id(&key, id);
    ENSURE(memcmp(id, key.id, sizeof id) == 0, WHY_BAD_INPUT);
    *out_key = key;
    return STATUS_OK;
}

void note_key_text(const struct note_key *key, char *out, size_t out_size)
{
    assert(out_size >= NOTE_NAME_BYTES_MAX + 64);
    size_t name_size = strlen(key->name);
    uint8_t typed[TYPED_KEY_BYTES];

    memcpy(out, key->name, name_size);
    out[name_size] = '+';
    encode_hex(key->id, ID_BYTES, out + name_size + 1);
    out[name_size + 1 + 2 * ID_BYTES] = '+';
    typed_key(key, typed);
    encode_base64(typed, sizeof typed, out + name_size + 2 + 2 * ID_BYTES);
}

STATUS note_key_sign(const struct note_key *key, const struct secret *seed, const void *bytes,
                     size_t size, uint8_t out_signature[static NOTE_SIGNATURE_BYTES])
{
    OWNED(secret_free) struct secret *pair = NULL;
    uint8_t public_key[PUBLIC_BYTES];

    ENSURE(secret_size(seed) == crypto_sign_SEEDBYTES, WHY_BAD_INPUT);
    TRY(key_pair(seed, public_key, &pair));
    /* What is signed with another key than it names would be lost on every reader. */
    ENSURE(memcmp(public_key, key->public_key, sizeof public_key) == 0, WHY_BAD_INPUT);
    crypto_sign_detached(out_signature, NULL, bytes, size, secret_peek(pair));
    return STATUS_OK;
}

bool note_key_verifies(const struct note_key *key, const void *bytes, size_t size,
                       const uint8_t signature[static NOTE_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, bytes, size, key->public_key) == 0;
}

/* One signature line. */
STATUS note_cosign(const char *text, size_t size, const struct note_key *key,
                   const struct secret *seed, struct buffer *out)
{
    char encoded[ENCODE_BASE64_SIZE(ED25519_BYTES)];
    uint8_t blob[ED25519_BYTES];

    ENSURE(out->size + DASH_BYTES + strlen(key->name) + 1 + sizeof encoded <= NOTE_BYTES_MAX,
           WHY_LIMIT);
    memcpy(blob, key->id, ID_BYTES);
    TRY(note_key_sign(key, seed, text, size, blob + ID_BYTES));
    encode_base64(blob, sizeof blob, encoded);
    buffer_add_text(out, dash);
    buffer_add_text(out, key->name);
    buffer_add_text(out, " ");
    buffer_add_text(out, encoded);
    buffer_add_text(out, "\n");
    return buffer_status(out);
}

STATUS note_sign(const char *text, size_t size, const struct note_key *key,
                 const struct secret *seed, struct buffer *out)
{
    struct buffer note OWNED(buffer_free) = BUFFER(NOTE_BYTES_MAX);

    ENSURE(size > 0 && text[size - 1] == '\n' && text_good(text, size), WHY_BAD_INPUT);
    buffer_add(&note, text, size);
    buffer_add_text(&note, "\n");
    TRY(buffer_status(&note));
    TRY(note_cosign(text, size, key, seed, &note));
    buffer_add(out, note.bytes, note.size);
    return buffer_status(out);
}

/* The last empty line parts text and signatures: the text may hold empty lines of its own. */
static STATUS note_split(struct piece note, struct piece *out_text, struct piece *out_lines)
{
    ENSURE(note.size <= NOTE_BYTES_MAX && note.size > 2, WHY_BAD_INPUT);
    ENSURE(note.text[note.size - 1] == '\n', WHY_BAD_INPUT);
    ENSURE(text_good(note.text, note.size), WHY_BAD_INPUT);

    for (size_t at = note.size - 2; at > 0; at--) {
        if (note.text[at] != '\n' || note.text[at - 1] != '\n')
            continue;
        *out_text = (struct piece){note.text, at};
        *out_lines = (struct piece){note.text + at + 1, note.size - at - 1};
        return STATUS_OK;
    }
    return FAIL(WHY_BAD_INPUT);
}

/* As long as a whole note could make it: signatures of other types are long. */
#define BLOB_BYTES_MAX (NOTE_BYTES_MAX / 4 * 3)

/* Whose a signature line is, and its key's id with the signature. */
static STATUS line_read(struct piece line, struct piece *out_name,
                        uint8_t blob[static BLOB_BYTES_MAX], size_t *out_size)
{
    ENSURE(line.size > DASH_BYTES && memcmp(line.text, dash, DASH_BYTES) == 0, WHY_BAD_INPUT);
    line.text += DASH_BYTES;
    line.size -= DASH_BYTES;
    ENSURE(cut(&line, ' ', out_name) && name_good(*out_name), WHY_BAD_INPUT);
    TRY(base64_read(line, blob, BLOB_BYTES_MAX, out_size));
    ENSURE(*out_size > ID_BYTES, WHY_BAD_INPUT);
    return STATUS_OK;
}

static bool is_of(const struct note_key *key, struct piece name, const uint8_t *id)
{
    return strlen(key->name) == name.size && memcmp(key->name, name.text, name.size) == 0 &&
           memcmp(key->id, id, ID_BYTES) == 0;
}

/* One signature line: of a key that we know and good, of another key, or a reason to refuse. */
static STATUS line_check(struct piece line, struct piece text, const struct note_key *keys,
                         unsigned key_count, bool *known)
{
    struct piece name = {0};
    uint8_t blob[BLOB_BYTES_MAX];
    size_t blob_size = 0;

    TRY(line_read(line, &name, blob, &blob_size));
    for (unsigned i = 0; i < key_count; i++) {
        if (!is_of(&keys[i], name, blob))
            continue;
        ENSURE(blob_size == ED25519_BYTES, WHY_FORGED);
        ENSURE(note_key_verifies(&keys[i], text.text, text.size, blob + ID_BYTES), WHY_FORGED);
        *known = true;
    }
    return STATUS_OK;
}

bool note_names(const void *note, size_t size, const struct note_key *key)
{
    struct piece text = {0};
    struct piece lines = {0};
    struct piece line = {0};

    if (failed(note_split((struct piece){note, size}, &text, &lines)))
        return false;
    for (unsigned i = 0; i < NOTE_SIGNATURES_MAX && cut(&lines, '\n', &line); i++) {
        struct piece name = {0};
        uint8_t blob[BLOB_BYTES_MAX];
        size_t blob_size = 0;
        if (!failed(line_read(line, &name, blob, &blob_size)) && is_of(key, name, blob))
            return true;
    }
    return false;
}

STATUS note_peek(const void *note, size_t size, const char **out_text, size_t *out_text_size)
{
    struct piece text = {0};
    struct piece lines = {0};

    TRY(note_split((struct piece){note, size}, &text, &lines));
    *out_text = text.text;
    *out_text_size = text.size;
    return STATUS_OK;
}

STATUS note_open(const void *note, size_t size, const struct note_key *keys, unsigned key_count,
                 const char **out_text, size_t *out_text_size)
{
    struct piece text = {0};
    struct piece lines = {0};
    struct piece line = {0};
    bool known = false;
    unsigned line_count = 0;

    TRY(note_split((struct piece){note, size}, &text, &lines));
    /* Every line is read, also behind a good one: a bad signature anywhere spoils the note. */
    while (cut(&lines, '\n', &line)) {
        ENSURE(++line_count <= NOTE_SIGNATURES_MAX, WHY_BAD_INPUT);
        TRY(line_check(line, text, keys, key_count, &known));
    }
    ENSURE(known, WHY_FORGED);
    *out_text = text.text;
    *out_text_size = text.size;
    return STATUS_OK;
}

void checkpoint_text(const struct checkpoint *checkpoint, struct buffer *out)
{
    char root[ENCODE_BASE64_SIZE(MERKLE_HASH_BYTES)];

    encode_base64(checkpoint->root, sizeof checkpoint->root, root);
    buffer_format(out, "%s\n%llu\n%s\n", checkpoint->origin, (unsigned long long)checkpoint->size,
                  root);
}

/* ASCII digits without leading zeros, as the specification writes a tree's size. */
static STATUS size_parse(struct piece digits, uint64_t *out_size)
{
    uint64_t size = 0;

    ENSURE(digits.size >= 1 && digits.size <= SIZE_DIGITS_MAX, WHY_BAD_INPUT);
    ENSURE(digits.size == 1 || digits.text[0] != '0', WHY_BAD_INPUT);
    for (size_t i = 0; i < digits.size; i++) {
        ENSURE(digits.text[i] >= '0' && digits.text[i] <= '9', WHY_BAD_INPUT);
        bool over = __builtin_mul_overflow(size, 10u, &size) ||
                    __builtin_add_overflow(size, (uint64_t)(digits.text[i] - '0'), &size);
        ENSURE(!over, WHY_BAD_INPUT);
    }
    *out_size = size;
    return STATUS_OK;
}

STATUS checkpoint_parse(const char *text, size_t size, struct checkpoint *out_checkpoint)
{
    struct piece rest = {text, size};
    struct piece origin = {0};
    struct piece digits = {0};
    struct piece root = {0};
    ENSURE(cut(&rest, '\n', &origin) && name_good(origin), WHY_BAD_INPUT);
    ENSURE(cut(&rest, '\n', &digits), WHY_BAD_INPUT);
    ENSURE(cut(&rest, '\n', &root), WHY_BAD_INPUT);
    /* Extension lines are allowed by the specification and bound to nothing: ours has none. */
    ENSURE(rest.size == 0, WHY_BAD_INPUT);

    struct checkpoint checkpoint = {0};
    memcpy(checkpoint.origin, origin.text, origin.size);
    TRY(size_parse(digits, &checkpoint.size));
    size_t root_size = 0;
    TRY(base64_read(root, checkpoint.root, sizeof checkpoint.root, &root_size));
    ENSURE(root_size == sizeof checkpoint.root, WHY_BAD_INPUT);
    *out_checkpoint = checkpoint;
    return STATUS_OK;
}
