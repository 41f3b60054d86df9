// Ids and offsets of an embedding lookup, checked before a kernel sees them.
#pragma once

#include "bind_arrays.h"
#include "bind_settings.h"
#include "embedding_bag.h"

namespace bind {

using kernels::Lookups;

inline std::string at(const std::string& name, py::ssize_t index) { return name + "[" + std::to_string(index) + "]"; }

// The checked form of ids, offsets and weights; holds the arrays that `lookups` points into.
struct CheckedLookups {
  Array<int64_t> ids;
  Array<int64_t> offsets;
  Array<float> weights;
  Lookups lookups;
};

[[noreturn]] inline void refuse_id(int64_t id, int64_t rows, int64_t table, int64_t position) {
  throw py::index_error("table " + std::to_string(table) + ", position " + std::to_string(position) + ": id " +
                        std::to_string(id) + " is not in 0.." + std::to_string(rows - 1));
}

inline void check_id(int64_t id, int64_t rows, int64_t table, int64_t position) {
  if (static_cast<uint64_t>(id) >= static_cast<uint64_t>(rows)) refuse_id(id, rows, table, position);
}

// IndexError that names the first id that is not in its table, if there is one.
inline void name_bad_id(const Lookups& lookups, const std::vector<int64_t>& rows) {
  for (int64_t t = 0; t < lookups.tables; ++t) {
    if (lookups.offsets == nullptr) {
      for (int64_t b = 0; b < lookups.batch; ++b) check_id(lookups.ids[b * lookups.tables + t], rows[t], t, b);
    } else {
      const int64_t end = lookups.offsets[(t + 1) * lookups.batch];
      for (int64_t i = lookups.offsets[t * lookups.batch]; i < end; ++i) check_id(lookups.ids[i], rows[t], t, i);
    }
  }
}

inline void check_offsets(const int64_t* offsets, int64_t bags, int64_t ids) {
  if (ON_ISA(offsets_rise)(offsets, bags, ids)) return;
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

// rows: of each table. weights: None, or one float32 per id in an array of the shape of ids. With check_ids false the
// caller goes on to check the ids themselves.
inline CheckedLookups check_lookups(const std::vector<int64_t>& rows, const py::object& ids, const py::object& offsets,
                                    const py::object& weights, bool mean, bool check_ids = true) {
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
    checked.lookups = Lookups{checked.ids.data(), nullptr, nullptr, tables, batch, mean};
  } else {
    checked.ids = input<int64_t>(ids, "ids", 1);
    checked.offsets = input<int64_t>(offsets, "offsets", 1);
    const int64_t bags = checked.offsets.size() - 1;
    if (bags < 0 || bags % tables != 0) {
      throw py::value_error("offsets: " + std::to_string(bags + 1) + " numbers, expected tables * batch + 1 with " +
                            std::to_string(tables) + " tables");
    }
    const int64_t batch = bags / tables;
    check_offsets(checked.offsets.data(), bags, checked.ids.size());
    checked.lookups = Lookups{checked.ids.data(), checked.offsets.data(), nullptr, tables, batch, mean};
  }
  if (!weights.is_none()) {
    if (mean) throw py::value_error("weights: only with pooling 'sum'");
    checked.weights = input<float>(weights, "weights", checked.ids.ndim());
    const auto shape = checked.ids.shape();
    bind::require_shape(checked.weights, "weights", {shape, shape + checked.ids.ndim()});
    checked.lookups.weights = checked.weights.data();
  }
  if (check_ids && !ON_ISA(ids_in_range)(checked.lookups, rows.data())) name_bad_id(checked.lookups, rows);
  if (checked.lookups.batch >= (int64_t{1} << 32)) throw py::value_error("ids: a batch of 2^32 samples or more");
  return checked;
}

}  // namespace bind
