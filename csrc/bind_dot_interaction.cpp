// Dot interaction of nasrec/_kernels; documented in nasrec/kernels/dot_interaction.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "dot_interaction.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

constexpr int64_t kMostFeatures = int64_t{1} << 31;  // the number of their pairs can still be counted

int64_t pairs_of(int64_t features, bool diagonal) {
  if (features > kMostFeatures) {
    throw py::value_error("x: " + std::to_string(features) + " features, at most " + std::to_string(kMostFeatures));
  }
  return diagonal ? features * (features + 1) / 2 : features * (features - 1) / 2;
}

template <class T>
py::array forward(const py::object& x, bool diagonal) {
  const auto values = input<T>(x, "x", 3);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  Array<T> out = bind::aligned<T>({batch, pairs_of(features, diagonal)});
  if (out.size() == 0) return std::move(out);
  const T* const from = values.data();
  T* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(dot_interaction<T>)(from, batch, features, dim, diagonal, to, threads);
  }
  return std::move(out);
}

template <class T>
py::array backward(const py::object& x, const py::object& grad, bool diagonal) {
  const auto values = input<T>(x, "x", 3);
  const auto gradient = input<T>(grad, "grad", 2);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  bind::require_shape(gradient, "grad", {batch, pairs_of(features, diagonal)});
  Array<T> out = bind::aligned<T>({batch, features, dim});
  if (out.size() == 0) return std::move(out);
  const T* const from = values.data();
  const T* const by = gradient.data();
  T* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(dot_interaction_backward<T>)(from, by, batch, features, dim, diagonal, to, threads);
  }
  return std::move(out);
}

}  // namespace

void bind::add_dot_interaction(py::module_& module) {
  module.def(
      "dot_interaction",
      [](const py::object& x, bool diagonal) {
        return holds_bfloat16(x) ? forward<uint16_t>(x, diagonal) : forward<float>(x, diagonal);
      },
      py::arg("x"), py::arg("diagonal") = false);
  module.def(
      "dot_interaction_backward",
      [](const py::object& x, const py::object& grad, bool diagonal) {
        return holds_bfloat16(x) ? backward<uint16_t>(x, grad, diagonal) : backward<float>(x, grad, diagonal);
      },
      py::arg("x"), py::arg("grad"), py::arg("diagonal") = false);
}
