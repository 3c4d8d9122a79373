/* SPDX-License-Identifier: MIT
 *
 * test_fold.c: for all numbers of shards and ranks up to 40 the ranks' segments are the maximal nodes of
 * their ranges, and folding them gives the bits of the fold over all leaves, written here a second time
 * from the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "comm/fold.h"

enum { MOST = 40 };

static double leaves[MOST];

static int fill_leaves(void **state) {
    (void)state;
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < MOST; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        double mantissa = (double)(x >> 11) / 9007199254740992.0 - 0.5;
        int exponent = (int)(x % 40);
        while (exponent-- > 0) mantissa *= 2;
        leaves[i] = mantissa;
    }
    return 0;
}

static bool same_bits(double a, double b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The definition, level by level: pairs are added as long as there are two, a single one moves up. */
static double fold_by_levels(const double *leaf, size_t shards) {
    double level[MOST];
    memcpy(level, leaf, shards * sizeof *leaf);
    for (size_t count = shards; count > 1; count = (count + 1) / 2) {
        for (size_t i = 0; i < count / 2; i++) level[i] = level[2 * i] + level[2 * i + 1];
        if (count % 2 == 1) level[count / 2] = level[count - 1];
    }
    return shards > 0 ? level[0] : 0;
}

static void fold_is_the_tree(void **state) {
    (void)state;
    size_t differs_from_a_chain = 0;
    for (size_t shards = 0; shards <= MOST; shards++) {
        double chain = 0, strided[3 * MOST] = {0};
        for (size_t s = 0; s < shards; s++) {
            chain += leaves[s];
            strided[3 * s] = leaves[s];
        }
        double folded = fold_doubles(leaves, shards, 1);
        assert_true(same_bits(folded, fold_by_levels(leaves, shards)));
        assert_true(same_bits(folded, fold_doubles(strided, shards, 3)));
        differs_from_a_chain += !same_bits(folded, chain);
    }
    assert_true(differs_from_a_chain > 10); /* the leaves can tell one order from another */
}

static void ranges_cut_without_gap(void **state) {
    (void)state;
    for (size_t shards = 0; shards <= MOST; shards++) {
        for (size_t ranks = 1; ranks <= MOST; ranks++) {
            size_t at = 0;
            for (size_t r = 0; r < ranks; r++) {
                size_t first, end, first_item, end_item;
                fold_range(shards, ranks, r, &first, &end);
                fold_items(shards, ranks, r, &first_item, &end_item);
                assert_int_equal(first, at);
                assert_int_equal(first, r * shards / ranks);
                assert_int_equal(end, (r + 1) * shards / ranks);
                assert_int_equal(first_item, first);
                assert_int_equal(end_item, end);
                at = end;
            }
            assert_int_equal(at, shards);
        }
    }
}

/* All leaves of the node that exist lie in [first, end), and one does. */
static bool lies_inside(FoldNode node, size_t shards, size_t first, size_t end) {
    size_t stop = node.first + ((size_t)1 << node.level);
    if (stop > shards) stop = shards;
    return node.first < stop && node.first >= first && stop <= end;
}

static void segments_are_the_maximal_nodes(void **state) {
    (void)state;
    for (size_t shards = 1; shards <= MOST; shards++) {
        unsigned top = fold_root(shards).level;
        assert_true((size_t)1 << top >= shards);
        assert_true(top == 0 || (size_t)1 << (top - 1) < shards);
        for (size_t first = 0; first <= shards; first++) {
            for (size_t end = first; end <= shards; end++) {
                FoldNode segment[FOLD_MAX_SEGMENTS];
                size_t count = fold_segments(shards, first, end, segment), at = first;
                assert_true((count == 0) == (first == end));
                for (size_t i = 0; i < count; i++) {
                    FoldNode parent = {.level = segment[i].level + 1};
                    parent.first = segment[i].first >> parent.level << parent.level;
                    assert_int_equal(segment[i].first, at);
                    assert_int_equal(segment[i].first % ((size_t)1 << segment[i].level), 0);
                    assert_true(lies_inside(segment[i], shards, first, end));
                    assert_true(segment[i].level == top || !lies_inside(parent, shards, first, end));
                    at = segment[i].first + ((size_t)1 << segment[i].level);
                    if (at > shards) at = shards;
                }
                assert_int_equal(at, end);
            }
        }
    }
}

static double fold_leaves_of(FoldNode node, size_t shards) {
    size_t count = (size_t)1 << node.level;
    if (node.first + count > shards) count = shards - node.first;
    return fold_by_levels(leaves + node.first, count);
}

/* The fold over all ranks, which knows segments only. */
static double fold_over_segments(FoldNode at, size_t shards, const FoldNode *segment, const double *value,
                                 size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (segment[i].first == at.first && segment[i].level == at.level) return value[i];
    }
    assert_true(at.level > 0);
    FoldNode left = {.first = at.first, .level = at.level - 1};
    FoldNode right = {.first = at.first + ((size_t)1 << left.level), .level = left.level};
    double sum = fold_over_segments(left, shards, segment, value, count);
    return right.first < shards ? sum + fold_over_segments(right, shards, segment, value, count) : sum;
}

static void any_number_of_ranks_gives_the_same_bits(void **state) {
    (void)state;
    for (size_t shards = 1; shards <= MOST; shards++) {
        double expected = fold_doubles(leaves, shards, 1);
        for (size_t ranks = 1; ranks <= shards; ranks++) {
            FoldNode segment[MOST];
            double value[MOST];
            size_t count = 0;
            for (size_t r = 0; r < ranks; r++) {
                FoldNode mine[FOLD_MAX_SEGMENTS];
                size_t first, end;
                fold_range(shards, ranks, r, &first, &end);
                size_t found = fold_segments(shards, first, end, mine);
                assert_true(ranks > 1 || found == 1);
                for (size_t i = 0; i < found; i++, count++) {
                    segment[count] = mine[i];
                    value[count] = fold_leaves_of(mine[i], shards);
                }
            }
            assert_true(same_bits(fold_over_segments(fold_root(shards), shards, segment, value, count), expected));
        }
    }
}

static void large_products_do_not_overflow(void **state) {
    (void)state;
    size_t first, end;
    fold_range((size_t)1 << 62, 3, 2, &first, &end);
    assert_true(first == ((size_t)1 << 62) / 3 * 2 + ((size_t)1 << 62) % 3 * 2 / 3);
    assert_true(end == (size_t)1 << 62);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fold_is_the_tree),
        cmocka_unit_test(ranges_cut_without_gap),
        cmocka_unit_test(segments_are_the_maximal_nodes),
        cmocka_unit_test(any_number_of_ranks_gives_the_same_bits),
        cmocka_unit_test(large_products_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, fill_leaves, NULL);
}
