// Random lookups of embedding tables for the C++ tests.
#pragma once

#include "check.h"
#include "embedding_bag.h"

namespace check {

struct RandomLookups {
  int64_t tables, batch;
  std::vector<int64_t> rows;  // of each table
  bool bags;      // offsets are given; else one id per table
  bool mean;
  bool weighted;  // not where mean
  Block<int64_t> offsets{0};
  Block<int64_t> ids{0};
  Block<float> weights{0};

  // Bag (t, b): the places of its ids.
  int64_t begin(int64_t t, int64_t b) const { return bags ? offsets[t * batch + b] : b * tables + t; }
  int64_t end(int64_t t, int64_t b) const { return bags ? offsets[t * batch + b + 1] : begin(t, b) + 1; }
  int64_t total() const { return ids.size(); }
  // What a row of bag (t, b) is multiplied by, at place i of ids.
  double factor(int64_t t, int64_t b, int64_t i) const {
    return mean ? 1.0 / static_cast<double>(end(t, b) - begin(t, b)) : weighted ? weights[i] : 1.0;
  }
  kernels::Lookups lookups() const {
    return {ids.data(), bags ? offsets.data() : nullptr, weighted ? weights.data() : nullptr, tables, batch, mean};
  }
};

inline RandomLookups random_lookups(Random& random) {
  const int64_t tables = random.one_of({1, 2, 3, 7});
  const int64_t batch = random.one_of({0, 1, 2, 63, 64, 65, random.between(3, 200)});
  const bool bags = random.coin();
  std::vector<int64_t> rows;
  for (int64_t t = 0; t < tables; ++t) rows.push_back(random.one_of({1, 2, 50, random.between(1, 700)}));
  Block<int64_t> offsets(bags ? tables * batch + 1 : 0);
  const int64_t most = random.one_of({0, 1, 3, 40});  // ids in a bag
  int64_t total = bags ? 0 : tables * batch;
  for (int64_t i = 0; i < offsets.size(); ++i) {
    offsets[i] = total;
    if (i + 1 < offsets.size()) total += random.coin() ? random.between(0, most) : most / 2;
  }
  const bool mean = random.coin(), weighted = !mean && random.coin();
  RandomLookups made{tables,   batch, rows, bags, mean, weighted, std::move(offsets), Block<int64_t>(total),
                     random_floats(random, total)};
  for (int64_t t = 0; t < tables; ++t) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t i = made.begin(t, b); i < made.end(t, b); ++i) made.ids[i] = random.between(0, rows[t] - 1);
    }
  }
  return made;
}

inline std::vector<Block<float>> random_tables(Random& random, const std::vector<int64_t>& rows, int64_t dim) {
  std::vector<Block<float>> tables;
  for (const int64_t count : rows) tables.push_back(random_floats(random, count * dim));
  return tables;
}

template <class Pointer>
std::vector<Pointer> pointers(const std::vector<Block<float>>& tables) {
  std::vector<Pointer> data;
  for (const auto& table : tables) data.push_back(table.data());
  return data;
}

}  // namespace check
