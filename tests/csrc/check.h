// What the C++ tests of the kernels share: random cases, exactly sized memory, every instruction set and number of
// threads. A check that fails says where and in which case, and ends the process with 1.
//   KERNEL_TEST_CASES  random cases per test (default 300)
//   KERNEL_TEST_ISA    the best instruction set to use: portable, avx2 or avx512 (default: the machine's)
#pragma once

#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <utility>
#include <vector>

#include "isa.h"

namespace check {

inline long long& current_case() {
  static long long number = -1;
  return number;
}

[[noreturn, gnu::format(printf, 3, 4)]] inline void fail(const char* file, int line, const char* format, ...) {
  std::fprintf(stderr, "%s:%d: case %lld, isa %d: ", file, line, current_case(), static_cast<int>(kernels::isa()));
  va_list values;
  va_start(values, format);
  std::vfprintf(stderr, format, values);
  va_end(values);
  std::fputc('\n', stderr);
  std::exit(1);
}

#define CHECK(holds, ...)                                   \
  do {                                                      \
    if (!(holds)) check::fail(__FILE__, __LINE__, __VA_ARGS__); \
  } while (false)

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t between(int64_t low, int64_t high) {  // both included
    return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(high - low + 1));
  }
  int64_t one_of(std::initializer_list<int64_t> choices) {
    return choices.begin()[between(0, static_cast<int64_t>(choices.size()) - 1)];
  }
  bool coin() { return (bits() & 1) != 0; }
  float real() { return static_cast<float>(bits() >> 40) * 0x1p-23f - 1.0f; }  // in [-1, 1)

 private:
  uint64_t state_;
};

// `count` elements at the very end of a piece of the heap, so that a sanitizer sees a read of the element after the
// last; aligned to the element and, with `shifted`, to no more. Never null, as an empty NumPy array. All bits set: an
// element that a kernel should have written and did not is NaN, or -1.
template <class T>
class Block {
 public:
  explicit Block(int64_t count, bool shifted = false)
      : count_(count),
        memory_(std::malloc((static_cast<std::size_t>(count) + (shifted ? 1 : 0)) * sizeof(T))),
        first_(static_cast<T*>(memory_) + (shifted ? 1 : 0)) {
    std::memset(memory_, 0xff, (static_cast<std::size_t>(count) + (shifted ? 1 : 0)) * sizeof(T));
  }
  Block(Block&& other) noexcept
      : count_(other.count_), memory_(std::exchange(other.memory_, nullptr)), first_(other.first_) {}
  Block& operator=(Block&&) = delete;
  ~Block() { std::free(memory_); }

  T* data() const { return first_; }
  int64_t size() const { return count_; }
  T& operator[](int64_t i) const { return first_[i]; }
  bool same_bits(const Block& other) const {
    return count_ == other.count_ && (count_ == 0 || std::memcmp(first_, other.first_, count_ * sizeof(T)) == 0);
  }

 private:
  int64_t count_;
  void* memory_;
  T* first_;
};

// The value of a number of a kernel: float, or uint16_t for the bits of bfloat16.
inline double value_of(float number) { return number; }
inline double value_of(uint16_t number) {
  const uint32_t bits = static_cast<uint32_t>(number) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void set(float* number, float value) { *number = value; }
inline void set(uint16_t* number, float value) {  // towards zero: any bfloat16 will do
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  *number = static_cast<uint16_t>(bits >> 16);
}

template <class T>
Block<T> random_numbers(Random& random, int64_t count) {
  Block<T> values(count, random.coin());
  for (int64_t i = 0; i < count; ++i) set(&values[i], random.real());
  return values;
}

inline Block<float> random_floats(Random& random, int64_t count) { return random_numbers<float>(random, count); }

template <class T>
Block<T> copy(const Block<T>& from) {
  Block<T> values(from.size());
  for (int64_t i = 0; i < from.size(); ++i) values[i] = from[i];
  return values;
}

// |got - wanted| <= `units` float32 roundings of `scale`, the sum of the sizes of what was added up; and one rounding
// to bfloat16, where the result is one.
template <class T>
bool near(T got, double wanted, double scale, double units) {
  const double last = sizeof(T) == 2 ? 0x1p-8 * std::fabs(wanted) : 0.0;
  return std::fabs(value_of(got) - wanted) <= 1.01 * (units * 0x1p-24 * scale + last) + 1e-37;
}

inline int64_t cases() {
  const char* const text = std::getenv("KERNEL_TEST_CASES");
  return text == nullptr ? 300 : std::atoll(text);
}

inline kernels::Isa best_isa() {
  const char* const text = std::getenv("KERNEL_TEST_ISA");
  kernels::Isa best = kernels::best_isa();
  if (text != nullptr && std::strcmp(text, "avx2") == 0 && best > kernels::Isa::avx2) best = kernels::Isa::avx2;
  if (text != nullptr && std::strcmp(text, "portable") == 0) best = kernels::Isa::portable;
  return best;
}

// Calls run(threads), which returns a Block, for every instruction set and number of threads: judge(result) has to
// accept it, and threads must not change a bit.
template <class Run, class Judge>
void on_every_machine(const Run& run, const Judge& judge) {
  for (int isa = 0; isa <= static_cast<int>(best_isa()); ++isa) {
    CHECK(kernels::set_isa(static_cast<kernels::Isa>(isa)), "no such instruction set");
    const auto result = run(1);
    judge(result);
    for (const int threads : {2, 4}) CHECK(result.same_bits(run(threads)), "%d threads: other bits", threads);
  }
}

// Calls test(random, number) for every case; each has its own numbers.
template <class Test>
int run_cases(const Test& test) {
  for (int64_t number = 0; number < cases(); ++number) {
    current_case() = number;
    Random random(static_cast<uint64_t>(number) << 32);
    test(random, number);
  }
  std::printf("%lld cases, instruction sets up to %d\n", static_cast<long long>(cases()), static_cast<int>(best_isa()));
  return 0;
}

}  // namespace check
