// Column sums of crossbar_lookup: tables looked up, and added in bytes.
#pragma once

#include <cstdint>

#include "bytes.h"
#include "crossbar_inputs.h"

namespace kernels::KERNEL_ISA {
namespace {

// The tables of a block and column, line by line.
struct OwnTables {
  static constexpr int kIndexBits = 4;
  const uint8_t* tables;
  int64_t steps;
  const uint8_t* at(int line, int64_t step) const { return tables + (line * steps + step) * 16; }
};

template <int Planes, int IndexBits>
struct ListedTables {
  static constexpr int kIndexBits = IndexBits;
  const uint8_t* tables;
  const uint16_t* numbers;
  int64_t steps, listed;
  const uint8_t* at(int line, int64_t step) const {
    const uint8_t* const plane = Planes == 2 ? tables + ((line % 2 * listed) << IndexBits) : tables;
    const int64_t number = numbers[(Planes == 2 ? line / 2 : line) * steps + step];
    return plane + (IndexBits == 4 ? number : (number & (listed - 1)) << IndexBits);
  }
};

template <int IndexBits>
inline Bytes load_table(const uint8_t* table) {
  if constexpr (IndexBits == 6) return load_as<Bytes>(table);
  return spread(table);
}

template <int IndexBits>
inline Bytes entries(Bytes table, Bytes index) {
#if defined(KERNELS_TABLES_OF_64)
  if constexpr (IndexBits == 6) return look_up_64(table, index);
#endif
  return look_up(table, index);
}

// Adds the look-ups of steps from..to to P phases of Q lines from `line` on. Saturating addition has half the
// throughput of the other on many a machine.
template <int P, int Q, bool Saturate, class Tables>
inline void add_tables(const Tables& tables, int line, const uint8_t* index, int64_t stride, int64_t from, int64_t to,
                       Bytes (&sums)[Q][P]) {
  for (int64_t s = from; s < to; ++s) {
    Bytes table[Q];
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) table[q] = load_table<Tables::kIndexBits>(tables.at(line + q, s));
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      Bytes place = load_as<Bytes>(index + s * stride + p * kBytes);
      if (kPhases == 8) keep(place);  // registers to spare
#pragma GCC unroll 2
      for (int q = 0; q < Q; ++q) {
        const Bytes entry = entries<Tables::kIndexBits>(table[q], place);
        sums[q][p] = Saturate ? add_clipped(sums[q][p], entry) : sums[q][p] + entry;
      }
    }
  }
}

// Column sums of one block, [slices][phases] bytes, or [slices][phases][2] 16-bit numbers in interleaved order.
template <int Planes, int P, int Q, class Tables>
inline void sum_tile(const Job& job, const Tables& tables, const uint8_t* index, int line, int phase, uint8_t* sums) {
  const int64_t total = job.phases.total(), stride = total * kBytes, steps = job.steps;
  index += phase * kBytes;
  if constexpr (Planes == 0) {
    Bytes part[Q][P] = {};
    const int64_t exact = job.cells.run < steps ? job.cells.run : steps;
    add_tables<P, Q, false>(tables, line, index, stride, 0, exact, part);
    add_tables<P, Q, true>(tables, line, index, stride, exact, steps, part);
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) store_as(sums + ((line + q) * total + phase + p) * kBytes, part[q][p]);
    }
    return;
  }
  for (int64_t s = 0; s < steps; s += job.cells.run) {
    Bytes part[Q][P] = {};
    add_tables<P, Q, false>(tables, line, index, stride, s, steps - s < job.cells.run ? steps : s + job.cells.run, part);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
      for (int q = 0; q < (Planes == 2 ? 1 : Q); ++q) {
        uint8_t* const to = sums + (((Planes == 2 ? line / 2 : line) + q) * total + phase + p) * 2 * kBytes;
        Shorts low, high;
        if constexpr (Planes == 2) {
          const int weights = 1 | (256 << job.cells.low_bits);
          low = add_pairs(interleave_low(part[0][p], part[1][p]), weights);
          high = add_pairs(interleave_high(part[0][p], part[1][p]), weights);
        } else {
          low = (Shorts)interleave_low(part[q][p], Bytes{});
          high = (Shorts)interleave_high(part[q][p], Bytes{});
        }
        store_as(to, s == 0 ? low : load_as<Shorts>(to) + low);
        store_as(to + kBytes, s == 0 ? high : load_as<Shorts>(to + kBytes) + high);
      }
    }
  }
}

template <int Planes, int Q, class Tables>
inline void sum_lines(const Job& job, const Tables& tables, const uint8_t* index, int line, uint8_t* sums) {
  const int total = job.phases.total();
  int p = 0;
  for (; p + kPhases <= total; p += kPhases) sum_tile<Planes, kPhases, Q>(job, tables, index, line, p, sums);
  if (kPhases > 4 && p + 4 <= total) {
    sum_tile<Planes, 4, Q>(job, tables, index, line, p, sums);
    p += 4;
  }
  if (p + 2 <= total) {
    sum_tile<Planes, 2, Q>(job, tables, index, line, p, sums);
    p += 2;
  }
  if (p < total) sum_tile<Planes, 1, Q>(job, tables, index, line, p, sums);
}

template <int Planes, class Tables>
inline void sum_block(const Job& job, const Tables& tables, const uint8_t* index, uint8_t* sums) {
  const int lines = static_cast<int>(job.cells.slices * job.cells.planes);
  int line = 0;
  for (; line + kLines <= lines; line += kLines) sum_lines<Planes, kLines>(job, tables, index, line, sums);
  if constexpr (Planes != 2) {
    if (line < lines) sum_lines<Planes, 1>(job, tables, index, line, sums);
  }
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
