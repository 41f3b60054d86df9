#include "lookups.h"

using check::Block;

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const auto given = check::random_lookups(random);
    const int64_t dim = random.one_of({0, 1, 4, 15, 16, 17, 64, random.between(1, 70)});
    const auto tables = check::random_tables(random, given.rows, dim);
    const auto data = check::pointers<const float*>(tables);
    const auto run = [&](int threads) {
      Block<float> out(given.batch * given.tables * dim);
      ON_ISA(embedding_bag)(data.data(), given.lookups(), dim, out.data(), threads);
      return out;
    };
    check::on_every_machine(run, [&](const Block<float>& out) {
      for (int64_t b = 0; b < given.batch; ++b) {
        for (int64_t t = 0; t < given.tables; ++t) {
          const int64_t count = given.end(t, b) - given.begin(t, b);
          const double divisor = given.mean && count > 0 ? static_cast<double>(count) : 1.0;
          for (int64_t d = 0; d < dim; ++d) {
            double sum = 0.0, scale = 0.0;
            for (int64_t i = given.begin(t, b); i < given.end(t, b); ++i) {
              sum += tables[t][given.ids[i] * dim + d] / divisor;
              scale += std::fabs(tables[t][given.ids[i] * dim + d]) / divisor;
            }
            const float got = out[(b * given.tables + t) * dim + d];
            CHECK(check::near(got, sum, scale, static_cast<double>(count) + 2.0),
                  "dim %ld, bag (%ld, %ld) of %ld ids: number %ld is %g, not %g", dim, t, b, count, d, got, sum);
          }
        }
      }
    });
  });
}
