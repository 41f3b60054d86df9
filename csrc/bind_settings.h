// What both extension modules offer beside their kernels: the number of threads and the instruction set.
#pragma once

#include <omp.h>
#include <pybind11/pybind11.h>

#include <string>

#include "isa.h"

namespace bind {

namespace py = pybind11;

// The number of threads every kernel of this module uses; 0 asks OpenMP (so torch.set_num_threads counts as well).
inline int& thread_setting() {
  static int setting = 0;
  return setting;
}

constexpr int kMostThreads = 1024;  // OpenMP ends the process when it cannot start as many as it is asked for

inline int threads() { return thread_setting() > 0 ? thread_setting() : omp_get_max_threads(); }

inline const char* isa_name(kernels::Isa isa) {
  return isa == kernels::Isa::avx512 ? "avx512" : isa == kernels::Isa::avx2 ? "avx2" : "portable";
}

inline void add_settings(py::module_& module) {
  module.def("threads", &threads);
  module.def("set_threads", [](int count) {
    if (count < 0 || count > kMostThreads) {
      throw py::value_error("threads: " + std::to_string(count) + " is not in 1.." + std::to_string(kMostThreads) +
                            " (0: as OpenMP has it)");
    }
    thread_setting() = count;
  });
  module.def("isa", [] { return isa_name(kernels::isa()); });
  module.def("best_isa", [] { return isa_name(kernels::best_isa()); });
  module.def("set_isa", [](const std::string& name) {
    for (const auto isa : {kernels::Isa::portable, kernels::Isa::avx2, kernels::Isa::avx512}) {
      if (name != isa_name(isa)) continue;
      if (kernels::set_isa(isa)) return;
      throw py::value_error("isa: this machine has no '" + name + "', its best is '" + isa_name(kernels::best_isa()) + "'");
    }
    throw py::value_error("isa: '" + name + "' is not one of portable, avx2, avx512");
  });
}

}  // namespace bind
