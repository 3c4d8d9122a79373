/* SPDX-License-Identifier: MIT
 *
 * config_memory.c: what a config is made of, freed in one go, and the problems found on the way. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "trainer/config_private.h"

typedef struct Block {
    struct Block *next;
    max_align_t data[];
} Block;

struct ConfigMemory {
    Block *block;
};

static _Noreturn void out_of_memory(void) {
    log_error("out of memory (reading the config): a few kilobytes could not be had; free memory on this machine");
    exit(ERR_USAGE);
}

ConfigMemory *config_memory_create(void) {
    ConfigMemory *memory = calloc(1, sizeof *memory);
    if (!memory) out_of_memory();
    return memory;
}

void config_memory_destroy(ConfigMemory **memory) {
    if (!*memory) return;
    for (Block *block = (*memory)->block, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(*memory);
    *memory = NULL;
}

void *config_take(ConfigMemory *memory, size_t bytes) {
    if (bytes > SIZE_MAX / 2) out_of_memory();
    Block *block = calloc(1, sizeof *block + bytes);
    if (!block) out_of_memory();
    block->next = memory->block;
    memory->block = block;
    return block->data;
}

const char *config_copy(ConfigMemory *memory, const char *text, size_t bytes) {
    char *copy = config_take(memory, bytes + 1);
    memcpy(copy, text, bytes);
    return copy;
}

static const char *config_format(ConfigMemory *memory, const char *format, va_list args) PRINTF_LIKE(2, 0);
static const char *config_format(ConfigMemory *memory, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) return "";
    char *text = config_take(memory, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

const char *config_text(ConfigMemory *memory, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = config_format(memory, format, args);
    va_end(args);
    return text;
}

const char *config_quote(ConfigMemory *memory, const char *text) {
    enum { SHOWN = 60 };
    size_t length = strlen(text), shown = length;
    if (length > SHOWN) {
        shown = SHOWN;
        while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80) shown--; /* no half characters */
    }
    char *out = config_take(memory, shown + sizeof "'...'");
    size_t n = 0;
    out[n++] = '\'';
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text[i];
        out[n++] = c < 0x20 || c == 0x7F ? '?' : text[i];
    }
    memcpy(out + n, shown < length ? "...'" : "'", shown < length ? 5 : 2);
    return out;
}

/* ---- problems ------------------------------------------------------------------------------------ */

/* True if an override names the key that `path` ends with; then the path says nothing new. */
static bool override_names(const char *override, const char *path) {
    size_t key = strcspn(override, "=");
    const char *dot = strrchr(path, '.');
    const char *last = dot ? dot + 1 : path;
    size_t length = strlen(last);
    return length <= key && memcmp(override + key - length, last, length) == 0 &&
           (length == key || override[key - length - 1] == '.');
}

void problem_add(Reader *reader, Place place, const char *path, const char *format, ...) {
    if (reader->problems++ >= PROBLEMS_SHOWN) return;
    ConfigMemory *memory = reader->memory;
    va_list args;
    va_start(args, format);
    const char *what = config_format(memory, format, args);
    va_end(args);
    const char *where;
    if (place.number > 0) {
        if (path && override_names(place.override, path)) path = NULL;
        const char *quoted = config_quote(memory, place.override);
        where = config_text(memory, "command line: %.*s", (int)strlen(quoted) - 2, quoted + 1);
    } else {
        where = config_text(memory, "%s:%zu:%zu", reader->file, place.line, place.column);
    }
    Problem *problem = &reader->problem[reader->problems - 1];
    problem->place = place;
    problem->text = config_text(memory, "%s: %s%s%s", where, path ? path : "", path ? ": " : "", what);
}

static bool place_before(Place a, Place b) {
    if (a.number != b.number) return a.number < b.number;
    if (a.line != b.line) return a.line < b.line;
    return a.column < b.column;
}

/* What status_fail keeps whole. */
enum { REPORT_BYTES = 15 << 10 };

Status problems_report(Reader *reader) {
    if (reader->problems == 0) return OK;
    size_t kept = reader->problems < PROBLEMS_SHOWN ? reader->problems : PROBLEMS_SHOWN, bytes = 1;
    Problem *list = reader->problem;
    for (size_t i = 1; i < kept; i++) { /* insertion: problems of one place keep their order */
        Problem moved = list[i];
        size_t j = i;
        for (; j > 0 && place_before(moved.place, list[j - 1].place); j--) list[j] = list[j - 1];
        list[j] = moved;
    }
    for (size_t i = 0; i < kept; i++) {
        bytes += strlen(list[i].text) + 1;
        if (bytes > REPORT_BYTES && i > 0) kept = i;
    }
    char *text = config_take(reader->memory, bytes), *end = text;
    for (size_t i = 0; i < kept; i++) end = stpcpy(stpcpy(end, i ? "\n" : ""), list[i].text);
    if (reader->problems > kept)
        return status_fail(ERR_USAGE, "%s\n%s: and %zu more errors", text, reader->file, reader->problems - kept);
    return status_fail(ERR_USAGE, "%s", text);
}
