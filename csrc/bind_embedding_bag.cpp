// Embedding lookup of nasrec/_kernels; documented in nasrec/kernels/embedding_bag.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "bind_lookups.h"
#include "bind_settings.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::at;
using bind::check_lookups;
using bind::input;
using kernels::RowFormat;
using kernels::TableRows;

// The tables of a call; holds the arrays that it points into.
struct Tables {
  RowFormat format = RowFormat::float32;
  int64_t dim = 0;
  int64_t stride = 0;
  int64_t scale_bias_stride = 0;
  std::vector<py::array> arrays;
  std::vector<int64_t> counts;
  std::vector<const void*> data;
  std::vector<const void*> scale_bias;

  TableRows rows() const {
    return {format,      dim, stride, counts.data(), data.data(), scale_bias.empty() ? nullptr : scale_bias.data(),
            scale_bias_stride};
  }
};

bool is_float16(const py::array& array) {
  const auto dtype = array.dtype();
  return dtype.kind() == 'f' && dtype.itemsize() == 2 && dtype.byteorder() == '=';
}

RowFormat format_of(const py::object& table) {
  if (py::isinstance<py::array>(table)) {
    const auto array = py::reinterpret_borrow<py::array>(table);
    if (py::isinstance<py::array_t<float>>(array)) return RowFormat::float32;
    if (is_float16(array)) return RowFormat::float16;
    if (py::isinstance<py::array_t<uint16_t>>(array)) return RowFormat::bfloat16;
    throw py::type_error("tables[0]: dtype " + std::string(py::str(array.dtype())) +
                         ", expected float32, float16 or uint16");
  }
  throw py::type_error("tables[0]: a " + std::string(py::str(py::type::handle_of(table).attr("__name__"))) +
                       ", expected a NumPy array or QuantizedRows");
}

// A table of numbers as contiguous, aligned memory.
py::array numbers(const py::object& table, RowFormat format, int64_t index) {
  if (format == RowFormat::float32 && py::isinstance<Array<float>>(table)) {  // as most are: nothing to lay out anew
    const auto array = py::reinterpret_borrow<py::array>(table);
    if ((array.flags() & bind::kAligned) != 0) return array;
  }
  if (format == RowFormat::float32) return input<float>(table, at("tables", index), 2);
  if (format == RowFormat::bfloat16) return input<uint16_t>(table, at("tables", index), 2);
  if (!py::isinstance<py::array>(table) || !is_float16(py::reinterpret_borrow<py::array>(table))) {
    throw py::type_error(at("tables", index) + ": expected a NumPy array of float16, as tables[0]");
  }
  const auto& numpy = py::detail::npy_api::get();
  const auto array = py::reinterpret_steal<py::object>(
      numpy.PyArray_FromAny_(table.ptr(), nullptr, 0, 0, py::array::c_style | bind::kAligned, nullptr));
  if (!array) throw py::error_already_set();
  return py::array(array);
}

Tables number_tables(const std::vector<py::object>& tables) {
  Tables result;
  if (tables.empty()) return result;
  result.format = format_of(tables[0]);
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const auto array = numbers(tables[t], result.format, static_cast<int64_t>(t));
    if (array.ndim() != 2) {
      throw py::value_error(at("tables", static_cast<int64_t>(t)) + ": shape " + bind::shape_of(array) +
                            ", expected 2 dimensions");
    }
    if (t == 0) result.dim = array.shape(1);
    if (array.shape(1) != result.dim) {
      bind::require_shape(array, at("tables", static_cast<int64_t>(t)), {array.shape(0), result.dim});
    }
    result.stride = result.dim * array.itemsize();
    result.counts.push_back(array.shape(0));
    result.data.push_back(array.data());
    result.arrays.push_back(array);
  }
  return result;
}

// Codes [rows, bytes] and [scale, bias] per row; each may lie at a distance from row to row, the same for all tables.
Tables code_tables(const std::vector<py::object>& codes, const std::vector<py::object>& scale_bias, int bits,
                   int64_t dim) {
  if (bits != 8 && bits != 4) throw py::value_error("bits: " + std::to_string(bits) + ", allowed: 8 or 4");
  if (dim < 0 || dim > (int64_t{1} << 32)) throw py::value_error("dim: " + std::to_string(dim) + ", expected 0..2^32");
  if (codes.size() != scale_bias.size()) throw py::value_error("tables: codes and scales of different numbers of tables");
  Tables result;
  result.format = bits == 8 ? RowFormat::int8 : RowFormat::int4;
  result.dim = dim;
  const int64_t bytes = (dim + 15) / 16 * 16 * bits / 8;
  for (std::size_t t = 0; t < codes.size(); ++t) {
    const auto name = static_cast<int64_t>(t);
    if (!py::isinstance<py::array_t<uint8_t>>(codes[t]) || !py::isinstance<py::array_t<float>>(scale_bias[t])) {
      throw py::type_error(at("tables", name) + ": expected codes of uint8, scale and bias of float32");
    }
    const auto rows = py::reinterpret_borrow<py::array>(codes[t]);
    const auto beside = py::reinterpret_borrow<py::array>(scale_bias[t]);
    if (rows.ndim() != 2 || rows.shape(1) != bytes) {
      bind::require_shape(rows, at("tables", name) + ".codes", {rows.ndim() > 0 ? rows.shape(0) : 0, bytes});
    }
    if (beside.ndim() != 2 || beside.shape(0) != rows.shape(0) || beside.shape(1) != 2) {
      bind::require_shape(beside, at("tables", name) + ".scale_bias", {rows.shape(0), 2});
    }
    if (t == 0) {
      result.stride = rows.strides(0);
      result.scale_bias_stride = beside.strides(0);
    }
    if (rows.strides(0) != result.stride || beside.strides(0) != result.scale_bias_stride || result.stride < bytes ||
        result.scale_bias_stride < 8 || (bytes > 0 && rows.strides(1) != 1) || beside.strides(1) != 4) {
      throw py::value_error(at("tables", name) + ": rows that do not lie as in tables[0] or as quantize_rows lays them");
    }
    result.counts.push_back(rows.shape(0));
    result.data.push_back(rows.data());
    result.scale_bias.push_back(beside.data());
    result.arrays.push_back(rows);
    result.arrays.push_back(beside);
  }
  return result;
}

py::object look_up(const Tables& tables, const py::object& ids, const py::object& offsets, const py::object& weights,
                   bool mean, const py::object& out) {
  const auto checked = check_lookups(tables.counts, ids, offsets, weights, mean, !out.is_none());
  const auto& lookups = checked.lookups;
  py::object result = out;
  float* to = nullptr;
  if (out.is_none()) {
    auto own = bind::aligned<float>({lookups.batch, lookups.tables, tables.dim});
    to = own.mutable_data();
    result = std::move(own);
  } else {
    to = bind::in_place<float>(out, "out", {lookups.batch, lookups.tables, tables.dim});
  }
  const int threads = bind::threads();
  bool good = false;
  {
    py::gil_scoped_release release;
    good = ON_ISA(embedding_bag)(tables.rows(), lookups, to, threads);
  }
  if (!good) {
    bind::name_bad_id(lookups, tables.counts);
    throw py::index_error("ids: changed while they were looked up");
  }
  return result;
}

py::object embedding_bag(const std::vector<py::object>& tables, const py::object& ids, const py::object& offsets,
                         const py::object& weights, bool mean, const py::object& out) {
  return look_up(number_tables(tables), ids, offsets, weights, mean, out);
}

py::object embedding_bag_codes(const std::vector<py::object>& codes, const std::vector<py::object>& scale_bias,
                               int bits, int64_t dim, const py::object& ids, const py::object& offsets,
                               const py::object& weights, bool mean, const py::object& out) {
  return look_up(code_tables(codes, scale_bias, bits, dim), ids, offsets, weights, mean, out);
}

}  // namespace

void bind::add_embedding_bag(py::module_& module) {
  module.def("embedding_bag", &embedding_bag);
  module.def("embedding_bag_codes", &embedding_bag_codes);
}
