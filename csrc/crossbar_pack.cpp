#include "crossbar_pack.h"

#include <cstring>

#include "parallel.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kColumns = 8;
constexpr int kWordRows = 64;

// Byte i of the result has bit r of byte i's column from row r: the transpose of 8 x 8 bits (Warren, Hacker's Delight).
inline uint64_t transposed(uint64_t x) {
  uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aau;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000ccccu;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0u;
  return x ^ t ^ (t << 28);
}

// Bit `bit` of eight 16-bit numbers, side by side.
inline uint64_t row_bits(const uint16_t* levels, int bit) {
  uint64_t halves[2];
  std::memcpy(halves, levels, sizeof halves);
  const uint64_t ones = 0x0001000100010001u, gather = 0x0001000200040008u;
  const uint64_t low = (((halves[0] >> bit) & ones) * gather) >> 48 & 15;
  const uint64_t high = (((halves[1] >> bit) & ones) * gather) >> 48 & 15;
  return low | high << 4;
}

}  // namespace

void crossbar_pack(const CrossbarCells& shape, const uint16_t* levels, uint64_t* bits, int threads) {
  const int64_t blocks = shape.blocks(), words = shape.words;
  parallel_rows(shape.groups() * blocks, 1, threads, [&](int64_t begin, int64_t end, int) {
    uint16_t rows[kWordRows][kColumns];
    for (int64_t place = begin; place < end; ++place) {
      const int64_t first = place % blocks * shape.block_rows, column = place / blocks * kColumns;
      const int64_t last = shape.inputs - first < shape.block_rows ? shape.inputs : first + shape.block_rows;
      const int64_t columns = shape.outputs - column < kColumns ? shape.outputs - column : kColumns;
      for (int64_t s = 0; s < shape.slices; ++s) {
        for (int64_t w = 0; w < words; ++w) {
          const int64_t top = first + w * kWordRows;
          const int64_t filled = last - top < 0 ? 0 : last - top < kWordRows ? last - top : kWordRows;
          if (columns < kColumns || filled < kWordRows) std::memset(rows, 0, sizeof rows);
          for (int64_t r = 0; r < filled; ++r) {
            std::memcpy(rows[r], levels + (s * shape.inputs + top + r) * shape.outputs + column,
                        columns * sizeof(uint16_t));
          }
          for (int b = 0; b < shape.cell_bits; ++b) {
            uint64_t result[kColumns] = {};
            for (int r = 0; r < kWordRows; r += 8) {
              uint64_t square = 0;
              for (int i = 0; i < 8; ++i) square |= row_bits(rows[r + i], b) << (8 * i);
              square = transposed(square);
              for (int c = 0; c < kColumns; ++c) result[c] |= ((square >> (8 * c)) & 255) << r;
            }
            std::memcpy(bits + (((place * shape.slices + s) * shape.cell_bits + b) * words + w) * kColumns, result,
                        sizeof result);
          }
        }
      }
    }
  });
}

}  // namespace kernels::KERNEL_ISA
