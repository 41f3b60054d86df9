// Second-order factorisation machine over the feature vectors of a sample (Rendle, ICDM 2010), in NASRec's form.
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out[b, d] = (sum over f of x[b, f, d])^2 - sum over f of x[b, f, d]^2, without the usual factor 1/2.
    // Computed as 2 * sum over f of x[f] * (x[0] + ... + x[f-1]): the same number without subtracting two large ones.
    // x: [batch, features, dim]; out: [batch, dim]. T: float, or uint16_t for the bits of bfloat16. Any batch,
    // features, dim from 0. Sums run over f in order in float32, each step rounded twice: the same bits on every
    // instruction set. A bfloat16 result is rounded to nearest even at the end.
    template <class T>
    void fm_interaction(const T* x, int64_t batch, int64_t features, int64_t dim, T* out, int threads);

    // grad_x[b, f, d] = 2 * grad[b, d] * (sum over the other features of x[b, :, d]).
    // grad: [batch, dim]; grad_x: [batch, features, dim], in the same arithmetic.
    template <class T>
    void fm_interaction_backward(const T* x, const T* grad, int64_t batch, int64_t features, int64_t dim, T* grad_x,
                                 int threads);)
