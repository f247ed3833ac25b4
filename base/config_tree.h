/* SPDX-License-Identifier: Apache-2.0 */
/* base/config_tree.h -- what a configuration is made of.  For base/config.c and config_read.c
 * alone.
 *
 * In      nodes, as the parser meets them.
 * Out     a tree that remembers what was asked of it.
 * Never   is seen by the readers' callers.
 * Threads one at a time.
 */
#ifndef BASE_CONFIG_TREE_H
#define BASE_CONFIG_TREE_H

#include <stdbool.h>

#include "base/config.h"

#define CONFIG_NODES_MAX    65536u
#define CONFIG_CHILDREN_MAX 8192u
#define CONFIG_DEPTH_MAX    16u
#define CONFIG_NAME_MAX     64u /* Of a key, as an error shows it. */

enum config_kind { CONFIG_SCALAR, CONFIG_MAP, CONFIG_LIST };

struct config_node {
    enum config_kind kind;
    unsigned index; /* In config->nodes, which is the order of the file. */
    unsigned line;  /* Of its key, where it has one. */
    const struct config_node *parent;
    char *key;  /* NULL for an entry of a list and for the root. */
    char *text; /* A scalar's. */
    bool plain; /* A scalar without quotes. */
    bool asked; /* Somebody knows its key. */

    struct config_node **children;
    unsigned child_count;

    char **known; /* A map's keys that were asked for, there or not. */
    unsigned known_count;
};

struct config {
    char *name;
    struct config_node **nodes;
    unsigned node_count;
    struct config_node *root;
    char **texts; /* Paths that were made; lent to callers. */
    unsigned text_count;
    bool no_memory; /* Nothing is wrong with the file. */
    char error[CONFIG_ERROR_MAX];
};

/* A copy with a NUL that the caller frees; NULL when memory is out. */
char *config_tree_copy(const void *bytes, size_t size);

/* Adds `item` to a list of pointers that doubles when full; false when memory is out. */
bool config_tree_add(void ***items, unsigned *count, void *item);

/* The map's child of that key, or NULL; notes that the key is known. */
struct config_node *config_tree_ask(struct config *config, const struct config_node *map,
                                    const char *key);

/* `"port"`, `an entry of "hosts"` or `the file`, cut and made printable. */
#define CONFIG_TITLE_MAX (CONFIG_NAME_MAX + 24u)
void config_tree_title(const struct config_node *node, char out[static CONFIG_TITLE_MAX]);

/* `"8o80"`, or `not right` where the value might be secret. */
#define CONFIG_SHOWN_MAX 48u
void config_tree_show(const struct config_node *node, char out[static CONFIG_SHOWN_MAX]);

#endif
