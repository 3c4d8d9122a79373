/* SPDX-License-Identifier: MIT
 *
 * vecmath.h: exp, tanh, sigmoid and erf of a vector, built from vec.h alone, so with the same bits on
 * every instruction set. Within 3 units in the last place over the whole range (measured by
 * tests/unit/test_ops.c), exact limits at the infinities, a NaN gives a NaN; a result below the
 * smallest normal number may be zero. The coefficients are minimax fits made for this file. For
 * real = double the C library does, lane by lane. */
#ifndef LOCKSTEP_LAYERS_OPS_VECMATH_H
#define LOCKSTEP_LAYERS_OPS_VECMATH_H

#include "layers/ops/vec.h"

#ifdef LOCKSTEP_REAL_DOUBLE

VEC_FN vf vf_exp(vf x) {
    VEC_LANES_DO(x[l] = exp(x[l]);)
    return x;
}
VEC_FN vf vf_tanh(vf x) {
    VEC_LANES_DO(x[l] = tanh(x[l]);)
    return x;
}
VEC_FN vf vf_erf(vf x) {
    VEC_LANES_DO(x[l] = erf(x[l]);)
    return x;
}

#else

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1); n is a constant. */
VEC_FN vf vec_polynomial(vf x, const real *c, int n) {
    vf y = vf_set(c[n - 1]);
    for (int i = n - 2; i >= 0; i--) y = vf_fma(y, x, vf_set(c[i]));
    return y;
}

/* x = n ln 2 + r, |r| <= ln 2 / 2; returns e^r - 1. Adding 1.5 * 2^23 rounds to a whole number. */
VEC_FN vf vec_expm1_core(vf x, vf *n) {
    static const real c[5] = {0x1.fffffcp-2f, 0x1.55549p-3f, 0x1.5558f6p-5f, 0x1.123a8ep-7f, 0x1.6a2318p-10f};
    const vf magic = vf_set(12582912.0f);
    *n = vf_sub(vf_fma(x, vf_set(0x1.715476p+0f), magic), magic);
    vf r = vf_fnma(*n, vf_set(0x1.62e43p-1f), x);
    r = vf_fma(*n, vf_set(0x1.05c61p-29f), r);
    return vf_fma(vf_mul(r, r), vec_polynomial(r, c, 5), r);
}

/* Beyond the bounds the result is 0 or infinite anyway. */
VEC_FN vf vf_exp(vf x) {
    vf n;
    x = vf_max(vf_set(-104.0f), vf_min(vf_set(89.0f), x));
    vf p = vec_expm1_core(x, &n);
    return vf_ldexp(vf_add(p, vf_set(1.0f)), n);
}

/* tanh |x| = t / (t + 2) with t = e^(2 |x|) - 1; 1 from 9.02 on. */
VEC_FN vf vf_tanh(vf x) {
    vf n, a = vf_min(vf_set(10.0f), vf_abs(x));
    vf p = vec_expm1_core(vf_add(a, a), &n);
    vf power = vf_power(n);
    vf t = vf_fma(p, power, vf_sub(power, vf_set(1.0f)));
    return vf_copysign(vf_div(t, vf_add(t, vf_set(2.0f))), x);
}

/* Up to 0.9: x (1 + P(x^2)); above: 1 - e^Q(|x|); 1 from 3.92 on. */
VEC_FN vf vf_erf(vf x) {
    static const real p[7] = {0x1.06eba8p-3f, -0x1.812744p-2f,  0x1.ce2e54p-4f, -0x1.b81524p-6f,
                              0x1.550a46p-8f, -0x1.aca39cp-11f, 0x1.6510ep-14f};
    static const real q[7] = {-0x1.5d110cp-13f, -0x1.20b752p+0f, -0x1.4621bap-1f, -0x1.aa731ap-4f,
                              0x1.6d9cc8p-6f,   -0x1.91ccc8p-9f, 0x1.9fb25cp-13f};
    const vf one = vf_set(1.0f);
    vf n, a = vf_min(vf_set(4.0f), vf_abs(x));
    vf near = vf_fma(a, vec_polynomial(vf_mul(a, a), p, 7), a);
    vf e = vec_expm1_core(vec_polynomial(a, q, 7), &n);
    vf far = vf_fnma(vf_add(e, one), vf_power(n), one);
    return vf_copysign(vf_select(vf_gt(a, vf_set(0.9f)), far, near), x);
}

#endif

/* 1 / (1 + e^-x): right in both tails. */
VEC_FN vf vf_sigmoid(vf x) {
    const vf one = vf_set(REAL(1.0));
    return vf_div(one, vf_add(one, vf_exp(vf_neg(x))));
}

#endif
