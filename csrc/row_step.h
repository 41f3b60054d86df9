// An optimiser's step on rows of an embedding table.
#pragma once

#include "embedding_bag_update.h"
#include "row_floats.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kGroup = 16;  // rows that are summed and then stepped together: their latencies overlap
constexpr int kSquares = 16;    // sums that the squares of a row are added into, on every instruction set

// Numbers between the gradients of a group's rows, which are padded with zeros.
constexpr int64_t padded(int64_t dim) { return (dim + kSquares - 1) / kSquares * kSquares; }

// Numbers of state per row.
template <Optimizer kOptimizer>
constexpr int64_t state_dim(int64_t dim) {
  return kOptimizer == Optimizer::adagrad ? dim : kOptimizer == Optimizer::row_wise_adagrad ? 1 : 0;
}

template <Optimizer kOptimizer>
[[gnu::always_inline]] inline void prefetch_far(const float* data, const float* state, int64_t row, int64_t dim) {
  prefetch_far(data + row * dim, dim);
  if (kOptimizer == Optimizer::adagrad) prefetch_far(state + row * dim, dim);
  if (kOptimizer == Optimizer::row_wise_adagrad) __builtin_prefetch(state + row, 0, 2);
}

template <Optimizer kOptimizer>
[[gnu::always_inline]] inline void prefetch_near(const float* data, const float* state, int64_t row, int64_t dim) {
  prefetch_near(data + row * dim, dim);
  if (kOptimizer == Optimizer::adagrad) prefetch_near(state + row * dim, dim);
  if (kOptimizer == Optimizer::row_wise_adagrad) __builtin_prefetch(state + row, 1, 3);
}

// The mean of the squares of scale * value. Sum l takes elements l, l + kSquares, ...; then the halves of the sums are
// added, and their halves, down to one.
inline float mean_square(const float* value, float scale, int64_t dim) {
  constexpr int kParts = kSquares / kLanes;
  Floats squares[kParts] = {};
  for (int64_t d = 0; d < dim; d += kSquares) {
    for (int p = 0; p < kParts; ++p) {
      const Floats g = scale * load(value + d + p * kLanes);
      squares[p] += g * g;
    }
  }
  for (int width = kParts / 2; width > 0; width /= 2) {
    for (int p = 0; p < width; ++p) squares[p] += squares[p + width];
  }
  return sum_lanes(squares[0]) / static_cast<float>(dim);
}

// Calls each(d, get, put) for the registers that make up a row, the last perhaps in part.
template <class Each>
inline void for_registers(int64_t dim, const Each& each) {
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    each(d, [](const float* from) { return load(from); }, [](float* to, const Floats& value) { store(to, value); });
  }
  if (d < dim) {
    const int64_t rest = dim - d;
    each(d, [=](const float* from) { return load_first(from, rest); },
         [=](float* to, const Floats& value) { store_first(to, rest, value); });
  }
}

// The gradients of a group of rows of a table, each padded with zeros to padded(dim).
struct Group {
  const float* values[kGroup];
  int64_t rows[kGroup];
  int64_t count;
};

// One step on a group of rows.
template <Optimizer kOptimizer>
inline void step_group(float* data, float* state, const Group& group, int64_t dim, const Step& step) {
  float factors[kGroup];
  if (kOptimizer == Optimizer::row_wise_adagrad) {
    for (int64_t r = 0; r < group.count; ++r) factors[r] = mean_square(group.values[r], step.scale, dim);
    for (int64_t r = 0; r < group.count; ++r) {
      const float sum = state[group.rows[r]] + factors[r];
      state[group.rows[r]] = sum;
      factors[r] = -step.lr / (__builtin_sqrtf(sum) + step.eps);
    }
  }
  for (int64_t r = 0; r < group.count; ++r) {
    float* const row = data + group.rows[r] * dim;
    float* const sums = kOptimizer == Optimizer::adagrad ? state + group.rows[r] * dim : nullptr;
    const float* const value = group.values[r];
    for_registers(dim, [&](int64_t d, auto get, auto put) {
      const Floats g = step.scale * load(value + d);
      if (kOptimizer == Optimizer::row_wise_adagrad) {
        put(row + d, get(row + d) + factors[r] * g);
      } else if (kOptimizer == Optimizer::adagrad) {
        const Floats before = get(row + d);
        const Floats sum = get(sums + d) + g * g;
        put(sums + d, sum);
        put(row + d, before + -step.lr * g / (square_root(sum) + step.eps));
      } else {
        put(row + d, get(row + d) + -step.lr * g);
      }
    });
  }
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
