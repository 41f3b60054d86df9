// Gradient and optimiser step of embedding tables; documented in nasrec/kernels/embedding_bag_update.py.
#include <set>

#include "bind_kernels.h"
#include "bind_lookups.h"
#include "bind_settings.h"
#include "embedding_bag_update.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;
using bind::at;
using bind::check_id;
using bind::check_lookups;
using kernels::RowGradients;

py::tuple embedding_bag_coalesce(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                                 const py::object& grad, bool mean) {
  const auto checked = check_lookups(rows, ids, offsets, py::none(), mean);
  const auto gradient = input<float>(grad, "grad", 3);
  const int64_t dim = gradient.shape(2);
  bind::require_shape(gradient, "grad", {checked.lookups.batch, checked.lookups.tables, dim});
  const int64_t total = checked.lookups.total();
  Array<int64_t> starts(checked.lookups.tables + 1);
  Array<int64_t> counts(checked.lookups.tables);
  Array<int64_t> touched(total);
  Array<float> values({total, dim});
  const RowGradients out{starts.mutable_data(), counts.mutable_data(), touched.mutable_data(), values.mutable_data()};
  const float* const from = gradient.data();
  const int threads = bind::threads();
  double square = 0.0;
  {
    py::gil_scoped_release release;
    square = ON_ISA(embedding_bag_coalesce)(checked.lookups, dim, from, out, threads);
  }
  return py::make_tuple(starts, counts, touched, values, square);
}

void embedding_bag_adagrad(const std::vector<py::object>& tables, const std::vector<py::object>& states,
                           const py::object& starts, const py::object& counts, const py::object& rows,
                           const py::object& values, float lr, float eps, float scale) {
  const auto size = static_cast<py::ssize_t>(tables.size());
  auto first = input<int64_t>(starts, "starts", 1);
  auto used = input<int64_t>(counts, "counts", 1);
  auto touched = input<int64_t>(rows, "rows", 1);
  auto gradient = input<float>(values, "values", 2);
  const int64_t dim = gradient.shape(1);
  bind::require_shape(first, "starts", {size + 1});
  bind::require_shape(used, "counts", {size});
  bind::require_shape(gradient, "values", {touched.size(), dim});
  if (states.size() != tables.size()) {
    throw py::value_error("states: " + std::to_string(states.size()) + " arrays for " + std::to_string(size) + " tables");
  }
  std::vector<float*> data;
  std::vector<float*> state;
  std::set<const float*> seen;
  for (py::ssize_t t = 0; t < size; ++t) {
    const auto table = input<float>(tables[t], at("tables", t), 2);
    data.push_back(bind::in_place<float>(tables[t], at("tables", t), {table.shape(0), dim}));
    state.push_back(bind::in_place<float>(states[t], at("states", t), {table.shape(0), dim}));
    if (table.size() > 0 && (!seen.insert(data[t]).second || !seen.insert(state[t]).second)) {
      throw py::value_error(at("tables", t) + ": the same memory as another table or state");
    }
    const int64_t begin = first.data()[t];
    const int64_t count = used.data()[t];
    if (begin < 0 || count < 0 || begin > touched.size() || count > touched.size() - begin) {
      throw py::value_error(at("starts", t) + ": " + std::to_string(begin) + " and " + at("counts", t) + ": " +
                            std::to_string(count) + " go beyond " + std::to_string(touched.size()) + " rows");
    }
    for (int64_t i = begin; i < begin + count; ++i) {
      check_id(touched.data()[i], table.shape(0), t, i);
      if (i > begin && touched.data()[i] <= touched.data()[i - 1]) {
        throw py::value_error(at("rows", i) + ": " + std::to_string(touched.data()[i]) + " does not ascend within its table");
      }
    }
  }
  const RowGradients gradients{const_cast<int64_t*>(first.data()), const_cast<int64_t*>(used.data()),
                               const_cast<int64_t*>(touched.data()), const_cast<float*>(gradient.data())};
  const int threads = bind::threads();
  py::gil_scoped_release release;
  ON_ISA(embedding_bag_adagrad)(data.data(), state.data(), gradients, size, dim, lr, eps, scale, threads);
}

}  // namespace

void bind::add_embedding_bag_update(py::module_& module) {
  module.def("embedding_bag_coalesce", &embedding_bag_coalesce);
  module.def("embedding_bag_adagrad", &embedding_bag_adagrad);
}
