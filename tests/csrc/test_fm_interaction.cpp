#include "check.h"
#include "fm_interaction.h"

using check::Block;

namespace {

template <class T>
double at(const Block<T>& x, int64_t features, int64_t dim, int64_t b, int64_t f, int64_t d) {
  return check::value_of(x[(b * features + f) * dim + d]);
}

template <class T>
void forward(const Block<T>& x, int64_t batch, int64_t features, int64_t dim) {
  const auto run = [&](int threads) {
    Block<T> out(batch * dim);
    ON_ISA(fm_interaction<T>)(x.data(), batch, features, dim, out.data(), threads);
    return out;
  };
  check::on_every_machine(run, [&](const Block<T>& out) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t d = 0; d < dim; ++d) {
        double sum = 0.0, before = 0.0, scale = 0.0, size = 0.0;
        for (int64_t f = 0; f < features; ++f) {
          const double value = at(x, features, dim, b, f, d);
          sum += 2.0 * value * before;
          before += value;
          size += std::fabs(value);
        }
        scale = size * size;
        CHECK(check::near(out[b * dim + d], sum, scale, 2.0 * static_cast<double>(features) + 4.0),
              "features %ld, dim %ld: [%ld, %ld] is %g, not %g", features, dim, b, d, check::value_of(out[b * dim + d]), sum);
      }
    }
  });
}

template <class T>
void backward(const Block<T>& x, const Block<T>& grad, int64_t batch, int64_t features, int64_t dim) {
  const auto run = [&](int threads) {
    Block<T> out(batch * features * dim);
    ON_ISA(fm_interaction_backward<T>)(x.data(), grad.data(), batch, features, dim, out.data(), threads);
    return out;
  };
  check::on_every_machine(run, [&](const Block<T>& out) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t d = 0; d < dim; ++d) {
        double sum = 0.0, size = 0.0;
        for (int64_t f = 0; f < features; ++f) {
          sum += at(x, features, dim, b, f, d);
          size += std::fabs(at(x, features, dim, b, f, d));
        }
        for (int64_t f = 0; f < features; ++f) {
          const double factor = 2.0 * check::value_of(grad[b * dim + d]);
          const double wanted = factor * (sum - at(x, features, dim, b, f, d));
          const T got = out[(b * features + f) * dim + d];
          CHECK(check::near(got, wanted, std::fabs(factor) * size, static_cast<double>(features) + 4.0),
                "features %ld, dim %ld: gradient [%ld, %ld, %ld] is %g, not %g", features, dim, b, f, d,
                check::value_of(got), wanted);
        }
      }
    }
  });
}

template <class T>
void both(check::Random& random, int64_t batch, int64_t features, int64_t dim) {
  const auto x = check::random_numbers<T>(random, batch * features * dim);
  const auto grad = check::random_numbers<T>(random, batch * dim);
  forward(x, batch, features, dim);
  backward(x, grad, batch, features, dim);
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t number) {
    const int64_t batch = random.one_of({0, 1, 2, 33, random.between(3, 140)});
    const int64_t features = random.one_of({0, 1, 2, 27, random.between(1, 40)});
    const int64_t dim = random.one_of({0, 1, 4, 15, 16, 17, 64, random.between(1, 70)});
    if (number % 3 == 0) {
      both<uint16_t>(random, batch, features, dim);
    } else {
      both<float>(random, batch, features, dim);
    }
  });
}
