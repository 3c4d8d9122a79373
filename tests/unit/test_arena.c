/* SPDX-License-Identifier: MIT
 *
 * test_arena.c: pieces are aligned, zeroed and apart unless memory is used in turn; sizes that overflow
 * or exceed memory are refused with their numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "comm/arena.h"

static void pieces_are_aligned_zeroed_and_apart(void **state) {
    (void)state;
    enum { PIECES = 200 };
    static char *piece[PIECES];
    Arena *arena = arena_create("pieces");
    for (size_t i = 0; i < PIECES; i++) arena_book(arena, &piece[i], i);
    assert_int_equal(arena_commit(arena), OK);
    assert_null(piece[0]);
    for (size_t i = 1; i < PIECES; i++) {
        assert_int_equal((uintptr_t)piece[i] % 64, 0);
        for (size_t k = 0; k < i; k++) assert_int_equal(piece[i][k], 0);
    }
    for (size_t i = 1; i < PIECES; i++) memset(piece[i], (int)i, i);
    for (size_t i = 1; i < PIECES; i++) {
        for (size_t k = 0; k < i; k++) assert_int_equal((unsigned char)piece[i][k], i);
    }
    arena_destroy(&arena);
    assert_null(arena);
}

static void memory_used_in_turn_is_shared(void **state) {
    (void)state;
    char *before, *first, *second, *third;
    Arena *arena = arena_create("turns");
    arena_book(arena, &before, 100);
    size_t mark = arena_mark(arena);
    arena_book(arena, &first, 1000);
    arena_rewind(arena, mark);
    arena_book(arena, &second, 500);
    arena_book(arena, &third, 5000);
    assert_int_equal(arena_bytes(arena), 128 + 512 + 5056);
    assert_int_equal(arena_commit(arena), OK);
    assert_ptr_equal(first, second);
    assert_ptr_equal(first, before + 128);
    assert_ptr_equal(third, second + 512);
    arena_destroy(&arena);
}

static void pieces_go_where_the_caller_says(void **state) {
    (void)state;
    char *a, *b, *c;
    Arena *arena = arena_create("places");
    arena_book_at(arena, &a, 0, 256);
    arena_book_at(arena, &b, 128, 256);
    arena_book_at(arena, &c, 4096, 1);
    assert_int_equal(arena_bytes(arena), 4160);
    assert_int_equal(arena_commit(arena), OK);
    assert_ptr_equal(b, a + 128);
    assert_ptr_equal(c, a + 4096);
    arena_destroy(&arena);

    arena = arena_create("places");
    arena_book_at(arena, &a, 4, 256);
    assert_int_equal(arena_commit(arena), ERR_INTERNAL);
    arena_destroy(&arena);
}

static void nothing_booked_is_fine(void **state) {
    (void)state;
    Arena *arena = arena_create("nothing");
    assert_int_equal(arena_bytes(arena), 0);
    assert_int_equal(arena_commit(arena), OK);
    arena_destroy(&arena);
}

static void overflow_is_found(void **state) {
    (void)state;
    char *a, *b;
    Arena *arena = arena_create("activations");
    arena_book(arena, &a, SIZE_MAX - 100);
    arena_book(arena, &b, 200);
    assert_int_equal(arena_bytes(arena), SIZE_MAX);
    assert_int_equal(arena_commit(arena), ERR_USAGE);
    assert_non_null(strstr(status_message(), "activations"));
    arena_destroy(&arena);
}

static void too_much_memory_is_refused_with_its_size(void **state) {
    (void)state;
    char *a;
    Arena *arena = arena_create("activations");
    arena_book(arena, &a, (size_t)1 << 46);
    assert_int_equal(arena_commit(arena), ERR_USAGE);
    assert_non_null(strstr(status_message(), "activations"));
    assert_non_null(strstr(status_message(), "67108864.0 MiB needed"));
    arena_destroy(&arena);
}

static void pages_are_zeroed_and_writable(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 4096, 100000, ((size_t)2 << 20) - 1, (size_t)2 << 20, ((size_t)5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *pages = pages_alloc(sizes[i]);
        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % (sizes[i] >= (size_t)2 << 20 ? (size_t)2 << 20 : 4096), 0);
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(pages[k], 0);
        memset(pages, 0xff, sizes[i]);
        pages_free(pages, sizes[i]);
    }
    assert_null(pages_alloc(SIZE_MAX));
    assert_null(pages_alloc((size_t)1 << 46));
    pages_free(NULL, 10);
}

static void available_memory_is_known(void **state) {
    (void)state;
    size_t available = memory_available();
    assert_true(available > (size_t)1 << 20);
    assert_true(available < (size_t)1 << 46);
}

static void products_know_their_limits(void **state) {
    (void)state;
    size_t out;
    assert_true(size_multiply(3, 5, &out));
    assert_int_equal(out, 15);
    assert_true(size_multiply3(3, 5, 7, &out));
    assert_int_equal(out, 105);
    assert_false(size_multiply((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_false(size_multiply3((size_t)1 << 30, (size_t)1 << 30, 16, &out));
    assert_true(size_multiply3((size_t)1 << 30, (size_t)1 << 30, 8, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(memory_used_in_turn_is_shared),
        cmocka_unit_test(pieces_go_where_the_caller_says),
        cmocka_unit_test(nothing_booked_is_fine),
        cmocka_unit_test(overflow_is_found),
        cmocka_unit_test(too_much_memory_is_refused_with_its_size),
        cmocka_unit_test(pages_are_zeroed_and_writable),
        cmocka_unit_test(available_memory_is_known),
        cmocka_unit_test(products_know_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
