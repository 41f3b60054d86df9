"""How many rows and steps post-training fine-tuning needs: scores of random architectures with fewer of them.

    python -m benchmarks.fine_tuning RUN --count 24 --out fine_tuning.json

RUN is the folder of a `nasrec search` whose supernet is trained. The inputs of each architecture's last layer are
computed once; then its last layer is fine-tuned in batches of the run's options, each time anew, on the first ROWS rows
in STEPS steps at the learning rate RATE, and judged on validation. Reported for each ROWS:STEPS:RATE: the mean log
loss, the mean difference to the first of them, the standard deviation of that difference over architectures (what fewer
rows blur), that of the log loss itself (what they have to tell apart), and Kendall's tau of both orders. No rows and no
steps are no fine-tuning.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.stats import kendalltau
from torch import nn

from nasrec.metrics import log_loss
from nasrec.nas.run import SearchRun
from nasrec.nas.supernet import load_nas_supernet
from nasrec.run_data import prepared_data
from nasrec.score import head_inputs, tune_last


def main(
    folder: Annotated[Path, typer.Argument(help="the folder of a search")],
    count: Annotated[int, typer.Option(help="architectures")] = 24,
    kinds: Annotated[str, typer.Option(help="ROWS:STEPS:RATE, the first of which the others are held against")]
    = "65536:500:.04,65536:128:.04,32768:500:.04,32768:128:.04,32768:256:.01,32768:256:.005,16384:128:.04",
    judged: Annotated[str, typer.Option(help="numbers of validation rows, the first as above")] = "59140,32768,16384",
    out: Annotated[Path | None, typer.Option(help="JSON")] = None,
) -> None:  # fmt: skip
    """Fine-tune and judge; print and write what came of it."""
    torch.set_num_threads(1)
    run = SearchRun.open(folder)
    data, options = prepared_data(run), run.options.score
    supernet = load_nas_supernet(folder, data.features, run.options)
    parts = [kind.split(":") for kind in kinds.split(",")]
    chosen = [(int(rows), int(steps), float(rate)) for rows, steps, rate in parts]
    judges = [int(text) for text in judged.split(",")]
    train = data.split("train").head(max(rows for rows, _, _ in chosen))
    validation = data.split("validation").head(max(judges))
    labels = torch.from_numpy(train.labels)
    losses: dict[tuple[int, int, float, int], list[float]] = {}
    for number in range(count):
        subnet = supernet.extract(supernet.space.sample(np.random.default_rng([run.options.seed, 1, number]))).eval()
        inputs, held = head_inputs(subnet, train), head_inputs(subnet, validation)
        for rows, steps, rate in ((0, 0, 0.0), *chosen):
            head = nn.Linear(inputs.shape[1], 1)
            head.load_state_dict({name: subnet.head.state_dict()[name] for name in ("weight", "bias")})
            changes = {"fine_tune_steps": steps, "fine_tune_learning_rate": rate}
            tune_last(head, inputs[:rows], labels[:rows], options.model_copy(update=changes))
            with torch.no_grad():
                logits = head(held).squeeze(1).numpy()
            for judge in judges if (rows, steps, rate) in ((0, 0, 0.0), chosen[0]) else judges[:1]:
                loss = log_loss(logits[:judge], validation.labels[:judge])
                losses.setdefault((rows, steps, rate, judge), []).append(loss)
        typer.echo(f"{number}: " + ", ".join(f"{key} {found[-1]:.5f}" for key, found in losses.items()))
    whole = np.array(losses[*chosen[0], judges[0]])
    result = []
    for (rows, steps, rate, judge), found in losses.items():
        difference = np.array(found) - whole
        result.append(
            {
                "fine_tune_rows": rows,
                "fine_tune_steps": steps,
                "fine_tune_learning_rate": rate,
                "rows": judge,
                "log_loss": statistics.fmean(found),
                "deviation": float(np.std(found, ddof=1)),
                "difference": float(difference.mean()),
                "difference_deviation": float(difference.std(ddof=1)),
                "kendall": float(kendalltau(found, whole).statistic),
            }
        )
        typer.echo(json.dumps(result[-1]))
    if out is not None:
        described = {"source": run.data, "options": run.options.model_dump(mode="json"), "architectures": count}
        out.write_text(json.dumps({**described, "results": result}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
