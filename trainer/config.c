/* SPDX-License-Identifier: MIT
 *
 * config.c: from a file or a text to a Config: tree, overrides, values, rules; one report of all that is
 * wrong. */
#include "trainer/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

/* ---- sections ---------------------------------------------------------------------------------------- */

/* Data that are made have no path. */
static bool may_lack(const Node *map, const Key *key) {
    const Entry *kind = key_is_path(key) ? node_entry(map, "kind") : NULL;
    return kind && kind->value->text && strcmp(kind->value->text, "synthetic") == 0;
}

static void section_set(Reader *reader, const Node *root, const Section *section, Config *config) {
    const Entry *entry = node_entry(root, section->name);
    Node *map = entry && !node_is_null(entry->value) ? entry->value : NULL;
    void *base = (char *)config + section->offset;
    if (map && (map->broken || map->kind != NODE_MAP)) {
        if (!map->broken)
            problem_add(reader, map->place, section->name, "expected a mapping of keys, like '%s: {%s: ...}'",
                        section->name, section->keys[0].name);
        map = NULL;
    }
    bool missing = !entry || map || node_is_null(entry->value);
    for (const Key *key = section->keys; key->name; key++) {
        const char *path = config_text(reader->memory, "%s.%s", section->name, key->name);
        const Entry *given = node_entry(map, key->name);
        if (key->fallback) value_default(reader, key, path, base);
        else if (!given && missing && !may_lack(map, key))
            problem_add(reader, entry ? entry->place : root->place, path, "missing: %s", key->doc);
        if (!given) continue;
        if (key_is_validation(key)) validation_set(reader, key, given->value, path, base);
        else value_set(reader, key, given->value, path, base);
    }
    for (size_t i = 0; map && i < map->count; i++) {
        const Entry *other = &map->entry[i];
        if (key_find(section->keys, other->key)) continue;
        const char *shown = config_quote(reader->memory, other->key);
        key_unknown(reader, other,
                    config_text(reader->memory, "%s.%.*s", section->name, (int)strlen(shown) - 2, shown + 1),
                    section->name, section->keys, NULL);
    }
}

static void unknown_sections(Reader *reader, const Node *root) {
    for (size_t i = 0; i < root->count; i++) {
        const Entry *entry = &root->entry[i];
        if (config_section(entry->key) || strcmp(entry->key, "model") == 0) continue;
        Suggestion suggestion = suggestion_for(entry->key);
        const char *owner = NULL, *quoted = config_quote(reader->memory, entry->key);
        const char *path = config_text(reader->memory, "%.*s", (int)strlen(quoted) - 2, quoted + 1);
        suggestion_offer(&suggestion, "model");
        for (const Section *section = config_sections; section->name; section++) {
            suggestion_offer(&suggestion, section->name);
            if (!owner && key_find(section->keys, entry->key)) owner = section->name;
        }
        if (owner)
            problem_add(reader, entry->place, path, "unknown section; it is a key of %s, write '%s: {%s: ...}'", owner,
                        owner, entry->key);
        else if (suggestion.best)
            problem_add(reader, entry->place, path, "unknown section, did you mean '%s'?", suggestion.best);
        else
            problem_add(reader, entry->place, path,
                        "unknown section; there are run, data, model, loss, optimizer, schedule, train, eval, "
                        "checkpoint, log, comm");
    }
}

/* runs/<name of the config without directory and ending>. */
static const char *default_dir(ConfigMemory *memory, const char *file) {
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t length = strlen(name);
    if (length > 5 && strcmp(name + length - 5, ".yaml") == 0) length -= 5;
    else if (length > 4 && strcmp(name + length - 4, ".yml") == 0) length -= 4;
    return length > 0 ? config_text(memory, "runs/%.*s", (int)length, name) : "runs/run";
}

static void root_set(Reader *reader, Node *root, Config *config) {
    Entry *model = node_entry(root, "model");
    for (const Section *section = config_sections; section->name; section++) section_set(reader, root, section, config);
    if (model) layers_set(reader, model->value, config);
    else
        problem_add(reader, root->place, "model",
                    "missing: the list of layers, like [{embedding: {embedding_dim: 128}}, {lstm: {hidden_size: 256}}, "
                    "linear]");
    unknown_sections(reader, root);
    config_check(reader, root, config);
    if (!config->run.dir) config->run.dir = default_dir(reader->memory, reader->file);
}

/* ---- texts ------------------------------------------------------------------------------------------------ */

static void read_all(Reader *reader, const char *text, size_t bytes, const char *const *override, size_t overrides,
                     Config *config) {
    if (bytes > CONFIG_MAX_BYTES) {
        problem_add(reader, (Place){.line = 1, .column = 1}, NULL, "larger than %d bytes; this is not a config",
                    CONFIG_MAX_BYTES);
        return;
    }
    Node *root = node_read(reader, text, bytes, NULL, 0);
    if (!root) return;
    if (node_is_null(root) && !root->broken) {
        problem_add(reader, root->place, NULL, "empty; a config needs at least 'data: {path: ...}' and 'model: [...]'");
        return;
    }
    if (root->kind != NODE_MAP) {
        if (!root->broken)
            problem_add(reader, root->place, NULL, "not a config: expected sections like 'data:' and 'model:', got %s",
                        root->kind == NODE_LIST ? "a list" : config_quote(reader->memory, root->text));
        return;
    }
    for (size_t i = 0; i < overrides; i++) override_apply(reader, root, override[i], i + 1);
    root_set(reader, root, config);
}

static Status parse(const char *text, size_t bytes, const char *name, const char *const *override, size_t overrides,
                    Config **out) {
    ConfigMemory *memory = config_memory_create();
    Config *config = config_take(memory, sizeof *config);
    Reader *reader = config_take(memory, sizeof *reader);
    config->memory = memory;
    reader->memory = memory;
    reader->file = config_copy(memory, name, strlen(name));
    *out = NULL;
    read_all(reader, text, bytes, override, overrides, config);
    Status status = problems_report(reader);
    if (status == OK) *out = config;
    else config_memory_destroy(&memory);
    return status;
}

Status config_parse(const char *text, const char *name, const char *const *override, size_t overrides, Config **out) {
    return parse(text, strlen(text), name, override, overrides, out);
}

bool config_has_decoder(const Config *config) {
    for (size_t i = 0; i < config->layers; i++)
        for (size_t k = 0; k < config->layer[i].inputs; k++)
            if (strcmp(config->layer[i].input[k], "target") == 0) return true;
    return false;
}

void config_destroy(Config **config) {
    if (!*config) return;
    ConfigMemory *memory = (*config)->memory; /* the Config itself lies in it */
    config_memory_destroy(&memory);
    *config = NULL;
}

/* ---- files ------------------------------------------------------------------------------------------------ */

Status config_load(const char *path, const char *const *override, size_t overrides, Config **out) {
    *out = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return status_fail(ERR_USAGE, "config cannot be read (%s): %s; name an existing YAML file", path,
                           strerror(errno));
    char *text = malloc(CONFIG_MAX_BYTES + 1);
    if (!text) {
        fclose(file);
        return status_fail(ERR_USAGE, "config cannot be read (%s): out of memory; free memory on this machine", path);
    }
    errno = 0;
    size_t bytes = fread(text, 1, CONFIG_MAX_BYTES + 1, file);
    bool failed = ferror(file) != 0;
    int reason = errno;
    fclose(file);
    Status status = failed ? status_fail(ERR_USAGE, "config cannot be read (%s): %s; name an existing YAML file", path,
                                         strerror(reason))
                           : parse(text, bytes, path, override, overrides, out);
    free(text);
    return status;
}
