/* SPDX-License-Identifier: MIT
 *
 * key.h: one configuration key: its name, type, default, range and one line of help. Layers and the
 * sections of the config describe themselves with tables of keys, and parsing, defaults, overrides,
 * messages, `help` and the effective config all come from these tables. */
#ifndef LOCKSTEP_LAYERS_KEY_H
#define LOCKSTEP_LAYERS_KEY_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum KeyType {
    KEY_BOOL,    /* bool: true | false */
    KEY_SIZE,    /* size_t; null: SIZE_MAX */
    KEY_INT,     /* int64_t; null: INT64_MIN */
    KEY_REAL,    /* double; null: NAN */
    KEY_CHOICE,  /* int, the index in `choices` */
    KEY_STRING,  /* const char *; null: NULL */
    KEY_PAIR,    /* double[2] */
    KEY_STRINGS, /* StringList: one string or a list of them */
    KEY_LAYERS   /* a list of layers, in the config's groups of layers; no value of its own */
} KeyType;

typedef struct StringList {
    const char **item;
    size_t count;
} StringList;

#define KEY_NULL_SIZE SIZE_MAX

typedef struct Key {
    const char *name;
    KeyType type;
    size_t offset;        /* of the value in the struct that the table describes */
    const char *fallback; /* the default as YAML ("0.1", "null", "[0.9, 0.999]"); NULL: required */
    double min, max;      /* inclusive range of numbers; both 0: no limit beyond the type's */
    const char *choices;  /* "torch|gpt2" for KEY_CHOICE */
    bool nullable;        /* `null` is allowed */
    const char *doc;      /* one line, with the unit */
} Key;

/* Tables end with an entry whose name is NULL. */

#endif
