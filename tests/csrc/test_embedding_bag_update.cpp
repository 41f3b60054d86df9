#include <map>

#include "embedding_bag_update.h"
#include "lookups.h"

using check::Block;
using check::RandomLookups;

namespace {

// What embedding_bag_coalesce gives, in the memory that it is given.
struct Coalesced {
  Block<int64_t> starts, counts, rows;
  Block<float> values;
  double square = -1.0;

  Coalesced(const RandomLookups& given, int64_t dim, const Block<float>& grad, int threads)
      : starts(given.tables + 1), counts(given.tables), rows(given.total()), values(given.total() * dim) {
    square = ON_ISA(embedding_bag_coalesce)(given.lookups(), dim, grad.data(), gradients(), threads);
  }
  kernels::RowGradients gradients() const { return {starts.data(), counts.data(), rows.data(), values.data()}; }
  bool same_bits(const Coalesced& other) const {
    return starts.same_bits(other.starts) && counts.same_bits(other.counts) && rows.same_bits(other.rows) &&
           values.same_bits(other.values) && square == other.square;
  }
};

struct Sum {
  double value = 0.0, scale = 0.0, terms = 0.0;
};

// The gradient of each touched row of table t, ascending.
std::map<int64_t, std::vector<Sum>> wanted_gradient(const RandomLookups& given, int64_t dim, const Block<float>& grad,
                                                    int64_t t) {
  std::map<int64_t, std::vector<Sum>> sums;
  for (int64_t b = 0; b < given.batch; ++b) {
    const double divisor = given.mean ? static_cast<double>(given.end(t, b) - given.begin(t, b)) : 1.0;
    for (int64_t i = given.begin(t, b); i < given.end(t, b); ++i) {
      auto& row = sums[given.ids[i]];
      row.resize(static_cast<std::size_t>(dim));
      for (int64_t d = 0; d < dim; ++d) {
        const double value = grad[(b * given.tables + t) * dim + d] / divisor;
        row[d].value += value;
        row[d].scale += std::fabs(value);
        row[d].terms += 1.0;
      }
    }
  }
  return sums;
}

void coalesce(const RandomLookups& given, int64_t dim, const Block<float>& grad) {
  std::vector<std::map<int64_t, std::vector<Sum>>> wanted;
  for (int64_t t = 0; t < given.tables; ++t) wanted.push_back(wanted_gradient(given, dim, grad, t));
  const auto run = [&](int threads) { return Coalesced(given, dim, grad, threads); };
  check::on_every_machine(run, [&](const Coalesced& got) {
    double square = 0.0;
    for (int64_t t = 0; t < given.tables; ++t) {
      CHECK(got.counts[t] == static_cast<int64_t>(wanted[t].size()), "table %ld: %ld rows", t, got.counts[t]);
      int64_t place = got.starts[t];
      for (const auto& [row, sums] : wanted[t]) {
        CHECK(got.rows[place] == row, "table %ld: row %ld where %ld is next", t, got.rows[place], row);
        for (int64_t d = 0; d < dim; ++d) {
          const float value = got.values[place * dim + d];
          square += double{value} * value;
          CHECK(check::near(value, sums[d].value, sums[d].scale, sums[d].terms + 2.0),
                "table %ld, row %ld, dim %ld: %g, not %g", t, row, d, value, sums[d].value);
        }
        ++place;
      }
    }
    CHECK(std::fabs(got.square - square) <= 1e-12 * square, "square %g, not %g", got.square, square);
  });
}

void adagrad(const RandomLookups& given, int64_t dim, const Block<float>& grad, const std::vector<Block<float>>& tables,
             const std::vector<Block<float>>& states) {
  const float lr = 0.1f, eps = 1e-3f, scale = 0.5f;
  const Coalesced gradients(given, dim, grad, 1);
  int64_t size = 0;
  for (const auto& table : tables) size += table.size();
  // All tables, then all states.
  const auto run = [&](int threads) {
    std::vector<Block<float>> changed, sums;
    for (const auto& table : tables) changed.push_back(check::copy(table));
    for (const auto& state : states) sums.push_back(check::copy(state));
    ON_ISA(embedding_bag_adagrad)(check::pointers<float*>(changed).data(), check::pointers<float*>(sums).data(),
                                  gradients.gradients(), given.tables, dim, lr, eps, scale, threads);
    Block<float> all(2 * size);
    float* to = all.data();
    for (const auto* blocks : {&changed, &sums}) {
      for (const auto& block : *blocks) {
        for (int64_t i = 0; i < block.size(); ++i) *to++ = block[i];
      }
    }
    return all;
  };
  std::vector<double> rows, sums;
  for (int64_t t = 0; t < given.tables; ++t) {
    std::vector<double> dense(static_cast<std::size_t>(tables[t].size()));
    for (int64_t place = gradients.starts[t]; place < gradients.starts[t] + gradients.counts[t]; ++place) {
      for (int64_t d = 0; d < dim; ++d) dense[gradients.rows[place] * dim + d] = gradients.values[place * dim + d];
    }
    for (int64_t i = 0; i < tables[t].size(); ++i) {
      const double g = scale * dense[i];
      sums.push_back(states[t][i] + g * g);
      rows.push_back(tables[t][i] - lr * g / (std::sqrt(sums.back()) + eps));
    }
  }
  check::on_every_machine(run, [&](const Block<float>& all) {
    for (int64_t i = 0; i < size; ++i) {
      CHECK(check::near(all[i], rows[i], 2.0, 8.0), "number %ld of the tables is %g, not %g", i, all[i], rows[i]);
      CHECK(check::near(all[size + i], sums[i], sums[i], 8.0), "state %ld is %g, not %g", i, all[size + i], sums[i]);
    }
  });
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const auto given = check::random_lookups(random);
    const int64_t dim = random.one_of({0, 1, 4, 15, 16, 17, 64});
    const auto grad = check::random_floats(random, given.batch * given.tables * dim);
    const auto tables = check::random_tables(random, given.rows, dim);
    const auto states = check::random_tables(random, given.rows, dim);
    for (const auto& state : states) {
      for (int64_t i = 0; i < state.size(); ++i) state[i] = std::fabs(state[i]);
    }
    coalesce(given, dim, grad);
    adagrad(given, dim, grad, tables, states);
  });
}
