#include "transformer_layer.h"

#include "check.h"

using check::Block;

namespace {

using Matrix = std::vector<double>;  // [rows, numbers]

// Weights between -size / inputs and size / inputs, biases between -1 and 1.
struct Map {
  int64_t outputs, inputs;
  Block<float> weight, bias;

  Map(check::Random& random, int64_t outputs, int64_t inputs, float size = 1.0f)
      : outputs(outputs),
        inputs(inputs),
        weight(check::random_floats(random, outputs * inputs)),
        bias(check::random_floats(random, outputs)) {
    for (int64_t i = 0; i < weight.size(); ++i) weight[i] *= size / static_cast<float>(inputs);
  }

  Matrix of(const Matrix& x) const {
    Matrix y;
    for (std::size_t row = 0; row < x.size(); row += inputs) {
      for (int64_t o = 0; o < outputs; ++o) {
        double sum = bias[o];
        for (int64_t d = 0; d < inputs; ++d) sum += weight[o * inputs + d] * x[row + d];
        y.push_back(sum);
      }
    }
    return y;
  }
};

struct Norm {
  Block<float> weight, bias;

  Norm(check::Random& random, int64_t width)
      : weight(check::random_floats(random, width)), bias(check::random_floats(random, width)) {}

  Matrix of(const Matrix& x, double eps) const {
    const int64_t width = weight.size();
    Matrix y;
    for (std::size_t row = 0; row < x.size(); row += width) {
      double mean = 0.0, variance = 0.0;
      for (int64_t d = 0; d < width; ++d) mean += x[row + d] / static_cast<double>(width);
      for (int64_t d = 0; d < width; ++d) variance += (x[row + d] - mean) * (x[row + d] - mean) / static_cast<double>(width);
      for (int64_t d = 0; d < width; ++d) {
        y.push_back((x[row + d] - mean) / std::sqrt(variance + eps) * weight[d] + bias[d]);
      }
    }
    return y;
  }
};

Matrix attention(const Matrix& qkv, int64_t rows, int64_t width, int64_t heads) {
  const int64_t dim = width / heads;
  Matrix out(static_cast<std::size_t>(rows * width));
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < rows; ++i) {
      Matrix scores;
      double most = -INFINITY, sum = 0.0;
      for (int64_t j = 0; j < rows; ++j) {
        double score = 0.0;
        for (int64_t d = h * dim; d < (h + 1) * dim; ++d) score += qkv[i * 3 * width + d] * qkv[(j * 3 + 1) * width + d];
        scores.push_back(score / std::sqrt(static_cast<double>(dim)));
        most = std::fmax(most, scores.back());
      }
      for (double& score : scores) sum += score = std::exp(score - most);
      for (int64_t j = 0; j < rows; ++j) {
        for (int64_t d = h * dim; d < (h + 1) * dim; ++d) {
          out[i * width + d] += scores[j] / sum * qkv[(j * 3 + 2) * width + d];
        }
      }
    }
  }
  return out;
}

void add(Matrix& to, const Matrix& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const int64_t batch = random.one_of({0, 1, 2, 9, 17}), heads = random.one_of({1, 2, 3, 8});
    const int64_t width = heads * random.one_of({1, 2, 2, 2, 3, 5}), hidden = random.one_of({0, 1, width, 2 * width + 1});
    const int64_t rows = random.one_of({0, 1, 2, 7, 8, 16, 24, random.between(3, 40)});
    const bool sharp = random.coin();  // scores that need their maximum taken from them
    const Map qkv(random, 3 * width, width, sharp ? 16.0f : 1.0f), out(random, width, width);
    const Map fc1(random, hidden, width), fc2(random, width, hidden);
    const Norm norm1(random, width), norm2(random, width);
    const float eps = 0.5f;
    const auto x = check::random_floats(random, batch * width * rows);
    const kernels::TransformerWeights weights{
        width,           heads,           hidden,          eps,
        qkv.weight.data(), qkv.bias.data(), out.weight.data(), out.bias.data(), norm1.weight.data(), norm1.bias.data(),
        fc1.weight.data(), fc1.bias.data(), fc2.weight.data(), fc2.bias.data(), norm2.weight.data(), norm2.bias.data()};
    Matrix wanted(static_cast<std::size_t>(x.size()));
    for (int64_t b = 0; b < batch; ++b) {
      Matrix state(static_cast<std::size_t>(rows * width));
      for (int64_t k = 0; k < rows * width; ++k) state[k] = x[(b * width + k % width) * rows + k / width];
      add(state, out.of(attention(qkv.of(state), rows, width, heads)));
      state = norm1.of(state, eps);
      Matrix inner = fc1.of(state);
      for (double& value : inner) value = std::fmax(value, 0.0);
      if (hidden == 0) {
        for (int64_t k = 0; k < rows * width; ++k) state[k] += fc2.bias[k % width];
      } else {
        add(state, fc2.of(inner));
      }
      state = norm2.of(state, eps);
      for (int64_t k = 0; k < rows * width; ++k) wanted[(b * width + k % width) * rows + k / width] = state[k];
    }
    // What a linear map adds is at most 1 and its bias. A score is off by the roundings of a product of queries and keys
    // of at most 2 (17 where sharp), and a LayerNorm enlarges by less than 2.
    const double scale = sharp ? 17.0 * 17.0 : 4.0;
    const double units = 16.0 * static_cast<double>(3 * width + hidden + rows + 16);
    check::on_every_machine(
        [&](int threads) {
          Block<float> got(x.size());
          ON_ISA(transformer_layer)(x.data(), weights, batch, rows, got.data(), threads);
          return got;
        },
        [&](const Block<float>& got) {
          for (int64_t i = 0; i < got.size(); ++i) {
            CHECK(check::near(got[i], wanted[i], scale, units), "rows %ld, width %ld, heads %ld: [%ld] is %g, not %g", rows,
                  width, heads, i, got[i], wanted[i]);
          }
        });
  });
}
