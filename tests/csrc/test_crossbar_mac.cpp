#include "crossbars.h"

using check::Array;
using check::Block;
using check::Inputs;

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const Array array = Array::random(random);
    const Inputs inputs = check::random_inputs(random, array);
    const auto fraction = static_cast<int>(random.one_of({0, 0, 0, 4, 8}));
    const kernels::Converter converter{(int64_t{1} << random.one_of({1, 3, 7, 8, 12, 30})) - 1,
                                       random.one_of({1, 1, 2, 3, 7, (int64_t{1} << 30) >> fraction}),
                                       random.one_of({0, 0, 3, -5, 100}), fraction};
    const auto multiply = [&](const kernels::ConverterNoise& noise, int threads) {
      Block<int64_t> out(inputs.vectors * array.outputs);
      ON_ISA(crossbar_mac)(array.cells(), converter, noise, inputs.codes.data(), inputs.vectors, inputs.bits,
                           inputs.is_signed, inputs.dac_bits, out.data(), threads);
      return out;
    };
    check::on_every_machine([&](int threads) { return multiply({}, threads); }, [&](const Block<int64_t>& out) {
      for (int64_t v = 0; v < inputs.vectors; v += 1 + inputs.vectors / 4) {
        for (int64_t n = 0; n < array.outputs; ++n) {
          const int64_t result = check::wanted(array, inputs, converter, v, n);
          CHECK(out[v * array.outputs + n] == result, "inputs %ld, block_rows %ld: [%ld, %ld] is %ld, not %ld",
                array.inputs, array.block_rows, v, n, out[v * array.outputs + n], result);
        }
      }
    });
    // Noise depends on the seed and the place alone: the same on every instruction set, and for a vector on its own.
    const kernels::ConverterNoise noise{true, random.bits(), random.between(0, 9), static_cast<int32_t>(random.between(0, 32767)),
                                        0, static_cast<int32_t>(random.between(0, 14))};
    kernels::set_isa(kernels::Isa::portable);
    const auto noisy = multiply(noise, 1);
    check::on_every_machine([&](int threads) { return multiply(noise, threads); }, [&](const Block<int64_t>& out) {
      CHECK(out.same_bits(noisy), "other noise than in plain C++");
    });
    if (inputs.vectors == 0) return;
    const int64_t last = inputs.vectors - 1;
    kernels::ConverterNoise moved = noise;
    moved.first_vector += last;
    Block<int64_t> alone(array.outputs);
    ON_ISA(crossbar_mac)(array.cells(), converter, moved, inputs.codes.data() + last * array.inputs, 1, inputs.bits,
                         inputs.is_signed, inputs.dac_bits, alone.data(), 1);
    CHECK(std::memcmp(alone.data(), &noisy[last * array.outputs], array.outputs * sizeof(int64_t)) == 0,
          "vector %ld alone: other noise", last);
  });
}
