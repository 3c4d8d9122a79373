/* SPDX-License-Identifier: MIT
 *
 * random.c: Philox by Random123, and what is made of its words. */
#include "layers/ops/random.h"

#include <Random123/philox.h>
#include <string.h>
#include <xxhash.h>

#include "layers/ops/scalar.h"

void random_words(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t out[4]) {
    const philox4x32_key_t k = {{(uint32_t)key, (uint32_t)(key >> 32)}};
    const philox4x32_ctr_t c = {
        {(uint32_t)counter_low, (uint32_t)(counter_low >> 32), (uint32_t)counter_high, (uint32_t)(counter_high >> 32)}};
    const philox4x32_ctr_t r = philox4x32(c, k);
    memcpy(out, r.v, sizeof r.v);
}

uint64_t random_name(const char *name) {
    return XXH3_64bits(name, strlen(name));
}

/* In [0, 1), a multiple of 2^-53. */
static double fraction(uint32_t low, uint32_t high) {
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

/* The high counter word tells what the numbers are for, so that streams of one key never meet. */
enum { FOR_UNIFORM = 1, FOR_NORMAL = 2, FOR_PERMUTATION = 3 };

double random_uniform(uint64_t key, uint64_t index) {
    uint32_t w[4];
    random_words(key, index, FOR_UNIFORM, w);
    return fraction(w[0], w[1]);
}

double random_normal(uint64_t key, uint64_t index) {
    uint32_t w[4];
    random_words(key, index, FOR_NORMAL, w);
    return sqrt(-2 * scalar_log(1 - fraction(w[0], w[1]))) * scalar_cos_turns(fraction(w[2], w[3]));
}

/* A Feistel network permutes the numbers of `bits` bits: two parts change roles in every round, so an
 * odd number of bits is no trouble, and an even number of rounds gives them their sizes back. */
static uint64_t feistel(uint64_t key, unsigned bits, uint64_t x) {
    enum { ROUNDS = 8 };
    unsigned right_bits = bits - bits / 2, left_bits = bits / 2;
    uint64_t left = x >> right_bits, right = x & ((UINT64_C(1) << right_bits) - 1);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t w[4];
        random_words(key, right, FOR_PERMUTATION | round << 32, w);
        const uint64_t mixed = left ^ (((uint64_t)w[1] << 32 | w[0]) & ((UINT64_C(1) << left_bits) - 1));
        const unsigned swap_bits = left_bits;
        left = right;
        left_bits = right_bits;
        right = mixed;
        right_bits = swap_bits;
    }
    return left << right_bits | right;
}

/* The network's domain is less than twice n: numbers beyond are sent through again (cycle walking). */
uint64_t random_permutation(uint64_t key, uint64_t n, uint64_t i) {
    unsigned bits = 0;
    while (bits < 64 && (n - 1) >> bits) bits++;
    if (bits == 0) return 0;
    do i = feistel(key, bits, i);
    while (i >= n);
    return i;
}
