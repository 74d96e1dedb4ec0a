"""Records to tables and figures. Reads the store, writes only into the output folder, needs no torch."""

from benchmark.report.write import check, collect, render

__all__ = ["check", "collect", "render"]
