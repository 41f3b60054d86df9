#include "intern_keys.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr uint64_t kMissing = ~uint64_t{0};
constexpr int64_t kAhead = 16;  // keys whose slots are fetched before they are needed

inline uint64_t mixed(uint64_t key) {
  key ^= key >> 33;
  key *= 0xff51afd7ed558ccdULL;
  key ^= key >> 33;
  key *= 0xc4ceb9fe1a85ec53ULL;
  return key ^ (key >> 33);
}

}  // namespace

int64_t intern_keys(const uint64_t* keys, int64_t count, uint64_t* slot_keys, int32_t* slot_ids, int64_t slots,
                    int64_t used, int32_t* ids, int64_t* first, uint64_t* before) {
  const uint64_t mask = static_cast<uint64_t>(slots) - 1;
  int64_t fresh = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const uint64_t coming = mixed(keys[i + kAhead]) & mask;
      __builtin_prefetch(slot_keys + coming);
      __builtin_prefetch(slot_ids + coming);
    }
    if (keys[i] == kMissing) {
      ids[i] = 0;
      continue;
    }
    uint64_t slot = mixed(keys[i]) & mask;
    int64_t probes = 0;
    while (slot_ids[slot] != 0 && slot_keys[slot] != keys[i]) {
      slot = (slot + 1) & mask;
      if (++probes == slots) {
        while (fresh-- > 0) {  // the last one first: then no other was put behind it
          slot = mixed(keys[first[fresh]]) & mask;
          while (slot_ids[slot] == 0 || slot_keys[slot] != keys[first[fresh]]) slot = (slot + 1) & mask;
          slot_keys[slot] = before[fresh];
          slot_ids[slot] = 0;
        }
        return -1;
      }
    }
    if (slot_ids[slot] == 0) {
      before[fresh] = slot_keys[slot];
      slot_keys[slot] = keys[i];
      first[fresh++] = i;
      slot_ids[slot] = static_cast<int32_t>(used + fresh);
    }
    ids[i] = slot_ids[slot];
  }
  return fresh;
}

}  // namespace kernels::KERNEL_ISA
