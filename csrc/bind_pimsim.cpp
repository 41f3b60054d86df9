// pimsim._kernels: NumPy in, NumPy out. Check, release the GIL, call. Used and documented by pimsim/crossbar.py.
#include "bind_arrays.h"
#include "bind_settings.h"
#include "crossbar_mac.h"

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;

void require(bool holds, const std::string& name, int64_t value, const std::string& allowed) {
  if (!holds) throw py::value_error(name + ": " + std::to_string(value) + ", expected " + allowed);
}

// bits [groups, blocks, slices, cell_bits, words, 8], signs [groups, blocks, slices, 8], gains [groups, blocks, 8].
Array<int64_t> crossbar_mac(const py::object& bits, const py::object& signs, const py::object& gains,
                            const py::object& shifts, int64_t inputs, int64_t outputs, int64_t block_rows,
                            const py::object& codes, int input_bits, bool signed_inputs, int dac_bits, int adc_bits,
                            int64_t adc_step) {
  const auto cells = input<uint64_t>(bits, "bits", 6);
  const auto sign = input<int64_t>(signs, "signs", 4);
  const auto gain = input<int64_t>(gains, "gains", 3);
  const auto shift = input<int32_t>(shifts, "shifts", 1);
  const auto values = input<uint16_t>(codes, "codes", 2);
  const int64_t slices = cells.shape(2), cell_bits = cells.shape(3), words = cells.shape(4);
  require(inputs > 0, "inputs", inputs, "1 or more");
  require(outputs > 0, "outputs", outputs, "1 or more");
  require(block_rows > 0 && block_rows <= 64 * words, "block_rows", block_rows, "1.." + std::to_string(64 * words));
  require(words > 0 && words <= 64 && (words & (words - 1)) == 0, "words", words, "a power of two up to 64");
  require(cell_bits >= 1 && cell_bits <= 8, "cell_bits", cell_bits, "1..8");
  require(input_bits >= 1 && input_bits <= 16, "input_bits", input_bits, "1..16");
  require(dac_bits >= 1 && dac_bits <= 8, "dac_bits", dac_bits, "1..8");
  require(adc_bits >= 1 && adc_bits <= 30, "adc_bits", adc_bits, "1..30");
  require(adc_step >= 1 && adc_step <= int64_t{1} << 30, "adc_step", adc_step, "1..2^30");
  const kernels::CrossbarCells packed{cells.data(), sign.data(), gain.data(), shift.data(),
                                      inputs, outputs, block_rows, words, slices, static_cast<int>(cell_bits)};
  bind::require_shape(cells, "bits", {packed.groups(), packed.blocks(), slices, cell_bits, words, 8});
  bind::require_shape(sign, "signs", {packed.groups(), packed.blocks(), slices, 8});
  bind::require_shape(gain, "gains", {packed.groups(), packed.blocks(), 8});
  bind::require_shape(shift, "shifts", {slices});
  bind::require_shape(values, "codes", {values.shape(0), inputs});
  for (int64_t s = 0; s < slices; ++s) {
    require(shift.data()[s] >= 0 && shift.data()[s] < 32, "shifts", shift.data()[s], "0..31");
  }
  const kernels::Converter converter{(int64_t{1} << adc_bits) - 1, adc_step};
  const int64_t vectors = values.shape(0);
  Array<int64_t> out({vectors, outputs});
  const uint16_t* const from = values.data();
  int64_t* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(crossbar_mac)(packed, converter, from, vectors, input_bits, signed_inputs, dac_bits, to, threads);
  }
  return out;
}

}  // namespace

PYBIND11_MODULE(_kernels, module) {
  module.doc() = "Compiled kernels of pimsim; use pimsim.crossbar, which documents them.";
  bind::add_settings(module);
  module.def("crossbar_mac", &crossbar_mac);
}
