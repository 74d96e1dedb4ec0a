"""`benchmark dataset add`: name a data set of your own, without writing code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.errors import InputError


@click.group(name="dataset")
def command() -> None:
    """Data sets of your own: class folders, list files, a table, or feature vectors."""


@command.command(name="add")
@click.argument("name")
@click.option("--folder", metavar="DIR", help="Class folders; with lists or a table, where the images are.")
@click.option("--query", metavar="FILE|SUBFOLDER", help="List file of the queries (or a sub-folder).")
@click.option("--train", metavar="FILE|SUBFOLDER", help="List file of the training images.")
@click.option("--database", metavar="FILE|SUBFOLDER", help="List file of the database.")
@click.option("--images", metavar="FILE", help="One list file of all images, without parts.")
@click.option("--table", metavar="FILE", help="CSV or Parquet file with a header.")
@click.option(
    "--path", metavar="COLUMN", help="The table's column of paths.  [path, image, file, or the first]"
)
@click.option(
    "--labels", metavar="A,B|FILE", help="The table's label columns [all others]; the vectors' labels."
)
@click.option("--features", metavar="FILE", help="Vectors: .npy .npz .parquet .h5 .safetensors .fvecs .bvecs")
@click.option("--key", metavar="NAME", help="Which array of --features.  [features, embeddings, ...]")
@click.option("--labels-key", metavar="NAME", help="Which array of --labels.  [labels, y, ...]")
@click.option(
    "--split", metavar="FILE", help="The vectors' parts, a row each: train, query, database.  [none]"
)
@click.option("--part", metavar="COLUMN", help="The table's column of parts.  [part, split, or none]")
@click.option("--split-key", metavar="NAME", help="The data set of the same items, whose draws are shared.")
@click.option("--size", metavar="N|HxW", help="Pixels to resize to.  [32]")
@click.option("--channels", type=click.Choice(["1", "3"]), help="Grey or colour.  [3]")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), help="Keep the shape, or not.  [crop]")
@click.option("--title", metavar="TEXT", help="For tables and figures.  [the name]")
@click.option("--epochs", metavar="N", type=int, help="Default training budget.  [20]")
@click.option("--protocol", metavar="NAME", help="Default protocol; see `list protocols`.")
@click.option("--duplicates", type=click.Choice(["refuse", "drop"]), help="Images listed twice.  [refuse]")
@click.option("--data-root", metavar="DIR", help="Where the declaration goes.  [$BENCHMARK_DATA or ./data]")
def add(name: str, data_root: str | None, **given: Any) -> int:
    """Declare the data set NAME: writes NAME.toml into the data folder, after reading everything but the pixels.

    \b
    Class folders:  dataset add pets --folder photos/pets --size 64
    List files:     dataset add coco-lists --folder coco --query test.txt --train train.txt --database all.txt
    A table:        dataset add birds --table birds.csv --folder photos --labels species
    Vectors:        dataset add clip --features clip.npy --labels labels.txt
    """
    from benchmark.authoring import declare_dataset
    from benchmark.files import places

    root = places.data_root(data_root)
    keys = {key: value for key, value in given.items() if value is not None}
    found = declare_dataset.declare(name, keys, root or Path("data"))
    file, info = found.file, found.info
    parts = ", ".join(f"{part} {len(rows):,}" for part, rows in (found.parts or {}).items())
    noun = "a vector" if info.inputs == "vectors" else "an image"
    kind = f"several labels {noun}" if info.multi_label else f"one label {noun}"
    if not info.labelled:
        kind = "no labels: true neighbours in their place"
    items = info.inputs if info.inputs == "images" else f"vectors of {info.channels}"
    click.echo(f"wrote {file}")
    click.echo(
        f"{name}: {len(found.labels):,} {items}, {f'{len(info.classes)} classes, ' if info.labelled else ''}{kind}"
        f"{f', parts: {parts}' if parts else ''}, protocol {info.default_protocol}"
    )
    try:
        declare_dataset.check_draw(info, found)
    except InputError as error:  # the lists' own parts overlap: how to deal with it is the user's choice
        click.echo(f"note: {error}")
    if "paths" in found.facts:
        click.echo(f"note: {found.facts['paths']}")
    if "unused" in found.facts:
        click.echo(f"not used: {found.facts['unused']}")
    click.echo(f"decode it:  python -m benchmark prepare {name} --data-root {file.parent}")
    click.echo(f"run it:     python -m benchmark run --datasets {name} --data-root {file.parent}")
    return 0
