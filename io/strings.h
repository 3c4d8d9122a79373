/* SPDX-License-Identifier: MIT
 *
 * strings.h: different texts, numbered in the order in which they were first seen. */
#ifndef LOCKSTEP_IO_STRINGS_H
#define LOCKSTEP_IO_STRINGS_H

#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

typedef struct Strings {
    char *text; /* one behind the other, each with its end */
    size_t used, room;
    size_t *start; /* [count] in `text` */
    size_t count, starts;
    uint32_t *slot; /* [slots] number + 1, 0: empty; a power of two */
    size_t slots;
} Strings;

/* The number of a text, which is added where it is new; it must hold no NUL. The table is the caller's:
 * strings_free; it starts as {0}. */
MUST_CHECK Status strings_add(Strings *strings, const char *text, size_t bytes, uint32_t *out);
/* -1 where it is not there. */
int64_t strings_find(const Strings *strings, const char *text, size_t bytes);
static inline const char *strings_text(const Strings *strings, size_t number) {
    return strings->text + strings->start[number];
}
void strings_free(Strings *strings);

#endif
