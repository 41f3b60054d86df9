// Embedding lookup of many tables in one call: bags of rows, added up.
#pragma once

#include <cstdint>

#include "isa.h"

namespace kernels {

// Which rows a batch looks up. Bag (t, b) of table t and sample b is
//   ids[b * tables + t]                                                      where offsets is null: one id per table;
//   ids[offsets[t * batch + b]] ... ids[offsets[t * batch + b + 1] - 1]      otherwise (table by table).
// The caller has checked: offsets start at 0, never fall and end at the number of ids; and, where a function does not
// say that it checks them itself, 0 <= id < rows of its table.
struct Lookups {
  const int64_t* ids;
  const int64_t* offsets;  // [tables * batch + 1] or null
  const float* weights;    // one per id, in the order of ids, or null: the factor of its row (only where not mean)
  int64_t tables;
  int64_t batch;
  bool mean;  // bags are averaged, not summed; an empty bag gives zeros either way

  int64_t count(int64_t table) const {
    return offsets == nullptr ? batch : offsets[(table + 1) * batch] - offsets[table * batch];
  }
  int64_t total() const { return offsets == nullptr ? tables * batch : offsets[tables * batch]; }
};

// How a row is stored: numbers of 32 or 16 bits; or codes of 8 or 4 bits (two a byte, the first in the low half), where
// value = scale * code + bias, with a scale and a bias per row that lie beside the codes.
enum class RowFormat { float32, float16, bfloat16, int8, int4 };

// The tables, all of one format and one dim.
struct TableRows {
  RowFormat format;
  int64_t dim;
  int64_t stride;                  // bytes from row to row
  const int64_t* counts;           // [tables]: rows of each
  const void* const* data;         // [tables]: the rows; 16 codes at a time may be read, so codes are padded to that
  const void* const* scale_bias;   // [tables]: scale and bias of the first row, for codes only; in the row's own cache
  int64_t scale_bias_stride;       // line or in an array of their own: bytes from row to row
};

}  // namespace kernels

FOR_EACH_ISA(
    // out[b, t, :] = sum or mean of the rows of bag (t, b), or their sum weighted by lookups.weights.
    //   out: float32 [batch, tables, dim], no part of the tables' memory.
    // Numbers: float32, added in the order of the ids, a weight's product rounded before it is added. Of codes the
    //   products (weight * scale) * code add up, and the weight * bias beside them, and the two sums are added last. A
    //   mean is the sum divided by the number of ids. The same bits for any number of threads and on every instruction
    //   set, but for codes: AVX2 and AVX-512 add (weight * scale) * code without rounding it first (FMA; n ids differ
    //   from plain C++ by at most n roundings of the sum), which is 5 to 8 % faster.
    // Checks the ids: false where one is not a row of its table; out then holds anything. Nothing outside is touched.
    // Method: the software prefetch across bags of FBGEMM (Khudia et al., arXiv 2101.05615), a row's sums in registers.
    bool embedding_bag(const TableRows& tables, const Lookups& lookups, float* out, int threads);

    // Whether every id is a row of its table (rows: [tables], each 0..2^32).
    bool ids_in_range(const Lookups& lookups, const int64_t* rows);

    // Whether offsets[0..bags] start at 0, never fall and end at `ids`.
    bool offsets_rise(const int64_t* offsets, int64_t bags, int64_t ids);)
