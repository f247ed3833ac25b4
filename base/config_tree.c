/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config_tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"

char *config_tree_copy(const void *bytes, size_t size)
{
    char *copy = calloc(1, size + 1);
    if (copy != NULL && size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

bool config_tree_add(void ***items, unsigned *count, void *item)
{
    /* Full at 0 and at each power of two. */
    if ((*count & (*count - 1)) == 0) {
        size_t room = *count == 0 ? 1 : 2 * (size_t)*count;
        void **larger = reallocarray(*items, room, sizeof **items);
        if (larger == NULL)
            return false;
        *items = larger;
    }
    (*items)[(*count)++] = item;
    return true;
}

/* Remembers a key for the sentence on unknown ones.  Where memory is out, the sentence is shorter.
 */
static void know_key(struct config_node *map, const char *key)
{
    for (unsigned i = 0; i < map->known_count; i++)
        if (strcmp(map->known[i], key) == 0)
            return;
    char *copy = config_tree_copy(key, strlen(key));
    if (copy != NULL && !config_tree_add((void ***)&map->known, &map->known_count, copy))
        free(copy);
}

struct config_node *config_tree_ask(struct config *config, const struct config_node *map,
                                    const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP)
        return NULL;
    know_key(config->nodes[map->index], key);
    for (unsigned i = 0; i < map->child_count; i++) {
        if (strcmp(map->children[i]->key, key) == 0) {
            map->children[i]->asked = true;
            return map->children[i];
        }
    }
    return NULL;
}

/* `text` in quotes, cut and printable, whatever somebody wrote there. */
static void quote(const char *text, char *out, size_t out_size)
{
    size_t at = 0;
    out[at++] = '"';
    for (; *text != '\0' && at + 5 < out_size; text++)
        out[at++] = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
    if (*text != '\0') {
        memcpy(out + at, "...", 3);
        at += 3;
    }
    out[at++] = '"';
    out[at] = '\0';
}

void config_tree_title(const struct config_node *node, char out[static CONFIG_TITLE_MAX])
{
    char name[CONFIG_NAME_MAX];
    const struct config_node *named = node;
    while (named != NULL && named->key == NULL)
        named = named->parent;
    if (named == NULL) {
        snprintf(out, CONFIG_TITLE_MAX, "the file");
        return;
    }
    quote(named->key, name, sizeof name);
    snprintf(out, CONFIG_TITLE_MAX, "%s%s", named == node ? "" : "an entry of ", name);
}

/* True where a key on the way to the node is named like one that holds a secret. */
static bool might_be_secret(const struct config_node *node)
{
    static const char *const names[] = {"key", "secret", "pass", "token", "credential", "pin"};
    for (; node != NULL; node = node->parent)
        for (unsigned i = 0; node->key != NULL && i < sizeof names / sizeof names[0]; i++)
            if (strcasestr(node->key, names[i]) != NULL)
                return true;
    return false;
}

void config_tree_show(const struct config_node *node, char out[static CONFIG_SHOWN_MAX])
{
    assert(node->kind == CONFIG_SCALAR);
    if (might_be_secret(node))
        snprintf(out, CONFIG_SHOWN_MAX, "not right");
    else
        quote(node->text, out, CONFIG_SHOWN_MAX);
}

/* Unknown keys */

/* How many letters must be put in, taken out or changed to make one key of the other. */
static unsigned edit_distance(const char *left, const char *right)
{
    unsigned row[CONFIG_NAME_MAX + 1];
    size_t right_size = strlen(right);
    if (strlen(left) > CONFIG_NAME_MAX || right_size > CONFIG_NAME_MAX)
        return CONFIG_NAME_MAX;
    for (unsigned j = 0; j <= right_size; j++)
        row[j] = j;
    for (unsigned i = 0; left[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (unsigned j = 0; j < right_size; j++) {
            unsigned best = diagonal + (left[i] != right[j]);
            diagonal = row[j + 1];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j + 1] = diagonal + 1 < best ? diagonal + 1 : best;
        }
    }
    return row[right_size];
}

/* The known key that is meant, or NULL where none is near. */
static const char *nearest_key(const struct config_node *map, const char *key)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)strlen(key) / 3 + 2; /* As far apart as that is no slip. */
    for (unsigned i = 0; i < map->known_count; i++) {
        unsigned distance = edit_distance(key, map->known[i]);
        if (distance < least) {
            least = distance;
            nearest = map->known[i];
        }
    }
    return nearest;
}

static void complain_unknown(struct config *config, const struct config_node *node)
{
    char title[CONFIG_TITLE_MAX];
    config_tree_title(node, title);
    const char *nearest = nearest_key(node->parent, node->key);
    if (nearest != NULL) {
        config_complain(config, node, "%s is no key here; is \"%s\" meant?", title, nearest);
        return;
    }
    char known[256] = "";
    size_t used = 0;
    for (unsigned i = 0; i < node->parent->known_count && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ",
                                 node->parent->known[i]);
    config_complain(config, node, "%s is no key here%s%s", title,
                    used > 0 ? "; there can be " : ", where none is taken", known);
}

void config_no_memory(struct config *config)
{
    config->no_memory = true;
    config_complain(config, NULL, "memory is out");
}

STATUS config_finish(struct config *config)
{
    assert(config != NULL);
    /* In the order of the file, so a map nobody knows comes before what is in it. */
    for (unsigned i = 0; i < config->node_count && config->error[0] == '\0'; i++)
        if (config->nodes[i]->key != NULL && !config->nodes[i]->asked)
            complain_unknown(config, config->nodes[i]);
    ENSURE(!config->no_memory, WHY_NO_MEMORY);
    ENSURE(config->error[0] == '\0', WHY_BAD_INPUT);
    return STATUS_OK;
}
