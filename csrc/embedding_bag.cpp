#include "embedding_bag.h"

#include "parallel.h"
#include "row_formats.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kBags = 64;         // bags of one table that a thread takes at a time
constexpr int64_t kLookups = 1024;    // lookups that a thread takes at a time where there is one id per table
constexpr int64_t kColumn = 2048;     // samples of one table that a thread takes at a time there, table by table
constexpr int64_t kLine = 64;         // bytes of a cache line
// Prefetches go to the second cache: the first has too few misses under way for rows that come from memory. Measured on
// Zen 4, pooling 20 of uniform ids: 1.4 to 1.6 times as fast as the first cache, and 1.6 to 2.6 times this far ahead.
constexpr int kSecondCache = 2;         // as __builtin_prefetch has it
constexpr int64_t kLinesAhead = 256;    // cache lines on their way at a time
constexpr int64_t kMostAhead = 128;     // lookups between a prefetch and its use, at most
constexpr int64_t kColumnAhead = 16;    // the same where there is one id per table
constexpr int64_t kStreamed = 4 << 20;  // bytes of a result that goes past the caches: below, who reads it next would
                                        // wait longer than was saved (measured with that reading)

// What all bags of a call have in common. Functions have a template argument kExact: rows of exactly kVectors registers,
// one after the other, that start with a cache line; scales and biases apart. Then all of that is known at compile time.
struct Bags {
  const TableRows& tables;
  const Lookups& lookups;
  float* out;
  int64_t bytes;   // of a row, with its scale and bias where they lie in it
  int64_t ahead;   // lookups between a prefetch and its use
  bool straddles;  // whether a row may begin in one cache line and end in a later one than its size needs
  bool apart;      // whether scale and bias lie in other cache lines than their row
  bool streamed;   // whether results go past the caches
  bool columns;    // whether samples with one id per table are pooled table by table
};

// A table while it is read.
struct Table {
  const char* rows;
  const char* scale_bias;

  Table(const TableRows& tables, int64_t t)
      : rows(static_cast<const char*>(tables.data[t])),
        scale_bias(tables.scale_bias == nullptr ? nullptr : static_cast<const char*>(tables.scale_bias[t])) {}
};

inline const char* place(const char* base, int64_t index, int64_t stride) {
  return reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(base) +
                                       static_cast<uintptr_t>(index) * static_cast<uintptr_t>(stride));
}

template <class Row, int kVectors>
constexpr int64_t kBytesOf = int64_t{kVectors} * kLanes * Row::kBits / 8;

template <class Row, int kVectors, bool kExact>
inline int64_t stride_of(const Bags& bags) {
  return kExact ? kBytesOf<Row, kVectors> : bags.tables.stride;
}

template <bool kExact>
inline int64_t scale_bias_stride(const Bags& bags) {
  return kExact ? 2 * static_cast<int64_t>(sizeof(float)) : bags.tables.scale_bias_stride;
}

// `id` need not be a row: a prefetch of any address is harmless. (Inlined by force: GCC 12 takes a function of nothing
// but prefetches for one without effect, and drops its calls.)
template <class Row, int kVectors, bool kExact>
[[gnu::always_inline]] inline void prefetch(const Bags& bags, const Table& table, int64_t id) {
  constexpr int64_t kBytes = kBytesOf<Row, kVectors>;
  const char* const row = place(table.rows, id, stride_of<Row, kVectors, kExact>(bags));
#pragma GCC unroll 16
  for (int64_t i = 0; i < kBytes; i += kLine) __builtin_prefetch(place(row, i, 1), 0, kSecondCache);
  if (!kExact) {
    constexpr int64_t kNext = (kBytes + kLine - 1) / kLine * kLine;
    for (int64_t i = kNext; i < bags.bytes; i += kLine) __builtin_prefetch(place(row, i, 1), 0, kSecondCache);
    if (bags.straddles) __builtin_prefetch(place(row, bags.bytes - 1, 1), 0, kSecondCache);
  }
  if (Row::kScaled && (kExact || bags.apart)) {
    __builtin_prefetch(place(table.scale_bias, id, scale_bias_stride<kExact>(bags)), 0, kSecondCache);
  }
}

// Adds up kVectors registers of columns, from `column` on, of the rows of a bag, and writes them; with kTail, the last
// `tail` columns, fewer than a register holds. With kAhead, prefetches ids[i + ahead] for i + ahead < remaining.
template <class Row, int kVectors, bool kTail, bool kWeighted, bool kExact, bool kAhead>
[[gnu::always_inline]] inline void pool_columns(const Bags& bags, const Table& table, const int64_t* ids,
                                                const float* weights, int64_t count, int64_t remaining, int64_t column,
                                                int tail, float* out) {
  Floats sum[kVectors] = {};
  float bias = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    if (kAhead && i + bags.ahead < remaining) prefetch<Row, kVectors, kExact>(bags, table, ids[i + bags.ahead]);
    const char* const row = table.rows + ids[i] * stride_of<Row, kVectors, kExact>(bags);
    float factor = kWeighted ? weights[i] : 1.0f;
    if (Row::kScaled) {
      float scale_bias[2];
      std::memcpy(scale_bias, table.scale_bias + ids[i] * scale_bias_stride<kExact>(bags), sizeof scale_bias);
      bias += kWeighted ? factor * scale_bias[1] : scale_bias[1];
      factor = kWeighted ? factor * scale_bias[0] : scale_bias[0];
    }
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const Floats value = kTail ? Row::load(row, column, tail) : Row::load(row, column + v * kLanes);
      if (Row::kScaled) {
        sum[v] = multiply_add(fill(factor), value, sum[v]);
      } else {
        sum[v] += kWeighted ? factor * value : value;
      }
    }
  }
  const bool divided = bags.lookups.mean && count > 1;
  const bool streamed = bags.streamed;
  const float divisor = static_cast<float>(count);
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    if (Row::kScaled) sum[v] += bias;
    if (divided) sum[v] /= divisor;
    if (kTail) {
      store_first(out + column, tail, sum[v]);
    } else if (streamed) {
      stream(out + column + v * kLanes, sum[v]);
    } else {
      store(out + column + v * kLanes, sum[v]);
    }
  }
}

// The columns of a bag from `column` on, fewer than a first pass takes at a time or what it left over. Never inlined:
// copies of it in every caller made this file take up to twice as long to compile.
template <class Row, int kVectors, bool kWeighted>
[[gnu::noinline]] void pool_other_columns(const Bags& bags, const Table& table, const int64_t* ids, const float* weights,
                                          int64_t count, int64_t column, float* out) {
  constexpr int64_t kColumns = kVectors * kLanes;
  const int64_t dim = bags.tables.dim;
  for (; column + kColumns <= dim; column += kColumns) {
    pool_columns<Row, kVectors, false, kWeighted, false, false>(bags, table, ids, weights, count, 0, column, 0, out);
  }
  if (kVectors > 1) {
    for (; column + kLanes <= dim; column += kLanes) {
      pool_columns<Row, 1, false, kWeighted, false, false>(bags, table, ids, weights, count, 0, column, 0, out);
    }
  }
  if (column < dim) {
    pool_columns<Row, 1, true, kWeighted, false, false>(bags, table, ids, weights, count, 0, column,
                                                        static_cast<int>(dim - column), out);
  }
}

// A bag of rows of fewer columns than a register holds.
template <class Row, bool kWeighted, bool kAhead>
[[gnu::noinline]] void pool_narrow(const Bags& bags, const Table& table, const int64_t* ids, const float* weights,
                                   int64_t count, int64_t remaining, float* out) {
  pool_columns<Row, 1, true, kWeighted, false, kAhead>(bags, table, ids, weights, count, remaining, 0,
                                                       static_cast<int>(bags.tables.dim), out);
}

// One bag. The first pass over its rows prefetches; those for further columns find them in the cache.
template <class Row, int kVectors, bool kWeighted, bool kExact, bool kAhead>
[[gnu::always_inline]] inline void pool_bag(const Bags& bags, const Table& table, const int64_t* ids,
                                            const float* weights, int64_t count, int64_t remaining, float* out) {
  constexpr int64_t kColumns = kVectors * kLanes;
  if (kVectors == 1 && !kExact && bags.tables.dim < kColumns) {
    pool_narrow<Row, kWeighted, kAhead>(bags, table, ids, weights, count, remaining, out);
    return;
  }
  pool_columns<Row, kVectors, false, kWeighted, kExact, kAhead>(bags, table, ids, weights, count, remaining, 0, 0, out);
  if (!kExact && bags.tables.dim > kColumns) {
    pool_other_columns<Row, kVectors, kWeighted>(bags, table, ids, weights, count, kColumns, out);
  }
}

// 0 <= id < rows: the sign of id | (rows - 1 - id) says no. Rows are at most 2^32, so nothing wraps unseen.
inline uint64_t outside(int64_t id, int64_t rows) {
  return static_cast<uint64_t>(id) | (static_cast<uint64_t>(rows) - 1 - static_cast<uint64_t>(id));
}

bool all_inside(const int64_t* ids, int64_t count, int64_t rows) {
  uint64_t signs = 0;
  for (int64_t i = 0; i < count; ++i) signs |= outside(ids[i], rows);
  return static_cast<int64_t>(signs) >= 0;
}

bool all_inside(const int64_t* ids, int64_t samples, int64_t tables, const int64_t* rows) {
  uint64_t signs = 0;
  for (int64_t b = 0; b < samples; ++b) {
    for (int64_t t = 0; t < tables; ++t) signs |= outside(ids[b * tables + t], rows[t]);
  }
  return static_cast<int64_t>(signs) >= 0;
}

// Bags of one table, one after the other.
template <class Row, int kVectors, bool kWeighted, bool kExact>
bool pool_bags(const Bags& bags, int64_t t, int64_t from, int64_t to) {
  const Lookups& lookups = bags.lookups;
  const int64_t* const offsets = lookups.offsets + t * lookups.batch;
  const int64_t* const ids = lookups.ids + offsets[from];
  const int64_t last = offsets[lookups.batch];
  if (!all_inside(ids, offsets[to] - offsets[from], bags.tables.counts[t])) return false;
  const Table table(bags.tables, t);
  for (int64_t i = 0; i < bags.ahead && offsets[from] + i < last; ++i) prefetch<Row, kVectors, kExact>(bags, table, ids[i]);
  for (int64_t b = from; b < to; ++b) {
    pool_bag<Row, kVectors, kWeighted, kExact, true>(bags, table, lookups.ids + offsets[b],
                                             kWeighted ? lookups.weights + offsets[b] : nullptr,
                                             offsets[b + 1] - offsets[b], last - offsets[b],
                                             bags.out + (b * lookups.tables + t) * bags.tables.dim);
  }
  return true;
}

// One id per table: sample by sample, so that ids are read and results written in the order of memory.
template <class Row, int kVectors, bool kWeighted, bool kExact>
bool pool_samples(const Bags& bags, int64_t from, int64_t to) {
  const int64_t tables = bags.lookups.tables;
  const int64_t* ids = bags.lookups.ids + from * tables;
  if (!all_inside(ids, to - from, tables, bags.tables.counts)) return false;
  const float* weights = kWeighted ? bags.lookups.weights + from * tables : nullptr;
  float* out = bags.out + from * tables * bags.tables.dim;
  for (int64_t t = 0; t < tables; ++t) prefetch<Row, kVectors, kExact>(bags, Table(bags.tables, t), ids[t]);
  for (int64_t b = from; b < to; ++b) {
    const int64_t* const next = b + 1 < to ? ids + tables : ids;
    for (int64_t t = 0; t < tables; ++t) {
      const Table table(bags.tables, t);
      prefetch<Row, kVectors, kExact>(bags, table, next[t]);
      pool_bag<Row, kVectors, kWeighted, kExact, false>(bags, table, ids + t, kWeighted ? weights + t : nullptr, 1, 0, out);
      out += bags.tables.dim;
    }
    ids += tables;
    if (kWeighted) weights += tables;
  }
  return true;
}

// One id per table, those of one table: its pages stay in the TLB, which those of all tables would not.
template <class Row, int kVectors, bool kWeighted, bool kExact>
bool pool_column(const Bags& bags, int64_t t, int64_t from, int64_t to) {
  const int64_t tables = bags.lookups.tables;
  const int64_t* const ids = bags.lookups.ids + t;
  uint64_t signs = 0;
  for (int64_t b = from; b < to; ++b) signs |= outside(ids[b * tables], bags.tables.counts[t]);
  if (static_cast<int64_t>(signs) < 0) return false;
  const Table table(bags.tables, t);
  const int64_t ahead = bags.ahead < kColumnAhead ? bags.ahead : kColumnAhead;
  for (int64_t b = from; b < from + ahead && b < to; ++b) {
    prefetch<Row, kVectors, kExact>(bags, table, ids[b * tables]);
  }
  for (int64_t b = from; b < to; ++b) {
    if (b + ahead < to) prefetch<Row, kVectors, kExact>(bags, table, ids[(b + ahead) * tables]);
    const float* const weights = kWeighted ? bags.lookups.weights + b * tables + t : nullptr;
    float* const out = bags.out + (b * tables + t) * bags.tables.dim;
    pool_bag<Row, kVectors, kWeighted, kExact, false>(bags, table, ids + b * tables, weights, 1, 0, out);
  }
  return true;
}

template <class Row, int kVectors, bool kWeighted, bool kExact>
bool pool_all(const Bags& bags, int threads) {
  const Lookups& lookups = bags.lookups;
  const bool by_sample = lookups.offsets == nullptr && !bags.columns;
  const int64_t samples = bags.columns ? kColumn : !by_sample ? kBags
                          : lookups.tables < kLookups ? kLookups / lookups.tables : 1;
  const int64_t chunks = (lookups.batch + samples - 1) / samples;
  bool good = true;
  parallel_rows(by_sample ? chunks : lookups.tables * chunks, 1, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t from = chunk % chunks * samples;
      const int64_t to = from + samples < lookups.batch ? from + samples : lookups.batch;
      const bool done = by_sample ? pool_samples<Row, kVectors, kWeighted, kExact>(bags, from, to)
                        : bags.columns ? pool_column<Row, kVectors, kWeighted, kExact>(bags, chunk / chunks, from, to)
                                       : pool_bags<Row, kVectors, kWeighted, kExact>(bags, chunk / chunks, from, to);
      if (!done) __atomic_store_n(&good, false, __ATOMIC_RELAXED);
    }
    if (bags.streamed) end_streams();
  });
  return good;
}

template <class Row, int kVectors>
bool by_kind(const Bags& bags, int threads) {
  const TableRows& tables = bags.tables;
  const bool exact = tables.dim == kVectors * kLanes && tables.stride == kBytesOf<Row, kVectors> && !bags.straddles &&
                     (!Row::kScaled || (bags.apart && tables.scale_bias_stride == scale_bias_stride<true>(bags)));
  if (bags.lookups.weights != nullptr) return pool_all<Row, kVectors, true, false>(bags, threads);
  return exact ? pool_all<Row, kVectors, false, true>(bags, threads)
               : pool_all<Row, kVectors, false, false>(bags, threads);
}

// Which cache lines a row needs.
template <class Row>
void describe_rows(Bags& bags) {
  const TableRows& tables = bags.tables;
  const bool aligned = tables.stride % kLine == 0 || (tables.stride > 0 && kLine % tables.stride == 0);
  bags.straddles = !aligned;
  bags.bytes = (tables.dim * Row::kBits + 7) / 8;
  for (int64_t t = 0; t < bags.lookups.tables; ++t) {
    const uintptr_t rows = reinterpret_cast<uintptr_t>(tables.data[t]);
    bags.straddles = bags.straddles || rows % kLine != 0;
    if (!Row::kScaled) continue;
    const uintptr_t scale_bias = reinterpret_cast<uintptr_t>(tables.scale_bias[t]);
    if (scale_bias < rows || scale_bias >= rows + tables.stride) bags.apart = true;
  }
  if (Row::kScaled && !bags.apart) bags.bytes = tables.stride;
  const int64_t lines = (bags.bytes + kLine - 1) / kLine + bags.apart;
  bags.ahead = lines > kLinesAhead ? 1 : kLinesAhead / (lines > 0 ? lines : 1);
  if (bags.ahead > kMostAhead) bags.ahead = kMostAhead;
}

template <class Row>
bool by_size(Bags bags, int threads) {
  describe_rows<Row>(bags);
  const int64_t vectors = bags.tables.dim / kLanes;
  if constexpr (kLanes == 8 && Row::kBits == 32) {  // adds from memory: AVX2's 16 registers can all be sums
    if (vectors >= 16) return by_kind<Row, 16>(bags, threads);
  }
  return vectors >= 8   ? by_kind<Row, 8>(bags, threads)
         : vectors >= 4 ? by_kind<Row, 4>(bags, threads)
         : vectors >= 2 ? by_kind<Row, 2>(bags, threads)
                        : by_kind<Row, 1>(bags, threads);
}

}  // namespace

bool embedding_bag(const TableRows& tables, const Lookups& lookups, float* out, int threads) {
  if (tables.dim == 0) return ids_in_range(lookups, tables.counts);  // a register would be read from rows of no bytes
  const int64_t row = tables.dim * static_cast<int64_t>(sizeof(float));
  const bool aligned = reinterpret_cast<uintptr_t>(out) % sizeof(Floats) == 0 && row % sizeof(Floats) == 0;
  const bool streamed = aligned && lookups.tables * lookups.batch * row > kStreamed;
  // Table by table, results are written at a distance: whole cache lines, and one that the second cache can wait for.
  const bool columns = lookups.offsets == nullptr && row % kLine == 0 && (streamed || row == kLine);
  const Bags bags{tables, lookups, out, 0, 0, false, false, streamed, columns};
  switch (tables.format) {
    case RowFormat::float32: return by_size<Float32Row>(bags, threads);
    case RowFormat::float16: return by_size<Float16Row>(bags, threads);
    case RowFormat::bfloat16: return by_size<BFloat16Row>(bags, threads);
    case RowFormat::int8: return by_size<Int8Row>(bags, threads);
    default: return by_size<Int4Row>(bags, threads);
  }
}

bool ids_in_range(const Lookups& lookups, const int64_t* rows) {
  if (lookups.offsets == nullptr) return all_inside(lookups.ids, lookups.batch, lookups.tables, rows);
  for (int64_t t = 0; t < lookups.tables; ++t) {
    if (!all_inside(lookups.ids + lookups.offsets[t * lookups.batch], lookups.count(t), rows[t])) return false;
  }
  return true;
}

bool offsets_rise(const int64_t* offsets, int64_t bags, int64_t ids) {
  // Where no number and no difference is negative, no difference has wrapped.
  uint64_t signs = static_cast<uint64_t>(offsets[0]);
  for (int64_t i = 1; i <= bags; ++i) {
    const uint64_t rise = static_cast<uint64_t>(offsets[i]) - static_cast<uint64_t>(offsets[i - 1]);
    signs |= static_cast<uint64_t>(offsets[i]) | rise;
  }
  return static_cast<int64_t>(signs) >= 0 && offsets[0] == 0 && offsets[bags] == ids;
}

}  // namespace kernels::KERNEL_ISA
