/* SPDX-License-Identifier: MIT
 *
 * kernels_avx512.c: the kernels compiled for AVX-512. */
#define VEC_AVX512
#include "layers/ops/gemm_kernels.inc"
#include "layers/ops/row_kernels.inc"
#include "layers/ops/cell_kernels.inc"
#include "layers/ops/attention_kernels.inc"

const Kernels kernels_avx512 = {
    .name = "avx512", .gemm = GEMM_KERNELS, .rows = ROW_KERNELS, .cells = CELL_KERNELS, .attention = ATTENTION_KERNELS};
