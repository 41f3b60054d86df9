// Codes of conversions to the results of crossbar_lookup: shift-and-add over phases and slices.
#pragma once

#include <cstdint>

#include "bytes.h"
#include "crossbar_inputs.h"

namespace kernels::KERNEL_ISA {
namespace {

// Adds (or, where sign is -1, subtracts) the codes of one slice's phases, shifted, to 32-bit results.
inline void shift_add(const InputPhases& phases, const uint8_t* codes, Bytes top, int shift, int32_t sign,
                      Ints (&results)[4]) {
  Ints sums[4] = {};
  const int run = 8 / phases.dac_bits;  // phases whose total fits into 16 bits
  for (int first = 0; first < phases.count; first += run) {
    const int end = first + run < phases.count ? first + run : phases.count;
    UnsignedShorts low = {}, high = {};
    int p = end;
    if ((end - first) % 2 != 0) {
      const Bytes code = smaller(load_as<Bytes>(codes + --p * kBytes), top);
      low = (UnsignedShorts)interleave_low(code, Bytes{});
      high = (UnsignedShorts)interleave_high(code, Bytes{});
    }
    while (p > first) {
      p -= 2;
      const Bytes a = smaller(load_as<Bytes>(codes + p * kBytes), top);
      const Bytes b = smaller(load_as<Bytes>(codes + (p + 1) * kBytes), top);
      const int weights = 1 | (256 << phases.dac_bits);
      low = (low << (2 * phases.dac_bits)) + (UnsignedShorts)add_pairs(interleave_low(a, b), weights);
      high = (high << (2 * phases.dac_bits)) + (UnsignedShorts)add_pairs(interleave_high(a, b), weights);
    }
    const int left = shift + first * phases.dac_bits;
    sums[0] += (Ints)interleave_low((Shorts)low, Shorts{}) << left;
    sums[1] += (Ints)interleave_high((Shorts)low, Shorts{}) << left;
    sums[2] += (Ints)interleave_low((Shorts)high, Shorts{}) << left;
    sums[3] += (Ints)interleave_high((Shorts)high, Shorts{}) << left;
  }
  if (phases.sign) {
    const Bytes code = smaller(load_as<Bytes>(codes + phases.count * kBytes), top);
    const Shorts low = (Shorts)interleave_low(code, Bytes{}), high = (Shorts)interleave_high(code, Bytes{});
    const int left = shift + phases.low_bits;
    sums[0] -= (Ints)interleave_low(low, Shorts{}) << left;
    sums[1] -= (Ints)interleave_high(low, Shorts{}) << left;
    sums[2] -= (Ints)interleave_low(high, Shorts{}) << left;
    sums[3] -= (Ints)interleave_high(high, Shorts{}) << left;
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) results[i] = sign == 0 ? results[i] + sums[i] : results[i] - sums[i];
}

// As shift_add for two slices of 8 phases whose shifts are Apart apart. What counts alike is added as bytes, two codes
// of up to 127 at a time: 2^0 to 2^6 then take 15 bits, and the counts above 11.
template <int Apart>
inline void shift_add_apart(const uint8_t* codes, Bytes top, int shift, int32_t sign, Ints (&results)[4]) {
  constexpr int counts = 8 + Apart, split = 7, last = (counts - split - 1) / 2 * 2 + split;
  const auto alike = [&](int count) {
    Bytes sum = {};
    if (count < 8) sum = smaller(load_as<Bytes>(codes + count * kBytes), top);
    if (count >= Apart && count < counts) sum += smaller(load_as<Bytes>(codes + (8 + count - Apart) * kBytes), top);
    return sum;
  };
  const int weights = 1 | (256 << 1);
  const Bytes middle = alike(split - 1);
  Shorts low = (Shorts)interleave_low(middle, Bytes{}), high = (Shorts)interleave_high(middle, Bytes{});
#pragma GCC unroll 3
  for (int count = split - 3; count >= 0; count -= 2) {
    const Bytes a = alike(count), b = alike(count + 1);
    low = (low << 2) + add_pairs(interleave_low(a, b), weights);
    high = (high << 2) + add_pairs(interleave_high(a, b), weights);
  }
  Shorts above_low = {}, above_high = {};
#pragma GCC unroll 3
  for (int count = last; count >= split; count -= 2) {
    const Bytes a = alike(count), b = alike(count + 1);
    above_low = (above_low << 2) + add_pairs(interleave_low(a, b), weights);
    above_high = (above_high << 2) + add_pairs(interleave_high(a, b), weights);
  }
  const int once = (sign == 0 ? 1 : -1) * (1 << shift), above = once * (1 << split);
  results[0] += add_pairs(interleave_low(low, above_low), once, above);
  results[1] += add_pairs(interleave_high(low, above_low), once, above);
  results[2] += add_pairs(interleave_low(high, above_high), once, above);
  results[3] += add_pairs(interleave_high(high, above_high), once, above);
}

// The same, false and nothing added where it does not serve.
inline bool shift_add_two(const InputPhases& phases, const uint8_t* codes, int top, const int32_t* shifts, int32_t sign,
                          Ints (&results)[4]) {
  if (phases.count != 8 || phases.dac_bits != 1 || phases.sign || top > 127 || shifts[0] > 7) return false;
  switch (shifts[1] - shifts[0]) {
    case 1: shift_add_apart<1>(codes, all_bytes(top), shifts[0], sign, results); return true;
    case 2: shift_add_apart<2>(codes, all_bytes(top), shifts[0], sign, results); return true;
    case 4: shift_add_apart<4>(codes, all_bytes(top), shifts[0], sign, results); return true;
    default: return false;
  }
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
