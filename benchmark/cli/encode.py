"""`benchmark encode`: codes of images, vectors or a data set by a finished fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli._options import encode_shown, fit_options, open_fit


@click.command(name="encode")
@fit_options
@click.option("--images", metavar="DIR", help="Encode the image files below a folder.")
@click.option("--features", metavar="FILE", help="Encode the vectors of a file (.npy, .npz, .parquet, ...).")
@click.option("--key", default="", metavar="NAME", help="The array of --features that holds the vectors.")
@click.option("--dataset", metavar="NAME", help="Encode a whole data set.")
@click.option("--out", required=True, metavar="FILE", help="The .npz file to write.")
def command(
    images: str | None,
    features: str | None,
    key: str,
    dataset: str | None,
    out: str,
    **where: Any,
) -> None:
    """Encode with the finished fit whose id begins with FIT, and write codes, outputs and names to a file."""
    from benchmark.data.load import skipping_bad_images
    from benchmark.errors import InputError
    from benchmark.files import places
    from benchmark.use import sources
    from benchmark.use.encode import write_codes

    if sum(one is not None for one in (images, features, dataset)) != 1:
        raise InputError("give one of --images DIR, --features FILE, --dataset NAME")
    if not out.endswith(".npz"):
        raise InputError(f"--out {out!r} must end in .npz")
    encoder = open_fit(where)
    with skipping_bad_images(where["skip_bad_images"]):
        if images is not None:
            folder = Path(images)
            source = sources.of_images(encoder, folder, sources.image_paths(folder), where["skip_bad_images"])
        elif features is not None:
            source = sources.of_vectors(encoder, Path(features), key)
        else:
            source = sources.of_dataset(encoder, str(dataset), places.data_root(where["data_root"]))
        found = encode_shown(encoder, source)
    write_codes(Path(out), found)
    rate = len(found.ids) / max(found.seconds, 1e-9)
    click.echo(
        f"{len(found.ids):,} codes of {found.bits} bits by {encoder.record.spec.label} ({found.fit_id}) "
        f"in {out}; {rate:,.0f} a second"
    )
