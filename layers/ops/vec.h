/* SPDX-License-Identifier: MIT
 *
 * vec.h: one vector of reals, so that a kernel is written once and compiled per instruction set. The
 * including file defines VEC_AVX512, VEC_AVX2 or VEC_NEON, or none: then plain C with GCC's vector types
 * does (also for real = double). Every operation is the IEEE one, exactly rounded, on each lane, so a
 * kernel made of them gives the same bits on all of them; nothing here approximates.
 *
 *   vf             VF_LANES reals (16, 8, 4; portable 16)      vm   a truth value per lane
 *   vf16           16 reals, whatever VF_LANES is: the unit in which sums over a row are made
 *   ..._n          the first n lanes (0 <= n <= VF_LANES): loads fill the rest with zero, vf_first_n
 *                  with `rest`
 *   vf_min/vf_max  a < b ? a : b and a > b ? a : b: a NaN in b, the second, is kept */
#ifndef LOCKSTEP_LAYERS_OPS_VEC_H
#define LOCKSTEP_LAYERS_OPS_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "layers/real.h"

#define VEC_FN static inline __attribute__((always_inline, unused))

#if defined(VEC_AVX512)
#include "layers/ops/vec_avx512.h"
#elif defined(VEC_AVX2)
#include "layers/ops/vec_avx2.h"
#elif defined(VEC_NEON)
#include "layers/ops/vec_neon.h"
#else
#include "layers/ops/vec_plain.h"
#endif

/* ---- sums and maxima over a row: 16 partial ones, then lane l with l + 8, l + 4, l + 2, l + 1 ------- */

enum { VF_PER16 = 16 / VF_LANES };
typedef struct vf16 {
    vf v[VF_PER16];
} vf16;

VEC_FN vf16 vf16_set(real x) {
    vf16 y;
    for (int i = 0; i < VF_PER16; i++) y.v[i] = vf_set(x);
    return y;
}
/* How many of `left` elements fall to part i of a vf16. */
VEC_FN size_t vf16_part(size_t left, int i) {
    size_t before = (size_t)i * VF_LANES;
    return left <= before ? 0 : left - before < VF_LANES ? left - before : VF_LANES;
}
VEC_FN vf16 vf16_load(const real *p) {
    vf16 y;
    for (int i = 0; i < VF_PER16; i++) y.v[i] = vf_load(p + i * VF_LANES);
    return y;
}
VEC_FN vf16 vf16_load_n(const real *p, size_t n) {
    vf16 y;
    for (int i = 0; i < VF_PER16; i++) y.v[i] = vf_load_n(p + i * VF_LANES, vf16_part(n, i));
    return y;
}
VEC_FN void vf16_store(real *p, vf16 x) {
    for (int i = 0; i < VF_PER16; i++) vf_store(p + i * VF_LANES, x.v[i]);
}
VEC_FN void vf16_store_n(real *p, vf16 x, size_t n) {
    for (int i = 0; i < VF_PER16; i++) vf_store_n(p + i * VF_LANES, x.v[i], vf16_part(n, i));
}

#if defined(VEC_AVX512) || defined(VEC_AVX2)

#define VEC_REDUCE(name, op4, op1)                                                                                     \
    VEC_FN real name##8(__m256 x) {                                                                                    \
        __m128 y = op4(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));                                        \
        y = op4(y, _mm_movehl_ps(y, y));                                                                               \
        return _mm_cvtss_f32(op1(y, _mm_shuffle_ps(y, y, 1)));                                                         \
    }
VEC_REDUCE(vec_sum, _mm_add_ps, _mm_add_ss)
VEC_REDUCE(vec_max, _mm_max_ps, _mm_max_ss)
#undef VEC_REDUCE

#if defined(VEC_AVX512)
VEC_FN __m256 vec_low(vf16 x) {
    return _mm512_castps512_ps256(x.v[0]);
}
VEC_FN __m256 vec_high(vf16 x) {
    return _mm512_extractf32x8_ps(x.v[0], 1);
}
#else
VEC_FN __m256 vec_low(vf16 x) {
    return x.v[0];
}
VEC_FN __m256 vec_high(vf16 x) {
    return x.v[1];
}
#endif
VEC_FN real vf16_sum(vf16 x) {
    return vec_sum8(_mm256_add_ps(vec_low(x), vec_high(x)));
}
VEC_FN real vf16_max(vf16 x) {
    return vec_max8(_mm256_max_ps(vec_low(x), vec_high(x)));
}

#elif defined(VEC_NEON)

VEC_FN real vf16_sum(vf16 x) {
    const float32x4_t four = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
VEC_FN real vf16_max(vf16 x) {
    const float32x4_t four = vf_max(vf_max(x.v[0], x.v[2]), vf_max(x.v[1], x.v[3]));
    const float32x4_t two = vf_max(four, vextq_f32(four, four, 2));
    return vgetq_lane_f32(vf_max(two, vextq_f32(two, two, 1)), 0);
}

#else

VEC_FN real vf16_sum(vf16 x) {
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) x.v[0][l] += x.v[0][l + half];
    return x.v[0][0];
}
VEC_FN real vf16_max(vf16 x) {
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) {
            if (!(x.v[0][l] > x.v[0][l + half])) x.v[0][l] = x.v[0][l + half];
        }
    return x.v[0][0];
}

#endif

#endif
