/* SPDX-License-Identifier: Apache-2.0 */
/* What erasures leave in the meta family, against the log. */
#include <string.h>

#include "vault/erase.h"
#include "vault/verify.h"

/* What was erased leaves two marks, for ever. */
static void mark_find(struct verify *verify, const char *mark, const char *text)
{
    struct verify_place place = {STORE_META, mark, strlen(mark)};
    verify_find(verify, &place, VERIFY_ROLLED_BACK, "%s", text);
}

/* When files were written anew, and whether they have to be again. */
static void marks_older(struct verify *verify)
{
    struct store *store = &verify->keeper.store;
    uint64_t purged = 0;
    uint64_t unpurged = 0;

    struct status status = store_get_mark(store, ERASE_MARK_PURGED, &purged);
    if (!failed(status) && (int64_t)purged != verify->log_purged_ms)
        mark_find(verify, ERASE_MARK_PURGED, "the log has the last purge at another time");
    else if (status.why == WHY_NOT_FOUND && verify->log_purged_ms != 0)
        mark_find(verify, ERASE_MARK_PURGED, "it is not there, and the log has a purge");
    status = store_get_mark(store, ERASE_MARK_UNPURGED, &unpurged);
    if (!failed(status) && unpurged == 0 && verify->log_erased_ms > verify->log_purged_ms)
        mark_find(verify, ERASE_MARK_UNPURGED, "the log has erasures behind the last purge");
}

static void marks_missing(struct verify *verify)
{
    static const char *const marks[] = {ERASE_MARK_RECORDS, ERASE_MARK_UNPURGED};
    uint64_t value = 0;

    for (size_t i = 0; verify->log_erased > 0 && i < sizeof marks / sizeof marks[0]; i++) {
        struct verify_place place = {STORE_META, marks[i], strlen(marks[i])};
        struct status status = store_get_mark(&verify->keeper.store, marks[i], &value);
        if (status.why == WHY_NOT_FOUND)
            verify_find(verify, &place, VERIFY_MISSING,
                        "the log says that tokens were erased, which leaves it");
    }
}

void verify_marks_end(struct verify *verify)
{
    if (!verify->log_holds)
        return;
    marks_missing(verify);
    marks_older(verify);
}
