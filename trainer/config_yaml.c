/* SPDX-License-Identifier: MIT
 *
 * config_yaml.c: text to a tree of nodes that know their places, from libyaml's events. Only the plain
 * part of YAML is taken: one document, no anchors, aliases or tags, bounded depth. */
#include <string.h>
#include <yaml.h>

#include "trainer/config_private.h"

typedef struct Source {
    Reader *reader;
    yaml_parser_t parser;
    const char *text;
    size_t bytes;
    const char *override;
    size_t number;
} Source;

static Place place_of(const Source *source, yaml_mark_t mark) {
    return (Place){
        .override = source->override, .number = source->number, .line = mark.line + 1, .column = mark.column + 1};
}

/* ---- nodes --------------------------------------------------------------------------------------- */

Node *node_scalar(Reader *reader, Place place, const char *text) {
    Node *node = config_take(reader->memory, sizeof *node);
    node->kind = NODE_SCALAR;
    node->place = place;
    node->text = text;
    node->plain = true;
    return node;
}

Node *node_map(Reader *reader, Place place) {
    Node *node = config_take(reader->memory, sizeof *node);
    node->kind = NODE_MAP;
    node->place = place;
    return node;
}

void node_append(Reader *reader, Node *node, const char *key, Place place, Node *value) {
    if (node->count == node->room) {
        node->room = node->room ? 2 * node->room : 8;
        Entry *entry = config_take(reader->memory, node->room * sizeof *entry);
        if (node->count > 0) memcpy(entry, node->entry, node->count * sizeof *entry);
        node->entry = entry;
    }
    node->entry[node->count++] = (Entry){.key = key, .place = place, .value = value};
}

Entry *node_entry(const Node *node, const char *key) {
    if (!node || node->kind != NODE_MAP) return NULL;
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->entry[i].key, key) == 0) return &node->entry[i];
    return NULL;
}

bool node_is_null(const Node *node) {
    static const char *const null[] = {"", "~", "null", "Null", "NULL"};
    if (!node || node->kind != NODE_SCALAR || !node->plain || node->broken) return false;
    for (size_t i = 0; i < sizeof null / sizeof *null; i++)
        if (strcmp(node->text, null[i]) == 0) return true;
    return false;
}

/* ---- what libyaml refuses --------------------------------------------------------------------------- */

static yaml_mark_t mark_of_offset(const Source *source, size_t offset) {
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < source->bytes; i++) {
        if (source->text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)source->text[i] & 0xC0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

/* libyaml ends a text without a line feed on a line of its own; for users it ends where it ends. */
static yaml_mark_t inside(const Source *source, yaml_mark_t mark) {
    size_t characters = 0;
    for (size_t i = 0; i < source->bytes; i++) characters += ((unsigned char)source->text[i] & 0xC0) != 0x80;
    yaml_mark_t end = mark_of_offset(source, source->bytes);
    if (mark.index < characters || mark.column > 0 || mark.line == 0 || end.column == 0) return mark;
    return (yaml_mark_t){.index = mark.index, .line = mark.line - 1, .column = end.column};
}

static const char *line_start(const Source *source, size_t line) {
    const char *at = source->text, *end = source->text + source->bytes;
    for (; line > 0; line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at) return end;
        at++;
    }
    return at;
}

/* The first line in [first, last] that is indented with a tab: reports it. */
static bool tab_reported(Source *source, size_t first, size_t last) {
    const char *end = source->text + source->bytes;
    for (size_t line = first; line <= last; line++) {
        const char *start = line_start(source, line), *at = start;
        while (at < end && *at == ' ') at++;
        if (at == end || *at != '\t') continue;
        yaml_mark_t mark = {.line = line, .column = (size_t)(at - start)};
        problem_add(source->reader, place_of(source, mark), NULL, "tabs may not indent YAML; use spaces");
        return true;
    }
    return false;
}

static const char *remedy(const Source *source, const char *problem, yaml_mark_t at) {
    ConfigMemory *memory = source->reader->memory;
    const char *start = line_start(source, at.line);
    size_t left = (size_t)(source->text + source->bytes - start);
    char c = at.column < left ? start[at.column] : '\0';
    if (strstr(problem, "mapping values are not allowed"))
        return "check the indentation, and quote a text that holds ': '";
    if (strstr(problem, "could not find expected ':'")) return "write 'key: value', with a space after the colon";
    if (c == '\t') return "use spaces instead of the tab";
    if (strstr(problem, "cannot start any token"))
        return config_text(memory, "quote a text that starts with %s", config_quote(memory, (char[]){c, '\0'}));
    if (strstr(problem, "did not find expected alphabetic or numeric character"))
        return "quote a text that starts with '*' or '&', like \"*.txt\"";
    return "check indentation, brackets and quotes";
}

static void syntax_reported(Source *source) {
    const yaml_parser_t *parser = &source->parser;
    const char *problem = parser->problem ? parser->problem : "unknown fault";
    if (parser->error == YAML_READER_ERROR) {
        yaml_mark_t mark = mark_of_offset(source, parser->problem_offset);
        problem_add(source->reader, place_of(source, mark), NULL, "not text in UTF-8 (%s); save the file as UTF-8",
                    problem);
        return;
    }
    yaml_mark_t at = inside(source, parser->problem_mark), since = parser->context ? parser->context_mark : at;
    if (since.line > at.line) since = at;
    if (tab_reported(source, since.line, at.line)) return;
    const char *context = "";
    if (parser->context && parser->error == YAML_PARSER_ERROR)
        context = config_text(source->reader->memory, " %s that starts at line %zu", parser->context, since.line + 1);
    problem_add(source->reader, place_of(source, at), NULL, "not valid YAML: %s%s; %s", problem,
                source->number ? "" : context, remedy(source, problem, at));
}

static bool next_event(Source *source, yaml_event_t *event) {
    if (yaml_parser_parse(&source->parser, event)) return true;
    syntax_reported(source);
    return false;
}

/* ---- what we refuse ------------------------------------------------------------------------------------ */

/* A tag as it is written: libyaml hands out !!str in full. */
static const char *tag_text(ConfigMemory *memory, const char *tag) {
    static const char full[] = "tag:yaml.org,2002:";
    return strncmp(tag, full, sizeof full - 1) == 0 ? config_text(memory, "!!%s", tag + sizeof full - 1) : tag;
}

/* Anchors and tags of any node: reported, then ignored. */
static void plainness_check(Source *source, const yaml_event_t *event, const char *path) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    Place place = place_of(source, event->start_mark);
    ConfigMemory *memory = source->reader->memory;
    if (anchor)
        problem_add(source->reader, place, path,
                    "anchors are not taken: %s; remove it, or quote a text that starts with '&'",
                    config_quote(memory, config_text(memory, "&%s", (const char *)anchor)));
    if (tag)
        problem_add(source->reader, place, path,
                    "tags are not taken: %s; remove it, or quote a text that starts with '!'",
                    config_quote(memory, tag_text(memory, (const char *)tag)));
}

static Node *read_value(Source *source, const yaml_event_t *event, const char *path, size_t depth, bool item);

static Node *read_scalar(Source *source, const yaml_event_t *event, const char *path) {
    const char *text = (const char *)event->data.scalar.value;
    size_t bytes = event->data.scalar.length;
    Node *node = node_scalar(source->reader, place_of(source, event->start_mark),
                             config_copy(source->reader->memory, text, bytes));
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(node->text) != bytes) {
        problem_add(source->reader, node->place, path, "holds a NUL character; remove it");
        node->broken = true;
    }
    return node;
}

static Node *read_list(Source *source, const yaml_event_t *event, const char *path, size_t depth) {
    Node *list = node_map(source->reader, place_of(source, event->start_mark));
    list->kind = NODE_LIST;
    for (;;) {
        yaml_event_t item;
        if (!next_event(source, &item)) return NULL;
        if (item.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&item);
            return list;
        }
        const char *where =
            config_text(source->reader->memory, "%s%s%zu", path ? path : "", path ? "." : "", list->count);
        Node *value = read_value(source, &item, where, depth, true);
        yaml_event_delete(&item);
        if (!value) return NULL;
        node_append(source->reader, list, NULL, value->place, value);
    }
}

/* The key of an entry, NULL if it is no text (recorded). */
static const char *read_key(Source *source, const yaml_event_t *event, const Node *map, const char *path) {
    Place place = place_of(source, event->start_mark);
    if (event->type != YAML_SCALAR_EVENT) {
        problem_add(source->reader, place, path, "a key must be a plain word, like 'lr: 0.001'");
        return NULL;
    }
    if (map->count == CONFIG_MAX_KEYS) {
        problem_add(source->reader, place, path, "more than %d keys in one mapping; this is not a config",
                    CONFIG_MAX_KEYS);
        return NULL;
    }
    plainness_check(source, event, path);
    return read_scalar(source, event, path)->text;
}

/* The map that is an item of a list is a layer, as a rule: its key, the kind, is no part of the paths of
 * what it holds, as in the overrides. */
static Node *read_map(Source *source, const yaml_event_t *event, const char *path, size_t depth, bool layer) {
    Reader *reader = source->reader;
    Node *map = node_map(reader, place_of(source, event->start_mark));
    for (;;) {
        yaml_event_t item;
        if (!next_event(source, &item)) return NULL;
        if (item.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&item);
            return map;
        }
        const char *key = read_key(source, &item, map, path);
        Place place = place_of(source, item.start_mark);
        yaml_event_delete(&item);
        if (!key || !next_event(source, &item)) return NULL;
        const char *shown = config_quote(reader->memory, key);
        const char *where = config_text(reader->memory, "%s%s%.*s", path ? path : "", path ? "." : "",
                                        (int)strlen(shown) - 2, shown + 1);
        Node *value = read_value(source, &item, layer ? path : where, depth, false);
        yaml_event_delete(&item);
        if (!value) return NULL;
        const Entry *first = node_entry(map, key);
        if (first) problem_add(reader, place, where, "duplicate key, first at line %zu; remove one", first->place.line);
        else node_append(reader, map, key, place, value);
    }
}

static Node *read_value(Source *source, const yaml_event_t *event, const char *path, size_t depth, bool item) {
    Place place = place_of(source, event->start_mark);
    if (depth == CONFIG_MAX_DEPTH) {
        problem_add(source->reader, place, NULL, "nested more than %d deep; this is not a config", CONFIG_MAX_DEPTH);
        return NULL;
    }
    plainness_check(source, event, path);
    if (event->type == YAML_SCALAR_EVENT) return read_scalar(source, event, path);
    if (event->type == YAML_SEQUENCE_START_EVENT) return read_list(source, event, path, depth + 1);
    if (event->type == YAML_MAPPING_START_EVENT) return read_map(source, event, path, depth + 1, item);
    ConfigMemory *memory = source->reader->memory;
    const char *name = config_quote(memory, config_text(memory, "*%s", (const char *)event->data.alias.anchor));
    problem_add(source->reader, place, path,
                "aliases are not taken: %s; write the value out, or quote a text that starts with '*'", name);
    Node *node = node_scalar(source->reader, place, "");
    node->broken = true;
    return node;
}

/* After the document's start: its root, its end, and nothing behind it. */
static Node *read_document(Source *source) {
    yaml_event_t event;
    if (!next_event(source, &event)) return NULL;
    Node *root = read_value(source, &event, NULL, 0, false);
    yaml_event_delete(&event);
    if (!root || !next_event(source, &event)) return NULL;
    yaml_event_delete(&event);
    if (!next_event(source, &event)) return NULL;
    if (event.type != YAML_STREAM_END_EVENT) {
        problem_add(source->reader, place_of(source, event.start_mark), NULL,
                    "a second YAML document starts here; a config is one, remove '---' and what follows");
        root = NULL;
    }
    yaml_event_delete(&event);
    return root;
}

Node *node_read(Reader *reader, const char *text, size_t bytes, const char *override, size_t number) {
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    if (bytes >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    Source source = {.reader = reader, .text = text, .bytes = bytes, .override = override, .number = number};
    const char *nul = bytes > 0 ? memchr(text, '\0', bytes) : NULL;
    if (nul) {
        problem_add(reader, place_of(&source, mark_of_offset(&source, (size_t)(nul - text))), NULL,
                    "holds a NUL byte; a config is text in UTF-8");
        return NULL;
    }
    Node *root = NULL;
    yaml_event_t event;
    if (!yaml_parser_initialize(&source.parser)) {
        problem_add(reader, place_of(&source, (yaml_mark_t){0}), NULL, "out of memory; free memory on this machine");
        return NULL;
    }
    yaml_parser_set_encoding(&source.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&source.parser, (const unsigned char *)text, bytes);
    if (next_event(&source, &event)) { /* the start of the stream */
        yaml_event_delete(&event);
        if (next_event(&source, &event)) {
            bool empty = event.type == YAML_STREAM_END_EVENT;
            yaml_event_delete(&event);
            root = empty ? node_scalar(reader, place_of(&source, (yaml_mark_t){0}), "") : read_document(&source);
        }
    }
    yaml_parser_delete(&source.parser);
    return root;
}
