/* SPDX-License-Identifier: MIT
 *
 * kernels_neon.c: the kernels compiled for AArch64's Advanced SIMD. */
#define VEC_NEON
#include "layers/ops/gemm_kernels.inc"
#include "layers/ops/row_kernels.inc"
#include "layers/ops/cell_kernels.inc"
#include "layers/ops/attention_kernels.inc"

const Kernels kernels_neon = {
    .name = "neon", .gemm = GEMM_KERNELS, .rows = ROW_KERNELS, .cells = CELL_KERNELS, .attention = ATTENTION_KERNELS};
