// Dot interaction of nasrec/_kernels; documented in nasrec/kernels/dot_interaction.py.
#include "bind_arrays.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "dot_interaction.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

Array<float> dot_interaction(const py::object& x) {
  const auto values = input<float>(x, "x", 3);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  Array<float> out({batch, features * (features > 0 ? features - 1 : 0) / 2});
  const float* const from = values.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(dot_interaction)(from, batch, features, dim, to, threads);
  }
  return out;
}

Array<float> dot_interaction_backward(const py::object& x, const py::object& grad) {
  const auto values = input<float>(x, "x", 3);
  const auto gradient = input<float>(grad, "grad", 2);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  bind::require_shape(gradient, "grad", {batch, features * (features > 0 ? features - 1 : 0) / 2});
  Array<float> out({batch, features, dim});
  const float* const from = values.data();
  const float* const by = gradient.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(dot_interaction_backward)(from, by, batch, features, dim, to, threads);
  }
  return out;
}

}  // namespace

void bind::add_dot_interaction(py::module_& module) {
  module.def("dot_interaction", &dot_interaction);
  module.def("dot_interaction_backward", &dot_interaction_backward);
}
