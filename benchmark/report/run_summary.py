"""What a run ends with: a table of one row per method, data set, bits and label share; seeds averaged."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from benchmark.files.text_table import stacked
from benchmark.store.record import Record

#: The columns, the last to go first: a narrow terminal drops from the end, and never cuts a number.
_COLUMNS = ("method", "mAP", "bits", "data set", "labels", "seeds", "sd", "train s", "encode img/s", "notes")
_SHOWN = ("data set", "method", "bits", "labels", "seeds", "mAP", "sd", "train s", "encode img/s", "notes")
_LEFT = ("data set", "method", "bits", "labels", "notes")
#: The fewest characters in which notes are worth a column.
_NOTES = 12


def summary(records: Iterable[Record], width: int) -> list[Table | Text]:
    """What a run ends with, for a terminal of `width` characters: a table, and below it what had no room.

    Rows are methods at one data set, code length and label share: mean mAP (standard deviation over seeds), times,
    speed and what is wrong. Names and numbers are never cut.
    """
    rows = _rows(records)
    wide = {name: max(cell_len(row[name]) for row in [dict(zip(_SHOWN, _SHOWN)), *rows]) for name in _SHOWN}
    wide["notes"] = min(wide["notes"], _NOTES)
    # What tells rows apart stays as long as there is a table; below that, rows are stacked.
    keys = [name for name in ("data set", "labels") if len({row[name] for row in rows}) > 1]
    kept = list(dict.fromkeys((*_COLUMNS[:3], *keys, *_COLUMNS)))
    while len(kept) > 3 + len(keys) and _needed([wide[name] for name in kept]) > width:
        kept.pop()
    below = [name for name in _SHOWN if name not in kept]
    if _needed([wide[name] for name in kept]) > width:
        return [Text(stacked(_SHOWN, [[*row.values()] for row in rows], width))]
    table = Table(title=None, show_edge=True, pad_edge=False)
    for name in (name for name in _SHOWN if name in kept):
        if name == "notes":
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="left" if name in _LEFT else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in _SHOWN if name in kept))
    gone = [name for name in below if name != "notes"]
    said = [Text(f"no room for {', '.join(gone)}: widen the terminal, or see `report`")] if gone else []
    return [table, *_notes(rows, below), *said]


def _needed(widths: list[int]) -> int:
    """Characters that a table takes: two of padding or one at the edges, and a line between columns."""
    return sum(widths) + 3 * len(widths) - 1


def _notes(rows: list[dict[str, str]], below: list[str]) -> list[Table | Text]:
    told = [row for row in rows if row["notes"]] if "notes" in below else []
    return [Text(f"{row['method']} {row['bits']} bits, {row['data set']}: {row['notes']}") for row in told]


def _rows(records: Iterable[Record]) -> list[dict[str, str]]:
    """One dictionary of cells, by column, for each method, data set, code length and label share."""
    groups: dict[tuple[str, str, int, str, bool, str], list[Record]] = {}
    for record in records:
        spec = record.spec
        unseen = spec.class_split is not None
        # What else the fit is, but for its seed and classes: only these two are averaged over.
        rest = spec.model_copy(update={"seed": 0, "class_split": None}).fit_id
        key = (spec.dataset, spec.method, spec.bits, spec.label_rule.slug, unseen, rest)
        groups.setdefault(key, []).append(record)
    rows = []
    for (dataset, method, bits, _, unseen, _), group in sorted(groups.items()):
        share = group[0].spec.label_rule.share + (", unseen classes" if unseen else "")
        cells = [dataset, method, str(bits), share, *_cells(group, "unseen-classes" if unseen else "clean")]
        rows.append(dict(zip(_SHOWN, cells, strict=True)))
    return rows


def _cells(group: list[Record], view: str) -> list[str]:
    done = [record for record in group if record.state == "done"]
    values = [value for record in done if (value := record.score(view=view)) is not None]
    notes = {flag for record in done for flag in record.flags}
    notes |= {f"selection {record.spec.selection}" for record in done if record.spec.selection != "last"}
    failed = [record for record in group if record.failure is not None]
    if failed:
        first = failed[0].failure
        notes.add(f"{len(failed)} failed: {first.kind}: {first.message[:120]}" if first else "failed")
    return [
        f"{len(done)}/{len(group)}",
        f"{statistics.mean(values):.4f}" if values else "-",
        f"{statistics.stdev(values):.4f}" if len(values) > 1 else "-",
        f"{statistics.mean([record.timings.train for record in done]):.1f}" if done else "-",
        f"{statistics.mean([record.timings.encode_images_per_second for record in done]):,.0f}"
        if done
        else "-",
        "; ".join(sorted(notes)),
    ]


def captions(records: Iterable[Record]) -> list[str]:
    """What the numbers are: one line per distinct protocol, rules, selection and hardware."""
    lines: dict[str, None] = {}
    for record in records:
        if record.protocol is None or record.environment is None:
            continue
        facts, env = record.protocol, record.environment
        lines[f"protocol {facts.text}"] = None
        lines[f"{facts.queries:,} queries, {facts.database:,} database images; {facts.rules_text}"] = None
        lines[f"selection {record.spec.selection}: {facts.selection_text}"] = None
        if not record.spec.label_rule.full:
            lines[f"labels: {facts.label_rule}"] = None
        for line in (facts.noise_rule, *facts.notes):
            if line:
                lines[line] = None
        if record.spec.epochs is not None:
            together = record.spec.params.get("accumulate", 1)
            size = f"{together} batches of" if together != 1 else "batch"
            made = f"{record.spec.dataset}: {record.updates} updates of {size} {record.spec.batch_size}"
            lines[f"budget {made} ({record.spec.epochs} epochs)"] = None
        if env.compiled:
            lines[f"{record.spec.method}, compiled for training: {env.compiled}"] = None
        backbone = f"backbone {record.spec.network}, weights {record.spec.weights}"
        lines[f"{backbone}; {env.device}, {env.precision}, {env.threads} threads, {env.cpu}"] = None
    return list(lines)
