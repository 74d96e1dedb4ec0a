"""`benchmark audit`: leaks and label statistics of data sets, protocols and list files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchmark.cli._options import data_root_option, skip_option
from benchmark.errors import InputError, unknown


@click.command(name="audit")
@click.argument("targets", metavar="DATASET|PROTOCOL|LISTS...", nargs=-1, required=True)
@click.option("--protocol", metavar="NAME", help="For the data sets named.  [the data set's own]")
@click.option("--seed", metavar="S", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--images", metavar="DIR", help="Where the images of list files lie.  [beside the lists]")
@click.option("--near/--no-near", default=True, help="Look for near duplicates too.  [yes]")
@data_root_option
@click.option("--format", "form", metavar="text|json", default="text", show_default=True)
@skip_option
def command(targets: tuple[str, ...], form: str, skip_bad_images: bool, **flags: Any) -> int:
    """Report what query, database and training part share, by id and by pixels, and their labels.

    A target is a data set, a protocol (audited on each of its data sets that is at hand), or list files: a folder
    of *.txt, or files whose names say query/test, train or database.
    """
    if form not in ("text", "json"):
        raise unknown("--format", form, ("text", "json"))
    from benchmark.data.load import skipping_bad_images

    with skipping_bad_images(skip_bad_images):
        audits = _audits(targets, flags)
    if form == "json":
        click.echo(json.dumps([one.model_dump(mode="json") for one in audits], indent=2))
        return 0
    for number, one in enumerate(audits):
        if number:
            click.echo("")
        _print(one)
    return 0


def _audits(targets: tuple[str, ...], flags: dict[str, Any]) -> list[Any]:
    from benchmark import registry
    from benchmark.data import audit, protocol

    root = Path(flags["data_root"]) if flags["data_root"] else None
    names = [entry.name for entry in registry.entries("datasets", root)]
    files, found = list[Path](), list[Any]()
    for target in targets:
        if target in names:
            found.append(_data(target, flags["protocol"] or "default", flags))
        elif target in protocol.PROTOCOLS or target.startswith("custom-"):
            found += _on_its_data(target, flags)
        elif Path(target).exists():
            files += audit.list_files(Path(target))
        else:
            known = [*names, *protocol.PROTOCOLS, "a list file or a folder of list files"]
            raise unknown("audit target", target, known)
    if files:
        images = Path(flags["images"]) if flags["images"] else None
        if images is not None and not images.is_dir():
            raise InputError(f"--images {str(images)!r}: no such folder")
        found.append(audit.audit_lists(files, images))
    return found


def _data(name: str, protocol_name: str, flags: dict[str, Any]) -> Any:
    from benchmark import registry
    from benchmark.data import audit, protocol
    from benchmark.data.load import load
    from benchmark.files.places import data_root

    root = data_root(flags["data_root"])
    dataset = registry.dataset(name, root)
    rule = protocol.resolve(protocol_name, dataset.info)
    data = load(dataset, root)
    return audit.audit_data(data, rule, flags["seed"], near=flags["near"])


def _on_its_data(name: str, flags: dict[str, Any]) -> list[Any]:
    """A protocol on each of its data sets that is at hand; those that are not are named on standard error."""
    from benchmark.data import protocol

    rule, found, missing = protocol.find(name), list[Any](), list[str]()
    if not rule.datasets:
        raise InputError(f"protocol {name!r} is for any data set: name one, with --protocol {name}")
    for dataset in rule.datasets:
        try:
            found.append(_data(dataset, name, flags))
        except InputError as error:
            missing.append(str(error))
    for line in missing:
        click.echo(f"left out: {line}", err=True)
    if not found:
        raise InputError(f"protocol {name!r}: none of its data sets is at hand: {'; '.join(missing)}")
    return found


def _print(one: Any) -> None:
    from benchmark.data import audit
    from benchmark.files.text_table import table, terminal_width

    click.echo(one.subject)
    if one.protocol:
        click.echo(f"  {one.protocol}")
    size = f", {'x'.join(map(str, one.shape))}" if one.shape else ""
    click.echo(f"  {one.images:,} images{size}; {one.distinct:,} distinct images in the parts")
    header = (
        "part",
        "images",
        "distinct",
        "labels/image",
        "no label",
        "smallest class",
        "largest class",
        "missing",
    )
    rows = [_row(name, part) for name, part in one.parts.items()]
    width = terminal_width()
    for line in table(header, rows, width and width - 2, left=header).splitlines():
        click.echo(f"  {line}")
    for shared in one.overlaps:
        how = " (as the protocol says)" if shared.expected else ""
        counts = f"{shared.images_of_one:,} and {shared.images_of_other:,} images{how}"
        click.echo(f"  {shared.one} and {shared.other}, {shared.by}: {counts}")
    if not one.overlaps:
        click.echo("  no image is in two parts")
    click.echo(f"  pixels: {one.pixels}")
    if one.identical is not None:
        click.echo(
            f"  {one.identical:,} images have an identical twin, {one.label_conflicts:,} with other labels"
        )
    if one.near_pairs is not None:
        click.echo(
            f"  {one.near_pairs:,} near pairs; {audit.near_rule('vectors' if len(one.shape) == 1 else 'images')}"
        )
    for note in one.notes:
        click.echo(f"  note: {note}")
    for line in one.findings:
        click.echo(f"  FOUND: {line}")
    click.echo(f"  {len(one.findings)} findings")


def _row(name: str, part: Any) -> tuple[str, ...]:
    def counted(pair: tuple[str, int] | None) -> str:
        return "-" if pair is None else f"{pair[0]} ({pair[1]:,})"

    labels = "-" if part.labels_per_image is None else f"{part.labels_per_image:.2f}"
    none = "-" if part.zero_label is None else f"{part.zero_label:,}"
    smallest, largest = counted(part.smallest_class), counted(part.largest_class)
    missing = str(len(part.missing_classes))
    return name, f"{part.images:,}", f"{part.distinct:,}", labels, none, smallest, largest, missing
