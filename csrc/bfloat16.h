// bfloat16, the upper half of a float32, held as its 16 bits: to float32 and back.
#pragma once

#include "floats.h"

namespace kernels::KERNEL_ISA {
namespace {

inline float widen(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// To the nearest, halfway cases to even; NaN stays NaN.
inline uint16_t narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return static_cast<uint16_t>(value == value ? rounded : (bits >> 16 | 0x40u));
}

inline void widen(const uint16_t* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = widen(from[i]);
}

inline void narrow(const float* from, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = narrow(from[i]);
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
