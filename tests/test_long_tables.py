"""Long tables and lists: read by blocks and by folders, with the same result as line by line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.datasets import _lists, _paths, _tables
from benchmark.datasets._lists import ListFile, listed_files, read_list
from benchmark.datasets._table_labels import label_sets
from benchmark.datasets._tables import columns_of, read_table
from benchmark.errors import InputError

ODD = ("a", " b", "b\u2003", "", "0", "1", "\x1fc", "a;b", "x\u00a0")


def told(read: Callable[[], Any]) -> Any:
    """What a reader finds, or says."""
    try:
        return read()
    except InputError as error:
        return str(error)


def test_a_table_read_by_blocks_is_the_one_read_by_the_csv_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, file, good = random.Random(0), tmp_path / "t.csv", 0
    monkeypatch.setattr(_tables, "_BLOCK", 3)
    for _ in range(400):
        width, delimiter = draw.randint(1, 3), draw.choice(",;\t")
        rows = [delimiter.join(draw.choice(ODD) for _ in range(width)) for _ in range(draw.randint(1, 9))]
        if draw.random() < 0.5:
            rows.insert(draw.randint(0, len(rows)), draw.choice(["", " ", delimiter, 'x"y', "\x04", "x\x04"]))
        file.write_text("\n".join(rows), encoding="utf-8")
        fast = told(lambda: read_table(file))
        with monkeypatch.context() as patch:
            patch.setattr(_tables, "_read_plain", lambda *_: None)
            slow = told(lambda: read_table(file))
        if isinstance(slow, str):
            assert fast == slow
        else:
            good += 1
            assert (fast.columns, fast.cells, list(fast.lines)) == (slow.columns, slow.cells, slow.lines)
    assert good > 200


def test_images_looked_for_by_folder_are_found_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x.jpg", "a/y.jpg", "b/x.jpg", "train/c/x.jpg", "x.jpg", "a/b/y.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "z.jpg").symlink_to(tmp_path / "gone.jpg")
    draw = random.Random(0)
    for _ in range(300):
        start = draw.choice(["/home/me/", "a/", "", "c:\\", "../", "a//./"])
        written = [start + draw.choice(["x.jpg", "y.jpg", "b/x.jpg", "c/x.jpg", "z.jpg"]) for _ in range(4)]
        found = []
        for few, many in ((1, 8), (1, 0), (16, 8)):  # whole folders, a part of each, one by one
            monkeypatch.setattr(_paths, "_FEW", few)
            monkeypatch.setattr(_paths, "_MANY", many)
            one = _paths.Resolver(tmp_path, ("train",)).find(written)
            found.append((one.names, list(one.files), one.left_out))
        assert found[0] == found[1] == found[2]
        assert found[0][1] == [tmp_path / name for name in found[0][0]]


def test_a_folder_of_many_listed_images_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.jpg" for number in range(200)]
    for name in names:
        (tmp_path / name).touch()
    asked = []
    monkeypatch.setattr(_paths.os.path, "isfile", lambda path: asked.append(path) or False)
    assert _paths.Resolver(tmp_path).find(names).names == names
    assert not asked


def test_labels_of_rows_that_share_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\n1.jpg,b;a\n2.jpg,\n3.jpg,b;a\n4.jpg,c\n")
    table = read_table(tmp_path / "t.csv")
    labels = label_sets(table, columns_of(table), ";")
    number = {"a": 0, "b": 1, "c": 2}
    hot = labels.hot(number, np.array([0, 1, 2, 3]), table.file)
    assert hot.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert labels.hot(number, np.array([3, 0]), table.file).tolist() == [[0, 0, 1], [1, 1, 0]]
    assert labels.several


def test_a_list_read_by_blocks_is_the_one_read_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, file, plain = random.Random(0), tmp_path / "l.txt", 0
    monkeypatch.setattr(_lists, "_BLOCK", 3)
    for _ in range(400):
        width, labels = draw.choice([(1, "0123"), (3, "01")])
        lines = [
            f"{draw.choice('abc')}.jpg {' '.join(draw.choices(labels, k=width))}{draw.choice(['', ' '])}"
            for _ in range(draw.randint(1, 9))
        ]
        if draw.random() < 0.5:
            odd = [
                "",
                "  ",
                "a.jpg",
                "a b.jpg 1",
                "d.jpg -1 1 1",
                "d.jpg 007",
                "d.jpg 1.0",
                "d.jpg x",
                "d.jpg 1 0 1",
            ]
            lines.insert(draw.randint(0, len(lines)), draw.choice(odd))
        file.write_text("\n".join(lines), encoding="utf-8")
        plain += _lists._read_plain(file) is not None
        fast = told(lambda: read_list(file))
        with monkeypatch.context() as patch:
            patch.setattr(_lists, "_read_plain", lambda _: None)
            slow = told(lambda: read_list(file))
        if isinstance(slow, str):
            assert fast == slow
        else:
            assert (fast.paths, fast.fields.tolist(), fast.lines) == (
                slow.paths,
                slow.fields.tolist(),
                slow.lines,
            )
    assert plain > 200


class TestMerged:
    """Several lists as one set."""

    def lists(self, **lines: list[str]) -> dict[str, ListFile]:
        return {
            part: ListFile(
                Path(f"{part}.txt"),
                [line[0] for line in told],
                np.array([[int(line[1])] for line in told]),
                range(1, 1 + len(told)),
            )
            for part, told in lines.items()
        }

    def test_rows_parts_and_origins(self, tmp_path: Path) -> None:
        lists = self.lists(query=["b0", "a1", "b0"], train=["c1", "a1", "d0"])
        found = listed_files(lists, 2, _paths.Resolver(tmp_path), "drop")
        assert found.names.tolist() == ["b", "a", "c", "d"]
        assert found.labels.argmax(axis=1).tolist() == [0, 1, 1, 0]
        assert found.parts is not None
        assert {part: rows.tolist() for part, rows in found.parts.items()} == {
            "query": [0, 1],
            "train": [2, 1, 3],
        }
        assert list(found.origins) == [
            "query.txt line 1",
            "query.txt line 2",
            "train.txt line 1",
            "train.txt line 3",
        ]
        assert found.paths == [tmp_path / name for name in "bacd"]

    @pytest.mark.parametrize(
        ("query", "train", "message"),
        [
            (["a0", "b1", "a0"], ["c0"], "query.txt line 3 repeats image 'a' of query.txt line 1"),
            (
                ["a0", "b1"],
                ["c0", "b0"],
                "train.txt line 2 gives image 'b' other labels than query.txt line 2",
            ),
            (["a0", "a1"], ["c0"], "query.txt line 2 gives image 'a' other labels than query.txt line 1"),
        ],
    )
    def test_what_cannot_be_meant(
        self, tmp_path: Path, query: list[str], train: list[str], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            listed_files(self.lists(query=query, train=train), 2, _paths.Resolver(tmp_path))
