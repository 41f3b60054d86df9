// The contract of parallel_rows and Scratch: every row once, workers' memory never shared.
#include "check.h"
#include "parallel.h"
#include "scratch.h"

using kernels::Scratch;

namespace {

void every_row_once(int64_t rows, int64_t grain, int threads) {
  check::Block<unsigned char> seen(rows);
  std::memset(seen.data(), 0, static_cast<std::size_t>(rows));
  const Scratch<int64_t> own(threads, 3);
  for (int worker = 0; worker < threads; ++worker) {
    CHECK(reinterpret_cast<uintptr_t>(own.of(worker)) % 64 == 0, "scratch of worker %d isn't aligned", worker);
    for (int i = 0; i < 3; ++i) own.of(worker)[i] = 0;
  }
  check::Block<int64_t> misuse(threads);
  for (int worker = 0; worker < threads; ++worker) misuse[worker] = 0;
  kernels::parallel_rows(rows, grain, threads, [&](int64_t begin, int64_t end, int worker) {
    own.of(worker)[0] += end - begin;  // no other worker may be here: ThreadSanitizer watches
    misuse[worker] += begin >= end || (threads > 1 && end - begin > grain && rows > grain);
    for (int64_t row = begin; row < end; ++row) ++seen[row];
  });
  int64_t total = 0;
  for (int worker = 0; worker < threads; ++worker) {
    CHECK(misuse[worker] == 0, "rows %ld, grain %ld, threads %d: an empty or too large piece", rows, grain, threads);
    total += own.of(worker)[0];
  }
  CHECK(total == rows, "rows %ld, grain %ld, threads %d: %ld rows", rows, grain, threads, total);
  for (int64_t row = 0; row < rows; ++row) CHECK(seen[row] == 1, "row %ld: %d times", row, seen[row]);
}

void too_much_is_an_exception() {
  for (const std::size_t count : {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 8 - 6, SIZE_MAX / 16, SIZE_MAX / 32 + 1}) {
    bool thrown = false;
    try {
      const Scratch<int64_t> much(4, count);
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    CHECK(thrown, "%zu elements were allocated", count);
  }
}

}  // namespace

int main() {
  too_much_is_an_exception();
  return check::run_cases([](check::Random& random, int64_t) {
    every_row_once(random.one_of({0, 1, 2, 63, 64, 65, random.between(0, 1000)}),
                   random.one_of({1, 2, 16, 1000, INT64_MAX}), static_cast<int>(random.one_of({1, 2, 3, 4, 9})));
  });
}
