// Layer normalisation of nasrec/_kernels; documented in nasrec/kernels/layer_norm.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "layer_norm.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

// The rows and their weights, checked against each other.
struct Inputs {
  Array<float> x, weight;
  int64_t rows, dim;

  Inputs(const py::object& x_, const py::object& weight_, float eps)
      : x(input<float>(x_, "x", 2)), weight(input<float>(weight_, "weight", 1)), rows(x.shape(0)), dim(x.shape(1)) {
    bind::require_shape(weight, "weight", {dim});
    bind::require_eps(eps);
  }
};

Array<float> layer_norm(const py::object& x, const py::object& weight, const py::object& bias, float eps) {
  const Inputs in(x, weight, eps);
  const auto shift = input<float>(bias, "bias", 1);
  bind::require_shape(shift, "bias", {in.dim});
  Array<float> out = bind::aligned<float>({in.rows, in.dim});
  if (out.size() == 0) return out;
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(layer_norm)(in.x.data(), in.weight.data(), shift.data(), in.rows, in.dim, eps, to, threads);
  }
  return out;
}

py::tuple layer_norm_backward(const py::object& x, const py::object& weight, const py::object& grad, float eps) {
  const Inputs in(x, weight, eps);
  const auto gradient = input<float>(grad, "grad", 2);
  bind::require_shape(gradient, "grad", {in.rows, in.dim});
  Array<float> of_x = bind::aligned<float>({in.rows, in.dim}), of_weight(in.dim), of_bias(in.dim);
  if (in.dim == 0) return py::make_tuple(of_x, of_weight, of_bias);
  const float* const by = gradient.data();
  float* const to[] = {of_x.mutable_data(), of_weight.mutable_data(), of_bias.mutable_data()};
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(layer_norm_backward)(in.x.data(), in.weight.data(), by, in.rows, in.dim, eps, to[0], to[1], to[2], threads);
  }
  return py::make_tuple(of_x, of_weight, of_bias);
}

}  // namespace

void bind::add_layer_norm(py::module_& module) {
  module.def("layer_norm", &layer_norm);
  module.def("layer_norm_backward", &layer_norm_backward);
}
