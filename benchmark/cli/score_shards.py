"""`benchmark score-shards`: score and search codes on disk that exceed memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click


@click.command(name="score-shards")
@click.argument("queries", type=click.Path(path_type=Path))
@click.option("--shards", "folder", required=True, metavar="DIR", help="codes*.npy, packed, and labels*.npy.")
@click.option(
    "--bits", type=click.IntRange(1, 4096), metavar="N", help="Bits of a code.  [the file's `bits`]"
)
@click.option("--k", type=click.IntRange(min=1), metavar="K", help="Cut-off of mAP.  [all items]")
@click.option("--metrics", metavar="A,B", help="Only these metrics.")
@click.option(
    "--at", default="100,1000", metavar="N,...", show_default=True, help="The N of precision and recall."
)
@click.option(
    "--top", type=click.IntRange(1, 10_000), metavar="N", help="Find the N nearest, instead of scoring."
)
@click.option("--out", metavar="FILE", help="With --top: rows and distances as .npz.")
@click.option(
    "--executor", type=click.Choice(["serial", "processes", "ray"]), default="serial", show_default=True
)
@click.option("--workers", type=click.IntRange(1, 4096), default=2, metavar="N", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    queries: Path,
    folder: str,
    bits: int | None,
    k: int | None,
    metrics: str | None,
    at: str,
    top: int | None,
    out: str | None,
    executor: str,
    workers: int,
    as_json: bool,
) -> None:
    """Score the codes of QUERIES (an .npz of `codes` and `labels`) against a database in pieces on disk.

    Memory does not grow with the database. A killed command goes on with the pieces that are left.
    """
    from benchmark.errors import InputError
    from benchmark.metrics import Rules
    from benchmark.use.shards import open_shards, score_shards, search_shards

    if (top is None) != (out is None):
        raise InputError("--top and --out go together")
    codes, labels, bits = _queries(queries, bits, labelled=top is None)
    shards, run = open_shards(Path(folder), bits, labelled=top is None), _executor(executor, workers)
    threads = None if executor == "serial" else 1
    with _bar(shards.items) as tell:
        if top is not None and out is not None:
            rows, distances = search_shards(shards, codes, top, run, tell)
            _write(Path(out), rows=rows, distances=distances)
            click.echo(f"{len(codes):,} queries, {rows.shape[1]:,} nearest of {shards.items:,} items: {out}")
            return
        wanted = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
        rules, ranks = Rules(k=k), _ranks(at)
        found = score_shards(
            shards, codes, labels, run, rules=rules, metrics=wanted, at=ranks, threads=threads, tell=tell
        )
    _print(found, as_json)


def _queries(path: Path, bits: int | None, *, labelled: bool) -> tuple[Any, Any, int]:
    """Packed codes, labels (None where they are not needed) and bits of an .npz file."""
    import numpy as np

    from benchmark.errors import InputError

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name.removeprefix("query_"): file[name] for name in file}
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "it is no .npz archive of plain arrays"
        raise InputError(f"queries {str(path)!r} cannot be read: {reason}") from None
    for name in ("codes", *(("labels",) if labelled else ())):
        if name not in arrays:
            held = ", ".join(sorted(arrays)) or "nothing"
            raise InputError(f"queries {str(path)!r} hold no `{name}`; there are: {held}")
    found = bits if bits is not None else int(arrays["bits"]) if "bits" in arrays else None
    if found is None:
        raise InputError(f"queries {str(path)!r} do not say how many bits: give --bits N")
    return arrays["codes"], arrays.get("labels"), found


def _ranks(text: str) -> tuple[int, ...]:
    from benchmark.errors import InputError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--at is {text!r}; it must be whole numbers: 100,1000") from None


def _executor(name: str, workers: int) -> Any:
    from benchmark.sweep.executors import LocalProcesses, RayCluster, Serial

    if name == "serial":
        return Serial()
    return LocalProcesses(workers) if name == "processes" else RayCluster(workers=workers)


@contextlib.contextmanager
def _bar(items: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("items", total=items)
        yield lambda count: progress.advance(task, count)


def _write(path: Path, **arrays: Any) -> None:
    import io

    import numpy as np

    from benchmark.errors import InputError
    from benchmark.files.write import write_file

    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        write_file(path, content.getvalue(), folders=False)
    except OSError as error:
        raise InputError(f"--out {str(path)!r} cannot be written: {error.strerror or error}") from None


def _print(found: Any, as_json: bool) -> None:
    import json

    from benchmark.files.rounding import rounded_all

    if as_json:
        click.echo(json.dumps(rounded_all(found.as_dict()), indent=2, allow_nan=False))
        return
    for name, value in found.values.items():
        click.echo(f"{name:<18} {value:.4f}")
    sizes = f"{found.queries:,} queries, {found.database:,} database items, {found.bits} bits"
    click.echo(f"{sizes}; {found.rules.describe()}")
