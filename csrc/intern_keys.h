// Numbers for 64-bit keys in the order of their first appearance: what turns the values of a column into ids.
#pragma once

#include <cstdint>

#include "isa.h"

FOR_EACH_ISA(
    // ids[i] = the number of keys[i] in the table, from 1; a key that is not there gets the next number, used + 1, and
    // first[k] = i says where the k-th new one stands. The key with all bits set stands for a missing value: id 0, never
    // in the table. Returns how many keys are new, or -1 where the table is full; it is then as it was. before: [count], for the kernel.
    //
    // The table: slot_keys and slot_ids, [slots] each, slots a power of two; slot_ids 0 = empty. Open addressing with
    // linear probing from a mixed key (the finaliser of MurmurHash3, Appleby 2011), so any keys will do. Fast while at
    // most 3 of 4 slots are taken; any count, any keys. Whole numbers only: the same on every instruction set. One
    // thread; different tables may be filled at once.
    int64_t intern_keys(const uint64_t* keys, int64_t count, uint64_t* slot_keys, int32_t* slot_ids, int64_t slots,
                        int64_t used, int32_t* ids, int64_t* first, uint64_t* before);)
