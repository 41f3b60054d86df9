#include "crossbar_lookup.h"
#include "crossbars.h"

using check::Array;
using check::Block;
using check::Inputs;
using kernels::CrossbarTables;

namespace {

// Bits of input that pick an entry: 6 only where an instruction set looks up 64 bytes.
int random_index_bits(check::Random& random, int dac_bits) {
  return dac_bits < 4 && ON_ISA(lookup_index_bits)() == 6 && random.coin() ? 6 : 4;
}

// The sizes of tables that serve this array, as pimsim/crossbar_tables.py plans them; false where there are none.
// `may_saturate`: every sum of 255 and more converts to the top code.
bool plan(check::Random& random, const Array& array, int dac_bits, int index_bits, bool may_saturate,
          CrossbarTables* shape) {
  const int64_t rows = index_bits / dac_bits;
  const int64_t list_bits = array.cell_bits * rows;
  if (index_bits == 6 && list_bits > 12) return false;
  const int64_t listed = list_bits <= 12 && (index_bits == 6 || random.coin()) ? int64_t{1} << list_bits : 0;
  const int64_t entry = ((int64_t{1} << array.cell_bits) - 1) * rows * ((1 << dac_bits) - 1);
  const bool saturate = may_saturate && random.coin();
  const int planes = !saturate && (entry > 255 || random.coin()) ? 2 : 1;
  int low_bits = 0;
  int64_t largest = entry;
  if (planes == 2) {
    largest = 256;
    for (int low = 1; low <= 6; ++low) {
      const int64_t most = std::max((int64_t{1} << low) - 1, entry >> low);
      if (most < largest) {
        largest = most;
        low_bits = low;
      }
    }
  }
  if (largest > 255 && !saturate) return false;
  *shape = CrossbarTables{nullptr, nullptr, array.signs.data(), array.gains.data(), array.shifts.data(), array.inputs,
                          array.outputs, array.block_rows, array.slices, listed, index_bits, dac_bits, planes, low_bits,
                          255 / std::max<int64_t>(largest, 1), saturate};
  return true;
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const Array array = Array::random(random);
    const Inputs inputs = check::random_inputs(random, array, 8, static_cast<int>(random.one_of({1, 2, 4})));
    const kernels::Converter converter{(int64_t{1} << random.one_of({3, 7, 8, 12})) - 1, random.one_of({1, 1, 2, 3, 7}),
                                       random.one_of({0, 0, 3, -5}), 0};
    const kernels::ConverterNoise noise{random.coin(), random.bits(), random.between(0, 9),
                                        static_cast<int32_t>(random.between(0, 500)), 0, 2};
    // Column sums stay within 15 bits, results within 31.
    const int64_t peak = array.block_rows * ((int64_t{1} << array.cell_bits) - 1) * ((1 << inputs.dac_bits) - 1);
    if (peak + 4000 > 32767 || array.shifts[array.slices - 1] > 8) return;
    const auto levels = array.levels();
    kernels::set_isa(kernels::Isa::portable);
    Block<int64_t> wanted(inputs.vectors * array.outputs);
    ON_ISA(crossbar_mac)(array.cells(), converter, noise, inputs.codes.data(), inputs.vectors, inputs.bits,
                         inputs.is_signed, inputs.dac_bits, wanted.data(), 1);
    const uint64_t choices = random.bits();
    const int64_t least = 255 - (noise.on ? 2000 : 0) + converter.bias();  // of 255, before the division
    const bool may_saturate = least >= converter.top * converter.divisor();
    check::on_every_machine([&](int threads) {
      check::Random choice(choices);
      CrossbarTables shape;
      const int index_bits = random_index_bits(choice, inputs.dac_bits);
      Block<int64_t> out(inputs.vectors * array.outputs);
      if (!plan(choice, array, inputs.dac_bits, index_bits, may_saturate, &shape)) return check::copy(wanted);
      const int64_t lines = shape.groups() * shape.blocks() * 8 * shape.slices;
      const int64_t steps = lines * shape.steps();
      const int64_t tables = (shape.listed > 0 ? shape.listed : steps) * shape.planes * shape.table_bytes();
      Block<uint8_t> bytes(tables + (shape.listed > 0 ? 1 << 16 : 0));
      Block<uint16_t> numbers(shape.listed > 0 ? steps : 0);
      ON_ISA(crossbar_tables)(shape, levels.data(), bytes.data(), numbers.data(), threads);
      shape.tables = bytes.data();
      shape.numbers = numbers.data();
      ON_ISA(crossbar_lookup)(shape, converter, noise, inputs.codes.data(), inputs.vectors, inputs.bits,
                              inputs.is_signed, out.data(), threads);
      return out;
    }, [&](const Block<int64_t>& out) {
      for (int64_t i = 0; i < out.size(); ++i) {
        CHECK(out[i] == wanted[i], "inputs %ld, outputs %ld, block_rows %ld, cells of %d, codes of %d by %d: [%ld] is %ld, not %ld",
              array.inputs, array.outputs, array.block_rows, array.cell_bits, inputs.bits, inputs.dac_bits, i, out[i], wanted[i]);
      }
    });
  });
}
