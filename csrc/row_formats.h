// Rows of embedding tables as registers of float32, whatever they are stored as. A row type has
//   kBits               bits of a stored element;
//   kScaled             whether an element is a code, value = scale * code + bias, with scale and bias per row;
//   load(row, index)         elements index .. index + kLanes - 1 of a row;
//   load(row, index, count)  its last `count` < kLanes elements, zeros after them, nothing read beyond the row.
#pragma once

#include "floats.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace kernels::KERNEL_ISA {
namespace {

typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(uint32_t))));

#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns of its own undefined registers in the forms without a mask
inline __mmask16 first_lanes(int count) { return static_cast<__mmask16>((1u << count) - 1); }
#endif

struct Float32Row {
  static constexpr int kBits = 32;
  static constexpr bool kScaled = false;
  static Floats load(const char* row, int64_t index) {
    return KERNEL_ISA::load(reinterpret_cast<const float*>(row) + index);
  }
  static Floats load(const char* row, int64_t index, int count) {
    return load_first(reinterpret_cast<const float*>(row) + index, count);
  }
};

// 16-bit elements: the registers of half the width, and how their values become float32.
#if defined(__AVX512F__)
typedef __m256i Halves;
inline Bits widen(Halves halves) { return (Bits)_mm512_maskz_cvtepu16_epi32(kAll, halves); }
#elif defined(__AVX2__)
typedef __m128i Halves;
inline Bits widen(Halves halves) { return (Bits)_mm256_cvtepu16_epi32(halves); }
#else
typedef uint16_t Halves __attribute__((vector_size(kLanes * sizeof(uint16_t))));
inline Bits widen(Halves halves) { return __builtin_convertvector(halves, Bits); }
#endif

inline Halves load_halves(const char* row, int64_t index) {
  Halves value;
  std::memcpy(&value, row + index * 2, sizeof value);
  return value;
}

inline Halves load_halves(const char* row, int64_t index, int count) {
#if defined(__AVX512F__)
  return _mm256_maskz_loadu_epi16(first_lanes(count), row + index * 2);
#else
  uint16_t elements[kLanes] = {};
  for (int i = 0; i < count; ++i) std::memcpy(elements + i, row + (index + i) * 2, 2);
  Halves value;
  std::memcpy(&value, elements, sizeof value);
  return value;
#endif
}

inline Floats from_float16(Halves halves) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_cvtph_ps(kAll, halves);
#elif defined(__AVX2__)
  return (Floats)_mm256_cvtph_ps(halves);
#else
  // The exponent's bias grows by 112, which also makes subnormals right; infinities and NaNs keep the largest exponent.
  const Bits bits = widen(halves);
  const Floats size = (Floats)((bits & 0x7fffu) << 13) * 0x1p112f;
  const Bits largest = (Bits)((bits & 0x7c00u) == 0x7c00u) & 0x7f800000u;
  return (Floats)((Bits)size | largest | ((bits & 0x8000u) << 16));
#endif
}

struct Float16Row {
  static constexpr int kBits = 16;
  static constexpr bool kScaled = false;
  static Floats load(const char* row, int64_t index) { return from_float16(load_halves(row, index)); }
  static Floats load(const char* row, int64_t index, int count) {
    return from_float16(load_halves(row, index, count));
  }
};

struct BFloat16Row {
  static constexpr int kBits = 16;
  static constexpr bool kScaled = false;
  static Floats load(const char* row, int64_t index) { return (Floats)(widen(load_halves(row, index)) << 16); }
  static Floats load(const char* row, int64_t index, int count) {
    return (Floats)(widen(load_halves(row, index, count)) << 16);
  }
};

// Rows of codes are padded to whole registers of the widest instruction set (kCodesPadded), so their end needs no care.
constexpr int64_t kCodesPadded = 16;

struct Int8Row {
  static constexpr int kBits = 8;
  static constexpr bool kScaled = true;
  static Floats load(const char* row, int64_t index) {
#if defined(__AVX512F__)
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + index));
    return (Floats)_mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepu8_epi32(kAll, codes));
#elif defined(__AVX2__)
    return (Floats)_mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + index))));
#else
    typedef uint8_t Codes __attribute__((vector_size(kLanes)));
    Codes codes;
    std::memcpy(&codes, row + index, sizeof codes);
    return __builtin_convertvector(codes, Floats);
#endif
  }
  static Floats load(const char* row, int64_t index, int) { return load(row, index); }
};

// Two codes a byte, the first in its low half.
struct Int4Row {
  static constexpr int kBits = 4;
  static constexpr bool kScaled = true;
  static Floats load(const char* row, int64_t index) {
    uint32_t eight[kLanes > 8 ? 2 : 1];  // 8 codes a word
#if defined(__AVX512F__)
    std::memcpy(eight, row + index / 2, 8);
    const __m512i words = _mm512_mask_set1_epi32(_mm512_set1_epi32(static_cast<int>(eight[0])), 0xff00,
                                                 static_cast<int>(eight[1]));
    const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i codes = _mm512_maskz_srlv_epi32(kAll, words, shifts) & _mm512_set1_epi32(15);
    return (Floats)_mm512_maskz_cvtepi32_ps(kAll, codes);
#elif defined(__AVX2__)
    std::memcpy(eight, row + index / 2, 4);
    const __m256i words = _mm256_set1_epi32(static_cast<int>(eight[0]));
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    return (Floats)_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(words, shifts), _mm256_set1_epi32(15)));
#else
    uint8_t byte[2];
    std::memcpy(byte, row + index / 2, 2);
    Floats value = {static_cast<float>(byte[0] & 15), static_cast<float>(byte[0] >> 4),
                    static_cast<float>(byte[1] & 15), static_cast<float>(byte[1] >> 4)};
    (void)eight;
    return value;
#endif
  }
  static Floats load(const char* row, int64_t index, int) { return load(row, index); }
};

}  // namespace
}  // namespace kernels::KERNEL_ISA
