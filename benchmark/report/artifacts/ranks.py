"""Who wins across data sets and code lengths: mean ranks, critical differences, wins, ties, losses."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.figures.style import COLUMN, PAGE, inches, label, style
from benchmark.report.statistics.effect import p_text
from benchmark.report.statistics.ranking import TIE, Ranking, cliques, rank_methods
from benchmark.report.tables.cells import Drawn, Figure, Gap, Sheet, number_cell, text_cell


def build(ctx: Context) -> Drawn:
    """One table and the critical-difference diagram, over the methods that every block has."""
    ranking, fits = _ranking(ctx)
    if ranking is None:
        what = "ranks need 3 methods that share 2 blocks (a data set under one protocol, at one code length)"
        return Drawn(gaps=(Gap(what, ctx.suite_command("paper-main-small") + "   # or --suite paper-main"),))
    return Drawn((_sheet(ranking, fits),), (_figure(ranking),))


def _ranking(ctx: Context) -> tuple[Ranking | None, dict[str, list[str]]]:
    """Blocks: main groups of selection `last` by bits, with 3 methods or more; methods: those in all of them."""
    blocks: dict[str, dict[str, float]] = {}
    fits: dict[str, list[str]] = {}
    for group in ctx.main_groups:
        for bits in sorted({r.spec.bits for r in group.records}) if group.selection == "last" else ():
            means = {}
            for name, records in rows_of(group.at(bits, variants=False)).items():
                values = [value for record in records if (value := record.score()) is not None]
                if values:
                    means[name] = statistics.fmean(values)
                    fits.setdefault(name, []).extend(record.fit_id for record in records)
            if len(means) >= 3:
                blocks[f"{group.title}, {bits} bits"] = means
    common = set.intersection(*(set(means) for means in blocks.values())) if blocks else set[str]()
    if len(common) < 3 or len(blocks) < 2:
        return None, fits
    methods = sorted(common)
    scores = np.array([[means[name] for means in blocks.values()] for name in methods])
    return rank_methods(methods, list(blocks), scores), fits


def _sheet(ranking: Ranking, fits: dict[str, list[str]]) -> Sheet:
    order = sorted(range(len(ranking.methods)), key=lambda i: (ranking.ranks[i], ranking.methods[i]))
    best = ranking.methods[order[0]]
    body = []
    for place in order:
        name = ranking.methods[place]
        won = [ranking.won[name, other] for other in ranking.methods if other != name]
        totals = "/".join(str(sum(one[i] for one in won)) for i in range(3))
        pair = (best, name) if (best, name) in ranking.wilcoxon else (name, best)
        p = text_cell("" if name == best else p_text(ranking.wilcoxon[pair], ""))
        rank = number_cell(ranking.ranks[place], fits[name], digits=2)
        mean = number_cell(float(ranking.scores[place].mean()), fits[name])
        body.append((text_cell(name), rank, mean, text_cell(totals), p))
    return Sheet(
        name="ranks",
        title="Methods over all blocks: ranks, wins, ties and losses",
        head=("method", "mean rank", "mean mAP", "win/tie/loss", "Wilcoxon p against the best"),
        rows=tuple(body),
        notes=(
            f"{len(ranking.blocks)} blocks: {'; '.join(ranking.blocks)}",
            "blocks of one data set are not independent, so the p-values are too small to the extent that "
            "they agree",
            f"Friedman {p_text(ranking.p)}; Nemenyi's critical difference of mean ranks at 5 %: {ranking.cd:.2f}",
            "Wilcoxon signed-rank over blocks, two-sided, Holm-adjusted over all pairs; few blocks cannot "
            "reach 0.05",
            f"win/tie/loss: against every other method in every block, a tie below {TIE} mAP",
        ),
        metric="rank",
    )


def _figure(ranking: Ranking) -> Figure:
    def draw() -> Any:
        from matplotlib import pyplot

        order = sorted(range(len(ranking.methods)), key=lambda i: (ranking.ranks[i], ranking.methods[i]))
        count = len(order)
        half = -(-count // 2)
        bars = cliques(ranking)
        depth = 0.35 + 0.14 * len(bars)
        # Names stand on both sides of the scale: long ones leave none of a paper's column to it.
        longest = max(len(_short(name)) for name in ranking.methods)
        wide = PAGE if longest > 14 or count > 15 else COLUMN
        size = inches(wide, schematic=longest > 10), 0.55 + 0.19 * (half + depth)
        figure, axes = pyplot.subplots(figsize=size, layout="constrained")
        axes.set(xlim=(0.2 - 0.35 * count, count + 0.8 + 0.35 * count), ylim=(half + depth + 0.6, -1.9))
        axes.axis("off")
        axes.plot([1, count], [0, 0], color="black", lw=0.8)
        for tick in range(1, count + 1):
            axes.plot([tick, tick], [-0.15, 0], color="black", lw=0.8)
            if count > 15 and tick % 5:
                continue  # larger numbers would touch each other
            axes.text(tick, -0.3, str(tick), ha="center", va="bottom", fontsize=6)
        width = min(ranking.cd, count - 1)
        axes.plot([1, 1 + width], [-1.35, -1.35], color="black", lw=1.2)
        axes.text(1 + width / 2, -1.45, f"CD = {ranking.cd:.2f}", ha="center", va="bottom", fontsize=6)
        for level, (first, last) in enumerate(bars):
            ends = [ranking.ranks[order[first]] - 0.04, ranking.ranks[order[last]] + 0.04]
            axes.plot(ends, [0.3 + 0.28 * level] * 2, color="black", lw=2.2, solid_capstyle="butt")
        for place, method in enumerate(order):
            left = place < half
            y = depth + 0.6 + (place if left else count - 1 - place)
            end = 0.6 if left else count + 0.4
            look = style(ranking.methods[method])
            rank = ranking.ranks[method]
            axes.plot([rank, rank, end], [0, y, y], color=look["color"], lw=0.8)
            align = "right" if left else "left"
            text = f" {_short(ranking.methods[method])} ({rank:.2f}) "
            axes.text(end, y, text, ha=align, va="center", fontsize=6)
        return figure

    return Figure(
        name="critical-difference",
        title="Critical-difference diagram",
        caption=f"Mean ranks by mAP over {len(ranking.blocks)} blocks (1 is best); methods joined by a bar "
        f"do not differ by "
        f"Nemenyi's test at 5 % (critical difference {ranking.cd:.2f}).",
        draw=draw,
    )


def _short(row: str) -> str:
    name = " ".join(label(row).split())
    return name if len(name) <= 24 else name[:23] + "…"


ARTIFACT = Artifact(
    name="ranks",
    aliases=("critical-difference",),
    title="Ranks across data sets and code lengths",
    needs="3 methods on 2 data sets or code lengths",
    suite="paper-main",
    order=15,
    build=build,
)
