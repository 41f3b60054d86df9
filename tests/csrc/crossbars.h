// Random crossbars for the C++ tests, and what they compute, in plain loops.
#pragma once

#include <algorithm>

#include "check.h"
#include "crossbar_lookup.h"
#include "crossbar_mac.h"

namespace check {

// A random array in the kernel's layout, with the levels that its cells hold.
struct Array {
  int64_t inputs, outputs, block_rows, words, slices;
  int cell_bits;
  Block<uint64_t> bits;
  Block<int64_t> signs, gains;
  Block<int32_t> shifts;

  static Array random(Random& random) {
    const int64_t inputs = random.one_of({1, 63, 64, 65, 128, random.between(1, 300)});
    const int64_t outputs = random.one_of({1, 7, 8, 9, random.between(1, 20)});
    const int64_t block_rows = random.one_of({1, 5, 64, 100, 128, 256, 600, random.between(1, 130)});
    if (inputs / block_rows > 40) return Array::random(random);
    int64_t words = 1;
    while (words * 64 < block_rows) words *= 2;
    words *= random.one_of({1, 1, 1, 2});
    const int64_t slices = random.one_of({1, 2, 4});
    const auto cell_bits = static_cast<int>(random.one_of({1, 2, 3, 4, 5, 8}));
    const int64_t groups = (outputs + 7) / 8, blocks = (inputs + block_rows - 1) / block_rows;
    Array made{inputs, outputs, block_rows, words, slices, cell_bits,
               Block<uint64_t>(groups * blocks * slices * cell_bits * words * 8),
               Block<int64_t>(groups * blocks * slices * 8), Block<int64_t>(groups * blocks * 8),
               Block<int32_t>(slices)};
    made.fill(random);
    return made;
  }

  int64_t blocks() const { return (inputs + block_rows - 1) / block_rows; }
  int64_t rows_of(int64_t k) const { return std::min(block_rows, inputs - k * block_rows); }
  int64_t place(int64_t n, int64_t k) const { return n / 8 * blocks() + k; }
  int64_t sign(int64_t n, int64_t k, int64_t s) const { return signs[(place(n, k) * slices + s) * 8 + n % 8] == 0 ? 1 : -1; }
  int64_t gain(int64_t n, int64_t k) const { return gains[place(n, k) * 8 + n % 8]; }
  int64_t level(int64_t n, int64_t k, int64_t s, int64_t row) const {
    int64_t value = 0;
    for (int c = 0; c < cell_bits; ++c) {
      const int64_t word = (((place(n, k) * slices + s) * cell_bits + c) * words + row / 64) * 8 + n % 8;
      value |= static_cast<int64_t>((bits[word] >> (row % 64)) & 1) << c;
    }
    return value;
  }
  kernels::CrossbarCells cells() const {
    return {bits.data(), signs.data(), gains.data(), shifts.data(), inputs, outputs, block_rows, words, slices, cell_bits};
  }

  // [slices, inputs, outputs]
  Block<uint16_t> levels() const {
    Block<uint16_t> values(slices * inputs * outputs);
    uint16_t* to = values.data();
    for (int64_t s = 0; s < slices; ++s) {
      for (int64_t row = 0; row < inputs; ++row) {
        for (int64_t n = 0; n < outputs; ++n) *to++ = static_cast<uint16_t>(level(n, row / block_rows, s, row % block_rows));
      }
    }
    return values;
  }

 private:
  void fill(Random& random) const {
    for (int64_t i = 0; i < bits.size(); ++i) bits[i] = random.bits();
    for (int64_t n = 0; n < (outputs + 7) / 8 * 8; ++n) {
      for (int64_t k = 0; k < blocks(); ++k) {
        for (int64_t i = 0; i < slices * cell_bits * words; ++i) {
          uint64_t& word = bits[(place(n, k) * slices * cell_bits * words + i) * 8 + n % 8];
          const int64_t used = n < outputs ? rows_of(k) - i % words * 64 : 0;
          if (used < 64) word = used <= 0 ? 0 : word & ((uint64_t{1} << used) - 1);
        }
        for (int64_t s = 0; s < slices; ++s) signs[(place(n, k) * slices + s) * 8 + n % 8] = random.one_of({0, -1});
        gains[place(n, k) * 8 + n % 8] = random.between(-1000, 1000);
      }
    }
    for (int64_t s = 0; s < slices; ++s) shifts[s] = static_cast<int32_t>(s * cell_bits);
  }
};

struct Inputs {
  int64_t vectors;
  int bits;
  bool is_signed;
  int dac_bits;
  Block<uint16_t> codes;
};

// Codes of up to most_bits; dac_bits are drawn where none are given.
inline Inputs random_inputs(Random& random, const Array& array, int most_bits = 16, int dac_bits = 0) {
  const int64_t vectors = random.one_of({0, 1, 2, 15, 16, 17, random.between(1, 40), 65});
  const auto bits = static_cast<int>(random.between(1, most_bits));
  const bool is_signed = random.coin();
  Inputs made{vectors, bits, is_signed, dac_bits > 0 ? dac_bits : static_cast<int>(random.between(1, 8)),
              Block<uint16_t>(vectors * array.inputs)};
  for (int64_t i = 0; i < made.codes.size(); ++i) {
    const auto code = static_cast<int>(random.bits() & ((1u << bits) - 1));
    made.codes[i] = static_cast<uint16_t>(is_signed && (code >> (bits - 1)) != 0 ? code - (1 << bits) : code);
  }
  return made;
}

inline int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// What one phase adds: the bits first ... first + count - 1 of the codes.
inline int64_t convert(const Array& array, const Inputs& inputs, const kernels::Converter& converter, int64_t v, int64_t n,
                       int64_t k, int64_t s, int first, int count) {
  int64_t sum = 0;
  for (int64_t row = 0; row < array.rows_of(k); ++row) {
    const int64_t code = inputs.codes[v * array.inputs + k * array.block_rows + row];
    sum += array.level(n, k, s, row) * ((code >> first) & ((1 << count) - 1));
  }
  // floor((s - offset) / step + 1 / 2), in units of 2^-fraction_bits
  const int64_t level = floor_divide(sum + converter.bias(), converter.divisor());
  return std::max(int64_t{0}, std::min(level, converter.top)) * converter.step + converter.offset;
}

inline int64_t wanted(const Array& array, const Inputs& inputs, const kernels::Converter& converter, int64_t v, int64_t n) {
  const int low = inputs.bits - (inputs.is_signed ? 1 : 0);
  int64_t result = 0;
  for (int64_t k = 0; k < array.blocks(); ++k) {
    for (int64_t s = 0; s < array.slices; ++s) {
      int64_t total = 0;
      for (int first = 0; first < low; first += inputs.dac_bits) {
        const int count = std::min(inputs.dac_bits, low - first);
        total += convert(array, inputs, converter, v, n, k, s, first, count) * (int64_t{1} << first);
      }
      if (inputs.is_signed) total -= convert(array, inputs, converter, v, n, k, s, low, 1) * (int64_t{1} << low);
      result += array.sign(n, k, s) * total * (int64_t{1} << array.shifts[s]);
    }
    int64_t codes = 0;
    for (int64_t row = 0; row < array.rows_of(k); ++row) {
      const uint16_t code = inputs.codes[v * array.inputs + k * array.block_rows + row];
      codes += inputs.is_signed ? static_cast<int16_t>(code) : code;
    }
    result += array.gain(n, k) * codes;
  }
  return result;
}

// Bits of input that pick an entry: 6 only where an instruction set looks up 64 bytes.
inline int random_index_bits(Random& random, int dac_bits) {
  return dac_bits < 4 && ON_ISA(lookup_index_bits)() == 6 && random.coin() ? 6 : 4;
}

// The sizes of tables that serve this array, as pimsim/crossbar_tables.py plans them; false where there are none.
inline bool plan_tables(Random& random, const Array& array, int dac_bits, int index_bits, kernels::CrossbarTables* shape) {
  const int64_t rows = index_bits / dac_bits;
  const int64_t list_bits = array.cell_bits * rows;
  if (index_bits == 6 && list_bits > 12) return false;
  const int64_t listed = list_bits <= 12 && (index_bits == 6 || random.coin()) ? int64_t{1} << list_bits : 0;
  const int64_t entry = ((int64_t{1} << array.cell_bits) - 1) * rows * ((1 << dac_bits) - 1);
  const int planes = entry > 255 || random.coin() ? 2 : 1;
  int low_bits = 0;
  int64_t largest = entry;
  if (planes == 2) {
    largest = 256;
    for (int low = 1; low <= 6; ++low) {
      const int64_t most = std::max((int64_t{1} << low) - 1, entry >> low);
      if (most < largest) {
        largest = most;
        low_bits = low;
      }
    }
  }
  if (largest > 255) return false;
  *shape = kernels::CrossbarTables{nullptr, nullptr, array.signs.data(), array.gains.data(), array.shifts.data(), array.inputs,
                          array.outputs, array.block_rows, array.slices, listed, index_bits, dac_bits, planes, low_bits,
                          255 / std::max<int64_t>(largest, 1)};
  return true;
}

}  // namespace check
