// A call of crossbar_lookup, and the bits of its inputs in the order of look-ups.
#pragma once

#include <cstdint>
#include <cstring>

#include "bytes.h"
#include "crossbar_lookup.h"
#include "words.h"

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

}  // namespace
}  // namespace kernels::KERNEL_ISA
