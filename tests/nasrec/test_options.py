"""The options of a co-design beside what they are handed to."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nasrec.options import ChipOptions
from pimsim.chip import RANGES


@pytest.mark.parametrize("gene", ["rows", "columns", "cell_bits", "columns_per_adc"])
def test_a_gene_may_take_what_the_cost_model_takes_and_no_more(gene: str) -> None:
    least, most = RANGES[gene]
    assert getattr(ChipOptions.model_validate({gene: [least, most]}), gene) == (least, most)
    for value in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            ChipOptions.model_validate({gene: [value]})
