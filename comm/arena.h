/* SPDX-License-Identifier: MIT
 *
 * arena.h: memory planned once. Pieces are booked first, each with the address of the pointer that
 * shall hold it; one commit allocates everything, aligned to 64 bytes and on huge pages where the
 * system has them, and fills the pointers in. No piece is ever freed alone. */
#ifndef LOCKSTEP_COMM_ARENA_H
#define LOCKSTEP_COMM_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/status.h"

typedef struct Arena Arena;

/* `name` appears in error messages ("activations"). Owned by the caller: arena_destroy. Local. */
Arena *arena_create(const char *name);
void arena_destroy(Arena **arena);

/* Books `bytes` (0 gives a NULL pointer) and remembers `slot`, the address of a pointer variable that
 * must outlive the commit. Sizes that overflow are found at the commit. Local. */
void arena_book(Arena *arena, void *slot, size_t bytes);

/* The same with a place of the caller's choosing: pieces may overlap, for memory used in turn. */
void arena_book_at(Arena *arena, void *slot, size_t offset, size_t bytes);

/* Memory used in turn: what is booked after a rewind shares the bytes booked since the mark. */
size_t arena_mark(const Arena *arena);
void arena_rewind(Arena *arena, size_t mark);

/* Bytes that a commit takes, SIZE_MAX when the sum overflows. Local. */
size_t arena_bytes(const Arena *arena);

/* Allocates (zeroed) and fills every slot. ERR_USAGE with the size if memory does not suffice. Local. */
MUST_CHECK Status arena_commit(Arena *arena);

/* Zeroed pages of their own, outside any arena: huge where they can be. NULL when memory is short. */
void *pages_alloc(size_t bytes);
void pages_free(void *pages, size_t bytes);

/* Bytes that can still be had: what the system has available and what the control groups of this process
 * grant, the lesser. SIZE_MAX if neither says. Local. */
size_t memory_available(void);

/* *out = a * b ( * c); false when it does not fit a size_t. */
bool size_multiply(size_t a, size_t b, size_t *out);
bool size_multiply3(size_t a, size_t b, size_t c, size_t *out);

#endif
