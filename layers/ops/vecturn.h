/* SPDX-License-Identifier: MIT
 *
 * vecturn.h: a square of 16 x 16 reals turned, for packing; goes with vec.h. */
#ifndef LOCKSTEP_LAYERS_OPS_VECTURN_H
#define LOCKSTEP_LAYERS_OPS_VECTURN_H

#include "layers/ops/vec.h"

#if defined(VEC_AVX512)

/* Pairs of rows are merged by single columns, then by two and by four; the last step joins quarters. */
VEC_FN __m512 turn_low2(__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
VEC_FN __m512 turn_high2(__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
VEC_FN __m512 turn_even(__m512 a, __m512 b) {
    return _mm512_shuffle_f32x4(a, b, 0x88);
}
VEC_FN __m512 turn_odd(__m512 a, __m512 b) {
    return _mm512_shuffle_f32x4(a, b, 0xdd);
}

/* dst[j * 16 + i] = x[i * ld + j] */
VEC_FN void vec_turn16(const real *x, size_t ld, real *dst) {
    __m512 r[16], s[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(x + i * ld);
#pragma GCC unroll 8
    for (size_t i = 0; i < 16; i += 2) {
        s[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    /* r[4 q + c]: column 4 l + c of rows 4 q ... 4 q + 3 in quarter l */
#pragma GCC unroll 4
    for (size_t i = 0; i < 16; i += 4) {
        r[i] = turn_low2(s[i], s[i + 2]);
        r[i + 1] = turn_high2(s[i], s[i + 2]);
        r[i + 2] = turn_low2(s[i + 1], s[i + 3]);
        r[i + 3] = turn_high2(s[i + 1], s[i + 3]);
    }
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; c++) {
        const __m512 even_low = turn_even(r[c], r[c + 4]), odd_low = turn_odd(r[c], r[c + 4]);
        const __m512 even_high = turn_even(r[c + 8], r[c + 12]), odd_high = turn_odd(r[c + 8], r[c + 12]);
        _mm512_storeu_ps(dst + c * 16, turn_even(even_low, even_high));
        _mm512_storeu_ps(dst + (c + 4) * 16, turn_even(odd_low, odd_high));
        _mm512_storeu_ps(dst + (c + 8) * 16, turn_odd(even_low, even_high));
        _mm512_storeu_ps(dst + (c + 12) * 16, turn_odd(odd_low, odd_high));
    }
}

#elif defined(VEC_AVX2)

VEC_FN __m256 turn_low2(__m256 a, __m256 b) {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}
VEC_FN __m256 turn_high2(__m256 a, __m256 b) {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

VEC_FN void vec_turn8(const real *x, size_t ld, real *dst) {
    __m256 r[8], s[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(x + i * ld);
#pragma GCC unroll 4
    for (size_t i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < 8; i += 4) {
        r[i] = turn_low2(s[i], s[i + 2]);
        r[i + 1] = turn_high2(s[i], s[i + 2]);
        r[i + 2] = turn_low2(s[i + 1], s[i + 3]);
        r[i + 3] = turn_high2(s[i + 1], s[i + 3]);
    }
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; c++) {
        _mm256_storeu_ps(dst + c * 16, _mm256_permute2f128_ps(r[c], r[c + 4], 0x20));
        _mm256_storeu_ps(dst + (c + 4) * 16, _mm256_permute2f128_ps(r[c], r[c + 4], 0x31));
    }
}

VEC_FN void vec_turn16(const real *x, size_t ld, real *dst) {
    for (size_t i = 0; i < 16; i += 8)
        for (size_t j = 0; j < 16; j += 8) vec_turn8(x + i * ld + j, ld, dst + j * 16 + i);
}

#elif defined(VEC_NEON)

VEC_FN float32x4_t turn_low2(float32x4_t a, float32x4_t b) {
    return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
VEC_FN float32x4_t turn_high2(float32x4_t a, float32x4_t b) {
    return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}

VEC_FN void vec_turn4(const real *x, size_t ld, real *dst) {
    const float32x4_t r0 = vld1q_f32(x), r1 = vld1q_f32(x + ld), r2 = vld1q_f32(x + 2 * ld), r3 = vld1q_f32(x + 3 * ld);
    const float32x4_t even01 = vtrn1q_f32(r0, r1), odd01 = vtrn2q_f32(r0, r1);
    const float32x4_t even23 = vtrn1q_f32(r2, r3), odd23 = vtrn2q_f32(r2, r3);
    vst1q_f32(dst, turn_low2(even01, even23));
    vst1q_f32(dst + 16, turn_low2(odd01, odd23));
    vst1q_f32(dst + 32, turn_high2(even01, even23));
    vst1q_f32(dst + 48, turn_high2(odd01, odd23));
}

VEC_FN void vec_turn16(const real *x, size_t ld, real *dst) {
    for (size_t i = 0; i < 16; i += 4)
        for (size_t j = 0; j < 16; j += 4) vec_turn4(x + i * ld + j, ld, dst + j * 16 + i);
}

#else

VEC_FN void vec_turn16(const real *x, size_t ld, real *dst) {
    for (size_t i = 0; i < 16; i++)
        for (size_t j = 0; j < 16; j++) dst[j * 16 + i] = x[i * ld + j];
}

#endif

#endif
