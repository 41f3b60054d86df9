// A cross layer of low rank (DCN-v2: Wang et al., WWW 2021, section 3.3, one expert, no activation).
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out = x0 * (x down^T up^T + bias) + x, element by element where not a matrix product.
    // x0, x, out: float32 [batch, dim]; down: [rank, dim]; up: [dim, rank]; bias: [dim]. Any batch, dim, rank from 0.
    // The inner sums run over dim, then over rank, in order in float32, rounded once per step where there is a fused
    // multiply-add (the same bits on AVX2 and AVX-512), twice in plain C++.
    void low_rank_cross(const float* x0, const float* x, const float* down, const float* up, const float* bias,
                        int64_t batch, int64_t dim, int64_t rank, float* out, int threads);

    // The gradients of all five inputs, each shaped as its input, from grad [batch, dim]. The inner products are
    // computed again. Sums over the batch run in order within pieces whose size depends on the batch only (256 rows,
    // or 1/16 of the batch if that is more), then over the pieces in order.
    void low_rank_cross_backward(const float* x0, const float* x, const float* down, const float* up,
                                 const float* bias, const float* grad, int64_t batch, int64_t dim, int64_t rank,
                                 float* grad_x0, float* grad_x, float* grad_down, float* grad_up, float* grad_bias,
                                 int threads);)
