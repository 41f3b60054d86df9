// Multi-head self-attention over the rows of a sample (Vaswani et al., NeurIPS 2017, eq. 1), for small heads.
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // out[b, i, h] = sum over j of softmax_j(q[b, i, h] . k[b, j, h] / sqrt(dim)) * v[b, j, h], heads of `dim` numbers.
    // qkv: float32 [batch, rows, 3, heads, dim]; out: float32 [batch, rows, heads, dim]. Every sum runs over d or j in
    // order in float32, no fused multiply-add. Exponentials are within 2 units in the last place, and 0 below 2^-100.
    void attention(const float* qkv, int64_t batch, int64_t rows, int64_t heads, int64_t dim, float* out, int threads);

    // The gradient with respect to qkv, shaped as it, from grad shaped as `out`. Recomputes the probabilities, a few
    // queries at a time; sums run over d, over j (gradient of q) and over i (gradients of k and v) in order.
    void attention_backward(const float* qkv, const float* grad, int64_t batch, int64_t rows, int64_t heads, int64_t dim,
                            float* grad_qkv, int threads);)
