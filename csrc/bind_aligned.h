// New NumPy arrays whose memory starts at a cache line, so that registers as wide as one don't cross lines.
#pragma once

#include <new>

#include "bind_arrays.h"

namespace bind {

// How many numbers an array of that shape holds; MemoryError where no memory could hold them.
template <class T>
py::ssize_t count_of(const std::vector<py::ssize_t>& shape) {
  constexpr py::ssize_t kMost = PTRDIFF_MAX / 2 / static_cast<py::ssize_t>(sizeof(T));
  py::ssize_t count = 1;
  for (const py::ssize_t size : shape) {
    if (size == 0) return 0;
    if (count > kMost / size) throw std::bad_alloc();
    count *= size;
  }
  return count;
}

// An uninitialised array; it is a view of one that NumPy has allocated.
template <class T>
Array<T> aligned(const std::vector<py::ssize_t>& shape) {
  constexpr std::size_t kLine = 64;
  const py::ssize_t count = count_of<T>(shape);
  Array<T> memory(count + static_cast<py::ssize_t>(kLine / sizeof(T)));
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  return Array<T>(shape, memory.data() + (kLine - address % kLine) % kLine / sizeof(T), memory);
}

// Whether an argument is an array of 16-bit unsigned numbers, which kernels take for the bits of bfloat16.
inline bool holds_bfloat16(const py::object& value) { return py::isinstance<py::array_t<uint16_t>>(value); }

}  // namespace bind
