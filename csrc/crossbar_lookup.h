// The product of crossbar_mac for many vectors at a time, by tables: the numbers are the same, bit for bit.
// Method: "four Russians" (Arlazarov, Dinic, Kronrod, Faradzhev 1970). The cells don't change, so for every column and
// slice the sums that 4 bits of input can pick (4 rows of one bit, 2 rows of 2 or 1 row of 4) stand in a table of 16
// bytes; one shuffle instruction looks up 16, 32 or 64 vectors at once. Lookup tables of a quantised product by shuffles
// as in T-MAC (Wei et al., EuroSys 2025), with the vectors side by side instead of the columns.
#pragma once

#include <cstdint>

#include "crossbar_mac.h"
#include "isa.h"

namespace kernels {

// A step is one look-up: `step_rows` = 4 / dac_bits neighbouring rows of a block. A line is the tables of one slice, or,
// where a sum can exceed a byte (planes = 2), of its lower low_bits bits, followed by the line of the bits above.
// Few levels make few different tables: they then stand in a list that the first-level cache holds, and every step has
// its place in it (`listed` is the number of tables; 2-bit cells and 1-bit inputs: 256 of them, 4 KB, in place of 16 MB
// for 1024 x 1024 weights of 8 bits). Otherwise (listed = 0) each step has tables of its own, in the order of reading.
struct CrossbarTables {
  const uint8_t* tables;   // listed > 0: [planes][listed][16]; else [groups][blocks][8][slices * planes][steps][16]
  const uint16_t* places;  // listed > 0: 16 * number of the table, [groups][blocks][8][slices][steps]
  const int64_t* signs;    // as in CrossbarCells, and so to the next blank line
  const int64_t* gains;
  const int32_t* shifts;
  int64_t inputs, outputs, block_rows, slices;

  int64_t listed;          // 0, or 2^(bits of a level * step_rows), up to 4096
  int dac_bits;            // 1, 2 or 4
  int planes;              // 1 or 2
  int low_bits;            // of the lower plane, 0 to 6; read where planes = 2
  int64_t run;             // look-ups whose sum of entries fits a byte; 0: byte sums saturate, and 255 is past the clip

  int64_t groups() const { return (outputs + 7) / 8; }
  int64_t blocks() const { return (inputs + block_rows - 1) / block_rows; }
  int64_t step_rows() const { return 4 / dac_bits; }
  int64_t steps() const { return ((inputs < block_rows ? inputs : block_rows) + step_rows() - 1) / step_rows(); }
};

}  // namespace kernels

FOR_EACH_ISA(
    // Fills `tables` and, if listed, `places` (what the pointers in `shape` will be) from levels: uint16 [slices, inputs,
    // outputs], below 2^(bits of a level) if listed. Sums that don't fit (above 255 with one plane) become 255.
    void crossbar_tables(const CrossbarTables& shape, const uint16_t* levels, uint8_t* tables, uint16_t* places,
                         int threads);

    // As crossbar_mac. Preconditions: run = 0, planes = 1 and every sum of 255 or more, whatever the noise, converts to
    // `top`; or run > 0 and column sums and noise, less the offset, stay within 15 bits. |out| before the step and the
    // offset are applied, and every part of it, stays within 31 bits.
    void crossbar_lookup(const CrossbarTables& cells, const Converter& converter, const ConverterNoise& noise,
                         const uint16_t* codes, int64_t vectors, int input_bits, bool signed_inputs, int64_t* out,
                         int threads);)
