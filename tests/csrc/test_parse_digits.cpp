#include "parse_digits.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "check.h"

using check::Block;

namespace {

// A field, and what it stands for.
struct Field {
  std::string text;
  double number;
  uint32_t code;
};

Field draw(check::Random& random, bool hexadecimal) {
  char text[32];
  if (random.between(0, 3) == 0) return {"", std::nan(""), 0};
  if (hexadecimal) {
    const auto code = static_cast<uint32_t>(random.bits() >> random.between(32, 63));
    std::snprintf(text, sizeof text, random.coin() ? "%x" : "%08X", code);
    return {text, 0, code};
  }
  const int64_t number = random.between(-1, 1) * random.one_of({0, 9, 999999999999999, random.between(0, 1 << 20)});
  std::snprintf(text, sizeof text, "%ld", static_cast<long>(number));
  return {text, static_cast<double>(number), 0};
}

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const int64_t fields = random.between(1, 6), rows = random.between(0, 9);
    Block<uint8_t> kinds(fields);
    int64_t coded = 0;
    for (int64_t f = 0; f < fields; ++f) coded += kinds[f] = random.coin();
    std::string text;
    std::vector<std::vector<Field>> table(rows);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t f = 0; f < fields; ++f) {
        table[row].push_back(draw(random, kinds[f] != 0));
        text += (f > 0 ? "," : "") + table[row].back().text;
      }
      text += '\n';
    }
    // Without its last line feed a text is the same, unless that was all of its last line.
    if (rows > 0 && text.size() > 1 && text[text.size() - 2] != '\n' && random.coin()) text.pop_back();
    const bool spoil = !text.empty() && random.coin();
    const int64_t spoiler = random.one_of({'-', ',', '\n', 'x', '\0', 200});
    if (spoil) text[random.between(0, text.size() - 1)] = static_cast<char>(spoiler);
    Block<uint8_t> bytes(text.size());
    for (size_t i = 0; i < text.size(); ++i) bytes[i] = static_cast<uint8_t>(text[i]);
    for (int isa = 0; isa <= static_cast<int>(check::best_isa()); ++isa) {
      kernels::set_isa(static_cast<kernels::Isa>(isa));
      Block<double> numbers((fields - coded) * rows);
      Block<uint32_t> codes(coded * rows);
      Block<uint8_t> present(coded * rows);
      const bool parsed = ON_ISA(parse_digits)(bytes.data(), bytes.size(), ',', kinds.data(), fields, rows,
                                               numbers.data(), codes.data(), present.data());
      const bool never = spoiler == 'x' || spoiler == '\0' || spoiler == 200;  // the others may leave numbers
      if (spoil && never) CHECK(!parsed, "character %ld was taken", static_cast<long>(spoiler));
      if (spoil) continue;
      CHECK(parsed, "%ld rows of %ld fields were refused", static_cast<long>(rows), static_cast<long>(fields));
      for (int64_t row = 0; row < rows; ++row) {
        int64_t number = 0, code = 0;
        for (int64_t f = 0; f < fields; ++f) {
          const Field& field = table[row][f];
          if (kinds[f] != 0) {
            const int64_t at = code++ * rows + row;
            CHECK(codes[at] == field.code && present[at] == !field.text.empty(), "code %s", field.text.c_str());
          } else {
            const double found = numbers[number++ * rows + row];
            CHECK(field.text.empty() ? std::isnan(found) : found == field.number, "number %s", field.text.c_str());
          }
        }
      }
    }
  });
}
