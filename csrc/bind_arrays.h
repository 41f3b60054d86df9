// NumPy arrays in: kind, shape and layout are checked with the name of the argument in the message.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <string>
#include <vector>

namespace bind {

namespace py = pybind11;

// Contiguous, and each number where its type may lie: compilers count on it.
constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
template <class T>
using Array = py::array_t<T, py::array::c_style | kAligned>;

inline std::string shape_of(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
  return text + ")";
}

// The array as contiguous, aligned memory (copied where it isn't); TypeError for another kind of number: nothing is converted.
template <class T>
Array<T> input(const py::handle& value, const std::string& name, py::ssize_t dimensions) {
  if (!py::isinstance<py::array>(value)) {
    throw py::type_error(name + ": a " + std::string(py::str(py::type::handle_of(value).attr("__name__"))) +
                         ", expected a NumPy array");
  }
  const auto array = py::reinterpret_borrow<py::array>(value);
  if (!py::isinstance<py::array_t<T>>(array)) {
    throw py::type_error(name + ": dtype " + std::string(py::str(array.dtype())) + ", expected " +
                         std::string(py::str(py::dtype::of<T>())));
  }
  if (array.ndim() != dimensions) {
    throw py::value_error(name + ": shape " + shape_of(array) + ", expected " + std::to_string(dimensions) + " dimensions");
  }
  return Array<T>(array);
}

inline void require_shape(const py::array& array, const std::string& name, const std::vector<py::ssize_t>& expected) {
  bool equal = array.ndim() == static_cast<py::ssize_t>(expected.size());
  std::string text;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    equal = equal && array.shape(static_cast<py::ssize_t>(i)) == expected[i];
    text += (i == 0 ? "" : ", ") + std::to_string(expected[i]);
  }
  if (!equal) throw py::value_error(name + ": shape " + shape_of(array) + ", expected (" + text + ")");
}

// The number that keeps a LayerNorm from dividing by 0.
inline void require_eps(float eps) {
  if (!(eps > 0) || std::isinf(eps)) {
    throw py::value_error("eps: " + std::to_string(eps) + ", expected a positive number");
  }
}

// An array that a kernel changes in place: it must be contiguous, aligned and writable as it is.
template <class T>
T* in_place(const py::handle& value, const std::string& name, const std::vector<py::ssize_t>& shape) {
  if (!py::isinstance<py::array_t<T, py::array::c_style>>(value)) {
    throw py::type_error(name + ": expected a contiguous NumPy array of " + std::string(py::str(py::dtype::of<T>())) +
                         ", it is changed in place");
  }
  auto array = py::reinterpret_borrow<Array<T>>(value);
  require_shape(array, name, shape);
  if ((array.flags() & kAligned) == 0) throw py::value_error(name + ": not aligned, and it would be changed in place");
  if (!array.writeable()) throw py::value_error(name + ": read-only, and it would be changed in place");
  return array.mutable_data();
}

}  // namespace bind
