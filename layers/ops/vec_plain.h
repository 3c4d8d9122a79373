/* SPDX-License-Identifier: MIT
 *
 * vec_plain.h: 16 reals in GCC's vector types, which every machine has; also for real = double; read through vec.h alone, which says what the names mean. */
#ifndef LOCKSTEP_LAYERS_OPS_VEC_PLAIN_H
#define LOCKSTEP_LAYERS_OPS_VEC_PLAIN_H

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
