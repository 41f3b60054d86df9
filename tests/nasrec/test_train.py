"""The trainer: what it learns, that it resumes bit for bit, and how it stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rows_in_memory import FEATURES, Rows, first_order_rows
from torch import nn

from nasrec.arch import Arch, BlockChoice, Precision
from nasrec.arch_file import read_arch, write_arch
from nasrec.checkpoint import read_facts
from nasrec.data.prepare import prepare
from nasrec.data.synthetic import SyntheticLog
from nasrec.errors import InputError
from nasrec.metrics import log_loss
from nasrec.model.baselines import DLRM, LogisticRegression
from nasrec.model.optimizer import weights_of
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.space import FULL, Space
from nasrec.train import (
    TrainingDiverged,
    TrainLog,
    TrainOptions,
    predict,
    train_subnet,
    train_supernet,
)
from nasrec.train_options import PATH_WARMUPS
from nasrec.train_run import train_model

SPACE = Space("tiny", blocks=3, dense_widths=(8, 16), sparse_widths=(4, 6), weight_bits=(4, 8), input_bits=(4, 8))
ROWS, _ = first_order_rows(700)
VALIDATION, _ = first_order_rows(300, seed=1)


class Killed(Exception):
    """Stands for a kill -9: raised from the progress report, wherever training happens to be."""


def kill_after(rows: int):
    def report(done: int, total: int | None) -> None:
        if done >= rows:
            raise Killed

    return report


def supernet(seed: int = 0) -> Supernet:
    return Supernet(SPACE, FEATURES, generator=torch.Generator().manual_seed(seed))


def dlrm(seed: int = 0) -> DLRM:
    generator = torch.Generator().manual_seed(seed)
    return DLRM(FEATURES, bottom=(8,), top=(16,), precision=Precision(8, 8), generator=generator)


def assert_same_state(found: nn.Module, expected: nn.Module) -> None:
    other = expected.state_dict()
    assert set(found.state_dict()) == set(other)
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, other[name]), name


def test_supernet_resumes_bit_for_bit_after_kills(tmp_path: Path):
    options = TrainOptions(epochs=2, batch_size=64, seed=3)
    whole = supernet()
    log = train_supernet(whole, ROWS, options)
    path = tmp_path / "supernet.safetensors"
    for rows in (64, 320, 700, 704, 1300):
        with pytest.raises(Killed):
            start = supernet(9 if path.exists() else 0)  # other weights after a kill: all must come from the file
            train_supernet(start, ROWS, options, checkpoint=path, progress=kill_after(rows), save_every_s=0)
    resumed = supernet(9)
    assert train_supernet(resumed, ROWS, options, checkpoint=path, save_every_s=0) == log
    assert_same_state(resumed, whole)
    assert log.steps == 22
    assert log.rows == 1400


def test_subnet_resumes_bit_for_bit_and_keeps_the_best_epoch(tmp_path: Path):
    options = TrainOptions(epochs=6, batch_size=50, learning_rate=0.5, seed=1)
    whole = dlrm()
    log = train_subnet(whole, ROWS, VALIDATION, options)
    assert log.best_epoch < 6, "the test wants a training that overfits"
    assert min(score.log_loss for score in log.scores) == log.scores[log.best_epoch - 1].log_loss
    assert log_loss(predict(whole, VALIDATION), VALIDATION.labels) == log.scores[log.best_epoch - 1].log_loss
    path = tmp_path / "dlrm.safetensors"
    for rows in (50, 700, 1900, 4150):
        with pytest.raises(Killed):
            train_subnet(
                dlrm(9 if path.exists() else 0),
                ROWS,
                VALIDATION,
                options,
                checkpoint=path,
                progress=kill_after(rows),
                save_every_s=0,
            )
    resumed = dlrm(9)
    assert train_subnet(resumed, ROWS, VALIDATION, options, checkpoint=path, save_every_s=0) == log
    for name, tensor in resumed.state_dict().items():
        if "adagrad" not in name:
            assert torch.equal(tensor, whole.state_dict()[name]), name


def test_a_finished_training_is_only_loaded(tmp_path: Path):
    options = TrainOptions(epochs=2, batch_size=100)
    model, again = dlrm(), dlrm(5)
    log = train_subnet(model, ROWS, VALIDATION, options, checkpoint=tmp_path / "c")

    class Untouchable(Rows):
        def batches(self, *arguments, **options):
            raise AssertionError("a finished training reads no rows")

    untouchable = Untouchable(ROWS.dense, ROWS.ids, ROWS.labels)
    assert train_subnet(again, untouchable, VALIDATION, options, checkpoint=tmp_path / "c") == log
    assert_same_state(again, model)


def test_without_validation_the_last_epoch_counts():
    log = train_subnet(dlrm(), ROWS, None, TrainOptions(epochs=2, batch_size=100))
    assert log.scores == ()
    assert log.best_epoch == 2


def test_patience_stops_early():
    options = TrainOptions(epochs=40, batch_size=50, learning_rate=0.5, patience=2)
    log = train_subnet(dlrm(), ROWS, VALIDATION, options)
    assert len(log.scores) == log.best_epoch + 2 < 40
    assert log.rows == len(log.scores) * len(ROWS)


def test_stopping_after_the_best_epoch_gives_its_weights():
    """So a number of epochs found with validation rows can be used without: the learning rates are the same."""
    options = TrainOptions(epochs=40, batch_size=50, learning_rate=0.5, patience=2)
    early, again = dlrm(), dlrm()
    log = train_subnet(early, ROWS, VALIDATION, options)
    plain = train_subnet(again, ROWS, None, replace(options, patience=None, stop_after=log.best_epoch))
    assert plain.best_epoch == log.best_epoch and plain.rows == log.best_epoch * len(ROWS)
    for name, tensor in weights_of(early).items():
        assert torch.equal(tensor, weights_of(again)[name]), name
    assert TrainOptions(epochs=2, stop_after=5).last_epoch == 2
    with pytest.raises(InputError, match="stop_after is 0"):
        TrainOptions(stop_after=0)


def test_training_learns_a_first_order_truth():
    rows, _ = first_order_rows(20_000, seed=5)
    unseen, unseen_truth = first_order_rows(5_000, seed=6)
    model = LogisticRegression(FEATURES, generator=torch.Generator().manual_seed(0))
    before = log_loss(predict(model, unseen), unseen.labels)
    log = train_subnet(model, rows, unseen, TrainOptions(epochs=8, batch_size=200, learning_rate=0.2))
    best = log_loss(unseen_truth, unseen.labels)
    after = log_loss(predict(model, unseen), unseen.labels)
    assert before > best + 0.05
    assert after < best + 0.005
    assert log.losses[-1][1] < log.losses[0][1]
    weights = model.head.get_parameter("weight").detach().numpy()[0]
    np.testing.assert_allclose(weights, [1.0, -0.5, 0.0], atol=0.08)


class Noted(Rows):
    """Rows that note in which order they were read, a list for each pass."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows.dense, rows.ids, rows.labels)
        self.passes: list[list[float]] = []

    def batches(self, *arguments, **options):
        self.passes.append([])
        for batch in super().batches(*arguments, **options):
            self.passes[-1] += batch.dense[:, 0].tolist()
            yield batch


def test_every_epoch_reads_all_rows_in_an_order_of_its_own():
    rows = Noted(ROWS)
    train_subnet(dlrm(), rows, None, TrainOptions(epochs=2, batch_size=64))
    first, _, second, _ = rows.passes  # and after each the rows for calibration
    assert sorted(first) == sorted(second) == sorted(ROWS.dense[:, 0].tolist())
    assert first != second and ROWS.dense[:, 0].tolist() not in (first, second)


@pytest.mark.parametrize(("eps", "clip_norm"), [(1e-2, 5.0), (0.5, 5.0), (1e-2, 0.02), (0.5, 0.02)])
def test_a_step_is_that_of_torchs_adagrad(eps: float, clip_norm: float):
    """Logistic regression in plain torch, its sums of squares from zero; the gradient's norm is about 0.2."""
    model = LogisticRegression(FEATURES, generator=torch.Generator().manual_seed(0))
    dense, labels = torch.from_numpy(ROWS.dense), torch.from_numpy(ROWS.labels)
    weights = [tensor.detach().clone().requires_grad_() for tensor in (model.head.weight, model.head.bias)]
    tables = [torch.zeros(table.rows, requires_grad=True) for table in FEATURES.tables]
    logits = dense @ weights[0][0] + weights[1]
    for column, table in enumerate(tables):
        logits = logits + table[torch.from_numpy(ROWS.ids[:, column])]
    nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
    assert 0.1 < float(nn.utils.clip_grad_norm_([*weights, *tables], clip_norm)) < 0.5
    torch.optim.Adagrad([*weights, *tables], lr=0.3, eps=eps).step()
    options = TrainOptions(batch_size=len(ROWS), learning_rate=0.3, eps=eps, clip_norm=clip_norm)
    assert train_subnet(model, ROWS, None, options).steps == 1
    found = [model.head.weight, model.head.bias, *(table[:, 0] for table in model.embeddings.tables)]
    for ours, theirs in zip(found, [*weights, *tables], strict=True):
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=1e-4, atol=1e-6)


def test_a_logged_loss_is_the_mean_of_the_steps_since_the_one_before():
    """Of weights that hardly move, weighted by their steps, they give the log loss of all rows."""
    model = LogisticRegression(FEATURES, generator=torch.Generator().manual_seed(0))
    expected = log_loss(predict(model, ROWS), ROWS.labels)
    log = train_subnet(model, ROWS, None, TrainOptions(batch_size=2, learning_rate=1e-12))
    steps = np.diff([0, *(step for step, _ in log.losses)])
    assert log.steps == 350 and set(steps[:-1]) == {4} and steps.sum() == 350
    assert np.average([loss for _, loss in log.losses], weights=steps) == pytest.approx(expected, rel=1e-5)


def test_calibration_is_part_of_training(monkeypatch: pytest.MonkeyPatch):
    """The ranges are those of all rows, or of as many as calibration takes; the first layer reads the dense inputs."""
    model, options = dlrm(), TrainOptions(epochs=1, batch_size=100)
    train_subnet(model, ROWS, VALIDATION, options)
    assert float(model.head.input_low) <= float(model.head.input_high) < float("inf")
    low, high = float(model.bottom[0].input_low), float(model.bottom[0].input_high)
    assert (low, high) == (float(ROWS.dense.min()), float(ROWS.dense.max()))
    rows = Noted(ROWS)
    monkeypatch.setattr("nasrec.train.CALIBRATION_ROWS", 50)
    train_subnet(model, rows, VALIDATION, options)
    assert [len(one) for one in rows.passes] == [700, 50]
    assert low < float(model.bottom[0].input_low) < float(model.bottom[0].input_high) < high


def test_divergence_says_where_and_keeps_the_last_good_state(tmp_path: Path):
    poisoned = Rows(ROWS.dense.copy(), ROWS.ids, ROWS.labels)
    options = TrainOptions(epochs=1, batch_size=50, learning_rate=0.25)
    path = tmp_path / "c.safetensors"
    with pytest.raises(Killed):
        train_subnet(dlrm(), ROWS, None, options, checkpoint=path, progress=kill_after(300), save_every_s=0)
    good = path.read_bytes()
    poisoned.dense[:] = np.nan
    with pytest.raises(
        TrainingDiverged, match=r"step 5 of 14: loss is nan at learning rate 0\.\d+ \(peak 0\.25\)"
    ) as error:
        train_subnet(dlrm(), poisoned, None, options, checkpoint=path, save_every_s=0)
    assert "c.safetensors" in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == good


def test_a_gradient_beyond_all_numbers_leaves_the_weights_alone(tmp_path: Path):
    """A loss of 1e25 is a number, the square of its gradient is none in float32."""
    rows = Rows(ROWS.dense.copy(), ROWS.ids, np.ones_like(ROWS.labels))
    rows.dense[:, 0] = -1e25
    model = LogisticRegression(FEATURES)
    model.head.weight.data.fill_(1.0)
    before = {name: tensor.clone() for name, tensor in weights_of(model).items()}
    with pytest.raises(TrainingDiverged, match="step 0 of 14: gradient norm is inf at learning rate"):
        train_subnet(model, rows, None, TrainOptions(batch_size=50), checkpoint=tmp_path / "c", save_every_s=0)
    for name, tensor in weights_of(model).items():
        assert torch.equal(tensor, before[name]), name
    assert read_facts(tmp_path / "c")["step"] == 0


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path):
    path = tmp_path / "c"
    options = TrainOptions(batch_size=100)
    train_subnet(dlrm(), ROWS, None, options, checkpoint=path)
    with pytest.raises(InputError, match="with batch_size 100, this one has 50"):
        train_subnet(dlrm(), ROWS, None, TrainOptions(batch_size=50), checkpoint=path)
    with pytest.raises(InputError, match="rows 700, this one has 300"):
        train_subnet(dlrm(), VALIDATION, None, options, checkpoint=path)
    with pytest.raises(InputError, match="does not fit the model"):
        train_subnet(LogisticRegression(FEATURES), ROWS, None, options, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="damaged"):
        train_subnet(dlrm(), ROWS, None, options, checkpoint=path)


def test_no_rows_is_an_error():
    with pytest.raises(InputError, match="0 rows"):
        train_subnet(dlrm(), ROWS.take(np.arange(0)), None, TrainOptions())


def test_a_step_of_the_warm_up_trains():
    for kind in PATH_WARMUPS:
        options = TrainOptions(batch_size=100, full_path_steps=4, path_warmup=kind, sampling="any-path")
        assert train_supernet(supernet(), ROWS, options).steps == 7


def test_sampling_belongs_to_a_checkpoint(tmp_path: Path):
    options = TrainOptions(batch_size=100)
    train_supernet(supernet(), ROWS, options, checkpoint=tmp_path / "c")
    for other in (replace(options, sampling="single-path"), replace(options, path_warmup="per-block")):
        with pytest.raises(InputError, match=r"from a training with (sampling|path_warmup)"):
            train_supernet(supernet(), ROWS, other, checkpoint=tmp_path / "c")


def test_predict_keeps_order_and_mode():
    subnet = Subnet(SPACE.sample(np.random.default_rng(2)), FEATURES, generator=torch.Generator().manual_seed(0))
    subnet.calibrate(torch.from_numpy(ROWS.dense), torch.from_numpy(ROWS.ids))
    subnet.train()
    small, large = predict(subnet, ROWS, 33), predict(subnet, ROWS, 1000)
    assert small.dtype == np.float32
    assert small.shape == (700,)
    assert subnet.training
    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-5)


def test_devices_that_are_not_there():
    with pytest.raises(InputError, match="allowed are auto"):
        predict(dlrm(), ROWS, device="gpu?")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no usable CUDA"):
            predict(dlrm(), ROWS, device="cuda")


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch_size", 0), ("learning_rate", 0.0), ("learning_rate", float("inf")), ("warmup", 1.5)],
)
def test_options_are_checked(name: str, value: float):
    with pytest.raises(InputError, match=name):
        TrainOptions(**{name: value})


def test_options_round_trip():
    options = TrainOptions(epochs=3, learning_rate=0.2, patience=2)
    assert TrainOptions.from_json(options.to_json()) == options
    with pytest.raises(InputError, match="unknown field 'speed'"):
        TrainOptions.from_json({**options.to_json(), "speed": 1})
    with pytest.raises(InputError, match="'seed' is missing"):
        TrainOptions.from_json({key: value for key, value in options.to_json().items() if key != "seed"})
    with pytest.raises(InputError, match=r"here\.epochs is '3': expected a whole number"):
        TrainOptions.from_json({**options.to_json(), "epochs": "3"}, "here")


def test_log_is_plain():
    log = TrainLog(2, 3, ((1, 0.5),), (), 1)
    assert log.to_json() == {"steps": 2, "rows": 3, "losses": ((1, 0.5),), "scores": (), "best_epoch": 1}


def test_the_checkpoint_of_another_architecture_is_refused_though_its_shapes_agree(tmp_path: Path):
    """Left and right of a gating exchanged: the same tensors, another network."""
    data = prepare(SyntheticLog(400, 0), tmp_path / "data", seed=0)
    block = BlockChoice(("gating",), ("efc",), (0,), (0,), 1, 2, 16, 16, dsi=False, fm=False)
    fc = replace(block, dense_ops=("fc",), left=0, right=0)
    for name, last in (("a", block), ("b", replace(block, left=2, right=1))):
        write_arch(tmp_path / f"{name}.json", Arch((fc, fc, last)), data.features)
    trained = train_model(str(tmp_path / "a.json"), data, tmp_path / "out", TrainOptions(), space=FULL)
    with pytest.raises(InputError, match=r"from a training with model 'Subnet [0-9a-f]{16}', this one has 'Subnet"):
        train_model(str(tmp_path / "b.json"), data, tmp_path / "out", TrainOptions(), space=FULL)
    assert read_arch(tmp_path / "out" / "arch.json").arch == Arch((fc, fc, block))
    assert train_model(str(tmp_path / "a.json"), data, tmp_path / "out", TrainOptions(), space=FULL) == trained
