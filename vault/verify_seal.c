/* SPDX-License-Identifier: Apache-2.0 */
/* The seal's row is authentic under its root; the log says which set of shares is in force, and
 * which keys there were when the store was opened last. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "vault/keeper_seal.h"
#include "vault/verify.h"

static const char seal_key[] = "seal";

/* The digits that a text of our own begins with. */
static uint64_t number_of(const char *text)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 19 && text[i] >= '0' && text[i] <= '9'; i++)
        value = 10 * value + (uint64_t)(text[i] - '0');
    return value;
}

void verify_seal_entry(struct verify *verify, const char *event, const char *detail, uint64_t seq)
{
    static const char set_name[] = ", set ";
    static const char generation_name[] = "keyring generation ";
    const char *set = strstr(detail, set_name);
    const char *generation = strstr(detail, generation_name);

    /* The first opening is that of its making: by an HSM, or with a ceremony's last step. */
    bool made =
        set != NULL && (strcmp(event, "seal.init") == 0 ||
                        (strcmp(event, "seal.complete") == 0 && strncmp(detail, "init ", 5) == 0));
    if (made || strcmp(event, "seal.open") == 0)
        verify->log_opens++;
    if (set == NULL)
        return;
    set += sizeof set_name - 1;
    (void)snprintf(verify->log_set, sizeof verify->log_set, "%.*s", 2 * (int)SEAL_SET_BYTES, set);
    verify->log_set_seq = seq;
    if (generation != NULL)
        verify->log_generation = number_of(generation + sizeof generation_name - 1);
}

STATUS verify_seal_row(struct verify *verify, const uint8_t *row, size_t size)
{
    struct verify_place place = {STORE_META, seal_key, sizeof seal_key};
    struct keeper *keeper = &verify->keeper;
    struct seal_record record;
    char set[2 * SEAL_SET_BYTES + 1];

    struct status status = seal_check(row, size, keeper->root, keeper_environment(keeper));
    if (!failed(status))
        status = seal_decode(row, size, &record);
    if (failed(status)) {
        ENSURE(status.why == WHY_FORGED || status.why == WHY_DENIED, status.why);
        verify_find(verify, &place, VERIFY_UNAUTHENTIC,
                    status.why == WHY_DENIED ? "it is of another root key than this one"
                                             : "it was edited");
        return STATUS_OK;
    }
    encode_hex(record.set_id, sizeof record.set_id, set);
    if (verify->log_holds && verify->log_set[0] != '\0' && strcmp(set, verify->log_set) != 0)
        verify_find(verify, &place, VERIFY_ROLLED_BACK,
                    "the log says at entry %" PRIu64 " that another set is in force",
                    verify->log_set_seq);
    return STATUS_OK;
}
