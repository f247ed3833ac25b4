/* SPDX-License-Identifier: Apache-2.0 */
/* vault/read_object.h -- a JSON object whose members are all known, read field by field.
 *
 * In      a node, and the names that it may have.
 * Out     typed values; the first thing wrong, with its JSON pointer.  Problems stick: read
 *         everything, then look at the problem.
 * Never   tells a caller anything of a value, or of a name that might be data; leaves in the body
 *         what it took out of it.
 * Threads any.
 */
#ifndef VAULT_READ_OBJECT_H
#define VAULT_READ_OBJECT_H

#include "base/json.h"
#include "base/secret.h"
#include "vault/problem.h"

#define READ_OBJECT_FIELDS_MAX 12u

struct read_object {
    const struct json *json;
    uint32_t node;
    const char *at;           /* Its JSON pointer: "", "/cards/3". */
    const char *const *names; /* NULL-terminated; a field is its place in them. */
    struct problem *problem;
    uint32_t values[READ_OBJECT_FIELDS_MAX]; /* JSON_NONE: absent. */
};

/* Finds the values and nothing else, so that secrets can be taken before anything is judged.  The
 * struct's other members are the caller's to fill. */
void read_object_find(struct read_object *object);

/* Judges the members' names: track and PIN data are refused before what is merely unknown. */
void read_object_check_names(struct read_object *object);

/* Refuses data shaped like a magnetic stripe in any string inside, however deep. */
void read_object_check_tracks(struct read_object *object);

bool read_object_is_good(const struct read_object *object);

/* Notes a problem of a field, unless there is one already. */
void read_object_refuse(struct read_object *object, unsigned field, enum problem_code code,
                        const char *detail);

/* missing_field where it is absent. */
void read_object_need(struct read_object *object, unsigned field);

/* Moves a string into a secret and zeros what `body`, the bytes of the JSON, held of it.  *out is
 * NULL when the field is absent or refused: `code` where it has not 1 to `size_max` bytes. */
struct read_object_secret {
    unsigned field;
    size_t size_max;
    enum problem_code code;
};
void read_object_take(struct read_object *object, const struct read_object_secret *rule,
                      uint8_t *body, struct secret **out_secret);

/* A text of 1 to `out_size` - 1 bytes without control characters; "" when absent or refused. */
void read_object_text(struct read_object *object, unsigned field, char *out, size_t out_size);

/* The same, but no card may stand in it (card_in_free_text). */
void read_object_free_text(struct read_object *object, unsigned field, char *out, size_t out_size);

/* An integer; `code` where it lies outside; 0 when absent or refused. */
struct read_object_range {
    unsigned field;
    int64_t least;
    int64_t most;
    enum problem_code code;
};
int64_t read_object_int(struct read_object *object, const struct read_object_range *rule);

bool read_object_bool(struct read_object *object, unsigned field);

/* Place in `choices` (NULL-terminated), `fallback` when absent or refused. */
unsigned read_object_choice(struct read_object *object, unsigned field, const char *const *choices,
                            unsigned fallback);

/* True for names and keys that may be repeated to their sender: short and plain, few digits. */
bool read_object_name_is_plain(const char *name);

#endif
