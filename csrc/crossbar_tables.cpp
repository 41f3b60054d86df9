#include "crossbar_tables.h"

#include "bytes.h"
#include "parallel.h"
#include "scratch.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kColumns = 8;

// The table of step_rows levels: lower (and upper) bytes of the sums that inputs can pick.
void write_table(const CrossbarTables& shape, const uint16_t* levels, int64_t stride, int64_t count, uint8_t* to,
                        int64_t plane_bytes) {
  const int digit = (1 << shape.dac_bits) - 1;
  for (int first = 0; first < shape.table_bytes(); first += 16) {
    typedef uint16_t Entries __attribute__((vector_size(32)));
    typedef uint8_t Lower __attribute__((vector_size(16)));
    const Entries index = Entries{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + static_cast<uint16_t>(first);
    Entries sum = {};
    for (int64_t r = 0; r < count; ++r) {
      // A byte that saturates does not tell larger levels apart, whose products may be too large for 16 bits.
      const uint16_t level = shape.planes == 1 && levels[r * stride] > 255 ? 255 : levels[r * stride];
      sum += ((index >> static_cast<uint16_t>(r * shape.dac_bits)) & (static_cast<uint16_t>(digit) + Entries{})) *
             level;
    }
    if (shape.planes == 2) {
      const auto mask = static_cast<uint16_t>((1 << shape.low_bits) - 1);  // of its own: GCC -O0 adds no int to 16 bits
      const Entries low = sum & (mask + Entries{});
      store_as(to + first, __builtin_convertvector(low, Lower));
      store_as(to + plane_bytes + first, __builtin_convertvector(sum >> shape.low_bits, Lower));
    } else {
      const Entries low = sum < 255 ? sum : 255 + Entries{};
      store_as(to + first, __builtin_convertvector(low, Lower));
    }
  }
}

}  // namespace

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
        const int64_t last = (shape.groups() * kColumns - column < wide) ? shape.groups() * kColumns - column : wide;
        int64_t lines[wide];
        for (int64_t c = 0; c < wide; ++c) {
          const int64_t n = column + c;
          lines[c] = ((n / kColumns * blocks + k) * kColumns + n % kColumns) * shape.slices + s;
        }
        for (int64_t step = 0; step < steps; ++step) {
          const uint16_t* const from = copy + step * rows * wide;
          if (shape.listed > 0) {
            uint16_t number[wide] = {};
            for (int64_t r = 0; r < rows; ++r) {
              const int shift = static_cast<int>(r) * level_bits + (shape.index_bits == 4 ? 4 : 0);
              for (int64_t c = 0; c < wide; ++c) number[c] |= static_cast<uint16_t>(from[r * wide + c] << shift);
            }
            for (int64_t c = 0; c < last; ++c) numbers[lines[c] * steps + step] = number[c];
          } else {
            for (int64_t c = 0; c < last; ++c) {
              write_table(shape, from + c, wide, rows, tables + (lines[c] * shape.planes * steps + step) * bytes,
                          steps * bytes);
            }
          }
        }
      }
    }
  });
}

}  // namespace kernels::KERNEL_ISA
