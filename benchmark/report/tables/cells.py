"""What the report is made of: cells that keep their numbers and fits, sheets, figures, gaps."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmark.report.declared_methods import titled
from benchmark.report.statistics.effect import LEVEL, MIN_SEEDS, p_text
from benchmark.spec import Sweep
from benchmark.store.record import Record

Mark = Literal["", "best", "second"]


@dataclass(frozen=True)
class Cell:
    """One number with its uncertainty, or a text. Text is made at the last moment, by `text`.

    values: one per fit that is done, in the order of `fits` (their ids). `planned` seeds were asked for,
    `failed` fits gave up, `stale` were measured by an older version of their method's source. `p` is the
    p-value of the comparison that the mark rests on, over `common` seeds; None when there was none.
    """

    values: tuple[float, ...] = ()
    planned: int = 0
    failed: int = 0
    stale: int = 0
    flags: tuple[str, ...] = ()
    fits: tuple[str, ...] = ()
    mark: Mark = ""
    p: float | None = None
    common: int = 0
    label: str | None = None
    digits: int = 4
    unit: str = ""
    note: str = ""

    @functools.cached_property
    def mean(self) -> float | None:
        """Mean over seeds, None without a finished fit."""
        return statistics.fmean(self.values) if self.values else None

    @functools.cached_property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (n - 1), None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def number(self) -> str:
        """`0.8123 ± 0.0040`, without marks."""
        if self.mean is None:
            return ""
        spread = f" ± {self.deviation:,.{self.digits}f}" if self.deviation is not None else ""
        return f"{self.mean:,.{self.digits}f}{spread}{self.unit}"

    @property
    def text(self) -> str:
        """The number with marks: † fewer seeds than planned, ‡ stale; `–` when missing; or the label."""
        if self.label is not None:
            return self.label
        if self.mean is None:
            return "failed" if self.failed else "–"
        marks = ("†" if len(self.values) < self.planned else "") + ("‡" if self.stale else "")
        return f"{self.number}{marks}"

    @property
    def aside(self) -> str:
        """What stands beside the best number: the p-value of its lead; empty without one."""
        return p_text(self.p) if self.mark == "best" and self.p is not None else ""

    @property
    def sure(self) -> bool:
        """Whether it is best by a lead that is more than chance among seeds: such cells are bold."""
        return self.mark == "best" and self.p is not None and self.p < LEVEL and self.common >= MIN_SEEDS


def text_cell(text: object, fits: Iterable[str] = (), note: str = "") -> Cell:
    """A cell that is words."""
    return Cell(label=str(text), fits=tuple(fits), note=note)


def number_cell(value: float | None, fits: Iterable[str] = (), digits: int = 4, note: str = "") -> Cell:
    """A cell of one number that is no mean over fits; a gap for None."""
    values = () if value is None else (float(value),)
    return Cell(values=values, planned=len(values), fits=tuple(fits), digits=digits, note=note)


def cell_of(
    records: Iterable[Record],
    value: Callable[[Record], float | None],
    planned: int,
    stale: set[str],
    digits: int = 4,
) -> Cell:
    """The cell of one configuration's fits (the seeds of it). Failed fits are counted, never averaged over."""
    everything = list(records)
    done = [record for record in everything if record.state == "done"]
    found = [(number, record) for record in done if (number := value(record)) is not None]
    return Cell(
        values=tuple(number for number, _ in found),
        planned=planned,
        failed=len(everything) - len(done),
        stale=sum(record.fit_id in stale for _, record in found),
        flags=tuple(sorted({flag for _, record in found for flag in record.flags})),
        fits=tuple(record.fit_id for _, record in found)
        or tuple(r.fit_id for r in everything if r.state == "failed"),
        digits=digits,
    )


@dataclass(frozen=True)
class Sheet:
    """A table: the first `keys` columns name a row, the others hold its cells.

    `facts` are what its numbers have in common (data set, protocol, ...): columns of the CSV. `note` lines stand
    below it. `blocks`: (what they have in common, how many) of neighbouring columns, whose heads begin with it.
    `score`: the column by which people read the rows, the highest first, where they stand by name.
    """

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    keys: int = 1
    metric: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    blocks: tuple[tuple[str, int], ...] = ()
    score: str = ""

    def cells(self) -> Iterable[tuple[tuple[str, ...], str, Cell]]:
        """(row's key, column, cell) of every cell that is no key."""
        for row in self.rows:
            key = tuple(cell.text for cell in row[: self.keys])
            for column, cell in zip(self.head[self.keys :], row[self.keys :], strict=True):
                yield key, column, cell


#: Columns that hold a method's name.
METHOD_COLUMNS = ("method", "row")


def shown_text(sheet: Sheet, row: tuple[Cell, ...], column: int) -> str:
    """A cell as people read it: a method that names a row by its title, unless the row says that beside it."""
    text = row[column].text
    if column >= sheet.keys or sheet.head[column] not in METHOD_COLUMNS:
        return text
    title = titled(text)
    return text if title in [cell.text for cell in row] else title


def shown_head(sheet: Sheet) -> list[str]:
    """The heads as people read them: columns that are methods by their titles."""
    return [head if place < sheet.keys else titled(head) for place, head in enumerate(sheet.head)]


def in_order(sheet: Sheet) -> Sheet:
    """The table with its rows as people read them: by `score`, those without a number last."""
    if not sheet.score:
        return sheet
    place = sheet.head.index(sheet.score)

    def order(row: tuple[Cell, ...]) -> tuple[bool, float]:
        mean = row[place].mean
        return mean is None, 0.0 if mean is None else -round(mean, 10)

    return replace(sheet, rows=tuple(sorted(sheet.rows, key=order)))


def together(name: str, sheets: Mapping[int, Sheet]) -> Sheet:
    """The tables of several code lengths as one, the length first and gaps for columns that some lack; one alone
    stays as it is.
    """
    first = next(iter(sheets.values()))
    if len(sheets) == 1:
        return first
    columns = list(dict.fromkeys(column for sheet in sheets.values() for column in sheet.head[sheet.keys :]))
    rows = []
    for bits, sheet in sheets.items():
        for row in sheet.rows:
            cells = dict(zip(sheet.head[sheet.keys :], row[sheet.keys :], strict=True))
            rows.append(
                (text_cell(bits), *row[: sheet.keys], *(cells.get(column, Cell()) for column in columns))
            )
    head = ("bits", *first.head[: first.keys], *columns)
    return Sheet(name, name, head, tuple(rows), keys=first.keys + 1, metric=first.metric, facts=first.facts)


@dataclass(frozen=True)
class Figure:
    """A figure: `draw` returns a matplotlib figure. `data` is what it shows, as a sheet, where that is small.

    `exact` False: a picture whose layout may change between machines (t-SNE), left out of the pixel check. file: a
    PNG that the results folder has already, relative to its `report/`: shown from there where PNG is all that is
    asked.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Any]
    data: Sheet | None = None
    exact: bool = True
    file: str = ""


@dataclass(frozen=True)
class Gap:
    """What an artifact lacks, and the command that would make it; its sweep, where a suite file can hold that."""

    what: str
    command: str
    sweep: Sweep | None = None


@dataclass(frozen=True)
class Drawn:
    """What an artifact gives: tables, figures, and gaps."""

    sheets: tuple[Sheet, ...] = ()
    figures: tuple[Figure, ...] = ()
    gaps: tuple[Gap, ...] = ()


def best_first(scores: Mapping[str, float | None], direction: str = "max") -> list[str]:
    """Names, the best score first; equal ones (to ten digits) by name, those without a score last."""
    sign = -1 if direction == "max" else 1

    def place(name: str) -> tuple[bool, float, str]:
        score = scores[name]
        return score is None, 0.0 if score is None else round(sign * score, 10), name

    return sorted(scores, key=place)


def rank(cells: dict[str, Cell], direction: str = "max") -> dict[str, Cell]:
    """Mark the best and the second of a column, by direction; equals (to 12 digits) share their mark."""
    sign = -1 if direction == "max" else 1
    order = sorted({round(sign * cell.mean, 12) for cell in cells.values() if cell.mean is not None})
    if sum(cell.mean is not None for cell in cells.values()) < 2 or len(order) < 2:
        return dict(cells)
    marks: dict[float, Mark] = {order[0]: "best", order[1]: "second"}
    return {
        name: cell if cell.mean is None else replace(cell, mark=marks.get(round(sign * cell.mean, 12), ""))
        for name, cell in cells.items()
    }
