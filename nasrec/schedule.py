"""The learning rate of each step: a linear warm-up, then half a cosine down to almost nothing."""

from __future__ import annotations

import math

FINAL_LEARNING_RATE = 1e-8  # NASRec's supernet training ends here


def learning_rate(
    step: int, steps: int, *, peak: float, warmup: float = 0.1, final: float = FINAL_LEARNING_RATE
) -> float:
    """Return the rate of `step` (0 .. steps - 1) in a training of `steps` steps.

    Over the first `warmup` (a fraction of all steps) it rises linearly and reaches `peak` on the last step of the
    warm-up; from there a cosine falls to `final` on the last step of all (NASRec: 10 % warm-up, cosine to 1e-8). The
    only step of a training takes `peak`: at `final` it would learn nothing.
    """
    if steps == 1:
        return peak
    rising = min(round(warmup * steps), steps)
    if step < rising:
        return peak * (step + 1) / rising
    falling = steps - rising
    progress = (step - rising + 1) / falling
    return final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
