// The only parallel region of the kernels: rows in parallel, serial inside a row. A kernel whose rows don't share
// results gives the same bits for any number of threads.
//
// With KERNEL_PTHREADS the same contract is kept by threads that are started for the call. That is for
// ThreadSanitizer, which sees how POSIX threads wait for each other and not how GCC's OpenMP does (it would report
// every region). Not for use: starting a thread costs more than many a kernel.
#pragma once

#ifdef KERNEL_PTHREADS
#include <pthread.h>
#else
#include <omp.h>
#endif

#include <cstdint>

namespace kernels {
namespace {

// Calls work(piece, worker) for every piece.
template <class Work>
inline void share_out(int64_t pieces, int team, const Work& work) {
#ifdef KERNEL_PTHREADS
  // Piece p is worker p % team's, however fast the others are: neighbouring pieces are always different threads', and
  // a race between them is seen in every run.
  struct Member {
    const Work* work;
    int64_t pieces;
    int team, worker;
    pthread_t thread;

    static void* run(void* pointer) {
      const Member& member = *static_cast<const Member*>(pointer);
      for (int64_t p = member.worker; p < member.pieces; p += member.team) (*member.work)(p, member.worker);
      return nullptr;
    }
  };
  constexpr int kMost = 64;
  Member members[kMost];
  const int size = team < kMost ? team : kMost;
  for (int i = 0; i < size; ++i) members[i] = Member{&work, pieces, size, i, {}};
  int started = 1;
  while (started < size && pthread_create(&members[started].thread, nullptr, Member::run, &members[started]) == 0) {
    ++started;
  }
  Member::run(&members[0]);
  for (int i = started; i < size; ++i) Member::run(&members[i]);  // no more threads to be had
  for (int i = 1; i < started; ++i) pthread_join(members[i].thread, nullptr);
#else
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (int64_t piece = 0; piece < pieces; ++piece) work(piece, omp_get_thread_num());
#endif
}

// Calls work(begin, end, worker) for consecutive pieces of 0..rows, at most `grain` rows each (all at once with one
// thread or one piece); worker is in 0..threads-1 and is never used by two pieces at a time. `work` must not throw.
template <class Work>
inline void parallel_rows(int64_t rows, int64_t grain, int threads, const Work& work) {
  const int64_t pieces = rows / grain + (rows % grain != 0);
  if (pieces == 0) return;
  if (threads <= 1 || pieces == 1) {
    work(int64_t{0}, rows, 0);
    return;
  }
  share_out(pieces, pieces < threads ? static_cast<int>(pieces) : threads, [&](int64_t piece, int worker) {
    const int64_t begin = piece * grain;
    work(begin, rows - begin > grain ? begin + grain : rows, worker);
  });
}

}  // namespace
}  // namespace kernels
