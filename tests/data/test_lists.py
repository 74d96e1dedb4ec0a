"""One reader of list files for loading and for audits: class indices of any size, odd lines, facts of each file."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import registry
from benchmark.data import load as loading
from benchmark.data.audit import list_files
from benchmark.data.audit.facts import Audit
from benchmark.data.audit.lists import audit_lists
from benchmark.data.load import LoadedDataset
from benchmark.datasets._files import no_labels, one_hot, read_cifar_batch
from benchmark.datasets._lists import read_list, renumbered
from benchmark.datasets._paths import Resolver
from benchmark.errors import InputError
from tests.layouts import lines, picture

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))


def load(name: str, root: Path) -> LoadedDataset:
    return loading.load(registry.dataset(name, root), root)


def shared(found: Audit, one: str = "query", other: str = "database", by: str = "id") -> int:
    return sum(o.images_of_one for o in found.overlaps if (o.one, o.other, o.by) == (one, other, by))


class TestClassIndices:
    """Indices are re-coded from 0 without gaps, over all files of a set; the names keep what was written."""

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        for number in range(8):
            picture(tmp_path / f"{number}.png", number)
        return tmp_path

    def one_list(self, root: Path, name: str, low: int, high: int) -> LoadedDataset:
        lines(root / f"{name}.txt", [f"{n}.png {high if n % 3 == 0 else low}" for n in range(8)])
        (root / f"{name}.toml").write_text(f'kind = "lists"\nimages = "{name}.txt"\nsize = 8')
        return load(name, root)

    @pytest.mark.parametrize(
        ("low", "high"), [(0, 65536), (40000, 40001), (1, 2), (5, 999_999), (2**40, 2**63 - 1)]
    )
    def test_a_list_gives_what_0_and_1_give(self, images: Path, low: int, high: int) -> None:
        plain, large = self.one_list(images, "plain", 0, 1), self.one_list(images, "large", low, high)
        assert large.labels.tolist() == plain.labels.tolist()
        assert large.fingerprint == plain.fingerprint
        assert large.info.classes == (f"class {low}", f"class {high}")

    def test_dense_indices_keep_their_places(self, images: Path) -> None:
        lines(images / "l.txt", ["0.png 2", "1.png 0", "2.png 1"])
        read = read_list(images / "l.txt")
        dense, names = renumbered({"all": read})
        assert (dense["all"].fields == read.fields).all()
        assert names == ("class 0", "class 1", "class 2")

    def test_a_class_of_one_file_alone_has_one_code_in_all(self, images: Path) -> None:
        lines(images / "q.txt", ["0.png 70000", "1.png 3"])
        lines(images / "t.txt", ["2.png 500", "3.png 70000"])
        lines(images / "d.txt", ["4.png 3", "5.png 500", "6.png 9"])
        (images / "mine.toml").write_text(
            'kind = "lists"\nquery = "q.txt"\ntrain = "t.txt"\ndatabase = "d.txt"\nsize = 8'
        )
        data = load("mine", images)
        assert data.info.classes == ("class 3", "class 9", "class 500", "class 70000")
        assert data.labels.argmax(axis=1).tolist() == [3, 0, 2, 3, 0, 2, 1]

    def test_declared_classes_are_places(self, images: Path) -> None:
        lines(images / "l.txt", ["0.png 2", "1.png 0"])
        declared = 'kind = "lists"\nimages = "l.txt"\nsize = 8\nclasses = ["a", "b", "c"]'
        (images / "mine.toml").write_text(declared)
        assert load("mine", images).labels.tolist() == [[0, 0, 1], [1, 0, 0]]
        lines(images / "l.txt", ["0.png 2", "1.png 65536"])
        with pytest.raises(InputError, match=r"l.txt line 2 has class index 65536; allowed: 0 to 2"):
            load("mine", images)

    def test_a_table_gives_what_0_and_1_give(self, images: Path) -> None:
        found = []
        for name, high in (("plain", "1"), ("large", str(10**30))):
            lines(images / f"{name}.csv", ["path,label", *(f"{n}.png,{(0, high)[n % 2]}" for n in range(8))])
            (images / f"{name}.toml").write_text(f'kind = "table"\ntable = "{name}.csv"\nsize = 8')
            found.append(load(name, images))
        assert found[0].fingerprint == found[1].fingerprint
        assert found[1].info.classes == ("0", str(10**30))

    def test_a_number_written_in_two_ways_has_one_order(self, images: Path) -> None:
        """Classes of equal value came in the order of a set of strings, another in every process."""
        lines(images / "a.csv", ["path,label", *(f"{n}.png,{'0' * n}1" for n in range(8))])
        (images / "a.toml").write_text('kind = "table"\ntable = "a.csv"\nsize = 8')
        assert load("a", images).info.classes == tuple("0" * n + "1" for n in reversed(range(8)))

    def test_one_hot_asks_for_its_own_rows_alone(self) -> None:
        hot = one_hot(np.array([999_999, 0]), 1_000_000, "x")
        assert hot.shape == (2, 1_000_000)
        assert np.flatnonzero(hot[0]).tolist() == [999_999]
        with pytest.raises(InputError, match=r"300,000 images with 300,000 classes .* GiB; allowed: 16 GiB"):
            no_labels(300_000, 300_000, "x")

    @pytest.mark.parametrize("odd", [0.5, -0.5, np.nan, np.inf, -1, 2, 2**63, 1e300])
    def test_arrays_of_indices_are_checked(self, odd: float) -> None:
        labels = np.array([0, 1, odd], dtype=np.uint64 if odd == 2**63 else None)
        with pytest.raises(InputError, match=r"'x' holds label .*; allowed: 0 to 1"):
            one_hot(labels, 2, "x")
        assert one_hot(np.array([1.0, 0.0]), 2, "x").tolist() == [[0, 1], [1, 0]]

    @pytest.mark.parametrize("labels", [[0.5, 1.0], ["0", "1"], 1, [[0], [1]], [None, 1]])
    def test_a_batch_of_odd_labels(self, tmp_path: Path, labels: object) -> None:
        content = {b"data": np.zeros((2, 3072), np.uint8), b"labels": labels}
        (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=r"data_batch_1' is no readable CIFAR batch: its labels are"):
            read_cifar_batch(tmp_path / "data_batch_1")

    @pytest.mark.parametrize("field", ["-1", "0.5", "nan", "inf", str(2**63), "1e400", "9" * 5000])
    def test_what_is_no_index_is_named(self, images: Path, field: str) -> None:
        lines(images / "l.txt", ["0.png 1", f"1.png {field}"])
        with pytest.raises(
            InputError, match=r"l.txt' line 2 has the label field .{1,40}; allowed: "
        ) as caught:
            read_list(images / "l.txt")
        assert len(str(caught.value)) < 400


class TestOneReader:
    """What loading reads and what an audit counts are the same."""

    @pytest.mark.parametrize(
        ("line", "path", "labels"),
        [
            ("my photos/a 1.jpg 0 1", "my photos/a 1.jpg", [0, 1]),
            ("a  b.jpg\t1\t0  ", "a  b.jpg", [1, 0]),
            ("a.jpg 1.0 0.0", "a.jpg", [1, 0]),
            ("v 0.7 take/a 12", "v 0.7 take/a", [12]),
            ("version 0.7 12", "version 0.7", [12]),
            ("a:b.jpg 1 0", "a:b.jpg", [1, 0]),
            ("a.jpg 1 -1", "a.jpg", [1, 0]),
            ("a.jpg 1e3", "a.jpg", [1000]),
        ],
    )
    def test_a_line(self, tmp_path: Path, line: str, path: str, labels: list[int]) -> None:
        (tmp_path / "test.txt").write_text(f"{line}\n")
        read = read_list(tmp_path / "test.txt")
        assert (read.paths, read.fields.tolist()) == ([path], [labels])
        facts = audit_lists([tmp_path / "test.txt"]).parts["query"]
        assert facts.labels_per_image == (sum(labels) if len(labels) > 1 else 1)

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("b.jpg 0.7 0.3", "has the label field 0.7"),
            ("b.jpg 0.7 1", "has the label field 0.7"),
            ("cat 0.1 -0.2 0.3", "has the label field 0.1"),
            ("b.jpg 1 nan", "has the label field nan"),
            ("b.jpg 0 -1", "has the label field -1"),
            ("b.jpg 1 0 x", "has no label after"),
        ],
    )
    def test_a_wrong_line(self, tmp_path: Path, line: str, said: str) -> None:
        (tmp_path / "test.txt").write_text(f"a.jpg 1 0\n{line}\n")
        with pytest.raises(InputError, match=f"test.txt' line 2 {said}"):
            read_list(tmp_path / "test.txt")
        found = audit_lists([tmp_path / "test.txt"])
        assert re.search(f"test.txt line 2 {said}", "\n".join(found.findings))
        assert found.parts["query"].labels_per_image == 1, "of the line that can be read"

    def test_a_long_line_is_read_in_linear_time(self, tmp_path: Path) -> None:
        (tmp_path / "l.txt").write_text("a.jpg" + " 7" * 200_000 + " x\n")
        with pytest.raises(InputError, match=r"line 1 has a path of 400,007 characters") as caught:
            read_list(tmp_path / "l.txt")
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"a.jpg 1 0\nb.jpg 0\x00 1\n", "line 2 holds a zero byte"),
            ("a.jpg 1 0\n".encode("utf-16"), "line 1: the file is UTF-16; save it as UTF-8"),
            ("a.jpg 1 0\rb\u00e9.jpg 0 1\r".encode("latin-1"), "line 2 is not UTF-8 .byte e9."),
            (b"", "names no image"),
            (b"\xef\xbb\xbf \r\n\r\n", "names no image"),
        ],
    )
    def test_what_is_no_text(self, tmp_path: Path, content: bytes, said: str) -> None:
        (tmp_path / "l.txt").write_bytes(content)
        for read in (read_list, lambda path: audit_lists([path])):
            with pytest.raises(InputError, match=f"l.txt' {said}"):
                read(tmp_path / "l.txt")

    def test_lines_that_end_in_any_way(self, tmp_path: Path) -> None:
        for end in ("\n", "\r\n", "\r"):
            (tmp_path / "l.txt").write_bytes(f"\ufeffa.jpg 1 0{end}{end}b.jpg 0 1".encode())
            read = read_list(tmp_path / "l.txt")
            assert (list(read.paths), list(read.lines)) == (["a.jpg", "b.jpg"], [1, 3])


class TestFactsOfEachFile:
    """An audit says of a list what is in that list."""

    def test_a_list_without_labels_has_none(self, tmp_path: Path) -> None:
        """As HashGAN's `database_nolabel` beside its `database`."""
        lines(tmp_path / "test.txt", ["a/1 0 1"])
        lines(tmp_path / "database.txt", ["a/2 1 0", "a/3 0 1", "a/4 0 1"])
        lines(tmp_path / "database_nolabel.txt", ["a/2 0 0", "a/3 0 0", "a/4 0 0"])
        parts = audit_lists(list_files(tmp_path)).parts
        assert (parts["database"].zero_label, parts["database"].labels_per_image) == (0, 1)
        assert parts["database_nolabel"].zero_label == 3
        assert parts["database_nolabel"].labels_per_image == 0
        lines(tmp_path / "database_nolabel.txt", ["a/2", "a/3", "a/4"])
        parts = audit_lists(list_files(tmp_path)).parts
        assert parts["database_nolabel"].labels_per_image is None
        assert parts["database_nolabel"].largest_class is None

    def test_the_labels_of_an_image_in_two_lists(self, tmp_path: Path) -> None:
        lines(tmp_path / "test.txt", ["a/1 1 0", "a/2 1 0"])
        lines(tmp_path / "database.txt", ["a/1 0 1", "a/2 1 0"])
        found = audit_lists(list_files(tmp_path))
        assert found.parts["query"].missing_classes == ("1",)
        assert found.parts["database"].missing_classes == ()
        said = "1 images have other labels on another line, first test.txt line 1 and database.txt line 1"
        assert said in found.findings

    def test_class_indices_of_any_size(self, tmp_path: Path) -> None:
        lines(tmp_path / "test.txt", [f"a/1 {2**40}", "a/2 65536"])
        lines(tmp_path / "train.txt", ["a/3 65536", "a/4 65536", "a/5 9"])
        parts = audit_lists(list_files(tmp_path)).parts
        assert parts["query"].missing_classes == ("9",)
        assert parts["train"].missing_classes == (str(2**40),)
        assert parts["train"].largest_class == ("65536", 2)

    def test_lists_of_other_widths(self, tmp_path: Path) -> None:
        lines(tmp_path / "test.txt", ["a/1 0 1 0", "a/2 1 1 0"])
        lines(tmp_path / "train.txt", ["a/3 1", "a/4 0"])
        parts = audit_lists(list_files(tmp_path)).parts
        assert (parts["query"].labels_per_image, parts["query"].missing_classes) == (1.5, ("2",))
        assert (parts["train"].labels_per_image, parts["train"].missing_classes) == (1, ())

    def test_a_file_that_is_no_list_is_left_out_and_said(self, tmp_path: Path) -> None:
        lines(tmp_path / "test.txt", ["a/1 0 1"])
        lines(tmp_path / "wordvec.txt", ["cat 0.25 -0.5 0.125", "dog 0.5 0.75 -0.25"])
        found = audit_lists(list_files(tmp_path))
        assert list(found.parts) == ["query"]
        (said,) = [line for line in found.findings if "wordvec" in line]
        assert "line 1 has the label field 0.25" in said
        with pytest.raises(InputError, match=r"no line of .*wordvec.txt' is one of a list"):
            audit_lists([tmp_path / "wordvec.txt"])


class TestOneFileIsOneImage:
    """A leak is found by the file that a path leads to."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for number in range(4):
            picture(tmp_path / "images" / f"im{number}.jpg", number)
        return tmp_path

    @pytest.mark.parametrize("written", ["im1.jpg", "./im1.jpg", "images/im1.jpg", "/old/images/im1.jpg"])
    @pytest.mark.parametrize("named", [True, False])
    def test_however_it_is_written(self, folder: Path, written: str, named: bool) -> None:
        lines(folder / "test.txt", [f"{written} 1 0"])
        lines(folder / "database.txt", ["images/im1.jpg 1 0", "images/im2.jpg 0 1"])
        found = audit_lists(list_files(folder), folder / "images" if named else None)
        assert shared(found) == 1
        assert (found.images, found.pixels) == (2, "compared")

    @pytest.mark.parametrize("link", [os.link, os.symlink])
    def test_a_link_is_the_file(self, folder: Path, link: type) -> None:
        link(folder / "images" / "im1.jpg", folder / "images" / "other.jpg")
        lines(folder / "test.txt", ["images/other.jpg 1 0"])
        lines(folder / "database.txt", ["images/im1.jpg 1 0"])
        assert shared(audit_lists(list_files(folder))) == 1

    def test_a_copy_is_found_by_its_pixels(self, folder: Path) -> None:
        (folder / "images" / "other.jpg").write_bytes((folder / "images" / "im1.jpg").read_bytes())
        lines(folder / "test.txt", ["images/other.jpg 1 0"])
        lines(folder / "database.txt", ["images/im1.jpg 1 0"])
        found = audit_lists(list_files(folder))
        assert (shared(found), shared(found, by="pixels")) == (0, 1)

    def test_spaces_in_paths(self, folder: Path) -> None:
        for number in (1, 2):
            picture(folder / "my photos" / f"im {number}.jpg", number)
        lines(folder / "test.txt", ["my photos/im 1.jpg 1 0"])
        lines(folder / "database.txt", ["my photos/im 1.jpg 1 0", "my photos/im 2.jpg 0 1"])
        found = audit_lists(list_files(folder))
        assert (shared(found), found.images) == (1, 2)

    def test_images_that_are_not_at_hand(self, tmp_path: Path) -> None:
        lines(tmp_path / "test.txt", ["im1.jpg 1 0", "/a/images/im2.jpg 1 0"])
        lines(tmp_path / "database.txt", ["images/im1.jpg 1 0", "x/images/im3.jpg 0 1"])
        assert shared(audit_lists(list_files(tmp_path))) == 1
        lines(tmp_path / "database.txt", ["images/im1.jpg 1 0", "dog/im1.jpg 0 1"])
        assert shared(audit_lists(list_files(tmp_path))) == 0, "which of the two is not known"


class TestColons:
    """A colon in a name is a letter like any other, unless it ends a drive or a scheme that is not here."""

    @pytest.mark.parametrize(
        ("written", "name"),
        [
            ("a:b.png", "a:b.png"),
            ("a:b/0.png", "a:b/0.png"),
            ("cat:/0.png", "cat:/0.png"),
            ("/old/cat:/0.png", "cat:/0.png"),
            ("C:\\old\\cat:\\0.png", "cat:/0.png"),
            ("file:///old/cat:/0.png", "cat:/0.png"),
            ("D:\\0.png", "0.png"),
            ("cat:/1.png", "cat:/1.png"),
        ],
    )
    def test_paths(self, tmp_path: Path, written: str, name: str) -> None:
        for number, one in enumerate(("a:b.png", "a:b/0.png", "cat:/0.png", "0.png", "1.png")):
            picture(tmp_path / one, number)
        found = Resolver(tmp_path).find([written, "a:b.png"])
        assert found.names[0] == name
        assert found.files[0].is_file() == (name != "cat:/1.png"), "no image stands in for a missing one"


def test_a_run_scores_distant_indices_as_it_scores_0_and_1(tmp_path: Path, run_cli: Cli) -> None:
    found = []
    for high in (1, 65536, 2**40):
        root = tmp_path / str(high)
        for number in range(24):
            picture(root / f"{number}.png", number)
        rows = [f"{number}.png {high if number % 3 else 0}" for number in range(24)]
        for part, some in {"query": rows[:6], "train": rows[6:14], "database": rows[14:]}.items():
            lines(root / f"{part}.txt", some)
        parts = "\n".join(f'{part} = "{part}.txt"' for part in ("query", "train", "database"))
        (root / "mine.toml").write_text(f'kind = "lists"\nsize = 8\n{parts}')
        sweep = ("--datasets", "mine", "--methods", "lsh,itq-cca", "--bits", 8, "--tracking-uri", "none")
        code, _, err = run_cli("run", *sweep, "--data-root", root, "--results", root / "runs")
        assert code == 0, err
        records = [json.loads(path.read_text()) for path in sorted(root.glob("runs/*/*/*/record.json"))]
        found.append([(one["fit_id"], one["scores"]) for one in records])
        assert len(found[-1]) == 2
    assert found[0] == found[1] == found[2]
