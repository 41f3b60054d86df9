#include "crossbar_tables.h"

#include "crossbars.h"

using check::Array;
using check::Block;
using kernels::CrossbarTables;

namespace {

struct Made {
  CrossbarTables shape;
  Block<uint8_t> bytes;
  Block<uint16_t> numbers;

  bool same_bits(const Made& other) const { return bytes.same_bits(other.bytes) && numbers.same_bits(other.numbers); }
};

// Where the lower plane of a step's table begins, and the distance to its upper plane.
const uint8_t* table_of(const Made& made, int64_t line, int64_t step, int64_t* upper) {
  const CrossbarTables& shape = made.shape;
  const int64_t bytes = shape.table_bytes(), steps = shape.steps();
  if (shape.listed > 0) {
    *upper = shape.listed * bytes;
    return made.bytes.data() + int64_t{made.numbers[line * steps + step]} * (shape.index_bits == 4 ? 1 : bytes);
  }
  *upper = steps * bytes;
  return made.bytes.data() + (line * shape.planes * steps + step) * bytes;
}

// The sum that the bits of `entry` pick from the rows of a step.
int64_t picked(const Array& array, int64_t n, int64_t k, int64_t s, int64_t first, int64_t rows, int dac_bits, int64_t entry) {
  int64_t sum = 0;
  for (int64_t r = 0; r < rows && first + r < array.rows_of(k); ++r) {
    sum += ((entry >> (r * dac_bits)) & ((1 << dac_bits) - 1)) * array.level(n, k, s, first + r);
  }
  return sum;
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const Array array = Array::random(random);
    const auto levels = array.levels();
    const auto dac_bits = static_cast<int>(random.one_of({1, 2, 4}));
    CrossbarTables shape;
    if (!check::plan_tables(random, array, dac_bits, check::random_index_bits(random, dac_bits), &shape)) return;
    check::on_every_machine(
        [&](int threads) {
          const int64_t steps = shape.groups() * shape.blocks() * 8 * shape.slices * shape.steps();
          const int64_t tables = (shape.listed > 0 ? shape.listed : steps) * shape.planes * shape.table_bytes();
          Made made{shape, Block<uint8_t>(tables), Block<uint16_t>(shape.listed > 0 ? steps : 0)};
          ON_ISA(crossbar_tables)(shape, levels.data(), made.bytes.data(), made.numbers.data(), threads);
          return made;
        },
        [&](const Made& made) {
          for (int64_t n = 0; n < array.outputs; ++n) {
            for (int64_t k = 0; k < array.blocks(); ++k) {
              for (int64_t s = 0; s < array.slices; ++s) {
                const int64_t line = ((n / 8 * array.blocks() + k) * 8 + n % 8) * array.slices + s;
                for (int64_t step = 0; step < shape.steps(); ++step) {
                  int64_t upper = 0;
                  const uint8_t* const table = table_of(made, line, step, &upper);
                  for (int64_t entry = 0; entry < shape.table_bytes(); ++entry) {
                    const int64_t sum = picked(array, n, k, s, step * shape.step_rows(), shape.step_rows(), dac_bits, entry);
                    const int64_t found = shape.planes == 2 ? table[entry] + (int64_t{table[upper + entry]} << shape.low_bits)
                                                            : table[entry];
                    CHECK(found == (shape.planes == 2 ? sum : std::min<int64_t>(sum, 255)),
                          "column %ld, block %ld, slice %ld, step %ld: entry %ld is %ld, the cells add up to %ld", n, k, s,
                          step, entry, found, sum);
                  }
                }
              }
            }
          }
        });
  });
}
