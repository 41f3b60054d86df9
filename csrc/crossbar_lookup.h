// The product of crossbar_mac for many vectors at a time, by tables: the numbers are the same, bit for bit.
// Method: "four Russians" (Arlazarov, Dinic, Kronrod, Faradzhev 1970). The cells don't change, so for every column and
// slice the sums that 4 bits of input can pick (4 rows of one bit, 2 rows of 2 or 1 row of 4) stand in a table of 16
// bytes; one shuffle instruction looks up 16, 32 or 64 vectors at once. Where there is an instruction for it (AVX-512
// VBMI), 6 bits of input and tables of 64 bytes. Lookup tables of a quantised product by shuffles
// as in T-MAC (Wei et al., EuroSys 2025), with the vectors side by side instead of the columns.
#pragma once

#include <cstdint>

#include "crossbar_mac.h"
#include "isa.h"

namespace kernels {

// A step is one look-up: `step_rows` = index_bits / dac_bits neighbouring rows of a block; a table has 2^index_bits
// bytes. A line is the tables of one slice, or, where a sum can exceed a byte (planes = 2), of its lower low_bits bits,
// followed by the line of the bits above. Few levels make few different tables: they then stand in a list that the caches
// hold, and every step has its number in it (`listed` is the number of tables; 2-bit cells and 1-bit inputs: 256 of 16
// bytes or 4096 of 64, in place of 16 MB for 1024 x 1024 weights of 8 bits). Otherwise (listed = 0) each step has tables
// of its own, in the order of reading.
struct CrossbarTables {
  const uint8_t* tables;    // listed > 0: [planes][listed][bytes], then 2^16 bytes; else [groups][blocks][8][slices * planes][steps][bytes]
  const uint16_t* numbers;  // listed > 0: [groups][blocks][8][slices][steps]; times 16 where index_bits = 4
  const int64_t* signs;    // as in CrossbarCells, and so to the next blank line
  const int64_t* gains;
  const int32_t* shifts;
  int64_t inputs, outputs, block_rows, slices;

  int64_t listed;          // 0, or 2^(bits of a level * step_rows), up to 4096
  int index_bits;          // 4; 6 where lookup_index_bits() says so, with listed > 0 and dac_bits 1 or 2
  int dac_bits;            // 1, 2 or 4
  int planes;              // 1 or 2
  int low_bits;            // of the lower plane, 0 to 6; read where planes = 2
  int64_t run;             // look-ups whose sum of entries fits a byte, whatever they are; 0 only with saturate
  bool saturate;           // a sum of more than `run` look-ups is a byte too: 255 stands for what exceeds it

  int64_t groups() const { return (outputs + 7) / 8; }
  int64_t blocks() const { return (inputs + block_rows - 1) / block_rows; }
  int64_t step_rows() const { return index_bits / dac_bits; }
  int64_t table_bytes() const { return int64_t{1} << index_bits; }
  int64_t steps() const { return ((inputs < block_rows ? inputs : block_rows) + step_rows() - 1) / step_rows(); }
};

}  // namespace kernels

FOR_EACH_ISA(
    // The most index_bits that crossbar_lookup takes on this instruction set: 4 or 6.
    int lookup_index_bits();

    // As crossbar_mac. Preconditions: with saturate, planes = 1, and no sum exceeds 255 or every sum of 255 and more,
    // whatever the noise, converts to `top`; without, column sums and noise, less the offset, stay within 15 bits.
    // |out| before the step and the offset are applied, and every part of it, stays within 31 bits.
    void crossbar_lookup(const CrossbarTables& cells, const Converter& converter, const ConverterNoise& noise,
                         const uint16_t* codes, int64_t vectors, int input_bits, bool signed_inputs, int64_t* out,
                         int threads);)
