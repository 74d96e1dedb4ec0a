"""What a report lacks, as one suite file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.report.context import Context
from benchmark.report.tables.cells import Drawn, Gap
from benchmark.spec.grids import join_grids, suite_text

FILE = "missing.toml"


def one_suite(ctx: Context, drawn: Sequence[Drawn], home: Path) -> tuple[list[Drawn], str]:
    """(the same with one command for all fits that are missing, the suite file that it runs; empty without any).

    home: the folder of that file. What no suite file can hold keeps its own command.
    """
    sweeps = [gap.sweep for one in drawn for gap in one.gaps if gap.sweep is not None]
    if not sweeps:
        return [*drawn], ""
    inside = home.resolve().parent == ctx.store.root.resolve()
    # Elsewhere it is told by its name: the same records give the same report in every folder.
    file = str(ctx.store.root / home.name / FILE) if inside else FILE
    command = shlex.join(["python", "-m", "benchmark", "run", "--suite", file])
    command += "" if inside else "   # the file beside this report"
    head = {"title": "The fits that a report lacks", "results": str(ctx.store.root)}
    text = suite_text(
        join_grids(sweeps), head, "Written by `report`; `run --suite FILE --plan` says fits, hours and disk."
    )
    return [_joined(one, command) for one in drawn], text


def _joined(drawn: Drawn, command: str) -> Drawn:
    missing: dict[str, list[str]] = {}
    for gap in drawn.gaps:
        if gap.sweep is not None:
            group, _, what = gap.what.partition(": ")
            missing.setdefault(group, []).append(what)
    if not missing:
        return drawn
    told = ". ".join(f"{group}: {'; '.join(what)}" for group, what in missing.items())
    rest = (gap for gap in drawn.gaps if gap.sweep is None)
    return replace(drawn, gaps=(Gap(told, command), *rest))
