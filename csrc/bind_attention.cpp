// Attention of nasrec/_kernels; documented in nasrec/kernels/attention.py.
#include "attention.h"
#include "bind_arrays.h"
#include "bind_kernels.h"
#include "bind_settings.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

// Numbers per head of qkv [batch, rows, 3 * heads * dim].
int64_t head_dim(const Array<float>& qkv, int64_t heads) {
  if (heads < 1) throw py::value_error("heads: " + std::to_string(heads) + ", expected 1 or more");
  const int64_t width = qkv.shape(2);
  if (width < 3 || width % 3 != 0 || width / 3 % heads != 0) {
    throw py::value_error("qkv: shape " + bind::shape_of(qkv) + ", expected a last dimension of 3 * " +
                          std::to_string(heads) + " heads * 1 or more");
  }
  return width / 3 / heads;
}

Array<float> attention(const py::object& qkv, int64_t heads) {
  const auto values = input<float>(qkv, "qkv", 3);
  const int64_t batch = values.shape(0), rows = values.shape(1), dim = head_dim(values, heads);
  Array<float> out({batch, rows, heads * dim});
  if (out.size() == 0) return out;
  const float* const from = values.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(attention)(from, batch, rows, heads, dim, to, threads);
  }
  return out;
}

Array<float> attention_backward(const py::object& qkv, const py::object& grad, int64_t heads) {
  const auto values = input<float>(qkv, "qkv", 3);
  const auto gradient = input<float>(grad, "grad", 3);
  const int64_t batch = values.shape(0), rows = values.shape(1), dim = head_dim(values, heads);
  bind::require_shape(gradient, "grad", {batch, rows, heads * dim});
  Array<float> out({batch, rows, 3 * heads * dim});
  if (out.size() == 0) return out;
  const float* const from = values.data();
  const float* const by = gradient.data();
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(attention_backward)(from, by, batch, rows, heads, dim, to, threads);
  }
  return out;
}

}  // namespace

void bind::add_attention(py::module_& module) {
  module.def("attention", &attention);
  module.def("attention_backward", &attention_backward);
}
