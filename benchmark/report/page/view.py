"""Sections as the template shows them: every table's cells with their looks, notes sorted by weight."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.files.rounding import rounded
from benchmark.report.context import Context, common_path
from benchmark.report.figures.style import COLOURS, style
from benchmark.report.tables.cells import (
    METHOD_COLUMNS,
    Cell,
    Drawn,
    Figure,
    Gap,
    Sheet,
    in_order,
    shown_head,
    shown_text,
)
from benchmark.store.record import Record

#: Notes that say how to read or repeat a table rather than what its numbers are: shown on demand.
_SECONDARY = ("command: ", "measured at commit ", "backbone ", "budget ", "failed: ", "mean ± ", "one seed: ")
#: Notes beyond this many are shown on demand too, whatever they say.
_PRIMARY = 7


@dataclass(frozen=True)
class CellView:
    """One table cell: its text and the marks behind it, what to sort by, its looks, whether it opens; the name of a
    method that is shown by its title.
    """

    text: str
    marks: str
    value: str
    classes: str
    aside: str
    opens: bool
    name: str = ""


@dataclass(frozen=True)
class SheetView:
    """One table. `number` is its place in the page's JSON."""

    number: int
    sheet: Sheet
    head: tuple[str, ...]
    rows: tuple[tuple[CellView, ...], ...]
    notes: tuple[str, ...]
    more: tuple[str, ...]


@dataclass(frozen=True)
class SectionView:
    """One artifact: what was drawn, and what is missing."""

    name: str
    names: str
    title: str
    needs: str
    suite: str
    sheets: tuple[SheetView, ...]
    figures: tuple[Figure, ...]
    gaps: tuple[Gap, ...]
    leads: bool = False

    @property
    def paired(self) -> bool:
        """Whether each table stands beside its figure: the main ones do, and those that come first."""
        return (self.name == "table1" or self.leads) and len(self.sheets) == len(self.figures)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see but gaps."""
        return not self.sheets and not self.figures


def unrecorded(titles: Iterable[str]) -> str:
    """One line on the artifacts that the records say nothing of; empty without any."""
    found = "; ".join(titles)
    return f"No records here for: {found}. `report --list` says what each needs." if found else ""


def colour_class(method: str) -> str:
    """The class of a method's fixed colour."""
    return f"m{COLOURS.index(style(method)['color'])}"


def section_views(sections: Iterable[tuple[Any, Drawn]]) -> list[SectionView]:
    """(artifact, drawn) pairs for the template; tables are numbered through the page."""
    found, number = list[SectionView](), 0
    for artifact, drawn in sections:
        sheets = []
        for sheet in drawn.sheets:
            sheets.append(sheet_view(number, sheet))
            number += 1
        names = ", ".join((artifact.name, *artifact.aliases))
        parts = (artifact.title, artifact.needs, artifact.suite)
        leads = artifact.name == "ood" and all(one.empty for one in found)
        found.append(
            SectionView(artifact.name, names, *parts, tuple(sheets), drawn.figures, drawn.gaps, leads)
        )
    return found


def sheet_view(number: int, sheet: Sheet) -> SheetView:
    """A sheet with the look of each cell, its rows as people read them."""
    sheet = in_order(sheet)
    rows = tuple(tuple(_cell(row, column, sheet) for column in range(len(row))) for row in sheet.rows)
    first = [note for note in sheet.notes if not note.startswith(_SECONDARY)]
    notes = sorted(first, key=lambda note: not _states_protocol(note))[:_PRIMARY]
    more = [note for note in sheet.notes if note not in notes]
    return SheetView(number, sheet, tuple(shown_head(sheet)), rows, tuple(notes), tuple(more))


def _states_protocol(note: str) -> bool:
    """Whether a note says what was measured: split, rules with ties, selection, labels."""
    return bool(re.match(r"protocol |selection |labels: |[\d,]+ queries, ", note))


def _cell(row: tuple[Cell, ...], column: int, sheet: Sheet) -> CellView:
    cell, key, classes = row[column], column < sheet.keys, list[str]()
    if key and sheet.head[column] in METHOD_COLUMNS:
        classes += ["chip", colour_class(cell.text)]
    if not key:
        number = cell.mean is not None or cell.text in ("–", "failed")
        classes.append("num" if number else "words")
        if cell.mean is None and cell.text in ("–", ""):
            classes.append("gap")
        if cell.failed:
            classes.append("failed")
        classes += ["best"] if cell.sure else ["second"] if cell.mark else []
    if len(cell.text) > 40 and "num" not in classes:
        classes.append("long")
    shown = shown_text(sheet, row, column)
    text = shown.rstrip("†‡") if cell.mean is not None else shown
    value = "" if cell.mean is None else repr(rounded(cell.mean))
    return CellView(
        text,
        shown[len(text) :],
        value,
        " ".join(classes),
        cell.aside,
        bool(cell.fits or cell.note),
        cell.text if shown != cell.text else "",
    )


@dataclass(frozen=True)
class Overview:
    """The head of the page: what the folder holds. `facts` are (name, value, detail)."""

    root: str
    facts: tuple[tuple[str, str, str], ...]
    hardware: tuple[str, ...]
    commits: tuple[str, ...]
    period: str


def overview(ctx: Context) -> Overview:
    """Counts of records by what they are of, and where and when they were measured."""
    records = ctx.records
    failed = sum(record.state == "failed" for record in records)
    stale = len(ctx.stale & {record.fit_id for record in records})
    detail = [f"{failed} failed" if failed else "", f"{stale} by older source" if stale else ""]
    spread = _spread
    facts = (
        ("fits", f"{len(records):,}", ", ".join(filter(None, detail)) or "none failed"),
        ("methods", *spread({record.spec.method for record in records})),
        ("data sets", *spread({record.spec.dataset for record in records})),
        ("code lengths", *spread({record.spec.bits for record in records})),
        ("seeds", *spread({record.spec.seed for record in records})),
    )
    known = [record.environment for record in records if record.environment]
    return Overview(
        root=common_path(ctx.store.root),
        facts=facts,
        hardware=tuple(sorted({f"{one.device}, {one.precision}, {one.cpu}" for one in known})),
        commits=tuple(sorted({f"{one.commit[:10]}{' with changes' if one.dirty else ''}" for one in known})),
        period=_period(records),
    )


def _spread(values: set[Any]) -> tuple[str, str]:
    """How many, and which: all of them where that is short."""
    names = [str(value) for value in sorted(values)]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"{len(names):,}", shown


def _period(records: Iterable[Record]) -> str:
    days = sorted({record.finished[:10] for record in records if record.finished})
    return "" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
