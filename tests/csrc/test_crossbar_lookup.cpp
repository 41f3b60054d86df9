#include "crossbar_lookup.h"

#include "crossbar_tables.h"
#include "crossbars.h"

using check::Array;
using check::Block;
using check::Inputs;
using kernels::CrossbarTables;

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
    check::on_every_machine([&](int threads) {
      check::Random choice(choices);
      CrossbarTables shape;
      const int index_bits = check::random_index_bits(choice, inputs.dac_bits);
      Block<int64_t> out(inputs.vectors * array.outputs);
      if (!check::plan_tables(choice, array, inputs.dac_bits, index_bits, &shape)) return check::copy(wanted);
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
