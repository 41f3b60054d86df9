#include "embedding_bag_update.h"

#include <cstring>

#include "parallel.h"
#include "row_sums.h"
#include "scratch.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kUpdates = 256;  // rows that a thread updates at a time

// Everything a call needs before its parallel region: the parts, and memory for one part per worker.
class Plan {
 public:
  Plan(const Lookups& lookups, int64_t dim, int threads)
      : lookups_(lookups),
        dim_(dim),
        parts_(1, most_parts(lookups)),
        count_(plan_parts(lookups, parts_.of(0))),
        workers_(count_ < threads ? static_cast<int>(count_) : threads),
        entries_(workers_, longest() + 1),
        spare_(workers_, longest() + 1),
        samples_(workers_, lookups.weights != nullptr && lookups.offsets != nullptr ? longest() : 0),
        packed_(workers_, packs(longest()) ? lookups.batch * dim : 0),
        space_(workers_, kGroup * padded(dim)) {
    for (int w = 0; w < workers_; ++w) std::memset(space_.of(w), 0, kGroup * padded(dim) * sizeof(float));
  }

  int64_t parts() const { return count_; }
  const Part& part(int64_t index) const { return parts_.of(0)[index]; }

  // Calls work(part's index, runs, gradients, space for the gradients of a group of rows) for every part.
  template <class Work>
  void for_parts(const float* grad, int threads, const Work& work) const {
    parallel_rows(count_, 1, threads, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t p = begin; p < end; ++p) {
        const Runs runs = sort_part(lookups_, part(p), entries_.of(worker), spare_.of(worker));
        work(p, runs, gradients_of(part(p).table, runs, grad, worker), space_.of(worker));
      }
    });
  }

 private:
  int64_t longest() const {
    int64_t most = 0;
    for (int64_t t = 0; t < lookups_.tables; ++t) most = lookups_.count(t) > most ? lookups_.count(t) : most;
    return most;
  }

  // Whether the gradient of a table's samples is copied together: where it is read several times, or has to be divided.
  bool packs(int64_t lookups) const {
    return lookups_.offsets != nullptr && (lookups_.mean || lookups > 2 * lookups_.batch);
  }

  Gradients gradients_of(int64_t table, const Runs& runs, const float* grad, int worker) const {
    const int64_t stride = lookups_.tables * dim_;
    const float* const own = grad + table * dim_;
    Gradients from{own, stride, false, nullptr, lookups_.weights, 1};
    if (lookups_.offsets == nullptr) {
      if (from.weights != nullptr) from.weights += table, from.weight_stride = lookups_.tables;
      return from;
    }
    const int64_t* const offsets = lookups_.offsets + table * lookups_.batch;
    if (from.weights != nullptr) {
      uint32_t* const samples = samples_.of(worker);
      for (int64_t b = 0; b < lookups_.batch; ++b) {
        for (int64_t i = offsets[b]; i < offsets[b + 1]; ++i) samples[i - offsets[0]] = static_cast<uint32_t>(b);
      }
      from.samples = samples;
      from.weights += offsets[0];
    }
    if (!packs(runs.starts[runs.rows])) return from;
    float* const packed = packed_.of(worker);
    for (int64_t b = 0; b < lookups_.batch; ++b) {
      const int64_t size = offsets[b + 1] - offsets[b];
      if (size == 0) continue;
      float* __restrict__ const to = packed + b * dim_;
      const float* __restrict__ const sample = own + b * stride;
      if (lookups_.mean && size > 1) {
        const float divisor = static_cast<float>(size);
        for (int64_t d = 0; d < dim_; ++d) to[d] = sample[d] / divisor;
      } else {
        std::memcpy(to, sample, dim_ * sizeof(float));
      }
    }
    from.grad = packed;
    from.stride = dim_;
    from.packed = true;
    return from;
  }

  const Lookups& lookups_;
  int64_t dim_;
  Scratch<Part> parts_;
  int64_t count_;
  int workers_;
  Scratch<Entry> entries_, spare_;
  Scratch<uint32_t> samples_;
  Scratch<float> packed_, space_;
};

template <Optimizer kOptimizer>
void update(float* const* data, float* const* state, const Lookups& lookups, int64_t dim, const float* grad,
            const Step& step, int threads) {
  const Plan plan(lookups, dim, threads);
  plan.for_parts(grad, threads, [&](int64_t p, const Runs& runs, const Gradients& from, float* space) {
    float* const table = data[plan.part(p).table];
    float* const sums = kOptimizer == Optimizer::sgd ? nullptr : state[plan.part(p).table];
    const auto ahead = [&](int64_t row) __attribute__((always_inline)) {
      if (row < runs.rows) prefetch_far<kOptimizer>(table, sums, runs.id(row), dim);
    };
    for (int64_t row = 0; row < kGroup; ++row) ahead(row);
    Group group;
    for (int64_t first = 0; first < runs.rows; first += kGroup) {
      sum_group(runs, first, from, dim, space, group, ahead);
      for (int64_t r = 0; r < group.count; ++r) prefetch_near<kOptimizer>(table, sums, group.rows[r], dim);
      step_group<kOptimizer>(table, sums, group, dim, step);
    }
  });
}

template <Optimizer kOptimizer>
void step_rows(float* const* data, float* const* state, const RowGradients& gradients, int64_t tables, int64_t dim,
               const Step& step, int threads) {
  // A piece of work is up to kUpdates places of one table: first_piece tells which table a piece belongs to.
  const Scratch<int64_t> first_piece(1, tables + 1);
  const Scratch<float> groups(threads, kGroup * padded(dim));
  int64_t* const first = first_piece.of(0);
  first[0] = 0;
  for (int64_t t = 0; t < tables; ++t) first[t + 1] = first[t] + (gradients.counts[t] + kUpdates - 1) / kUpdates;
  parallel_rows(first[tables], 1, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const space = groups.of(worker);
    std::memset(space, 0, kGroup * padded(dim) * sizeof(float));
    int64_t t = 0;
    for (int64_t piece = begin; piece < end; ++piece) {
      while (piece >= first[t + 1]) ++t;
      const int64_t from = (piece - first[t]) * kUpdates;
      const int64_t to = from + kUpdates < gradients.counts[t] ? from + kUpdates : gradients.counts[t];
      const int64_t* const rows = gradients.rows + gradients.starts[t];
      float* const sums = kOptimizer == Optimizer::sgd ? nullptr : state[t];
      for (int64_t i = from; i < to; i += kGroup) {
        Group group;
        group.count = to - i < kGroup ? to - i : kGroup;
        for (int64_t r = 0; r < group.count; ++r) {
          if (i + r + kGroup < gradients.counts[t]) {
            prefetch_far<kOptimizer>(data[t], sums, rows[i + r + kGroup], dim);
          }
          group.rows[r] = rows[i + r];
          group.values[r] = gradients.values + (gradients.starts[t] + i + r) * dim;
          if (dim % kSquares == 0) continue;
          std::memcpy(space + r * padded(dim), group.values[r], dim * sizeof(float));
          group.values[r] = space + r * padded(dim);
        }
        step_group<kOptimizer>(data[t], sums, group, dim, step);
      }
    }
  });
}

double sum_of(const double* squares, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += squares[i];
  return sum;
}

}  // namespace

double embedding_bag_coalesce(const Lookups& lookups, int64_t dim, const float* grad, const RowGradients& out,
                              int threads) {
  out.starts[0] = 0;
  for (int64_t t = 0; t < lookups.tables; ++t) out.starts[t + 1] = out.starts[t] + lookups.count(t);
  const Plan plan(lookups, dim, threads);
  const Scratch<double> squares(1, plan.parts());
  const Scratch<int64_t> places(1, plan.parts());  // the first place of each part
  const Scratch<int64_t> counts(1, plan.parts());
  plan.for_parts(grad, threads, [&](int64_t p, const Runs& runs, const Gradients& from, float* space) {
    const int64_t place = out.starts[plan.part(p).table] + runs.below;
    double sums[kSquares] = {};
    Group group;
    for (int64_t first = 0; first < runs.rows; first += kGroup) {
      sum_group(runs, first, from, dim, space, group, [](int64_t) {});
      add_squares(group, dim, sums);
      for (int64_t r = 0; r < group.count; ++r) {
        out.rows[place + first + r] = group.rows[r];
        std::memcpy(out.values + (place + first + r) * dim, group.values[r], dim * sizeof(float));
      }
    }
    places.of(0)[p] = place;
    counts.of(0)[p] = runs.rows;
    squares.of(0)[p] = sum_of(sums, kSquares);
  });
  for (int64_t t = 0; t < lookups.tables; ++t) out.counts[t] = 0;
  for (int64_t p = 0; p < plan.parts(); ++p) {
    // Repeated rows leave gaps between the parts of a table: move them together.
    const int64_t table = plan.part(p).table, count = counts.of(0)[p];
    const int64_t from = places.of(0)[p], to = out.starts[table] + out.counts[table];
    if (from != to) {
      std::memmove(out.rows + to, out.rows + from, count * sizeof(int64_t));
      std::memmove(out.values + to * dim, out.values + from * dim, count * dim * sizeof(float));
    }
    out.counts[table] += count;
  }
  return sum_of(squares.of(0), plan.parts());
}

double embedding_bag_square_norm(const Lookups& lookups, int64_t dim, const float* grad, int threads) {
  const Plan plan(lookups, dim, threads);
  const Scratch<double> squares(1, plan.parts());
  plan.for_parts(grad, threads, [&](int64_t p, const Runs& runs, const Gradients& from, float* space) {
    double sums[kSquares] = {};
    Group group;
    for (int64_t first = 0; first < runs.rows; first += kGroup) {
      sum_group(runs, first, from, dim, space, group, [](int64_t) {});
      add_squares(group, dim, sums);
    }
    squares.of(0)[p] = sum_of(sums, kSquares);
  });
  return sum_of(squares.of(0), plan.parts());
}

void embedding_bag_step(float* const* data, float* const* state, const RowGradients& gradients, int64_t tables,
                        int64_t dim, const Step& step, int threads) {
  if (dim == 0) return;
  const auto chosen = step.optimizer == Optimizer::adagrad            ? step_rows<Optimizer::adagrad>
                      : step.optimizer == Optimizer::row_wise_adagrad ? step_rows<Optimizer::row_wise_adagrad>
                                                                      : step_rows<Optimizer::sgd>;
  chosen(data, state, gradients, tables, dim, step, threads);
}

void embedding_bag_update(float* const* data, float* const* state, const Lookups& lookups, int64_t dim,
                          const float* grad, const Step& step, int threads) {
  if (dim == 0) return;
  const auto chosen = step.optimizer == Optimizer::adagrad            ? update<Optimizer::adagrad>
                      : step.optimizer == Optimizer::row_wise_adagrad ? update<Optimizer::row_wise_adagrad>
                                                                      : update<Optimizer::sgd>;
  chosen(data, state, lookups, dim, grad, step, threads);
}

}  // namespace kernels::KERNEL_ISA
