#include "lookups.h"

using check::Block;
using check::Random;
using kernels::RowFormat;

namespace {

double float16_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

// A table as it lies in memory: `stride` bytes from row to row, none after the last; scale and bias, for codes.
struct Table {
  RowFormat format;
  int64_t dim, stride;
  Block<uint8_t> memory;
  Block<float> scale_bias;

  bool has_codes() const { return format == RowFormat::int8 || format == RowFormat::int4; }
  double code(int64_t row, int64_t d) const {
    if (format == RowFormat::int8) return memory[row * stride + d];
    return (memory[row * stride + d / 2] >> (d % 2 * 4)) & 15;
  }
  double value(int64_t row, int64_t d) const {
    if (has_codes()) return scale_bias[row * 2] * code(row, d) + scale_bias[row * 2 + 1];
    if (format == RowFormat::float32) {
      float number;
      std::memcpy(&number, &memory[row * stride + d * 4], sizeof number);
      return number;
    }
    uint16_t bits;
    std::memcpy(&bits, &memory[row * stride + d * 2], sizeof bits);
    return format == RowFormat::float16 ? float16_value(bits) : check::value_of(bits);
  }
  // The sizes of what is added up for a number.
  double size(int64_t row, int64_t d) const {
    if (!has_codes()) return std::fabs(value(row, d));
    return std::fabs(scale_bias[row * 2] * code(row, d)) + std::fabs(scale_bias[row * 2 + 1]);
  }
};

int64_t row_bytes(RowFormat format, int64_t dim) {
  const int64_t padded = (dim + 15) / 16 * 16;
  switch (format) {
    case RowFormat::float32: return dim * 4;
    case RowFormat::int8: return padded;
    case RowFormat::int4: return padded / 2;
    default: return dim * 2;
  }
}

Table random_table(Random& random, RowFormat format, int64_t rows, int64_t dim, int64_t stride) {
  Table table{format, dim, stride, Block<uint8_t>((rows - 1) * stride + row_bytes(format, dim)),
              check::random_floats(random, 2 * rows)};
  for (int64_t i = 0; i < table.memory.size(); ++i) table.memory[i] = static_cast<uint8_t>(random.bits());
  for (int64_t row = 0; row < rows && !table.has_codes(); ++row) {
    for (int64_t d = 0; d < dim; ++d) {
      uint8_t* const to = &table.memory[row * stride] + d * (format == RowFormat::float32 ? 4 : 2);
      const float number = random.real();
      uint16_t bits;
      check::set(&bits, number);
      // A float16 has any exponent but that of infinities and NaN, the smallest included.
      if (format == RowFormat::float16) bits = static_cast<uint16_t>(random.bits() & (random.coin() ? 0xbbff : 0x83ff));
      if (format == RowFormat::float32) std::memcpy(to, &number, sizeof number);
      else std::memcpy(to, &bits, sizeof bits);
    }
  }
  return table;
}

// `large`: a result that does not fit the caches, 4 MB or more where there are bags enough.
void sums_are_right(Random& random, RowFormat format, bool large) {
  const auto given = check::random_lookups(random);
  const int64_t bags = given.tables * given.batch;
  const int64_t dim = large && bags > 350 ? (1 << 20) / bags + 17
                                          : random.one_of({0, 1, 4, 15, 16, 17, 64, random.between(1, 70), 130});
  const bool codes = format == RowFormat::int8 || format == RowFormat::int4;
  const int64_t stride = row_bytes(format, dim) + (codes ? random.one_of({0, 8, 64}) : 0);
  std::vector<Table> tables;
  for (const int64_t rows : given.rows) tables.push_back(random_table(random, format, rows, dim, stride));
  std::vector<const void*> data, scale_bias;
  for (const Table& table : tables) {
    data.push_back(table.memory.data());
    scale_bias.push_back(table.scale_bias.data());
  }
  const kernels::TableRows rows{format, dim, stride, given.rows.data(), data.data(), codes ? scale_bias.data() : nullptr, 8};
  const auto run = [&](int threads) {
    Block<float> out(given.batch * given.tables * dim);
    CHECK(ON_ISA(embedding_bag)(rows, given.lookups(), out.data(), threads), "good ids are refused");
    return out;
  };
  check::on_every_machine(run, [&](const Block<float>& out) {
    for (int64_t b = 0; b < given.batch; ++b) {
      for (int64_t t = 0; t < given.tables; ++t) {
        const int64_t count = given.end(t, b) - given.begin(t, b);
        for (int64_t d = 0; d < dim; ++d) {
          double sum = 0.0, scale = 0.0;
          for (int64_t i = given.begin(t, b); i < given.end(t, b); ++i) {
            sum += given.factor(t, b, i) * tables[t].value(given.ids[i], d);
            scale += std::fabs(given.factor(t, b, i)) * tables[t].size(given.ids[i], d);
          }
          const float got = out[(b * given.tables + t) * dim + d];
          CHECK(check::near(got, sum, scale, static_cast<double>(count) + 5.0),
                "format %d, dim %ld, bag (%ld, %ld) of %ld ids: number %ld is %g, not %g", static_cast<int>(format), dim,
                t, b, count, d, got, sum);
        }
      }
    }
  });
}

// One bad id anywhere is seen, and nothing outside the tables is read.
void bad_ids_are_refused(Random& random, RowFormat format) {
  const auto given = check::random_lookups(random);
  if (given.total() == 0) return;
  const int64_t dim = random.one_of({1, 16, 17});
  std::vector<Table> tables;
  for (const int64_t rows : given.rows) tables.push_back(random_table(random, format, rows, dim, row_bytes(format, dim)));
  std::vector<const void*> data, scale_bias;
  for (const Table& table : tables) {
    data.push_back(table.memory.data());
    scale_bias.push_back(table.scale_bias.data());
  }
  const kernels::TableRows rows{format, dim, row_bytes(format, dim), given.rows.data(), data.data(), scale_bias.data(), 8};
  const int64_t place = random.between(0, given.total() - 1);
  int64_t table = 0;
  while (given.bags ? given.offsets[(table + 1) * given.batch] <= place : place % given.tables != table) ++table;
  given.ids[place] = random.one_of({-1, given.rows[table], INT64_MAX, INT64_MIN, int64_t{1} << 32});
  check::on_every_machine(
      [&](int threads) {
        Block<float> out(given.batch * given.tables * dim);
        Block<int32_t> good(2);
        good[0] = ON_ISA(embedding_bag)(rows, given.lookups(), out.data(), threads);
        good[1] = ON_ISA(ids_in_range)(given.lookups(), given.rows.data());
        return good;
      },
      [&](const Block<int32_t>& good) {
        CHECK(good[0] == 0 && good[1] == 0, "id %ld at %ld of table %ld is accepted", given.ids[place], place, table);
      });
}

}  // namespace

int main() {
  return check::run_cases([](Random& random, int64_t number) {
    const auto format = static_cast<RowFormat>(number % 5);
    sums_are_right(random, format, number % 10 == 7);
    bad_ids_are_refused(random, format);
  });
}
