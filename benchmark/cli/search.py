"""`benchmark search`: the nearest images of a query by a finished fit's codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli._database import open_database
from benchmark.cli._options import encode_shown, fit_options, open_fit
from benchmark.cli._text import plain

if TYPE_CHECKING:
    from benchmark.use.encode import Codes
    from benchmark.use.gallery import Gallery
    from benchmark.use.index import Hits


@click.command(name="search")
@fit_options
@click.option("--database", required=True, metavar="DIR|FILE", help="Images, or codes that `encode` wrote.")
@click.option("--images", metavar="DIR", help="Where the pictures of a file of codes lie.")
@click.option("--query", required=True, metavar="IMAGE|DIR", help="The picture, or pictures, to search with.")
@click.option("--top", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@click.option(
    "--index", default="flat", show_default=True, metavar="flat|hash|ivf|hnsw", help="faiss's index."
)
@click.option("--rerank", is_flag=True, help="Order the nearest again by the cosine of outputs.")
@click.option("--html", metavar="FILE", help="Write a page with the pictures.")
def command(
    database: str,
    images: str | None,
    query: str,
    top: int,
    index: str,
    rerank: bool,
    html: str | None,
    **where: Any,
) -> None:
    """Search with the finished fit whose id begins with FIT: rank, Hamming distance and name of the nearest."""
    from benchmark.errors import InputError
    from benchmark.use.index import KINDS, Index
    from benchmark.use.sources import image_paths, of_images

    if index not in KINDS:
        raise InputError(f"unknown index {index!r}; allowed: {', '.join(KINDS)}")
    asked = Path(query)
    folder, names = (asked, image_paths(asked)) if asked.is_dir() else (asked.parent, [asked.name])
    if not asked.exists():
        raise InputError(f"--query {query!r}: no such image or folder")
    encoder = open_fit(where)
    gallery = open_database(encoder, database, images, where["skip_bad_images"])
    queries = encode_shown(encoder, of_images(encoder, folder, names, where["skip_bad_images"]))
    hits = Index(gallery.codes, index).search(queries, top, rerank=rerank)
    for number, name in enumerate(queries.ids):
        click.echo(f"{plain(str(name))}:")
        for place, (row, distance) in enumerate(zip(hits.rows[number], hits.distances[number]), 1):
            if row >= 0:
                click.echo(f"  {place:>3}  {distance:>4}  {plain(str(gallery.codes.ids[row]))}")
    click.echo(
        f"{1000 * hits.seconds:.2f} ms for {len(queries.ids):,} in {len(gallery.codes.ids):,}", err=True
    )
    if html:
        _write(Path(html), folder, queries, gallery, hits)


def _write(file: Path, folder: Path, queries: Codes, gallery: Gallery, hits: Hits) -> None:
    from benchmark.errors import InputError
    from benchmark.files.write import write_file
    from benchmark.use.picture_page import render

    try:
        write_file(file, render(folder, queries, gallery, hits).encode())
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be written: {error.strerror or error}") from None
    click.echo(f"page: {file}", err=True)
