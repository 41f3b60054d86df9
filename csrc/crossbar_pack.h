// Levels of cells to the layout of crossbar_mac: the bits of 64 rows in a word, eight columns side by side.
#pragma once

#include <cstdint>

#include "crossbar_mac.h"
#include "isa.h"

FOR_EACH_ISA(
    // levels: uint16 [slices, inputs, outputs], below 2^cell_bits. bits: [groups][blocks][slices][cell_bits][words][8],
    // written whole. `shape` has the sizes; its pointers are not read.
    void crossbar_pack(const CrossbarCells& shape, const uint16_t* levels, uint64_t* bits, int threads);)
