"""`benchmark search-cost`: binary indexes beside what a user would take instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchmark.cli._options import data_root_option, results_option, weights_option


@click.command(name="search-cost")
@click.argument("fit_id", metavar="[FIT]", required=False)
@results_option
@data_root_option
@weights_option
@click.option(
    "--items", type=click.IntRange(1000, 10**8), metavar="N", help="Without FIT: so many drawn items."
)
@click.option(
    "--bits", type=click.IntRange(8, 1024), default=64, metavar="N", show_default=True, help="Of them."
)
@click.option("--queries", type=click.IntRange(1, 100_000), default=1000, metavar="N", show_default=True)
@click.option("--dimensions", type=click.IntRange(2, 8192), default=128, metavar="N", show_default=True)
@click.option("--repeats", type=click.IntRange(1, 100), default=3, metavar="N", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    fit_id: str | None,
    results: str,
    data_root: str | None,
    weights_file: str,
    items: int | None,
    bits: int,
    queries: int,
    dimensions: int,
    repeats: int,
    as_json: bool,
) -> None:
    """Measure how fast, how large and how good faiss's indexes are over the codes of the fit whose id begins with
    FIT, beside indexes over its vectors; what comes of it is kept for `report --only search-cost`.
    """
    from benchmark.errors import InputError
    from benchmark.files.rounding import rounded_all
    from benchmark.use.search_cost import drawn, measure

    if (fit_id is None) == (items is None):
        raise InputError("name a finished fit, or --items N for drawn ones")
    if items is not None:
        if bits % 8:
            raise InputError(f"--bits is {bits}; a multiple of 8")
        found = measure(drawn(items, bits, queries, dimensions), repeats, _tell)
    else:
        found = _of_fit(str(fit_id), results, data_root, weights_file, repeats)
    if as_json:
        click.echo(json.dumps(rounded_all(found), indent=1))
        return
    what = f"{found['queries']:,} queries, {found['items']:,} items, {found['bits']} bits"
    click.echo(f"{what}; vectors: {found['vectors']}, {found['dimensions']} numbers")
    heads = ("bytes", "1 thread/s", f"{found['threads']} threads/s", "recall@10", "for 100/s", "mAP@100")
    click.echo(f"{'':<34}" + " ".join(f"{head:>11}" for head in heads))
    for row in found["rows"]:
        speeds = [f"{row[key]:,.0f}" for key in ("per_second", "per_second_all", "per_second_deep")]
        score = "–" if row["map"] is None else f"{row['map']:.4f}"
        cells = (f"{row['bytes']:,.1f}", *speeds[:2], f"{row['recall']:.4f}", speeds[2], score)
        click.echo(f"{row['name']:<34}" + " ".join(f"{cell:>11}" for cell in cells))
    click.echo(f"faiss {found['faiss']}, {found['processor']}; medians of {found['repeats']}")


def _tell(name: str) -> None:
    click.echo(f"  {name}", err=True)


def _of_fit(
    fit_id: str, results: str, data_root: str | None, weights_file: str, repeats: int
) -> dict[str, Any]:
    from benchmark import registry
    from benchmark.data.load import load
    from benchmark.errors import InputError
    from benchmark.files.places import data_root as folder_of
    from benchmark.store.store import existing, find
    from benchmark.use.search_cost import case_of, measure

    store = existing(Path(results))
    record = find(store, fit_id)
    if record.state != "done":
        raise InputError(f"{record.spec.label} ({record.fit_id}) failed: it has no codes")
    root = folder_of(data_root)
    data = load(registry.dataset(record.spec.dataset, root), root)
    if data.fingerprint != record.spec.fingerprint:
        raise InputError(f"data set {record.spec.dataset!r} is not the one that {record.fit_id} learnt from")
    found = measure(case_of(store, record, data, weights_file), repeats, _tell)
    found = {"fit_id": record.fit_id, "label": record.spec.label, **found}
    try:
        path = store.write_text(f"search-cost/{record.fit_id}.json", json.dumps(found, indent=1) + "\n")
    except OSError as error:
        raise InputError(
            f"results folder {results!r} cannot be written: {error.strerror or error}"
        ) from error
    click.echo(f"kept in {path}", err=True)
    return found
