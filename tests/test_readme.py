"""The README's Python examples print what the README says they print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", README, flags=re.DOTALL)


def test_there_is_an_example_of_each_package() -> None:
    assert len(EXAMPLES) == 2
    assert "from pimsim import" in EXAMPLES[0][0]
    assert "from nasrec" in EXAMPLES[1][0]


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=["pimsim", "nasrec"])
def test_an_example_prints_what_is_shown(code: str, printed: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == printed
