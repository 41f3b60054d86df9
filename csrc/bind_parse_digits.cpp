// Parsing of nasrec/_kernels; documented in nasrec/kernels/parse_digits.py.
#include <cctype>

#include "bind_aligned.h"
#include "bind_kernels.h"
#include "parse_digits.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

py::object parse(const py::object& text, int64_t separator, const py::object& hexadecimal, int64_t rows) {
  const auto bytes = input<uint8_t>(text, "text", 1);
  const auto kinds = input<uint8_t>(hexadecimal, "hexadecimal", 1);
  const int64_t fields = kinds.shape(0);
  const bool of_a_number = separator == '-' || separator == '\n' || std::isxdigit(static_cast<int>(separator & 127));
  if (separator < 0 || separator > 127 || of_a_number) {
    throw py::value_error("separator: " + std::to_string(separator) + ", expected an ASCII character that no number has");
  }
  if (fields < 1) throw py::value_error("hexadecimal: no fields, expected at least one");
  if (rows < 0 || rows > bytes.shape(0)) {
    throw py::value_error("rows: " + std::to_string(rows) + ", expected 0 to the number of bytes");
  }
  int64_t coded = 0;
  for (int64_t field = 0; field < fields; ++field) coded += kinds.data()[field] != 0;
  Array<double> numbers = bind::aligned<double>({fields - coded, rows});
  Array<uint32_t> codes = bind::aligned<uint32_t>({coded, rows});
  Array<bool> present = bind::aligned<bool>({coded, rows});
  bool parsed;
  {
    py::gil_scoped_release release;
    parsed = ON_ISA(parse_digits)(bytes.data(), bytes.shape(0), static_cast<uint8_t>(separator), kinds.data(), fields,
                                  rows, numbers.mutable_data(), codes.mutable_data(),
                                  reinterpret_cast<uint8_t*>(present.mutable_data()));
  }
  if (!parsed) return py::none();
  return py::make_tuple(numbers, codes, present);
}

}  // namespace

void bind::add_parse_digits(py::module_& module) { module.def("parse_digits", &parse); }
