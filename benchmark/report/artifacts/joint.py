"""The main tables of several data sets as one, as papers print it: methods by data sets and bits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

from benchmark import registry
from benchmark.report.artifact import Artifact
from benchmark.report.artifacts.main_table import main_table
from benchmark.report.context import Context
from benchmark.report.groups import Group, is_variant
from benchmark.report.map_table import BREAKS, OLD, by_score
from benchmark.report.tables.cells import Cell, Drawn, Gap, Sheet, text_cell
from benchmark.spec import digest


def build(ctx: Context) -> Drawn:
    """One table for each backbone with its weights, selection and precision that two data sets share."""
    sheets = []
    groups = [g for g in ctx.main_groups if any(not is_variant(r.spec.method) for r in g.records)]
    for shared, found in groupby(sorted(groups, key=_shared), key=_shared):
        members = list(found)
        if len({group.dataset for group in members}) > 1:
            sheets.append(_sheet(ctx, members, shared))
    what = "a joint table needs two data sets on one backbone, under one selection"
    gap = Gap(what, ctx.suite_command("paper-main-small") + "   # or --suite paper-main")
    return Drawn(tuple(sheets), gaps=() if sheets else (gap,))


def _shared(group: Group) -> tuple[str, ...]:
    """What the columns of one table have in common; the budget is a data set's own, as its protocol is."""
    spec = group.spec
    return spec.network, spec.weights, spec.selection, spec.precision


def _sheet(ctx: Context, groups: list[Group], shared: tuple[str, ...]) -> Sheet:
    tables = [main_table(ctx, group) for group in groups]
    titles = [_title(group, groups) for group in groups]
    names = {row[0].text for table in tables for row in table.rows}
    lines: dict[str, list[Cell]] = {name: [] for name in names}
    for table in tables:
        known = {row[0].text: row[1:] for row in table.rows}
        for name in names:
            lines[name] += known.get(name, [Cell()] * (len(table.head) - 1))
    # A method that some column lacks has no mean that could be set beside the others'.
    whole = {name for name, cells in lines.items() if all(cell.mean is not None for cell in cells)}
    order = [name for name in by_score(lines) if name in whole]
    order += [name for name in by_score(lines) if name not in whole]
    heads = [f"{title}, {head}" for title, table in zip(titles, tables) for head in table.head[1:]]
    every = [cell for cells in lines.values() for cell in cells]
    network, weights, selection, precision = shared
    return Sheet(
        name=f"joint-{re.sub(r'[^a-z0-9]+', '-', network)}-{selection}-{digest(shared, 6)}",
        title=f"mAP by data set and code length: {network}",
        head=("method", *heads),
        rows=tuple((text_cell(name), *map(_short, lines[name])) for name in order),
        notes=(
            *_notes(every),
            *(f"{title}: {_conditions(group, table)}" for title, group, table in zip(titles, groups, tables)),
            *_rules(titles, groups),
            f"backbone {network}, weights {weights}, selection {selection}, {precision}",
        ),
        metric="map",
        facts={"selection": selection, "backbone": network, "weights": weights},
        blocks=tuple((title, len(table.head) - 1) for title, table in zip(titles, tables)),
    )


def _title(group: Group, groups: list[Group]) -> str:
    """The data set's title; with what else tells the group from another one of that set."""
    declared = {entry.name: str(entry.info.get("title", "")) for entry in registry.entries("datasets")}
    title = declared.get(group.dataset) or group.dataset
    same = [one for one in groups if one.dataset == group.dataset]
    if len(same) == 1:
        return title
    alone = sum(one.protocol == group.protocol for one in same) == len(same)
    rest = group.title.removeprefix(f"{group.dataset}, ").removeprefix(f"{group.protocol}, " if alone else "")
    twice = sum(one.title == group.title for one in same) > 1
    return f"{title}, {rest}{f', {group.slug[-6:]}' if twice else ''}"


def _short(cell: Cell) -> Cell:
    """Three digits of the mean with its marks: the deviation stands in the set's own table, and in the CSV."""
    if cell.mean is None:
        return cell
    marks = cell.text.removeprefix(cell.number)
    return replace(cell, label=f"{cell.mean:.3f}{marks}")


def _notes(cells: Iterable[Cell]) -> Iterable[str]:
    found = list(cells)
    yield (
        "mean over seeds to three digits, the best by all of them; each data set's own table has the deviations "
        "and the tests"
    )
    spreads = [cell.deviation for cell in found if cell.deviation is not None]
    if spreads:
        yield f"standard deviations over seeds: at most {max(spreads):.4f}"
    if any(cell.values and len(cell.values) < cell.planned for cell in found):
        yield BREAKS
    if any(cell.stale for cell in found):
        yield OLD


def _conditions(group: Group, table: Sheet) -> str:
    """Protocol, budget and seeds of one data set's columns, as its own table says them."""
    said = [note for note in table.notes if note.startswith(("protocol ", "budget "))]
    seeds = f"seeds {', '.join(map(str, group.seeds))}"
    return "; ".join([*said, seeds])


def _rules(titles: list[str], groups: list[Group]) -> Iterable[str]:
    """How the codes were graded: once where all data sets agree."""
    found = [
        sorted({r.protocol.rules_text for r in group.records if r.protocol is not None}) for group in groups
    ]
    if all(one == found[0] for one in found):
        yield from found[0]
    else:
        yield from (f"{title}: {'; '.join(one)}" for title, one in zip(titles, found))


ARTIFACT = Artifact(
    name="joint",
    title="mAP over data sets",
    needs="fits at full labels on two data sets, with one backbone and selection",
    suite="paper-main",
    order=12,
    build=build,
)
