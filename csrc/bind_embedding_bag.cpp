// Embedding lookup of nasrec/_kernels; documented in nasrec/kernels/embedding_bag.py.
#include "bind_kernels.h"
#include "bind_lookups.h"
#include "bind_settings.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;
using bind::at;
using bind::check_lookups;

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
  const auto checked = check_lookups(rows, ids, offsets, py::none(), mean);
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

}  // namespace

void bind::add_embedding_bag(py::module_& module) {
  module.def("embedding_bag", &embedding_bag);
}
