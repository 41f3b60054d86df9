#include "check.h"
#include "dot_interaction.h"

using check::Block;

namespace {

void forward(const Block<float>& x, int64_t batch, int64_t features, int64_t dim) {
  const int64_t pairs = features * (features > 0 ? features - 1 : 0) / 2;
  const auto run = [&](int threads) {
    Block<float> out(batch * pairs);
    ON_ISA(dot_interaction)(x.data(), batch, features, dim, out.data(), threads);
    return out;
  };
  check::on_every_machine(run, [&](const Block<float>& out) {
    for (int64_t b = 0, place = 0; b < batch; ++b) {
      for (int64_t i = 0; i < features; ++i) {
        for (int64_t j = 0; j < i; ++j, ++place) {
          double sum = 0.0, scale = 0.0;
          for (int64_t d = 0; d < dim; ++d) {
            const double product = double{x[(b * features + i) * dim + d]} * x[(b * features + j) * dim + d];
            sum += product;
            scale += std::fabs(product);
          }
          CHECK(check::near(out[place], sum, scale, static_cast<double>(dim + 1)),
                "features %ld, dim %ld: (%ld, %ld) of sample %ld is %g, not %g", features, dim, i, j, b, out[place], sum);
        }
      }
    }
  });
}

void backward(const Block<float>& x, const Block<float>& grad, int64_t batch, int64_t features, int64_t dim) {
  const int64_t pairs = features * (features > 0 ? features - 1 : 0) / 2;
  const auto run = [&](int threads) {
    Block<float> out(batch * features * dim);
    ON_ISA(dot_interaction_backward)(x.data(), grad.data(), batch, features, dim, out.data(), threads);
    return out;
  };
  check::on_every_machine(run, [&](const Block<float>& out) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t i = 0; i < features; ++i) {
        for (int64_t d = 0; d < dim; ++d) {
          double sum = 0.0, scale = 0.0;
          for (int64_t j = 0; j < features; ++j) {
            if (i == j) continue;
            const int64_t pair = i > j ? i * (i - 1) / 2 + j : j * (j - 1) / 2 + i;
            const double product = double{grad[b * pairs + pair]} * x[(b * features + j) * dim + d];
            sum += product;
            scale += std::fabs(product);
          }
          const float got = out[(b * features + i) * dim + d];
          CHECK(check::near(got, sum, scale, static_cast<double>(features + 1)),
                "features %ld, dim %ld: gradient [%ld, %ld, %ld] is %g, not %g", features, dim, b, i, d, got, sum);
        }
      }
    }
  });
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const int64_t batch = random.one_of({0, 1, 2, 17, random.between(3, 70)});
    const int64_t features = random.one_of({0, 1, 2, 3, 16, 17, 27, random.between(1, 40)});
    const int64_t dim = random.one_of({0, 1, 4, 15, 16, 17, 64, random.between(1, 70)});
    const auto x = check::random_floats(random, batch * features * dim);
    const auto grad = check::random_floats(random, batch * features * (features > 0 ? features - 1 : 0) / 2);
    forward(x, batch, features, dim);
    backward(x, grad, batch, features, dim);
  });
}
