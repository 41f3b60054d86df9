// pimsim._kernels: NumPy in, NumPy out. Check, release the GIL, call. Used and documented by pimsim/crossbar.py and
// pimsim/crossbar_cells.py.
#include "bind_arrays.h"
#include "bind_settings.h"
#include "crossbar_lookup.h"
#include "crossbar_mac.h"
#include "crossbar_pack.h"
#include "crossbar_tables.h"

#include <cstring>
#include <optional>
#include <tuple>

namespace {

namespace py = pybind11;
using bind::Array;
using bind::input;
using Noise = std::optional<std::tuple<uint64_t, int64_t, int32_t, int32_t, int32_t>>;  // as ConverterNoise

void require(bool holds, const std::string& name, int64_t value, const std::string& allowed) {
  if (!holds) throw py::value_error(name + ": " + std::to_string(value) + ", expected " + allowed);
}

void require_sizes(int64_t inputs, int64_t outputs, int64_t block_rows) {
  require(inputs > 0 && inputs <= INT32_MAX, "inputs", inputs, "1..2^31 - 1");
  require(outputs > 0 && outputs <= INT32_MAX, "outputs", outputs, "1..2^31 - 1");
  require(block_rows > 0 && block_rows <= 4096, "block_rows", block_rows, "1..4096");
}

kernels::Converter converter_of(int adc_bits, int64_t adc_step, int64_t adc_offset, int fraction_bits) {
  require(fraction_bits >= 0 && fraction_bits <= 8, "fraction_bits", fraction_bits, "0..8");
  const int64_t far = (int64_t{1} << 30) >> fraction_bits;
  require(adc_bits >= 1 && adc_bits <= 30, "adc_bits", adc_bits, "1..30");
  require(adc_step >= 1 && adc_step <= far, "adc_step", adc_step, "1.." + std::to_string(far));
  require(adc_offset >= -far && adc_offset <= far, "adc_offset", adc_offset, "-" + std::to_string(far) + ".." + std::to_string(far));
  return {(int64_t{1} << adc_bits) - 1, adc_step, adc_offset, fraction_bits};
}

kernels::ConverterNoise noise_of(const Noise& noise) {
  if (!noise) return {false, 0, 0, 0, 0, 0};
  const auto [seed, first_vector, factor, half, shift] = *noise;
  require(first_vector >= 0 && first_vector <= int64_t{1} << 40, "first_vector", first_vector, "0..2^40");
  require(factor >= 0 && factor <= 32767, "noise factor", factor, "0..32767");
  require(half >= -32768 && half <= 32767, "noise half", half, "-32768..32767");
  require(shift >= 0 && shift <= 14, "noise shift", shift, "0..14");
  return {true, seed, first_vector, factor, half, shift};
}

// What both kernels ask of shifts and codes.
void require_product(const Array<int32_t>& shifts, int64_t slices, const Array<uint16_t>& codes, int64_t inputs,
                     int input_bits) {
  require(input_bits >= 1 && input_bits <= 16, "input_bits", input_bits, "1..16");
  bind::require_shape(shifts, "shifts", {slices});
  for (int64_t s = 0; s < slices; ++s) {
    require(shifts.data()[s] >= 0 && shifts.data()[s] < 32, "shifts", shifts.data()[s], "0..31");
  }
  bind::require_shape(codes, "codes", {codes.shape(0), inputs});
}

// bits [groups, blocks, slices, cell_bits, words, 8], signs [groups, blocks, slices, 8], gains [groups, blocks, 8].
Array<int64_t> crossbar_mac(const py::object& bits, const py::object& signs, const py::object& gains,
                            const py::object& shifts, int64_t inputs, int64_t outputs, int64_t block_rows,
                            const py::object& codes, int input_bits, bool signed_inputs, int dac_bits, int adc_bits,
                            int64_t adc_step, int64_t adc_offset, int fraction_bits, const Noise& noise) {
  const auto cells = input<uint64_t>(bits, "bits", 6);
  const auto sign = input<int64_t>(signs, "signs", 4);
  const auto gain = input<int64_t>(gains, "gains", 3);
  const auto shift = input<int32_t>(shifts, "shifts", 1);
  const auto values = input<uint16_t>(codes, "codes", 2);
  const int64_t slices = cells.shape(2), cell_bits = cells.shape(3), words = cells.shape(4);
  require_sizes(inputs, outputs, block_rows);
  require(block_rows <= 64 * words, "block_rows", block_rows, "1.." + std::to_string(64 * words));
  require(words > 0 && words <= 64 && (words & (words - 1)) == 0, "words", words, "a power of two up to 64");
  require(cell_bits >= 1 && cell_bits <= 16, "cell_bits", cell_bits, "1..16");
  require(dac_bits >= 1 && dac_bits <= 8, "dac_bits", dac_bits, "1..8");
  const kernels::CrossbarCells packed{cells.data(), sign.data(), gain.data(), shift.data(),
                                      inputs, outputs, block_rows, words, slices, static_cast<int>(cell_bits)};
  bind::require_shape(cells, "bits", {packed.groups(), packed.blocks(), slices, cell_bits, words, 8});
  bind::require_shape(sign, "signs", {packed.groups(), packed.blocks(), slices, 8});
  bind::require_shape(gain, "gains", {packed.groups(), packed.blocks(), 8});
  require_product(shift, slices, values, inputs, input_bits);
  const auto converter = converter_of(adc_bits, adc_step, adc_offset, fraction_bits);
  const auto added = noise_of(noise);
  const int64_t vectors = values.shape(0);
  Array<int64_t> out({vectors, outputs});
  const uint16_t* const from = values.data();
  int64_t* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(crossbar_mac)(packed, converter, added, from, vectors, input_bits, signed_inputs, dac_bits, to, threads);
  }
  return out;
}

kernels::CrossbarTables tables_of(int64_t inputs, int64_t outputs, int64_t block_rows, int64_t slices, int64_t listed,
                                  int index_bits, int dac_bits, int planes, int low_bits, int64_t run) {
  require_sizes(inputs, outputs, block_rows);
  require(dac_bits == 1 || dac_bits == 2 || dac_bits == 4, "dac_bits", dac_bits, "1, 2 or 4");
  require(planes == 1 || planes == 2, "planes", planes, "1 or 2");
  require(low_bits >= 0 && low_bits <= 6, "low_bits", low_bits, "0..6");
  require(run >= (planes == 2 ? 1 : 0), "run", run, planes == 2 ? "1 or more" : "0 or more");
  require(index_bits == 4 || (index_bits == 6 && listed > 0 && dac_bits < 4), "index_bits", index_bits,
          "4, or 6 with listed tables and dac_bits 1 or 2");
  const int64_t rows = index_bits / dac_bits;
  bool power = listed == 0;
  for (int64_t bits = 1; bits * rows <= 12; ++bits) power = power || listed == int64_t{1} << (bits * rows);
  require(power, "listed", listed, "0, or 2^(bits * index_bits / dac_bits), up to 4096");
  return {nullptr, nullptr, nullptr, nullptr, nullptr, inputs, outputs, block_rows, slices, listed,
          index_bits, dac_bits, planes, low_bits, run};
}

// A list ends in zeros as far as any number can point, so that numbers need no check.
int64_t bytes_of(const kernels::CrossbarTables& cells) {
  const int64_t steps = cells.groups() * cells.blocks() * 8 * cells.slices * cells.steps();
  const int64_t tables = (cells.listed > 0 ? cells.listed : steps) * cells.planes * cells.table_bytes();
  return tables + (cells.listed > 0 ? 1 << 16 : 0);
}

// Tables of levels [slices, inputs, outputs] and the numbers of the steps in them, as csrc/crossbar_lookup.h has them;
// what is not listed has no numbers.
std::pair<Array<uint8_t>, Array<uint16_t>> crossbar_tables(const py::object& levels, int64_t block_rows, int64_t listed,
                                                           int index_bits, int dac_bits, int planes, int low_bits) {
  const auto values = input<uint16_t>(levels, "levels", 3);
  const auto shape = tables_of(values.shape(1), values.shape(2), block_rows, values.shape(0), listed, index_bits, dac_bits, planes,
                               low_bits, 1);
  const uint16_t* const from = values.data();
  int level_bits = 0;
  while ((int64_t{1} << (level_bits * shape.step_rows())) < listed) ++level_bits;
  uint16_t highest = 0;
  for (int64_t i = 0; i < values.size(); ++i) highest = from[i] > highest ? from[i] : highest;
  require(listed == 0 || highest < 1 << level_bits, "levels", highest, "below " + std::to_string(1 << level_bits));
  const int64_t lines = shape.groups() * shape.blocks() * 8 * shape.slices;
  Array<uint8_t> tables({bytes_of(shape)});
  Array<uint16_t> numbers({listed > 0 ? lines * shape.steps() : 0});
  uint8_t* const to = tables.mutable_data();
  if (listed > 0) std::memset(to + tables.size() - (1 << 16), 0, 1 << 16);
  uint16_t* const to_numbers = numbers.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(crossbar_tables)(shape, from, to, to_numbers, threads);
  }
  return {tables, numbers};
}

// signs, gains, shifts, codes as for crossbar_mac.
Array<int64_t> crossbar_lookup(const py::object& tables, const py::object& numbers, const py::object& signs,
                               const py::object& gains, const py::object& shifts, int64_t inputs, int64_t outputs, int64_t block_rows,
                               const py::object& codes, int input_bits, bool signed_inputs, int dac_bits, int adc_bits,
                               int64_t adc_step, int64_t adc_offset, int fraction_bits, const Noise& noise, int64_t listed,
                               int index_bits, int planes, int low_bits, int64_t run) {
  const auto entries = input<uint8_t>(tables, "tables", 1);
  const auto steps = input<uint16_t>(numbers, "numbers", 1);
  const auto sign = input<int64_t>(signs, "signs", 4);
  const auto gain = input<int64_t>(gains, "gains", 3);
  const auto shift = input<int32_t>(shifts, "shifts", 1);
  const auto values = input<uint16_t>(codes, "codes", 2);
  auto cells = tables_of(inputs, outputs, block_rows, sign.shape(2), listed, index_bits, dac_bits, planes, low_bits, run);
  // Signs first: what lies in memory bounds the sizes, and no product of them overflows.
  bind::require_shape(sign, "signs", {cells.groups(), cells.blocks(), cells.slices, 8});
  bind::require_shape(gain, "gains", {cells.groups(), cells.blocks(), 8});
  const int64_t total = cells.groups() * cells.blocks() * 8 * cells.slices * cells.steps();
  bind::require_shape(entries, "tables", {bytes_of(cells)});
  bind::require_shape(steps, "numbers", {listed > 0 ? total : 0});
  require_product(shift, cells.slices, values, inputs, input_bits);
  const auto converter = converter_of(adc_bits, adc_step, adc_offset, fraction_bits);
  require(converter.divisor() < 32768, "adc_step * 2^fraction_bits", converter.divisor(), "1..32767");
  require(converter.bias() > -32768 && converter.bias() < 32768, "adc_offset", adc_offset, "16 bits less half a step");
  const int most = ON_ISA(lookup_index_bits)();
  require(index_bits <= most, "index_bits", index_bits, "up to " + std::to_string(most) + " on this instruction set");
  const auto added = noise_of(noise);
  cells.tables = entries.data();
  cells.numbers = steps.data();
  cells.signs = sign.data();
  cells.gains = gain.data();
  cells.shifts = shift.data();
  const int64_t vectors = values.shape(0);
  Array<int64_t> out({vectors, outputs});
  const uint16_t* const from = values.data();
  int64_t* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(crossbar_lookup)(cells, converter, added, from, vectors, input_bits, signed_inputs, to, threads);
  }
  return out;
}

// Bits of levels [slices, inputs, outputs]: [groups, blocks, slices, cell_bits, words, 8].
Array<uint64_t> crossbar_pack(const py::object& levels, int64_t block_rows, int cell_bits) {
  const auto values = input<uint16_t>(levels, "levels", 3);
  require_sizes(values.shape(1), values.shape(2), block_rows);
  require(cell_bits >= 1 && cell_bits <= 16, "cell_bits", cell_bits, "1..16");
  int64_t words = 1;
  while (64 * words < block_rows) words *= 2;
  const kernels::CrossbarCells shape{nullptr, nullptr, nullptr, nullptr, values.shape(1), values.shape(2),
                                     block_rows, words, values.shape(0), cell_bits};
  Array<uint64_t> out({shape.groups(), shape.blocks(), shape.slices, int64_t{cell_bits}, words, int64_t{8}});
  const uint16_t* const from = values.data();
  uint64_t* const to = out.mutable_data();
  const int threads = bind::threads();
  {
    py::gil_scoped_release release;
    ON_ISA(crossbar_pack)(shape, from, to, threads);
  }
  return out;
}

}  // namespace

PYBIND11_MODULE(_kernels, module) {
  module.doc() = "Compiled kernels of pimsim; use pimsim.crossbar, which documents them.";
  bind::add_settings(module);
  const py::none none;
  module.def("crossbar_mac", &crossbar_mac, py::arg("bits"), py::arg("signs"), py::arg("gains"), py::arg("shifts"),
             py::arg("inputs"), py::arg("outputs"), py::arg("block_rows"), py::arg("codes"), py::arg("input_bits"),
             py::arg("signed_inputs"), py::arg("dac_bits"), py::arg("adc_bits"), py::arg("adc_step"),
             py::arg("adc_offset") = 0, py::arg("fraction_bits") = 0, py::arg("noise") = none);
  module.def("crossbar_lookup", &crossbar_lookup, py::arg("tables"), py::arg("numbers"), py::arg("signs"),
             py::arg("gains"), py::arg("shifts"), py::arg("inputs"), py::arg("outputs"), py::arg("block_rows"), py::arg("codes"),
             py::arg("input_bits"), py::arg("signed_inputs"), py::arg("dac_bits"), py::arg("adc_bits"),
             py::arg("adc_step"), py::arg("adc_offset"), py::arg("fraction_bits"), py::arg("noise"), py::arg("listed"),
             py::arg("index_bits"), py::arg("planes"), py::arg("low_bits"), py::arg("run"));
  module.def("lookup_index_bits", [] { return ON_ISA(lookup_index_bits)(); });
  module.def("crossbar_tables", &crossbar_tables, py::arg("levels"), py::arg("block_rows"), py::arg("listed"),
             py::arg("index_bits"), py::arg("dac_bits"), py::arg("planes"), py::arg("low_bits"));
  module.def("crossbar_pack", &crossbar_pack, py::arg("levels"), py::arg("block_rows"), py::arg("cell_bits"));
}
