"""Two processes train as one: the same losses, the same weights, the same file to go on from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import train_together as job
from safetensors.torch import load_file

from nasrec.checkpoint import load_encoder
from nasrec.cli_train import refuse_team
from nasrec.data.dataset import share_of
from nasrec.data.encoder import EncodingOptions
from nasrec.data.features import Features, Table
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.distributed import BUCKET_BYTES, Team, _buckets, joined_team, team
from nasrec.errors import InputError
from nasrec.files import read_json, write_json
from nasrec.metrics import auc, log_loss
from nasrec.model.embedding import EmbeddingTables
from nasrec.predict import predict
from nasrec.score_run import score_run
from nasrec.space import SPACES
from nasrec.train_run import builder, read_model, train_model

HERE = Path(__file__).parent
HASHED = EncodingOptions("hash", max_rows=100)


def launch(*arguments: object, succeed: bool = True) -> subprocess.CompletedProcess[str]:
    """Let torchrun start two processes, and wait until both have succeeded, or failed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "COLUMNS": "200"}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert (done.returncode == 0) == succeed, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes found, and the training of one alone that they went on with."""
    place = tmp_path_factory.mktemp("together")
    (place / "alone").mkdir()
    job.of_subnet(job.dlrm(), place / "kept" / "c.safetensors", place / "half")
    (place / "alone").rmdir()
    (place / "half").rename(place / "alone")
    launch(HERE / "train_together.py", place)
    return place


def found(folder: Path, rank: int = 0) -> Any:
    return json.loads((folder / f"found-{rank}.json").read_text())


def assert_same_curve(log: Any, expected: Any) -> None:
    assert [step for step, _ in log["losses"]] == [step for step, _ in expected.losses]
    np.testing.assert_allclose([loss for _, loss in log["losses"]], [loss for _, loss in expected.losses], rtol=1e-6)
    assert log["best_epoch"] == expected.best_epoch
    losses = [score.log_loss for score in expected.scores]
    np.testing.assert_allclose([score["log_loss"] for score in log["scores"]], losses, rtol=1e-6)


def assert_close_state(file: Path, model: torch.nn.Module, tolerance: float) -> None:
    state = load_file(file)
    assert set(state) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.allclose(state[name], tensor, rtol=tolerance, atol=tolerance), name


def test_a_supernet_trained_by_two_is_that_of_one(folder: Path) -> None:
    alone = job.supernet()
    assert_same_curve(found(folder)["supernet"], job.of_supernet(alone))
    assert_close_state(folder / "supernet-0.safetensors", alone, 2e-5)


def test_a_quantised_subnet_trained_by_two_is_that_of_one(folder: Path, tmp_path: Path) -> None:
    alone = job.dlrm()
    log = job.of_subnet(alone, tmp_path / "c")
    assert log.best_epoch < 6, "the test wants a best epoch that has to be given back"
    assert_same_curve(found(folder)["subnet"], log)
    state = {name: value for name, value in load_file(folder / "subnet-0.safetensors").items() if "adagrad" not in name}
    for name, tensor in state.items():
        assert torch.allclose(tensor, alone.state_dict()[name], rtol=1e-9, atol=1e-9), name
    np.testing.assert_allclose(found(folder)["logits"], predict(alone, job.VALIDATION, 100), rtol=1e-6)


def test_every_process_ends_with_the_same_bits(folder: Path) -> None:
    assert found(folder, 0) == found(folder, 1)
    for name in ("supernet", "subnet", "resumed"):
        mine, other = (load_file(folder / f"{name}-{rank}.safetensors") for rank in (0, 1))
        assert all(torch.equal(mine[tensor], other[tensor]) for tensor in mine), name


def test_two_go_on_where_one_stopped_and_one_where_two_did(folder: Path) -> None:
    whole = found(folder)["subnet"]
    np.testing.assert_allclose(found(folder)["resumed"]["losses"], whole["losses"], rtol=1e-6)
    assert found(folder)["resumed"]["best_epoch"] == whole["best_epoch"]
    names = {file.name for file in (folder / "middle").iterdir()}
    assert len(names) == 2, "a checkpoint and the weights of the best epoch"
    log = job.of_subnet(job.dlrm(5), folder / "middle" / "c.safetensors")
    assert_same_curve(whole, log)
    assert [file.name for file in (folder / "middle").iterdir()] == ["c.safetensors"]
    assert [file.name for file in (folder / "together").iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_cover_a_batch_in_order(count: int) -> None:
    for rows in (0, 1, 2, 13):
        parts = [np.arange(rows)[share_of(rows, (number, count))] for number in range(count)]
        assert np.concatenate(parts).tolist() == list(range(rows))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_buckets_hold_one_type_and_so_many_bytes() -> None:
    small, large = torch.zeros(1000), torch.zeros(BUCKET_BYTES // 4 + 1)
    double = torch.zeros(3, dtype=torch.float64)
    tensors = [small, small, large, small, double, double]
    found = list(_buckets(tensors))
    assert [len(bucket) for bucket in found] == [2, 1, 1, 2]
    assert [id(tensor) for bucket in found for tensor in bucket] == [id(tensor) for tensor in tensors]
    assert list(_buckets([])) == []


def test_alone_nothing_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_team() as alone:
        assert alone == team() == Team(0, 1)
    x = torch.ones(3)
    assert alone.gather(x)[0] is x
    assert alone.sum(0.5) == 0.5
    alone.add_up([x])
    alone.copy_from_leader([x])
    assert torch.equal(x, torch.ones(3))
    assert alone.told(lambda: "x") == "x"


def test_parts_of_a_batch_change_tables_as_the_whole_does() -> None:
    def tables() -> EmbeddingTables:
        return EmbeddingTables((5, 3), 4, generator=torch.Generator().manual_seed(0))

    ids, grad = torch.tensor([[0, 1], [4, 1], [0, 2], [3, 0]]), torch.randn(4, 2, 4)
    whole, cut = tables(), tables()
    whole.keep(ids, None, grad)
    cut.keep(ids[:3], None, grad[:3])
    parts = iter([grad[3:], ids[3:]])
    cut.exchange(lambda mine: [mine, next(parts)])
    assert cut.grad_sq_norm() == whole.grad_sq_norm()
    for model in (whole, cut):
        model.adagrad_step(lr=0.1, eps=0.01)
    assert all(torch.equal(a, b) for a, b in zip(whole.tables, cut.tables, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_process_without_a_gpu_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MASTER_ADDR", "localhost"), ("WORLD_SIZE", "99"), ("RANK", "98"), ("LOCAL_RANK", "98")):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="has no GPU"), joined_team():
        pass


def evaluate_again(folder: Path, rows: Prepared) -> dict[str, Any]:
    """The test figures of a training, by what its folder alone holds; and the same of its raw log by nasrec score."""
    name, model, encoder = read_model(folder)
    (scored,) = score_run(folder, "synthetic:rows=1500")
    again = prepare(open_source("synthetic:rows=1500"), folder.parent / "again", seed=0, encoder=encoder)
    labels, logits = again.split("all").labels, predict(model, again.split("all"))
    assert scored == {"winner": name, "rows": 1500, "log_loss": log_loss(logits, labels), "auc": auc(logits, labels)}
    test = rows.split("test")
    logits = predict(model, test)
    return {"rows": len(test), "log_loss": log_loss(logits, test.labels), "auc": auc(logits, test.labels)}


def test_the_command_trains_alike_alone_and_with_two(tmp_path: Path) -> None:
    rows = prepare(open_source("synthetic:rows=1500"), tmp_path / "data", seed=0)
    options = ["--data", tmp_path / "data", "--epochs", 2, "--learning-rate", 0.05, "--seed", 1, "--row-wise"]
    options += ["--embedding-std", 0.001]
    done = launch("-m", "nasrec", "train", "dlrm", *options, "--out", tmp_path / "two")
    assert re.search(r"two: test log loss 0\.\d{5}, AUC 0\.\d{5}\n", done.stdout)
    assert done.stderr.count("dlrm: training: 2,400 rows in ") == 1, "the first process alone says so"
    expected = train_model(
        "dlrm", rows, tmp_path / "one", job.TrainOptions(epochs=2, learning_rate=0.05, seed=1), space=SPACES["full"],
        embedding_std=0.001, row_wise=True,
    )  # fmt: skip
    found = read_json(tmp_path / "two" / "training.json", format="nasrec.training")
    assert (found["processes"], expected["processes"]) == (2, 1)
    assert found["embedding_std"] == 0.001
    np.testing.assert_allclose(found["log"]["losses"], expected["log"]["losses"], rtol=1e-6)
    assert found["test"]["log_loss"] == pytest.approx(expected["test"]["log_loss"], rel=1e-6)
    assert load_encoder(tmp_path / "two" / "weights.safetensors").digest() == rows.encoder.digest()
    refused = launch(
        "-m", "nasrec", "train", "dlrm", *options, "--batch-size", 9, "--out", tmp_path / "two", succeed=False
    )
    for process in (0, 1):
        line = rf"nasrec \(process {process}\): .*from a training with batch_size 512, this one has 9\n"
        assert re.search(line, refused.stderr), refused.stderr
    assert found["test"] == pytest.approx(evaluate_again(tmp_path / "two", rows))
    names = sorted(file.name for file in (tmp_path / "two").iterdir())
    assert names == ["checkpoint.safetensors", "training.json", "vocabulary", "weights.safetensors"]


def test_other_commands_refuse_to_be_several(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_team("codesign")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuse_team("train")
    with pytest.raises(InputError, match="nasrec codesign runs in one process"):
        refuse_team("codesign")


def test_what_can_be_trained(tmp_path: Path) -> None:
    features = job.FEATURES
    assert builder("supernet", features, job.SPACE, 0)().features == features
    arch = job.SPACE.sample(np.random.default_rng(0))
    write_json(tmp_path / "arch.json", {"format": "nasrec.arch", "version": 1, **arch.to_json(),
                                        "features": features.to_json()})  # fmt: skip
    more = Features(features.dense, (*features.tables[:-1], Table("other", 99)))
    built = builder(str(tmp_path / "arch.json"), more, job.SPACE, 0)()
    assert built.arch == arch and built.features == more
    with pytest.raises(InputError, match=r"arch\.json: for 3 dense inputs and 3 tables, the data have .* 2 tables"):
        builder(str(tmp_path / "arch.json"), Features(3, features.tables[:2]), job.SPACE, 0)
    with pytest.raises(InputError, match=r"model 'dlmr': allowed are supernet, logistic_regression, dlrm, deepfm and"):
        builder("dlmr", features, job.SPACE, 0)
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        builder(str(tmp_path / "none.json"), features, job.SPACE, 0)


@pytest.mark.parametrize("name", ["supernet", "dlrm"])
def test_tables_start_near_zero_if_wanted(name: str) -> None:
    features = Features(3, (Table("large", 20_000), Table("small", 50)))
    near, xavier = (builder(name, features, job.SPACE, 0, std)() for std in (1e-4, None))
    deviation = np.sqrt(2 / (20_000 + xavier.embeddings.dim))  # Glorot and Bengio 2010, gain 1
    assert float(near.embeddings.tables[0].std()) == pytest.approx(1e-4, rel=0.05)
    assert float(xavier.embeddings.tables[0].std()) == pytest.approx(deviation, rel=0.05)
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"embedding_std is .*: allowed are positive numbers"):
            builder(name, features, job.SPACE, 0, wrong)


def test_a_training_goes_on_only_as_it_started(tmp_path: Path) -> None:
    rows = prepare(open_source("synthetic:rows=500"), tmp_path / "data", seed=0)
    options, space = job.TrainOptions(), SPACES["full"]
    first = train_model("deepfm", rows, tmp_path / "out", options, space=space, embedding_std=0.001)
    assert first["embedding_std"] == 0.001
    assert train_model("deepfm", rows, tmp_path / "out", options, space=space, embedding_std=0.001) == first
    with pytest.raises(InputError, match=r"from a training with embedding_std 0\.001, this one has None"):
        train_model("deepfm", rows, tmp_path / "out", options, space=space)


def test_a_training_needs_rows_of_each_kind(tmp_path: Path) -> None:
    """Of a folder that has none, before anything is trained or written; a supernet is trained on train alone."""
    log, options = open_source("synthetic:rows=100"), job.TrainOptions()
    for name, shares in (("test", (1, 1, 0)), ("validation", (1, 0, 1))):
        rows = prepare(log, tmp_path / name, seed=0, shares=shares, options=HASHED)
        with pytest.raises(InputError, match=rf"{name}: no row is for {name}: expected rows for train, validation, te"):
            train_model("logistic_regression", rows, tmp_path / "out", options, space=SPACES["full"])
    to_score = prepare(log, tmp_path / "train", seed=0, encoder=rows.encoder)
    with pytest.raises(InputError, match=r"train: no row is for train: expected rows for train$"):
        train_model("supernet", to_score, tmp_path / "out", options, space=SPACES["full"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test", "train", "validation"]


def test_a_finished_training_is_not_taken_for_that_of_another_split(tmp_path: Path) -> None:
    """The encoders of hashed categories are alike; the test rows of one split are training rows of the other."""
    space = SPACES["full"]
    first, other = (
        prepare(open_source("synthetic:rows=500"), tmp_path / f"data{seed}", seed=seed, options=HASHED)
        for seed in (0, 1)
    )
    train_model("deepfm", first, tmp_path / "out", job.TrainOptions(), space=space)
    result = (tmp_path / "out" / "training.json").read_bytes()
    with pytest.raises(InputError, match=rf"from a training with data of digest '{first.digest}', this one has"):
        train_model("deepfm", other, tmp_path / "out", job.TrainOptions(), space=space)
    assert (tmp_path / "out" / "training.json").read_bytes() == result


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_trains_as_the_cpu_does() -> None:
    here, there = job.supernet(), job.supernet()
    expected = job.train_supernet(here, job.BagRows(job.TRAIN), job.SUPERNET, device="cpu")
    log = job.train_supernet(there, job.BagRows(job.TRAIN), job.SUPERNET, device="cuda")
    assert all(tensor.is_cuda for tensor in there.state_dict().values())
    np.testing.assert_allclose([loss for _, loss in log.losses], [loss for _, loss in expected.losses], rtol=1e-3)
