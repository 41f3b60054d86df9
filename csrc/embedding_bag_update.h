// The gradient of embedding tables for the rows that a batch looked up, and the optimiser's step on those rows.
#pragma once

#include "embedding_bag.h"

namespace kernels {

// The gradient of the looked-up rows, repeated rows added up. Lookups of table t own the places starts[t] to
// starts[t + 1] - 1 (as many as it has lookups); the first counts[t] of them are used, one per row touched, ascending.
struct RowGradients {
  int64_t* starts;  // [tables + 1]
  int64_t* counts;  // [tables]
  int64_t* rows;    // [lookups]
  float* values;    // [lookups, dim]
};

}  // namespace kernels

FOR_EACH_ISA(
    // Adds up grad (float32 [batch, tables, dim]) per row touched, in the order of the ids in float32, and returns the
    // sum of the squares of the result, which is the squared norm of the tables' dense gradient, added in float64.
    // Work grows with the lookups, not with the tables. Ids below 2^32. Per table: a stable radix sort of the ids.
    double embedding_bag_coalesce(const Lookups& lookups, int64_t dim, const float* grad, const RowGradients& out,
                                  int threads);

    // torch's dense Adagrad (weight decay 0, no lr decay) on the rows that have a gradient; the others would not change:
    //   g = scale * gradient;  state += g * g;  row -= lr * g / (sqrt(state) + eps).
    // Duchi, Hazan, Singer: Adaptive Subgradient Methods, JMLR 2011, diagonal form.
    void embedding_bag_adagrad(float* const* data, float* const* state, const RowGradients& gradients, int64_t tables,
                               int64_t dim, float lr, float eps, float scale, int threads);)
