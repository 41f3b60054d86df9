"""The report of a run: an interactive page and a picture, both made from `summary.json` alone."""

from nasrec.report.write import write_report

__all__ = ["write_report"]
