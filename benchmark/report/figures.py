"""Figures, as PNG and PDF with embedded fonts. One fixed colour and marker per method name."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from benchmark.records import Store
from benchmark.report.frame import Group, row_name
from benchmark.spec import digest

#: Okabe and Ito's palette (yellow left out: too light on white), told apart by colour-blind readers.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "osD^vPX*"
_FIXED = {"coophash": 0, "hashnet": 1, "itq": 2, "lsh": 6, "hashgan": 3}
_LINES = ("-", "--", "-.", ":")
_RC = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "coophash-benchmark",
}


def style(method: str) -> dict[str, Any]:
    """The colour and marker of a method: fixed for the best-known, derived from the name for the rest."""
    number = _FIXED.get(method.split(" ")[0], int(digest(method, 6), 16))
    return {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}


def learning_curves(group: Group, store: Store, stem: Path) -> list[Path]:
    """mAP against updates (left) and training loss against updates (right), mean over seeds.

    Writes `<stem>.png` and `<stem>.pdf` and returns them; nothing when no fit of the group has a curve.
    """
    curves = _mean_curves(group)
    if not curves:
        return []
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(_RC):  # type: ignore[arg-type]
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.0, 2.8), layout="constrained")
        bits = sorted({key[1] for key in curves})
        for (name, size), points in sorted(curves.items()):
            line = _LINES[bits.index(size) % len(_LINES)]
            left.plot(*zip(*points, strict=True), line, label=f"{name} {size}", ms=3, lw=1.2, **style(name))
        for (name, size), points in sorted(_mean_losses(group, store).items()):
            line = _LINES[bits.index(size) % len(_LINES)]
            right.plot(*zip(*points, strict=True), line, lw=0.9, color=style(name)["color"])
        left.set(xlabel="updates", ylabel="mAP", ylim=(0, 1))
        right.set(xlabel="updates", ylabel="training loss (not comparable)", ylim=(0, None))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        written = []
        for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
            path = stem.with_name(stem.name + suffix)
            figure.savefig(path, dpi=200, metadata=metadata)
            written.append(path)
        pyplot.close(figure)
    return written


def _mean_curves(group: Group) -> dict[tuple[str, int], list[tuple[int, float]]]:
    found: dict[tuple[str, int], dict[int, list[float]]] = {}
    for record in group.records:
        for point in record.curve:
            key = (row_name(record), record.spec.bits)
            found.setdefault(key, {}).setdefault(point.step, []).append(point.map)
    return {
        key: [(step, statistics.mean(values)) for step, values in sorted(points.items())]
        for key, points in found.items()
    }


def _mean_losses(
    group: Group, store: Store, points: int = 60
) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """The first logged scalar (the total loss), averaged over seeds and over about `points` stretches."""
    found: dict[tuple[str, int], dict[int, list[float]]] = {}
    for record in group.records:
        rows = store.curve(record.spec) if record.state == "done" else []
        names = [name for name in (rows[0] if rows else {}) if name != "step"]
        width = max(1, math.ceil(len(rows) / points))
        for start in range(0, len(rows) if names else 0, width):
            part = [row[names[0]] for row in rows[start : start + width] if names[0] in row]
            if part:
                key, step = (row_name(record), record.spec.bits), int(rows[start]["step"])
                found.setdefault(key, {}).setdefault(step, []).append(statistics.mean(part))
    return {
        key: [(step, statistics.mean(values)) for step, values in sorted(steps.items())]
        for key, steps in found.items()
    }
