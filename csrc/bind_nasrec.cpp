// nasrec._kernels: NumPy in, NumPy out. Each bind_<kernel>.cpp checks, releases the GIL and calls.
#include "bind_kernels.h"
#include "bind_settings.h"

PYBIND11_MODULE(_kernels, module) {
  module.doc() = "Compiled kernels of nasrec; use nasrec.kernels, which documents them.";
  bind::add_settings(module);
  bind::add_attention(module);
  bind::add_dot_interaction(module);
  bind::add_embedding_bag(module);
  bind::add_embedding_bag_update(module);
  bind::add_fm_interaction(module);
  bind::add_intern_keys(module);
  bind::add_layer_norm(module);
  bind::add_low_rank_cross(module);
  bind::add_parse_digits(module);
  bind::add_transformer_layer(module);
}
