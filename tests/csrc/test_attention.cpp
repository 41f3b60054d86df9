#include "attention.h"
#include "check.h"

using check::Block;

namespace {

struct Shape {
  int64_t batch, rows, heads, dim;
  int64_t width() const { return heads * dim; }
  // Place in qkv [batch, rows, 3, heads, dim], and in the output [batch, rows, heads, dim].
  int64_t in(int part, int64_t b, int64_t i, int64_t h) const { return (((b * rows + i) * 3 + part) * heads + h) * dim; }
  int64_t out(int64_t b, int64_t i, int64_t h) const { return ((b * rows + i) * heads + h) * dim; }
};

double dot(const float* a, const float* b, int64_t dim) {
  double sum = 0.0;
  for (int64_t d = 0; d < dim; ++d) sum += double{a[d]} * b[d];
  return sum;
}

// The probabilities of query i over all rows j.
std::vector<double> probabilities(const Shape& s, const Block<float>& qkv, int64_t b, int64_t i, int64_t h) {
  std::vector<double> weights(static_cast<std::size_t>(s.rows));
  double sum = 0.0;
  for (int64_t j = 0; j < s.rows; ++j) {
    weights[j] = std::exp(dot(&qkv[s.in(0, b, i, h)], &qkv[s.in(1, b, j, h)], s.dim) / std::sqrt(double(s.dim)));
    sum += weights[j];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

void forward(const Shape& s, const Block<float>& qkv) {
  const auto run = [&](int threads) {
    Block<float> out(s.batch * s.rows * s.width());
    ON_ISA(attention)(qkv.data(), s.batch, s.rows, s.heads, s.dim, out.data(), threads);
    return out;
  };
  std::vector<double> wanted;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t i = 0; i < s.rows; ++i) {
      for (int64_t h = 0; h < s.heads; ++h) {
        const auto weights = probabilities(s, qkv, b, i, h);
        for (int64_t d = 0; d < s.dim; ++d) {
          double sum = 0.0;
          for (int64_t j = 0; j < s.rows; ++j) sum += weights[j] * qkv[s.in(2, b, j, h) + d];
          wanted.push_back(sum);
        }
      }
    }
  }
  check::on_every_machine(run, [&](const Block<float>& out) {
    for (int64_t i = 0; i < out.size(); ++i) {
      CHECK(check::near(out[i], wanted[i], 1.0, 8.0 * static_cast<double>(s.dim + s.rows) + 32.0),
            "rows %ld, heads %ld, dim %ld: output %ld is %g, not %g", s.rows, s.heads, s.dim, i, out[i], wanted[i]);
    }
  });
}

std::vector<double> gradient(const Shape& s, const Block<float>& qkv, const Block<float>& grad) {
  std::vector<double> wanted(static_cast<std::size_t>(qkv.size()));
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t i = 0; i < s.rows; ++i) {
      for (int64_t h = 0; h < s.heads; ++h) {
        const auto weights = probabilities(s, qkv, b, i, h);
        const float* const given = &grad[s.out(b, i, h)];
        double mean = 0.0;
        for (int64_t j = 0; j < s.rows; ++j) mean += weights[j] * dot(given, &qkv[s.in(2, b, j, h)], s.dim);
        for (int64_t j = 0; j < s.rows; ++j) {
          const double slope =
              weights[j] * (dot(given, &qkv[s.in(2, b, j, h)], s.dim) - mean) / std::sqrt(double(s.dim));
          for (int64_t d = 0; d < s.dim; ++d) {
            wanted[s.in(0, b, i, h) + d] += slope * qkv[s.in(1, b, j, h) + d];
            wanted[s.in(1, b, j, h) + d] += slope * qkv[s.in(0, b, i, h) + d];
            wanted[s.in(2, b, j, h) + d] += weights[j] * given[d];
          }
        }
      }
    }
  }
  return wanted;
}

void backward(const Shape& s, const Block<float>& qkv, const Block<float>& grad) {
  const auto run = [&](int threads) {
    Block<float> out(qkv.size());
    ON_ISA(attention_backward)(qkv.data(), grad.data(), s.batch, s.rows, s.heads, s.dim, out.data(), threads);
    return out;
  };
  const auto wanted = gradient(s, qkv, grad);
  check::on_every_machine(run, [&](const Block<float>& out) {
    for (int64_t i = 0; i < out.size(); ++i) {
      // Of the terms of a sum over rows none is larger than dim, and their weights make 1, or rows where over queries.
      const double scale = static_cast<double>(s.dim * s.rows);
      CHECK(check::near(out[i], wanted[i], scale, 8.0 * static_cast<double>(s.dim + s.rows) + 32.0),
            "rows %ld, heads %ld, dim %ld: gradient %ld is %g, not %g", s.rows, s.heads, s.dim, i, out[i], wanted[i]);
    }
  });
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const Shape s{random.one_of({0, 1, 2, 16, random.between(3, 40)}), random.one_of({0, 1, 2, 5, random.between(1, 14)}),
                  random.one_of({1, 2, 3, 8}), random.one_of({1, 2, 3, 4, 5, 8})};
    const auto qkv = check::random_floats(random, s.batch * s.rows * 3 * s.width());
    const auto grad = check::random_floats(random, s.batch * s.rows * s.width());
    forward(s, qkv);
    backward(s, qkv, grad);
  });
}
