"""Files that Windows editors saved: a byte order mark before the first key changes nothing."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from benchmark import registry
from benchmark.authoring.tune import read_study
from benchmark.report.published import COLUMNS, read_published
from benchmark.spec import suites
from benchmark.spec.custom_protocol import read_custom


def _suite(path: Path) -> object:
    return suites.read(str(path))


def _protocol(path: Path) -> object:
    return read_custom(path)


def _data_set(path: Path) -> object:
    for name in ("cat", "dog"):
        (path.parent / "pets" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path.parent / "pets" / name / "1.png")
    return registry.dataset("whose", path.parent).info


def _published(path: Path) -> object:
    return read_published(path)


def _study(path: Path) -> object:
    return read_study(path)


SETTING = (
    '{"dataset": "digits", "fingerprint": "0123456789abcdef", "protocol": "digits-20-50", "backbone": "compact", '
    '"weights": "none", "bits": 16, "epochs": 1, "batch_size": 8, "seed": 0, "trials": 2}'
)
FILES: list[tuple[str, str, Callable[[Path], object]]] = [
    ("s.toml", 'methods = "lsh"\n', _suite),
    ("p.toml", 'query = 5\ntrain = 5\ndraw = "per-class"\ndatabase = "all-but-query"\n', _protocol),
    ("whose.toml", 'kind = "folder"\nfolder = "pets"\nprotocol = "balanced-20-50"\n', _data_set),
    ("n.csv", ",".join(COLUMNS) + "\n", _published),
    ("t.json", f'{{"setting": {SETTING}}}', _study),
]


@pytest.mark.parametrize(("name", "content", "read"), FILES, ids=[name for name, *_ in FILES])
def test_a_byte_order_mark_changes_nothing(
    tmp_path: Path, name: str, content: str, read: Callable[[Path], object]
) -> None:
    plain, marked = tmp_path / "plain" / name, tmp_path / "marked" / name
    for path, mark in ((plain, b""), (marked, codecs.BOM_UTF8)):
        path.parent.mkdir()
        path.write_bytes(mark + content.encode())
    assert read(marked) == read(plain)
