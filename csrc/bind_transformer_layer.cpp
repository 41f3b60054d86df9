// The transformer layer of nasrec/_kernels; documented in nasrec/kernels/transformer_layer.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "transformer_layer.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

// A linear map or a LayerNorm, checked.
struct Weights {
  Array<float> weight, bias;

  Weights(const py::object& weight_, const py::object& bias_, const std::string& name, std::vector<py::ssize_t> shape)
      : weight(input<float>(weight_, name + "_weight", static_cast<py::ssize_t>(shape.size()))),
        bias(input<float>(bias_, name + "_bias", 1)) {
    bind::require_shape(weight, name + "_weight", shape);
    bind::require_shape(bias, name + "_bias", {shape[0]});
  }
};

Array<float> transformer_layer(const py::object& x, const py::object& qkv_weight, const py::object& qkv_bias,
                               const py::object& out_weight, const py::object& out_bias,
                               const py::object& norm1_weight, const py::object& norm1_bias,
                               const py::object& fc1_weight, const py::object& fc1_bias, const py::object& fc2_weight,
                               const py::object& fc2_bias, const py::object& norm2_weight, const py::object& norm2_bias,
                               int64_t heads, float eps) {
  const auto values = input<float>(x, "x", 3);
  const int64_t batch = values.shape(0), width = values.shape(1), rows = values.shape(2);
  if (heads < 1 || width == 0 || width % heads != 0) {
    throw py::value_error("heads: " + std::to_string(heads) + ", expected a divisor of x's " + std::to_string(width) +
                          " coordinates, of which there are 1 or more");
  }
  bind::require_eps(eps);
  const Weights qkv(qkv_weight, qkv_bias, "qkv", {3 * width, width}), mix(out_weight, out_bias, "out", {width, width});
  const Weights norm1(norm1_weight, norm1_bias, "norm1", {width}), norm2(norm2_weight, norm2_bias, "norm2", {width});
  const int64_t hidden = input<float>(fc1_bias, "fc1_bias", 1).shape(0);
  const Weights fc1(fc1_weight, fc1_bias, "fc1", {hidden, width}), fc2(fc2_weight, fc2_bias, "fc2", {width, hidden});
  Array<float> out = bind::aligned<float>({batch, width, rows});
  if (out.size() == 0) return out;
  const kernels::TransformerWeights weights{
      width,          heads,           hidden,       eps,
      qkv.weight.data(), qkv.bias.data(), mix.weight.data(), mix.bias.data(), norm1.weight.data(), norm1.bias.data(),
      fc1.weight.data(), fc1.bias.data(), fc2.weight.data(), fc2.bias.data(), norm2.weight.data(), norm2.bias.data()};
  const float* const from = values.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(transformer_layer)(from, weights, batch, rows, to, threads);
  }
  return out;
}

}  // namespace

void bind::add_transformer_layer(py::module_& module) { module.def("transformer_layer", &transformer_layer); }
