"""What the kernels have to reach, as data: against whom, at least, and aimed at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.record import Case, Value

Allowed = tuple[Value, ...]
Measure = Literal["times as fast", "times as long", "of the limit"]
TORCH_BAGS = ("torch_per_table", "torch_concatenated")
COMPILED = ("torch_compiled",)
TORCH_CROSSBAR = ("torch_float32", "torch_bfloat16", "torch_int8")


@dataclass(frozen=True)
class Target:
    """A row of the table. It holds for every case of `kernel` whose parameters are among those of one of `where`.

    `cases` is how many a whole run has.

    Against the fastest of `peers` that was there. `least` and `aim` are how many times as fast as the peer we are; with
    "times as long" how many times as long as the peer we may take; with "of the limit" the share of the bare loop
    `peers[0]` that is reached. `threads`: at which number of threads it decides.
    """

    name: str
    against: str
    kernel: str
    where: tuple[Mapping[str, Allowed], ...]
    cases: int
    peers: tuple[str, ...]
    least: float
    aim: float
    measure: Measure = "times as fast"
    threads: int = 1
    beyond: bool = False  # another peer that a user could pick, or another reading of the baseline

    def holds_for(self, case: Case) -> bool:
        """Whether `case` belongs to this row, its number of threads aside."""
        return case.kernel == self.kernel and any(
            all(case.params.get(key) in values for key, values in one.items()) for one in self.where
        )

    def measured(self, case: Case) -> float | None:
        """The figure of one case, None where no peer was there."""
        times = case.limits_ms if self.measure == "of the limit" else case.peers_ms
        present = [times[name] for name in self.peers if name in times]
        if not present:
            return None
        return case.ours_ms / min(present) if self.measure == "times as long" else min(present) / case.ours_ms

    def worst(self, figures: Iterable[float]) -> float:
        """The figure that decides."""
        return max(figures) if self.measure == "times as long" else min(figures)

    def met(self, figure: float, bar: float) -> bool:
        """Whether `figure` is as good as `bar`."""
        return figure <= bar if self.measure == "times as long" else figure >= bar

    def short_of(self, figure: float, bar: float) -> float:
        """By which share `figure` misses `bar`; 0 where it is met."""
        return 0.0 if self.met(figure, bar) else abs(figure - bar) / bar


_ONE_ID = {"pooled": (1,), "dim": (16, 64), "batch": (512,)}
_FLOATS = {"pooled": (20,), "dtype": ("float32", "float16"), "weighted": (None,)}
_UNIFORM, _ZIPF = _FLOATS | {"ids": ("uniform",)}, _FLOATS | {"ids": ("zipf",)}
_INT8, _INT4 = {"dtype": ("int8",)}, {"dtype": ("int4",)}
_UPDATE = {"pooled": (20,), "dim": (64,), "batch": (512, 4096)}
_ONE_ID_UPDATE = {"pooled": (1,), "dim": (64,), "batch": (512,)}
_FORWARD, _BOTH = ({"pass": (name,), "dtype": ("float32",)} for name in ("forward", "forward+backward"))
_CLIPPING = {"devices": ("ideal",), "shape": ("1024x1024",), "batch": (64,), "adc_step": (None,)}

TARGETS = (
    Target("embedding forward, one id each, D 16 and 64, batch 512", "26 x F.embedding_bag", "embedding_bag",
           (_ONE_ID,), 2, ("torch_per_table",), 2, 4, threads=2),
    Target("same", "one call on concatenated tables", "embedding_bag",
           (_ONE_ID,), 2, ("torch_concatenated",), 1, 1.5, threads=2),
    Target("embedding forward, pooling 20, float32 and float16, uniform", "best torch", "embedding_bag",
           (_UNIFORM,), 12, TORCH_BAGS, 0.95, 1.1),
    Target("same, Zipf(1.05)", "best torch", "embedding_bag",
           (_ZIPF,), 12, TORCH_BAGS, 0.9, 1.05),
    Target("embedding forward, pooling 20, row-wise int8", "torch, quantised byte rows", "embedding_bag",
           (_INT8,), 12, TORCH_BAGS, 1.05, 1.15),
    Target("all of those", "fbgemm-gpu-cpu", "embedding_bag",
           (_ONE_ID, _UNIFORM, _ZIPF, _INT8), 38, ("fbgemm", "fbgemm_nbit"), 1, 1.5),
    Target("backward + element-wise Adagrad, pooling 20, D 64", "torch sparse gradient + Adagrad",
           "embedding_bag_update", (_UPDATE | {"optimizer": ("adagrad",)},), 4, ("torch_sparse",), 8, 12),
    Target("backward + row-wise Adagrad, same", "fbgemm fused row-wise Adagrad", "embedding_bag_update",
           (_UPDATE | {"optimizer": ("row_wise_adagrad",)},), 4, ("fbgemm",), 4, 8),
    Target("backward + row-wise Adagrad, one id each, batch 512", "torch, row-wise by hand", "embedding_bag_update",
           (_ONE_ID_UPDATE | {"optimizer": ("row_wise_adagrad",)},), 1, ("torch_by_hand",), 4, 8),
    Target("pairwise dot, forward, F 27, D 16", "bmm + index_select", "dot_interaction",
           (_FORWARD | {"dim": (16,)},), 2, ("torch",), 2.5, 4),
    Target("pairwise dot, forward, F 27, D 64 and 128", "bmm + index_select", "dot_interaction",
           (_FORWARD | {"dim": (64, 128)},), 4, ("torch",), 3, 4),
    Target("pairwise dot, forward + backward", "bmm + index_select", "dot_interaction", (_BOTH,), 6, ("torch",), 4, 6),
    Target("FM forward + backward", "torch, allocation tuned", "fm_interaction", (_BOTH,), 6, ("torch",), 3, 5),
    Target("crossbar MAC, batch 64", "best torch formulation", "crossbar_mac", (_CLIPPING,), 1, TORCH_CROSSBAR, 12, 18),
    Target("same", "CrossSim, equivalent configuration", "crossbar_mac", (_CLIPPING,), 1, ("crosssim",), 25, 35),
    Target("same, MACs a second", "bare loop of table look-ups", "crossbar_mac",
           (_CLIPPING,), 1, ("look-ups",), 0.65, 0.85, "of the limit"),
    Target("same, Gaussian noise per conversion", "itself without", "crossbar_mac",
           (_CLIPPING | {"devices": ("noisy",)},), 1, ("without_noise",), 2.5, 1.5, "times as long"),
    Target("same, conductance variation per device", "best torch formulation", "crossbar_mac",
           (_CLIPPING | {"devices": ("varied",)},), 1, TORCH_CROSSBAR, 5, 10),
    Target("same, batch 1", "best torch formulation", "crossbar_mac",
           (_CLIPPING | {"batch": (1,)},), 1, TORCH_CROSSBAR, 5, 10),
    Target("crossbar MAC, batch 64", "torch in float32 alone", "crossbar_mac",
           (_CLIPPING,), 1, TORCH_CROSSBAR[:1], 12, 18, beyond=True),
    Target("crossbar MAC, batch 1", "torch in float32 alone", "crossbar_mac",
           (_CLIPPING | {"batch": (1,)},), 1, TORCH_CROSSBAR[:1], 5, 10, beyond=True),
    Target("embedding forward, one id each, D 16 and 64, batch 512", "F.embedding on concatenated tables",
           "embedding_bag", (_ONE_ID,), 2, ("torch_embedding",), 1, 1, threads=2, beyond=True),
    Target("embedding forward, pooling 20, row-wise int4", "torch, quantised 4-bit rows", "embedding_bag",
           (_INT4,), 12, TORCH_BAGS, 1, 1, beyond=True),
    Target("backward + element-wise Adagrad, pooling 20, D 64", "fbgemm fused Adagrad", "embedding_bag_update",
           (_UPDATE | {"optimizer": ("adagrad",)},), 4, ("fbgemm",), 1, 1, beyond=True),
    Target("pairwise dot, forward", "torch.compile", "dot_interaction", (_FORWARD,), 6, COMPILED, 1, 1, beyond=True),
    Target("pairwise dot, forward + backward", "torch.compile", "dot_interaction", (_BOTH,), 6, COMPILED, 1, 1,
           beyond=True),
    Target("FM forward + backward", "torch.compile", "fm_interaction", (_BOTH,), 6, COMPILED, 1, 1, beyond=True),
    Target("low-rank cross, forward", "best torch", "low_rank_cross",
           ({"pass": ("forward",)},), 2, ("torch", *COMPILED), 1, 1, beyond=True),
    Target("low-rank cross, forward + backward", "best torch", "low_rank_cross",
           ({"pass": ("forward+backward",)},), 2, ("torch", *COMPILED), 1, 1, beyond=True),
    Target("layer normalisation, forward, rows of 16", "torch", "layer_norm",
           ({"pass": ("forward",), "dim": (16,)},), 1, ("torch",), 1, 1, beyond=True),
    Target("layer normalisation, forward + backward, rows of 16", "torch", "layer_norm",
           ({"pass": ("forward+backward",), "dim": (16,)},), 1, ("torch",), 1, 1, beyond=True),
    Target("attention, forward + backward", "torch, fused", "attention",
           ({"pass": ("forward+backward",)},), 4, ("torch",), 1, 1, beyond=True),
    Target("transformer layer, forward", "torch, fused or not", "transformer_layer",
           ({"pass": ("forward",)},), 4, ("torch", "torch_parts"), 1, 1, beyond=True),
)  # fmt: skip


def figures(target: Target, cases: Iterable[Case], threads: int) -> list[tuple[Case, float]]:
    """The cases of a row that were measured with `threads`, each with its figure."""
    found = ((case, target.measured(case)) for case in cases if case.threads == threads and target.holds_for(case))
    return [(case, figure) for case, figure in found if figure is not None]
