#include "check.h"
#include "layer_norm.h"

using check::Block;

namespace {

struct Row {
  double mean, scale, furthest;  // furthest: the largest size of a number of the row
};

struct Rows {
  const Block<float>&x, &weight, &bias, &grad;
  int64_t rows, dim;
  float eps;

  Row row(int64_t r) const {
    double sum = 0.0, squares = 0.0, furthest = 0.0;
    for (int64_t d = 0; d < dim; ++d) {
      sum += x[r * dim + d];
      furthest = std::fmax(furthest, std::fabs(x[r * dim + d]));
    }
    const double mean = sum / static_cast<double>(dim);
    for (int64_t d = 0; d < dim; ++d) squares += (x[r * dim + d] - mean) * (x[r * dim + d] - mean);
    return {mean, 1.0 / std::sqrt(squares / static_cast<double>(dim) + eps), furthest};
  }

  double units() const { return static_cast<double>(dim) + 12.0; }

  // How many units of rounding move the normalised numbers of a row: the mean is off by those of the largest number,
  // which the scale enlarges, for each number and, through the variance, for all.
  double moved(const Row& of) const {
    const double root = std::sqrt(static_cast<double>(dim));
    return 2.0 * of.scale * of.furthest * (1.0 + root) + root;
  }
};

void judge_forward(const Rows& in, const Block<float>& out) {
  for (int64_t r = 0; r < in.rows; ++r) {
    const Row of = in.row(r);
    for (int64_t d = 0; d < in.dim; ++d) {
      const double wanted = (in.x[r * in.dim + d] - of.mean) * of.scale * in.weight[d] + in.bias[d];
      const double scale = std::fabs(in.weight[d]) * in.moved(of) + std::fabs(in.bias[d]);
      CHECK(check::near(out[r * in.dim + d], wanted, scale, in.units()), "rows %ld, dim %ld: [%ld, %ld] is %g, not %g",
            in.rows, in.dim, r, d, out[r * in.dim + d], wanted);
    }
  }
}

// `got`: the gradients of x, weight and bias one after the other.
void judge_backward(const Rows& in, const Block<float>& got) {
  const int64_t size = in.rows * in.dim;
  const double root = std::sqrt(static_cast<double>(in.dim)), units = in.units() + static_cast<double>(in.rows);
  std::vector<double> of_weight(in.dim), of_bias(in.dim), weight_scale(in.dim), bias_scale(in.dim);
  for (int64_t r = 0; r < in.rows; ++r) {
    const Row of = in.row(r);
    double slopes = 0.0, products = 0.0, steepest = 0.0;
    for (int64_t d = 0; d < in.dim; ++d) {
      const double grad = in.grad[r * in.dim + d], normal = (in.x[r * in.dim + d] - of.mean) * of.scale;
      const double slope = grad * in.weight[d];
      slopes += slope / static_cast<double>(in.dim);
      products += slope * normal / static_cast<double>(in.dim);
      steepest = std::fmax(steepest, std::fabs(slope));
      of_weight[d] += grad * normal;
      of_bias[d] += grad;
      weight_scale[d] += std::fabs(grad) * (in.moved(of) + root);
      bias_scale[d] += std::fabs(grad);
    }
    const double by_scale = (1.0 + 2.0 * of.scale * of.furthest) * (2.0 + root);
    const double bound = of.scale * steepest * (by_scale + 1.0 + in.moved(of) + root * (1.0 + in.moved(of)));
    for (int64_t d = 0; d < in.dim; ++d) {
      const double normal = (in.x[r * in.dim + d] - of.mean) * of.scale;
      const double slope = static_cast<double>(in.grad[r * in.dim + d]) * in.weight[d];
      const double wanted = of.scale * (slope - slopes - normal * products);
      CHECK(check::near(got[r * in.dim + d], wanted, bound, units),
            "rows %ld, dim %ld: gradient [%ld, %ld] is %g, not %g", in.rows, in.dim, r, d, got[r * in.dim + d], wanted);
    }
  }
  for (int64_t d = 0; d < in.dim; ++d) {
    CHECK(check::near(got[size + d], of_weight[d], weight_scale[d], units), "weight %ld: %g, not %g", d, got[size + d],
          of_weight[d]);
    CHECK(check::near(got[size + in.dim + d], of_bias[d], bias_scale[d], units), "bias %ld: %g, not %g", d,
          got[size + in.dim + d], of_bias[d]);
  }
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t number) {
    const int64_t rows = random.one_of({0, 1, 2, 15, 16, 17, random.between(3, 70), number % 20 == 0 ? 600 : 5});
    const int64_t dim = random.one_of({0, 1, 2, 11, 15, 16, 17, 32, 64, random.between(1, 70)});
    const auto x = check::random_floats(random, rows * dim), grad = check::random_floats(random, rows * dim);
    const auto weight = check::random_floats(random, dim), bias = check::random_floats(random, dim);
    const Rows in{x, weight, bias, grad, rows, dim, random.coin() ? 1e-5f : 0.5f};
    check::on_every_machine(
        [&](int threads) {
          Block<float> out(rows * dim);
          ON_ISA(layer_norm)(x.data(), weight.data(), bias.data(), rows, dim, in.eps, out.data(), threads);
          return out;
        },
        [&](const Block<float>& out) { judge_forward(in, out); });
    check::on_every_machine(
        [&](int threads) {
          Block<float> out(rows * dim + 2 * dim);
          float* const of_weight = out.data() + rows * dim;
          ON_ISA(layer_norm_backward)(x.data(), weight.data(), grad.data(), rows, dim, in.eps, out.data(), of_weight,
                                      of_weight + dim, threads);
          return out;
        },
        [&](const Block<float>& out) { judge_backward(in, out); });
  });
}
