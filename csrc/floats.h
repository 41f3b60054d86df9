// A vector of float32 as wide as a register of the instruction set that is being compiled.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace kernels::KERNEL_ISA {
namespace {

// kNarrow: lanes of the widest register of which two take no longer than one Floats on every machine.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kNarrow = 8;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kNarrow = 8;
constexpr int kRegisters = 16;
#else
constexpr int kLanes = 4;
constexpr int kNarrow = 4;
constexpr int kRegisters = 16;
#endif

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef float NarrowFloats __attribute__((vector_size(kNarrow * sizeof(float))));

template <class Vector = Floats>
inline Vector load(const float* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Vector>
inline void store(float* to, const Vector& value) {
  std::memcpy(to, &value, sizeof value);
}

template <class Vector = Floats>
inline Vector fill(float value) {
  return value - Vector{};
}

// The first `count` lanes, 0 to kLanes; the others are 0, and what lies there in memory is neither read nor written.
inline Floats load_first(const float* from, int64_t count) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#elif defined(__AVX2__)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return (Floats)_mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lanes));
#else
  Floats value = {};
  std::memcpy(&value, from, count * sizeof(float));
  return value;
#endif
}

inline void store_first(float* to, int64_t count, const Floats& value) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)value);
#else
  std::memcpy(to, &value, count * sizeof(float));
#endif
}

// a * b + c: rounded once on AVX2 and AVX-512, after each step in plain C++.
#if defined(__AVX512F__)
inline Floats multiply_add(const Floats& a, const Floats& b, const Floats& c) {
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#endif
#if defined(__AVX2__)
inline NarrowFloats multiply_add(const NarrowFloats& a, const NarrowFloats& b, const NarrowFloats& c) {
  return (NarrowFloats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#else
inline Floats multiply_add(const Floats& a, const Floats& b, const Floats& c) { return a * b + c; }
#endif

// A store that goes past the caches: for results too large to stay there, it saves reading what is overwritten. `to` is
// aligned as a register; end_streams() comes before another thread may read the result.
inline void stream(float* to, const Floats& value) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, (__m512)value);
#elif defined(__AVX2__)
  _mm256_stream_ps(to, (__m256)value);
#else
  store(to, value);
#endif
}

inline void end_streams() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

// Whether to stream rows of `dim` numbers: whole cache lines, `large` numbers or more.
inline bool streams(const float* to, int64_t rows, int64_t dim, int64_t large) {
  return dim % (64 / sizeof(float)) == 0 && reinterpret_cast<uintptr_t>(to) % 64 == 0 && rows * dim >= large;
}

// Asks for memory that is needed soon: into the second-level cache, a line at a time. Always inlined: GCC takes a
// function that only prefetches for one without effect, and drops calls of it.
[[gnu::always_inline]] inline void prefetch(const void* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(from) + i, 0, 2);
}

// A number that the compiler knows: calls work(Known<n>) with n = count, or Most where count is larger.
template <int Value>
struct Known {
  static constexpr int value = Value;
};

template <int Most, class Work>
inline void with_known(int64_t count, const Work& work) {
  if constexpr (Most > 1) {
    if (count < Most) return with_known<Most - 1>(count, work);
  }
  work(Known<Most>{});
}

constexpr int64_t round_up(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

}  // namespace
}  // namespace kernels::KERNEL_ISA
