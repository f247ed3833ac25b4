/* SPDX-License-Identifier: Apache-2.0 */
/* relay/slots_surface.h -- what slots.c and its two surfaces share; for nobody else.
 *
 * In      one search under way.
 * Out     slots added to it, or its problem.
 * Never   writes to the request.
 * Threads any.
 */
#ifndef RELAY_SLOTS_SURFACE_H
#define RELAY_SLOTS_SURFACE_H

#include "relay/slots.h"

struct slots_search {
    const struct profile *profile;
    const struct slots_request *request;
    struct slots *slots;
    struct slots_problem *problem;
};

/* What stands in a declared slot: its range in the body, and its text with the surface's escapes
 * resolved. */
struct slots_value {
    const struct profile_slot *declared;
    uint32_t start;
    uint32_t size;
    const char *text;
    size_t text_size;
    bool quoted; /* False for a bare JSON number, which cannot be filled. */
};

/* Records the problem; the field's name is made harmless first.  `detail` may be NULL and repeats
 * nothing that was sent.  Always WHY_BAD_INPUT. */
STATUS slots_refuse(struct slots_search *search, enum problem_code code, const char *detail,
                    const void *field, size_t field_size);

/* Adds a slot, lets a harmless literal stand, or refuses. */
STATUS slots_judge(struct slots_search *search, enum slot_surface surface,
                   const struct slots_value *value);

/* Looks for a token under any escapes, several deep. */
STATUS slots_find_hidden(const void *bytes, size_t size, bool *out_found);

STATUS slots_form_find(struct slots_search *search);
STATUS slots_json_find(struct slots_search *search);

/* Appends a value as the surface wants it. */
void slots_form_escape(struct buffer *out, const uint8_t *value, size_t size);
void slots_json_escape(struct buffer *out, const uint8_t *value, size_t size);

#endif
