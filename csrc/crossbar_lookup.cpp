#include "crossbar_lookup.h"

#include "bytes.h"
#include "crossbar_inputs.h"
#include "crossbar_noise.h"
#include "crossbar_shift_add.h"
#include "crossbar_sums.h"
#include "parallel.h"
#include "scratch.h"

// 64 vectors are a chunk, counted from vector number 0; a register holds `kParts` parts of it one after the other. The
// sums of 8 phases (4 where there are 16 registers) and of two lines stay in registers while a block's tables pass by;
// the input bits of a chunk and block (16 KB for 128 rows and 8 phases) stay in the first-level cache.

namespace kernels::KERNEL_ISA {
namespace {

// Two words of the generator for the vectors of a part: csrc/crossbar_noise.h.
struct Draws {
  explicit Draws(const ConverterNoise& noise) {
    factor = all_shorts(noise.factor);
    half = all_shorts(noise.half);
    shift = noise.shift;
    for (int t = 0; t < 4; ++t) tables[t] = spread(reinterpret_cast<const uint8_t*>(kNoiseTables[t]));
  }
  void add(UnsignedInts counts, uint64_t key, Shorts* low, Shorts* high) const {
    UnsignedInts first, second;
    noise_words<UnsignedInts>(counts, static_cast<uint32_t>(key) + UnsignedInts{},
                              static_cast<uint32_t>(key >> 32) + UnsignedInts{}, &first, &second);
    const Bytes nibble = all_bytes(15);
    const Bytes a = (Bytes)first, b = (Bytes)second;
    const Bytes sum = look_up(tables[0], a & nibble) + look_up(tables[1], (Bytes)((UnsignedShorts)first >> 4) & nibble) +
                      look_up(tables[2], b & nibble) + look_up(tables[3], (Bytes)((UnsignedShorts)second >> 4) & nibble);
    *low = add_clipped(*low, (high_product((Shorts)interleave_low(a, sum), factor) + half) >> shift);
    *high = add_clipped(*high, (high_product((Shorts)interleave_high(a, sum), factor) + half) >> shift);
  }
  Shorts factor, half;
  int shift;
  Bytes tables[4];
};

// Column sums to codes, one phase after the other: lower bytes to `codes`, and upper bytes to `upper` where top > 255.
template <int Planes, bool Noisy>
inline void convert(const Job& job, const Draws& draws, const UnsignedInts& counts, uint64_t key, const uint8_t* sums,
                    uint8_t* codes, uint8_t* upper) {
  const Rounding& rounding = job.rounding;
  const Shorts bias = all_shorts(rounding.bias), top = all_shorts(rounding.top);
  const UnsignedShorts factor = (UnsignedShorts)all_shorts(rounding.factor);
  for (int p = 0; p < job.phases.total(); ++p) {
    Shorts low, high;
    if constexpr (Planes == 0) {
      const Bytes sum = load_as<Bytes>(sums + p * kBytes);
      low = (Shorts)interleave_low(sum, Bytes{});
      high = (Shorts)interleave_high(sum, Bytes{});
    } else {
      low = load_as<Shorts>(sums + p * 2 * kBytes);
      high = load_as<Shorts>(sums + (p * 2 + 1) * kBytes);
    }
    if constexpr (Noisy) draws.add(counts + static_cast<uint32_t>(p) * kPhaseStep, key, &low, &high);
    if (!(rounding.unit && rounding.bias == 0)) {
      low = larger(add_clipped(low, bias), Shorts{});
      high = larger(add_clipped(high, bias), Shorts{});
      if (!rounding.unit) {
        low = (Shorts)(high_product((UnsignedShorts)low, factor) >> rounding.shift);
        high = (Shorts)(high_product((UnsignedShorts)high, factor) >> rounding.shift);
      }
    }
    if (rounding.top <= 255) {
      store_as(codes + p * kBytes, narrow(low, high));
    } else {
      low = smaller(larger(low, Shorts{}), top);
      high = smaller(larger(high, Shorts{}), top);
      store_as(codes + p * kBytes, narrow(low & 255, high & 255));
      store_as(upper + p * kBytes, narrow(low >> 8, high >> 8));
    }
  }
}

// What a worker needs in passing.
struct Memory {
  uint8_t* octets;
  uint8_t* index;      // as slice_codes fills it
  int32_t* code_sums;
  uint8_t* sums;       // of a block and column: [slices]; then codes of one slice, lower and upper bytes
  int32_t* results;    // [kTile][kChunk] at position_of: sums of codes, shifted
};

template <int Planes, bool Convert, bool Noisy>
void run_tile(const Job& job, const Draws& draws, int64_t chunk, int parts_from, int parts_to, int64_t column,
              int64_t columns, const Memory& memory) {
  const CrossbarTables& cells = job.cells;
  const int64_t total = job.phases.total();
  const int64_t sums_bytes = total * kBytes * (Planes == 0 ? 1 : 2);  // of a slice
  uint8_t* const codes = memory.sums + cells.slices * sums_bytes;
  uint8_t* const upper = codes + total * kBytes;
  const Bytes top = all_bytes(job.rounding.top < 255 ? job.rounding.top : 255);
  std::memset(memory.results, 0, columns * kChunk * sizeof(int32_t));
  for (int64_t k = 0; k < cells.blocks(); ++k) {
    for (int64_t n = column; n < column + columns; ++n) {
      const int64_t group = n / kColumns * cells.blocks() + k;
      const int64_t first_table = (group * kColumns + n % kColumns) * cells.slices * job.steps;
      const int64_t* const signs = cells.signs + group * cells.slices * kColumns + n % kColumns;
      for (int part = parts_from; part < parts_to; ++part) {
        const int64_t first = part * kBytes;
        int32_t* const to = memory.results + (n - column) * kChunk + first;
        const uint8_t* const index = memory.index + (k * kParts + part) * job.part_bytes();
        if (cells.listed > 0 && cells.index_bits == 4) {
          const ListedTables<Planes, 4> tables{cells.tables, cells.numbers + first_table, job.steps, cells.listed};
          sum_block<Planes>(job, tables, index, memory.sums);
#if defined(KERNELS_TABLES_OF_64)
        } else if (cells.listed > 0) {
          const ListedTables<Planes, 6> tables{cells.tables, cells.numbers + first_table, job.steps, cells.listed};
          sum_block<Planes>(job, tables, index, memory.sums);
#endif
        } else {
          const OwnTables tables{cells.tables + first_table * cells.planes * 16, job.steps};
          sum_block<Planes>(job, tables, index, memory.sums);
        }
        UnsignedInts counts = {};
        if constexpr (Noisy) {
          for (int i = 0; i < kBytes / 4; ++i) counts[i] = noise_count(chunk * kChunk + first + 4 * i, 0);
        }
        Ints results[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) results[i] = load_as<Ints>(to + i * (kBytes / 4));
        for (int64_t s = 0; s < cells.slices; ++s) {
          const int32_t sign = static_cast<int32_t>(signs[s * kColumns]);
          const uint8_t* const sums = memory.sums + s * sums_bytes;
          if constexpr (Convert) {
            const uint64_t key = Noisy ? noise_key<uint64_t>(job.noise.seed, k, cells.slices, s, n) : 0;
            convert<Planes, Noisy>(job, draws, counts, key, sums, codes, upper);
            shift_add(job.phases, codes, top, cells.shifts[s], sign, results);
            if (job.rounding.top > 255) {
              const Bytes all = all_bytes(255);
              shift_add(job.phases, upper, all, cells.shifts[s] + 8, sign, results);
            }
          } else if (s + 1 < cells.slices && signs[(s + 1) * kColumns] == sign &&
                     shift_add_two(job.phases, sums, job.rounding.top, cells.shifts + s, sign, results)) {
            ++s;
          } else {
            shift_add(job.phases, sums, top, cells.shifts[s], sign, results);
          }
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) store_as(to + i * (kBytes / 4), results[i]);
      }
    }
  }
}

// Step, offset and what is added digitally; then [columns][vectors] becomes [vectors][columns].
void write_tile(const Job& job, int64_t from, int64_t to, int64_t column, int64_t columns, const Memory& memory,
                int64_t* out) {
  const CrossbarTables& cells = job.cells;
  int64_t weight = job.phases.sign ? -(int64_t{1} << job.phases.low_bits) : 0;
  for (int p = 0; p < job.phases.count; ++p) weight += int64_t{1} << (p * job.phases.dac_bits);
  int64_t totals[kTile][kChunk];
  int32_t digital[kChunk];
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t n = column + c;
    int64_t constant = 0;
    const auto gain_of = [&](int64_t at, int64_t k) {
      return static_cast<int32_t>(cells.gains[(at / kColumns * cells.blocks() + k) * kColumns + at % kColumns]);
    };
    bool as_before = c > 0;  // gains are seldom different from column to column
    for (int64_t k = 0; as_before && k < cells.blocks(); ++k) as_before = gain_of(n, k) == gain_of(n - 1, k);
    if (!as_before) std::memset(digital, 0, sizeof digital);
    for (int64_t k = 0; k < cells.blocks(); ++k) {
      const int64_t group = n / kColumns * cells.blocks() + k;
      const int32_t gain = gain_of(n, k);
      for (int64_t v = 0; !as_before && v < kChunk; ++v) digital[v] += gain * memory.code_sums[k * kChunk + v];
      for (int64_t s = 0; job.converter.offset != 0 && s < cells.slices; ++s) {
        const int64_t sign = cells.signs[(group * cells.slices + s) * kColumns + n % kColumns];
        constant += (((job.converter.offset * weight) ^ sign) - sign) * (int64_t{1} << cells.shifts[s]);
      }
    }
    const int32_t* const results = memory.results + c * kChunk;
    for (int64_t v = 0; v < kChunk; ++v) totals[c][v] = results[v] * job.converter.step + digital[v] + constant;
  }
  for (int64_t v = from; v < to; ++v) {
    const int64_t place = position_of(v);
    int64_t* const to_row = out + (v - from) * cells.outputs + column;
    for (int64_t c = 0; c < columns; ++c) to_row[c] = totals[c][place];
  }
}

template <int Planes, bool Convert, bool Noisy>
void run(const Job& job) {
  const CrossbarTables& cells = job.cells;
  const int64_t total = job.phases.total();
  const Draws draws(job.noise);
  const Scratch<uint8_t> octets(job.threads, 3 * Octets::room(cells));
  const Scratch<uint8_t> index(job.threads, cells.blocks() * kParts * job.part_bytes());
  const Scratch<int32_t> code_sums(job.threads, cells.blocks() * kChunk);
  const Scratch<uint8_t> sums(job.threads, (cells.slices * 2 + 2) * total * kBytes);
  const Scratch<int32_t> results(job.threads, kTile * kChunk);
  // Few vectors: the columns are shared out as well. The results don't depend on how.
  const int64_t first_chunk = job.noise.first_vector / kChunk, start = job.noise.first_vector % kChunk;
  const int64_t chunks = job.vectors == 0 ? 0 : (start + job.vectors + kChunk - 1) / kChunk;
  const int64_t shares = chunks == 0 || chunks >= job.threads ? 1 : (job.threads + chunks - 1) / chunks;
  const int64_t tiles = (cells.outputs + kTile - 1) / kTile;
  parallel_rows(chunks * shares, 1, job.threads, [&](int64_t begin, int64_t end, int worker) {
    const Memory memory{octets.of(worker), index.of(worker), code_sums.of(worker), sums.of(worker), results.of(worker)};
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t chunk = piece / shares;
      const int64_t from = chunk == 0 ? start : 0;
      const int64_t left = start + job.vectors - chunk * kChunk, to = left < kChunk ? left : kChunk;
      const int64_t vector = chunk * kChunk + from - start;
      const auto slice = cells.dac_bits == 1 ? slice_codes<1> : cells.dac_bits == 2 ? slice_codes<2> : slice_codes<4>;
      slice(job, job.codes + vector * cells.inputs, from, to, Octets(memory.octets, cells), memory.index,
            memory.code_sums);
      const int64_t last = (piece % shares + 1) * tiles / shares;
      for (int64_t tile = piece % shares * tiles / shares; tile < last; ++tile) {
        const int64_t column = tile * kTile;
        const int64_t columns = cells.outputs - column < kTile ? cells.outputs - column : kTile;
        run_tile<Planes, Convert, Noisy>(job, draws, first_chunk + chunk, static_cast<int>(from / kBytes),
                                         static_cast<int>((to + kBytes - 1) / kBytes), column, columns, memory);
        write_tile(job, from, to, column, columns, memory, job.out + vector * cells.outputs);
      }
    }
  });
}

template <int Planes>
void run_noisy(const Job& job) {
  if (job.noise.on) return run<Planes, true, true>(job);
  if (Planes == 0 && job.rounding.unit && job.rounding.bias == 0 && job.rounding.top <= 255) {
    return run<Planes, Planes != 0, false>(job);
  }
  return run<Planes, true, false>(job);
}

}  // namespace

void crossbar_lookup(const CrossbarTables& cells, const Converter& converter, const ConverterNoise& noise,
                     const uint16_t* codes, int64_t vectors, int input_bits, bool signed_inputs, int64_t* out,
                     int threads) {
  const Job job{cells, converter, noise, codes, vectors, {input_bits, signed_inputs, cells.dac_bits}, out, threads,
                Rounding(converter), cells.steps()};
  if (cells.saturate) return run_noisy<0>(job);
  if (cells.planes == 2) return run_noisy<2>(job);
  run_noisy<1>(job);
}

int lookup_index_bits() {
#if defined(KERNELS_TABLES_OF_64)
  return 6;
#else
  return 4;
#endif
}

}  // namespace kernels::KERNEL_ISA
