// Whole numbers out of delimited text, a column each: what reads raw click logs.
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // text: `size` bytes, lines that end in '\n' (the last one may end with the text), each with `fields` fields, with
    // `separator` between them. A field is empty or a whole number: where hexadecimal[f] is 0 an optional '-' and 1 to
    // 15 decimal digits, which a double holds exactly; else 1 to 8 hexadecimal digits of either case.
    //
    // numbers: [decimal fields, rows], NaN where the field is empty. codes and present: [hexadecimal fields, rows]; 0
    // and 0 where the field is empty, else the number and 1. Both in the order of the fields. Returns whether the text
    // is `rows` such lines; if it is not, what was written means nothing. Any bytes; one thread; the same on every
    // instruction set.
    bool parse_digits(const uint8_t* text, int64_t size, uint8_t separator, const uint8_t* hexadecimal, int64_t fields,
                      int64_t rows, double* numbers, uint32_t* codes, uint8_t* present);)
