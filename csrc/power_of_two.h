// What a softmax needs, of whole registers: powers of two and maxima. Scores are in units of log 2: times kLog2e.
#pragma once

#include "floats.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr float kLog2e = 1.44269504088896341f;

inline Floats larger(const Floats& a, const Floats& b) { return a > b ? a : b; }

typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(uint32_t))));  // sums may wrap

// 2^x for -100 <= x <= 100, within 2 units in the last place: the nearest integer goes into the exponent, the rest into
// a polynomial (minimax in relative error on [-1/2, 1/2] with constant term 1, 2e-9). NaN need not stay NaN.
// `MultiplyAdd` rounds as it likes.
template <class MultiplyAdd>
inline Floats near_power_of_two(const Floats& x, const MultiplyAdd& multiply_add) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const Floats rounded = x + kRound;
  const Floats f = x - (rounded - kRound);
  Floats value = multiply_add(fill(1.53551553e-04f), f, fill(1.33989352e-03f));
  value = multiply_add(value, f, fill(9.61842933e-03f));
  value = multiply_add(value, f, fill(5.55033235e-02f));
  value = multiply_add(value, f, fill(2.40226480e-01f));
  value = multiply_add(value, f, fill(6.93147203e-01f));
  value = multiply_add(value, f, fill(1.0f));
  return (Floats)((Bits)value + ((Bits)rounded << 23));
}

// 2^x for x <= 100: 0 below 2^-100; NaN stays NaN, whatever its bits.
template <class MultiplyAdd>
inline Floats power_of_two(const Floats& x, const MultiplyAdd& multiply_add) {
  const Floats power = near_power_of_two(x, multiply_add);
  return x >= -100.0f ? power : 0.0f > x ? Floats{} : x;
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
