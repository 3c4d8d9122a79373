/* SPDX-License-Identifier: MIT
 *
 * vec_avx2.h: 8 reals in an AVX2 register; read through vec.h alone, which says what the names mean. */
#ifndef LOCKSTEP_LAYERS_OPS_VEC_AVX2_H
#define LOCKSTEP_LAYERS_OPS_VEC_AVX2_H

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

#endif
