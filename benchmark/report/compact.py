"""A results folder small enough to commit: what a report, a test of significance and `verify` need, and no more."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files.write import write_file
from benchmark.report.artifact import choose
from benchmark.report.context import Context
from benchmark.report.pictures import png
from benchmark.report.statistics.compare import MEAN_TOLERANCE
from benchmark.store.record import SAMPLES, Record
from benchmark.store.store import Store
from benchmark.store.thin import FOLDER, QUERIES, apart, is_thin, shared_file, thin

#: Codes against a database of up to so many images are a few kilobytes and stay whole.
SMALL_DATABASE = 1_800
#: Rows that a training curve keeps where no artifact reads it row by row, evenly spaced, and the last.
CURVE_ROWS = 5


@dataclass(frozen=True)
class Compacted:
    """What became of a folder: fits, how many kept whole codes, and bytes by kind of file before and after."""

    fits: int
    whole: int
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)


def compact(results: Path, out: Path, only: str | None = None) -> Compacted:
    """Write the fits under `results` into `out`, small; `out` may be `results`, which then loses what is left out.

    A report of the artifacts `only` (all for None) says the same of both folders. Scores, ids and the fields of
    records are untouched; weights, logs and trackers' files are not copied, and stay where `out` is `results`. Of
    the codes of a fit that no artifact reads whole, each query's average precision and digests stay; the codes of
    views go. Raises InputError, before anything is written, when a record cannot be read or codes do not give the
    score that their record states.
    """
    store, target = Store(results), Store(out)
    chosen = choose(only)
    for problem in store.unreadable():
        raise InputError(problem)
    records = list(store.records())
    if not records:
        raise InputError(f"results folder {str(results)!r} holds no records")
    ctx = Context(store, records, set())
    needed = {record.fit_id for one in chosen for record in one.codes(ctx)}
    whole_curves = any(one.curves for one in chosen)
    codes = {record.fit_id: _codes(ctx, record, record.fit_id in needed) for record in records}
    found = Compacted(len(records), sum("database_codes" in one for one in codes.values()))
    target.open()
    _share_queries(codes, store, target, found)
    for record in records:
        content = _files(store, record, codes[record.fit_id], whole_curves)
        for name in ("record.json", *content):
            found.before[_kind(name)] += len(store.content(record.spec, name) or b"")
        target.put(record, content)
        for name in ("record.json", *content):
            found.after[_kind(name)] += len(target.content(record.spec, name) or b"")
    if out.resolve() != results.resolve():
        for path in store.beside():
            write_file(out / path.relative_to(results), path.read_bytes())
    return found


def _share_queries(
    codes: dict[str, dict[str, np.ndarray]], store: Store, target: Store, found: Compacted
) -> None:
    """Take the queries out of thin codes and write them once each; earlier ones that none needs go."""
    shared: dict[str, bytes] = {}
    for fit_id, one in codes.items():
        if is_thin(one):
            codes[fit_id], queries = apart(one)
            shared.setdefault(shared_file(codes[fit_id][QUERIES]), _packed(queries))
    found.before[FOLDER] = sum(path.stat().st_size for path in store.root.glob(f"{FOLDER}/*.npz"))
    found.after[FOLDER] = sum(map(len, shared.values()))
    for name, content in shared.items():  # before the fits that need them
        write_file(target.root / name, content)
    for path in target.root.glob(f"{FOLDER}/*.npz"):
        if f"{FOLDER}/{path.name}" not in shared:
            path.unlink()


def _kind(name: str) -> str:
    return SAMPLES if name.startswith(SAMPLES) else name


def _codes(ctx: Context, record: Record, needed: bool) -> dict[str, np.ndarray]:
    """What is kept of a fit's codes; nothing for one without."""
    if ctx.store.content(record.spec, "codes.npz") is None:
        return {}
    codes = ctx.store.codes(record.spec)
    scored, score = ctx.queries.of(record), record.score()
    if scored is None:
        raise InputError(f"codes of {record.spec.label} ({record.fit_id}) cannot be scored")
    known = scored[1][~np.isnan(scored[1])]
    if len(known) and (score is None or abs(float(known.mean()) - score) >= MEAN_TOLERANCE):
        raise InputError(
            f"codes of {record.spec.label} ({record.fit_id}) have mAP {known.mean()}, their record says {score}"
        )
    if not is_thin(codes) and (needed or len(codes["database_codes"]) <= SMALL_DATABASE):
        return codes
    return thin(codes, scored[1])


def _files(
    store: Store, record: Record, codes: Mapping[str, np.ndarray], whole_curves: bool
) -> dict[str, bytes | None]:
    """Name -> content of a fit's files beside the record; those of views are left out."""
    content: dict[str, bytes | None] = {"views.npz": None}
    if codes:
        content["codes.npz"] = _packed(codes)
    curve = store.content(record.spec, "curve.csv")
    if curve is not None:
        content["curve.csv"] = curve if whole_curves else _thinned(curve)
    for grid in store.samples(record.spec):
        content[f"{SAMPLES}/{grid.name}"] = _repacked(grid.read_bytes())
    return content


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """As `numpy.savez` writes it and `numpy.load` reads it, but packed with LZMA: a seventh less than deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def _thinned(curve: bytes) -> bytes:
    """A curve's header, `CURVE_ROWS` of its rows at most, evenly spaced from the first, and the last."""
    head, *rows = curve.splitlines(keepends=True) or [b""]
    kept = rows[:: max(1, -(-len(rows) // CURVE_ROWS))]
    return b"".join([head, *kept, *([rows[-1]] if rows and kept[-1] != rows[-1] else [])])


def _repacked(grid: bytes) -> bytes:
    """The same picture in fewer bytes; a file that is no picture comes back unchanged."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(grid), formats=["PNG"]) as image:
            made = png(image) if image.mode in ("1", "L", "P", "RGB") else grid
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return grid
    return min(grid, made, key=len)
