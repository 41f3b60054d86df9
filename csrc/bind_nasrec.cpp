// nasrec._kernels: NumPy in, NumPy out. Check, release the GIL, call. Documented in nasrec/kernels.py.
#include <set>

#include "attention.h"
#include "bind_arrays.h"
#include "bind_settings.h"
#include "dot_interaction.h"
#include "embedding_bag.h"
#include "fm_interaction.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;
using kernels::Lookups;
using kernels::RowGradients;

std::string at(const std::string& name, py::ssize_t index) { return name + "[" + std::to_string(index) + "]"; }

// The checked form of ids and offsets; holds the arrays that `lookups` points into.
struct CheckedLookups {
  Array<int64_t> ids;
  Array<int64_t> offsets;
  Lookups lookups;
};

[[noreturn]] void refuse_id(int64_t id, int64_t rows, int64_t table, int64_t position) {
  throw py::index_error("table " + std::to_string(table) + ", position " + std::to_string(position) + ": id " +
                        std::to_string(id) + " is not in 0.." + std::to_string(rows - 1));
}

inline void check_id(int64_t id, int64_t rows, int64_t table, int64_t position) {
  if (static_cast<uint64_t>(id) >= static_cast<uint64_t>(rows)) refuse_id(id, rows, table, position);
}

void check_offsets(const int64_t* offsets, int64_t bags, int64_t ids) {
  if (offsets[0] != 0) throw py::value_error("offsets[0]: " + std::to_string(offsets[0]) + ", expected 0");
  for (int64_t i = 1; i <= bags; ++i) {
    if (offsets[i] >= offsets[i - 1] && offsets[i] <= ids) continue;
    throw py::value_error(at("offsets", i) + ": " + std::to_string(offsets[i]) + ", expected " +
                          std::to_string(offsets[i - 1]) + ".." + std::to_string(ids));
  }
  if (offsets[bags] != ids) {
    throw py::value_error(at("offsets", bags) + ": " + std::to_string(offsets[bags]) + ", expected the number of ids, " +
                          std::to_string(ids));
  }
}

CheckedLookups check_lookups(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                             bool mean) {
  const auto tables = static_cast<int64_t>(rows.size());
  if (tables == 0) throw py::value_error("tables: an empty list, expected at least one table");
  for (int64_t t = 0; t < tables; ++t) {
    if (rows[t] < 0 || rows[t] > (int64_t{1} << 32)) {
      throw py::value_error(at("rows", t) + ": " + std::to_string(rows[t]) + ", expected 0..2^32");
    }
  }
  CheckedLookups checked;
  if (offsets.is_none()) {
    checked.ids = input<int64_t>(ids, "ids", 2);
    const int64_t batch = checked.ids.shape(0);
    bind::require_shape(checked.ids, "ids", {batch, tables});
    const int64_t* const data = checked.ids.data();
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t t = 0; t < tables; ++t) check_id(data[b * tables + t], rows[t], t, b);
    }
    checked.lookups = Lookups{data, nullptr, tables, batch, mean};
  } else {
    checked.ids = input<int64_t>(ids, "ids", 1);
    checked.offsets = input<int64_t>(offsets, "offsets", 1);
    const int64_t bags = checked.offsets.size() - 1;
    if (bags < 0 || bags % tables != 0) {
      throw py::value_error("offsets: " + std::to_string(bags + 1) + " numbers, expected tables * batch + 1 with " +
                            std::to_string(tables) + " tables");
    }
    const int64_t batch = bags / tables;
    const int64_t* const data = checked.ids.data();
    const int64_t* const place = checked.offsets.data();
    check_offsets(place, bags, checked.ids.size());
    for (int64_t t = 0; t < tables; ++t) {
      for (int64_t i = place[t * batch]; i < place[(t + 1) * batch]; ++i) check_id(data[i], rows[t], t, i);
    }
    checked.lookups = Lookups{data, place, tables, batch, mean};
  }
  if (checked.lookups.batch >= (int64_t{1} << 32)) throw py::value_error("ids: a batch of 2^32 samples or more");
  return checked;
}

Array<float> embedding_bag(const std::vector<py::object>& tables, const py::object& ids, const py::object& offsets,
                           bool mean) {
  std::vector<Array<float>> arrays;
  std::vector<const float*> data;
  std::vector<int64_t> rows;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    arrays.push_back(input<float>(tables[t], at("tables", t), 2));
    bind::require_shape(arrays[t], at("tables", t), {arrays[t].shape(0), arrays[0].shape(1)});
    data.push_back(arrays[t].data());
    rows.push_back(arrays[t].shape(0));
  }
  const auto checked = check_lookups(rows, ids, offsets, mean);
  const int64_t dim = arrays[0].shape(1);
  Array<float> out({checked.lookups.batch, checked.lookups.tables, dim});
  float* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(embedding_bag)(data.data(), checked.lookups, dim, to, threads);
  }
  return out;
}

py::tuple embedding_bag_coalesce(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                                 const py::object& grad, bool mean) {
  const auto checked = check_lookups(rows, ids, offsets, mean);
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

PYBIND11_MODULE(_kernels, module) {
  module.doc() = "Compiled kernels of nasrec; use nasrec.kernels, which documents them.";
  bind::add_settings(module);
  module.def("embedding_bag", &embedding_bag);
  module.def("embedding_bag_coalesce", &embedding_bag_coalesce);
  module.def("embedding_bag_adagrad", &embedding_bag_adagrad);
  module.def("dot_interaction", &dot_interaction);
  module.def("dot_interaction_backward", &dot_interaction_backward);
  module.def("fm_interaction", &fm_interaction);
  module.def("fm_interaction_backward", &fm_interaction_backward);
  module.def("attention", &attention);
  module.def("attention_backward", &attention_backward);
}
