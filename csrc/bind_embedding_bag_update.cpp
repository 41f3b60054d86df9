// Gradient and optimiser step of embedding tables; documented in nasrec/kernels/embedding_bag_update.py.
#include <algorithm>
#include <optional>

#include "bind_kernels.h"
#include "bind_lookups.h"
#include "bind_settings.h"
#include "embedding_bag_update.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::at;
using bind::check_id;
using bind::check_lookups;
using bind::input;
using kernels::Optimizer;
using kernels::RowGradients;
using kernels::Step;

bind::CheckedLookups check_updates(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                                   const py::object& weights, bool mean) {
  auto checked = check_lookups(rows, ids, offsets, weights, mean);
  if (checked.lookups.total() >= (int64_t{1} << 32)) throw py::value_error("ids: 2^32 or more of them");
  return checked;
}

Array<float> check_gradient(const py::object& grad, const bind::Lookups& lookups) {
  const auto gradient = input<float>(grad, "grad", 3);
  bind::require_shape(gradient, "grad", {lookups.batch, lookups.tables, gradient.shape(2)});
  return gradient;
}

Step step_of(int optimizer, float lr, float eps, float scale) {
  if (optimizer < 0 || optimizer > static_cast<int>(Optimizer::sgd)) {
    throw py::value_error("optimizer: " + std::to_string(optimizer) + ", expected 0, 1 or 2");
  }
  return {static_cast<Optimizer>(optimizer), lr, eps, scale};
}

// Tables and optimiser states that a step changes in place.
struct Changed {
  std::vector<float*> data;
  std::vector<float*> states;
  std::vector<int64_t> rows;
};

using States = std::optional<std::vector<py::object>>;

Changed check_changed(const std::vector<py::object>& tables, const States& states, int64_t dim, Optimizer optimizer) {
  const auto size = static_cast<py::ssize_t>(tables.size());
  Changed changed;
  if (optimizer != Optimizer::sgd) {
    if (!states) throw py::value_error("states: None, expected an array for each table");
    if (states->size() != tables.size()) {
      throw py::value_error("states: " + std::to_string(states->size()) + " arrays for " + std::to_string(size) + " tables");
    }
  } else if (states) {
    throw py::value_error("states: given, but this optimizer has none");
  }
  struct Range {
    const float* begin;
    const float* end;
    py::ssize_t table;
  };
  std::vector<Range> ranges;
  for (py::ssize_t t = 0; t < size; ++t) {
    if (!py::isinstance<py::array>(tables[t]) || py::reinterpret_borrow<py::array>(tables[t]).ndim() != 2) {
      input<float>(tables[t], at("tables", t), 2);
    }
    const py::ssize_t rows = py::reinterpret_borrow<py::array>(tables[t]).shape(0);
    changed.rows.push_back(rows);
    changed.data.push_back(bind::in_place<float>(tables[t], at("tables", t), {rows, dim}));
    if (rows * dim > 0) ranges.push_back({changed.data[t], changed.data[t] + rows * dim, t});
    if (optimizer == Optimizer::sgd) continue;
    const bool one = optimizer == Optimizer::row_wise_adagrad;
    const std::vector<py::ssize_t> shape = one ? std::vector<py::ssize_t>{rows} : std::vector<py::ssize_t>{rows, dim};
    changed.states.push_back(bind::in_place<float>((*states)[t], at("states", t), shape));
    if (rows * dim > 0) ranges.push_back({changed.states[t], changed.states[t] + rows * (one ? 1 : dim), t});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin < ranges[i - 1].end) {
      throw py::value_error(at("tables", std::max(ranges[i].table, ranges[i - 1].table)) +
                            ": the same memory as another table or state");
    }
  }
  return changed;
}

py::tuple embedding_bag_coalesce(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                                 const py::object& weights, const py::object& grad, bool mean) {
  const auto checked = check_updates(rows, ids, offsets, weights, mean);
  const auto gradient = check_gradient(grad, checked.lookups);
  const int64_t dim = gradient.shape(2);
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
    const int64_t used = gradient.size() == 0 ? 0 : dim;  // of an empty gradient, numbers per row can be any number
    square = ON_ISA(embedding_bag_coalesce)(checked.lookups, used, from, out, threads);
  }
  return py::make_tuple(starts, counts, touched, values, square);
}

double embedding_bag_square_norm(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                                 const py::object& weights, const py::object& grad, bool mean) {
  const auto checked = check_updates(rows, ids, offsets, weights, mean);
  const auto gradient = check_gradient(grad, checked.lookups);
  if (gradient.size() == 0) return 0.0;
  const int64_t dim = gradient.shape(2);
  const float* const from = gradient.data();
  const int threads = bind::threads();
  py::gil_scoped_release release;
  return ON_ISA(embedding_bag_square_norm)(checked.lookups, dim, from, threads);
}

void embedding_bag_step(const std::vector<py::object>& tables, const States& states, const py::object& starts,
                        const py::object& counts, const py::object& rows, const py::object& values, int optimizer,
                        float lr, float eps, float scale) {
  const auto size = static_cast<py::ssize_t>(tables.size());
  auto first = input<int64_t>(starts, "starts", 1);
  auto used = input<int64_t>(counts, "counts", 1);
  auto touched = input<int64_t>(rows, "rows", 1);
  auto gradient = input<float>(values, "values", 2);
  const int64_t dim = gradient.shape(1);
  bind::require_shape(first, "starts", {size + 1});
  bind::require_shape(used, "counts", {size});
  bind::require_shape(gradient, "values", {touched.size(), dim});
  const Step step = step_of(optimizer, lr, eps, scale);
  Changed changed = check_changed(tables, states, dim, step.optimizer);
  for (py::ssize_t t = 0; t < size; ++t) {
    const int64_t begin = first.data()[t];
    const int64_t count = used.data()[t];
    if (begin < 0 || count < 0 || begin > touched.size() || count > touched.size() - begin) {
      throw py::value_error(at("starts", t) + ": " + std::to_string(begin) + " and " + at("counts", t) + ": " +
                            std::to_string(count) + " go beyond " + std::to_string(touched.size()) + " rows");
    }
    for (int64_t i = begin; i < begin + count; ++i) {
      check_id(touched.data()[i], changed.rows[t], t, i);
      if (i > begin && touched.data()[i] <= touched.data()[i - 1]) {
        throw py::value_error(at("rows", i) + ": " + std::to_string(touched.data()[i]) + " does not ascend within its table");
      }
    }
  }
  if (gradient.size() == 0) return;
  const RowGradients gradients{const_cast<int64_t*>(first.data()), const_cast<int64_t*>(used.data()),
                               const_cast<int64_t*>(touched.data()), const_cast<float*>(gradient.data())};
  const int threads = bind::threads();
  py::gil_scoped_release release;
  ON_ISA(embedding_bag_step)(changed.data.data(), changed.states.data(), gradients, size, dim, step, threads);
}

void embedding_bag_update(const std::vector<py::object>& tables, const States& states, const py::object& ids,
                          const py::object& offsets, const py::object& weights, const py::object& grad, bool mean,
                          int optimizer, float lr, float eps, float scale) {
  const auto gradient = input<float>(grad, "grad", 3);
  const int64_t dim = gradient.shape(2);
  const Step step = step_of(optimizer, lr, eps, scale);
  Changed changed = check_changed(tables, states, dim, step.optimizer);
  const auto checked = check_updates(changed.rows, ids, offsets, weights, mean);
  check_gradient(gradient, checked.lookups);
  if (gradient.size() == 0) return;
  const float* const from = gradient.data();
  const int threads = bind::threads();
  py::gil_scoped_release release;
  ON_ISA(embedding_bag_update)(changed.data.data(), changed.states.data(), checked.lookups, dim, from, step, threads);
}

}  // namespace

void bind::add_embedding_bag_update(py::module_& module) {
  module.def("embedding_bag_coalesce", &embedding_bag_coalesce);
  module.def("embedding_bag_square_norm", &embedding_bag_square_norm);
  module.def("embedding_bag_step", &embedding_bag_step);
  module.def("embedding_bag_update", &embedding_bag_update);
}
