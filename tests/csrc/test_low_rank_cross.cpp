#include "check.h"
#include "low_rank_cross.h"

using check::Block;
using Numbers = std::vector<double>;

namespace {

struct Layer {
  int64_t batch, dim, rank;
  Numbers x0, x, down, up, bias, grad;

  // The layer of the sizes of all numbers: what comes out is the sum of the sizes of the terms.
  Layer sizes() const {
    Layer made = *this;
    for (Numbers* numbers : {&made.x0, &made.x, &made.down, &made.up, &made.bias, &made.grad}) {
      for (double& number : *numbers) number = std::fabs(number);
    }
    return made;
  }

  Numbers hidden(int64_t b) const {
    Numbers sums(rank);
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t d = 0; d < dim; ++d) sums[r] += x[b * dim + d] * down[r * dim + d];
    }
    return sums;
  }

  Numbers inner(int64_t b) const {
    const Numbers h = hidden(b);
    Numbers sums(bias);
    for (int64_t d = 0; d < dim; ++d) {
      for (int64_t r = 0; r < rank; ++r) sums[d] += h[r] * up[d * rank + r];
    }
    return sums;
  }

  Numbers out() const {
    Numbers result;
    for (int64_t b = 0; b < batch; ++b) {
      const Numbers u = inner(b);
      for (int64_t d = 0; d < dim; ++d) result.push_back(x0[b * dim + d] * u[d] + x[b * dim + d]);
    }
    return result;
  }

  // Gradients of x0, x, down, up and bias, one after the other.
  Numbers gradients() const {
    Numbers of_x0, of_x, of_down(rank * dim), of_up(dim * rank), of_bias(dim);
    for (int64_t b = 0; b < batch; ++b) {
      const Numbers h = hidden(b), u = inner(b);
      Numbers to_inner(dim), to_hidden(rank);
      for (int64_t d = 0; d < dim; ++d) {
        of_x0.push_back(grad[b * dim + d] * u[d]);
        to_inner[d] = grad[b * dim + d] * x0[b * dim + d];
        of_bias[d] += to_inner[d];
        for (int64_t r = 0; r < rank; ++r) {
          to_hidden[r] += to_inner[d] * up[d * rank + r];
          of_up[d * rank + r] += to_inner[d] * h[r];
        }
      }
      for (int64_t d = 0; d < dim; ++d) {
        double sum = grad[b * dim + d];
        for (int64_t r = 0; r < rank; ++r) {
          sum += to_hidden[r] * down[r * dim + d];
          of_down[r * dim + d] += to_hidden[r] * x[b * dim + d];
        }
        of_x.push_back(sum);
      }
    }
    Numbers all;
    for (const Numbers* part : {&of_x0, &of_x, &of_down, &of_up, &of_bias}) all.insert(all.end(), part->begin(), part->end());
    return all;
  }
};

Numbers doubles(const Block<float>& from) { return Numbers(from.data(), from.data() + from.size()); }

void judge(const char* name, const Block<float>& got, const Layer& layer, const Numbers& wanted, const Numbers& scale,
           double units) {
  CHECK(got.size() == static_cast<int64_t>(wanted.size()), "%s: %ld numbers", name, got.size());
  for (int64_t i = 0; i < got.size(); ++i) {
    CHECK(check::near(got[i], wanted[i], scale[i], units), "%s, batch %ld, dim %ld, rank %ld: number %ld is %g, not %g",
          name, layer.batch, layer.dim, layer.rank, i, got[i], wanted[i]);
  }
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t number) {
    const int64_t batch = random.one_of({0, 1, 2, 17, random.between(1, 70), number % 20 == 0 ? 600 : 5});
    const int64_t dim = random.one_of({0, 1, 15, 16, 17, random.between(1, 70)});
    const int64_t rank = random.one_of({0, 1, 4, 16, 17, random.between(1, 40)});
    const auto x0 = check::random_floats(random, batch * dim), x = check::random_floats(random, batch * dim);
    const auto down = check::random_floats(random, rank * dim), up = check::random_floats(random, dim * rank);
    const auto bias = check::random_floats(random, dim), grad = check::random_floats(random, batch * dim);
    const Layer layer{batch,         dim,         rank,          doubles(x0), doubles(x), doubles(down),
                      doubles(up), doubles(bias), doubles(grad)};
    const Layer sizes = layer.sizes();
    const auto units = static_cast<double>(dim + rank + 8);
    const Numbers out = layer.out(), out_scale = sizes.out();
    check::on_every_machine(
        [&](int threads) {
          Block<float> to(batch * dim);
          ON_ISA(low_rank_cross)(x0.data(), x.data(), down.data(), up.data(), bias.data(), batch, dim, rank, to.data(), threads);
          return to;
        },
        [&](const Block<float>& to) { judge("output", to, layer, out, out_scale, units); });
    const Numbers gradients = layer.gradients(), scale = sizes.gradients();
    check::on_every_machine(
        [&](int threads) {
          Block<float> to(2 * batch * dim + 2 * rank * dim + dim);
          float* const of_x0 = to.data();
          float* const of_x = of_x0 + batch * dim;
          float* const of_down = of_x + batch * dim;
          float* const of_up = of_down + rank * dim;
          ON_ISA(low_rank_cross_backward)(x0.data(), x.data(), down.data(), up.data(), bias.data(), grad.data(), batch, dim,
                                          rank, of_x0, of_x, of_down, of_up, of_up + dim * rank, threads);
          return to;
        },
        [&](const Block<float>& to) {
          judge("gradients", to, layer, gradients, scale, units + static_cast<double>(dim + batch));
        });
  });
}
