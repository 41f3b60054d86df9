// The bare inner loop of table look-ups: the limit that the crossbar kernel is measured against. A column's tables are
// taken from a list in the caches by number, as the kernel takes them; indices come from the first-level cache; each
// look-up is one shuffle and one saturating addition. No slicing of inputs, no conversion, no shift-and-add, no results.
// Compiled and called by benchmarks/lookup_loop.py.
#include <immintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

// lines: pairs of (column, slice, block); steps: look-ups of each. 8 phases of 64 vectors.
template <class Table, int kPhases, int kParts, class Load, class LookUp, class Store>
void loop(int64_t lines, int64_t steps, const uint16_t* numbers, const uint8_t* tables, int shift, const uint8_t* index,
          uint8_t* out, Load load, LookUp look_up, Store store) {
  constexpr int kBytes = static_cast<int>(sizeof(Table));
  for (int64_t line = 0; line < lines; line += 2) {
    for (int part = 0; part < kParts; ++part) {
      Table sums[2][kPhases] = {};
      const uint16_t* const first = numbers + line * steps;
      const uint8_t* const place = index + part * steps * kPhases * kBytes;
      int64_t s = 0;
      do {
        const Table low = load(tables + (static_cast<int64_t>(first[s]) << shift));
        const Table high = load(tables + (static_cast<int64_t>(first[steps + s]) << shift));
#pragma GCC unroll 8
        for (int p = 0; p < kPhases; ++p) {
          const uint8_t* const from = place + (s * kPhases + p) * kBytes;
          look_up(sums[0][p], sums[1][p], low, high, from);
        }
      } while (++s < steps);
#pragma GCC unroll 8
      for (int p = 0; p < kPhases; ++p) {
        store(out + p * kBytes, sums[0][p]);
        store(out + (kPhases + p) * kBytes, sums[1][p]);
      }
    }
  }
}

}  // namespace

// bits: 4 (16-byte tables) or 6 (64-byte tables, AVX-512 VBMI). Returns 0 where this machine has no such instructions.
extern "C" int run_avx2(int64_t lines, int64_t steps, const uint16_t* numbers, const uint8_t* tables,
                        const uint8_t* index, uint8_t* out);
extern "C" int run_avx512(int bits, int64_t lines, int64_t steps, const uint16_t* numbers, const uint8_t* tables,
                          const uint8_t* index, uint8_t* out);

#if defined(__AVX512VBMI__)
int run_avx512(int bits, int64_t lines, int64_t steps, const uint16_t* numbers, const uint8_t* tables,
               const uint8_t* index, uint8_t* out) {
  const auto store = [](uint8_t* to, __m512i value) { _mm512_storeu_si512(to, value); };
  if (bits == 6) {
    loop<__m512i, 8, 1>(lines, steps, numbers, tables, 6, index, out,
                        [](const uint8_t* from) { return _mm512_loadu_si512(from); },
                        [](__m512i& a, __m512i& b, __m512i low, __m512i high, const uint8_t* from) {
                          __m512i place = _mm512_loadu_si512(from);
                          a = _mm512_adds_epu8(a, _mm512_permutexvar_epi8(place, low));
                          b = _mm512_adds_epu8(b, _mm512_permutexvar_epi8(place, high));
                        },
                        store);
  } else {
    loop<__m512i, 8, 1>(lines, steps, numbers, tables, 4, index, out,
                        [](const uint8_t* from) {
                          return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
                        },
                        [](__m512i& a, __m512i& b, __m512i low, __m512i high, const uint8_t* from) {
                          __m512i place = _mm512_loadu_si512(from);
                          asm("" : "+v"(place));  // one load for both
                          a = _mm512_adds_epu8(a, _mm512_shuffle_epi8(low, place));
                          b = _mm512_adds_epu8(b, _mm512_shuffle_epi8(high, place));
                        },
                        store);
  }
  return 1;
}
#else
int run_avx2(int64_t lines, int64_t steps, const uint16_t* numbers, const uint8_t* tables, const uint8_t* index,
             uint8_t* out) {
  loop<__m256i, 4, 4>(lines, steps, numbers, tables, 4, index, out,
                      [](const uint8_t* from) {
                        return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
                      },
                      [](__m256i& a, __m256i& b, __m256i low, __m256i high, const uint8_t* from) {
                        const __m256i place = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
                        a = _mm256_adds_epu8(a, _mm256_shuffle_epi8(low, place));
                        b = _mm256_adds_epu8(b, _mm256_shuffle_epi8(high, place));
                      },
                      [](uint8_t* to, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); });
  return 1;
}
#endif
