// The gradient of embedding tables for the rows that a batch looked up, and the optimiser's step on those rows.
//
// In: the lookups (ids below 2^32, fewer than 2^32 of them) and grad, float32 [batch, tables, dim], the gradient of
// embedding_bag's result. The gradient of a row is the sum, over its lookups in the order of the ids, of grad[b, t, :],
// divided by the size of the bag where lookups.mean, times the lookup's weight where there are weights; float32.
// Work and memory grow with the lookups, not with the tables. Per table a stable radix sort of the ids, then one pass over
// the rows touched, ascending. Tables with a large share of the lookups are cut into ranges of ids: see sort_lookups.h.
// The same bits for any number of threads and on every instruction set: no fused multiply-add.
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

// Only rows that were looked up change: with a gradient of 0 none of these would change a row.
// adagrad: torch.optim.Adagrad (weight decay 0, no lr decay), Duchi, Hazan, Singer, JMLR 2011, diagonal form; with
//   g = scale * gradient:  state += g * g;  row -= lr * g / (sqrt(state) + eps), element by element.
// row_wise_adagrad: one sum per row, FBGEMM's EXACT_ROWWISE_ADAGRAD:
//   state += mean(g * g);  row -= lr / (sqrt(state) + eps) * g.
// sgd: row -= lr * g.
enum class Optimizer { adagrad = 0, row_wise_adagrad = 1, sgd = 2 };

struct Step {
  Optimizer optimizer;
  float lr;
  float eps;
  float scale;
};

}  // namespace kernels

FOR_EACH_ISA(
    // Fills `out` and returns the sum of the squares of its values, which is the squared norm of the tables' dense
    // gradient, added in float64.
    double embedding_bag_coalesce(const Lookups& lookups, int64_t dim, const float* grad, const RowGradients& out,
                                  int threads);

    // That sum alone, the same bits; nothing of size [lookups, dim] is kept.
    double embedding_bag_square_norm(const Lookups& lookups, int64_t dim, const float* grad, int threads);

    // One step on the rows that have a gradient, in place. data[t]: float32 [rows of t, dim]. state[t]: of the same
    // shape (adagrad), [rows of t] (row_wise_adagrad), not used (sgd). rows ascend within each table.
    void embedding_bag_step(float* const* data, float* const* state, const RowGradients& gradients, int64_t tables,
                            int64_t dim, const Step& step, int threads);

    // Both at once, the same bits as embedding_bag_coalesce and then embedding_bag_step; nothing of size [lookups, dim]
    // is kept.
    void embedding_bag_update(float* const* data, float* const* state, const Lookups& lookups, int64_t dim,
                              const float* grad, const Step& step, int threads);)
