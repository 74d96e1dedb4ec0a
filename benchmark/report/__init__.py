"""Records to tables and figures. Reads the store, writes only into the output folder, needs no torch."""

from benchmark.report.check import check
from benchmark.report.write import collect, render

__all__ = ["check", "collect", "render"]
