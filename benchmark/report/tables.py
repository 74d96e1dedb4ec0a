"""The main table: mAP by method and bits. Numbers stay numbers until the last moment."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.metrics import METRICS
from benchmark.records import Record
from benchmark.report.frame import Group, row_name

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "±": r"$\pm$",
    "–": "--",
}


_CSV_COLUMNS = (
    *("dataset", "protocol", "label_fraction", "selection", "backbone", "weights", "epochs", "batch_size"),
    *("method", "bits", "metric", "mean", "sd", "n", "planned", "failed", "stale", "flags"),
)


@dataclass(frozen=True)
class Cell:
    """One number with its uncertainty. `n` fits are done of `planned` seeds; `failed` gave up."""

    values: tuple[float, ...]
    planned: int
    failed: int
    stale: int
    flags: tuple[str, ...] = ()
    rank: int = 0

    @property
    def mean(self) -> float | None:
        """Mean over seeds, None without a finished fit."""
        return statistics.mean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (n - 1), None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self) -> str:
        """`0.8123 ± 0.0040` with marks: † fewer seeds than planned, ‡ stale; `–` when missing."""
        if self.mean is None:
            return "failed" if self.failed else "–"
        spread = f" ± {self.deviation:.4f}" if self.deviation is not None else ""
        marks = ("†" if len(self.values) < self.planned else "") + ("‡" if self.stale else "")
        return f"{self.mean:.4f}{spread}{marks}"


@dataclass(frozen=True)
class Table:
    """Rows of cells under a title, with everything a reader must know below it."""

    title: str
    group: Group
    metric: str
    columns: tuple[int, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: tuple[str, ...]


def main_table(group: Group, stale: set[str], metric: str = "map") -> Table:
    """mAP by method (rows) and bits (columns). `stale` holds fit ids whose method has changed since."""
    by_cell: dict[tuple[str, int], list[Record]] = {}
    for record in group.records:
        by_cell.setdefault((row_name(record), record.spec.bits), []).append(record)
    columns = tuple(sorted({bits for _, bits in by_cell}))
    names = sorted({name for name, _ in by_cell})
    planned = max(len({record.spec.seed for record in records}) for records in by_cell.values())
    cells = {key: _cell(records, metric, planned, stale) for key, records in by_cell.items()}
    empty = Cell((), planned, 0, 0)
    ranked = {bits: _ranks({n: cells.get((n, bits), empty) for n in names}, metric) for bits in columns}
    rows = tuple((name, tuple(ranked[bits][name] for bits in columns)) for name in names)
    return Table(group.title, group, metric, columns, rows, tuple(_notes(group, rows, planned)))


def _cell(records: list[Record], metric: str, planned: int, stale: set[str]) -> Cell:
    done = [record for record in records if record.state == "done"]
    values = tuple(value for record in done if (value := record.score(metric)) is not None)
    flags = tuple(sorted({flag for record in done for flag in record.flags}))
    old = sum(record.fit_id in stale for record in done)
    return Cell(values, planned, len(records) - len(done), old, flags)


def _ranks(cells: dict[str, Cell], metric: str) -> dict[str, Cell]:
    """Mark the best (1) and second (2) of a column, by the metric's declared direction; equals share."""
    sign = -1 if METRICS[metric].direction == "max" else 1
    order = sorted({round(sign * cell.mean, 12) for cell in cells.values() if cell.mean is not None})
    place = {value: rank for rank, value in enumerate(order[:2], 1)} if len(order) > 1 else {}
    return {
        name: Cell(
            **{**vars(cell), "rank": 0 if cell.mean is None else place.get(round(sign * cell.mean, 12), 0)}
        )
        for name, cell in cells.items()
    }


def _notes(group: Group, rows: Sequence[tuple[str, tuple[Cell, ...]]], planned: int) -> Iterable[str]:
    every = [cell for _, cells in rows for cell in cells]
    seeds = sorted({record.spec.seed for record in group.records})
    yield f"{METRICS['map'].label}; mean ± standard deviation over seeds {', '.join(map(str, seeds))}"
    yield "bold: best of the column, underlined: second; differences may be within noise"
    yield from group.captions
    if any(cell.values and len(cell.values) < planned for cell in every):
        yield f"†: fewer than {planned} seeds"
    if any(cell.stale for cell in every):
        yield "‡: the method's source has changed since this was measured"
    for name, cells in rows:
        for flag in sorted({flag for cell in cells for flag in cell.flags}):
            yield f"{name}: {flag}"
    for record in group.records:
        if record.failure is not None:
            yield f"failed: {record.spec.label}: {record.failure.kind}: {record.failure.message[:160]}"
    commits = sorted({_commit(record) for record in group.records})
    yield f"measured at commit {', '.join(commits)}"
    yield from sorted({f"command: {record.command}" for record in group.records if record.command})


def _commit(record: Record) -> str:
    if record.environment is None:
        return "unknown"
    return record.environment.commit[:10] + (" with uncommitted changes" if record.environment.dirty else "")


def to_markdown(table: Table) -> str:
    """A Markdown table with its notes as a list; text from records cannot break out of its cell."""
    lines = [
        "| method | " + " | ".join(f"{bits} bits" for bits in table.columns) + " |",
        "|---|" + "---:|" * len(table.columns),
    ]
    wrap = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}
    for name, cells in table.rows:
        shown = [wrap[cell.rank].format(cell.text()) for cell in cells]
        lines.append(f"| {_markdown(name)} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, "", *(f"- {_markdown(note)}" for note in table.notes), ""])


def _markdown(text: str) -> str:
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("\n", " "), ("`", "'")):
        text = text.replace(old, new)
    return text


def to_latex(table: Table, label: str) -> str:
    """A booktabs table that compiles as it is inside a document that loads booktabs."""
    wrap = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    body = [
        " & ".join([latex(name), *(wrap[cell.rank].format(latex(cell.text())) for cell in cells)]) + r" \\"
        for name, cells in table.rows
    ]
    head = " & ".join(["method", *(f"{bits} bits" for bits in table.columns)]) + r" \\"
    caption = ". ".join(latex(text) for text in (table.title, *table.notes))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def latex(text: str) -> str:
    """Text with every character that LaTeX would act on escaped."""
    return "".join(_LATEX.get(character, character) for character in text.replace("\n", " "))


def to_csv(tables: Iterable[Table]) -> str:
    """One row per cell, numbers at full precision, with what is needed to tell cells apart."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for table in tables:
        group = table.group
        for name, cells in table.rows:
            for bits, cell in zip(table.columns, cells, strict=True):
                spec = group.records[0].spec
                budget = next((r.spec for r in group.records if r.spec.epochs is not None), spec)
                setting = [group.dataset, group.protocol, group.label_fraction, group.selection]
                network = [spec.backbone, spec.weights, budget.epochs or "", budget.batch_size or ""]
                number = [name, bits, table.metric, _number(cell.mean), _number(cell.deviation)]
                counts = [len(cell.values), cell.planned, cell.failed, cell.stale, "; ".join(cell.flags)]
                writer.writerow([*setting, *network, *number, *counts])
    return buffer.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)
