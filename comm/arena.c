/* SPDX-License-Identifier: MIT
 *
 * arena.c: bookings are offsets until the commit, which makes one mapping for all of them. Before
 * memory is taken the system and the control group are asked whether it is there, because Linux grants
 * what it does not have and kills later. */
#include "comm/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

typedef struct Booking {
    void *slot; /* address of a pointer variable of any type */
    size_t offset;
    size_t bytes;
} Booking;

struct Arena {
    char *name;
    Booking *booking;
    size_t count, room;
    size_t cursor; /* SIZE_MAX once the sum has overflowed */
    size_t bytes;  /* the furthest end of a booking; SIZE_MAX likewise */
    bool short_of_records;
    bool misplaced;
    void *pages;
    size_t pages_bytes;
};

bool size_multiply(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

bool size_multiply3(size_t a, size_t b, size_t c, size_t *out) {
    size_t product;
    return size_multiply(a, b, &product) && size_multiply(product, c, out);
}

/* SIZE_MAX if the end or its rounding does not fit. */
static size_t aligned_end(size_t offset, size_t bytes) {
    size_t end;
    if (__builtin_add_overflow(offset, bytes, &end)) return SIZE_MAX;
    if (end > SIZE_MAX - ALIGNMENT) return SIZE_MAX;
    return (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- what is there ------------------------------------------------------------------------------- */

/* The number after `key` in the file ("" for a file that is one number); false if there is none. */
static bool read_number(const char *path, const char *key, size_t *value) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    char line[256];
    bool found = false;
    size_t length = strlen(key);
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) != 0) continue;
        found = sscanf(line + length, "%zu", value) == 1;
    }
    fclose(file);
    return found;
}

typedef struct GroupFiles {
    const char *root, *limit, *used, *cache;
} GroupFiles;

/* Lowers *least to what the group at `path` and the groups above it still grant. */
static void limit_by_group(const GroupFiles *files, char *path, size_t *least) {
    for (;;) {
        char file[4352];
        size_t limit, used, cache = 0;
        snprintf(file, sizeof file, "%s%s/%s", files->root, path, files->limit);
        bool limited = read_number(file, "", &limit);
        snprintf(file, sizeof file, "%s%s/%s", files->root, path, files->used);
        if (limited && read_number(file, "", &used)) {
            snprintf(file, sizeof file, "%s%s/memory.stat", files->root, path);
            if (!read_number(file, files->cache, &cache)) cache = 0;
            size_t taken = used > cache ? used - cache : 0;
            size_t left = limit > taken ? limit - taken : 0;
            if (left < *least) *least = left;
        }
        char *cut = strrchr(path, '/');
        if (!cut) return;
        *cut = '\0';
    }
}

size_t memory_available(void) {
    size_t least = SIZE_MAX, kib;
    if (read_number("/proc/meminfo", "MemAvailable:", &kib)) least = kib * 1024;
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (!file) return least;
    static const GroupFiles unified = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "};
    static const GroupFiles legacy = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                      "total_inactive_file "};
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        if (strcmp(path, "/") == 0) path[0] = '\0';
        if (controllers[1] == '\0') limit_by_group(&unified, path, &least);
        else if (strstr(controllers, "memory")) limit_by_group(&legacy, path, &least);
    }
    fclose(file);
    return least;
}

/* ---- pages --------------------------------------------------------------------------------------- */

static size_t mapped_bytes(size_t bytes) {
    size_t page = bytes >= HUGE_PAGE ? (size_t)HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
    return bytes > SIZE_MAX - 2 * (size_t)HUGE_PAGE ? SIZE_MAX : (bytes + page - 1) / page * page;
}

/* A mapping that starts on a huge page: maps one too many and gives the ends back. */
static void *map_huge(size_t bytes) {
    char *raw = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return MAP_FAILED;
    size_t head = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (head > 0) munmap(raw, head);
    munmap(raw + head + bytes, HUGE_PAGE - head);
    madvise(raw + head, bytes, MADV_HUGEPAGE);
    return raw + head;
}

void *pages_alloc(size_t bytes) {
    if (bytes == 0) bytes = 1;
    size_t mapped = mapped_bytes(bytes);
    if (mapped == SIZE_MAX) return NULL;
    if (mapped >= HUGE_PAGE && mapped > memory_available()) return NULL;
    void *pages = mapped >= HUGE_PAGE ? map_huge(mapped)
                                      : mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void pages_free(void *pages, size_t bytes) {
    if (pages) munmap(pages, mapped_bytes(bytes == 0 ? 1 : bytes));
}

/* ---- the arena ------------------------------------------------------------------------------------- */

Arena *arena_create(const char *name) {
    Arena *arena = calloc(1, sizeof *arena);
    if (!arena) return NULL;
    arena->name = strdup(name);
    if (!arena->name) {
        free(arena);
        return NULL;
    }
    return arena;
}

void arena_destroy(Arena **arena) {
    Arena *self = *arena;
    if (!self) return;
    pages_free(self->pages, self->pages_bytes);
    free(self->booking);
    free(self->name);
    free(self);
    *arena = NULL;
}

static void record(Arena *arena, void *slot, size_t offset, size_t bytes) {
    size_t end = aligned_end(offset, bytes);
    if (end > arena->bytes) arena->bytes = end;
    if (offset % ALIGNMENT != 0 && offset != SIZE_MAX) arena->misplaced = true;
    if (arena->count == arena->room) {
        size_t room = arena->room ? 2 * arena->room : 64;
        Booking *grown = realloc(arena->booking, room * sizeof *grown);
        if (!grown) {
            arena->short_of_records = true;
            return;
        }
        arena->booking = grown;
        arena->room = room;
    }
    arena->booking[arena->count++] = (Booking){.slot = slot, .offset = offset, .bytes = bytes};
}

void arena_book(Arena *arena, void *slot, size_t bytes) {
    record(arena, slot, arena->cursor, bytes);
    arena->cursor = aligned_end(arena->cursor, bytes);
}

void arena_book_at(Arena *arena, void *slot, size_t offset, size_t bytes) {
    record(arena, slot, offset, bytes);
}

size_t arena_mark(const Arena *arena) {
    return arena->cursor;
}

void arena_rewind(Arena *arena, size_t mark) {
    arena->cursor = mark;
}

size_t arena_bytes(const Arena *arena) {
    return arena->bytes;
}

Status arena_commit(Arena *arena) {
    if (arena->pages) return status_fail(ERR_INTERNAL, "memory for %s was committed twice", arena->name);
    if (arena->misplaced) {
        return status_fail(ERR_INTERNAL, "memory for %s: a piece was booked at an offset that is no multiple of %d",
                           arena->name, ALIGNMENT);
    }
    if (arena->bytes == SIZE_MAX) {
        return status_fail(ERR_USAGE,
                           "memory for %s: the size does not fit an address; make the model or the batch smaller",
                           arena->name);
    }
    if (arena->bytes > 0) arena->pages = pages_alloc(arena->bytes);
    arena->pages_bytes = arena->bytes;
    if (arena->short_of_records || (arena->bytes > 0 && !arena->pages)) {
        return status_fail(
            ERR_USAGE,
            "memory for %s: %.1f MiB needed, %.1f MiB available; make the model or the batch smaller, or "
            "lower train.shards_at_once",
            arena->name, (double)arena->bytes / 1048576.0, (double)memory_available() / 1048576.0);
    }
    for (size_t i = 0; i < arena->count; i++) {
        const Booking *b = &arena->booking[i];
        char *piece = b->bytes > 0 ? (char *)arena->pages + b->offset : NULL;
        memcpy(b->slot, &piece, sizeof piece);
    }
    return OK;
}
