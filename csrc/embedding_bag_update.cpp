#include "embedding_bag_update.h"

#include <cmath>
#include <cstring>

#include "parallel.h"
#include "scratch.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kLanes = 8;      // independent float64 sums of squares
constexpr int64_t kUpdates = 256;  // rows that a thread updates at a time

// A lookup while it is sorted: the id in the upper half, the sample it belongs to in the lower.
using Entry = uint64_t;
constexpr int64_t id_of(Entry entry) { return static_cast<int64_t>(entry >> 32); }
constexpr int64_t sample_of(Entry entry) { return static_cast<int64_t>(entry & 0xffffffffu); }

// Sorts by id; equal ids keep their order. Returns the array (one of the two) that holds the result.
Entry* sort_by_id(Entry* entries, Entry* spare, int64_t count, uint64_t largest_id) {
  constexpr int kMaxDigit = 11;
  const int digit = count < 4096 ? 8 : kMaxDigit;  // a histogram no larger than what it counts
  uint32_t place[1 << kMaxDigit];
  for (int shift = 32; (largest_id >> (shift - 32)) != 0; shift += digit) {
    const Entry mask = (Entry{1} << digit) - 1;
    std::memset(place, 0, sizeof(uint32_t) << digit);
    for (int64_t i = 0; i < count; ++i) ++place[(entries[i] >> shift) & mask];
    uint32_t sum = 0;
    for (int64_t value = 0; value <= static_cast<int64_t>(mask); ++value) {
      const uint32_t here = place[value];
      place[value] = sum;
      sum += here;
    }
    for (int64_t i = 0; i < count; ++i) spare[place[(entries[i] >> shift) & mask]++] = entries[i];
    Entry* const sorted = spare;
    spare = entries;
    entries = sorted;
    if (shift + digit >= 64) break;
  }
  return entries;
}

uint64_t list_lookups(const Lookups& lookups, int64_t table, Entry* entries) {
  uint64_t largest = 0;
  int64_t count = 0;
  for (int64_t b = 0; b < lookups.batch; ++b) {
    const int64_t bag = table * lookups.batch + b;
    const int64_t begin = lookups.offsets == nullptr ? b * lookups.tables + table : lookups.offsets[bag];
    const int64_t end = lookups.offsets == nullptr ? begin + 1 : lookups.offsets[bag + 1];
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t id = static_cast<uint64_t>(lookups.ids[i]);
      largest = id > largest ? id : largest;
      entries[count++] = (id << 32) | static_cast<Entry>(b);
    }
  }
  return largest;
}

// Lane l adds up the squares of values l, l + kLanes, ...: independent sums, in an order that no machine changes.
void add_squares(const float* value, int64_t dim, double* squares) {
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) squares[l] += static_cast<double>(value[d + l]) * value[d + l];
  }
  for (int64_t l = 0; d + l < dim; ++l) squares[l] += static_cast<double>(value[d + l]) * value[d + l];
}

double coalesce_table(const Lookups& lookups, int64_t table, int64_t dim, const float* grad, const RowGradients& out,
                      Entry* entries, Entry* spare) {
  const int64_t count = lookups.count(table);
  const int64_t first = out.starts[table];
  const Entry* sorted = sort_by_id(entries, spare, count, list_lookups(lookups, table, entries));
  int64_t unique = 0;
  double squares[kLanes] = {};
  for (int64_t i = 0; i < count; ++unique) {
    const int64_t id = id_of(sorted[i]);
    float* const value = out.values + (first + unique) * dim;
    out.rows[first + unique] = id;
    std::memset(value, 0, dim * sizeof(float));
    for (; i < count && id_of(sorted[i]) == id; ++i) {
      const int64_t b = sample_of(sorted[i]);
      const float* const from = grad + (b * lookups.tables + table) * dim;
      const int64_t bag = table * lookups.batch + b;
      const int64_t size =
          lookups.mean && lookups.offsets != nullptr ? lookups.offsets[bag + 1] - lookups.offsets[bag] : 1;
      if (size == 1) {
        for (int64_t d = 0; d < dim; ++d) value[d] += from[d];
      } else {
        const float divisor = static_cast<float>(size);
        for (int64_t d = 0; d < dim; ++d) value[d] += from[d] / divisor;
      }
    }
    add_squares(value, dim, squares);
  }
  out.counts[table] = unique;
  double sum = 0.0;
  for (const double lane : squares) sum += lane;
  return sum;
}

}  // namespace

double embedding_bag_coalesce(const Lookups& lookups, int64_t dim, const float* grad, const RowGradients& out,
                              int threads) {
  const int64_t total = lookups.total();
  const Scratch<Entry> entries(1, total);
  const Scratch<Entry> spare(1, total);
  const Scratch<double> squares(1, lookups.tables);
  out.starts[0] = 0;
  for (int64_t t = 0; t < lookups.tables; ++t) out.starts[t + 1] = out.starts[t] + lookups.count(t);
  parallel_rows(lookups.tables, 1, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      squares.of(0)[t] = coalesce_table(lookups, t, dim, grad, out, entries.of(0) + out.starts[t],
                                        spare.of(0) + out.starts[t]);
    }
  });
  double sum = 0.0;
  for (int64_t t = 0; t < lookups.tables; ++t) sum += squares.of(0)[t];
  return sum;
}

void embedding_bag_adagrad(float* const* data, float* const* state, const RowGradients& gradients, int64_t tables,
                           int64_t dim, float lr, float eps, float scale, int threads) {
  // A piece of work is up to kUpdates places of one table: first_piece tells which table a piece belongs to.
  const Scratch<int64_t> first_piece(1, tables + 1);
  int64_t* const first = first_piece.of(0);
  first[0] = 0;
  for (int64_t t = 0; t < tables; ++t) first[t + 1] = first[t] + (gradients.counts[t] + kUpdates - 1) / kUpdates;
  parallel_rows(first[tables], 1, threads, [&](int64_t begin, int64_t end, int) {
    int64_t t = 0;
    for (int64_t piece = begin; piece < end; ++piece) {
      while (piece >= first[t + 1]) ++t;
      const int64_t from = (piece - first[t]) * kUpdates;
      const int64_t to = from + kUpdates < gradients.counts[t] ? from + kUpdates : gradients.counts[t];
      const int64_t* const rows = gradients.rows + gradients.starts[t];
      const float* const values = gradients.values + gradients.starts[t] * dim;
      for (int64_t i = from; i < to; ++i) {
        if (i + 8 < to) {
          __builtin_prefetch(data[t] + rows[i + 8] * dim, 1);
          __builtin_prefetch(state[t] + rows[i + 8] * dim, 1);
        }
        float* __restrict__ const row = data[t] + rows[i] * dim;
        float* __restrict__ const sum = state[t] + rows[i] * dim;
        const float* __restrict__ const gradient = values + i * dim;
        for (int64_t d = 0; d < dim; ++d) {
          const float g = scale * gradient[d];
          sum[d] += g * g;
          row[d] += -lr * g / (std::sqrt(sum[d]) + eps);
        }
      }
    }
  });
}

}  // namespace kernels::KERNEL_ISA
