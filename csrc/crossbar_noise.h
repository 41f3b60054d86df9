// Gaussian noise of conversions, drawn by counting: what a conversion gets depends on the seed and on its place alone
// (vector, block, slice, phase, column), never on how the work is shared out or on the instruction set.
//
// Method. mix64 (the finaliser of SplitMix64: Steele, Lea, Flood, OOPSLA 2014) turns seed, block, slice and column into
// two keys of 32 bits. Phase p of the vectors 4w ... 4w + 3 then hashes to two words of 32 bits (multiply and
// xor-shift, as Wellons' lowbias32), of which vector 4w + i takes byte i each: bytes a and b, 16 random bits. With four
// tables of 16 whole numbers, z = 256 (T0[a & 15] + T1[a >> 4] + T2[b & 15] + T3[b >> 4]) + a; the tables are such that
// z + the mean 127.5 left out is symmetric and as near to a Gaussian as 2^16 equally likely values were found to get:
// distribution function within 0.0007 of it, kurtosis 3.001, sigma 7453.4, largest value 4.2 sigma. The noise is the whole number
// (((z * factor) >> 16) + half) >> shift, in the units of column sums: rounded, or rounded down where the conversion
// that it is added to rounds by adding half an even step. For whole column sums both lose nothing.
#pragma once

#include <cstdint>

#include "crossbar_mac.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int8_t kNoiseTables[4][16] = {
    {-17, 6, 15, -10, -7, -13, 1, -29, 29, -1, 13, 7, 10, -15, -6, 17},
    {-13, -12, -10, 37, -4, 16, -5, -2, 2, 5, -16, 4, -37, 10, 12, 13},
    {-6, 1, -1, 5, 30, 9, -3, -2, 2, 3, -9, -30, -5, 1, -1, 6},
    {14, -1, 5, -27, 21, -18, 8, -12, 12, -8, 18, -21, 27, -5, 1, -14},
};

constexpr uint32_t kVectorStep = 0x9e3779b1u, kPhaseStep = 0x85ebca77u;
constexpr uint32_t kMix0 = 0x21f0aaadu, kMix1 = 0xd35a2d97u, kMix2 = 0x735a2d95u;

template <class Word>
inline Word mix64(Word z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Low half: the first key, high half: the second.
template <class Word>
inline Word noise_key(uint64_t seed, int64_t block, int64_t slices, int64_t slice, Word column) {
  return mix64(mix64(seed) ^ (static_cast<uint64_t>(block * slices + slice) << 32) ^ column);
}

// Two words from the count of four vectors and a phase; Word holds 32 bits, or 64 of which the lower half counts.
inline uint32_t noise_count(int64_t vector, int phase) {
  return static_cast<uint32_t>(vector >> 2) * kVectorStep + static_cast<uint32_t>(phase) * kPhaseStep;
}

template <class Word>
inline void noise_words(Word count, Word key0, Word key1, Word* first, Word* second) {
  Word x = count ^ key0;
  x = (x ^ (x >> 16)) * kMix0;
  x = (x ^ (x >> 15)) + key1;
  const Word a = x * kMix1, b = x * kMix2;
  *first = a ^ (a >> 15);
  *second = b ^ (b >> 15);
}

// z of a conversion as the sum of two look-ups: low[a] + high[b].
struct NoiseSums {
  NoiseSums() {
    for (int i = 0; i < 256; ++i) {
      low[i] = 256 * (kNoiseTables[0][i & 15] + kNoiseTables[1][i >> 4]) + i;
      high[i] = 256 * (kNoiseTables[2][i & 15] + kNoiseTables[3][i >> 4]);
    }
  }
  int32_t low[256], high[256];
};

inline int32_t noise_of(const ConverterNoise& noise, int32_t z) {
  return (((z * noise.factor) >> 16) + noise.half) >> noise.shift;
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
