// Second-order factorisation machine over the feature vectors of a sample (Rendle, ICDM 2010), in NASRec's form.
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out[b, d] = (sum over f of x[b, f, d])^2 - sum over f of x[b, f, d]^2, without the usual factor 1/2.
    // Computed as 2 * sum over f of x[f] * (x[0] + ... + x[f-1]): the same number without subtracting two large ones.
    // x: float32 [batch, features, dim]; out: float32 [batch, dim]. Sums run over f in order in float32.
    void fm_interaction(const float* x, int64_t batch, int64_t features, int64_t dim, float* out, int threads);

    // grad_x[b, f, d] = 2 * grad[b, d] * (sum over the other features of x[b, :, d]).
    // grad: float32 [batch, dim]; grad_x: float32 [batch, features, dim].
    void fm_interaction_backward(const float* x, const float* grad, int64_t batch, int64_t features, int64_t dim,
                                 float* grad_x, int threads);)
