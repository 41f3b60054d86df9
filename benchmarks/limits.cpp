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
constexpr int64_t kPhases = 8, kVectors = 64;

// How a register of indices looks up: `bits` of them at a time, in a table of that many sums.
struct Bytes32 {  // 32 vectors, tables of 16 sums, in each half of the register
  typedef __m256i Lanes;
  static constexpr int bits = 4, phases = 4;  // 4 of 8 phases: as many sums as there are registers
  static Lanes table(const uint8_t* from) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Lanes read(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static void write(uint8_t* to, Lanes value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
  static Lanes add(Lanes sum, Lanes table, Lanes index) {
    return _mm256_add_epi8(sum, _mm256_shuffle_epi8(table, index));
  }
};
#if defined(__AVX512VBMI__)
struct Bytes64 {  // 64 vectors, tables of 64 sums
  typedef __m512i Lanes;
  static constexpr int bits = 6, phases = 8;
  static Lanes table(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static Lanes read(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static void write(uint8_t* to, Lanes value) { _mm512_storeu_si512(to, value); }
  static Lanes add(Lanes sum, Lanes table, Lanes index) {
    return _mm512_add_epi8(sum, _mm512_permutexvar_epi8(index, table));
  }
};
#elif defined(__AVX512BW__)
struct Bytes64 {  // 64 vectors, tables of 16 sums, in each quarter of the register
  typedef __m512i Lanes;
  static constexpr int bits = 4, phases = 8;
  static Lanes table(const uint8_t* from) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Lanes read(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static void write(uint8_t* to, Lanes value) { _mm512_storeu_si512(to, value); }
  static Lanes add(Lanes sum, Lanes table, Lanes index) {
    return _mm512_add_epi8(sum, _mm512_shuffle_epi8(table, index));
  }
};
#endif

// Two columns at a time, which share the indices: numbers [2][steps] of tables, index [phases][steps][64].
template <class Bytes>
inline void look_up_columns(const uint16_t* numbers, const uint8_t* tables, const uint8_t* index, int64_t steps,
                            uint8_t* out) {
  typedef typename Bytes::Lanes Lanes;
  constexpr int64_t width = sizeof(Lanes), phases = Bytes::phases;
  for (int64_t part = 0; part < kPhases * kVectors; part += phases * width) {
    Lanes sum[2][phases] = {};
    const uint8_t* from = index + part * steps;
    for (int64_t step = 0; step < steps; ++step, from += phases * width) {
      const Lanes left = Bytes::table(tables + (static_cast<int64_t>(numbers[step]) << Bytes::bits));
      const Lanes right = Bytes::table(tables + (static_cast<int64_t>(numbers[steps + step]) << Bytes::bits));
#pragma GCC unroll 8
      for (int phase = 0; phase < phases; ++phase) {
        Lanes bits = Bytes::read(from + phase * width);
        asm("" : "+v"(bits));  // one load for both columns
        sum[0][phase] = Bytes::add(sum[0][phase], left, bits);
        sum[1][phase] = Bytes::add(sum[1][phase], right, bits);
      }
    }
    for (int column = 0; column < 2; ++column) {
      for (int phase = 0; phase < phases; ++phase) {
        Bytes::write(out + (column * phases + phase) * width, sum[column][phase]);
      }
    }
  }
}

template <class Bytes>
void look_up_all(int64_t columns, int64_t steps, const uint16_t* numbers, const uint8_t* tables, const uint8_t* index,
                 uint8_t* out, int threads) {
  parallel_rows(columns / 2, pieces_of(columns / 2, threads), threads, [=](int64_t begin, int64_t end, int worker) {
    for (int64_t pair = begin; pair < end; ++pair) {
      look_up_columns<Bytes>(numbers + pair * 2 * steps, tables, index, steps, out + worker * 2 * kPhases * kVectors);
    }
  });
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
// prefetched into the second cache `ahead` rows before, and writes `out_bytes`.
void gather(const char* pool, int64_t row_bytes, const int64_t* rows, int64_t bags, int64_t pooled, char* out,
            int64_t out_bytes, int64_t ahead, int threads) {
  const int64_t count = bags * pooled;
  parallel_rows(bags, pieces_of(bags, threads), threads, [=](int64_t begin, int64_t end, int) {
    for (int64_t bag = begin; bag < end; ++bag) {
      Line sum = {};
      for (int64_t place = bag * pooled; place < (bag + 1) * pooled; ++place) {
        if (place + ahead < count) {
          const char* next = pool + rows[place + ahead] * row_bytes;
          for (int64_t byte = 0; byte < row_bytes; byte += kLine) __builtin_prefetch(next + byte, 0, 2);
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

// Reads, changes and writes `count` distinct rows of two arrays, prefetched into the second cache `ahead` rows before.
void update(char* table, int64_t row_bytes, char* state, int64_t state_bytes, const int64_t* rows, int64_t count,
            int64_t ahead, int threads) {
  parallel_rows(count, pieces_of(count, threads), threads, [=](int64_t begin, int64_t end, int) {
    const Line one = Line{} + 1.0f;
    for (int64_t place = begin; place < end; ++place) {
      if (place + ahead < count) {
        const int64_t next = rows[place + ahead];
        for (int64_t byte = 0; byte < row_bytes; byte += kLine) __builtin_prefetch(table + next * row_bytes + byte, 0, 2);
        for (int64_t byte = 0; byte < state_bytes; byte += kLine) {
          __builtin_prefetch(state + next * state_bytes + byte, 0, 2);
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

// Rows that one look-up sums with this build's loop of `lanes` bytes (64 or 32); 0 where there is none.
int look_up_rows(int lanes) {
#if defined(__AVX512BW__)
  if (lanes == 64) return Bytes64::bits;
#endif
#if defined(__AVX2__)
  if (lanes == 32) return Bytes32::bits;
#endif
  (void)lanes;
  return 0;
}

// The inner loop of a crossbar product by table look-ups, alone: no slicing of inputs, no conversion, no shift-and-add.
// A column of a block takes `steps` tables of partial sums, by number from a list that lies in the caches; the bits of
// 64 vectors in 8 phases index them; the sums of a column fit a byte, so nothing saturates. numbers [columns][steps],
// tables [list][1 << look_up_rows], index [steps * 8 * 64], out [threads][2 * 8 * 64].
void look_up(int lanes, int64_t columns, int64_t steps, const uint16_t* numbers, const uint8_t* tables,
             const uint8_t* index, uint8_t* out, int threads) {
#if defined(__AVX512BW__)
  if (lanes == 64) look_up_all<Bytes64>(columns, steps, numbers, tables, index, out, threads);
#endif
#if defined(__AVX2__)
  if (lanes == 32) look_up_all<Bytes32>(columns, steps, numbers, tables, index, out, threads);
#endif
}

}  // extern "C"
