// Dot products of all pairs of the feature vectors of a sample (DLRM's interaction; Naumov et al., arXiv 1906.00091).
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out[b, pair(i, j)] = sum over d of x[b, i, d] * x[b, j, d]. The pairs are the lower triangle, row by row, without
    // or with the diagonal: (1,0), (2,0), (2,1), (3,0), ... or (0,0), (1,0), (1,1), (2,0), ...
    // x: [batch, features, dim]; out: [batch, features (features - 1) / 2], or features (features + 1) / 2.
    // T: float, or uint16_t for the bits of bfloat16. Any batch, features, dim from 0.
    // Each sum runs over d in order in float32, rounded once per step where there is a fused multiply-add (the same
    // bits on AVX2 and AVX-512), twice in plain C++; a bfloat16 result is rounded to nearest even at the end.
    template <class T>
    void dot_interaction(const T* x, int64_t batch, int64_t features, int64_t dim, bool diagonal, T* out, int threads);

    // grad_x[b, i, :] = sum over j != i of grad[b, pair(i, j)] * x[b, j, :], and with the diagonal
    // 2 * grad[b, pair(i, i)] * x[b, i, :] in its place; over j in order, in the same arithmetic.
    // grad: shaped as out above; grad_x: [batch, features, dim].
    template <class T>
    void dot_interaction_backward(const T* x, const T* grad, int64_t batch, int64_t features, int64_t dim,
                                  bool diagonal, T* grad_x, int threads);)
