// A vector of float32 as wide as a register of the instruction set that is being compiled.
#pragma once

#include <cstdint>
#include <cstring>

namespace kernels::KERNEL_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));

inline Floats load(const float* from) {
  Floats value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, const Floats& value) { std::memcpy(to, &value, sizeof value); }

constexpr int64_t round_up(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

}  // namespace
}  // namespace kernels::KERNEL_ISA
