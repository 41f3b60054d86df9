// New NumPy arrays whose memory starts at a cache line, so that registers as wide as one don't cross lines.
#pragma once

#include "bind_arrays.h"

namespace bind {

// An uninitialised array; it is a view of one that NumPy has allocated.
template <class T>
Array<T> aligned(const std::vector<py::ssize_t>& shape) {
  constexpr std::size_t kLine = 64;
  py::ssize_t count = 1;
  for (const py::ssize_t size : shape) count *= size;
  Array<T> memory(count + static_cast<py::ssize_t>(kLine / sizeof(T)));
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  return Array<T>(shape, memory.data() + (kLine - address % kLine) % kLine / sizeof(T), memory);
}

// Whether an argument is an array of 16-bit unsigned numbers, which kernels take for the bits of bfloat16.
inline bool holds_bfloat16(const py::object& value) { return py::isinstance<py::array_t<uint16_t>>(value); }

}  // namespace bind
