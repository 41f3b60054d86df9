// Dot products of all pairs of the feature vectors of a sample (DLRM's interaction; Naumov et al., arXiv 1906.00091).
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out[b, i(i-1)/2 + j] = sum over d of x[b, i, d] * x[b, j, d] for 0 <= j < i < features: the strict lower triangle,
    // row by row: (1,0), (2,0), (2,1), (3,0), ... Each sum runs over d in order in float32, no fused multiply-add.
    // x: float32 [batch, features, dim]; out: float32 [batch, features (features - 1) / 2].
    void dot_interaction(const float* x, int64_t batch, int64_t features, int64_t dim, float* out, int threads);

    // grad_x[b, i, :] = sum over j != i of grad[b, pair(i, j)] * x[b, j, :], over j in order in float32.
    // grad: float32 [batch, features (features - 1) / 2]; grad_x: float32 [batch, features, dim].
    void dot_interaction_backward(const float* x, const float* grad, int64_t batch, int64_t features, int64_t dim,
                                  float* grad_x, int threads);)
