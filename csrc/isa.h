// Instruction sets. Every kernel is compiled once for each of them, in a namespace of that name (KERNEL_ISA), and the
// binding calls the one for this machine. A file compiled so includes no C++ standard library header with inline code:
// the linker keeps one copy of such a function, and it could be one that this machine cannot run.
#pragma once

// The best one that is compiled, as a number of Isa; CMake's KERNEL_BEST_ISA.
#if !defined(__x86_64__)
#define KERNELS_BEST_ISA 0
#elif !defined(KERNELS_BEST_ISA)
#define KERNELS_BEST_ISA 2
#endif

namespace kernels {

// portable: plain C++. avx2: with FMA, F16C, BMI2, POPCNT (2013). avx512: with F, BW, DQ, VL, VBMI, VPOPCNTDQ (Ice Lake,
// Zen 4).
enum class Isa { portable = 0, avx2 = 1, avx512 = 2 };

Isa best_isa();            // the best that both this build and this machine have
Isa isa();                 // the one in use: best_isa() until set_isa() says otherwise
bool set_isa(Isa choice);  // false, and nothing changed, where the machine or the build lacks it

}  // namespace kernels

#define IN_ISA(name, ...)   \
  namespace kernels::name { \
  __VA_ARGS__               \
  }
#if KERNELS_BEST_ISA > 0
#define IN_AVX2(...) IN_ISA(avx2, __VA_ARGS__)
#define IF_AVX2(function) kernels::isa() == kernels::Isa::avx2 ? kernels::avx2::function:
#else
#define IN_AVX2(...)
#define IF_AVX2(function)
#endif
#if KERNELS_BEST_ISA > 1
#define IN_AVX512(...) IN_ISA(avx512, __VA_ARGS__)
#define IF_AVX512(function) kernels::isa() == kernels::Isa::avx512 ? kernels::avx512::function:
#else
#define IN_AVX512(...)
#define IF_AVX512(function)
#endif

// Declares functions once per instruction set.
#define FOR_EACH_ISA(...) IN_ISA(portable, __VA_ARGS__) IN_AVX2(__VA_ARGS__) IN_AVX512(__VA_ARGS__)
// A function on the one in use.
#define ON_ISA(function) (IF_AVX512(function) IF_AVX2(function) kernels::portable::function)
