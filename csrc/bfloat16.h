// bfloat16, the upper half of a float32, held as its 16 bits: to float32 and back, a register at a time.
#pragma once

#include "floats.h"

namespace kernels::KERNEL_ISA {
namespace {

typedef uint16_t Halves __attribute__((vector_size(kLanes * sizeof(uint16_t))));
typedef uint32_t Wholes __attribute__((vector_size(kLanes * sizeof(uint32_t))));

inline Floats load(const uint16_t* from) {
  Halves bits;
  std::memcpy(&bits, from, sizeof bits);
  return (Floats)(__builtin_convertvector(bits, Wholes) << 16);
}

// To the nearest, halfway cases to even; NaN stays NaN.
inline void store(uint16_t* to, const Floats& value) {
  const Wholes bits = (Wholes)value;
  const Wholes rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const Halves halves = __builtin_convertvector(value == value ? rounded : (bits >> 16 | 0x40u), Halves);
  std::memcpy(to, &halves, sizeof halves);
}

// The first `count` lanes, 1 to kLanes; the others are 0, and what lies there in memory is neither read nor written.
inline Floats load_first(const uint16_t* from, int64_t count) {
  uint16_t bits[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) bits[i] = from[i];
  return load(bits);
}

inline void store_first(uint16_t* to, int64_t count, const Floats& value) {
  uint16_t bits[kLanes];
  store(bits, value);
  for (int64_t i = 0; i < count; ++i) to[i] = bits[i];
}

inline void stream(uint16_t* to, const Floats& value) { store(to, value); }
inline bool streams(const uint16_t*, int64_t, int64_t, int64_t) { return false; }

inline void widen(const uint16_t* from, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  if (i < count) store_first(to + i, count - i, load_first(from + i, count - i));
}

inline void narrow(const float* from, int64_t count, uint16_t* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  if (i < count) store_first(to + i, count - i, load_first(from + i, count - i));
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
