"""Write a report: every artifact as files, one page of Markdown, all cells as CSV and Parquet, a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, unknown
from benchmark.files.write import write_file
from benchmark.registry import stale_fits
from benchmark.report.artifact import Artifact, choose
from benchmark.report.claims.judge import SUBJECT
from benchmark.report.context import Context
from benchmark.report.declared_methods import snapshot
from benchmark.report.draw import FORMATS, Drawing, draw_all
from benchmark.report.figures.style import Width
from benchmark.report.gaps import FILE as MISSING
from benchmark.report.gaps import one_suite
from benchmark.report.page import page_html, unrecorded
from benchmark.report.page.headline import first_words, headlines
from benchmark.report.tables.cells import Drawn, Figure, Sheet
from benchmark.report.tables.document import paper_document
from benchmark.report.tables.markup import markdown, to_csv, to_latex, to_markdown
from benchmark.report.tables.paper import paper_latex, stable_labels
from benchmark.report.tables.parquet import cells_parquet, records_parquet
from benchmark.store.store import Store

MANIFEST, PAGE, PAPER = "report.json", "report.html", "paper.tex"
TEXT_SUFFIXES = (".md", ".tex", ".csv", ".txt", ".toml")
#: From so many records on, their figures take longer to draw than other processes to start.
_MANY = 60


@dataclass(frozen=True)
class Section:
    """One artifact with what came of it."""

    artifact: Artifact
    drawn: Drawn

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see but gaps."""
        return not self.drawn.sheets and not self.drawn.figures


def collect(
    results: Path, only: str | None = None, stale: set[str] | None = None
) -> tuple[Context, list[Section]]:
    """Every artifact, built from the records under `results`; nothing is drawn or written yet.

    stale: which fits to mark as measured by an older source (default: those that are). Raises InputError when
    there is no record or `only` names something unknown.
    """
    ctx, chosen = _open(results, only, stale)
    return ctx, [Section(artifact, artifact.build(ctx)) for artifact in chosen]


def _open(results: Path, only: str | None, stale: set[str] | None) -> tuple[Context, list[Artifact]]:
    chosen = choose(only)
    store = Store(results)
    records = list(store.records())
    if not records:
        raise InputError(f"results folder {str(results)!r} holds no records; run something first")
    return Context(store, records, stale_fits(records) if stale is None else stale), chosen


def parse_formats(text: str | None) -> tuple[str, ...]:
    """The formats in `a,b`, in their order, PNG among them always; all of them for None. Raises InputError."""
    names = FORMATS if text is None else [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [""]:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    return tuple(one for one in FORMATS if one in {"png", *names})


def render(
    results: Path,
    out: Path,
    only: str | None = None,
    stale: set[str] | None = None,
    formats: Collection[str] = FORMATS,
    home: Path | None = None,
    width: Width | None = None,
) -> list[Path]:
    """Write every artifact for the records under `results` into `out`; returns the files written.

    only: artifacts; a report that lies in `out` keeps those that it has beside, made anew with them.
    formats: of `FORMATS`; what an earlier report there has in others, or not any more, is removed.
    home: where it will be read, if not in `out`: links lead from there.
    width: make it for a paper: figures of that width, LaTeX tables that fit, and `paper.tex` with all of them.
    Raises InputError when there is nothing to report or `out` cannot be written.
    """
    before = _earlier(out)
    if only is not None:
        chosen_names = {one.name for one in choose(only)}
        known = {one.name for one in choose(None)}
        only = ",".join(chosen_names | (known & {*before.get("artifacts", ())}))
    ctx, chosen = _open(results, only, stale)
    built: list[Section] = []

    def figures() -> Iterator[Figure]:
        # From the last artifact on: the claims take longest and draw nothing, so other processes draw meanwhile.
        for artifact in reversed(chosen):
            built.insert(0, Section(artifact, _linked(artifact.build(ctx), results, home or out)))
            yield from built[0].drawn.figures

    with _writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    drawings = draw_all(figures(), many=len(ctx.records) >= _MANY, formats=formats, width=width)
    with _writing_to(out):
        drawn, suite = one_suite(ctx, [one.drawn for one in built if not one.empty], home or out)
        joined = iter(drawn)
        sections = [one if one.empty else replace(one, drawn=next(joined)) for one in built]
        written = _replace(out / MISSING, suite.encode() or None)
        written = _write_all(ctx, sections, drawings, out, formats, width, written)
        for name in {*before.get("text", ()), *before.get("images", ())} - {path.name for path in written}:
            if Path(name).name == name and Path(name).suffix in (*TEXT_SUFFIXES, ".png", ".pdf"):
                (out / name).unlink(missing_ok=True)  # drawn by an earlier report and not by this one
        return written


def _earlier(out: Path) -> dict[str, Any]:
    """The manifest of the report that lies there; empty without one that can be read."""
    try:
        found = json.loads((out / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    lists = ("artifacts", "images", "text")
    fit = isinstance(found, dict) and all(isinstance(found.get(name, []), list | dict) for name in lists)
    return {name: [str(one) for one in found.get(name, [])] for name in lists} if fit else {}


def _parquet(ctx: Context, named: list[tuple[str, Sheet]], out: Path, asked: bool) -> list[Path]:
    """Cells and records as Parquet files, where they are asked for; what an earlier report left there goes."""
    cells = _replace(out / "cells.parquet", cells_parquet(named) if asked else None)
    return cells + _replace(out / "records.parquet", records_parquet(ctx.records) if asked else None)


def _linked(drawn: Drawn, results: Path, home: Path) -> Drawn:
    """What was drawn, without links to files of a results folder that does not hold the report."""
    if home.resolve().parent == results.resolve():
        return drawn
    return replace(drawn, figures=tuple(replace(figure, file="") for figure in drawn.figures))


@contextlib.contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"report folder {str(out)!r} cannot be written: {error.strerror or error}"
        ) from error


def _write_all(
    ctx: Context,
    sections: list[Section],
    drawings: dict[str, Drawing],
    out: Path,
    formats: Collection[str],
    width: Width | None,
    written: list[Path],
) -> list[Path]:
    first, sections = headlines(ctx), _result_first(ctx, sections)
    labels = stable_labels(sheet.name for one in sections for sheet in one.drawn.sheets)
    words = first_words(ctx, first)
    page = ["# Report", "", *(line for text in words for line in (markdown(text), "")), *_contents(sections)]
    for section in sections:
        if section.empty:
            continue
        page += [f"## {section.artifact.title}", ""]
        for sheet in section.drawn.sheets:
            written += _write_sheet(sheet, labels[sheet.name], width, out)
            page += [f"### {markdown(sheet.title)}", "", to_markdown(sheet)]
        for figure in section.drawn.figures:
            images = drawings[figure.name].images
            written += _write_figure(figure, images, section.artifact.name, out)
            shown = f"{figure.name}.png" if images else figure.file
            page += [f"![{markdown(figure.title)}]({shown})", "", markdown(figure.caption), ""]
        page += _gap_lines(section.drawn)
    page += [unrecorded(one.artifact.title for one in sections if one.empty), ""]
    named = [(one.artifact.name, sheet) for one in sections for sheet in one.drawn.sheets]
    written.append(_write(out / "cells.csv", to_csv(named).encode()))
    main = [pair for pair in named if pair[0] == ("ood" if sections[0].artifact.name == "ood" else "table1")]
    written.append(_write(out / "main.csv", to_csv(main).encode()))
    written += _parquet(ctx, named, out, "parquet" in formats)
    written.append(_write(out / "report.md", "\n".join(page).encode()))
    pictures = {name: drawing.shown for name, drawing in drawings.items()}
    html = page_html(ctx, [(one.artifact, one.drawn) for one in sections], pictures, first)
    written.append(_write(out / PAGE, html.encode(errors="replace")))
    if width is not None:
        drawn = [(figure, pictures[figure.name].width) for one in sections for figure in one.drawn.figures]
        written.append(_write(out / PAPER, paper_document([sheet for _, sheet in named], drawn).encode()))
    written.append(_write(out / MANIFEST, _manifest(ctx, sections, written, formats, width)))
    return written


def _result_first(ctx: Context, sections: list[Section]) -> list[Section]:
    """Without fits on all classes the view of unseen ones is the result, as the first words say."""
    split = all(record.spec.class_split is not None for record in ctx.records)
    return sorted(sections, key=lambda one: not split or one.artifact.name != "ood")


def _write_sheet(sheet: Sheet, label: str, width: Width | None, out: Path) -> list[Path]:
    tex = to_latex(sheet, label) if width is None else paper_latex(sheet, width, label)
    texts = {".md": to_markdown(sheet), ".tex": tex}
    return [_write(out / f"{sheet.name}{suffix}", text.encode()) for suffix, text in texts.items()]


def _contents(sections: Iterable[Section]) -> list[str]:
    """What is in the report and what is not, first of all."""
    lines = ["| artifact | tables | figures | gaps |", "|---|---:|---:|---:|"]
    for one in sections:
        if one.empty:
            continue
        drawn = one.drawn
        name = f"{one.artifact.name}: {one.artifact.title}"
        lines.append(f"| {name} | {len(drawn.sheets)} | {len(drawn.figures)} | {len(drawn.gaps)} |")
    return [*lines, ""]


def _gap_lines(drawn: Drawn) -> list[str]:
    if not drawn.gaps:
        return []
    lines = ["Missing, and the command that makes it:", ""]
    for gap in drawn.gaps:
        lines += [f"- {markdown(gap.what)}", "", *(f"      {line}" for line in gap.command.splitlines()), ""]
    return lines


def _write_figure(figure: Figure, images: dict[str, bytes], artifact: str, out: Path) -> list[Path]:
    written = []
    for suffix in (".png", ".pdf"):
        written += _replace(out / f"{figure.name}{suffix}", images.get(suffix))
    written.append(_write(out / f"{figure.name}.txt", (figure.caption + "\n").encode()))
    if figure.data is not None:
        written.append(_write(out / f"{figure.name}.csv", to_csv([(artifact, figure.data)]).encode()))
    return written


def _replace(path: Path, content: bytes | None) -> list[Path]:
    """Write a file, or remove what an earlier report left in its place."""
    if content is not None:
        return [_write(path, content)]
    path.unlink(missing_ok=True)
    return []


def _write(path: Path, content: bytes) -> Path:
    write_file(path, content, flush=False)  # made again from the records at any time
    return path


def _manifest(
    ctx: Context,
    sections: list[Section],
    written: list[Path],
    formats: Collection[str],
    width: Width | None,
) -> bytes:
    """What the folder holds: digests of its text files, and which fits were marked stale when it was made."""
    known = {record.fit_id for record in ctx.records}
    inexact = [f.name for one in sections for f in one.drawn.figures if not f.exact]
    content: dict[str, Any] = {
        "layout": 1,
        "artifacts": [one.artifact.name for one in sections],
        "fits": len(known),
        "stale": sorted(ctx.stale & known),
        "methods": snapshot([SUBJECT, *(record.spec.method for record in ctx.records)]),
        "inexact": sorted(inexact),
        "text": {p.name: _digest(p.read_bytes()) for p in sorted(written) if p.suffix in TEXT_SUFFIXES},
        "page": PAGE,
        "formats": list(formats),
        **({} if width is None else {"width": width}),
        "images": sorted(p.name for p in written if p.suffix in (".png", ".pdf")),
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
