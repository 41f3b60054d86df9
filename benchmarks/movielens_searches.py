"""What searches tried, by where it came from and by operator: read from their summaries."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasrec.arch import Arch
from nasrec.liveness import live_blocks


def search_facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """One search, from its `summary.json`: its finalists, each with what training from scratch made of it.

    A finalist's `trained` is its validation log loss with the first seed and learning rate, None where it diverged, and
    `wall_s` what that training took; `searched` its one-shot log loss, None where it has none.
    """
    firsts: dict[int, Mapping[str, Any]] = {}
    for training in summary["retraining"]:
        firsts.setdefault(int(training["name"].split("-")[1]), training)
    one_shot, spent = summary["search"]["log_losses"], summary["spent"]
    finalists = []
    for place, finalist in enumerate(summary["finalists"]):
        number, training = finalist["number"], firsts[place]
        finalists.append(
            {
                "number": number,
                "parent": finalist["parent"],
                "macs": finalist["macs"],
                "operators": sorted(set(_running(Arch.from_json(finalist["arch"])))),
                "searched": None if number is None else one_shot[number],
                "trained": training["log_loss"],
                "wall_s": spent["wall_s"][training["name"]],
            }
        )
    options = summary["options"]
    return {
        "strategy": options["strategy"],
        "seed": options["seed"],
        "options": options,
        "finalists": finalists,
        "origins": by_origin(finalists),
        "winner": summary["winner"],
        "spent": spent,
    }


def by_origin(finalists: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Count, mean and least log loss of trained finalists: the one-shot search's best, random ones, and children."""
    found: dict[str, list[float]] = {}
    for finalist in finalists:
        origin = "random" if finalist["number"] is None else "one-shot best"
        if finalist["parent"] is not None:
            origin = "children"
        if finalist["trained"] is not None:
            found.setdefault(origin, []).append(finalist["trained"])
    return {
        name: {"count": len(losses), "mean": statistics.fmean(losses), "least": min(losses)}
        for name, losses in found.items()
    }


def by_operator(finalists: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For each operator, of the trained finalists in which it runs: count, mean and least log loss, mean seconds.

    A finalist of several searches (those of one seed draw the same ones at first) counts once.
    """
    once = {(finalist["trained"], finalist["macs"], *finalist["operators"]): finalist for finalist in finalists}
    found: dict[str, list[tuple[float, float]]] = {}
    for finalist in once.values():
        for name in finalist["operators"] if finalist["trained"] is not None else ():
            found.setdefault(name, []).append((finalist["trained"], finalist["wall_s"]))
    summed = {}
    for name, entries in sorted(found.items()):
        losses, walls = zip(*entries, strict=True)
        summed[name] = {
            "count": len(entries),
            "mean": statistics.fmean(losses),
            "least": min(losses),
            "wall_s": statistics.fmean(walls),
        }
    return summed


def _running(arch: Arch) -> Iterator[str]:
    """The operators and mergers of `arch` that reach the head."""
    for block, live in zip(arch.blocks, live_blocks(arch), strict=True):
        yield from block.dense_ops if live.dense else ()
        yield from block.sparse_ops if live.sparse else ()
        if live.fm:
            yield "fm"
        if live.dsi:
            yield "dsi"
