// Levels of cells to the tables of crossbar_lookup: the sums that every 4 (or 6) bits of input can pick.
#pragma once

#include <cstdint>

#include "crossbar_lookup.h"
#include "isa.h"

FOR_EACH_ISA(
    // Fills `tables` and, if listed, `numbers` (what the pointers in `shape` will be) from levels: uint16 [slices, inputs,
    // outputs], below 2^(bits of a level) if listed. Sums that don't fit (above 255 with one plane) become 255.
    void crossbar_tables(const CrossbarTables& shape, const uint16_t* levels, uint8_t* tables, uint16_t* numbers,
                         int threads);)
