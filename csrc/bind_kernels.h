// What each binding file adds to nasrec/_kernels.
#pragma once

#include <pybind11/pybind11.h>

namespace bind {

void add_attention(pybind11::module_& module);
void add_dot_interaction(pybind11::module_& module);
void add_embedding_bag(pybind11::module_& module);
void add_embedding_bag_update(pybind11::module_& module);
void add_fm_interaction(pybind11::module_& module);
void add_intern_keys(pybind11::module_& module);
void add_layer_norm(pybind11::module_& module);
void add_low_rank_cross(pybind11::module_& module);
void add_parse_digits(pybind11::module_& module);
void add_transformer_layer(pybind11::module_& module);

}  // namespace bind
