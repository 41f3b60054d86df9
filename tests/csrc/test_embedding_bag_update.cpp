#include <map>

#include "embedding_bag_update.h"
#include "lookups.h"

using check::Block;
using check::Random;
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
    for (int64_t i = given.begin(t, b); i < given.end(t, b); ++i) {
      auto& row = sums[given.ids[i]];
      row.resize(static_cast<std::size_t>(dim));
      for (int64_t d = 0; d < dim; ++d) {
        const double value = grad[(b * given.tables + t) * dim + d] * given.factor(t, b, i);
        row[d].value += value;
        row[d].scale += std::fabs(value);
        row[d].terms += 2.0;
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
    const double alone = ON_ISA(embedding_bag_square_norm)(given.lookups(), dim, grad.data(), 2);
    CHECK(alone == got.square, "square %g alone, %g with the rows", alone, got.square);
  });
}

// Tables and states of an optimiser, one after the other.
Block<float> joined(const std::vector<Block<float>>& tables, const std::vector<Block<float>>& states) {
  int64_t size = 0;
  for (const auto* blocks : {&tables, &states}) {
    for (const auto& block : *blocks) size += block.size();
  }
  Block<float> all(size);
  float* to = all.data();
  for (const auto* blocks : {&tables, &states}) {
    for (const auto& block : *blocks) {
      for (int64_t i = 0; i < block.size(); ++i) *to++ = block[i];
    }
  }
  return all;
}

std::vector<Block<float>> copies(const std::vector<Block<float>>& from) {
  std::vector<Block<float>> made;
  for (const auto& block : from) made.push_back(check::copy(block));
  return made;
}

struct Wanted {
  std::vector<double> tables, states;
};

// The step in double, on whole tables.
Wanted stepped(const Coalesced& gradients, const kernels::Step& step, int64_t dim, const std::vector<Block<float>>& tables,
               const std::vector<Block<float>>& states) {
  Wanted wanted;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    std::vector<double> dense(static_cast<std::size_t>(tables[t].size()));
    for (int64_t place = gradients.starts[t]; place < gradients.starts[t] + gradients.counts[t]; ++place) {
      for (int64_t d = 0; d < dim; ++d) {
        dense[gradients.rows[place] * dim + d] = double{step.scale} * gradients.values[place * dim + d];
      }
    }
    const int64_t rows = dim > 0 ? tables[t].size() / dim : 0;
    for (int64_t row = 0; row < rows; ++row) {
      double mean = 0.0;
      for (int64_t d = 0; d < dim; ++d) mean += dense[row * dim + d] * dense[row * dim + d] / static_cast<double>(dim);
      if (step.optimizer == kernels::Optimizer::row_wise_adagrad) wanted.states.push_back(states[t][row] + mean);
      for (int64_t d = 0; d < dim; ++d) {
        const double g = dense[row * dim + d];
        if (step.optimizer == kernels::Optimizer::adagrad) wanted.states.push_back(states[t][row * dim + d] + g * g);
        const double divisor =
            step.optimizer == kernels::Optimizer::sgd ? 1.0 : std::sqrt(wanted.states.back()) + double{step.eps};
        wanted.tables.push_back(tables[t][row * dim + d] - step.lr * g / divisor);
      }
    }
  }
  return wanted;
}

void step(Random& random, const RandomLookups& given, int64_t dim, const Block<float>& grad) {
  const kernels::Step step{static_cast<kernels::Optimizer>(random.between(0, 2)), 0.1f, 1e-3f, 0.5f};
  const auto tables = check::random_tables(random, given.rows, dim);
  const bool by_row = step.optimizer == kernels::Optimizer::row_wise_adagrad;
  std::vector<Block<float>> states;
  if (step.optimizer != kernels::Optimizer::sgd) states = check::random_tables(random, given.rows, by_row ? 1 : dim);
  for (const auto& state : states) {
    for (int64_t i = 0; i < state.size(); ++i) state[i] = std::fabs(state[i]);
  }
  const Coalesced gradients(given, dim, grad, 1);
  const Wanted wanted = stepped(gradients, step, dim, tables, states);
  const auto judge = [&](const Block<float>& all) {
    for (std::size_t i = 0; i < wanted.tables.size(); ++i) {
      CHECK(check::near(all[i], wanted.tables[i], 4.0 + std::fabs(wanted.tables[i] - 1.0), 8.0 + static_cast<double>(dim)),
            "number %zu of the tables is %g, not %g", i, all[i], wanted.tables[i]);
    }
    for (std::size_t i = 0; dim > 0 && i < wanted.states.size(); ++i) {
      const float got = all[wanted.tables.size() + i];
      CHECK(check::near(got, wanted.states[i], wanted.states[i], 8.0 + static_cast<double>(dim)),
            "state %zu is %g, not %g", i, got, wanted.states[i]);
    }
  };
  const auto apart = [&](int threads) {
    const auto data = copies(tables), state = copies(states);
    ON_ISA(embedding_bag_step)(check::pointers<float*>(data).data(), check::pointers<float*>(state).data(),
                               gradients.gradients(), given.tables, dim, step, threads);
    return joined(data, state);
  };
  check::on_every_machine(apart, judge);
  check::on_every_machine(
      [&](int threads) {
        const auto data = copies(tables), state = copies(states);
        ON_ISA(embedding_bag_update)(check::pointers<float*>(data).data(), check::pointers<float*>(state).data(),
                                     given.lookups(), dim, grad.data(), step, threads);
        return joined(data, state);
      },
      [&](const Block<float>& all) { CHECK(all.same_bits(apart(1)), "not the bits of coalesce and step"); });
}

}  // namespace

int main() {
  return check::run_cases([](Random& random, int64_t) {
    const auto given = check::random_lookups(random);
    const int64_t dim = random.one_of({0, 1, 4, 15, 16, 17, 64, random.between(1, 70), 130});
    const auto grad = check::random_floats(random, given.batch * given.tables * dim);
    coalesce(given, dim, grad);
    step(random, given, dim, grad);
  });
}
