"""Write a report: every artifact as files, one page of Markdown, all cells as CSV and Parquet, a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, unknown
from benchmark.records import Store
from benchmark.report.artifact import Artifact, choose
from benchmark.report.claims import SUBJECT
from benchmark.report.context import Context
from benchmark.report.draw import FORMATS, Drawing, draw_all
from benchmark.report.export import cells_parquet, records_parquet
from benchmark.report.known import remembering, snapshot
from benchmark.report.markup import markdown, to_csv, to_latex, to_markdown
from benchmark.report.page import page_html, words
from benchmark.report.sheet import Drawn, Figure, Sheet
from benchmark.status import stale_fits

MANIFEST, PAGE = "report.json", "report.html"
_TEXT = (".md", ".tex", ".csv", ".txt")
#: From so many records on, their figures take longer to draw than other processes to start.
_MANY = 60


@dataclass(frozen=True)
class Section:
    """One artifact with what came of it."""

    artifact: Artifact
    drawn: Drawn


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
) -> list[Path]:
    """Write every artifact for the records under `results` into `out`; returns the files written.

    formats: of `FORMATS`; what an earlier report there has in others is removed where it is of the same name.
    home: where it will be read, if not in `out`: links lead from there.
    Raises InputError when there is nothing to report or `out` cannot be written.
    """
    ctx, chosen = _open(results, only, stale)
    sections: list[Section] = []

    def figures() -> Iterator[Figure]:
        # From the last artifact on: the claims take longest and draw nothing, so other processes draw meanwhile.
        for artifact in reversed(chosen):
            sections.insert(0, Section(artifact, _linked(artifact.build(ctx), results, home or out)))
            yield from sections[0].drawn.figures

    with _writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    drawings = draw_all(figures(), many=len(ctx.records) >= _MANY, formats=formats)
    with _writing_to(out):
        return _write_all(ctx, sections, drawings, out, formats)


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
) -> list[Path]:
    written: list[Path] = []
    page = ["# Report", "", *_contents(sections)]
    for section in sections:
        page += [f"## {section.artifact.title}", ""]
        for sheet in section.drawn.sheets:
            for suffix, text in ((".md", to_markdown(sheet)), (".tex", to_latex(sheet))):
                written.append(_write(out / f"{sheet.name}{suffix}", text.encode()))
            page += [f"### {markdown(sheet.title)}", "", to_markdown(sheet)]
        for figure in section.drawn.figures:
            images = drawings[figure.name].images
            written += _write_figure(figure, images, section.artifact.name, out)
            shown = f"{figure.name}.png" if images else figure.file
            page += [f"![{markdown(figure.title)}]({shown})", "", markdown(figure.caption), ""]
        page += _gap_lines(section.drawn)
    named = [(one.artifact.name, sheet) for one in sections for sheet in one.drawn.sheets]
    written.append(_write(out / "cells.csv", to_csv(named).encode()))
    main = [pair for pair in named if pair[0] == "table1"]
    written.append(_write(out / "main.csv", to_csv(main).encode()))
    typed = "parquet" in formats
    written += _replace(out / "cells.parquet", cells_parquet(named) if typed else None)
    written += _replace(out / "records.parquet", records_parquet(ctx.records) if typed else None)
    written.append(_write(out / "report.md", "\n".join(page).encode()))
    pictures = {name: drawing.shown for name, drawing in drawings.items()}
    html = page_html(ctx, [(one.artifact, one.drawn) for one in sections], pictures)
    written.append(_write(out / PAGE, html.encode(errors="replace")))
    written.append(_write(out / MANIFEST, _manifest(ctx, sections, written, formats)))
    return written


def _contents(sections: Iterable[Section]) -> list[str]:
    """What is in the report and what is not, first of all."""
    lines = ["| artifact | tables | figures | gaps |", "|---|---:|---:|---:|"]
    for one in sections:
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
    path.write_bytes(content)
    return path


def _manifest(ctx: Context, sections: list[Section], written: list[Path], formats: Collection[str]) -> bytes:
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
        "text": {p.name: _digest(p.read_bytes()) for p in sorted(written) if p.suffix in _TEXT},
        "page": PAGE,
        "formats": list(formats),
        "images": sorted(p.name for p in written if p.suffix in (".png", ".pdf")),
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check(results: Path, committed: Path, scratch: Path, tolerance: float = 0.02) -> list[str]:
    """Make a committed report again in `scratch` and say what differs, one line each; empty when nothing does.

    Text must be equal byte for byte; of an image's pixels at most a share of `tolerance` may differ by more than a
    tenth of the range, and its size must agree. Which artifacts and formats were chosen, which fits were stale and
    how the methods were declared is taken from the committed manifest: a method's later change does not count.
    Raises InputError when there is no manifest.
    """
    try:
        manifest = json.loads((committed / MANIFEST).read_text())
        names = ",".join(manifest["artifacts"])
        stale, texts, images = set(manifest["stale"]), dict(manifest["text"]), set(manifest["images"])
        formats = parse_formats(",".join(manifest.get("formats", FORMATS)))
        inexact, methods = set(manifest["inexact"]), dict(manifest.get("methods", {}))
        with remembering(methods):
            pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(committed / MANIFEST)!r} cannot be read: {error}") from error
    with remembering(methods):
        made = {path.name: path for path in render(results, scratch, names, stale, formats, committed)}
    problems = []
    for name in sorted({*texts, *(n for n, p in made.items() if p.suffix in _TEXT)}):
        here, there = committed / name, made.get(name)
        if there is None or not here.is_file():
            problems.append(f"{name}: {'not made any more' if there is None else 'not in the report'}")
        elif here.read_bytes() != there.read_bytes():
            problems.append(f"{name}: differs")
    if manifest.get("page"):
        problems += _page_problems(committed / PAGE, made[PAGE])
    for name in sorted(n for n in images if n.endswith(".png") and n[:-4] not in inexact):
        if name not in made or not (committed / name).is_file():
            problems.append(f"{name}: missing")
        elif _unlike(committed / name, made[name]) > tolerance:
            problems.append(f"{name}: its picture differs")
    return problems


def _page_problems(committed: Path, made: Path) -> list[str]:
    """The page must say the same; its drawings are the pictures that are compared as such."""
    if not committed.is_file():
        return [f"{PAGE}: missing"]
    same = words(committed.read_text(errors="replace")) == words(made.read_text(errors="replace"))
    return [] if same else [f"{PAGE}: differs"]


def _unlike(one: Path, other: Path) -> float:
    """The share of pixels that differ by more than a tenth of the range; 1 for another size."""
    import numpy as np
    from PIL import Image

    pair = [
        np.asarray(Image.open(io.BytesIO(p.read_bytes())).convert("RGB"), dtype=int) for p in (one, other)
    ]
    if pair[0].shape != pair[1].shape:
        return 1.0
    return float((np.abs(pair[0] - pair[1]).max(axis=2) > 25).mean())


def named_sheets(sections: Iterable[Section]) -> list[tuple[str, Sheet]]:
    """(artifact, sheet) of every sheet."""
    return [(one.artifact.name, sheet) for one in sections for sheet in one.drawn.sheets]
