"""Write the report of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.files import atomic_path, write_text
from nasrec.report.html import report_html
from nasrec.report.picture import save_picture
from nasrec.report.summary import Summary


def write_report(summary: Mapping[str, Any], out: Path) -> Path:
    """Write `report.html` and `report.png` into the folder `out` from the content of `summary.json`.

    Returns the path of the HTML file. Raises InputError naming the first field that is missing or bad.
    """
    parsed = Summary.parse(summary, str(out / "summary.json"))
    with atomic_path(out / "report.png") as temporary:
        save_picture(parsed, temporary)
    page = out / "report.html"
    write_text(page, report_html(parsed))
    return page
