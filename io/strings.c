/* SPDX-License-Identifier: MIT
 *
 * strings.c: a hash table with open addressing, at most half full. */
#include "io/strings.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static Status short_of_memory(void) {
    return status_fail(ERR_USAGE, "no memory for a table of texts; free some");
}

/* The slot of the text, or the empty one where it belongs. */
static size_t probe(const Strings *strings, const char *text, size_t bytes) {
    size_t mask = strings->slots - 1, at = (size_t)XXH3_64bits(text, bytes) & mask;
    for (; strings->slot[at]; at = (at + 1) & mask) {
        const char *other = strings_text(strings, strings->slot[at] - 1);
        if (strncmp(other, text, bytes) == 0 && other[bytes] == '\0') break;
    }
    return at;
}

static Status widen(Strings *strings) {
    Strings wide = *strings;
    wide.slots = strings->slots ? 2 * strings->slots : 1024;
    wide.slot = calloc(wide.slots, sizeof *wide.slot);
    if (!wide.slot) return short_of_memory();
    for (size_t i = 0; i < strings->count; i++) {
        const char *text = strings_text(strings, i);
        wide.slot[probe(&wide, text, strlen(text))] = (uint32_t)i + 1;
    }
    free(strings->slot);
    *strings = wide;
    return OK;
}

static Status keep(Strings *strings, const char *text, size_t bytes) {
    if (strings->room - strings->used <= bytes) {
        size_t room = 2 * (strings->room + bytes) + 4096;
        char *more = realloc(strings->text, room);
        if (!more) return short_of_memory();
        strings->text = more;
        strings->room = room;
    }
    if (strings->count == strings->starts) {
        size_t starts = 2 * strings->starts + 256;
        size_t *more = realloc(strings->start, starts * sizeof *more);
        if (!more) return short_of_memory();
        strings->start = more;
        strings->starts = starts;
    }
    strings->start[strings->count++] = strings->used;
    memcpy(strings->text + strings->used, text, bytes);
    strings->used += bytes;
    strings->text[strings->used++] = '\0';
    return OK;
}

Status strings_add(Strings *strings, const char *text, size_t bytes, uint32_t *out) {
    if (2 * strings->count >= strings->slots) TRY(widen(strings));
    size_t at = probe(strings, text, bytes);
    if (!strings->slot[at]) {
        if (strings->count >= INT32_MAX) return status_fail(ERR_DATA, "more than %d different texts", INT32_MAX);
        TRY(keep(strings, text, bytes));
        strings->slot[at] = (uint32_t)strings->count;
    }
    *out = strings->slot[at] - 1;
    return OK;
}

int64_t strings_find(const Strings *strings, const char *text, size_t bytes) {
    if (strings->count == 0) return -1;
    return (int64_t)strings->slot[probe(strings, text, bytes)] - 1;
}

void strings_free(Strings *strings) {
    free(strings->slot);
    free(strings->start);
    free(strings->text);
    *strings = (Strings){0};
}
