#include "embedding_bag.h"

#include <cstring>

#include "parallel.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kBags = 64;      // bags of one table that a thread takes at a time
constexpr int64_t kAhead = 16;     // lookups between a prefetch and its use: hides a cache miss (measured: 1.6x)

void add_rows(const float* table, const int64_t* ids, int64_t count, int64_t remaining, int64_t dim, bool mean,
              float* out) {
  std::memcpy(out, table + ids[0] * dim, dim * sizeof(float));
  for (int64_t i = 1; i < count; ++i) {
    if (i + kAhead < remaining) __builtin_prefetch(table + ids[i + kAhead] * dim);
    const float* row = table + ids[i] * dim;
    for (int64_t d = 0; d < dim; ++d) out[d] += row[d];
  }
  if (mean && count > 1) {
    const float size = static_cast<float>(count);
    for (int64_t d = 0; d < dim; ++d) out[d] /= size;
  }
}

}  // namespace

void embedding_bag(const float* const* data, const Lookups& lookups, int64_t dim, float* out, int threads) {
  const int64_t chunks = (lookups.batch + kBags - 1) / kBags;
  parallel_rows(lookups.tables * chunks, 1, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t table = chunk / chunks;
      const int64_t from = chunk % chunks * kBags;
      const int64_t to = from + kBags < lookups.batch ? from + kBags : lookups.batch;
      const float* const rows = data[table];
      if (lookups.offsets == nullptr) {
        const int64_t* const ids = lookups.ids + table;
        for (int64_t b = from; b < to; ++b) {
          if (b + kAhead < lookups.batch) __builtin_prefetch(rows + ids[(b + kAhead) * lookups.tables] * dim);
          std::memcpy(out + (b * lookups.tables + table) * dim, rows + ids[b * lookups.tables] * dim,
                      dim * sizeof(float));
        }
        continue;
      }
      const int64_t* const offsets = lookups.offsets + table * lookups.batch;
      const int64_t last = offsets[lookups.batch];
      for (int64_t b = from; b < to; ++b) {
        float* const bag = out + (b * lookups.tables + table) * dim;
        const int64_t count = offsets[b + 1] - offsets[b];
        if (count == 0) {
          std::memset(bag, 0, dim * sizeof(float));
        } else {
          add_rows(rows, lookups.ids + offsets[b], count, last - offsets[b], dim, lookups.mean, bag);
        }
      }
    }
  });
}

}  // namespace kernels::KERNEL_ISA
