/* SPDX-License-Identifier: MIT
 *
 * vec_avx512.h: 16 reals in an AVX-512 register; read through vec.h alone, which says what the names mean. */
#ifndef LOCKSTEP_LAYERS_OPS_VEC_AVX512_H
#define LOCKSTEP_LAYERS_OPS_VEC_AVX512_H

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

#endif
