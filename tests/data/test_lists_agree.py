"""Lists as they circulate: the audit and the data sets read them by one rule, and class numbers may be any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark import registry
from benchmark.authoring.declare_dataset import declare
from benchmark.data.audit.lists import audit_lists
from benchmark.data.load import load
from benchmark.datasets._lists import read_list
from benchmark.errors import InputError
from benchmark.spec import suites

Cli = Callable[..., tuple[int, str, str]]


def pictures(folder: Path, count: int, names: str = "im{}.png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(3)
    for number in range(count):
        pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / names.format(number))


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_list_without_labels_has_no_label_statistics(tmp_path: Path) -> None:
    """HashGAN's folder: `database_nolabel` is not described by the labels of `database`."""
    write(tmp_path / "database.txt", *(f"db/{n}.png {n % 2} {1 - n % 2}" for n in range(6)))
    write(tmp_path / "database_nolabel.txt", *(f"db/{n}.png" for n in range(6)))
    write(tmp_path / "test.txt", *(f"q/{n}.png 1 0" for n in range(3)))
    found = audit_lists(sorted(tmp_path.glob("*.txt")))
    assert found.parts["database"].labels_per_image == 1.0
    without = found.parts["database_nolabel"]
    assert (without.labels_per_image, without.smallest_class, without.missing_classes) == (None, None, ())
    assert found.parts["query"].missing_classes == ("1",)
    assert any("database_nolabel.txt has no label columns" in one for one in found.findings)


def test_each_file_is_described_by_its_own_lines(tmp_path: Path) -> None:
    """An image that two files label differently counts as each of them says."""
    write(tmp_path / "train.txt", "a/1.png 1 0", "a/2.png 1 0")
    write(tmp_path / "database.txt", "a/1.png 0 1", "a/2.png 0 1", "a/3.png 0 1")
    found = audit_lists([tmp_path / "train.txt", tmp_path / "database.txt"])
    assert found.parts["train"].missing_classes == ("1",)
    assert found.parts["database"].missing_classes == ("0",)
    assert any("2 images have other labels on another line" in one for one in found.findings)


@pytest.mark.parametrize(
    ("query", "database"),
    [
        ("im{}.png", "images/im{}.png"),
        ("./im{}.png", "images/im{}.png"),
        ("images/im{}.png", "/home/other/data/images/im{}.png"),
        ("images\\im{}.png", "C:\\data\\images\\im{}.png"),
        ("im{}.png", "im{}.png"),
    ],
)
@pytest.mark.parametrize("here", [False, True], ids=["names alone", "files at hand"])
def test_a_leak_is_found_however_paths_are_written(
    tmp_path: Path, query: str, database: str, here: bool
) -> None:
    lists = tmp_path / "lists"
    write(lists / "test.txt", *(f"{query.format(n)} 1" for n in range(2)))
    write(lists / "database.txt", *(f"{database.format(n)} 1" for n in range(1, 6)))
    if here:
        pictures(lists / "images", 6)
        pictures(lists, 6)
        for n in range(6):  # one image, whichever of the two is meant
            (lists / f"im{n}.png").unlink()
            (lists / f"im{n}.png").symlink_to(lists / "images" / f"im{n}.png")
    found = audit_lists([lists / "test.txt", lists / "database.txt"], lists if here else None)
    shared = [one for one in found.overlaps if {one.one, one.other} == {"query", "database"}]
    assert sum(one.images_of_one for one in shared if one.by == "id") == 1, found


def test_the_same_name_in_two_folders_is_two_images(tmp_path: Path) -> None:
    write(tmp_path / "test.txt", "cat/0.png 0", "0.png 1")
    write(tmp_path / "database.txt", "dog/0.png 1", "dog/1.png 1")
    assert not audit_lists([tmp_path / "test.txt", tmp_path / "database.txt"]).overlaps


# ---- class numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [1, 40_000, 65_536, 999_999, 2**40])
@pytest.mark.parametrize("kind", ["lists", "table"])
def test_class_numbers_may_be_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, second: int
) -> None:
    """The same images give the same codes and mAP, whatever number the second class has."""
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    pictures(tmp_path, 60)
    rows = [(f"im{n}.png", 0 if n % 3 else second) for n in range(60)]
    if kind == "lists":
        write(tmp_path / "all.txt", *(f"{name} {label}" for name, label in rows))
        keys = {"images": str(tmp_path / "all.txt")}
    else:
        write(tmp_path / "all.csv", "path,label", *(f"{name},{label}" for name, label in rows))
        keys = {"table": str(tmp_path / "all.csv")}
    declare("mine", {**keys, "size": "8"}, tmp_path)
    data = load(registry.dataset("mine", tmp_path), tmp_path)
    assert data.labels.shape == (60, 2)
    expected = ("class 0", f"class {second}") if kind == "lists" else ("0", str(second))
    assert data.info.classes == expected
    assert (data.labels.argmax(axis=1) == [n % 3 == 0 for n in range(60)]).all()


def test_parts_share_their_class_numbers(tmp_path: Path) -> None:
    pictures(tmp_path, 9)
    write(tmp_path / "test.txt", "im0.png 70000", "im1.png 5")
    write(tmp_path / "train.txt", "im2.png 5", "im3.png 9")
    write(tmp_path / "database.txt", *(f"im{n}.png {(5, 9, 70_000)[n % 3]}" for n in range(4, 9)))
    parts = {
        part: str(tmp_path / f"{name}.txt")
        for part, name in (("query", "test"), ("train", "train"), ("database", "database"))
    }
    found = declare("mine", {**parts, "folder": str(tmp_path), "size": "8"}, tmp_path)
    assert found.info.classes == ("class 5", "class 9", "class 70000")
    data = load(registry.dataset("mine", tmp_path), tmp_path)
    assert data.labels[data.parts["query"]].argmax(axis=1).tolist() == [2, 0]  # type: ignore[index]
    assert data.labels[data.parts["train"]].argmax(axis=1).tolist() == [0, 1]  # type: ignore[index]


def test_declared_classes_bound_the_numbers(tmp_path: Path) -> None:
    pictures(tmp_path, 4)
    write(tmp_path / "all.txt", *(f"im{n}.png {n}" for n in range(4)))
    (tmp_path / "mine.toml").write_text(
        'kind = "lists"\nimages = "all.txt"\nfolder = "."\nsize = 8\nclasses = ["a", "b", "c"]\n'
    )
    with pytest.raises(InputError, match=r"all.txt line 4 has class index 3; allowed: 0 to 2"):
        registry.dataset("mine", tmp_path).files(None)  # type: ignore[attr-defined]


def test_scores_do_not_hang_on_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Cli
) -> None:
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    pictures(tmp_path, 60)
    scores = []
    for name, second in (("near", 1), ("far", 65_536)):
        write(tmp_path / f"{name}.txt", *(f"im{n}.png {0 if n % 3 else second}" for n in range(60)))
        declare(name, {"images": str(tmp_path / f"{name}.txt"), "size": "8"}, tmp_path)
        rule = ("--protocol", "custom-q10-t30-stratified-all-but-query-kall")
        run = ("run", "--methods", "lsh", "--bits", "8", "--datasets", name, "--tracking-uri", "none")
        code, _, err = run_cli(*run, *rule, "--results", tmp_path / name)
        assert code == 0, err
        from benchmark.store.store import Store

        scores.append(next(Store(tmp_path / name).records()).score())
    assert scores[0] == pytest.approx(scores[1], abs=0.15)  # other draws: the data sets have other names
    assert max(scores) < 0.9


# ---- what is wrong is one line ---------------------------------------------------------------------------


BAD_LISTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "names no image"),
    "blank lines": (b"\n \n\r\n", "names no image"),
    "utf-16": ("im0.png 1\n".encode("utf-16"), "line 1: the file is UTF-16"),
    "latin-1": ("caf\xe9.png 1\n".encode("latin-1"), "line 1 is not UTF-8"),
    "zero bytes": (b"im0.png\0 1\n", "zero byte"),
    "fewer columns": (b"im0.png 1 0\nim1.png 1\n", "line 2 has 1 label fields; the lines before have 2"),
    "no label": (b"im0.png 1\nim1.png\n", "line 2 has no label after its path"),
    "negative": (b"im0.png -1\n", "line 1 has the label field -1"),
    "two": (b"im0.png 0 2\n", "line 1 has the label field 2"),
    "nan": (b"im0.png 1\nim1.png nan\n", "line 2 has the label field nan"),
    "huge number": (b"im0.png 1" + b"0" * 300 + b"\n", "line 1 has the label field 1000"),
    "one path": (b"x" * 70_000 + b" 1\n", "has a path of 70,000 characters"),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_a_bad_list_is_one_line(tmp_path: Path, run_cli: Cli, name: str) -> None:
    content, text = BAD_LISTS[name]
    pictures(tmp_path, 2)
    (tmp_path / "all.txt").write_bytes(content)
    code, out, err = run_cli(
        "dataset", "add", "mine", "--images", tmp_path / "all.txt", "--size", "8", "--data-root", tmp_path
    )
    assert (code, err.count("\n")) == (2, 1), out + err
    import re

    assert re.search(text, err), err
    assert not (tmp_path / "mine.toml").exists()


def test_a_carriage_return_alone_ends_a_line(tmp_path: Path) -> None:
    """As old Macintosh programs wrote it; Python reads it so."""
    (tmp_path / "all.txt").write_bytes(b"im0.png 1\rim1.png 0\r")
    assert read_list(tmp_path / "all.txt").paths == ["im0.png", "im1.png"]


TABLES: dict[str, tuple[str, str]] = {
    "a column twice": ("path,label,label\na.png,1,0\n", "line 1 has 2 columns 'label'"),
    "two paths": ("path,path,label\na.png,b.png,1\n", "line 1 has 2 columns 'path'"),
    "nan among numbers": ("path,label\nim0.png,1\nim1.png,nan\n", "line 3 has the label 'nan'"),
    "fewer cells": ("path,label\na.png,1\nb.png\n", "line 3 has 1 cells; the header has 2"),
    "no rows": ("path,label\n", "has no rows"),
    "nothing": ("", "has no rows|is empty|no header"),
    "no labels": ("path\na.png\n", "has no label column"),
    "an empty label": ("path,label\nim0.png,1\nim1.png,\n", "line 3 has no label"),
    "no path": ("path,label\n,1\n", "line 2 has no path"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table_is_one_line(tmp_path: Path, run_cli: Cli, name: str) -> None:
    content, text = TABLES[name]
    pictures(tmp_path, 2)
    (tmp_path / "t.csv").write_text(content)
    code, out, err = run_cli("dataset", "add", "mine", "--table", tmp_path / "t.csv", "--data-root", tmp_path)
    assert (code, err.count("\n")) == (2, 1), out + err
    import re

    assert re.search(text, err), err
    assert not (tmp_path / "mine.toml").exists()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--protocol", "nope"), "unknown protocol 'nope'"),
        (("--protocol", "cifar10-59k"), "is for cifar10, cifar10-jpeg, not for data set 'mine'"),
        (("--protocol", "lists"), "has no lists|needs|parts"),
        (("--protocol", "balanced-100-500"), "class"),
        (("--size", "0"), "size|pixels"),
        (("--size", "100000"), "size|pixels"),
        (("--epochs", "0"), "epochs"),
    ],
)
def test_what_would_fail_at_run_is_refused_at_once(
    tmp_path: Path, run_cli: Cli, flags: tuple[str, ...], text: str
) -> None:
    pictures(tmp_path / "a", 4)
    pictures(tmp_path / "b", 4)
    command = ("dataset", "add", "mine", "--folder", tmp_path, "--data-root", tmp_path)
    code, out, err = run_cli(*command, *flags)
    assert (code, err.count("\n")) == (2, 1), out + err
    import re

    assert re.search(text, err), err
    assert not (tmp_path / "mine.toml").exists()


def test_a_doubled_column_that_is_not_read_does_no_harm(tmp_path: Path, run_cli: Cli) -> None:
    pictures(tmp_path, 60)
    write(tmp_path / "t.csv", "note,path,label,note", *(f"x,im{n}.png,{n % 2},y" for n in range(60)))
    keys = ("--table", tmp_path / "t.csv", "--labels", "label", "--data-root", tmp_path)
    code, out, err = run_cli("dataset", "add", "mine", *keys)
    assert code == 0, err
    assert "60 images, 2 classes" in out


def test_names_with_a_colon(tmp_path: Path, run_cli: Cli) -> None:
    folder = tmp_path / "photos"
    pictures(folder / "cat: tabby", 40, "12:30 {}.png")
    pictures(folder / "dog", 40)
    write(
        tmp_path / "all.txt",
        *(f"photos/cat: tabby/12:30 {n}.png 0" for n in range(40)),
        *(f"photos/dog/im{n}.png 1" for n in range(40)),
    )
    for name, keys in (("folders", ("--folder", folder)), ("listed", ("--images", tmp_path / "all.txt"))):
        code, out, err = run_cli("dataset", "add", name, *keys, "--size", "8", "--data-root", tmp_path)
        assert code == 0, out + err
        assert "80 images, 2 classes" in out
    code, _, err = run_cli("dataset", "add", "a:b", "--folder", folder, "--data-root", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "lower-case letters, digits and hyphens" in err


CONTENT = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.sampled_from(
            [
                *'10="[],;\t \n',
                "im0.png",
                "-1",
                "0.5",
                "1e400",
                "nan",
                "\r\n",
                "\ufeff",
                "kind",
                "lists",
                "path,label",
                "methods",
                "bits",
                "9" * 30,
            ]
        ),
        max_size=30,
    ).map(lambda words: "".join(words).encode()),
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=CONTENT, reader=st.sampled_from(["list", "audit", "table", "declaration", "suite"]))
def test_readers_meet_anything(tmp_path_factory: pytest.TempPathFactory, content: bytes, reader: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = folder / {"table": "t.csv", "declaration": "t.toml", "suite": "s.toml"}.get(reader, "t.txt")
    file.write_bytes(content)
    calls: dict[str, Callable[[], Any]] = {
        "list": lambda: read_list(file),
        "audit": lambda: audit_lists([file]),
        "table": lambda: declare("mine", {"table": str(file)}, folder),
        "declaration": lambda: registry.find("datasets", "t", folder),
        "suite": lambda: suites.resolve(str(file), {}),
    }
    message = ""
    try:
        calls[reader]()
    except InputError as error:
        message = str(error)
    assert "\n" not in message
