"""Long tables and lists: read by blocks and by folders, with the same result as line by line."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.contracts import HashDataset, ImageDataset
from benchmark.data import load as loading
from benchmark.data.shelf import FileShelf
from benchmark.datasets import _kept, _lists, _paths, _tables
from benchmark.datasets._declared import open_declaration
from benchmark.datasets._lists import ListFile, listed_files, read_list
from benchmark.datasets._table_labels import label_sets
from benchmark.datasets._tables import columns_of, read_table
from benchmark.errors import InputError
from benchmark.files.write import scratch_of
from benchmark.registry.declared import _opened, _stamps

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


class TestKept:
    """A long table or list is read once, and again when anything that it came from has changed."""

    @pytest.fixture(autouse=True)
    def _short_is_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_kept, "LEAST_BYTES", 0)
        self.given: list[bool] = []
        self.shelf = FileShelf(tmp_path / "cache" / "a.listing", lambda: "salt")
        real = _kept.Kept.read

        def noticed(kept: _kept.Kept, *key: str) -> Any:
            found = real(kept, *key)
            self.given.append(found is not None)
            return found

        monkeypatch.setattr(_kept.Kept, "read", noticed)
        monkeypatch.setattr(_kept, "_SETTLED", -(10**18))  # folders made just now count as settled

    @pytest.fixture(params=["table", "lists"])
    def declaration(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        rows = [(f"photos/{number}.png", number % 3) for number in range(6)]
        tmp_path = tmp_path / "data"
        for name, _ in rows:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        if request.param == "table":
            text = "".join(f"{name},{label},{'train' if label else 'test'}\n" for name, label in rows)
            (tmp_path / "table.csv").write_text(f"path,label,part\n{text}")
            told = 'table = "table.csv"'
        else:
            for part, chosen in (("query", rows[:2]), ("train", rows[1:])):
                (tmp_path / f"{part}.txt").write_text("".join(f"{name} {label}\n" for name, label in chosen))
            told = 'query = "query.txt"\ntrain = "train.txt"'
        file = tmp_path / "long.toml"
        file.write_text(f'kind = "{request.param}"\n{told}\nsize = 8\n')
        return file

    def opened(self, declaration: Path) -> tuple[bool, Any]:
        """Whether what was kept served for facts and files, and all that the set says."""
        self.given.clear()
        dataset = open_declaration(declaration, None, self.shelf)
        assert isinstance(dataset, ImageDataset)
        found = dataset.files(None)
        given = all(self.given)
        told = (
            dataset.info,
            list(found.paths),
            found.labels.tolist(),
            found.names.tolist(),
            {part: rows.tolist() for part, rows in (found.parts or {}).items()},
            list(found.origins),
            found.facts,
        )
        assert told == self.read_anew(declaration)
        return given, told

    def read_anew(self, declaration: Path) -> Any:
        dataset = open_declaration(declaration)
        assert isinstance(dataset, ImageDataset)
        found = dataset.files(None)
        parts = {part: rows.tolist() for part, rows in (found.parts or {}).items()}
        lists = (list(found.paths), found.labels.tolist(), found.names.tolist(), parts, list(found.origins))
        return (dataset.info, *lists, found.facts)

    def test_it_serves_the_next_process(self, declaration: Path) -> None:
        first, told = self.opened(declaration)
        assert not first
        assert self.opened(declaration) == (True, told)
        assert told[4]  # parts

    def test_documents_that_changed_and_look_alike(self, declaration: Path) -> None:
        self.opened(declaration)
        file = next(declaration.parent.glob("t*.[ct][sx][vt]"))
        before, text = file.stat(), file.read_text()
        last = text.splitlines()[-1]
        file.write_text(text.replace(last, last.replace(",2,", ",1,").replace(" 2", " 1")))
        assert file.read_text() != text
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert not self.opened(declaration)[0]
        assert self.opened(declaration)[0]

    @pytest.mark.parametrize("change", ['duplicates = "drop"', 'folder = "other"', "multi_label = true"])
    def test_another_declaration(self, declaration: Path, change: str) -> None:
        self.opened(declaration)
        (declaration.parent / "other").mkdir()
        declaration.write_text(f"{declaration.read_text()}{change}\n")
        assert not self.opened(declaration)[0]

    def test_what_lists_no_other_images_may_change(self, declaration: Path) -> None:
        self.opened(declaration)
        declaration.write_text(f'{declaration.read_text()}title = "Long"\nepochs = 3\n')
        assert self.opened(declaration)[0]

    def test_images_that_lie_elsewhere_now(self, declaration: Path) -> None:
        self.opened(declaration)
        photos = declaration.parent / "photos"
        (photos / "3.png").rename(photos / "3.jpg")
        assert not self.opened(declaration)[0]
        assert not self.opened(declaration)[0]  # one is missing: nothing is kept
        (photos / "3.png").touch()
        assert not self.opened(declaration)[0]
        assert self.opened(declaration)[0]
        photos.rename(declaration.parent / "gone")
        assert not self.opened(declaration)[0]

    def test_a_folder_that_appears_on_the_way(self, tmp_path: Path) -> None:
        """A path of another machine is found by its end, until its beginning is there as well."""
        tmp_path = tmp_path / "data"
        (tmp_path / "b").mkdir(parents=True)
        (tmp_path / "b" / "0.png").touch()
        (tmp_path / "l.csv").write_text("path,label\n/a/b/0.png,0\n")
        (tmp_path / "long.toml").write_text('kind = "table"\ntable = "l.csv"\n')
        assert self.opened(tmp_path / "long.toml")[1][1] == [tmp_path / "b" / "0.png"]
        assert self.opened(tmp_path / "long.toml")[0]
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "0.png").touch()
        assert self.opened(tmp_path / "long.toml") == (False, self.read_anew(tmp_path / "long.toml"))

    def test_a_folder_that_has_just_changed_is_not_trusted(
        self, declaration: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_kept, "_SETTLED", 10**18)
        for _ in range(2):
            assert not self.opened(declaration)[0]
        assert not self.shelf.file.exists()

    def test_a_table_that_changes_while_it_is_read(self, declaration: Path) -> None:
        """Facts of before and images of after are never kept together."""
        dataset = open_declaration(declaration, None, self.shelf)
        assert isinstance(dataset, ImageDataset)
        for file in declaration.parent.glob("*.*"):
            if file.suffix in (".csv", ".txt"):
                file.write_text(file.read_text().replace(",2,", ",1,").replace(" 2", " 1"))
        with contextlib.suppress(InputError):
            dataset.files(None)
        assert not self.shelf.file.exists()

    def test_a_damaged_file_is_made_again(self, declaration: Path) -> None:
        told = self.opened(declaration)[1]
        file = self.shelf.file
        whole = file.read_bytes()
        for at in (0, 10, 26, 40, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            file.write_bytes(bytes(damaged))
            assert self.opened(declaration) == (False, told)
            assert self.opened(declaration) == (True, told)
        for short in (b"", whole[:20], whole[:-1]):
            file.write_bytes(short)
            assert self.opened(declaration) == (False, told)

    def test_it_is_mapped_and_read_only(self, declaration: Path) -> None:
        self.opened(declaration)
        dataset = open_declaration(declaration, None, self.shelf)
        assert isinstance(dataset, ImageDataset)
        labels = dataset.files(None).labels
        assert isinstance(labels, np.memmap)
        assert not labels.flags.writeable


def test_a_shelf_forgets_other_keys_other_code_and_what_killed_processes_left(tmp_path: Path) -> None:
    arrays = {"a": np.arange(5), "b": np.zeros((0, 3), np.uint8)}
    left = scratch_of(tmp_path / "x")
    left = left.with_name(left.name.replace(f"-{os.getpid()}.", "-999999999."))  # no process has this number
    left.touch()
    FileShelf(tmp_path / "x", lambda: "one").write("key", arrays)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    found = FileShelf(tmp_path / "x", lambda: "one").read("key")
    assert found is not None
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert FileShelf(tmp_path / "x", lambda: "two").read("key") is None
    assert FileShelf(tmp_path / "x", lambda: "one").read("other") is None


def test_the_registry_hands_it_a_shelf_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_kept, "LEAST_BYTES", 0)
    monkeypatch.setattr(_kept, "_SETTLED", -(10**18))
    root = tmp_path / "data"
    root.mkdir()
    for number in range(4):
        np.save(root / f"{number}.npy", np.full((8, 8, 3), number, np.uint8))
    (root / "t.csv").write_text("path,label\n" + "".join(f"{n}.npy,{n % 2}\n" for n in range(4)))
    (root / "long.toml").write_text('kind = "table"\ntable = "t.csv"\nsize = 8\n')

    def opened() -> HashDataset:
        return _opened(root / "long.toml", _stamps(root / "long.toml"))

    before = loading.load(opened(), root)
    assert {file.suffix for file in (tmp_path / "cache" / "sources").iterdir()} == {".listing", ".npz"}
    _opened.cache_clear()

    def fail(*_: object) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(_tables, "read_text", fail)
        dataset = opened()
        assert loading.fingerprint_of(dataset, root) == before.fingerprint
        np.save(root / "3.npy", np.full((8, 8, 3), 9, np.uint8))  # an image is looked at all the same
    assert loading.load(opened(), root).fingerprint != before.fingerprint
