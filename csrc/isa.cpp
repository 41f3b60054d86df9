#include "isa.h"

#include <atomic>

namespace kernels {

Isa best_isa() {
#if KERNELS_BEST_ISA > 0
  static const Isa best = [] {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2") &&
                      __builtin_cpu_supports("popcnt");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vpopcntdq");
    return avx512 && KERNELS_BEST_ISA == 2 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::portable;
  }();
  return best;
#else
  return Isa::portable;
#endif
}

namespace {
std::atomic<int> chosen{-1};
}

Isa isa() {
  const int value = chosen.load(std::memory_order_relaxed);
  return value < 0 ? best_isa() : static_cast<Isa>(value);
}

bool set_isa(Isa choice) {
  if (choice > best_isa()) return false;
  chosen.store(static_cast<int>(choice), std::memory_order_relaxed);
  return true;
}

}  // namespace kernels
