#include "crossbar_pack.h"
#include "crossbars.h"

using check::Array;
using check::Block;

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const Array array = Array::random(random);
    const auto levels = array.levels();
    check::on_every_machine(
        [&](int threads) {
          Block<uint64_t> bits(array.bits.size());
          ON_ISA(crossbar_pack)(array.cells(), levels.data(), bits.data(), threads);
          return bits;
        },
        [&](const Block<uint64_t>& bits) {
          CHECK(bits.same_bits(array.bits), "inputs %ld, outputs %ld, block_rows %ld, words %ld: other bits", array.inputs,
                array.outputs, array.block_rows, array.words);
        });
  });
}
