// Working memory of a kernel, one aligned piece per worker, allocated before the parallel region so that running out
// of memory is an exception and not the end of the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace kernels {
namespace {

template <class T>
class Scratch {
 public:
  // `workers` pieces of `count` elements each, uninitialised, each aligned to a cache line.
  Scratch(int workers, std::size_t count)
      : stride_((count * sizeof(T) + 63) / 64 * 64), memory_(allocate(workers > 0 ? workers : 1, count)) {
    if (memory_ == nullptr) throw std::bad_alloc();
  }
  ~Scratch() { std::free(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* of(int worker) const { return reinterpret_cast<T*>(memory_ + stride_ * worker); }

 private:
  char* allocate(std::size_t pieces, std::size_t count) const {
    const bool fits = count <= PTRDIFF_MAX / sizeof(T) && stride_ <= PTRDIFF_MAX / pieces;
    return fits ? static_cast<char*>(std::aligned_alloc(64, stride_ * pieces + 64)) : nullptr;
  }

  std::size_t stride_;
  char* memory_;
};

}  // namespace
}  // namespace kernels
