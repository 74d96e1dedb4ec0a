"""Numbers that others published: where each comes from, and what sets it apart from one measured here."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark import registry
from benchmark.errors import InputError
from benchmark.report.declared_methods import known
from benchmark.store.record import Record

COLUMNS = ("method", "dataset", "protocol", "bits", "metric", "value", "backbone", "source")
#: The file of this repository; a wheel has none.
DEFAULT = Path(__file__).resolve().parents[2] / "results" / "published.csv"


@dataclass(frozen=True)
class Published:
    """One published number as its source gives it: an mAP in 0..1, words for all that it was measured under."""

    method: str
    dataset: str
    protocol: str
    bits: int
    metric: str
    value: float
    backbone: str
    source: str

    @property
    def verified(self) -> bool:
        """False where the source was recalled and not looked up."""
        return "unverified" not in self.source

    @property
    def cut(self) -> str:
        """The metric without its remarks: `mAP@all`."""
        return self.metric.split(" (")[0]

    @property
    def peeked(self) -> bool:
        """Whether the source says that the best epoch on the queries was taken."""
        return "best epoch on query" in self.metric


def read_published(path: Path = DEFAULT) -> list[Published]:
    """Every number of a file with the columns `COLUMNS`; none when the default file is not there.

    Raises InputError naming the line of a number that is none.
    """
    if path == DEFAULT and not path.is_file():
        return []
    found = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{str(path)!r} lacks the columns {', '.join(sorted(missing))}")
            for row in reader:
                try:
                    values = {name: row[name] or "" for name in COLUMNS}
                    number, bits = float(values["value"]), int(values["bits"])
                except (ValueError, TypeError) as error:
                    raise InputError(f"{str(path)!r} line {reader.line_num}: {error}") from None
                found.append(Published(**{**values, "value": number, "bits": bits}))  # type: ignore[arg-type]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from error
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def same_method(ours: str, theirs: Published) -> bool:
    """Whether a published number is of a method of ours, by its name or title; variants in brackets are not."""
    names = {_plain(ours)}
    declared = known(ours)
    if declared is not None:
        names.add(_plain(declared.title))
    return _plain(theirs.method) in names


def same_images(ours: str, theirs: Published) -> bool:
    """Whether a published number is on the image collection of one of our data sets (perhaps encoded otherwise)."""
    collection, title = _collection(ours)
    return _plain(theirs.dataset) in (_plain(collection), _plain(title))


def _collection(dataset: str) -> tuple[str, str]:
    """The image collection that a data set holds, two encodings of one sharing their split key; and its title."""
    try:
        info = registry.find("datasets", dataset).info
    except InputError:
        return dataset, dataset
    return str(info.get("split_key") or dataset), str(info["title"])


def cut_of(record: Record) -> str:
    """Our metric in the words of the file: `mAP@all`, `mAP@5000`."""
    k = record.protocol.rules.get("k") if record.protocol else None
    return "mAP@all" if k is None else f"mAP@{k}"


def barriers(record: Record, theirs: Published) -> list[str]:
    """Why the two numbers are not of one protocol: split, cut-off, pixels. Empty: they may be joined."""
    spec, found = record.spec, []
    if theirs.protocol != spec.protocol:
        found.append(f"split {theirs.protocol} there, {spec.protocol} here")
    if theirs.cut != cut_of(record):
        found.append(f"{theirs.cut} there, {cut_of(record)} here")
    if _collection(spec.dataset)[0] != spec.dataset:
        found.append(f"pixels: {spec.dataset} here")
    return found


def differences(record: Record, theirs: Published) -> list[str]:
    """Recorded choices that may explain a difference under one protocol."""
    spec = record.spec
    found = [f"backbone {theirs.backbone} there, {spec.backbone} with weights {spec.weights} here"]
    there = "best epoch on the queries" if theirs.peeked else "not stated"
    found.append(f"selection {there} there, {spec.selection} here")
    if record.protocol is not None:
        found.append(f"ties by the source's sort there, {record.protocol.rules.get('ties', 'unknown')} here")
    if spec.epochs is not None:
        found.append(f"{spec.epochs} epochs of batch {spec.batch_size} here, the source's own there")
    remark = re.search(r"\((.*)\)", theirs.metric)
    return [*found, *([f"source's remark: {remark[1]}"] if remark and not theirs.peeked else [])]
