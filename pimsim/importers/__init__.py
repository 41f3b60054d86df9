"""Workloads from networks: torch modules and ONNX files, each imported only when one is given."""

from pimsim.importers.onnx_file import workload_from_onnx
from pimsim.importers.torch_module import workload_from_torch

__all__ = ["workload_from_onnx", "workload_from_torch"]
