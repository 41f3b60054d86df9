#include "crossbar_lookup.h"

#include "bytes.h"
#include "crossbar_noise.h"
#include "parallel.h"
#include "scratch.h"
#include "words.h"

// 64 vectors are a chunk, counted from vector number 0; a register holds `kParts` parts of it one after the other. The
// sums of 8 phases (4 where there are 16 registers) and of two lines stay in registers while a block's tables pass by;
// the input bits of a chunk and block (16 KB for 128 rows and 8 phases) stay in the first-level cache.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kChunk = 64;
constexpr int kParts = kChunk / kBytes;
constexpr int kLines = 2;
#if defined(__AVX512BW__)
constexpr int kPhases = 8;
#else
constexpr int kPhases = 4;
#endif
constexpr int64_t kColumns = 8;
constexpr int64_t kTile = 16;  // columns whose results of a chunk are kept at a time
constexpr int kMostPhases = 17;

// Where vector v of a chunk lies among 32-bit results, which interleaving twice has put in this order.
inline int64_t position_of(int64_t v) {
  const int64_t lane = v % kBytes;
  return v - lane + lane % 16 / 4 * (kBytes / 4) + lane / 16 * 4 + lane % 4;
}

// (t * factor) >> 16 >> shift = floor(t / step) for 0 <= t < 2^15: csrc/crossbar_mac.cpp, Division, in 16 bits.
struct Rounding {
  explicit Rounding(const Converter& converter) {
    const int64_t divisor = converter.divisor();
    unit = divisor == 1;
    bias = static_cast<int>(converter.bias());
    top = static_cast<int>(converter.top < 32767 ? converter.top : 32767);
    while ((2 << shift) < divisor) ++shift;
    factor = static_cast<int>(((int64_t{65536} << shift) + divisor - 1) / divisor);
  }
  bool unit;
  int shift = 0, bias, top, factor;
};

struct Job {
  const CrossbarTables& cells;
  const Converter& converter;
  const ConverterNoise& noise;
  const uint16_t* codes;
  int64_t vectors;
  InputPhases phases;
  int64_t* out;
  int threads;
  Rounding rounding;
  int64_t steps;
  int64_t part_bytes() const { return steps * phases.total() * kBytes; }
};

// Bytes of one vector's codes in a block: bits 0 to 7, bits 8 to 15 and the sign, and what is read beyond the last row.
struct Octets {
  static int64_t room(const CrossbarTables& cells) { return cells.steps() * cells.step_rows() + 8; }
  Octets(uint8_t* memory, const CrossbarTables& cells) : low(memory), high(low + room(cells)), sign(high + room(cells)) {
    std::memset(memory, 0, 3 * room(cells));
  }
  void fill(const uint16_t* codes, int64_t height, int64_t room, const InputPhases& phases) {
    const int mask = (1 << phases.low_bits) - 1;
    for (int64_t r = 0; r < height; ++r) low[r] = static_cast<uint8_t>(codes[r] & mask);
    std::memset(low + height, 0, room - height);
    if (phases.low_bits > 8) {
      for (int64_t r = 0; r < height; ++r) high[r] = static_cast<uint8_t>((codes[r] & mask) >> 8);
      std::memset(high + height, 0, room - height);
    }
    if (phases.sign) {
      for (int64_t r = 0; r < height; ++r) sign[r] = static_cast<uint8_t>((codes[r] >> phases.low_bits) & 1);
      std::memset(sign + height, 0, room - height);
    }
  }
  uint8_t *low, *high, *sign;
};

// The index bits of each step and phase, [blocks][parts][steps][phases][kBytes], and the sums of the blocks' codes,
// [blocks][kChunk], of vectors that are numbered from..to in their chunk and start at `codes`.
void slice_codes(const Job& job, const uint16_t* codes, int64_t from, int64_t to, Octets octets, uint8_t* index,
                 int32_t* sums) {
  const CrossbarTables& cells = job.cells;
  const InputPhases& phases = job.phases;
  const int64_t rows = cells.step_rows(), steps = cells.steps(), room = Octets::room(cells);
  const uint64_t digits = (0x0101010101010101u >> (64 - 8 * rows)) * ((1u << phases.dac_bits) - 1);
  std::memset(sums, 0, cells.blocks() * kChunk * sizeof(int32_t));
  for (int64_t k = 0; k < cells.blocks(); ++k) {
    const int64_t first = k * cells.block_rows;
    const int64_t height = cells.inputs - first < cells.block_rows ? cells.inputs - first : cells.block_rows;
    uint8_t* const block = index + k * kParts * job.part_bytes();
    if (to - from < kChunk) std::memset(block, 0, kParts * job.part_bytes());
    for (int64_t v = from; v < to; ++v) {
      const uint16_t* const code = codes + (v - from) * cells.inputs + first;
      uint8_t* to_step = block + v / kBytes * job.part_bytes() + v % kBytes;
      int32_t sum = 0;
      for (int64_t r = 0; r < height; ++r) sum += phases.sign ? static_cast<int16_t>(code[r]) : code[r];
      sums[k * kChunk + position_of(v)] = sum;
      octets.fill(code, height, room, phases);
      for (int64_t s = 0; s < steps; ++s) {
        uint64_t low, high, sign;
        std::memcpy(&low, octets.low + s * rows, 8);
        std::memcpy(&high, octets.high + s * rows, 8);
        std::memcpy(&sign, octets.sign + s * rows, 8);
        for (int p = 0; p < phases.count; ++p, to_step += kBytes) {
          const int bit = p * phases.dac_bits;
          *to_step = static_cast<uint8_t>(compress_bits((bit < 8 ? low : high) >> (bit & 7), digits));
        }
        if (phases.sign) {
          *to_step = static_cast<uint8_t>(compress_bits(sign, digits));
          to_step += kBytes;
        }
      }
    }
  }
}

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

// Sums of look-ups from step `from` on in P phases of Q lines from `line` on.
template <int P, int Q, class Tables>
inline void add_tables(const Tables& tables, int line, const uint8_t* index, int64_t stride, int64_t from, int64_t to,
                       Bytes (&sums)[Q][P]) {
#pragma GCC unroll 2
  for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sums[q][p] = Bytes{};
  }
  int64_t s = from;
  do {  // `to` is above `from`
    Bytes table[Q];
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) table[q] = load_table<Tables::kIndexBits>(tables.at(line + q, s));
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      Bytes place = load_as<Bytes>(index + s * stride + p * kBytes);
      if (kPhases == 8) keep(place);  // registers to spare
#pragma GCC unroll 2
      for (int q = 0; q < Q; ++q) sums[q][p] = add_clipped(sums[q][p], entries<Tables::kIndexBits>(table[q], place));
    }
  } while (++s < to);
}

// Column sums of one block, [slices][phases] bytes, or [slices][phases][2] 16-bit numbers in interleaved order.
template <int Planes, int P, int Q, class Tables>
inline void sum_tile(const Job& job, const Tables& tables, const uint8_t* index, int line, int phase, uint8_t* sums) {
  const int64_t total = job.phases.total(), stride = total * kBytes, steps = job.steps;
  index += phase * kBytes;
  Bytes part[Q][P];
  if constexpr (Planes == 0) {
    add_tables<P, Q>(tables, line, index, stride, 0, steps, part);
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) store_as(sums + ((line + q) * total + phase + p) * kBytes, part[q][p]);
    }
    return;
  }
  for (int64_t s = 0; s < steps; s += job.cells.run) {
    add_tables<P, Q>(tables, line, index, stride, s, steps - s < job.cells.run ? steps : s + job.cells.run, part);
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

// Adds (or, where sign is -1, subtracts) the codes of one slice's phases, shifted, to 32-bit results.
inline void shift_add(const InputPhases& phases, const uint8_t* codes, Bytes top, int shift, int32_t sign,
                      int32_t* results) {
  Ints sums[4] = {};
  const int run = 8 / phases.dac_bits;  // phases whose total fits into 16 bits
  for (int first = 0; first < phases.count; first += run) {
    const int end = first + run < phases.count ? first + run : phases.count;
    UnsignedShorts low = {}, high = {};
    int p = end;
    if ((end - first) % 2 != 0) {
      const Bytes code = smaller(load_as<Bytes>(codes + --p * kBytes), top);
      low = (UnsignedShorts)interleave_low(code, Bytes{});
      high = (UnsignedShorts)interleave_high(code, Bytes{});
    }
    while (p > first) {
      p -= 2;
      const Bytes a = smaller(load_as<Bytes>(codes + p * kBytes), top);
      const Bytes b = smaller(load_as<Bytes>(codes + (p + 1) * kBytes), top);
      const int weights = 1 | (256 << phases.dac_bits);
      low = (low << (2 * phases.dac_bits)) + (UnsignedShorts)add_pairs(interleave_low(a, b), weights);
      high = (high << (2 * phases.dac_bits)) + (UnsignedShorts)add_pairs(interleave_high(a, b), weights);
    }
    const int left = shift + first * phases.dac_bits;
    sums[0] += (Ints)interleave_low((Shorts)low, Shorts{}) << left;
    sums[1] += (Ints)interleave_high((Shorts)low, Shorts{}) << left;
    sums[2] += (Ints)interleave_low((Shorts)high, Shorts{}) << left;
    sums[3] += (Ints)interleave_high((Shorts)high, Shorts{}) << left;
  }
  if (phases.sign) {
    const Bytes code = smaller(load_as<Bytes>(codes + phases.count * kBytes), top);
    const Shorts low = (Shorts)interleave_low(code, Bytes{}), high = (Shorts)interleave_high(code, Bytes{});
    const int left = shift + phases.low_bits;
    sums[0] -= (Ints)interleave_low(low, Shorts{}) << left;
    sums[1] -= (Ints)interleave_high(low, Shorts{}) << left;
    sums[2] -= (Ints)interleave_low(high, Shorts{}) << left;
    sums[3] -= (Ints)interleave_high(high, Shorts{}) << left;
  }
  for (int i = 0; i < 4; ++i) {
    int32_t* const to = results + i * (kBytes / 4);
    store_as(to, load_as<Ints>(to) + ((sums[i] ^ sign) - sign));
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
        int32_t* const results = memory.results + (n - column) * kChunk + first;
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
          } else {
            shift_add(job.phases, sums, top, cells.shifts[s], sign, results);
          }
        }
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
  int64_t offsets[kTile];
  int32_t digital[kTile][kChunk];
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t n = column + c;
    offsets[c] = 0;
    std::memset(digital[c], 0, sizeof digital[c]);
    for (int64_t k = 0; k < cells.blocks(); ++k) {
      const int64_t group = n / kColumns * cells.blocks() + k;
      const int32_t gain = static_cast<int32_t>(cells.gains[group * kColumns + n % kColumns]);
      for (int64_t v = 0; v < kChunk; ++v) digital[c][v] += gain * memory.code_sums[k * kChunk + v];
      for (int64_t s = 0; s < cells.slices; ++s) {
        const int64_t sign = cells.signs[(group * cells.slices + s) * kColumns + n % kColumns];
        offsets[c] += (((job.converter.offset * weight) ^ sign) - sign) * (int64_t{1} << cells.shifts[s]);
      }
    }
  }
  for (int64_t v = from; v < to; ++v) {
    const int64_t place = position_of(v);
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t sum = memory.results[c * kChunk + place];
      out[(v - from) * cells.outputs + column + c] = sum * job.converter.step + digital[c][place] + offsets[c];
    }
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
      slice_codes(job, job.codes + vector * cells.inputs, from, to, Octets(memory.octets, cells), memory.index,
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
  if (cells.run == 0) return run_noisy<0>(job);
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

// The table of step_rows levels: lower (and upper) bytes of the sums that inputs can pick.
static void write_table(const CrossbarTables& shape, const uint16_t* levels, int64_t stride, int64_t count, uint8_t* to,
                        int64_t plane_bytes) {
  const int digit = (1 << shape.dac_bits) - 1;
  for (int first = 0; first < shape.table_bytes(); first += 16) {
    typedef uint16_t Entries __attribute__((vector_size(32)));
    typedef uint8_t Lower __attribute__((vector_size(16)));
    const Entries index = Entries{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + static_cast<uint16_t>(first);
    Entries sum = {};
    for (int64_t r = 0; r < count; ++r) {
      sum += ((index >> static_cast<uint16_t>(r * shape.dac_bits)) & (static_cast<uint16_t>(digit) + Entries{})) *
             levels[r * stride];
    }
    if (shape.planes == 2) {
      const Entries low = sum & (static_cast<uint16_t>((1 << shape.low_bits) - 1) + Entries{});
      store_as(to + first, __builtin_convertvector(low, Lower));
      store_as(to + plane_bytes + first, __builtin_convertvector(sum >> shape.low_bits, Lower));
    } else {
      const Entries low = sum < 255 ? sum : 255 + Entries{};
      store_as(to + first, __builtin_convertvector(low, Lower));
    }
  }
}

void crossbar_tables(const CrossbarTables& shape, const uint16_t* levels, uint8_t* tables, uint16_t* numbers,
                     int threads) {
  const int64_t rows = shape.step_rows(), steps = shape.steps(), height = shape.block_rows, bytes = shape.table_bytes();
  int level_bits = 0;  // of a listed level
  while ((int64_t{1} << (level_bits * rows)) < shape.listed) ++level_bits;
  for (int64_t t = 0; t < shape.listed; ++t) {
    uint16_t step[6];
    for (int64_t r = 0; r < rows; ++r) step[r] = (t >> (r * level_bits)) & ((1 << level_bits) - 1);
    write_table(shape, step, 1, rows, tables + t * bytes, shape.listed * bytes);
  }
  // Rows are copied first, as many columns of them as a cache line holds.
  constexpr int64_t wide = 4 * kColumns;
  const int64_t blocks = shape.blocks(), strips = (shape.outputs + wide - 1) / wide;
  const Scratch<uint16_t> copies(threads, steps * rows * wide);
  parallel_rows(strips * blocks, 1, threads, [&](int64_t begin, int64_t end, int worker) {
    uint16_t* const copy = copies.of(worker);
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t k = piece % blocks, first = k * height, column = piece / blocks * wide;
      const int64_t filled = shape.inputs - first < height ? shape.inputs - first : height;
      const int64_t columns = shape.outputs - column < wide ? shape.outputs - column : wide;
      std::memset(copy, 0, steps * rows * wide * sizeof(uint16_t));
      for (int64_t s = 0; s < shape.slices; ++s) {
        for (int64_t r = 0; r < filled; ++r) {
          std::memcpy(copy + r * wide, levels + (s * shape.inputs + first + r) * shape.outputs + column,
                      columns * sizeof(uint16_t));
        }
        for (int64_t c = 0; c < wide && (column + c) / kColumns < shape.groups(); ++c) {
          const int64_t n = column + c;
          const int64_t line = ((n / kColumns * blocks + k) * kColumns + n % kColumns) * shape.slices + s;
          for (int64_t step = 0; step < steps; ++step) {
            const uint16_t* const from = copy + step * rows * wide + c;
            if (shape.listed > 0) {
              uint32_t number = 0;
              for (int64_t r = 0; r < rows; ++r) number |= static_cast<uint32_t>(from[r * wide]) << (r * level_bits);
              numbers[line * steps + step] = static_cast<uint16_t>(shape.index_bits == 4 ? number * 16 : number);
            } else {
              write_table(shape, from, wide, rows, tables + (line * shape.planes * steps + step) * bytes, steps * bytes);
            }
          }
        }
      }
    }
  });
}

}  // namespace kernels::KERNEL_ISA
