// Low-rank cross layer of nasrec/_kernels; documented in nasrec/kernels/low_rank_cross.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "bind_settings.h"
#include "low_rank_cross.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

// The five inputs, checked against each other.
struct Inputs {
  Array<float> x0, x, down, up, bias;
  int64_t batch, dim, rank;

  Inputs(const py::object& x0_, const py::object& x_, const py::object& down_, const py::object& up_,
         const py::object& bias_)
      : x0(input<float>(x0_, "x0", 2)),
        x(input<float>(x_, "x", 2)),
        down(input<float>(down_, "down", 2)),
        up(input<float>(up_, "up", 2)),
        bias(input<float>(bias_, "bias", 1)),
        batch(x0.shape(0)),
        dim(x0.shape(1)),
        rank(down.shape(0)) {
    bind::require_shape(x, "x", {batch, dim});
    bind::require_shape(down, "down", {rank, dim});
    bind::require_shape(up, "up", {dim, rank});
    bind::require_shape(bias, "bias", {dim});
  }
};

Array<float> low_rank_cross(const py::object& x0, const py::object& x, const py::object& down, const py::object& up,
                            const py::object& bias) {
  const Inputs in(x0, x, down, up, bias);
  Array<float> out = bind::aligned<float>({in.batch, in.dim});
  if (out.size() == 0) return out;
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(low_rank_cross)(in.x0.data(), in.x.data(), in.down.data(), in.up.data(), in.bias.data(), in.batch, in.dim,
                           in.rank, to, threads);
  }
  return out;
}

py::tuple low_rank_cross_backward(const py::object& x0, const py::object& x, const py::object& down,
                                  const py::object& up, const py::object& bias, const py::object& grad) {
  const Inputs in(x0, x, down, up, bias);
  const auto gradient = input<float>(grad, "grad", 2);
  bind::require_shape(gradient, "grad", {in.batch, in.dim});
  Array<float> of_x0 = bind::aligned<float>({in.batch, in.dim}), of_x = bind::aligned<float>({in.batch, in.dim});
  Array<float> of_down({in.rank, in.dim}), of_up({in.dim, in.rank}), of_bias(in.dim);
  if (in.dim == 0) return py::make_tuple(of_x0, of_x, of_down, of_up, of_bias);
  const float* const by = gradient.data();
  float* const to[] = {of_x0.mutable_data(), of_x.mutable_data(), of_down.mutable_data(), of_up.mutable_data(),
                       of_bias.mutable_data()};
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(low_rank_cross_backward)(in.x0.data(), in.x.data(), in.down.data(), in.up.data(), in.bias.data(), by,
                                    in.batch, in.dim, in.rank, to[0], to[1], to[2], to[3], to[4], threads);
  }
  return py::make_tuple(of_x0, of_x, of_down, of_up, of_bias);
}

}  // namespace

void bind::add_low_rank_cross(py::module_& module) {
  module.def("low_rank_cross", &low_rank_cross);
  module.def("low_rank_cross_backward", &low_rank_cross_backward);
}
