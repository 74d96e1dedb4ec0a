"""Records to tables and figures. Reads the store, writes only into the output folder, needs no torch."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import InputError
from benchmark.records import Record, Store
from benchmark.report.figures import learning_curves
from benchmark.report.frame import Group, group_records
from benchmark.report.tables import Table, main_table, to_csv, to_latex, to_markdown
from benchmark.status import stale_fits


def render(results: Path, out: Path) -> list[Path]:
    """Write every artefact for the records under `results` into `out`; returns the files written.

    Raises InputError when there is nothing to report or `out` cannot be written.
    """
    store = Store(results)
    records = list(store.records())
    if not records:
        raise InputError(f"results folder {str(results)!r} holds no records; run something first")
    try:
        out.mkdir(parents=True, exist_ok=True)
        return _render(store, records, out)
    except OSError as error:
        raise InputError(
            f"report folder {str(out)!r} cannot be written: {error.strerror or error}"
        ) from error


def _render(store: Store, records: list[Record], out: Path) -> list[Path]:
    stale = stale_fits(records)
    groups = group_records(records)
    tables = [main_table(group, stale) for group in groups]
    page = ["# Report", ""]
    written: list[Path] = []
    for group, table in zip(groups, tables, strict=True):
        stem = group.slug
        for suffix, text in ((".md", to_markdown(table)), (".tex", to_latex(table, label=stem))):
            written.append(_write(out / f"table-{stem}{suffix}", text))
        page += [f"## {table.title}", "", to_markdown(table)]
        figure = learning_curves(group, store, out / f"curve-{stem}")
        written += figure
        if figure:
            text = f"Learning curves, {table.title}. {_curve_caption(group)}"
            page += [f"![{table.title}]({figure[0].name})", "", text, ""]
            written.append(_write(out / f"curve-{stem}.txt", text + "\n"))
    written.append(_write(out / "main.csv", to_csv(tables)))
    written.append(_write(out / "report.md", "\n".join(page)))
    return written


def _curve_caption(group: Group) -> str:
    parts = {point.part for record in group.records for point in record.curve}
    scored = "the tuning split" if parts == {"tuning"} else "the queries against an evenly thinned database"
    return (
        f"mAP of the sign codes on {scored}, scored during training for the record"
        f"{' and for selection' if group.selection != 'last' else ' only, never for selection'}. "
        f"{'; '.join(group.captions)}"
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


__all__ = ["Table", "render"]
