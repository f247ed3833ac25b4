/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/config_tree.h"
#include "base/own.h"
#include "base/redact.h"

/* What is being built. */
struct build {
    struct config *config;
    yaml_parser_t *parser;
    const uint8_t *bytes;
    size_t size;
    struct config_node *open[CONFIG_DEPTH_MAX]; /* Maps and lists not ended yet. */
    unsigned depth;
    char *key; /* Of the value that comes next. */
    unsigned key_line;
    unsigned document_count;
};

static void bytes_end(uint8_t **bytes)
{
    free(*bytes);
}

static void key_drop(struct build *build)
{
    free(build->key);
    build->key = NULL;
}

static void fd_end(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Errors */

__attribute__((format(printf, 3, 0))) static void complain_at(struct config *config, unsigned line,
                                                              const char *format, va_list values)
{
    if (config->error[0] != '\0')
        return;
    char text[CONFIG_ERROR_MAX];
    vsnprintf(text, sizeof text, format, values);
    /* Whoever wrote a card number where a port belongs shall not find it in a log. */
    redact_mask((uint8_t *)text, strlen(text));
    int size = line > 0
                   ? snprintf(config->error, sizeof config->error, "%s:%u: ", config->name, line)
                   : snprintf(config->error, sizeof config->error, "%s: ", config->name);
    if (size > 0 && (size_t)size < sizeof config->error)
        snprintf(config->error + size, sizeof config->error - (size_t)size, "%s", text);
}

__attribute__((format(printf, 3, 4))) static STATUS
refuse_line(struct config *config, unsigned line, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    complain_at(config, line, format, values);
    va_end(values);
    return FAIL(WHY_BAD_INPUT);
}

void config_complain(struct config *config, const struct config_node *node, const char *format, ...)
{
    assert(config != NULL);
    va_list values;
    va_start(values, format);
    complain_at(config, config_line(node), format, values);
    va_end(values);
}

const char *config_error(const struct config *config)
{
    return config == NULL ? "memory is out" : config->error;
}

unsigned config_line(const struct config_node *node)
{
    return node == NULL ? 0 : node->line;
}

const struct config_node *config_root(const struct config *config)
{
    return config == NULL ? NULL : config->root;
}

/* Building */

static struct config_node *build_top(const struct build *build)
{
    return build->depth == 0 ? NULL : build->open[build->depth - 1];
}

/* Takes the key that waits, where there is one. */
static STATUS add_node(struct build *build, enum config_kind kind, unsigned line,
                       struct config_node **out_node)
{
    struct config *config = build->config;
    struct config_node *parent = build_top(build);
    if (config->node_count >= CONFIG_NODES_MAX)
        return refuse_line(config, line, "there are more than %u values", CONFIG_NODES_MAX);
    if (parent != NULL && parent->child_count >= CONFIG_CHILDREN_MAX)
        return refuse_line(config, line, "there are more than %u values in one map or list",
                           CONFIG_CHILDREN_MAX);

    struct config_node *node = calloc(1, sizeof *node);
    ENSURE(node != NULL, WHY_NO_MEMORY);
    *node = (struct config_node){.kind = kind, .line = line, .parent = parent};
    node->index = config->node_count;
    if (!config_tree_add((void ***)&config->nodes, &config->node_count, node)) {
        free(node);
        return FAIL(WHY_NO_MEMORY);
    }
    if (build->key != NULL) {
        node->line = build->key_line;
        node->key = MOVE(build->key);
    }
    if (parent == NULL)
        config->root = node;
    else
        ENSURE(config_tree_add((void ***)&parent->children, &parent->child_count, node),
               WHY_NO_MEMORY);
    *out_node = node;
    return STATUS_OK;
}

static STATUS take_key(struct build *build, const yaml_event_t *event, unsigned line)
{
    const struct config_node *map = build_top(build);
    build->key = config_tree_copy(event->data.scalar.value, event->data.scalar.length);
    ENSURE(build->key != NULL, WHY_NO_MEMORY);
    build->key_line = line;

    struct config_node probe = {.key = build->key, .line = line};
    char title[CONFIG_TITLE_MAX];
    config_tree_title(&probe, title);
    if (build->key[0] == '\0' || strlen(build->key) != event->data.scalar.length)
        return refuse_line(build->config, line, "a key is a text of one or more characters");
    for (unsigned i = 0; i < map->child_count; i++)
        if (strcmp(map->children[i]->key, build->key) == 0)
            return refuse_line(build->config, line, "%s is there twice; the first is in line %u",
                               title, map->children[i]->line);
    return STATUS_OK;
}

static STATUS take_scalar(struct build *build, const yaml_event_t *event, unsigned line)
{
    const struct config_node *top = build_top(build);
    if (top != NULL && top->kind == CONFIG_MAP && build->key == NULL)
        return take_key(build, event, line);

    struct config_node *node = NULL;
    TRY(add_node(build, CONFIG_SCALAR, line, &node));
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = config_tree_copy(event->data.scalar.value, event->data.scalar.length);
    ENSURE(node->text != NULL, WHY_NO_MEMORY);
    if (strlen(node->text) != event->data.scalar.length)
        return refuse_line(build->config, line, "a text cannot hold a NUL");
    return STATUS_OK;
}

static STATUS begin_inside(struct build *build, enum config_kind kind, unsigned line)
{
    const struct config_node *top = build_top(build);
    if (top != NULL && top->kind == CONFIG_MAP && build->key == NULL)
        return refuse_line(build->config, line, "a key is a text, not a map or a list");
    if (build->depth >= CONFIG_DEPTH_MAX)
        return refuse_line(build->config, line, "maps and lists stand more than %u deep",
                           CONFIG_DEPTH_MAX);
    struct config_node *node = NULL;
    TRY(add_node(build, kind, line, &node));
    build->open[build->depth++] = node;
    return STATUS_OK;
}

/* Anchors let a few lines unfold into millions, and tags choose types: neither is needed. */
static STATUS check_plainness(struct build *build, const yaml_event_t *event, unsigned line)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT)
        return refuse_line(build->config, line, "aliases (*name) are not taken; write it out");
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    }
    if (anchor != NULL)
        return refuse_line(build->config, line, "anchors (&name) are not taken; write it out");
    if (tag != NULL)
        return refuse_line(build->config, line, "tags (!name) are not taken; leave it out");
    return STATUS_OK;
}

static STATUS take_event(struct build *build, const yaml_event_t *event)
{
    unsigned line = (unsigned)event->start_mark.line + 1;
    TRY(check_plainness(build, event, line));
    if (event->type == YAML_DOCUMENT_START_EVENT && build->document_count++ > 0)
        return refuse_line(build->config, line, "a second document (---) begins; one is taken");
    if (event->type == YAML_SCALAR_EVENT)
        return take_scalar(build, event, line);
    if (event->type == YAML_MAPPING_START_EVENT)
        return begin_inside(build, CONFIG_MAP, line);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return begin_inside(build, CONFIG_LIST, line);
    if (event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT) {
        assert(build->depth > 0);
        build->depth--;
    }
    return STATUS_OK;
}

static STATUS refuse_yaml(const struct build *build)
{
    const yaml_parser_t *parser = build->parser;
    ENSURE(parser->error != YAML_MEMORY_ERROR, WHY_NO_MEMORY);
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* It knows the byte, not the line. */
        line = 1;
        for (size_t i = 0; i < build->size && i < parser->problem_offset; i++)
            line += build->bytes[i] == '\n';
    }
    /* libyaml's own sentences; none repeats what stands in the file. */
    return refuse_line(build->config, line, "this is not YAML: %s",
                       parser->problem == NULL ? "it ends too early" : parser->problem);
}

static STATUS build_tree(struct build *build)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(build->parser, &event))
            return refuse_yaml(build);
        struct status status = take_event(build, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        TRY(status);
    }
    if (build->config->root == NULL)
        return refuse_line(build->config, 0, "there is nothing in it");
    if (build->config->root->kind != CONFIG_MAP) {
        build->config->root = NULL;
        return refuse_line(build->config, 1, "a map of keys and values is expected");
    }
    return STATUS_OK;
}

/* Opening */

static STATUS config_new(const char *name, struct config **out_config)
{
    OWNED(config_free) struct config *config = calloc(1, sizeof *config);
    ENSURE(config != NULL, WHY_NO_MEMORY);
    config->name = config_tree_copy(name, strlen(name));
    ENSURE(config->name != NULL, WHY_NO_MEMORY);
    *out_config = MOVE(config);
    return STATUS_OK;
}

static STATUS parse(struct config *config, const uint8_t *bytes, size_t size)
{
    if (size > CONFIG_BYTES_MAX)
        return refuse_line(config, 0, "it is larger than %u bytes", CONFIG_BYTES_MAX);
    yaml_parser_t parser;
    ENSURE(yaml_parser_initialize(&parser), WHY_NO_MEMORY);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, bytes, size);
    struct build build = {.config = config, .parser = &parser, .bytes = bytes, .size = size};
    struct status status = build_tree(&build);
    key_drop(&build);
    yaml_parser_delete(&parser);
    if (failed(status))
        config->root = NULL;
    return status;
}

STATUS config_open_bytes(const char *name, const void *bytes, size_t size,
                         struct config **out_config)
{
    assert(name != NULL);
    *out_config = NULL;
    TRY(config_new(name, out_config));
    return parse(*out_config, bytes, size);
}

/* Up to one byte more than is taken, so that parse() sees what is too long. */
static STATUS read_all(int fd, uint8_t *out, size_t *out_size)
{
    size_t size = 0;
    while (size <= CONFIG_BYTES_MAX) {
        ssize_t count = read(fd, out + size, CONFIG_BYTES_MAX + 1 - size);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count >= 0, WHY_IO);
        if (count == 0)
            break;
        size += (size_t)count;
    }
    *out_size = size;
    return STATUS_OK;
}

STATUS config_open(const char *path, struct config **out_config)
{
    assert(path != NULL);
    *out_config = NULL;
    TRY(config_new(path, out_config));

    OWNED(fd_end) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        config_complain(*out_config, NULL, "it cannot be read: %s", strerror(errno));
        return FAIL(errno == ENOENT ? WHY_NOT_FOUND : WHY_IO);
    }
    OWNED(bytes_end) uint8_t *bytes = calloc(1, CONFIG_BYTES_MAX + 1);
    ENSURE(bytes != NULL, WHY_NO_MEMORY);
    size_t size = 0;
    struct status status = read_all(fd, bytes, &size);
    if (failed(status)) {
        config_complain(*out_config, NULL, "it cannot be read: %s", strerror(errno));
        return status;
    }
    return parse(*out_config, bytes, size);
}

static void node_free(struct config_node *node)
{
    for (unsigned i = 0; i < node->known_count; i++)
        free(node->known[i]);
    free(node->known);
    free(node->children);
    free(node->key);
    free(node->text);
    free(node);
}

void config_free(struct config **config)
{
    if (*config == NULL)
        return;
    for (unsigned i = 0; i < (*config)->node_count; i++)
        node_free((*config)->nodes[i]);
    for (unsigned i = 0; i < (*config)->text_count; i++)
        free((*config)->texts[i]);
    free((*config)->nodes);
    free((*config)->texts);
    free((*config)->name);
    free(*config);
    *config = NULL;
}
