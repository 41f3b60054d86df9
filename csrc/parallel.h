// The only parallel region of the kernels: rows in parallel, serial inside a row. A kernel whose rows don't share
// results gives the same bits for any number of threads.
#pragma once

#include <omp.h>

#include <cstdint>

namespace kernels {
namespace {

// Calls work(begin, end, worker) for consecutive pieces of 0..rows, at most `grain` rows each (all at once with one
// thread or one piece); worker is in 0..threads-1 and is never used by two pieces at a time. `work` must not throw.
template <class Work>
inline void parallel_rows(int64_t rows, int64_t grain, int threads, const Work& work) {
  const int64_t pieces = (rows + grain - 1) / grain;
  if (pieces == 0) return;
  if (threads <= 1 || pieces == 1) {
    work(int64_t{0}, rows, 0);
    return;
  }
  const int team = pieces < threads ? static_cast<int>(pieces) : threads;
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t begin = piece * grain;
    const int64_t end = begin + grain < rows ? begin + grain : rows;
    work(begin, end, omp_get_thread_num());
  }
}

}  // namespace
}  // namespace kernels
