/* SPDX-License-Identifier: MIT
 *
 * vecint.h: VF_LANES 32-bit words, for random numbers; goes with vec.h. */
#ifndef LOCKSTEP_LAYERS_OPS_VECINT_H
#define LOCKSTEP_LAYERS_OPS_VECINT_H

#include "layers/ops/vec.h"

#if defined(VEC_AVX512)

typedef __m512i vu;
VEC_FN vu vu_set(uint32_t x) {
    return _mm512_set1_epi32((int)x);
}
VEC_FN vu vu_load(const uint32_t *p) {
    return _mm512_loadu_si512(p);
}
VEC_FN vu vu_xor(vu a, vu b) {
    return _mm512_xor_si512(a, b);
}
VEC_FN vu vu_add(vu a, vu b) {
    return _mm512_add_epi32(a, b);
}
/* a < b ? 1 : 0, unsigned */
VEC_FN vm vu_lt(vu a, vu b) {
    return _mm512_cmplt_epu32_mask(a, b);
}
/* The same words, every second one in a vector of its own, in 64 bits of which the upper half is garbage. */
typedef struct vw {
    vu even, odd;
} vw;
VEC_FN vw vw_from(vu a) {
    return (vw){a, _mm512_srli_epi64(a, 32)};
}
VEC_FN vu vw_words(vw a) {
    return _mm512_mask_blend_epi32(0xAAAA, a.even, _mm512_slli_epi64(a.odd, 32));
}
VEC_FN vw vw_xor(vw a, vw b, vu c) {
    return (vw){vu_xor(vu_xor(a.even, b.even), c), vu_xor(vu_xor(a.odd, b.odd), c)};
}
/* The low words of a b; *high gets the high ones. */
VEC_FN vw vw_mul(vw a, vu b, vw *high) {
    const vw product = {_mm512_mul_epu32(a.even, b), _mm512_mul_epu32(a.odd, b)};
    *high = (vw){_mm512_srli_epi64(product.even, 32), _mm512_srli_epi64(product.odd, 32)};
    return product;
}

#elif defined(VEC_AVX2)

typedef __m256i vu;
VEC_FN vu vu_set(uint32_t x) {
    return _mm256_set1_epi32((int)x);
}
VEC_FN vu vu_load(const uint32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
VEC_FN vu vu_xor(vu a, vu b) {
    return _mm256_xor_si256(a, b);
}
VEC_FN vu vu_add(vu a, vu b) {
    return _mm256_add_epi32(a, b);
}
VEC_FN vm vu_lt(vu a, vu b) {
    return vm_not(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a)));
}
/* The same words, every second one in a vector of its own, in 64 bits of which the upper half is garbage. */
typedef struct vw {
    vu even, odd;
} vw;
VEC_FN vw vw_from(vu a) {
    return (vw){a, _mm256_srli_epi64(a, 32)};
}
VEC_FN vu vw_words(vw a) {
    return _mm256_blend_epi32(a.even, _mm256_slli_epi64(a.odd, 32), 0xAA);
}
VEC_FN vw vw_xor(vw a, vw b, vu c) {
    return (vw){vu_xor(vu_xor(a.even, b.even), c), vu_xor(vu_xor(a.odd, b.odd), c)};
}
/* The low words of a b; *high gets the high ones. */
VEC_FN vw vw_mul(vw a, vu b, vw *high) {
    const vw product = {_mm256_mul_epu32(a.even, b), _mm256_mul_epu32(a.odd, b)};
    *high = (vw){_mm256_srli_epi64(product.even, 32), _mm256_srli_epi64(product.odd, 32)};
    return product;
}

#elif defined(VEC_NEON)

typedef uint32x4_t vu;
VEC_FN vu vu_set(uint32_t x) {
    return vdupq_n_u32(x);
}
VEC_FN vu vu_load(const uint32_t *p) {
    return vld1q_u32(p);
}
VEC_FN vu vu_xor(vu a, vu b) {
    return veorq_u32(a, b);
}
VEC_FN vu vu_add(vu a, vu b) {
    return vaddq_u32(a, b);
}
VEC_FN vm vu_lt(vu a, vu b) {
    return vcltq_u32(a, b);
}
typedef vu vw;
VEC_FN vw vw_from(vu a) {
    return a;
}
VEC_FN vu vw_words(vw a) {
    return a;
}
VEC_FN vw vw_xor(vw a, vw b, vu c) {
    return vu_xor(vu_xor(a, b), c);
}
VEC_FN vw vw_mul(vw a, vu b, vw *high) {
    const uint64x2_t first = vmull_u32(vget_low_u32(a), vget_low_u32(b)), last = vmull_high_u32(a, b);
    *high = vuzp2q_u32(vreinterpretq_u32_u64(first), vreinterpretq_u32_u64(last));
    return vmulq_u32(a, b);
}

#else

typedef uint32_t vu __attribute__((vector_size(16 * sizeof(uint32_t))));
VEC_FN vu vu_set(uint32_t x) {
    return x - (vu){0};
}
VEC_FN vu vu_load(const uint32_t *p) {
    vu x;
    memcpy(&x, p, sizeof x);
    return x;
}
VEC_FN vu vu_xor(vu a, vu b) {
    return a ^ b;
}
VEC_FN vu vu_add(vu a, vu b) {
    return a + b;
}
VEC_FN vm vu_lt(vu a, vu b) {
    return __builtin_convertvector(a < b, vm);
}
typedef vu vw;
VEC_FN vw vw_from(vu a) {
    return a;
}
VEC_FN vu vw_words(vw a) {
    return a;
}
VEC_FN vw vw_xor(vw a, vw b, vu c) {
    return vu_xor(vu_xor(a, b), c);
}
VEC_FN vw vw_mul(vw a, vu b, vw *high) {
    VEC_LANES_DO((*high)[l] = (uint32_t)((uint64_t)a[l] * b[l] >> 32);)
    return a * b;
}

#endif

#endif
