// A whole transformer layer over the rows of a sample, for inference: attention, residual, LayerNorm, two linear maps,
// residual, LayerNorm (Vaswani et al., NeurIPS 2017, section 3), for narrow rows and small heads.
#pragma once

#include <cstdint>

#include "isa.h"

namespace kernels {

// float32; matrices [outputs, inputs], row by row. (In torch: in_proj, out_proj, norm1, linear1, linear2, norm2.)
struct TransformerWeights {
  int64_t width, heads, hidden;     // width: a multiple of heads
  float eps;                        // of both LayerNorms; > 0
  const float *qkv, *qkv_bias;      // [3 * width, width]: queries, keys, values, each head by head
  const float *out, *out_bias;      // [width, width]
  const float *norm1, *norm1_bias;  // [width]
  const float *fc1, *fc1_bias;      // [hidden, width]; relu follows
  const float *fc2, *fc2_bias;      // [width, hidden]
  const float *norm2, *norm2_bias;  // [width]
};

}  // namespace kernels

FOR_EACH_ISA(
    // x, out: float32 [batch, width, rows], coordinate first. Sums run in order in float32: over inputs from the bias
    // on, over keys, over coordinates. A product and its sum are rounded once on AVX2 and AVX-512, each in plain C++.
    // Exponentials are within 2 units in the last place, and 0 below 2^-100 of the largest.
    void transformer_layer(const float* x, const TransformerWeights& weights, int64_t batch, int64_t rows, float* out,
                           int threads);)
