"""Workloads: counts, the JSON form, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pimsim import Elementwise, Gather, InputError, MatMul, MatVec, Workload

WORKLOAD = Workload("small", (
    Gather("table", 1000, 16, lookups=3),
    MatVec("fc", 16, 32, vectors=2, input_density=0.25, after=("table",)),
    MatMul("dot", 27, 16, 27, symmetric=True, after=("table",)),
    Elementwise("relu", "relu", 64, after=("fc",)),
))


def test_macs() -> None:
    assert MatVec("a", 3, 5, vectors=7).macs == 105
    assert MatMul("b", 4, 5, 6, count=8).macs == 960
    triangle = MatMul("c", 27, 16, 27, symmetric=True)
    assert triangle.macs == 27 * 27 * 16  # as FLOP counters do
    assert triangle.needed_macs == 27 * 26 // 2 * 16  # what is carried out
    assert WORKLOAD.macs == 1024 + 27 * 27 * 16


def test_json_round_trip() -> None:
    data = WORKLOAD.to_json()
    assert (data["format"], data["version"]) == ("pimsim.workload", 1)
    assert Workload.from_json(data) == WORKLOAD
    short = {"format": "pimsim.workload", "version": 1, "name": "w",
             "ops": [{"op": "matvec", "name": "a", "inputs": 2, "outputs": 3, "input_density": 1}]}
    assert Workload.from_json(short) == Workload("w", (MatVec("a", 2, 3, input_density=1.0),))


def test_operands_are_written_where_there_are_several() -> None:
    assert "operands" not in WORKLOAD.to_json()["ops"][3]
    three = Workload("w", (Elementwise("sum", "add", 4, operands=3),))
    assert three.to_json()["ops"][0]["operands"] == 3
    assert Workload.from_json(three.to_json()) == three
    with pytest.raises(InputError, match="sum: field 'operands' is 0, allowed: a whole number from 1 up"):
        Elementwise("sum", "add", 4, operands=0)


def _changed(index: int, **changes: Any) -> dict[str, Any]:
    data = WORKLOAD.to_json()
    data["ops"][index] |= changes
    return data


@pytest.mark.parametrize(("data", "message"), [
    ([], "f.json: is a list, expected an object"),
    ({"format": "other"}, "f.json: field 'format' is 'other', expected 'pimsim.workload'"),
    ({**WORKLOAD.to_json(), "version": 2}, "field 'version' is 2, expected 1"),
    ({**WORKLOAD.to_json(), "extra": 1}, "unknown field 'extra', allowed: format, name, ops, outputs, version"),
    ({**WORKLOAD.to_json(), "ops": {}}, "field 'ops' is a dict, allowed: a list of ops"),
    (_changed(1, rows=3), "f.json, op 1: unknown field 'rows', allowed: after, input_bits"),
    (_changed(1, op="conv"), "op 1: field 'op' is 'conv', allowed: matvec, matmul, gather, elementwise"),
    (_changed(1, op=["matvec"]), "op 1: field 'op' is ['matvec'], allowed: matvec"),
    (_changed(0, access=[[1, float("inf")]]), "table: field 'access' has (1, inf), allowed: rows and accesses"),
    (_changed(1, inputs="16"), "op 1: field 'inputs' is '16', allowed: a whole number"),
    (_changed(1, inputs=True), "op 1: field 'inputs' is True, allowed: a whole number"),
    (_changed(1, inputs=0), "op 1: fc: field 'inputs' is 0, allowed: a whole number from 1 up"),
    (_changed(1, input_bits=65), "field 'input_bits' is 65, allowed: 1 to 64 bits"),
    (_changed(1, input_density=1.5), "field 'input_density' is 1.5, allowed: 0 to 1"),
    (_changed(1, input_density=float("nan")), "field 'input_density' is nan, allowed: 0 to 1"),
    (_changed(1, after="table"), "field 'after' is 'table', allowed: a list of op names"),
    (_changed(1, after=["relu"]), "op fc: field 'after' has 'relu', allowed: names of earlier ops"),
    (_changed(1, name="table"), "two ops are named 'table'"),
    (_changed(2, columns=26), "dot: field 'columns' is 26, allowed when symmetric: 27"),
    (_changed(3, kind="gelu"), "relu: field 'kind' is 'gelu', allowed: add, copy, layernorm"),
])
def test_bad_files_are_refused_with_place_value_and_what_is_allowed(data: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Workload.from_json(data, "f.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    data = WORKLOAD.to_json()
    del data["ops"][0]["rows"]
    with pytest.raises(InputError, match=r"f\.json, op 0: field 'rows' is missing"):
        Workload.from_json(data, "f.json")


@pytest.mark.parametrize("after", ["ab", ["a", "b"]])
def test_after_is_a_tuple_of_names(after: object) -> None:
    ops = (*(MatVec(name, 2, 2) for name in "ab"), MatVec("c", 4, 1, after=after))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"op c: field 'after' is .*, allowed: a tuple of names of earlier ops"):
        Workload("w", ops)
