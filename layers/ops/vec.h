/* SPDX-License-Identifier: MIT
 *
 * vec.h: one vector of reals, so that a kernel is written once and compiled per instruction set. The
 * including file defines VEC_AVX512 or VEC_AVX2, or neither: then plain C with GCC's vector types does
 * (also for real = double). Every operation is the IEEE one, exactly rounded, on each lane, so a
 * kernel made of them gives the same bits on all of them; nothing here approximates.
 *
 *   vf             VF_LANES reals (16, 8; portable 16)        vm   a truth value per lane
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

#include <immintrin.h>

enum { VF_LANES = 16 };
typedef __m512 vf;
typedef __mmask16 vm;

VEC_FN vf vf_set(real x) {
    return _mm512_set1_ps(x);
}
VEC_FN vf vf_zero(void) {
    return _mm512_setzero_ps();
}
VEC_FN vf vf_load(const real *p) {
    return _mm512_loadu_ps(p);
}
VEC_FN void vf_store(real *p, vf x) {
    _mm512_storeu_ps(p, x);
}
VEC_FN __mmask16 vec_tail(size_t n) {
    return (__mmask16)((1U << n) - 1U);
}
VEC_FN vf vf_load_n(const real *p, size_t n) {
    return _mm512_maskz_loadu_ps(vec_tail(n), p);
}
VEC_FN void vf_store_n(real *p, vf x, size_t n) {
    _mm512_mask_storeu_ps(p, vec_tail(n), x);
}
VEC_FN vf vf_first_n(vf x, size_t n, vf rest) {
    return _mm512_mask_blend_ps(vec_tail(n), rest, x);
}

VEC_FN vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
VEC_FN vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
VEC_FN vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
VEC_FN vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
VEC_FN vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
VEC_FN vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
VEC_FN vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
VEC_FN vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
VEC_FN vf vf_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
}
VEC_FN vf vf_abs(vf a) {
    return _mm512_abs_ps(a);
}
VEC_FN vf vf_neg(vf a) {
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}
VEC_FN vf vf_copysign(vf a, vf b) {
    const __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}

VEC_FN vm vf_lt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
VEC_FN vm vf_le(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
VEC_FN vm vf_gt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
VEC_FN vm vf_ge(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
VEC_FN vm vf_eq(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
VEC_FN vm vf_isnan(vf a) {
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
VEC_FN vm vm_and(vm a, vm b) {
    return (vm)(a & b);
}
VEC_FN vm vm_or(vm a, vm b) {
    return (vm)(a | b);
}
VEC_FN vm vm_not(vm a) {
    return (vm)~a;
}
VEC_FN int vm_any(vm a) {
    return a != 0;
}
/* m ? a : b */
VEC_FN vf vf_select(vm m, vf a, vf b) {
    return _mm512_mask_blend_ps(m, b, a);
}

/* x 2^n for a whole n, |n| <= 250, rounded once; 2^n for a whole n in -126 ... 127. */
VEC_FN vf vf_ldexp(vf x, vf n) {
    return _mm512_scalef_ps(x, n);
}
VEC_FN vf vf_power(vf n) {
    return _mm512_scalef_ps(_mm512_set1_ps(1.0f), n);
}

#elif defined(VEC_AVX2)

#include <immintrin.h>

enum { VF_LANES = 8 };
typedef __m256 vf;
typedef __m256 vm;

VEC_FN vf vf_set(real x) {
    return _mm256_set1_ps(x);
}
VEC_FN vf vf_zero(void) {
    return _mm256_setzero_ps();
}
VEC_FN vf vf_load(const real *p) {
    return _mm256_loadu_ps(p);
}
VEC_FN void vf_store(real *p, vf x) {
    _mm256_storeu_ps(p, x);
}
VEC_FN __m256i vec_tail(size_t n) {
    static const int32_t tail[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(const void *)(tail + (8 - n)));
}
VEC_FN vf vf_load_n(const real *p, size_t n) {
    return _mm256_maskload_ps(p, vec_tail(n));
}
VEC_FN void vf_store_n(real *p, vf x, size_t n) {
    _mm256_maskstore_ps(p, vec_tail(n), x);
}
VEC_FN vf vf_first_n(vf x, size_t n, vf rest) {
    return _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(vec_tail(n)));
}

VEC_FN vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
VEC_FN vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
VEC_FN vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
VEC_FN vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
VEC_FN vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
VEC_FN vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
VEC_FN vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
VEC_FN vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
VEC_FN vf vf_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
}
VEC_FN vf vf_abs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
VEC_FN vf vf_neg(vf a) {
    return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f));
}
VEC_FN vf vf_copysign(vf a, vf b) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b));
}

VEC_FN vm vf_lt(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
VEC_FN vm vf_le(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
VEC_FN vm vf_gt(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
VEC_FN vm vf_ge(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_GE_OQ);
}
VEC_FN vm vf_eq(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
VEC_FN vm vf_isnan(vf a) {
    return _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
}
VEC_FN vm vm_and(vm a, vm b) {
    return _mm256_and_ps(a, b);
}
VEC_FN vm vm_or(vm a, vm b) {
    return _mm256_or_ps(a, b);
}
VEC_FN vm vm_not(vm a) {
    return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
}
VEC_FN int vm_any(vm a) {
    return _mm256_movemask_ps(a) != 0;
}
VEC_FN vf vf_select(vm m, vf a, vf b) {
    return _mm256_blendv_ps(b, a, m);
}

/* 2^(t - 1.5 * 2^23): the whole number stands in the low bits of t. */
VEC_FN vf vec_power(vf t) {
    __m256i n = _mm256_add_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(n, 23));
}
VEC_FN vf vf_ldexp(vf x, vf n) {
    const vf magic = vf_set(12582912.0f);
    vf t = vf_fma(n, vf_set(0.5f), magic), h = vf_sub(t, magic);
    return vf_mul(vf_mul(x, vec_power(t)), vec_power(vf_add(vf_sub(n, h), magic)));
}
VEC_FN vf vf_power(vf n) {
    return vec_power(vf_add(n, vf_set(12582912.0f)));
}

#else

#include <math.h>

/* The functions below are all inlined: no vector is ever passed in registers. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum { VF_LANES = 16 };
#ifdef LOCKSTEP_REAL_DOUBLE
typedef int64_t vec_int;
#else
typedef int32_t vec_int;
#endif
typedef real vf __attribute__((vector_size(16 * sizeof(real))));
typedef vec_int vm __attribute__((vector_size(16 * sizeof(real))));

#define VEC_LANES_DO(statement)                                                                                        \
    for (int l = 0; l < VF_LANES; l++) statement

VEC_FN vf vf_zero(void) {
    return (vf){0};
}
VEC_FN vf vf_set(real x) {
    vf y;
    VEC_LANES_DO(y[l] = x;)
    return y;
}
VEC_FN vf vf_load(const real *p) {
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
VEC_FN void vf_store(real *p, vf x) {
    memcpy(p, &x, sizeof x);
}
VEC_FN vf vf_load_n(const real *p, size_t n) {
    vf x = {0};
    for (size_t l = 0; l < n; l++) x[l] = p[l];
    return x;
}
VEC_FN void vf_store_n(real *p, vf x, size_t n) {
    for (size_t l = 0; l < n; l++) p[l] = x[l];
}
VEC_FN vf vf_first_n(vf x, size_t n, vf rest) {
    for (size_t l = 0; l < n; l++) rest[l] = x[l];
    return rest;
}

VEC_FN vm vf_lt(vf a, vf b) {
    return a < b;
}
VEC_FN vm vf_le(vf a, vf b) {
    return a <= b;
}
VEC_FN vm vf_gt(vf a, vf b) {
    return a > b;
}
VEC_FN vm vf_ge(vf a, vf b) {
    return a >= b;
}
VEC_FN vm vf_eq(vf a, vf b) {
    return a == b;
}
VEC_FN vm vf_isnan(vf a) {
    return a != a;
}
VEC_FN vm vm_and(vm a, vm b) {
    return a & b;
}
VEC_FN vm vm_or(vm a, vm b) {
    return a | b;
}
VEC_FN vm vm_not(vm a) {
    return ~a;
}
VEC_FN int vm_any(vm a) {
    vec_int any = 0;
    VEC_LANES_DO(any |= a[l];)
    return any != 0;
}
VEC_FN vf vf_select(vm m, vf a, vf b) {
    return (vf)((m & (vm)a) | (~m & (vm)b));
}

VEC_FN vf vf_add(vf a, vf b) {
    return a + b;
}
VEC_FN vf vf_sub(vf a, vf b) {
    return a - b;
}
VEC_FN vf vf_mul(vf a, vf b) {
    return a * b;
}
VEC_FN vf vf_div(vf a, vf b) {
    return a / b;
}
VEC_FN vf vf_min(vf a, vf b) {
    return vf_select(a < b, a, b);
}
VEC_FN vf vf_max(vf a, vf b) {
    return vf_select(a > b, a, b);
}
VEC_FN vf vf_neg(vf a) {
    return -a;
}
VEC_FN vm vec_sign(void) {
    return (vm)vf_set(-REAL(0.0));
}
VEC_FN vf vf_abs(vf a) {
    return (vf)((vm)a & ~vec_sign());
}
VEC_FN vf vf_copysign(vf a, vf b) {
    return (vf)(((vm)a & ~vec_sign()) | ((vm)b & vec_sign()));
}

#ifdef LOCKSTEP_REAL_DOUBLE
VEC_FN vf vf_sqrt(vf a) {
    VEC_LANES_DO(a[l] = sqrt(a[l]);)
    return a;
}
VEC_FN vf vf_fma(vf a, vf b, vf c) {
    VEC_LANES_DO(c[l] = fma(a[l], b[l], c[l]);)
    return c;
}
#else
VEC_FN vf vf_sqrt(vf a) {
    VEC_LANES_DO(a[l] = sqrtf(a[l]);)
    return a;
}
VEC_FN vf vf_fma(vf a, vf b, vf c) {
    VEC_LANES_DO(c[l] = fmaf(a[l], b[l], c[l]);)
    return c;
}
VEC_FN vf vec_power(vf t) {
    typedef uint32_t bits __attribute__((vector_size(64)));
    return (vf)(((bits)t + 127U) << 23);
}
VEC_FN vf vf_ldexp(vf x, vf n) {
    const vf magic = vf_set(12582912.0f);
    vf t = vf_fma(n, vf_set(0.5f), magic), h = t - magic;
    return x * vec_power(t) * vec_power(n - h + magic);
}
VEC_FN vf vf_power(vf n) {
    return vec_power(n + vf_set(12582912.0f));
}
#endif
/* c - a b */
VEC_FN vf vf_fnma(vf a, vf b, vf c) {
    return vf_fma(-a, b, c);
}

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
