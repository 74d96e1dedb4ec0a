"""`benchmark serve`: a page on 127.0.0.1 to search a folder of images with a picture."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cli._database import open_database
from benchmark.cli._options import fit_options, open_fit


@click.command(name="serve")
@fit_options
@click.option("--database", required=True, metavar="DIR|FILE", help="Images, or codes that `encode` wrote.")
@click.option("--images", metavar="DIR", help="Where the pictures of a file of codes lie.")
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
def command(
    database: str,
    images: str | None,
    port: int,
    **where: Any,
) -> None:
    """Open a page on 127.0.0.1 that searches a database with the finished fit whose id begins with FIT."""
    from benchmark.errors import InputError
    from benchmark.use.server import SearchServer

    encoder = open_fit(where)
    gallery = open_database(encoder, database, images, where["skip_bad_images"])
    try:
        server = SearchServer(encoder, gallery, port)
    except OSError as error:
        raise InputError(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}; --port takes another"
        ) from None
    with server:
        click.echo(f"{server.address}  (Ctrl-C ends it)")
        server.serve_forever()
