// Matrix product as bit-sliced crossbars with bit-serial inputs and clipping converters compute it.
// Shafiee et al., ISAAC, ISCA 2016: weights in slices of a few bits per cell, inputs in phases of a few bits, one
// conversion per column, phase and slice, results shifted and added digitally.
#pragma once

#include <cstdint>

#include "isa.h"

namespace kernels {

// Cells are bits of 64-row words; eight neighbouring columns make a group (the last group is filled up with zeros).
struct CrossbarCells {
  const uint64_t* bits;    // [groups][blocks][slices][cell_bits][words][8]; unused rows of a block are zero
  const int64_t* signs;    // [groups][blocks][slices][8]: 0 adds the conversion to the result, -1 subtracts it
  const int64_t* gains;    // [groups][blocks][8]: times the sum of the block's input codes, added digitally
  const int32_t* shifts;   // [slices]: left shift of a conversion of that slice
  int64_t inputs, outputs;
  int64_t block_rows;      // rows that are read at once: block k holds the inputs k * block_rows ...
  int64_t words;           // 64-row words per block: a power of two up to 64, at least block_rows / 64
  int64_t slices;
  int cell_bits;           // 1 to 16

  int64_t groups() const { return (outputs + 7) / 8; }
  int64_t blocks() const { return (inputs + block_rows - 1) / block_rows; }
};

// conversion of a column sum s: clip(floor((s + n - offset) / step + 1 / 2), 0, top) * step + offset, n the noise.
// Sums come in units of 2^-fraction_bits, as the levels of the cells do; step and offset don't, and there
// floor((s + n - offset * 2^fraction_bits + half) / divisor) is the same, half = divisor / 2 rounded down.
struct Converter {
  int64_t top;        // 2^bits - 1
  int64_t step;       // 1 to 2^30
  int64_t offset;     // -2^30 to 2^30
  int fraction_bits;  // 0 to 8; step << fraction_bits and offset << fraction_bits stay within 2^30

  int64_t divisor() const { return step << fraction_bits; }
  int64_t bias() const { return divisor() / 2 - offset * (int64_t{1} << fraction_bits); }
};

// The noise of conversions: csrc/crossbar_noise.h has the method. n = (((z * factor) >> 16) + half) >> shift.
struct ConverterNoise {
  bool on;
  uint64_t seed;
  int64_t first_vector;  // the number of the first vector, for whom a call is part of a longer one
  int32_t factor;        // 0 to 32767
  int32_t half;          // -32768 to 32767
  int32_t shift;         // 0 to 14
};

// The bits of a code as the rows see them: `count` phases of dac_bits planes each; then, for signed codes, a phase of
// its own for the sign bit, which counts -2^low_bits.
struct InputPhases {
  InputPhases(int input_bits, bool signed_inputs, int bits)
      : count((input_bits - (signed_inputs ? 1 : 0) + bits - 1) / bits),
        dac_bits(bits),
        low_bits(input_bits - (signed_inputs ? 1 : 0)),
        sign(signed_inputs) {}
  int count, dac_bits, low_bits;
  bool sign;
  int total() const { return count + (sign ? 1 : 0); }
  int sign_plane() const { return count * dac_bits; }
  int planes() const { return sign_plane() + (sign ? 1 : 0); }
};

}  // namespace kernels

FOR_EACH_ISA(
    // out[v, n] = sum over blocks of: the sum over slices and phases of the signed, shifted conversions of the column
    // sums, plus gain * (sum of the block's codes). Integer throughout: exact but for the conversions.
    // Column sums and noise stay below 2^30.
    // codes: uint16 [vectors, inputs] of input_bits (1 to 16), of which dac_bits (1 to 8) are applied per phase. Signed
    // codes are two's complement, extended to 16 bits; their sign bit takes a phase of its own, after the others.
    // out: int64 [vectors, outputs].
    void crossbar_mac(const CrossbarCells& cells, const Converter& converter, const ConverterNoise& noise,
                      const uint16_t* codes, int64_t vectors, int input_bits, bool signed_inputs, int dac_bits,
                      int64_t* out, int threads);)
