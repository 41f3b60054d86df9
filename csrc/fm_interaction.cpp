#include "fm_interaction.h"

#include "bfloat16.h"
#include "parallel.h"

// One pass over memory: registers side by side walk down the features together, so that their chains of additions
// overlap and whole rows are read. The next sample is fetched meanwhile.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kSamples = 32;  // samples that a thread takes at a time
constexpr int64_t kLarge = 1 << 21;  // numbers of a gradient that caches don't keep (measured: below, streaming loses)
constexpr int kWide = 4;          // registers side by side

// What is worked on: columns of one sample, `lanes` of them where it is less than a register.
template <class T>
struct Columns {
  const T* x;
  int64_t features, dim, lanes;
  int64_t ahead;  // numbers from this sample to the next, 0 where there is none
  bool streams;   // whether the result goes past the caches
};

template <int Vectors, bool Edge, class T>
inline void read(const T* from, int64_t lanes, Floats (&values)[Vectors]) {
  for (int v = 0; v < Vectors; ++v) values[v] = Edge ? load_first(from, lanes) : load(from + v * kLanes);
}

template <int Vectors, bool Edge, class T>
inline void forward(const Columns<T>& part, T* out) {
  Floats before[Vectors] = {}, sum[Vectors] = {}, value[Vectors];
  const T* from = part.x;
  for (int64_t f = 0; f < part.features; ++f, from += part.dim) {
    prefetch(from + part.ahead, sizeof(T) * (Edge ? 1 : Vectors * kLanes));
    read<Vectors, Edge>(from, part.lanes, value);
    for (int v = 0; v < Vectors; ++v) {
      sum[v] += value[v] * before[v];
      before[v] += value[v];
    }
  }
  for (int v = 0; v < Vectors; ++v) {
    if constexpr (Edge) store_first(out, part.lanes, sum[v] + sum[v]);
    else store(out + v * kLanes, sum[v] + sum[v]);
  }
}

template <int Vectors, bool Edge, class T>
inline void backward(const Columns<T>& part, const T* grad, T* grad_x) {
  Floats sum[Vectors] = {}, twice[Vectors], value[Vectors];
  const T* from = part.x;
  for (int64_t f = 0; f < part.features; ++f, from += part.dim) {
    prefetch(from + part.ahead, sizeof(T) * (Edge ? 1 : Vectors * kLanes));
    read<Vectors, Edge>(from, part.lanes, value);
    for (int v = 0; v < Vectors; ++v) sum[v] += value[v];
  }
  read<Vectors, Edge>(grad, part.lanes, twice);
  for (int v = 0; v < Vectors; ++v) twice[v] += twice[v];
  from = part.x;
  for (int64_t f = 0; f < part.features; ++f, from += part.dim, grad_x += part.dim) {
    if (!part.streams) prefetch(grad_x + part.ahead, sizeof(T) * (Edge ? 1 : Vectors * kLanes));
    read<Vectors, Edge>(from, part.lanes, value);
    for (int v = 0; v < Vectors; ++v) {
      const Floats result = twice[v] * (sum[v] - value[v]);
      if constexpr (Edge) store_first(grad_x, part.lanes, result);
      else if (part.streams) stream(grad_x + v * kLanes, result);
      else store(grad_x + v * kLanes, result);
    }
  }
}

// Calls work(number of registers, whether it is less than one, first column, columns) until all columns are done.
template <class Work>
inline void for_columns(int64_t dim, const Work& work) {
  int64_t d = 0;
  for (; d + kWide * kLanes <= dim; d += kWide * kLanes) work(Known<kWide>{}, Known<0>{}, d, kLanes);
  for (; d + 2 * kLanes <= dim; d += 2 * kLanes) work(Known<2>{}, Known<0>{}, d, kLanes);
  for (; d + kLanes <= dim; d += kLanes) work(Known<1>{}, Known<0>{}, d, kLanes);
  if (d < dim) work(Known<1>{}, Known<1>{}, d, dim - d);
}

}  // namespace

template <class T>
void fm_interaction(const T* x, int64_t batch, int64_t features, int64_t dim, T* out, int threads) {
  const int64_t size = features * dim;
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      for_columns(dim, [&](auto vectors, auto edge, int64_t d, int64_t lanes) {
        const Columns<T> part{x + b * size + d, features, dim, lanes, b + 1 < end ? size : 0, false};
        forward<vectors.value, edge.value == 1>(part, out + b * dim + d);
      });
    }
  });
}

template <class T>
void fm_interaction_backward(const T* x, const T* grad, int64_t batch, int64_t features, int64_t dim, T* grad_x,
                             int threads) {
  const int64_t size = features * dim;
  const bool through = streams(grad_x, batch * features, dim, kLarge);
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      for_columns(dim, [&](auto vectors, auto edge, int64_t d, int64_t lanes) {
        const Columns<T> part{x + b * size + d, features, dim, lanes, b + 1 < end ? size : 0, through};
        backward<vectors.value, edge.value == 1>(part, grad + b * dim + d, grad_x + b * size + d);
      });
    }
    if (through) end_streams();
  });
}

template void fm_interaction(const float*, int64_t, int64_t, int64_t, float*, int);
template void fm_interaction(const uint16_t*, int64_t, int64_t, int64_t, uint16_t*, int);
template void fm_interaction_backward(const float*, const float*, int64_t, int64_t, int64_t, float*, int);
template void fm_interaction_backward(const uint16_t*, const uint16_t*, int64_t, int64_t, int64_t, uint16_t*, int);

}  // namespace kernels::KERNEL_ISA
