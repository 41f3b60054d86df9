// A call of crossbar_lookup, and the bits of its inputs in the order of look-ups.
#pragma once

#include <cstdint>
#include <cstring>

#include "bytes.h"
#include "crossbar_lookup.h"

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

// Codes of a chunk in a block as bytes, a row of all vectors after the other: bits 0 to 7, bits 8 to 15, the sign.
struct Octets {
  static int64_t room(const CrossbarTables& cells) { return cells.steps() * cells.step_rows() * kChunk; }
  Octets(uint8_t* memory, const CrossbarTables& cells) : low(memory), high(low + room(cells)), sign(high + room(cells)) {}
  // What fill() does not write: vectors outside of a part of a chunk, and rows from `height` on.
  void clear(const CrossbarTables& cells, int64_t height, bool all) const {
    const int64_t from = all ? 0 : height * kChunk, bytes = room(cells) - from;
    std::memset(low + from, 0, bytes);
    std::memset(high + from, 0, bytes);
    std::memset(sign + from, 0, bytes);
  }
  void fill(const uint16_t* codes, int64_t v, int64_t height, const InputPhases& phases) const {
    const int mask = (1 << phases.low_bits) - 1;
    for (int64_t r = 0; r < height; ++r) low[r * kChunk + v] = static_cast<uint8_t>(codes[r] & mask);
    for (int64_t r = 0; phases.low_bits > 8 && r < height; ++r) {
      high[r * kChunk + v] = static_cast<uint8_t>((codes[r] & mask) >> 8);
    }
    for (int64_t r = 0; phases.sign && r < height; ++r) {
      sign[r * kChunk + v] = static_cast<uint8_t>((codes[r] >> phases.low_bits) & 1);
    }
  }
  uint8_t *low, *high, *sign;
};

// Digits of Digit bits change places in each byte: number p of row r becomes number r of row p.
template <int Digit>
inline void swap_digits(UnsignedLongs (&rows)[8 / Digit]) {
#pragma GCC unroll 3
  for (int shift = 4; shift >= Digit; shift /= 2) {
    const int apart = shift / Digit;
    const uint64_t mask = shift == 4 ? 0x0f0f0f0f0f0f0f0fu : shift == 2 ? 0x3333333333333333u : 0x5555555555555555u;
#pragma GCC unroll 8
    for (int r = 0; r < 8 / Digit; ++r) {
      if ((r & apart) != 0) continue;
      const UnsignedLongs other = ((rows[r] >> shift) ^ rows[r + apart]) & mask;
      rows[r + apart] ^= other;
      rows[r] ^= other << shift;
    }
  }
}

// Indices of one step in `count` phases of Digit bits, [phases][kBytes], from `from` [rows][kChunk].
template <int Digit>
inline void write_phases(const uint8_t* from, int64_t rows, int count, uint8_t* to) {
  UnsignedLongs digits[8 / Digit] = {};
  for (int64_t r = 0; r < rows; ++r) digits[r] = load_as<UnsignedLongs>(from + r * kChunk);
  swap_digits<Digit>(digits);
  for (int p = 0; p < count; ++p) store_as(to + p * kBytes, digits[p]);
}

// The index bits of each step and phase, [blocks][parts][steps][phases][kBytes], and the sums of the blocks' codes,
// [blocks][kChunk], of vectors that are numbered from..to in their chunk and start at `codes`.
template <int Digit>
void slice_codes(const Job& job, const uint16_t* codes, int64_t from, int64_t to, Octets octets, uint8_t* index,
                 int32_t* sums) {
  const CrossbarTables& cells = job.cells;
  const InputPhases& phases = job.phases;
  const int64_t rows = cells.step_rows(), steps = cells.steps();
  const int low_phases = phases.count < 8 / Digit ? phases.count : 8 / Digit;
  std::memset(sums, 0, cells.blocks() * kChunk * sizeof(int32_t));
  for (int64_t k = 0; k < cells.blocks(); ++k) {
    const int64_t first = k * cells.block_rows;
    const int64_t height = cells.inputs - first < cells.block_rows ? cells.inputs - first : cells.block_rows;
    octets.clear(cells, height, k == 0);
    for (int64_t v = from; v < to; ++v) {
      const uint16_t* const code = codes + (v - from) * cells.inputs + first;
      int32_t sum = 0;
      for (int64_t r = 0; r < height; ++r) sum += phases.sign ? static_cast<int16_t>(code[r]) : code[r];
      sums[k * kChunk + position_of(v)] = sum;
      octets.fill(code, v, height, phases);
    }
    for (int64_t part = from / kBytes; part * kBytes < to; ++part) {
      uint8_t* to_step = index + (k * kParts + part) * job.part_bytes();
      for (int64_t s = 0; s < steps; ++s, to_step += phases.total() * kBytes) {
        const int64_t at = s * rows * kChunk + part * kBytes;
        write_phases<Digit>(octets.low + at, rows, low_phases, to_step);
        if (phases.count > low_phases) {
          write_phases<Digit>(octets.high + at, rows, phases.count - low_phases, to_step + low_phases * kBytes);
        }
        if (phases.sign) write_phases<Digit>(octets.sign + at, rows, 1, to_step + phases.count * kBytes);
      }
    }
  }
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
