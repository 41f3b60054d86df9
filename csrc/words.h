// 64-bit words side by side, one per crossbar column, as many as a register holds, and the few operations on them that
// compilers don't find.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace kernels::KERNEL_ISA {
namespace {

#if defined(__AVX512VPOPCNTDQ__)
constexpr int kWidth = 8;
#elif defined(__AVX2__)
constexpr int kWidth = 4;
#else
constexpr int kWidth = 2;
#endif

typedef uint64_t Words __attribute__((vector_size(kWidth * 8)));
typedef int64_t Sums __attribute__((vector_size(kWidth * 8)));

inline Words load_words(const uint64_t* from) {
  Words value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline Sums load_sums(const int64_t* from) {
  Sums value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Counting ones has two steps, so that counts of several words can be added in between: count_ones gives counts per
// part of a word (a whole word or, without VPOPCNTDQ, a byte); add_parts adds the parts of each word. The sum of what
// is added in between must not exceed kPart.
#if defined(__AVX512VPOPCNTDQ__)
constexpr int64_t kPart = INT64_MAX;
inline Words count_ones(const Words& value) { return (Words)_mm512_popcnt_epi64((__m512i)value); }
inline Words add_parts(const Words& counts) { return counts; }
#elif defined(__AVX2__)
constexpr int64_t kPart = 255;
inline Words count_ones(const Words& words) {  // by nibbles: Mula, Kurz, Lemire, arXiv 1611.07612
  const __m256i ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i value = (__m256i)words;
  const __m256i low = _mm256_and_si256(value, nibble);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(value, 4), nibble);
  return (Words)_mm256_add_epi8(_mm256_shuffle_epi8(ones, low), _mm256_shuffle_epi8(ones, high));
}
inline Words add_parts(const Words& counts) { return (Words)_mm256_sad_epu8((__m256i)counts, _mm256_setzero_si256()); }
#else
constexpr int64_t kPart = 255;
inline Words count_ones(const Words& value) {
  const Words pairs = value - ((value >> 1) & 0x5555555555555555u);
  const Words nibbles = (pairs & 0x3333333333333333u) + ((pairs >> 2) & 0x3333333333333333u);
  return (nibbles + (nibbles >> 4)) & 0x0f0f0f0f0f0f0f0fu;
}
inline Words add_parts(const Words& counts) {
  const Words shorts = (counts & 0x00ff00ff00ff00ffu) + ((counts >> 8) & 0x00ff00ff00ff00ffu);
  const Words ints = (shorts & 0x0000ffff0000ffffu) + ((shorts >> 16) & 0x0000ffff0000ffffu);
  return (ints & 0x00000000ffffffffu) + (ints >> 32);
}
#endif

// Word of the bits number `bit` of 64 codes, code i in bit i.
inline uint64_t gather_bits(const uint16_t* codes, int bit) {
#if defined(__AVX512BW__)
  const __m512i mask = _mm512_set1_epi16(static_cast<int16_t>(1u << bit));
  const uint64_t low = _mm512_test_epi16_mask(_mm512_loadu_si512(codes), mask);
  const uint64_t high = _mm512_test_epi16_mask(_mm512_loadu_si512(codes + 32), mask);
  return low | (high << 32);
#elif defined(__AVX2__)
  uint64_t word = 0;
  const __m128i left = _mm_cvtsi32_si128(15 - bit);
  for (int part = 0; part < 2; ++part) {
    const __m256i* const from = reinterpret_cast<const __m256i*>(codes + 32 * part);
    const __m256i a = _mm256_srai_epi16(_mm256_sll_epi16(_mm256_loadu_si256(from), left), 15);
    const __m256i b = _mm256_srai_epi16(_mm256_sll_epi16(_mm256_loadu_si256(from + 1), left), 15);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8);
    word |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(bytes))) << (32 * part);
  }
  return word;
#else
  uint64_t word = 0;
  for (int i = 0; i < 64; ++i) word |= static_cast<uint64_t>((codes[i] >> bit) & 1u) << i;
  return word;
#endif
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
