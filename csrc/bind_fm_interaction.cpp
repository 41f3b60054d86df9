// Factorisation machine of nasrec/_kernels; documented in nasrec/kernels/fm_interaction.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "fm_interaction.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

template <class T>
py::array forward(const py::object& x) {
  const auto values = input<T>(x, "x", 3);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  Array<T> out = bind::aligned<T>({batch, dim});
  if (out.size() == 0) return std::move(out);
  const T* const from = values.data();
  T* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(fm_interaction<T>)(from, batch, features, dim, to, threads);
  }
  return std::move(out);
}

template <class T>
py::array backward(const py::object& x, const py::object& grad) {
  const auto values = input<T>(x, "x", 3);
  const auto gradient = input<T>(grad, "grad", 2);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  bind::require_shape(gradient, "grad", {batch, dim});
  Array<T> out = bind::aligned<T>({batch, features, dim});
  if (out.size() == 0) return std::move(out);
  const T* const from = values.data();
  const T* const by = gradient.data();
  T* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(fm_interaction_backward<T>)(from, by, batch, features, dim, to, threads);
  }
  return std::move(out);
}

}  // namespace

void bind::add_fm_interaction(py::module_& module) {
  module.def("fm_interaction", [](const py::object& x) {
    return holds_bfloat16(x) ? forward<uint16_t>(x) : forward<float>(x);
  });
  module.def("fm_interaction_backward", [](const py::object& x, const py::object& grad) {
    return holds_bfloat16(x) ? backward<uint16_t>(x, grad) : backward<float>(x, grad);
  });
}
