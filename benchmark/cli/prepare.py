"""`benchmark prepare`: data sets downloaded where that is possible, and decoded before they are needed."""

from __future__ import annotations

import time
from typing import Any

import click

from benchmark.cli._options import data_root_option


@click.command(name="prepare")
@click.argument("names", metavar="DATASETS")
@data_root_option
@click.option("--skip-bad-images", is_flag=True, help="Leave out images that cannot be read, and say which.")
def command(names: str, data_root: str | None, skip_bad_images: bool) -> int:
    """Download DATASETS (comma-separated) where that is possible, decode them, and say what they hold.

    What cannot be downloaded is named with the files that belong there; the other data sets are prepared all the
    same, and the exit code is then 2.
    """
    from benchmark import registry
    from benchmark.data.load import ensure, load, skipping_bad_images
    from benchmark.errors import InputError
    from benchmark.files import places

    root = places.data_root(data_root)
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        raise click.UsageError("name at least one data set")
    for name in wanted:
        registry.find("datasets", name, root)  # a misspelt name ends it before anything is downloaded
    failed = 0
    with skipping_bad_images(skip_bad_images):
        for name in wanted:
            begun = time.monotonic()
            try:
                dataset = registry.dataset(name, root)
                ensure(dataset, root, given=False)
                data = load(dataset, root)
            except InputError as error:
                failed += 1
                click.echo(f"error: {error}", err=True)
                continue
            click.echo(_describe(data, time.monotonic() - begun))
    return 2 if failed else 0


def _describe(data: Any, seconds: float) -> str:
    """One line: images, classes, size, parts, seconds, bytes, fingerprint."""
    info = data.info
    parts = ", ".join(f"{part} {len(rows):,}" for part, rows in (data.parts or {}).items())
    facts = "".join(f"; {key} {value}" for key, value in data.facts.items() if key != "skipped_names")
    return (
        f"{info.name}: {len(data.images):,} {info.inputs}, {len(info.classes)} classes, "
        f"{info.form}{f', parts: {parts}' if parts else ''}; {seconds:.1f} s, "
        f"{data.images.nbytes:,} bytes decoded, fingerprint {data.fingerprint}{facts}"
    )
