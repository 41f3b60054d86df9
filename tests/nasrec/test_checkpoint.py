"""Checkpoints round-trip bit for bit, and say what is wrong with a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nasrec.checkpoint import (
    SaveClock,
    load_checkpoint,
    read_facts,
    restore,
    restore_file,
    save_checkpoint,
    save_weights,
)
from nasrec.errors import InputError
from nasrec.model.linear import QuantLinear
from nasrec.model.optimizer import load_weights


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1 / 3])}, {"loss": 0.1 + 0.2})
    return path


def test_round_trip(saved: Path):
    found = load_checkpoint(saved)
    assert torch.equal(found.tensors["a"], torch.arange(6.0).reshape(2, 3))
    assert torch.equal(found.tensors["b"], torch.tensor([1 / 3]))
    assert found.facts == {"loss": 0.1 + 0.2}
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_file_is_named(saved: Path, keep: int):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"state\.safetensors: damaged") as error:
        load_checkpoint(saved)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path / "none")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "plain")
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "plain")


def test_a_newer_version_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nasrec.checkpoint.VERSION", 0)
    with pytest.raises(InputError, match="'version' is 1, this release reads 0"):
        load_checkpoint(saved)


def test_a_failed_write_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch):
    before = saved.read_bytes()

    def full(*arguments: object, **options: object) -> None:
        Path(str(arguments[1])).write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nasrec.checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, {"a": torch.zeros(3)}, {})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(saved, {}, {"loss": float("nan")})
    assert saved.read_bytes() == before


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": torch.zeros(2)}, "'b' is missing"),
        ({"a": torch.zeros(2), "b": torch.zeros(3)}, r"'b' is float32 \[3\], expected float32 \[4\]"),
        ({"a": torch.zeros(2, dtype=torch.float64), "b": torch.zeros(4)}, "'a' is float64"),
        ({"a": torch.zeros(2), "b": torch.zeros(4), "c": torch.zeros(1)}, "unknown tensor 'c'"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_copied(tensors: dict[str, torch.Tensor], message: str):
    target = {"a": torch.ones(2), "b": torch.ones(4)}
    with pytest.raises(InputError, match=f"file: does not fit the model: .*{message}"):
        restore(target, tensors, "file")
    assert torch.equal(target["a"], torch.ones(2))


@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
def test_a_file_is_restored_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int):
    monkeypatch.setattr("nasrec.checkpoint.CHUNK_BYTES", chunk)
    tensors = {
        "model.table": torch.randn(7, 5),
        "model.double": torch.randn(3, dtype=torch.float64),
        "model.half": torch.randn(4, 2).bfloat16(),
        "model.none": torch.zeros(0, 4),
        "model.scalar": torch.tensor(3),
    }
    save_checkpoint(tmp_path / "file", {**tensors, "other": torch.zeros(9)}, {"step": 1})
    target = {name.removeprefix("model."): torch.zeros_like(tensor) for name, tensor in tensors.items()}
    restore_file(tmp_path / "file", target, "model.")
    assert all(torch.equal(target[name.removeprefix("model.")], tensor) for name, tensor in tensors.items())
    with pytest.raises(InputError, match=r"file: does not fit the model: tensor 'other' is missing"):
        restore_file(tmp_path / "file", {**target, "other": torch.zeros(9)}, "model.")
    with pytest.raises(InputError, match=r"'double' is float64 \[3\], expected float32 \[3\]"):
        restore_file(tmp_path / "file", {**target, "double": torch.zeros(3)}, "model.")
    with pytest.raises(InputError, match=r"unknown tensor 'model\.double'"):
        restore_file(tmp_path / "file", {"other": torch.zeros(9)})
    assert read_facts(tmp_path / "file") == {"step": 1}


def test_weights_leave_the_optimiser_out(tmp_path: Path):
    layer, other = QuantLinear(3, 2), QuantLinear(3, 2)
    layer.get_buffer("adagrad_weight").fill_(7.0)
    save_weights(tmp_path / "weights", layer)
    assert not any("adagrad" in name for name in load_checkpoint(tmp_path / "weights").tensors)
    load_weights(other, load_checkpoint(tmp_path / "weights").tensors)
    assert torch.equal(layer.get_parameter("weight"), other.get_parameter("weight"))
    assert not other.get_buffer("adagrad_weight").any()
    with pytest.raises(InputError, match="do not fit"):
        load_weights(QuantLinear(4, 2), load_checkpoint(tmp_path / "weights").tensors)


def test_the_clock_saves_rarely_when_saving_is_slow():
    assert SaveClock(0).due()
    clock = SaveClock(3600)
    assert not clock.due()
    quick = SaveClock(1e-9)
    assert quick.due()
    quick.saved(started=-1e9)  # a save that took very long
    assert not quick.due()


def test_saving_takes_a_twentieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch):
    """A save of 3 s that ended at 103 s: the next one is due 60 s later, though every second was asked for."""
    now = [0.0]
    monkeypatch.setattr("nasrec.checkpoint.time.monotonic", lambda: now[0])
    clock = SaveClock(1.0)

    def due_at(seconds: float) -> bool:
        now[0] = seconds
        return clock.due()

    assert not due_at(0.9) and due_at(1.1)
    now[0] = 103.0
    clock.saved(started=100.0)
    assert not due_at(103.5) and not due_at(162.5) and due_at(163.5)
    now[0] = 200.0
    clock.saved(started=199.99)  # 0.01 s: every second again
    assert not due_at(200.9) and due_at(201.1)
