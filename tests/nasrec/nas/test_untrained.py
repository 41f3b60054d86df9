"""Networks as training begins: by seed and by the deviation of their embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nasrec.data.features import Features, Table
from nasrec.nas.options import NasOptions, NasSpaceOptions, NasSupernetOptions, RetrainOptions
from nasrec.nas.untrained import untrained_dlrm, untrained_subnet, untrained_supernet
from nasrec.space import FULL

FEATURES = Features(2, (Table("a", 3000), Table("b", 7)))
ARCH = FULL.sample(np.random.default_rng(0))
SPACE = NasSpaceOptions(blocks=2, dense_widths=(16,), sparse_widths=(16,))


def test_the_deviation_moves_the_tables_alone() -> None:
    plain, small = (untrained_subnet(ARCH, FEATURES, 3, std).state_dict() for std in (None, 1e-4))
    drawn = {name for name in plain if not torch.equal(plain[name], small[name])}
    assert drawn == {"embeddings.tables.0", "embeddings.tables.1"}
    large = small["embeddings.tables.0"]  # 48,000 draws: 1 % is three standard errors of a deviation
    assert large.std().item() == pytest.approx(1e-4, rel=0.01)
    assert abs(large.mean().item()) < 2e-6
    assert plain["embeddings.tables.0"].std().item() == pytest.approx((2 / 3016) ** 0.5, rel=0.01)  # Xavier normal


def test_a_seed_gives_the_same_tables_again_and_another_gives_others() -> None:
    one, again, other = (untrained_subnet(ARCH, FEATURES, seed, 1e-4).embeddings.tables[0] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_supernet_and_the_model_it_takes_tables_from_start_by_the_same_option() -> None:
    options = NasOptions(space=SPACE, supernet=NasSupernetOptions(embedding_std=1e-3))
    for model in (untrained_supernet(FEATURES, options), untrained_dlrm(FEATURES, options)):
        assert model.embeddings.tables[0].std().item() == pytest.approx(1e-3, rel=0.01)
    assert untrained_supernet(FEATURES, NasOptions(space=SPACE)).embeddings.tables[0].std().item() > 0.02


@pytest.mark.parametrize("wrong", [0.0, -1e-4, float("nan"), float("inf")])
def test_a_deviation_is_a_positive_number(wrong: float) -> None:
    with pytest.raises(ValidationError, match="embedding_std"):
        RetrainOptions(embedding_std=wrong)
