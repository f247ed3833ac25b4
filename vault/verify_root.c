/* SPDX-License-Identifier: Apache-2.0 */
/* The root of a store whose seal is of shares: as many custodians as it takes give theirs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "keys/share_text.h"
#include "keys/shares.h"
#include "vault/verify.h"

#define SENTENCE_MAX 200u

struct given {
    struct share shares[SHARES_COUNT_MAX]; /* By index less 1; a value of NULL: not given. */
    unsigned count;
};

static void given_free(struct given *given)
{
    for (unsigned i = 0; i < SHARES_COUNT_MAX; i++)
        share_free(&given->shares[i]);
}

/* Byte by byte, so that nothing of the line is left elsewhere.  WHY_NOT_FOUND: the end. */
static STATUS line_read(int fd, struct secret *line, size_t *out_size)
{
    uint8_t *bytes = secret_bytes(line);
    bool any = false;

    *out_size = 0;
    for (;;) {
        ssize_t count = read(fd, bytes + *out_size, 1);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count >= 0, WHY_IO);
        if (count == 0 || bytes[*out_size] == '\n')
            break;
        any = true;
        ENSURE(++*out_size < SHARE_TEXT_TYPED_MAX, WHY_LIMIT);
    }
    ENSURE(any || *out_size > 0, WHY_NOT_FOUND);
    return STATUS_OK;
}

static STATUS refuse(char *reason, size_t reason_size, const char *text)
{
    (void)snprintf(reason, reason_size, "%s", text);
    return FAIL(WHY_BAD_INPUT);
}

static STATUS share_take(const struct secret *line, size_t size, const struct seal_record *seal,
                         struct given *given, char *reason, size_t reason_size)
{
    OWNED(share_free) struct share share = {0};
    struct buffer sentence OWNED(buffer_free) = BUFFER(SENTENCE_MAX);
    struct share_text_fault fault = {0};
    struct status status = share_text_read(secret_peek(line), size, &share, &fault);

    if (failed(status) && fault.flaw != SHARE_TEXT_GOOD) {
        share_text_explain(&fault, &sentence);
        return refuse(reason, reason_size, buffer_text(&sentence));
    }
    TRY(status);
    if (memcmp(share.set, seal->set_id, sizeof share.set) != 0)
        return refuse(reason, reason_size, "That share is of another set than this store's seal.");
    if (share.index < 1 || share.index > seal->count)
        return refuse(reason, reason_size, "That share is of no custodian of this store's seal.");
    if (given->shares[share.index - 1].value != NULL)
        return refuse(reason, reason_size, "That share was given already; others are wanted.");
    given->shares[share.index - 1] = share;
    share.value = NULL;
    given->count++;
    return STATUS_OK;
}

STATUS verify_root_join(int fd, const struct seal_record *seal, struct secret **out_root,
                        char *reason, size_t reason_size)
{
    OWNED(given_free) struct given given = {0};
    OWNED(secret_free) struct secret *line = NULL;
    struct shares_part parts[SHARES_COUNT_MAX];
    unsigned count = 0;
    size_t size = 0;

    TRY(secret_new_key(SHARE_TEXT_TYPED_MAX, &line));
    while (given.count < seal->threshold) {
        struct status status = line_read(fd, line, &size);
        (void)snprintf(reason, reason_size,
                       "Its root is in shares: %u of them are wanted on standard input, one a "
                       "line, and %u came.",
                       seal->threshold, given.count);
        TRY(status);
        if (size > 0)
            TRY(share_take(line, size, seal, &given, reason, reason_size));
    }
    for (unsigned i = 0; i < SHARES_COUNT_MAX; i++)
        if (given.shares[i].value != NULL)
            parts[count++] =
                (struct shares_part){.index = (uint8_t)(i + 1), .value = given.shares[i].value};
    (void)snprintf(reason, reason_size, "the shares could not be put together");
    return shares_combine(parts, count, out_root);
}
