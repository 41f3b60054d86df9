// Interning of nasrec/_kernels; documented in nasrec/kernels/intern_keys.py.
#include "bind_aligned.h"
#include "bind_kernels.h"
#include "intern_keys.h"
#include "scratch.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

py::tuple intern(const py::object& keys, const py::object& slot_keys, const py::object& slot_ids, int64_t used) {
  const auto values = input<uint64_t>(keys, "keys", 1);
  const int64_t slots = input<int32_t>(slot_ids, "slot_ids", 1).shape(0);
  if (slots < 1 || (slots & (slots - 1)) != 0) {
    throw py::value_error("slot_ids: " + std::to_string(slots) + " slots, expected a power of two");
  }
  uint64_t* const table_keys = bind::in_place<uint64_t>(slot_keys, "slot_keys", {slots});
  int32_t* const table_ids = bind::in_place<int32_t>(slot_ids, "slot_ids", {slots});
  const int64_t count = values.shape(0);
  if (used < 0 || used > INT32_MAX - count) {
    throw py::value_error("used: " + std::to_string(used) + ", expected 0 to 2^31 - 1 less the number of keys");
  }
  Array<int32_t> ids = bind::aligned<int32_t>({count});
  Array<int64_t> first = bind::aligned<int64_t>({count});
  kernels::Scratch<uint64_t> before(1, static_cast<size_t>(count));
  const uint64_t* const from = values.data();
  int32_t* const to = ids.mutable_data();
  int64_t* const where = first.mutable_data();
  int64_t fresh;
  {
    py::gil_scoped_release release;
    fresh = ON_ISA(intern_keys)(from, count, table_keys, table_ids, slots, used, to, where, before.of(0));
  }
  if (fresh < 0) throw py::value_error("slot_ids: all " + std::to_string(slots) + " slots are taken");
  return py::make_tuple(ids, first[py::slice(0, fresh, 1)]);
}

}  // namespace

void bind::add_intern_keys(py::module_& module) { module.def("intern_keys", &intern); }
