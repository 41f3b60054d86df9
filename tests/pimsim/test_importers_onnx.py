"""Workloads from ONNX files that are built node by node, against layers counted by hand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pimsim import Elementwise, Gather, InputError, MatMul, MatVec
from pimsim.cli import main
from pimsim.files import read_workload
from pimsim.importers import workload_from_onnx

onnx = pytest.importorskip("onnx", reason="the extra `importers` is not installed")
helper = onnx.helper


def stored(name: str, *shape: int) -> Any:
    return onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)


def numbers(name: str, *values: int) -> Any:
    return onnx.numpy_helper.from_array(np.array(values, np.int64), name)


def save(path: Path, nodes: Sequence[Any], inputs: dict[str, Sequence[int | str]], constants: Sequence[Any],
         output: str = "y", kind: int = 1) -> Path:
    """Write a model whose inputs are of `kind` (1: float32, 7: int64)."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()]
    result = helper.make_empty_tensor_value_info(output)
    graph = helper.make_graph(list(nodes), "network", values, [result], list(constants))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], name=f"n_{output}", **attributes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


def test_a_convolutional_network(path: Path) -> None:
    save(path, [
        node("Conv", "x conv.weight conv.bias", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a scale shift mean var", "b"),
        node("Relu", "b", "c"),
        node("MaxPool", "c", "d", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "d depth.weight", "e", group=8, kernel_shape=[3, 3]),
        node("GlobalAveragePool", "e", "f"),
        node("Flatten", "f", "g"),
        node("Gemm", "g head.weight head.bias", "y", transB=1),
    ], {"x": [1, 3, 8, 8]}, [
        stored("conv.weight", 8, 3, 3, 3), stored("conv.bias", 8),
        *(stored(name, 8) for name in ("scale", "shift", "mean", "var")),
        stored("depth.weight", 8, 1, 3, 3), stored("head.weight", 10, 8), stored("head.bias", 10)])
    groups = tuple(f"depth.group{index}" for index in range(8))
    assert workload_from_onnx(path).ops == (
        MatVec("conv", 27, 8, 64),
        Elementwise("n_c", "relu", 8 * 64, after=("conv",)),
        Elementwise("n_d", "max", 8 * 16, after=("n_c",), operands=4),
        *(MatVec(name, 9, 1, 4, after=("n_d",)) for name in groups),
        Elementwise("n_f", "add", 8, after=groups, operands=4),
        MatVec("head", 8, 10, 1, after=("n_f",)),
    )


def test_attention_in_its_parts(path: Path) -> None:
    """Two heads of 4 numbers over 6 positions; the scale and the biases are free, the mask is not."""
    save(path, [
        node("MatMul", "x qkv", "a"), node("Add", "a qkv_bias", "b"),
        helper.make_node("Split", ["b"], ["q", "k", "v"], axis=2, num_outputs=3),
        *(node("Reshape", f"{n} heads", f"{n}_heads") for n in "qkv"),
        *(node("Transpose", f"{n}_heads", f"{n}t", perm=[0, 2, 1, 3]) for n in "qv"),
        node("Transpose", "k_heads", "kt", perm=[0, 2, 3, 1]),
        node("Mul", "qt half", "qs"), node("MatMul", "qs kt", "scores"), node("Add", "scores mask", "masked"),
        node("Softmax", "masked", "shares"), node("MatMul", "shares vt", "mixed"),
        node("Transpose", "mixed", "back", perm=[0, 2, 1, 3]), node("Reshape", "back joined", "flat"),
        node("MatMul", "flat out", "y"),
    ], {"x": [1, 6, 8]}, [
        stored("qkv", 8, 24), stored("qkv_bias", 24), numbers("heads", 1, 6, 2, 4), numbers("joined", 1, 6, 8),
        stored("half", 1), stored("mask", 1, 1, 6, 6), stored("out", 8, 8)])
    assert workload_from_onnx(path).ops == (
        MatVec("n_a", 8, 24, 6),
        MatMul("n_scores", 6, 4, 6, 2, after=("n_a",)),
        Elementwise("n_masked", "add", 2 * 36, after=("n_scores",)),
        Elementwise("n_shares", "softmax", 2 * 36, after=("n_masked",)),
        MatMul("n_mixed", 6, 6, 4, 2, after=("n_shares", "n_a")),
        MatVec("n_y", 8, 8, 6, after=("n_mixed",)),
    )


def test_tables(path: Path) -> None:
    """Rows of a stored table, some summed; positions that are known beforehand cost their sum only."""
    save(path, [
        node("Gather", "words.weight x", "a"), node("Gather", "places.weight order", "p"), node("Add", "a p", "b"),
        node("Gather", "tags.weight x", "t"), node("ReduceSum", "t axes", "s"), node("Mul", "b s", "y"),
    ], {"x": [1, 5]}, [stored("words.weight", 100, 4), stored("places.weight", 50, 4), numbers("order", 0, 1, 2, 3, 4),
                       stored("tags.weight", 30, 4), numbers("axes", 1)], kind=7)
    assert workload_from_onnx(path).ops == (
        Gather("words", 100, 4, 5), Elementwise("n_b", "add", 20, after=("words",)),
        Gather("tags", 30, 4, 1, 5.0), Elementwise("n_y", "multiply", 20, after=("n_b", "tags")))


def test_a_sum_of_many(path: Path) -> None:
    save(path, [node("Relu", "x", "r"), node("Sum", "x r x k", "s"), node("Mul", "s r", "y")], {"x": [1, 6]},
         [stored("k", 6)])
    assert workload_from_onnx(path).ops == (
        Elementwise("n_r", "relu", 6), Elementwise("n_s", "add", 6, after=("n_r",), operands=2),
        Elementwise("n_y", "multiply", 6, after=("n_s", "n_r"), operands=2))


def test_recurrent_layer(path: Path) -> None:
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["", "y"], name="n_l", hidden_size=5, direction="bidirectional")
    save(path, [lstm], {"x": [7, 1, 6]}, [stored("w", 2, 20, 6), stored("r", 2, 20, 5)])
    workload = workload_from_onnx(path)
    assert workload.macs == 2 * 7 * (6 + 5) * 20
    assert [op.vectors for op in workload.ops if isinstance(op, MatVec)] == [7] * 4


def test_quantised_layers(path: Path) -> None:
    """Codes and scales are the converters' business: what is computed is the same matrix."""
    scales = [stored(n, *()) for n in ("xs", "ws", "ys")]
    zeros = [onnx.numpy_helper.from_array(np.zeros((), np.uint8), n) for n in ("xz", "wz", "yz")]
    weight = onnx.numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.uint8), "w")
    save(path, [node("QuantizeLinear", "x xs xz", "q"), node("QLinearConv", "q xs xz w ws wz ys yz", "c"),
                node("DequantizeLinear", "c ys yz", "y")], {"x": [1, 3, 6, 6]}, [*scales, *zeros, weight])
    first, second = workload_from_onnx(path).ops
    assert first == Elementwise("n_q", "rescale", 108)
    assert second == MatVec("n_c", 27, 4, 16, after=("n_q",))


def test_what_no_output_needs_is_left_out(path: Path) -> None:
    save(path, [node("MatMul", "x w", "y"), node("Det", "x", "unused")], {"x": [3, 3]}, [stored("w", 3, 3)])
    assert [op.name for op in workload_from_onnx(path).ops] == ["n_y"]


def test_open_shapes(path: Path) -> None:
    save(path, [node("MatMul", "x w", "y")], {"x": ["batch", 3]}, [stored("w", 3, 2)])
    with pytest.raises(InputError, match=r"input 'x' has the open shape \[batch, 3\], allowed: fixed sizes"):
        workload_from_onnx(path)
    assert workload_from_onnx(path, shapes={"x": (4, 3)}, batch=4).ops == (MatVec("n_y", 3, 2),)
    for shapes, message in (({"z": (1, 3)}, "shapes has 'z', allowed: the inputs x"),
                            ({"x": (1, 4)}, "has a fixed axis of 3"), ({"x": (1,)}, "has 2 axes")):
        with pytest.raises(InputError, match=message):
            workload_from_onnx(path, shapes=shapes)


def test_weights_in_a_missing_file(path: Path) -> None:
    """Sizes are enough: gigabytes of weights need not be there. Constants that shapes hang on are read."""
    save(path, [node("MatMul", "x w", "a"), node("Reshape", "a sizes", "b"), node("Softmax", "b", "y")], {"x": [1, 40]},
         [stored("w", 40, 60), numbers("sizes", 6, 10)])
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    (path.parent / "w").unlink()
    assert [op.op for op in workload_from_onnx(path).ops] == ["matvec", "elementwise"]


def test_an_empty_file_is_no_network(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not an ONNX model, or one without operators"):
        workload_from_onnx(path)


def test_unknown_operators(path: Path) -> None:
    save(path, [node("Relu", "x", "a"), node("Det", "a", "y")], {"x": [2, 3, 3]}, [])
    with pytest.raises(InputError) as caught:
        workload_from_onnx(path)
    assert str(caught.value).startswith(f"n_y: no cost is known for operator Det (node 'n_y' of {path}), allowed: ")
    charged = workload_from_onnx(path, unknown="vector_unit")
    assert charged.ops[1] == Elementwise("n_y", "copy", 2, after=("n_a",))


def test_a_node_before_its_input(path: Path) -> None:
    save(path, [node("Relu", "a", "y"), node("Relu", "x", "a")], {"x": [2]}, [])
    with pytest.raises(InputError, match="'y' needs 'a', allowed: what nodes before it give"):
        workload_from_onnx(path)


def test_the_command(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    save(path, [node("MatMul", "x w", "a"), node("Relu", "a", "y")], {"x": ["n", 3]}, [stored("w", 3, 2)])
    out = path.with_name("workload.json")

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["pimsim", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0)

    assert run(path, "--out", out, "--shape", "x=1,3", "--layer", "n_a:weight_bits=4,input_bits=5") == 0
    assert "2 operators, 6 MACs" in capsys.readouterr().out
    assert read_workload(out).ops[0] == MatVec("n_a", 3, 2, 1, 4, 5)
    path.with_name("broken.onnx").write_bytes(b"\x08\x80no model")
    for arguments, message in (
        ((path, "--shape", "x=1,z"), "--shape x=1,z: allowed: INPUT=1,3,224,224"),
        ((path, "--shape", "x=1,3", "--layer", "n_a"), "--layer n_a: allowed: NAME:weight_bits=4"),
        ((path.with_name("absent.onnx"),), "absent.onnx: no such file"),
        ((path.with_name("broken.onnx"),), "broken.onnx: not an ONNX model"),
    ):
        assert run(*arguments, "--out", out.with_name("other.json")) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not out.with_name("other.json").exists()
