// A register of bytes, one per lane, and the same register as 16- and 32-bit numbers. Operators are the compiler's own;
// below is what compilers don't find. Interleaving stays inside parts of 16 bytes on every instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns of what its own intrinsics leave undefined
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace kernels::KERNEL_ISA {
namespace {

#if defined(__AVX512BW__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

typedef uint8_t Bytes __attribute__((vector_size(kBytes)));
typedef int8_t SignedBytes __attribute__((vector_size(kBytes)));
typedef int16_t Shorts __attribute__((vector_size(kBytes)));
typedef uint16_t UnsignedShorts __attribute__((vector_size(kBytes)));
typedef int32_t Ints __attribute__((vector_size(kBytes)));
typedef uint32_t UnsignedInts __attribute__((vector_size(kBytes)));

template <class Vector>
inline Vector load_as(const void* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Vector>
inline void store_as(void* to, const Vector& value) {
  std::memcpy(to, &value, sizeof value);
}

inline Shorts all_shorts(int value) { return static_cast<int16_t>(value) + Shorts{}; }
inline Bytes all_bytes(int value) { return static_cast<uint8_t>(value) + Bytes{}; }

// Keeps a value in a register: compilers would rather load it again for each use, and loads are what is scarce.
template <class Vector>
inline void keep(Vector& value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__AVX2__)
  asm("" : "+x"(value));
#else
  (void)value;
#endif
}

// The names below: spread: a table of 16 bytes in each part of 16. look_up: table[index], index 0..15. add_clipped:
// saturating. smaller, larger: lane by lane. interleave_*: a0 b0 a1 b1 ... of the lower or upper half of each part.
// narrow: the signed numbers of `low` and `high`, clipped to 0..255, in the order that interleaving bytes began with.
// add_pairs: bytes a0 * w0 + a1 * w1 as 16-bit numbers, `weights` = w0 | w1 << 8, each up to 127; must fit.
// high_product: the upper halves of 32-bit products.
#if defined(__AVX512BW__)
typedef __m512i Whole;
#define KERNELS_BYTES(name512, name256) name512
#elif defined(__AVX2__)
typedef __m256i Whole;
#define KERNELS_BYTES(name512, name256) name256
#endif

#if defined(__AVX2__)
inline Bytes spread(const uint8_t* table) {
  const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return (Bytes)KERNELS_BYTES(_mm512_broadcast_i32x4, _mm256_broadcastsi128_si256)(part);
}
inline Bytes look_up(Bytes table, Bytes index) {
  return (Bytes)KERNELS_BYTES(_mm512_shuffle_epi8, _mm256_shuffle_epi8)((Whole)table, (Whole)index);
}
inline Bytes add_clipped(Bytes a, Bytes b) {
  return (Bytes)KERNELS_BYTES(_mm512_adds_epu8, _mm256_adds_epu8)((Whole)a, (Whole)b);
}
inline Shorts add_clipped(Shorts a, Shorts b) {
  return (Shorts)KERNELS_BYTES(_mm512_adds_epi16, _mm256_adds_epi16)((Whole)a, (Whole)b);
}
inline Bytes smaller(Bytes a, Bytes b) {
  return (Bytes)KERNELS_BYTES(_mm512_min_epu8, _mm256_min_epu8)((Whole)a, (Whole)b);
}
inline Shorts smaller(Shorts a, Shorts b) {
  return (Shorts)KERNELS_BYTES(_mm512_min_epi16, _mm256_min_epi16)((Whole)a, (Whole)b);
}
inline Shorts larger(Shorts a, Shorts b) {
  return (Shorts)KERNELS_BYTES(_mm512_max_epi16, _mm256_max_epi16)((Whole)a, (Whole)b);
}
inline Bytes interleave_low(Bytes a, Bytes b) {
  return (Bytes)KERNELS_BYTES(_mm512_unpacklo_epi8, _mm256_unpacklo_epi8)((Whole)a, (Whole)b);
}
inline Bytes interleave_high(Bytes a, Bytes b) {
  return (Bytes)KERNELS_BYTES(_mm512_unpackhi_epi8, _mm256_unpackhi_epi8)((Whole)a, (Whole)b);
}
inline Shorts interleave_low(Shorts a, Shorts b) {
  return (Shorts)KERNELS_BYTES(_mm512_unpacklo_epi16, _mm256_unpacklo_epi16)((Whole)a, (Whole)b);
}
inline Shorts interleave_high(Shorts a, Shorts b) {
  return (Shorts)KERNELS_BYTES(_mm512_unpackhi_epi16, _mm256_unpackhi_epi16)((Whole)a, (Whole)b);
}
inline Bytes narrow(Shorts low, Shorts high) {
  return (Bytes)KERNELS_BYTES(_mm512_packus_epi16, _mm256_packus_epi16)((Whole)low, (Whole)high);
}
inline Shorts add_pairs(Bytes a, int weights) {
  const Whole factors = KERNELS_BYTES(_mm512_set1_epi16, _mm256_set1_epi16)(static_cast<int16_t>(weights));
  return (Shorts)KERNELS_BYTES(_mm512_maddubs_epi16, _mm256_maddubs_epi16)((Whole)a, factors);
}
inline Shorts high_product(Shorts a, Shorts b) {
  return (Shorts)KERNELS_BYTES(_mm512_mulhi_epi16, _mm256_mulhi_epi16)((Whole)a, (Whole)b);
}
inline UnsignedShorts high_product(UnsignedShorts a, UnsignedShorts b) {
  return (UnsignedShorts)KERNELS_BYTES(_mm512_mulhi_epu16, _mm256_mulhi_epu16)((Whole)a, (Whole)b);
}
#undef KERNELS_BYTES
#if defined(__AVX512VBMI__)
#define KERNELS_TABLES_OF_64 1
// As look_up with a table of 64 bytes, which is loaded as it is.
inline Bytes look_up_64(Bytes table, Bytes index) {
  return (Bytes)_mm512_permutexvar_epi8((__m512i)index, (__m512i)table);
}
#endif
#else
inline Bytes spread(const uint8_t* table) { return load_as<Bytes>(table); }
inline Bytes look_up(Bytes table, Bytes index) {
  Bytes result;
  for (int i = 0; i < kBytes; ++i) result[i] = table[index[i]];
  return result;
}
inline Bytes add_clipped(Bytes a, Bytes b) {
  const Bytes sum = a + b;
  return sum | (Bytes)(sum < a);
}
inline Shorts add_clipped(Shorts a, Shorts b) {
  Shorts result;
  for (int i = 0; i < kBytes / 2; ++i) {
    const int sum = a[i] + b[i];
    result[i] = static_cast<int16_t>(sum < -32768 ? -32768 : sum > 32767 ? 32767 : sum);
  }
  return result;
}
inline Bytes smaller(Bytes a, Bytes b) { return a < b ? a : b; }
inline Shorts smaller(Shorts a, Shorts b) { return a < b ? a : b; }
inline Shorts larger(Shorts a, Shorts b) { return a > b ? a : b; }
template <class Vector>
inline Vector interleave(Vector a, Vector b, int first) {
  Vector result;
  constexpr int lanes = static_cast<int>(sizeof a / sizeof a[0]);
  for (int i = 0; i < lanes; i += 2) {
    result[i] = a[first + i / 2];
    result[i + 1] = b[first + i / 2];
  }
  return result;
}
inline Bytes interleave_low(Bytes a, Bytes b) { return interleave(a, b, 0); }
inline Bytes interleave_high(Bytes a, Bytes b) { return interleave(a, b, 8); }
inline Shorts interleave_low(Shorts a, Shorts b) { return interleave(a, b, 0); }
inline Shorts interleave_high(Shorts a, Shorts b) { return interleave(a, b, 4); }
inline Bytes narrow(Shorts low, Shorts high) {
  Bytes result;
  const auto clip = [](int value) { return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value); };
  for (int i = 0; i < kBytes / 2; ++i) {  // not (i < ... ? low : high)[...]: GCC 12's UBSan build then takes low alone
    result[i] = clip(low[i]);
    result[kBytes / 2 + i] = clip(high[i]);
  }
  return result;
}
inline Shorts add_pairs(Bytes a, int weights) {
  Shorts result;
  for (int i = 0; i < kBytes / 2; ++i) {
    result[i] = static_cast<int16_t>(a[2 * i] * (weights & 0xff) + a[2 * i + 1] * (weights >> 8));
  }
  return result;
}
inline Shorts high_product(Shorts a, Shorts b) {
  Shorts result;
  for (int i = 0; i < kBytes / 2; ++i) result[i] = static_cast<int16_t>((a[i] * b[i]) >> 16);
  return result;
}
inline UnsignedShorts high_product(UnsignedShorts a, UnsignedShorts b) {
  UnsignedShorts result;
  for (int i = 0; i < kBytes / 2; ++i) {
    result[i] = static_cast<uint16_t>((static_cast<uint32_t>(a[i]) * b[i]) >> 16);
  }
  return result;
}
#endif

}  // namespace
}  // namespace kernels::KERNEL_ISA
