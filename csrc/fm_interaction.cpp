#include "fm_interaction.h"

#include "floats.h"
#include "parallel.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kSamples = 32;  // samples that a thread takes at a time

// `Values` is a register of neighbouring d, or one float for the d that are left over: the arithmetic is the same.
template <class Values>
inline Values read(const float* from) {
  Values value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Values>
inline void forward(const float* x, int64_t features, int64_t dim, float* out) {
  Values before = {};
  Values sum = {};
  for (int64_t f = 0; f < features; ++f) {
    const Values value = read<Values>(x + f * dim);
    sum += value * before;
    before += value;
  }
  sum = sum + sum;
  std::memcpy(out, &sum, sizeof sum);
}

template <class Values>
inline void backward(const float* x, const float* grad, int64_t features, int64_t dim, float* grad_x) {
  Values sum = {};
  for (int64_t f = 0; f < features; ++f) sum += read<Values>(x + f * dim);
  const Values twice = read<Values>(grad) + read<Values>(grad);
  for (int64_t f = 0; f < features; ++f) {
    const Values value = twice * (sum - read<Values>(x + f * dim));
    std::memcpy(grad_x + f * dim, &value, sizeof value);
  }
}

}  // namespace

void fm_interaction(const float* x, int64_t batch, int64_t features, int64_t dim, float* out, int threads) {
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const float* const sample = x + b * features * dim;
      int64_t d = 0;
      for (; d + kLanes <= dim; d += kLanes) forward<Floats>(sample + d, features, dim, out + b * dim + d);
      for (; d < dim; ++d) forward<float>(sample + d, features, dim, out + b * dim + d);
    }
  });
}

void fm_interaction_backward(const float* x, const float* grad, int64_t batch, int64_t features, int64_t dim,
                             float* grad_x, int threads) {
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t sample = b * features * dim;
      int64_t d = 0;
      for (; d + kLanes <= dim; d += kLanes) {
        backward<Floats>(x + sample + d, grad + b * dim + d, features, dim, grad_x + sample + d);
      }
      for (; d < dim; ++d) backward<float>(x + sample + d, grad + b * dim + d, features, dim, grad_x + sample + d);
    }
  });
}

}  // namespace kernels::KERNEL_ISA
