"""Compares a committed report with a fresh one of the same records."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.data import pictures
from benchmark.errors import InputError
from benchmark.files.rounding import same_text
from benchmark.report.declared_methods import remembering
from benchmark.report.draw import FORMATS
from benchmark.report.figures.style import INCHES
from benchmark.report.page import words
from benchmark.report.write import MANIFEST, PAGE, TEXT_SUFFIXES, parse_formats, render


def check(results: Path, committed: Path, scratch: Path, tolerance: float = 0.02) -> list[str]:
    """Make a committed report again in `scratch` and say what differs, one line each; empty when nothing does.

    Text must be the same, its numbers within `rounding.RELATIVE`; of an image's pixels at most a share of
    `tolerance` may differ by more than a tenth of the range, and its size must agree. Which artifacts and formats
    were chosen, which fits were stale and how the methods were declared is taken from the committed manifest: a
    method's later change does not count. Raises InputError when there is no manifest.
    """
    try:
        manifest = json.loads((committed / MANIFEST).read_text())
        names = ",".join(manifest["artifacts"])
        stale, texts, images = set(manifest["stale"]), dict(manifest["text"]), set(manifest["images"])
        formats = parse_formats(",".join(manifest.get("formats", FORMATS)))
        width = manifest.get("width")
        if width not in (None, *INCHES):
            raise ValueError(f"unknown width {width!r}")
        inexact, methods = set(manifest["inexact"]), dict(manifest.get("methods", {}))
        with remembering(methods):
            pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(committed / MANIFEST)!r} cannot be read: {error}") from error
    with remembering(methods):
        made = {path.name: path for path in render(results, scratch, names, stale, formats, committed, width)}
    problems = []
    for name in sorted({*texts, *(n for n, p in made.items() if p.suffix in TEXT_SUFFIXES)}):
        here, there = committed / name, made.get(name)
        if there is None or not here.is_file():
            problems.append(f"{name}: {'not made any more' if there is None else 'not in the report'}")
        elif not same_text(*(file.read_text(errors="replace") for file in (here, there))):
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
    same = same_text(*(words(page.read_text(errors="replace")) for page in (committed, made)))
    return [] if same else [f"{PAGE}: differs"]


def _unlike(one: Path, other: Path) -> float:
    """The share of pixels that differ by more than a tenth of the range; 1 for another size."""
    import numpy as np

    pair = [np.asarray(pictures.read(path, "RGB"), dtype=int) for path in (one, other)]
    if pair[0].shape != pair[1].shape:
        return 1.0
    return float((np.abs(pair[0] - pair[1]).max(axis=2) > 25).mean())
