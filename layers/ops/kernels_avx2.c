/* SPDX-License-Identifier: MIT
 *
 * kernels_avx2.c: the kernels compiled for AVX2 and FMA. */
#define VEC_AVX2
#include "layers/ops/gemm_kernels.inc"
#include "layers/ops/row_kernels.inc"
#include "layers/ops/cell_kernels.inc"
#include "layers/ops/attention_kernels.inc"

const Kernels kernels_avx2 = {
    .name = "avx2", .gemm = GEMM_KERNELS, .rows = ROW_KERNELS, .cells = CELL_KERNELS, .attention = ATTENTION_KERNELS};
