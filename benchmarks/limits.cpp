// What this machine allows at most: bare loops that do nothing but what a kernel cannot avoid. Compiled on demand by
// limits.py for this machine (-march=native) and called through ctypes; every loop is one parallel region.
// The results go to `sink` or `out`, so that no loop is optimised away.
#include <cstdint>
#include <cstring>

#include "parallel.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

using kernels::parallel_rows;

namespace {

constexpr int64_t kLine = 64;  // bytes
typedef float Line __attribute__((vector_size(kLine), aligned(4), may_alias));

Line load(const char* from) { return *reinterpret_cast<const Line*>(from); }
void store(char* to, Line value) { *reinterpret_cast<Line*>(to) = value; }

int64_t pieces_of(int64_t count, int threads) { return (count + 8 * threads - 1) / (8 * threads); }

typedef float Lanes16 __attribute__((vector_size(64)));
typedef float Lanes8 __attribute__((vector_size(32)));
typedef float Lanes4 __attribute__((vector_size(16)));

// Twelve sums of products in registers: two can be started a cycle, and each takes four.
template <class Lanes>
float multiply_add(int64_t iterations) {
  constexpr int sums = 12;
  Lanes sum[sums], factor, term;
  for (int k = 0; k < sums; ++k) sum[k] = Lanes{} + static_cast<float>(k);
  factor = Lanes{} + static_cast<float>(iterations);
  term = Lanes{} + 0.001f;
    for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < sums; ++k) sum[k] = sum[k] * factor + term;
  }
  float total = 0;
  for (int k = 0; k < sums; ++k) total += sum[k][0];
  return total;
}

#if defined(__AVX2__)
constexpr int64_t kGroups = 32, kPhases = 8, kVectors = 64;  // 4 rows a group: 128 rows

__m256i broadcast(const uint8_t* table, __m256i) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}
__m256i read(const uint8_t* from, __m256i) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
void write(uint8_t* to, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
__m256i add(__m256i sum, __m256i table, __m256i bits) {
  return _mm256_adds_epu8(sum, _mm256_shuffle_epi8(table, bits));
}
#if defined(__AVX512BW__)
__m512i broadcast(const uint8_t* table, __m512i) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}
__m512i read(const uint8_t* from, __m512i) { return _mm512_loadu_si512(from); }
void write(uint8_t* to, __m512i value) { _mm512_storeu_si512(to, value); }
__m512i add(__m512i sum, __m512i table, __m512i bits) {
  return _mm512_adds_epu8(sum, _mm512_shuffle_epi8(table, bits));
}
#endif

// Eight sums, a phase each, over the groups of a block.
template <class Lanes>
inline void look_up_block(const uint8_t* tables, const uint8_t* codes, uint8_t* out) {
  const Lanes kind{};
  Lanes s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{};
#pragma GCC unroll 4
  for (int64_t group = 0; group < kGroups; ++group, tables += 16, codes += kPhases * kVectors) {
    const Lanes table = broadcast(tables, kind);
    s0 = add(s0, table, read(codes + 0 * kVectors, kind));
    s1 = add(s1, table, read(codes + 1 * kVectors, kind));
    s2 = add(s2, table, read(codes + 2 * kVectors, kind));
    s3 = add(s3, table, read(codes + 3 * kVectors, kind));
    s4 = add(s4, table, read(codes + 4 * kVectors, kind));
    s5 = add(s5, table, read(codes + 5 * kVectors, kind));
    s6 = add(s6, table, read(codes + 6 * kVectors, kind));
    s7 = add(s7, table, read(codes + 7 * kVectors, kind));
  }
  write(out, s0 ^ s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6 ^ s7);
}
#endif

}  // namespace

extern "C" {

// 24 * lanes * iterations floating-point operations on each of `threads` threads. lanes: 16, 8 or 4.
void fma_peak(int lanes, int64_t iterations, int threads, float* sink) {
  parallel_rows(threads, 1, threads, [=](int64_t begin, int64_t end, int) {
    for (int64_t thread = begin; thread < end; ++thread) {
      sink[16 * thread] = lanes == 16  ? multiply_add<Lanes16>(iterations)
                          : lanes == 8 ? multiply_add<Lanes8>(iterations)
                                       : multiply_add<Lanes4>(iterations);
    }
  });
}

// Reads `bytes` of `from` once and writes `written` bytes of `to` once, both in order.
void pass_over(const char* from, int64_t bytes, char* to, int64_t written, int threads, float* sink) {
  const int64_t lines = bytes / kLine, more = written / kLine;
  const int64_t pieces = 8 * threads;
  parallel_rows(pieces, 1, threads, [=](int64_t begin, int64_t end, int worker) {
    Line sum[4] = {};
    const int64_t last = lines * end / pieces;
    int64_t line = lines * begin / pieces;
    for (; line + 4 <= last; line += 4) {
      for (int k = 0; k < 4; ++k) sum[k] += load(from + (line + k) * kLine);
    }
    for (; line < last; ++line) sum[0] += load(from + line * kLine);
    const Line total = sum[0] + sum[1] + sum[2] + sum[3];
    for (int64_t out = more * begin / pieces; out < more * end / pieces; ++out) store(to + out * kLine, total);
    sink[16 * worker] = total[0];
  });
}

// For every bag reads its `pooled` rows of `row_bytes` (whole cache lines are fetched) in the order of `rows`,
// prefetched `ahead` rows before, and writes `out_bytes`.
void gather(const char* pool, int64_t row_bytes, const int64_t* rows, int64_t bags, int64_t pooled, char* out,
            int64_t out_bytes, int64_t ahead, int threads) {
  const int64_t count = bags * pooled;
  parallel_rows(bags, pieces_of(bags, threads), threads, [=](int64_t begin, int64_t end, int) {
    for (int64_t bag = begin; bag < end; ++bag) {
      Line sum = {};
      for (int64_t place = bag * pooled; place < (bag + 1) * pooled; ++place) {
        if (place + ahead < count) {
          const char* next = pool + rows[place + ahead] * row_bytes;
          for (int64_t byte = 0; byte < row_bytes; byte += kLine) __builtin_prefetch(next + byte);
        }
        const char* row = pool + rows[place] * row_bytes;
        int64_t byte = 0;
        for (; byte + kLine <= row_bytes; byte += kLine) sum += load(row + byte);
        float word = 0;
        for (; byte + 4 <= row_bytes; byte += 4) {
          float part;
          memcpy(&part, row + byte, 4);
          word += part;
        }
        sum[0] += word;
      }
      for (int64_t byte = 0; byte + kLine <= out_bytes; byte += kLine) store(out + bag * out_bytes + byte, sum);
    }
  });
}

// Reads, changes and writes `count` distinct rows of two arrays, prefetched `ahead` rows before.
void update(char* table, int64_t row_bytes, char* state, int64_t state_bytes, const int64_t* rows, int64_t count,
            int64_t ahead, int threads) {
  parallel_rows(count, pieces_of(count, threads), threads, [=](int64_t begin, int64_t end, int) {
    const Line one = Line{} + 1.0f;
    for (int64_t place = begin; place < end; ++place) {
      if (place + ahead < count) {
        const int64_t next = rows[place + ahead];
        for (int64_t byte = 0; byte < row_bytes; byte += kLine) __builtin_prefetch(table + next * row_bytes + byte, 1);
        for (int64_t byte = 0; byte < state_bytes; byte += kLine) {
          __builtin_prefetch(state + next * state_bytes + byte, 1);
        }
      }
      char* row = table + rows[place] * row_bytes;
      for (int64_t byte = 0; byte + kLine <= row_bytes; byte += kLine) store(row + byte, load(row + byte) + one);
      char* of_row = state + rows[place] * state_bytes;
      if (state_bytes < kLine) *reinterpret_cast<float*>(of_row) += 1.0f;
      for (int64_t byte = 0; byte + kLine <= state_bytes; byte += kLine) {
        store(of_row + byte, load(of_row + byte) + one);
      }
    }
  });
}

// The inner loop of a crossbar product by table look-ups, alone: 16-byte tables [blocks][columns][32], each of the
// partial sums of 4 rows, indexed by the bits of 64 vectors in 8 phases, codes [blocks][32][8][64], summed with
// saturation over the 128 rows of a block. lanes 64 (AVX-512) or 32 (AVX2); out [columns][64]. Returns the look-ups of
// a vector and a phase, or 0 where this build lacks the instructions.
int64_t look_up(int lanes, const uint8_t* tables, const uint8_t* codes, int64_t columns, int64_t blocks, uint8_t* out,
                int threads) {
#if defined(__AVX2__)
  const bool wide = lanes == 64;
#if !defined(__AVX512BW__)
  if (wide) return 0;
#endif
  parallel_rows(columns, 64, threads, [=](int64_t begin, int64_t end, int) {
    for (int64_t block = 0; block < blocks; ++block) {
      const uint8_t* index = codes + block * kGroups * kPhases * kVectors;
      for (int64_t column = begin; column < end; ++column) {
        const uint8_t* table = tables + (block * columns + column) * kGroups * 16;
        uint8_t* to = out + column * kVectors;
#if defined(__AVX512BW__)
        if (wide) {
          look_up_block<__m512i>(table, index, to);
          continue;
        }
#endif
        look_up_block<__m256i>(table, index, to);
        look_up_block<__m256i>(table, index + 32, to + 32);
      }
    }
  });
  return columns * blocks * kGroups;
#else
  return 0;
#endif
}

}  // extern "C"
