/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_verify.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/own.h"
#include "keys/source.h"
#include "policies/signer.h"
#include "vault/keeper_confine.h"
#include "vault/keeper_hsm.h"
#include "vault/verify.h"

#define VERIFY_SLOTS      16u
#define VERIFY_LOCK_BYTES ((VERIFY_SLOTS + 16u) * SECRET_BYTES_MAX)
#define ROW_BYTES_MAX     (256u * 1024u)

/* What the row says is believed once the root is there; until then it only says whom to ask. */
static enum seal_kind seal_peek(struct db *db, struct seal_record *out_seal)
{
    static const char key[] = "seal";
    OWNED(buffer_free) struct buffer row = BUFFER(SEAL_ROW_BYTES_MAX);

    if (failed(db_get(db, STORE_META, key, sizeof key, &row)) ||
        failed(seal_decode(row.bytes, row.size, out_seal)))
        return SEAL_FILE;
    return out_seal->kind;
}

static STATUS verify_open(struct verify *verify, char *reason, size_t reason_size)
{
    struct keeper *keeper = &verify->keeper;
    const struct settings *settings = keeper->settings;
    struct sandbox_report report = {0};
    struct source source = {.kind = "file",
                            .path = settings->seal_path,
                            .production = settings->production,
                            .data = settings->data};
    struct db_options options = {.families = store_families,
                                 .family_count = STORE_FAMILY_COUNT,
                                 .cache_bytes = settings->cache_bytes,
                                 .read_only = true};

    /* Read before the store is, which only grows; and it is not among what a keeper can read. */
    struct status remembered =
        settings->signer_state == NULL
            ? FAIL(WHY_NOT_FOUND)
            : signer_state_read(settings->signer_state, settings->origin, &verify->signed_last);
    verify->has_signed_last = !failed(remembered);
    if (!verify->has_signed_last)
        buffer_format(
            verify->out,
            "the signer's state cannot be read (%s): whether the whole store is older was "
            "not asked\n",
            status_name(remembered.why));
    (void)snprintf(reason, reason_size, "the guards of this process could not be set");
    TRY(keeper_confine(settings, VERIFY_LOCK_BYTES, &report));
    ENSURE(sodium_init() >= 0, WHY_IO);
    TRY(secret_pool_open(VERIFY_SLOTS));
    TRY(db_open(settings->data, &options, &keeper->db, reason, reason_size));
    struct seal_record seal;
    enum seal_kind kind = seal_peek(keeper->db, &seal);
    if (kind == SEAL_SHARES)
        return verify_root_join(STDIN_FILENO, &seal, &keeper->root, reason, reason_size);
    if (kind == SEAL_PKCS11 && verify->options->hsm_fd >= 0)
        return keeper_hsm_fetch(keeper, verify->options->hsm_fd, &seal, &keeper->root, reason,
                                reason_size);
    return source_open(&source, &keeper->root, reason, reason_size);
}

enum keeper_verdict keeper_verify_run(const struct settings *settings,
                                      const struct keeper_verify_options *options,
                                      struct buffer *out)
{
    char reason[512] = "";
    struct verify verify = {
        .keeper = {.settings = settings, .front_fd = -1, .signer_fd = -1},
        .options = options,
        .plain = BUFFER(ENVELOPE_PLAIN_BYTES_MAX),
        .row = BUFFER(ROW_BYTES_MAX),
        .out = out,
    };
    struct status status = verify_open(&verify, reason, sizeof reason);

    if (!failed(status))
        status = verify_walk(&verify, reason, sizeof reason);
    if (failed(status))
        buffer_format(out, "%s (%s)\n", reason, status_name(status.why));
    else
        buffer_format(out, "%s\n",
                      verify.findings == 0 ? "all of it holds" : "NOT all of it holds");
    verify_close(&verify);
    db_close(&verify.keeper.db);
    secret_free(&verify.keeper.root);
    if (failed(status))
        return status.why == WHY_FORGED ? KEEPER_VERIFY_BAD : KEEPER_VERIFY_SHUT;
    return verify.findings > 0 ? KEEPER_VERIFY_BAD : KEEPER_VERIFY_GOOD;
}
