#include "check.h"
#include "dot_interaction.h"

using check::Block;

namespace {

int64_t pairs_of(int64_t features, bool diagonal) { return features * (features + (diagonal ? 1 : -1)) / 2; }

// Place of pair (i, j), j <= i.
int64_t pair_of(int64_t i, int64_t j, bool diagonal) { return pairs_of(i, diagonal) + j; }

template <class T>
void forward(const Block<T>& x, int64_t batch, int64_t features, int64_t dim, bool diagonal) {
  const auto run = [&](int threads) {
    Block<T> out(batch * pairs_of(features, diagonal));
    ON_ISA(dot_interaction<T>)(x.data(), batch, features, dim, diagonal, out.data(), threads);
    return out;
  };
  check::on_every_machine(run, [&](const Block<T>& out) {
    for (int64_t b = 0, place = 0; b < batch; ++b) {
      for (int64_t i = 0; i < features; ++i) {
        for (int64_t j = 0; j < i + (diagonal ? 1 : 0); ++j, ++place) {
          double sum = 0.0, scale = 0.0;
          for (int64_t d = 0; d < dim; ++d) {
            const double product =
                check::value_of(x[(b * features + i) * dim + d]) * check::value_of(x[(b * features + j) * dim + d]);
            sum += product;
            scale += std::fabs(product);
          }
          CHECK(check::near(out[place], sum, scale, static_cast<double>(dim + 1)),
                "features %ld, dim %ld: (%ld, %ld) of sample %ld is %g, not %g", features, dim, i, j, b,
                check::value_of(out[place]), sum);
        }
      }
    }
  });
}

template <class T>
void backward(const Block<T>& x, const Block<T>& grad, int64_t batch, int64_t features, int64_t dim, bool diagonal) {
  const int64_t pairs = pairs_of(features, diagonal);
  const auto run = [&](int threads) {
    Block<T> out(batch * features * dim);
    ON_ISA(dot_interaction_backward<T>)(x.data(), grad.data(), batch, features, dim, diagonal, out.data(), threads);
    return out;
  };
  check::on_every_machine(run, [&](const Block<T>& out) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t i = 0; i < features; ++i) {
        for (int64_t d = 0; d < dim; ++d) {
          double sum = 0.0, scale = 0.0;
          for (int64_t j = 0; j < features; ++j) {
            if (i == j && !diagonal) continue;
            const int64_t pair = i > j ? pair_of(i, j, diagonal) : pair_of(j, i, diagonal);
            const double product = (i == j ? 2.0 : 1.0) * check::value_of(grad[b * pairs + pair]) *
                                   check::value_of(x[(b * features + j) * dim + d]);
            sum += product;
            scale += std::fabs(product);
          }
          const T got = out[(b * features + i) * dim + d];
          CHECK(check::near(got, sum, scale, static_cast<double>(features + 1)),
                "features %ld, dim %ld: gradient [%ld, %ld, %ld] is %g, not %g", features, dim, b, i, d,
                check::value_of(got), sum);
        }
      }
    }
  });
}

template <class T>
void both(check::Random& random, int64_t batch, int64_t features, int64_t dim) {
  const bool diagonal = random.coin();
  const auto x = check::random_numbers<T>(random, batch * features * dim);
  const auto grad = check::random_numbers<T>(random, batch * pairs_of(features, diagonal));
  forward(x, batch, features, dim, diagonal);
  backward(x, grad, batch, features, dim, diagonal);
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t number) {
    const int64_t batch = random.one_of({0, 1, 2, 17, random.between(3, 70)});
    const int64_t features = random.one_of({0, 1, 2, 3, 16, 17, 27, random.between(1, 40), number % 20 == 0 ? 130 : 5});
    const int64_t dim = random.one_of({0, 1, 4, 15, 16, 17, 64, random.between(1, 70), number % 20 == 0 ? 300 : 8});
    if (number % 3 == 0) {
      both<uint16_t>(random, batch, features, dim);
    } else {
      both<float>(random, batch, features, dim);
    }
  });
}
