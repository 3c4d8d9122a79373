/* SPDX-License-Identifier: MIT
 *
 * config_layers.c: the model's list. An item is a kind with its keys, `- lstm: {hidden_size: 128}`, a kind
 * alone, `- one_hot`, a kind with the value of its main key, `- select: last`, or a group with its layers,
 * `- encoder: [...]`. */
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

enum { NAME_LONGEST = 100, FULL_NAME_LONGEST = 200 };

/* ---- forms of an item --------------------------------------------------------------------------------- */

const char *layer_item(const Node *item, Node **value) {
    *value = NULL;
    if (item->broken || node_is_null(item)) return NULL;
    if (item->kind == NODE_SCALAR) return item->text;
    if (item->kind != NODE_MAP || item->count != 1) return NULL;
    if (!node_is_null(item->entry[0].value)) *value = item->entry[0].value;
    return item->entry[0].key;
}

/* The key that a value without keys sets, NULL if the kind has none for it. */
static const char *shorthand_of(const char *kind, const Node *value) {
    const LayerType *type = layer_type(kind);
    if (group_kind(kind)) return value->kind == NODE_LIST ? config_group_keys[0].name : NULL;
    return type && value->kind == NODE_SCALAR ? type->shorthand : NULL;
}

Node *layer_map(Reader *reader, Entry *item) {
    Node *value;
    const char *kind = layer_item(item->value, &value);
    if (!kind) return NULL;
    if (value && value->kind == NODE_MAP) return value;
    const char *shorthand = value ? shorthand_of(kind, value) : NULL;
    if (value && !shorthand) return NULL;
    Node *map = node_map(reader, value ? value->place : item->value->place);
    if (value) node_append(reader, map, shorthand, value->place, value);
    Node *whole = node_map(reader, item->value->place);
    node_append(reader, whole, kind, item->value->kind == NODE_MAP ? item->value->entry[0].place : item->value->place,
                map);
    item->value = whole;
    return map;
}

static void form_reported(Reader *reader, const Node *item, const char *path) {
    if (item->broken) return;
    if (item->kind == NODE_MAP && item->count > 1) {
        const Entry *first = &item->entry[0], *second = &item->entry[1];
        const char *cure = layer_type(first->key) && !layer_type(second->key) ? "indent it further than the kind"
                                                                              : "start each layer with its own '-'";
        problem_add(reader, second->place, path,
                    "%s stands beside %s; a layer is one kind with its keys below it, so %s",
                    config_quote(reader->memory, second->key), config_quote(reader->memory, first->key), cure);
        return;
    }
    problem_add(reader, item->place, path, "expected a layer, like '- lstm: {hidden_size: 128}'");
}

/* ---- names ------------------------------------------------------------------------------------------------ */

/* The scalar given as the layer's name, NULL if there is none. */
static const Node *name_given(const Node *value) {
    const Entry *entry = node_entry(value, "name");
    if (!entry || entry->value->broken || entry->value->kind != NODE_SCALAR || node_is_null(entry->value)) return NULL;
    return entry->value;
}

const char **layer_names(Reader *reader, const Node *model) {
    const char **name = config_take(reader->memory, (model->count + 1) * sizeof *name);
    const char **unnamed = config_take(reader->memory, (model->count + 1) * sizeof *unnamed); /* kinds */
    for (size_t i = 0; i < model->count; i++) {
        Node *value;
        const char *kind = layer_item(model->entry[i].value, &value);
        const Node *given = name_given(value);
        if (given) name[i] = given->text;
        if (given || !kind) continue;
        size_t same = 1;
        for (size_t j = 0; j < i; j++) same += unnamed[j] && strcmp(unnamed[j], kind) == 0;
        unnamed[i] = kind;
        name[i] = same == 1 ? kind : config_text(reader->memory, "%s_%zu", kind, same);
    }
    return name;
}

static bool name_is_fine(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    double number;
    return name[strspn(name, letters)] == '\0' && strlen(name) <= NAME_LONGEST &&
           number_parse(name, &number) == NUMBER_NONE;
}

/* Reports a name of the wrong form or of an earlier item; true if the name may stand. */
static bool name_check(Reader *reader, const Scope *scope, size_t i, const Node *given, Place place) {
    const char *name = scope->name[i], *quoted = config_quote(reader->memory, name),
               *path = config_text(reader->memory, "%s.%zu.name", scope->path, i);
    if (given) place = given->place;
    if (given && !name_is_fine(given->text)) {
        problem_add(reader, place, path,
                    "%s is no name for a layer; use up to %d letters, digits, '_' and '-', not a number", quoted,
                    NAME_LONGEST);
        return false;
    }
    if (strlen(scope->prefix) <= FULL_NAME_LONGEST && strlen(scope->prefix) + strlen(name) > FULL_NAME_LONGEST) {
        problem_add(reader, place, path, "with the groups around it, the name has more than %d characters; shorten one",
                    FULL_NAME_LONGEST);
        return false;
    }
    if (name_is_taken(name)) {
        problem_add(reader, place, path, "the name %s belongs to the model's input; give another", quoted);
        return false;
    }
    for (size_t j = 0; j < i; j++) {
        if (!scope->name[j] || strcmp(scope->name[j], name) != 0) continue;
        problem_add(reader, place, path, "the name %s belongs to layer %zu already; give another", quoted, j);
        return false;
    }
    return true;
}

/* ---- one layer ---------------------------------------------------------------------------------------------- */

static const LayerType *type_of(Reader *reader, const char *kind, Place place, const char *path) {
    const LayerType *type = layer_type(kind);
    if (type) return type;
    Suggestion suggestion = suggestion_for(kind);
    const char *all = "", *quoted = config_quote(reader->memory, kind);
    for (const LayerType *const *each = layer_types(); *each; each++) {
        suggestion_offer(&suggestion, (*each)->kind);
        all = config_text(reader->memory, "%s%s%s", all, *all ? ", " : "", (*each)->kind);
    }
    for (const GroupKind *group = config_groups; group->kind; group++) {
        suggestion_offer(&suggestion, group->kind);
        if (!layer_type(group->kind)) all = config_text(reader->memory, "%s, %s", all, group->kind);
    }
    if (suggestion.best)
        problem_add(reader, place, path, "unknown layer %s, did you mean '%s'?", quoted, suggestion.best);
    else problem_add(reader, place, path, "unknown layer %s; there are %s", quoted, all);
    return NULL;
}

static void keys_set(Reader *reader, const Key *keys, const Node *map, Place place, const char *path, void *base) {
    for (const Key *key = keys; key && key->name; key++) {
        const Entry *entry = node_entry(map, key->name);
        const char *where = config_text(reader->memory, "%s.%s", path, key->name);
        if (entry) value_set(reader, key, entry->value, where, base);
        else if (key->fallback) value_default(reader, key, where, base);
        else problem_add(reader, place, where, "missing: %s", key->doc ? key->doc : "it has no default");
    }
}

/* The values that `input` names, as full names; they must come from above. Which values a layer gives, the
 * model knows. */
static StringList input_find(Reader *reader, const Scope *scope, const Node *map, const StringList *input,
                             const char *where) {
    const Entry *entry = node_entry(map, "input");
    StringList found = {.item = config_take(reader->memory, (input->count + 2) * sizeof *found.item)};
    for (size_t k = 0; k < input->count; k++) {
        bool known = true;
        const char *value = input->item[k] ? scope_value(reader, scope, input->item[k], &known) : NULL;
        Place place = entry->value->kind == NODE_LIST ? entry->value->entry[k].value->place : entry->value->place;
        if (!known) scope_unknown(reader, scope, input->item[k], place, where);
        found.item[found.count++] = value;
    }
    return found;
}

static void input_count(Reader *reader, const Node *map, size_t count, size_t least, size_t most, const char *kind,
                        Place place, const char *where) {
    const Entry *entry = node_entry(map, "input");
    if (entry) place = entry->value->place;
    if (entry && entry->value->broken) return;
    if (count > most) problem_add(reader, place, where, "%zu inputs, but %s reads at most %zu", count, kind, most);
    else if (count < least)
        problem_add(reader, place, where, "%zu inputs, but %s reads at least %zu; name them, like [rnn, attention]",
                    count, kind, least);
}

/* What the layer reads, `input` and what stands in for what it leaves out. */
static void layer_input(Reader *reader, const Scope *scope, const Node *map, const ModelItem *item, LayerSpec *spec,
                        Place place, const char *path) {
    const LayerType *type = spec->type;
    const char *where = config_text(reader->memory, "%s.input", path);
    StringList found = input_find(reader, scope, map, &item->input, where);
    if (found.count == 0 && (type->memory || (scope->outer && scope->group->items == 0)))
        found.item[found.count++] = scope_above(scope);
    spec->input = found.item;
    const char *encoder = type->memory && found.count == 1 ? scope_encoder(scope) : NULL;
    if (encoder) found.item[found.count++] = encoder;
    if (type->memory && found.count == 1)
        problem_add(reader, place, where,
                    "there is no encoder above that %s could look at; put an `encoder` there, or name two values",
                    type->kind);
    else input_count(reader, map, found.count, type->min_inputs, type->max_inputs, type->kind, place, where);
    spec->inputs = found.count;
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

/* One item with its keys. */
typedef struct Found {
    const char *kind, *path, *full; /* full: the item's name with those of the groups around it */
    Place place;
    Node *map;
} Found;

static void keys_check(Reader *reader, const Found *found, const Key *keys) {
    for (size_t k = 0; k < found->map->count; k++) {
        const char *key = found->map->entry[k].key;
        if (key_find(config_layer_keys, key) || key_find(keys, key)) continue;
        const char *shown = config_quote(reader->memory, key);
        key_unknown(reader, &found->map->entry[k],
                    config_text(reader->memory, "%s.%.*s", found->path, (int)strlen(shown) - 2, shown + 1), found->kind,
                    keys, config_layer_keys);
    }
}

static void list_set(Reader *reader, Scope *scope, Node *list, Config *config);

/* Checks that it is a list with something in it. */
static bool list_check(Reader *reader, const Node *list, const char *path) {
    if (list->broken) return false;
    if (list->kind == NODE_LIST && list->count > 0) return true;
    const char *got = node_is_null(list) || list->count == 0 ? "nothing"
                      : list->kind == NODE_MAP               ? "a mapping; start each layer with '-'"
                                                             : "a text";
    problem_add(reader, list->place, path,
                "expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got %s",
                list->kind == NODE_SCALAR && !node_is_null(list) ? "a text" : got);
    return false;
}

/* The addition at the end of a residual. */
static LayerSpec *addition(Reader *reader, const char *name, const char *reads, const char *last, Config *config) {
    LayerSpec *spec = &config->layer[config->layers++];
    *spec = (LayerSpec){.type = layer_type("residual"), .name = name, .inputs = 2};
    spec->config = config_take(reader->memory, spec->type->config_size);
    spec->input = config_take(reader->memory, 2 * sizeof *spec->input);
    spec->input[0] = reads;
    spec->input[1] = last;
    return spec;
}

static void group_set(Reader *reader, const Scope *scope, const GroupKind *group, const Found *found, ModelItem *item,
                      Config *config) {
    ConfigMemory *memory = reader->memory;
    const char *where = config_text(memory, "%s.input", found->path);
    char unused;
    StringList input = input_find(reader, scope, found->map, &item->input, where);
    input_count(reader, found->map, input.count, 0, 1, found->kind, found->place, where);
    keys_set(reader, config_group_keys, found->map, found->place, found->path, &unused);
    keys_check(reader, found, config_group_keys);
    const Entry *layers = node_entry(found->map, config_group_keys[0].name);
    const char *path = config_text(memory, "%s.%s", found->path, config_group_keys[0].name);
    if (!layers || !list_check(reader, layers->value, path)) return;
    Scope inner = {.outer = scope,
                   .group = item,
                   .prefix = config_text(memory, "%s.", found->full),
                   .path = found->path,
                   .reads = input.count > 0 ? input.item[0]
                            : group->reads  ? group->reads
                                            : scope_above(scope),
                   .frozen = scope->frozen || item->frozen};
    list_set(reader, &inner, layers->value, config);
    item->output = item->item[item->items - 1].output;
    if (!group->adds) return;
    item->layer = addition(reader, found->full, inner.reads, item->output, config);
    item->output = found->full;
}

static void layer_set(Reader *reader, const Scope *scope, const Found *found, ModelItem *item, Config *config) {
    LayerSpec *spec = &config->layer[config->layers++];
    spec->type = layer_type(found->kind);
    spec->config = config_take(reader->memory, spec->type->config_size);
    keys_set(reader, spec->type->keys, found->map, found->place, found->path, spec->config);
    keys_check(reader, found, spec->type->keys);
    spec->name = found->full;
    spec->frozen = scope->frozen || item->frozen;
    layer_input(reader, scope, found->map, item, spec, found->place, found->path);
    item->layer = spec;
    item->output = spec->name;
}

static void item_set(Reader *reader, const Scope *scope, Node *list, size_t i, Config *config) {
    ConfigMemory *memory = reader->memory;
    ModelItem *item = &scope->group->item[i];
    Entry *entry = &list->entry[i];
    Node *value;
    Found found = {.kind = layer_item(entry->value, &value), .path = config_text(memory, "%s.%zu", scope->path, i)};
    item->name = scope->name[i];
    if (!found.kind) {
        form_reported(reader, entry->value, found.path);
        return;
    }
    const char *index = found.path;
    found.place = entry->value->kind == NODE_MAP ? entry->value->entry[0].place : entry->value->place;
    if (name_check(reader, scope, i, name_given(value), found.place))
        found.path = config_text(memory, "%s.%s", scope->path, item->name);
    found.full = config_text(memory, "%s%s", scope->prefix, item->name);
    const GroupKind *group = group_kind(found.kind);
    if ((!group && !type_of(reader, found.kind, found.place, index)) || (value && value->broken)) return;
    found.map = layer_map(reader, entry);
    if (!found.map) {
        const char *got = value->kind == NODE_LIST ? "a list" : config_quote(memory, value->text);
        problem_add(reader, value->place, found.path, "expected the %s of %s, like %s, got %s",
                    group ? "layers" : "keys", found.kind,
                    group ? "[{lstm: {hidden_size: 128}}, linear]" : "{frozen: false}", got);
        return;
    }
    LayerCommon common = {0};
    keys_set(reader, config_layer_keys, found.map, found.place, found.path, &common);
    item->kind = found.kind;
    item->input = common.input;
    item->frozen = common.frozen;
    if (group) group_set(reader, scope, group, &found, item, config);
    else layer_set(reader, scope, &found, item, config);
}

static void list_set(Reader *reader, Scope *scope, Node *list, Config *config) {
    scope->name = layer_names(reader, list);
    scope->count = list->count;
    scope->group->item = config_take(reader->memory, list->count * sizeof *scope->group->item);
    for (size_t i = 0; i < list->count; i++) {
        const size_t problems = reader->problems;
        item_set(reader, scope, list, i, config);
        scope->group->item[i].broken = reader->problems != problems;
        scope->group->items++;
    }
}

/* The most layers that the list can stand for. */
static size_t layers_most(const Node *list) {
    size_t count = 0;
    for (size_t i = 0; list->kind == NODE_LIST && i < list->count; i++) {
        Node *value;
        const char *kind = layer_item(list->entry[i].value, &value);
        const Entry *layers = node_entry(value, config_group_keys[0].name);
        count++;
        if (!kind || !group_kind(kind) || !value) continue;
        if (value->kind == NODE_LIST) count += layers_most(value);
        else if (layers) count += layers_most(layers->value);
    }
    return count;
}

void layers_set(Reader *reader, Node *model, Config *config) {
    if (!list_check(reader, model, "model")) return;
    const size_t most = layers_most(model);
    if (most > CONFIG_MAX_LAYERS) {
        problem_add(reader, model->place, "model", "%zu layers; at most %d are taken", most, CONFIG_MAX_LAYERS);
        return;
    }
    Scope scope = {.group = &config->model, .prefix = "", .path = "model", .reads = "data"};
    config->layer = config_take(reader->memory, most * sizeof *config->layer);
    list_set(reader, &scope, model, config);
}
