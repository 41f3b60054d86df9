#include "parse_digits.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kDecimalDigits = 15;  // 10^15 < 2^53
constexpr int64_t kHexadecimalDigits = 8;
constexpr uint8_t kNone = 255;

// The value of a byte as a hexadecimal digit, kNone where it is none.
struct Digits {
  constexpr Digits() : value() {
    for (int byte = 0; byte < 256; ++byte) value[byte] = kNone;
    for (int digit = 0; digit < 10; ++digit) value['0' + digit] = static_cast<uint8_t>(digit);
    for (int digit = 10; digit < 16; ++digit) {
      value['a' + digit - 10] = value['A' + digit - 10] = static_cast<uint8_t>(digit);
    }
  }
  uint8_t value[256];
};
constexpr Digits kDigits;

}  // namespace

bool parse_digits(const uint8_t* text, int64_t size, uint8_t separator, const uint8_t* hexadecimal, int64_t fields,
                  int64_t rows, double* numbers, uint32_t* codes, uint8_t* present) {
  const uint8_t* const end = text + size;
  for (int64_t row = 0; row < rows; ++row) {
    if (text == end) return false;
    double* number = numbers + row;
    uint32_t* code = codes + row;
    uint8_t* here = present + row;
    for (int64_t field = 0; field < fields; ++field) {
      if (hexadecimal[field] != 0) {
        const uint8_t* const first = text;
        uint32_t value = 0;
        for (uint8_t digit; text != end && (digit = kDigits.value[*text]) != kNone; ++text) value = value << 4 | digit;
        if (text - first > kHexadecimalDigits) return false;
        *code = value;
        *here = text != first;
        code += rows;
        here += rows;
      } else {
        const bool negative = text != end && *text == '-';
        text += negative;
        const uint8_t* const first = text;
        uint64_t value = 0;
        for (; text != end && static_cast<uint8_t>(*text - '0') < 10; ++text) value = value * 10 + (*text - '0');
        const int64_t digits = text - first;
        if (digits > kDecimalDigits || (negative && digits == 0)) return false;
        const double size_of_it = static_cast<double>(value);
        *number = digits == 0 ? __builtin_nan("") : negative ? -size_of_it : size_of_it;
        number += rows;
      }
      if (field + 1 < fields) {
        if (text == end || *text != separator) return false;
        ++text;
      }
    }
    if (text != end && *text++ != '\n') return false;
  }
  return text == end;
}

}  // namespace kernels::KERNEL_ISA
