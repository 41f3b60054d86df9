// Layer normalisation over the last dimension (Ba, Kiros, Hinton, arXiv 1607.06450).
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out[r, d] = (x[r, d] - mean) * scale * weight[d] + bias[d], with the mean of row r and scale = 1 / sqrt(variance +
    // eps), the variance being that of the whole row (divided by dim).
    // x, out: float32 [rows, dim]; weight, bias: [dim]; eps > 0. Any rows, dim from 0.
    // Rows are added up in 16 columns side by side, these then by halves, in float32, each step rounded: the same bits
    // on every instruction set.
    void layer_norm(const float* x, const float* weight, const float* bias, int64_t rows, int64_t dim, float eps,
                    float* out, int threads);

    // The gradients of x, weight and bias from grad [rows, dim]; mean and scale are computed again. Sums over rows run
    // in order within pieces whose size depends on the number of rows only (256, or 1/16 of them if that is more), then
    // over the pieces in order.
    void layer_norm_backward(const float* x, const float* weight, const float* grad, int64_t rows, int64_t dim,
                             float eps, float* grad_x, float* grad_weight, float* grad_bias, int threads);)
