/* SPDX-License-Identifier: MIT
 *
 * vec_neon.h: 4 reals in a register of AArch64's Advanced SIMD; read through vec.h alone, which says what
 * the names mean. Minimum and maximum are comparisons, since FMIN and FMAX treat NaN otherwise. */
#ifndef LOCKSTEP_LAYERS_OPS_VEC_NEON_H
#define LOCKSTEP_LAYERS_OPS_VEC_NEON_H

#include <arm_neon.h>

enum { VF_LANES = 4 };
typedef float32x4_t vf;
typedef uint32x4_t vm;

VEC_FN vf vf_set(real x) {
    return vdupq_n_f32(x);
}
VEC_FN vf vf_zero(void) {
    return vdupq_n_f32(0.0f);
}
VEC_FN vf vf_load(const real *p) {
    return vld1q_f32(p);
}
VEC_FN void vf_store(real *p, vf x) {
    vst1q_f32(p, x);
}
VEC_FN vf vf_load_n(const real *p, size_t n) {
    real lanes[4] = {0};
    if (n == 4) return vld1q_f32(p);
    for (size_t l = 0; l < n; l++) lanes[l] = p[l];
    return vld1q_f32(lanes);
}
VEC_FN void vf_store_n(real *p, vf x, size_t n) {
    real lanes[4];
    if (n == 4) {
        vst1q_f32(p, x);
        return;
    }
    vst1q_f32(lanes, x);
    for (size_t l = 0; l < n; l++) p[l] = lanes[l];
}
VEC_FN vm vec_tail(size_t n) {
    static const uint32_t lane[4] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n));
}
VEC_FN vf vf_first_n(vf x, size_t n, vf rest) {
    return vbslq_f32(vec_tail(n), x, rest);
}

VEC_FN vm vf_lt(vf a, vf b) {
    return vcltq_f32(a, b);
}
VEC_FN vm vf_le(vf a, vf b) {
    return vcleq_f32(a, b);
}
VEC_FN vm vf_gt(vf a, vf b) {
    return vcgtq_f32(a, b);
}
VEC_FN vm vf_ge(vf a, vf b) {
    return vcgeq_f32(a, b);
}
VEC_FN vm vf_eq(vf a, vf b) {
    return vceqq_f32(a, b);
}
VEC_FN vm vf_isnan(vf a) {
    return vmvnq_u32(vceqq_f32(a, a));
}
VEC_FN vm vm_and(vm a, vm b) {
    return vandq_u32(a, b);
}
VEC_FN vm vm_or(vm a, vm b) {
    return vorrq_u32(a, b);
}
VEC_FN vm vm_not(vm a) {
    return vmvnq_u32(a);
}
VEC_FN int vm_any(vm a) {
    return vmaxvq_u32(a) != 0;
}
VEC_FN vf vf_select(vm m, vf a, vf b) {
    return vbslq_f32(m, a, b);
}

VEC_FN vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
VEC_FN vf vf_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
VEC_FN vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
VEC_FN vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
VEC_FN vf vf_sqrt(vf a) {
    return vsqrtq_f32(a);
}
VEC_FN vf vf_min(vf a, vf b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
VEC_FN vf vf_max(vf a, vf b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
VEC_FN vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
VEC_FN vf vf_fnma(vf a, vf b, vf c) {
    return vfmsq_f32(c, a, b);
}
VEC_FN vf vf_abs(vf a) {
    return vabsq_f32(a);
}
VEC_FN vf vf_neg(vf a) {
    return vnegq_f32(a);
}
VEC_FN vf vf_copysign(vf a, vf b) {
    return vbslq_f32(vdupq_n_u32(0x80000000U), b, a);
}

/* 2^(t - 1.5 * 2^23): the whole number stands in the low bits of t. */
VEC_FN vf vec_power(vf t) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vaddq_u32(vreinterpretq_u32_f32(t), vdupq_n_u32(127)), 23));
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
