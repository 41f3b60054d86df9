"""Hand-made models as the libraries for them have them, behind our inputs: FuxiCTR, DeepCTR-Torch, torch-rechub.

The last two are on PyPI. FuxiCTR's models are in its repository only (github.com/reczoo/FuxiCTR, here version 2.3.10,
commit 0245987): `FUXICTR` in the environment is the folder that holds its packages `fuxictr` and `model_zoo`.

Sizes are the same for all: embeddings of 16 numbers, hidden layers of 256, 128 and 64. What else a model has is the
library's default: 3 full cross layers beside the hidden ones (DCNv2), 3 compressed
interactions of 16 maps (xDeepFM), 3 attention layers of 2 heads and 32 numbers (AutoInt+), two gated towers and 2 heads
(FinalMLP). Weights start as the library lets them. No dropout, no penalty on weights, and no batch normalisation but in
torch-rechub, which always has it.

Rows of a bag are averaged, as ours are; the first-order weights of a bag are added up in FuxiCTR, averaged elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import peers, process
from nasrec.data.features import Features

DIM = 16
HIDDEN = [256, 128, 64]
LONGEST_BAG = 16  # what DeepCTR-Torch, whose inputs are one matrix, pads bags to
FUXICTR_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic_regression": ("LR", {}),
    "fm": ("FM", {"embedding_dim": DIM}),
    "deepfm": ("DeepFM.DeepFM_torch", {"embedding_dim": DIM, "hidden_units": HIDDEN}),
    "dcnv2": ("DCNv2", {"embedding_dim": DIM, "parallel_dnn_hidden_units": HIDDEN}),
    "xdeepfm": ("xDeepFM", {"embedding_dim": DIM, "dnn_hidden_units": HIDDEN}),
    "autoint+": (
        "AutoInt",
        {"embedding_dim": DIM, "dnn_hidden_units": HIDDEN, "attention_layers": 3, "num_heads": 2, "attention_dim": 32},
    ),
    "dlrm": ("DLRM", {"embedding_dim": DIM, "top_mlp_units": HIDDEN, "bottom_mlp_units": [64]}),
    "finalmlp": (
        "FinalMLP",
        {"embedding_dim": DIM, "mlp1_hidden_units": HIDDEN, "mlp2_hidden_units": HIDDEN, "num_heads": 2},
    ),
}


def fuxictr_folder() -> Path | None:
    """The checkout named by `FUXICTR`, None where there is none."""
    folder = Path(os.environ.get("FUXICTR", "") or "/nowhere")
    return folder if (folder / "fuxictr").is_dir() and (folder / "model_zoo").is_dir() else None


def versions() -> dict[str, str]:
    """Of the three libraries; "absent" where there is none."""
    folder = fuxictr_folder()
    found = process.versions_of("deepctr-torch", "torch-rechub")
    if folder is None:
        return {"fuxictr": "absent", **found}
    said = (folder / "fuxictr" / "version.py").read_text(encoding="utf-8")
    return {"fuxictr": said.partition("=")[2].strip().strip("\"'"), **found}


class Peer(nn.Module):
    """A library's model; `inputs(dense, columns)` is what it takes, `logits` turns its result into [B]."""

    def __init__(
        self,
        features: Features,
        network: nn.Module,
        inputs: Callable[[Tensor, list[Tensor]], Any],
        logits: Callable[[Any], Tensor],
    ) -> None:
        """Keep all four."""
        super().__init__()
        self.features, self.network, self.inputs, self.logits = features, network, inputs, logits

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B] of dense [B, nd] and ids [B, T], or of flat ids with `offsets` [T * B + 1]."""
        return self.logits(self.network(self.inputs(dense, columns(self.features, ids, offsets))))


def columns(features: Features, ids: Tensor, offsets: Tensor | None) -> list[Tensor]:
    """For each table its ids [B], or for a multi-hot one its ids + 1 [B, longest bag], filled up with 0."""
    if offsets is None:
        return [
            ids[:, place, None] + 1 if table.multi_hot else ids[:, place] for place, table in enumerate(features.tables)
        ]
    batch = (len(offsets) - 1) // len(features.tables)
    found = []
    for place, table in enumerate(features.tables):
        bounds = offsets[place * batch : (place + 1) * batch + 1]
        if not table.multi_hot:
            found.append(ids[int(bounds[0]) : int(bounds[-1])])
            continue
        lengths = bounds.diff()
        steps = torch.arange(max(1, int(lengths.max())))
        taken = (bounds[:-1, None] + steps).clamp_(max=len(ids) - 1)
        found.append(torch.where(steps < lengths[:, None], ids[taken] + 1, 0))
    return found


def fuxictr(name: str, features: Features, seed: int) -> Peer | str:
    """A model of FuxiCTR's zoo; the reason where it cannot be had."""
    folder = fuxictr_folder()
    if folder is None:
        return "FUXICTR names no checkout of FuxiCTR"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    place, sizes = FUXICTR_MODELS[name]
    modules = _modules(f"model_zoo.{place}.src", "fuxictr.features")
    if isinstance(modules, str):
        return modules
    spec = modules[1].FeatureMap("rows", "")
    numbers = [f"dense{index}" for index in range(features.dense)]
    spec.features.update({number: {"type": "numeric", "source": ""} for number in numbers})
    for table in features.tables:
        spec.features[table.name] = {"type": "categorical", "source": "", "vocab_size": table.rows}
        if table.multi_hot:
            spec.features[table.name] = {
                "type": "sequence", "source": "", "vocab_size": table.rows + 1, "padding_idx": 0,
                "feature_encoder": "layers.MaskedAveragePooling()",
            }  # fmt: skip
    spec.num_fields, spec.default_emb_dim = spec.get_num_fields(), DIM
    rest = {"verbose": 0, "model_root": "", "metrics": [], "optimizer": "adam", "loss": "binary_crossentropy"}
    with _seeded(seed):  # the task "regression" leaves out the sigmoid
        network = getattr(modules[0], place.split(".")[0])(spec, gpu=-1, task="regression", **rest, **sizes)
    names = [*numbers, *(table.name for table in features.tables)]

    def inputs(dense: Tensor, ids: list[Tensor]) -> dict[str, Tensor]:
        return dict(zip(names, [*dense.unsqueeze(2).unbind(1), *ids], strict=True))

    return Peer(features, network, inputs, lambda found: found["y_pred"].squeeze(1))


def deepctr(name: str, features: Features, seed: int) -> Peer | str:
    """A model of DeepCTR-Torch; the reason where it cannot be had."""
    sizes: dict[str, tuple[str, dict[str, Any]]] = {
        "deepfm": ("DeepFM", {}),
        "dcnv2": ("DCN", {"cross_num": 3, "cross_parameterization": "matrix"}),
        "xdeepfm": ("xDeepFM", {"cin_layer_size": (16, 16, 16)}),
        "autoint+": ("AutoInt", {}),
    }
    silent = ModuleType("deepctr_torch.utils")  # the library's own would ask PyPI for newer versions of itself
    silent.check_version = lambda version: None  # type: ignore[attr-defined]
    sys.modules.setdefault(silent.__name__, silent)
    modules = _modules("deepctr_torch.models", "deepctr_torch.inputs")
    if isinstance(modules, str):
        return modules
    if name not in sizes:
        return f"DeepCTR-Torch has no {name}"
    models, parts = modules
    fields = [parts.DenseFeat(f"dense{index}", 1) for index in range(features.dense)]
    for table in features.tables:
        one = parts.SparseFeat(table.name, table.rows + int(table.multi_hot), embedding_dim=DIM)
        fields.append(parts.VarLenSparseFeat(one, LONGEST_BAG, "mean") if table.multi_hot else one)
    kind, more = sizes[name]
    with _seeded(seed):
        network = getattr(models, kind)(fields, fields, dnn_hidden_units=HIDDEN, task="regression", seed=seed, **more)

    def inputs(dense: Tensor, ids: list[Tensor]) -> Tensor:
        """One float32 matrix, as the library wants it; whole numbers up to 2^24 fit."""
        return torch.cat([dense, *(_matrix(column).float() for column in ids)], dim=1)

    return Peer(features, network, inputs, lambda found: found.squeeze(1))


def rechub(name: str, features: Features, seed: int) -> Peer | str:
    """A model of torch-rechub; the reason where it cannot be had. Its results are probabilities: logits lose digits."""
    modules = _modules("torch_rechub.basic.features", "torch_rechub.models.ranking")
    if isinstance(modules, str):
        return modules
    layers, ranking = modules
    hidden = {"dims": HIDDEN}
    dense = [layers.DenseFeature(f"dense{index}") for index in range(features.dense)]
    sparse = [
        layers.SequenceFeature(table.name, table.rows + 1, DIM, pooling="mean", padding_idx=0)
        if table.multi_hot
        else layers.SparseFeature(table.name, table.rows, DIM)
        for table in features.tables
    ]
    with _seeded(seed):
        if name == "deepfm":
            network = ranking.DeepFM([*sparse, *dense], sparse, hidden)
        elif name == "dcnv2":
            network = ranking.DCNv2([*sparse, *dense], 3, hidden, use_low_rank_mixture=False)
        elif name == "autoint+":
            network = ranking.AutoInt(sparse, dense, num_layers=3, num_heads=2, mlp_params=hidden)
        else:
            return f"torch-rechub has no {name}"
    names = [feature.name for feature in [*dense, *sparse]]

    def inputs(numbers: Tensor, ids: list[Tensor]) -> dict[str, Tensor]:
        return dict(zip(names, [*numbers.unbind(1), *ids], strict=True))

    return Peer(features, network, inputs, torch.logit)


LIBRARIES: dict[str, Callable[[str, Features, int], Peer | str]] = {
    "fuxictr": fuxictr,
    "deepctr-torch": deepctr,
    "torch-rechub": rechub,
}


def _modules(*names: str) -> list[Any] | str:
    """Modules of the peers; the reason where one of them cannot be imported."""
    found = [peers.module(name) for name in names]
    return next((reason for reason in found if isinstance(reason, str)), found)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The libraries draw weights from torch's global generator: it is as before afterwards."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        yield


def _matrix(ids: Tensor) -> Tensor:
    """[B] as one column, a bag filled up with zeros to `LONGEST_BAG` columns."""
    if ids.dim() == 1:
        return ids[:, None]
    if ids.shape[1] > LONGEST_BAG:
        raise ValueError(f"a bag of {ids.shape[1]} ids: {LONGEST_BAG} at most")
    return functional.pad(ids, (0, LONGEST_BAG - ids.shape[1]))
