// Factorisation machine of nasrec/_kernels; documented in nasrec/kernels/fm_interaction.py.
#include "bind_arrays.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "fm_interaction.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

Array<float> fm_interaction(const py::object& x) {
  const auto values = input<float>(x, "x", 3);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  Array<float> out({batch, dim});
  const float* const from = values.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(fm_interaction)(from, batch, features, dim, to, threads);
  }
  return out;
}

Array<float> fm_interaction_backward(const py::object& x, const py::object& grad) {
  const auto values = input<float>(x, "x", 3);
  const auto gradient = input<float>(grad, "grad", 2);
  const int64_t batch = values.shape(0), features = values.shape(1), dim = values.shape(2);
  bind::require_shape(gradient, "grad", {batch, dim});
  Array<float> out({batch, features, dim});
  const float* const from = values.data();
  const float* const by = gradient.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(fm_interaction_backward)(from, by, batch, features, dim, to, threads);
  }
  return out;
}

}  // namespace

void bind::add_fm_interaction(py::module_& module) {
  module.def("fm_interaction", &fm_interaction);
  module.def("fm_interaction_backward", &fm_interaction_backward);
}
