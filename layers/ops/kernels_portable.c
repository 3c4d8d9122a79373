/* SPDX-License-Identifier: MIT
 *
 * kernels_portable.c: the kernels compiled for plain C. */
#include "layers/ops/gemm_kernels.inc"
#include "layers/ops/row_kernels.inc"
#include "layers/ops/cell_kernels.inc"
#include "layers/ops/attention_kernels.inc"

const Kernels kernels_portable = {.name = "portable",
                                  .gemm = GEMM_KERNELS,
                                  .rows = ROW_KERNELS,
                                  .cells = CELL_KERNELS,
                                  .attention = ATTENTION_KERNELS};
