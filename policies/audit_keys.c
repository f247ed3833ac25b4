/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_keys.h"

#include <string.h>

static bool same(const struct note_key *a, const struct note_key *b)
{
    return memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0;
}

static bool believed(const struct audit_keys *keys, const struct note_key *key)
{
    for (unsigned i = 0; i < keys->count; i++)
        if (same(&keys->keys[i], key))
            return true;
    return false;
}

static void forget(struct audit_keys *keys, const struct note_key *key)
{
    for (unsigned i = 0; i < keys->count; i++) {
        if (!same(&keys->keys[i], key))
            continue;
        keys->keys[i] = keys->keys[--keys->count];
        keys->revision++;
        return;
    }
}

STATUS audit_keys_trust(struct audit_keys *keys, const struct note_key *key)
{
    if (believed(keys, key))
        return STATUS_OK;
    ENSURE(keys->count < EPOCH_KEYS_MAX, WHY_LIMIT);
    keys->keys[keys->count++] = *key;
    keys->revision++;
    return STATUS_OK;
}

/* A signature line in the name of a key believed: what does not open then, is bad. */
static bool claims_one(const struct audit_keys *keys, const void *note, size_t size, uint32_t epoch)
{
    char name[NOTE_NAME_BYTES_MAX];

    for (unsigned i = 0; i < keys->count; i++) {
        struct note_key key;
        if (failed(epoch_origin(keys->keys[i].name, epoch, name)))
            return true;
        note_key_rename(&keys->keys[i], name, &key);
        if (note_names(note, size, &key))
            return true;
    }
    return false;
}

STATUS audit_keys_open(const struct audit_keys *keys, const void *note, size_t size,
                       const char *origin, struct checkpoint *out_checkpoint, uint32_t *out_epoch)
{
    const char *text = NULL;
    size_t text_size = 0;

    struct status status =
        epoch_open_any(note, size, origin, keys->keys, keys->count, out_checkpoint, out_epoch);
    if (status.why != WHY_FORGED || keys->proven)
        return status;
    ENSURE(!failed(note_peek(note, size, &text, &text_size)), WHY_FORGED);
    ENSURE(!failed(checkpoint_parse(text, text_size, out_checkpoint)), WHY_FORGED);
    *out_epoch = epoch_of(origin, out_checkpoint->origin);
    ENSURE(*out_epoch != 0 && !claims_one(keys, note, size, *out_epoch), WHY_FORGED);
    return FAIL(WHY_NOT_FOUND);
}

STATUS audit_keys_checkpoint(struct audit_keys *keys, bool known)
{
    if (!known) {
        keys->foreign = true;
        return STATUS_OK;
    }
    ENSURE(!keys->foreign || keys->introduced, WHY_FORGED);
    keys->proven = true;
    return STATUS_OK;
}

static STATUS entry_rotate(struct audit_keys *keys, const char *object, const char *detail)
{
    struct succession succession;

    ENSURE(!failed(succession_read(object, detail, &succession)), WHY_FORGED);
    if (believed(keys, &succession.from)) {
        /* One that was named before and never took over is named no more. */
        if (keys->has_followed && !same(&keys->followed, &succession.to) &&
            !same(&keys->followed, &succession.from))
            forget(keys, &keys->followed);
        if (!keys->has_followed || !same(&keys->followed, &succession.to))
            keys->changes++; /* The same one may be named twice. */
        keys->followed = succession.to;
        keys->has_followed = true;
        ENSURE(!failed(audit_keys_trust(keys, &succession.to)), WHY_FORGED);
        return STATUS_OK;
    }
    ENSURE(!keys->proven, WHY_FORGED); /* Of a key that is not this log's. */
    if (believed(keys, &succession.to)) {
        keys->introduced = true;
        keys->changes++;
    }
    return STATUS_OK;
}

static STATUS entry_retire(struct audit_keys *keys, const char *object)
{
    struct note_key key;

    ENSURE(!failed(note_key_parse(object, &key)), WHY_FORGED);
    if (!believed(keys, &key))
        return STATUS_OK;
    ENSURE(keys->count > 1, WHY_FORGED); /* Nobody would be left to sign. */
    forget(keys, &key);
    return STATUS_OK;
}

STATUS audit_keys_entry(struct audit_keys *keys, const char *event, const char *object,
                        const char *detail)
{
    if (strcmp(event, SUCCESSION_EVENT) == 0)
        return entry_rotate(keys, object, detail);
    if (strcmp(event, SUCCESSION_RETIRE_EVENT) == 0)
        return entry_retire(keys, object);
    return STATUS_OK;
}
