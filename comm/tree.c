/* SPDX-License-Identifier: MIT
 *
 * tree.c: additions in the order of the tree, a few KiB at a time, so that what is added stays in the
 * first-level cache. Only additions and products that are exact in double: the bits do not depend on the
 * instruction set. */
#include "comm/tree.h"

#include <stdlib.h>
#include <string.h>

enum {
    STRETCH = 1024, /* floats */
    MAX_DEPTH = 34  /* temporaries: one per level of a tree over 2^32 leaves */
};

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(LOCKSTEP_NO_CLONES)
#define EACH_SET __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_SET
#endif

/* ---- the order ----------------------------------------------------------------------------------- */

typedef struct Compiler {
    Tree *tree;
    size_t shards, count, room;
    const TreeInput *inputs;
    bool failed;
} Compiler;

static int32_t add_step(Compiler *c, TreeStep step) {
    if (c->tree->steps == c->room) {
        c->failed = true;
        return 0;
    }
    c->tree->step[c->tree->steps++] = step;
    return ~(int32_t)step.temporary;
}

static int32_t compile_node(Compiler *c, FoldNode node, uint32_t temporary) {
    for (size_t i = 0; i < c->count; i++) {
        if (c->inputs[i].node.first == node.first && c->inputs[i].node.level == node.level) return (int32_t)i;
    }
    if (node.level == 0 || temporary >= MAX_DEPTH) {
        c->failed = true;
        return 0;
    }
    FoldNode left = {.first = node.first, .level = node.level - 1};
    FoldNode right = {.first = node.first + ((size_t)1 << left.level), .level = left.level};
    int32_t a = compile_node(c, left, temporary);
    if (right.first >= c->shards || c->failed) return a;
    int32_t b = compile_node(c, right, a < 0 ? temporary + 1 : temporary);
    return add_step(c, (TreeStep){.left = a, .right = b, .temporary = temporary});
}

bool tree_compile(Tree *tree, size_t shards, FoldNode root, const TreeInput *inputs, size_t count) {
    *tree = (Tree){.step = calloc(count + 1, sizeof(TreeStep))};
    if (!tree->step) return false;
    Compiler compiler = {.tree = tree, .shards = shards, .count = count, .room = count, .inputs = inputs};
    tree->result = compile_node(&compiler, root, 0);
    return !compiler.failed && tree->steps + 1 == count;
}

void tree_release(Tree *tree) {
    free(tree->step);
    *tree = (Tree){0};
}

/* ---- the sums -------------------------------------------------------------------------------------- */

EACH_SET static void add(float *out, const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

static const float *operand(const TreeInput *inputs, float (*temporary)[STRETCH], int32_t name, size_t offset,
                            size_t at) {
    if (name < 0) return temporary[~name];
    return inputs[name].data + (inputs[name].owned ? at : offset);
}

void tree_run(const Tree *tree, const TreeInput *inputs, size_t offset, size_t at, size_t count, float *out) {
    if (tree->steps == 0) {
        const float *only = operand(inputs, NULL, tree->result, offset, at);
        if (only != out) memcpy(out, only, count * sizeof *out);
        return;
    }
    _Alignas(64) float temporary[MAX_DEPTH][STRETCH];
    for (size_t done = 0; done < count; done += STRETCH) {
        size_t stretch = count - done < STRETCH ? count - done : STRETCH;
        for (size_t i = 0; i < tree->steps; i++) {
            const TreeStep *step = &tree->step[i];
            float *to = i + 1 == tree->steps ? out + done : temporary[step->temporary];
            add(to, operand(inputs, temporary, step->left, offset + done, at + done),
                operand(inputs, temporary, step->right, offset + done, at + done), stretch);
        }
    }
}

typedef float Floats __attribute__((vector_size(32), aligned(4)));
typedef double Doubles __attribute__((vector_size(64)));

/* `count` is a multiple of the lanes. */
EACH_SET static void add_squares(double lane[static TREE_LANES], const float *x, size_t count) {
    Doubles low, high;
    memcpy(&low, lane, sizeof low);
    memcpy(&high, lane + 8, sizeof high);
    for (size_t i = 0; i < count; i += TREE_LANES) {
        Floats first, second;
        memcpy(&first, x + i, sizeof first);
        memcpy(&second, x + i + 8, sizeof second);
        Doubles a = __builtin_convertvector(first, Doubles), b = __builtin_convertvector(second, Doubles);
        low += a * a;
        high += b * b;
    }
    memcpy(lane, &low, sizeof low);
    memcpy(lane + 8, &high, sizeof high);
}

/* Elements that do not fill the lanes: what is missing is +0, which changes no sum of squares. */
static void add_some(TreeSquares *squares, const float *x, size_t lane, size_t count) {
    float all[TREE_LANES] = {0};
    memcpy(all + lane, x, count * sizeof *x);
    add_squares(squares->lane, all, TREE_LANES);
}

void tree_squares_add(TreeSquares *squares, const float *x, size_t first, size_t count) {
    size_t lane = first % TREE_LANES, head = lane ? TREE_LANES - lane : 0;
    if (head > count) head = count;
    if (head > 0) add_some(squares, x, lane, head);
    size_t whole = (count - head) / TREE_LANES * TREE_LANES, rest = count - head - whole;
    add_squares(squares->lane, x + head, whole);
    if (rest > 0) add_some(squares, x + head + whole, 0, rest);
}

double tree_squares_sum(const TreeSquares *squares) {
    return fold_doubles(squares->lane, TREE_LANES, 1);
}
