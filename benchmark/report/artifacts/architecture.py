"""Figure 1: the architecture, drawn from the built model's own parts and parameters."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.claims.judge import SUBJECT
from benchmark.report.context import Context
from benchmark.report.figures.flow import Flow, draw_flow, flow_of
from benchmark.report.figures.style import COLOURS, PAGE, inches, on_paper
from benchmark.report.tables.cells import Drawn, Figure, Gap

_MAX_BYTES = 2**20

#: How much larger the text of a paper is than that of a report here.
_PAPER = 1.6


def build(ctx: Context) -> Drawn:
    """One figure for each list of parts that `describe` left beside the records."""
    figures = []
    for path in ctx.store.beside("architecture"):
        try:
            if path.stat().st_size > _MAX_BYTES:
                continue
            facts = json.loads(path.read_text())
            flow = flow_of(facts)
            networks = [(str(n["name"]), [_part(p) for p in n["parts"]]) for n in facts["networks"]]
            title = (
                f"{facts['method']}, {facts['dataset']}, {facts['bits']} bits, {facts['backbone']} backbone"
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if flow is not None:
            figures.append(_flow_figure(path.stem, title, flow))
        if networks:
            name = f"figure1-{path.stem}" if flow is None else f"figure1-parts-{path.stem}"
            figures.append(_figure(name, path.stem, title, networks))
    command = f"python -m benchmark describe {SUBJECT} --results {ctx.store.root}"
    return Drawn((), tuple(figures), () if figures else (Gap("no description of a built model", command),))


def _part(raw: dict[str, Any]) -> tuple[str, list[str], int]:
    return str(raw["name"]), [str(one) for one in raw["layers"]], int(raw["parameters"])


def _flow_figure(stem: str, title: str, flow: Flow) -> Figure:
    revised = (
        f"Langevin dynamics revises it in {flow.steps} steps" if flow.steps else "no dynamics revises it"
    )
    pair = f"the generator makes a contrastive pair and {revised}; " if flow.generates else ""
    return Figure(
        name=f"figure1-{stem}",
        title=f"One update of {stem}",
        caption=f"One update of the built model: {title}. {pair}one base serves every head, and each loss stands "
        "below the head that it attaches to, with its weight. Dashed: what the generator learns from. Numbers are "
        "parameters of the built parts.",
        draw=lambda: draw_flow(flow),
    )


def _figure(
    name: str, stem: str, title: str, networks: list[tuple[str, list[tuple[str, list[str], int]]]]
) -> Figure:
    def draw() -> Any:
        from matplotlib import pyplot

        scale = _PAPER if on_paper() else 1.0
        heights = [scale * max(1.5, 0.42 * len(_heads(parts))) for _, parts in networks]
        figure, panels = pyplot.subplots(
            len(networks),
            1,
            figsize=(inches(PAGE, schematic=True), sum(heights) + 0.3 * len(networks)),
            height_ratios=heights,
            layout="constrained",
            squeeze=False,
        )
        for row, (axes, (name, parts)) in enumerate(zip(panels[:, 0], networks)):
            axes.set(xlim=(0, 1), ylim=(0, 1))
            axes.axis("off")
            axes.set_title(f"network {name!r}", loc="left")
            colour, heads = COLOURS[row % len(COLOURS)], _heads(parts)
            row_of = [part for part in parts if part not in heads]
            spots = [((place + 0.5) / max(2, len(row_of) + bool(heads)), 0.5) for place in range(len(row_of))]
            _chain(axes, spots)
            for place, head in enumerate(heads):
                spot = (0.78, 1 - (place + 0.5) / len(heads))
                _chain(axes, [spots[-1], spot])
                _box(axes, spot, head, colour)
            for spot, part in zip(spots, row_of):
                _box(axes, spot, part, colour)
        return figure

    return Figure(
        name=name,
        title=f"Architecture of {stem}",
        caption=f"The parts of the built model: {title}. Each box is a top-level part with its layers "
        f"(weight shapes) and its "
        "parameters; parts beside a `base` are heads on its features.",
        draw=draw,
    )


def _heads(parts: list[tuple[str, list[str], int]]) -> list[tuple[str, list[str], int]]:
    """The parts that work on the features of a `base`; none where parts follow each other."""
    return [part for part in parts if part[0] != "base"] if any(part[0] == "base" for part in parts) else []


def _chain(axes: Any, spots: list[tuple[float, float]]) -> None:
    scale = _PAPER if on_paper() else 1.0
    look = {"arrowstyle": "->", "lw": 0.8, "shrinkA": 34 * scale, "shrinkB": 40 * scale}
    for start, end in pairwise(spots):
        axes.annotate("", end, start, arrowprops=look)


def _box(axes: Any, spot: tuple[float, float], part: tuple[str, list[str], int], colour: str) -> None:
    name, layers, parameters = part
    shown = [one for one in layers if " " in one] or layers
    rest = Counter(one for one in layers if " " not in one)
    lines = [line if len(line) <= 24 else line[:23] + "…" for line in shown[:7]]
    lines += [f"and {len(shown) - 7} more"] if len(shown) > 7 else []
    lines += (
        [f"+ {', '.join(f'{count} {kind}' for kind, count in sorted(rest.items()))}"[:26]]
        if rest and shown != layers
        else []
    )
    style = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": colour, "lw": 1.0}
    text = "\n".join([f"{name or 'network'} ({parameters:,})", *lines])
    axes.text(*spot, text, ha="center", va="center", fontsize=5, bbox=style)


ARTIFACT = Artifact(
    name="architecture",
    aliases=("figure1",),
    title="Architecture",
    needs="a list of parts by `describe METHOD --results DIR`",
    suite="paper-main",
    order=140,
    build=build,
)
