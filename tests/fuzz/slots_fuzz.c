/* SPDX-License-Identifier: Apache-2.0 */
/* Any body, as a form and as JSON: slots lie in the body, in order, apart; filling them changes no
 * byte between; and no token is left in what is sent. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/secret.h"
#include "relay/slots.h"

static const char filled[] = "\"&=%filled\\";

static struct profile profile;
static struct secret *value;

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void declare(struct profile_slot *slot, const char *place, const char *takes)
{
    memcpy(slot->place, place, strlen(place) + 1);
    require(!failed(expression_parse_default(takes, &slot->takes)));
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    require(!failed(secret_pool_open(4)));
    require(!failed(secret_new(sizeof filled - 1, &value)));
    memcpy(secret_bytes(value), filled, sizeof filled - 1);
    declare(&profile.form[profile.form_count++], "card[number]", "number");
    declare(&profile.form[profile.form_count++], "card[cvc]", "cvv");
    declare(&profile.form[profile.form_count++], "card[exp]", "exp | mm/yy");
    declare(&profile.json[profile.json_count++], "/card/number", "number");
    declare(&profile.json[profile.json_count++], "/card/cvc", "cvv");
    declare(&profile.json[profile.json_count++], "/0/name", "cardholder_name");
    return 0;
}

static void check(const char *content_type, const uint8_t *data, size_t size)
{
    const struct slots_request request = {
        .target = "/", .content_type = content_type, .body = data, .body_size = size};
    const struct secret *values[SLOTS_MAX];
    struct slots_problem problem;
    struct slots slots;
    size_t at = 0;
    size_t out_at = 0;

    if (failed(slots_find(&profile, &request, &slots, &problem))) {
        require(problem.code != PROBLEM_NONE && strlen(problem.field) < sizeof problem.field);
        return;
    }
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        values[i] = value;
    OWNED(buffer_free) struct buffer escaped = BUFFER(64 * SLOTS_MAX + 4 * size);
    require(!failed(slots_fill(&slots, values, data, size, &escaped)));
    size_t value_size = slots.count == 0                     ? 0
                        : slots.list[0].surface == SLOT_FORM ? strlen("%22%26%3D%25filled%5C")
                                                             : strlen("\\\"&=%filled\\\\");
    for (unsigned i = 0; i < slots.count; i++) {
        const struct slot *slot = &slots.list[i];
        require(slot->start >= at && (size_t)slot->start + slot->size <= size);
        require(memcmp(data + at, escaped.bytes + out_at, slot->start - at) == 0);
        out_at += slot->start - at + value_size;
        at = (size_t)slot->start + slot->size;
    }
    require(escaped.size - out_at == size - at);
    require(at == size || memcmp(data + at, escaped.bytes + out_at, size - at) == 0);
    require(!expression_find_token(escaped.bytes, escaped.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check("application/x-www-form-urlencoded", data, size);
    check("application/json", data, size);
    check("text/xml", data, size);
    return 0;
}
