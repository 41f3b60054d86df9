#include "crossbar_mac.h"

#include "crossbar_noise.h"
#include "parallel.h"
#include "scratch.h"
#include "words.h"

// A column sum of one-bit cells and one-bit inputs is the number of ones of (cells AND inputs): 64 rows of 8 columns an
// instruction where the machine counts ones in vectors. The cells of 8 columns and one block stay in the first-level
// cache (1 KB for 128 rows of 8 bits) while kVectors inputs pass by.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int kColumns = 8;       // columns of a group
constexpr int64_t kVectors = 16;  // input vectors that a thread takes at a time
constexpr int kCodeWords = 64;    // codes per word

constexpr int64_t kRun = 16;      // words whose counts of ones fit into a part (8 * kRun <= kPart)

// floor(n / step) = (n * factor) >> shift for 0 <= n < 2^31: Granlund and Montgomery, PLDI 1994, theorem 4.2.
struct Division {
  explicit Division(int64_t step) {
    while ((int64_t{1} << log) < step) ++log;
    factor = ((uint64_t{1} << (31 + log)) + step - 1) / step;
  }
  int log = 0;
  uint64_t factor;
  int shift() const { return 31 + log; }
};

// Which conversions a block asks for: those of kWidth columns from `column` on, for one input vector.
struct Place {
  int64_t vector, block, slice, column;
};

// Clips, and nothing else: step 1, offset 0, no noise.
struct Clip {
  explicit Clip(const Converter& converter, const ConverterNoise&, int64_t) : top(converter.top) {}
  Sums operator()(const Words& sum, const Place&, int) const {
    const Sums level = (Sums)sum;
    return level < top ? level : top + Sums{};
  }
  int64_t top;
};

struct Round {
  explicit Round(const Converter& converter, const ConverterNoise&, int64_t)
      : top(converter.top),
        step(converter.step),
        offset(converter.offset),
        bias(converter.bias()),
        division(converter.divisor()) {}
  Sums operator()(const Words& sum, const Place&, int) const { return round((Sums)sum); }
  Sums round(const Sums& sum) const {
    const Sums above = sum + bias;
    const Words inside = (Words)(above > 0 ? above : Sums{});
    const Sums level = (Sums)((inside * division.factor) >> division.shift());
    return (level < top ? level : top + Sums{}) * step + offset;
  }
  int64_t top, step, offset, bias;
  Division division;
};

struct RoundNoisy : Round {
  explicit RoundNoisy(const Converter& converter, const ConverterNoise& added, int64_t count)
      : Round(converter, added, count), noise(added), slices(count) {}
  Sums operator()(const Words& sum, const Place& place, int phase) const {
    typedef uint32_t Halves __attribute__((vector_size(kWidth * 4)));
    Words columns;
    for (int i = 0; i < kWidth; ++i) columns[i] = static_cast<uint64_t>(place.column + i);
    const Words key = noise_key<Words>(noise.seed, place.block, slices, place.slice, columns);
    const int64_t vector = noise.first_vector + place.vector;
    Halves first, second;
    noise_words<Halves>(noise_count(vector, phase) + Halves{}, __builtin_convertvector(key & 0xffffffffu, Halves),
                        __builtin_convertvector(key >> 32, Halves), &first, &second);
    const int shift = static_cast<int>(vector & 3) * 8;
    first = (first >> shift) & 255;
    second = (second >> shift) & 255;
    Sums total = {};
    for (int i = 0; i < kWidth; ++i) {
      total[i] = static_cast<int64_t>(sum[i]) + noise_of(noise, sums.low[first[i]] + sums.high[second[i]]);
    }
    return round(total);
  }
  ConverterNoise noise;
  int64_t slices;
  NoiseSums sums;
};

// Column sums of the rows of one phase. Cell and Length are 0 where only the run-time values are known.
template <int Cell, int Length>
inline Words column_sums(const uint64_t* bits, const uint64_t* planes, int dac_bits, int cell_bits, int64_t words) {
  const int cell = Cell > 0 ? Cell : cell_bits;
  const int64_t length = Length > 0 ? Length : words;
  constexpr bool add_late = Cell > 0 && Length > 0 && 8 * Length * ((1 << Cell) - 1) <= kPart;
  Words sums = {};
  for (int d = 0; d < dac_bits; ++d) {
    Words counts = {};
    for (int c = 0; c < cell; ++c) {
      for (int64_t first = 0; first < length; first += kRun) {
        const int64_t last = first + kRun < length ? first + kRun : length;
        Words ones = {};
        for (int64_t w = first; w < last; ++w) {
          ones += count_ones(load_words(bits + (c * length + w) * kColumns) & planes[d * length + w]);
        }
        counts += add_late ? ones << c : add_parts(ones) << c;
      }
    }
    sums += (add_late ? add_parts(counts) : counts) << d;
  }
  return sums;
}

// What one block of rows adds to kWidth columns for one input vector.
template <int Cell, int Length, class Conversion>
inline Sums block_result(const CrossbarCells& cells, const Conversion& convert, const InputPhases& phases,
                         const uint64_t* bits, const int64_t* signs, const uint64_t* planes, Place place) {
  Sums result = {};
  for (int64_t s = 0; s < cells.slices; ++s) {
    const uint64_t* const slice = bits + s * cells.cell_bits * cells.words * kColumns;
    Sums total = {};
    place.slice = s;
    for (int p = phases.count - 1; p >= 0; --p) {
      const uint64_t* const phase = planes + p * phases.dac_bits * cells.words;
      Words sums;
      if (phases.dac_bits == 1) {
        sums = column_sums<Cell, Length>(slice, phase, 1, cells.cell_bits, cells.words);
      } else {
        sums = column_sums<Cell, Length>(slice, phase, phases.dac_bits, cells.cell_bits, cells.words);
      }
      total = (total << phases.dac_bits) + convert(sums, place, p);
    }
    if (phases.sign) {
      const uint64_t* const plane = planes + phases.sign_plane() * cells.words;
      const Words sums = column_sums<Cell, Length>(slice, plane, 1, cells.cell_bits, cells.words);
      total -= convert(sums, place, phases.count) << phases.low_bits;
    }
    const Sums sign = load_sums(signs + s * kColumns);
    result += ((total ^ sign) - sign) << cells.shifts[s];
  }
  return result;
}

// Bits of one vector's codes, plane by plane, and the sum of each block's codes.
void slice_codes(const CrossbarCells& cells, const InputPhases& phases, const uint16_t* codes, uint16_t* block,
                 uint64_t* planes, int64_t* block_sums) {
  for (int64_t k = 0; k < cells.blocks(); ++k) {
    const int64_t first = k * cells.block_rows;
    const int64_t rows = cells.inputs - first < cells.block_rows ? cells.inputs - first : cells.block_rows;
    std::memset(block + rows, 0, (cells.words * kCodeWords - rows) * sizeof(uint16_t));
    std::memcpy(block, codes + first, rows * sizeof(uint16_t));
    int64_t sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += phases.sign ? static_cast<int16_t>(block[r]) : block[r];
    block_sums[k] = sum;
    for (int b = 0; b < phases.planes(); ++b) {
      const int bit = b < phases.low_bits ? b : b == phases.sign_plane() ? phases.low_bits : -1;
      for (int64_t w = 0; w < cells.words; ++w) *planes++ = bit < 0 ? 0 : gather_bits(block + w * kCodeWords, bit);
    }
  }
}

struct Job {
  const CrossbarCells& cells;
  const Converter& converter;
  const ConverterNoise& noise;
  const uint16_t* codes;
  int64_t vectors;
  InputPhases phases;
  int64_t* out;
  int threads;
};

template <int Cell, int Length, class Conversion>
void run(const Job& job) {
  const CrossbarCells& cells = job.cells;
  const int64_t blocks = cells.blocks();
  const int64_t groups = cells.groups();
  const int64_t plane_words = blocks * job.phases.planes() * cells.words;  // per vector
  const int64_t slice_words = cells.slices * cells.cell_bits * cells.words * kColumns;
  const Conversion convert(job.converter, job.noise, cells.slices);
  const Scratch<uint16_t> block(job.threads, cells.words * kCodeWords);
  const Scratch<uint64_t> planes(job.threads, kVectors * plane_words);
  const Scratch<int64_t> block_sums(job.threads, kVectors * blocks);
  // Few vectors: the columns are shared out as well. The results don't depend on how.
  const int64_t chunks = (job.vectors + kVectors - 1) / kVectors;
  const int64_t parts = chunks == 0 || chunks >= job.threads ? 1 : (job.threads + chunks - 1) / chunks;
  parallel_rows(chunks * parts, 1, job.threads, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t from = piece / parts * kVectors;
      const int64_t count = job.vectors - from < kVectors ? job.vectors - from : kVectors;
      for (int64_t v = 0; v < count; ++v) {
        slice_codes(cells, job.phases, job.codes + (from + v) * cells.inputs, block.of(worker),
                    planes.of(worker) + v * plane_words, block_sums.of(worker) + v * blocks);
      }
      const int64_t last_group = (piece % parts + 1) * groups / parts;
      for (int64_t g = piece % parts * groups / parts; g < last_group; ++g) {
        for (int first = 0; first < kColumns; first += kWidth) {
          Sums results[kVectors] = {};
          for (int64_t k = 0; k < blocks; ++k) {
            const int64_t place = g * blocks + k;
            const Sums gain = load_sums(cells.gains + place * kColumns + first);
            for (int64_t v = 0; v < count; ++v) {
              results[v] += block_result<Cell, Length>(
                  cells, convert, job.phases, cells.bits + place * slice_words + first,
                  cells.signs + place * cells.slices * kColumns + first,
                  planes.of(worker) + v * plane_words + k * job.phases.planes() * cells.words,
                  {from + v, k, 0, g * kColumns + first});
              results[v] += gain * block_sums.of(worker)[v * blocks + k];
            }
          }
          const int64_t column = g * kColumns + first;
          const int64_t columns = cells.outputs - column < kWidth ? cells.outputs - column : kWidth;
          for (int64_t v = 0; columns > 0 && v < count; ++v) {
            std::memcpy(job.out + (from + v) * cells.outputs + column, &results[v], columns * sizeof(int64_t));
          }
        }
      }
    }
  });
}

template <int Cell, int Length>
void run_step(const Job& job) {
  if (job.noise.on) {
    run<0, 0, RoundNoisy>(job);
  } else if (job.converter.divisor() == 1 && job.converter.offset == 0) {
    run<Cell, Length, Clip>(job);
  } else {
    run<Cell, Length, Round>(job);
  }
}

template <int Cell>
void run_length(const Job& job) {
  switch (job.cells.words) {
    case 1: return run_step<Cell, 1>(job);
    case 2: return run_step<Cell, 2>(job);
    case 4: return run_step<Cell, 4>(job);
    case 8: return run_step<Cell, 8>(job);
    default: return run_step<0, 0>(job);
  }
}

}  // namespace

void crossbar_mac(const CrossbarCells& cells, const Converter& converter, const ConverterNoise& noise,
                  const uint16_t* codes, int64_t vectors, int input_bits, bool signed_inputs, int dac_bits,
                  int64_t* out, int threads) {
  const Job job{cells, converter, noise, codes, vectors, {input_bits, signed_inputs, dac_bits}, out, threads};
  switch (cells.cell_bits) {
    case 1: return run_length<1>(job);
    case 2: return run_length<2>(job);
    case 3: return run_length<3>(job);
    case 4: return run_length<4>(job);
    default: return run_step<0, 0>(job);
  }
}

}  // namespace kernels::KERNEL_ISA
