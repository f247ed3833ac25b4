/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/replays.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

struct replay {
    char key[REPLAYS_KEY_MAX + 1]; /* "" where the place was never used. */
    uint8_t digest[REPLAYS_DIGEST_BYTES];
    int status;
    struct buffer body;
};

struct replays {
    struct replay *list;
    unsigned next;
};

STATUS replays_new(struct replays **out_replays)
{
    OWNED(replays_free) struct replays *replays = calloc(1, sizeof *replays);
    ENSURE(replays != NULL, WHY_NO_MEMORY);
    replays->list = calloc(REPLAYS_MAX, sizeof *replays->list);
    ENSURE(replays->list != NULL, WHY_NO_MEMORY);
    *out_replays = MOVE(replays);
    return STATUS_OK;
}

void replays_free(struct replays **replays)
{
    if (*replays == NULL)
        return;
    for (unsigned i = 0; (*replays)->list != NULL && i < REPLAYS_MAX; i++)
        buffer_free(&(*replays)->list[i].body);
    free((*replays)->list);
    free(*replays);
    *replays = NULL;
}

STATUS replays_find(const struct replays *replays, const char *key,
                    const uint8_t digest[static REPLAYS_DIGEST_BYTES], struct reply *reply)
{
    assert(key[0] != '\0');
    const struct replay *found = NULL;
    for (unsigned i = 0; i < REPLAYS_MAX && found == NULL; i++)
        if (strcmp(replays->list[i].key, key) == 0)
            found = &replays->list[i];
    ENSURE(found != NULL, WHY_NOT_FOUND);
    ENSURE(memcmp(found->digest, digest, REPLAYS_DIGEST_BYTES) == 0, WHY_CONFLICT);
    reply->status = found->status;
    reply->replayed = true;
    buffer_clear(&reply->body);
    buffer_add(&reply->body, found->body.bytes, found->body.size);
    return buffer_status(&reply->body);
}

STATUS replays_keep(struct replays *replays, const char *key,
                    const uint8_t digest[static REPLAYS_DIGEST_BYTES], const struct reply *reply)
{
    size_t size = strlen(key);
    ENSURE(size >= 1 && size <= REPLAYS_KEY_MAX, WHY_LIMIT);
    struct replay *replay = &replays->list[replays->next];
    replays->next = (replays->next + 1) % REPLAYS_MAX;
    buffer_free(&replay->body);
    *replay = (struct replay){.status = reply->status, .body = BUFFER(REPLY_BYTES_MAX)};
    memcpy(replay->key, key, size + 1);
    memcpy(replay->digest, digest, REPLAYS_DIGEST_BYTES);
    buffer_add(&replay->body, reply->body.bytes, reply->body.size);
    return buffer_status(&replay->body);
}
