/* SPDX-License-Identifier: MIT
 *
 * config_private.h: what the files of the config share. A text becomes a tree of nodes that know their
 * place (config_yaml), overrides change the tree (config_override), tables of keys turn nodes into values
 * (config_set, config_layers), rules between keys follow (config_check). Problems are collected on the
 * way and reported together; a node that caused one is marked broken and stays silent from then on. */
#ifndef LOCKSTEP_TRAINER_CONFIG_PRIVATE_H
#define LOCKSTEP_TRAINER_CONFIG_PRIVATE_H

#include <stdio.h>

#include "trainer/config.h"

/* ---- memory (config_memory.c) ------------------------------------------------------------------ */

typedef struct ConfigMemory ConfigMemory;

ConfigMemory *config_memory_create(void);
void config_memory_destroy(ConfigMemory **memory);

/* Zeroed, aligned for anything, freed with `memory`. Never NULL: a program that cannot have the few
 * kilobytes of a config says so and ends with ERR_USAGE. */
void *config_take(ConfigMemory *memory, size_t bytes);
const char *config_copy(ConfigMemory *memory, const char *text, size_t bytes);
const char *config_text(ConfigMemory *memory, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text in single quotes for a message: shortened, control characters as '?'. */
const char *config_quote(ConfigMemory *memory, const char *text);

/* ---- places, problems (config_memory.c) --------------------------------------------------------- */

/* In the file (number 0), or in the override of that number, counted from 1. */
typedef struct Place {
    const char *override;
    size_t number, line, column;
} Place;

typedef struct Problem {
    Place place;
    const char *text;
} Problem;

enum { PROBLEMS_SHOWN = 50 };

typedef struct Reader {
    ConfigMemory *memory;
    const char *file; /* stands for the file in messages */
    Problem problem[PROBLEMS_SHOWN];
    size_t problems; /* found; the first PROBLEMS_SHOWN are kept */
} Reader;

/* Records "place: path: what"; path NULL: none. */
void problem_add(Reader *reader, Place place, const char *path, const char *format, ...) PRINTF_LIKE(4, 5);

/* OK, or ERR_USAGE with all problems, a line each, in the order of their places. */
MUST_CHECK Status problems_report(Reader *reader);

/* ---- nodes (config_yaml.c) ---------------------------------------------------------------------- */

typedef enum NodeKind { NODE_SCALAR, NODE_LIST, NODE_MAP } NodeKind;

typedef struct Node Node;

typedef struct Entry {
    const char *key; /* NULL in a list */
    Place place;     /* of the key */
    Node *value;
} Entry;

struct Node {
    NodeKind kind;
    Place place;
    bool broken;
    const char *text; /* of a scalar */
    bool plain;       /* it stands without quotes */
    Entry *entry;
    size_t count, room;
};

enum { CONFIG_MAX_DEPTH = 32, CONFIG_MAX_KEYS = 256, CONFIG_MAX_LAYERS = 1000, CONFIG_MAX_BYTES = 1 << 20 };

/* The tree of one YAML document; an empty text is an empty scalar. NULL if it is not YAML that we take
 * (the problem is recorded). `override` and `number` as in Place. */
Node *node_read(Reader *reader, const char *text, size_t bytes, const char *override, size_t number);

Node *node_scalar(Reader *reader, Place place, const char *text);
Node *node_map(Reader *reader, Place place);
/* Appends; key NULL in a list. */
void node_append(Reader *reader, Node *node, const char *key, Place place, Node *value);
/* The entry of a map, NULL if there is none or the node is no map. */
Entry *node_entry(const Node *node, const char *key);
bool node_is_null(const Node *node);

/* ---- the schema (config_schema.c) ---------------------------------------------------------------- */

typedef struct Section {
    const char *name;
    const Key *keys;
    size_t offset; /* of its struct in Config */
    const char *doc;
} Section;

/* All sections but the model, in the order of the file; ends with name NULL. The model stands after data. */
extern const Section config_sections[];
const Section *config_section(const char *name);

/* Keys that every layer takes, as a LayerCommon. */
typedef struct LayerCommon {
    const char *name;
    StringList input;
    bool frozen;
} LayerCommon;
extern const Key config_layer_keys[];

const Key *key_find(const Key *keys, const char *name);
/* data.validation takes a path as well as a fraction. */
bool key_is_validation(const Key *key);
/* Its value is a path, or may be one. */
bool key_is_path(const Key *key);

/* Open ends of ranges, which are inclusive in the tables. */
#define BELOW_ONE 0.99999999999999988898
#define ABOVE_ZERO 4.9406564584124654e-324

/* "0 <= x < 1", ">= 1"; "" where there is no limit. Returns `out`. */
const char *key_range(const Key *key, char out[96]);
/* Item `index` of "a|b|c": its length, and its start in *start; 0 beyond the end. */
size_t key_choice(const char *choices, size_t index, const char **start);
/* "a, b, c". */
const char *key_choices(ConfigMemory *memory, const char *choices);

/* ---- values (config_set.c) ----------------------------------------------------------------------- */

/* Sets the value of `key` in the struct at `base` from a node; problems are recorded under `path`, leave
 * the value as it was and mark the node as broken. */
void value_set(Reader *reader, const Key *key, Node *node, const char *path, void *base);
/* The same from the key's default, which exists. */
void value_default(Reader *reader, const Key *key, const char *path, void *base);
/* data.validation: a fraction or a path. */
void validation_set(Reader *reader, const Key *key, Node *node, const char *path, DataSection *data);

/* A whole text as a finite decimal number. */
typedef enum NumberFault {
    NUMBER_FINE,
    NUMBER_NONE,
    NUMBER_NOT_FINITE,
    NUMBER_TOO_LARGE,
    NUMBER_TOO_SMALL,
    NUMBER_UNDERSCORE,
    NUMBER_BASE,
    NUMBER_ZERO
} NumberFault;
NumberFault number_parse(const char *text, double *out);

/* Reports a key that is not in any of the tables (NULL: no second table). `what` names the owner. */
void key_unknown(Reader *reader, const Entry *entry, const char *path, const char *owner, const Key *keys,
                 const Key *more);

/* ---- groups of layers (config_groups.c) ------------------------------------------------------------- */

typedef struct GroupKind {
    const char *kind, *summary;
    const char *reads; /* the value its first layer reads, NULL: the layer above */
    bool adds;         /* its input is added to its last layer's output */
} GroupKind;

extern const GroupKind config_groups[]; /* alphabetical; ends with kind NULL */
extern const Key config_group_keys[];
const GroupKind *group_kind(const char *kind);
const char *group_summary(const GroupKind *group);

/* A list of layers while it is read. */
typedef struct Scope {
    const struct Scope *outer; /* NULL: the model's own list */
    ModelItem *group;          /* the items read so far: group->item, group->items */
    const char **name;         /* of all items of the list, see layer_names */
    size_t count;
    const char *prefix, *path; /* "enc.", "model.enc" */
    const char *reads;         /* full name of what the first layer reads */
    bool frozen;
} Scope;

/* Names that belong to what a batch brings. */
bool name_is_taken(const char *name);
/* The full name of the value that a layer at this place means by `text`: among its siblings, then further
 * out. NULL if there is none, and with *known if a problem elsewhere is the reason. */
const char *scope_value(Reader *reader, const Scope *scope, const char *text, bool *known);
/* Of what stands above this place, and of the nearest encoder above it; NULL if there is none. */
const char *scope_above(const Scope *scope);
const char *scope_encoder(const Scope *scope);
/* Reports that there is no value of that name. */
void scope_unknown(Reader *reader, const Scope *scope, const char *text, Place place, const char *where);

/* ---- layers (config_layers.c) ---------------------------------------------------------------------- */

/* The kind that a list item names, NULL if it has no valid form. *value: its keys, maybe NULL. */
const char *layer_item(const Node *item, Node **value);
/* The names of all items of a list as far as they can be told (NULL otherwise), defaults included. */
const char **layer_names(Reader *reader, const Node *model);
/* The item's keys as a map in the tree, made from its short forms if need be; NULL if it has no valid form. */
Node *layer_map(Reader *reader, Entry *item);
void layers_set(Reader *reader, Node *model, Config *config);

/* ---- decoders (config_decoder.c) --------------------------------------------------------------------- */

/* Reports layers that read the target and look at later steps of it. */
void decoder_check(Reader *reader, const Node *model, const Config *config);

/* ---- overrides (config_override.c), rules (config_check.c) ------------------------------------------ */

void override_apply(Reader *reader, Node *root, const char *text, size_t number);
void config_check(Reader *reader, const Node *root, Config *config);
/* 90s, 3h50m, HH:MM:SS; false if it is none of them. */
bool duration_parse(const char *text, double *seconds);

/* ---- printing (config_print.c) ------------------------------------------------------------------------ */

/* The value as YAML that parses back to it. Paths are made absolute if `absolute`. */
void value_print(FILE *out, const Key *key, const void *base, bool absolute);
void text_print(FILE *out, const char *text);

#endif
