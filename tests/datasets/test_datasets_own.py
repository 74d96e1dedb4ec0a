"""Data sets of a user's own: list files, class folders, tables, by a declaration in the data folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark import registry
from benchmark.data import load as loading
from benchmark.data import pictures, protocol
from benchmark.data.load import LoadedDataset
from benchmark.datasets._files import IMAGE_SUFFIXES
from benchmark.datasets._lists import Resolver, listed_files, read_list, short
from benchmark.errors import InputError
from tests.layouts import lines, picture

Cli = Callable[..., tuple[int, str, str]]


def load(name: str, root: Path) -> LoadedDataset:
    return loading.load(registry.dataset(name, root), root)


def refused(name: str, root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def declare(root: Path, name: str, text: str) -> Path:
    path = root / f"{name}.toml"
    path.write_text(text)
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Six images and a train/test/database triple with everything that circulates in it."""
    for number in range(6):
        picture(tmp_path / "pictures" / "images" / f"{number}.png", number)
    lines(tmp_path / "test.txt", ["images/0.png 1 0 0 ", "./images/1.png 0 1 1"])
    lines(
        tmp_path / "train.txt",
        ["/home/a/data/images/2.png 1 1 0  ", "C:\\x\\images\\3.png 0 0 1"],
        end="\r\n",
    )
    lines(
        tmp_path / "database.txt",
        ["images/4.png\t0 1 0", "images/0.png 1 0 0", "", "data/images/5.png 0 1 0"],
    )
    declare(
        tmp_path,
        "mine",
        """
        kind = "lists"
        folder = "pictures"
        size = [12, 10]
        query = "test.txt"
        train = "train.txt"
        database = "database.txt"
        """,
    )
    return tmp_path


class TestLists:
    """List files of the public repositories."""

    def test_a_triple_becomes_a_set_with_parts(self, listed: Path) -> None:
        data = load("mine", listed)
        assert data.images.shape == (6, 3, 12, 10)
        assert data.names.tolist() == [f"images/{number}.png" for number in (0, 1, 2, 3, 4, 5)]
        assert data.labels.tolist()[:4] == [[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]]
        assert data.info.multi_label
        assert data.info.default_protocol == "lists"
        assert {part: rows.tolist() for part, rows in (data.parts or {}).items()} == {
            "query": [0, 1],
            "train": [2, 3],
            "database": [4, 0, 5],
        }
        again = load("mine", listed)  # from the cache
        assert again.fingerprint == data.fingerprint
        assert {part: rows.tolist() for part, rows in (again.parts or {}).items()} == {
            part: rows.tolist() for part, rows in (data.parts or {}).items()
        }

    def test_other_parts_are_other_data(self, listed: Path) -> None:
        before = load("mine", listed).fingerprint
        lines(listed / "database.txt", ["images/4.png 0 1 0", "images/5.png 0 1 0", "images/0.png 1 0 0"])
        assert load("mine", listed).fingerprint != before

    def test_paths_of_another_machine_are_the_same_data(self, listed: Path) -> None:
        before = load("mine", listed).fingerprint
        content = [
            line.replace("images/", "/elsewhere/deep/images/")
            for line in (listed / "test.txt").read_text().split("\n")
        ]
        (listed / "test.txt").write_text("\n".join(content))
        assert load("mine", listed).fingerprint == before

    def test_one_field_is_a_class_index(self, listed: Path) -> None:
        lines(listed / "all.txt", ["images/0.png 2", "images/1.png 0", "images/2.png 1"])
        declare(listed, "indexed", 'kind = "lists"\nfolder = "pictures"\nimages = "all.txt"\nsize = 8')
        data = load("indexed", listed)
        assert data.labels.argmax(1).tolist() == [2, 0, 1]
        assert not data.info.multi_label
        assert data.parts is None

    def test_npy_images(self, listed: Path) -> None:
        colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        np.save(listed / "pictures" / "a.npy", colours)
        np.save(listed / "pictures" / "b.npy", colours[:, :, 0])
        lines(listed / "all.txt", ["a.npy 1 0", "b.npy 0 1"])
        declare(listed, "arrays", 'kind = "lists"\nfolder = "pictures"\nimages = "all.txt"\nsize = 8')
        data = load("arrays", listed)
        assert (data.images[0] == colours.transpose(2, 0, 1)).all()
        assert (data.images[1] == colours[None, :, :, 0]).all()
        np.save(listed / "pictures" / "b.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        message = refused("arrays", listed)
        assert "all.txt line 2" in message
        assert "b.npy" in message

    @pytest.mark.parametrize(
        ("file", "content", "reason"),
        [
            ("test.txt", ["images/0.png 1 0 0", "images/1.png 0 1"], "test.txt' line 2 has 2 label fields"),
            ("train.txt", ["images/2.png 1 0"], "train.txt' line 1 has 2 label fields"),
            (
                "test.txt",
                ["images/0.png 1 0 0", "images/1.png 0 2 0"],
                "test.txt' line 2 has the label field 2",
            ),
            (
                "test.txt",
                ["images/0.png 1 0 0", "images/1.png 0 -1 0"],
                "test.txt' line 2 has the label field -1",
            ),
            ("test.txt", ["images/0.png 1 0 0", "images/1.png"], "test.txt' line 2 has no label"),
            ("test.txt", ["images/0.png 1 0 0", "x.png 1 a 0"], "test.txt' line 2 has 1 label fields"),
            ("test.txt", ["images/0.png 1 0 0"] * 2, "test.txt line 2 repeats image 'images/0.png'"),
            ("test.txt", ["images/0.png 1 0 0", "images/9.png 0 1 0"], "test.txt line 2: image"),
            (
                "database.txt",
                ["images/0.png 0 1 0"],
                "database.txt line 1 gives image 'images/0.png' other labels",
            ),
            ("train.txt", [], "names no image"),
        ],
    )
    def test_a_bad_line_is_named(self, listed: Path, file: str, content: list[str], reason: str) -> None:
        lines(listed / file, content)
        assert reason in refused("mine", listed)

    def test_repeated_lines_are_dropped_when_asked(self, listed: Path) -> None:
        lines(listed / "test.txt", ["images/0.png 1 0 0", "images/1.png 0 1 1", "images/0.png 1 0 0"])
        with (listed / "mine.toml").open("a") as file:
            file.write('duplicates = "drop"\n')
        assert (load("mine", listed).parts or {})["query"].tolist() == [0, 1]

    def test_a_missing_list_and_odd_bytes(self, listed: Path) -> None:
        (listed / "test.txt").write_bytes(b"images/\xff\xfe.png 1 0 0\n")
        assert "test.txt" in refused("mine", listed)
        (listed / "test.txt").unlink()
        assert "missing list file" in refused("mine", listed)

    def test_paths_with_spaces_and_a_mark_at_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes("\ufeffmy photos/a 1.jpg 0 1\r\nb.jpg 1 0".encode())
        found = read_list(tmp_path / "a.txt")
        assert list(found.paths) == ["my photos/a 1.jpg", "b.jpg"]
        assert found.fields.tolist() == [[0, 1], [1, 0]]

    def test_nothing_outside_the_folder_is_found(self, tmp_path: Path) -> None:
        picture(tmp_path / "secret.png", 0)
        (tmp_path / "pictures").mkdir()
        for written in ("../secret.png", "a/../../secret.png", str(tmp_path / "secret.png")):
            (file,) = Resolver(tmp_path / "pictures").find([written]).files
            assert not file.is_file()
        assert short("/a/b\\c/d.jpg") == "c/d.jpg"


class TestPathsOfAnotherMachine:
    """A list's paths are read by one rule, and no image stands in for another of the same name."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for number, name in enumerate(("cat/0", "cat/1", "dog/0", "aug/cat/0", "5", "0")):
            picture(tmp_path / f"{name}.png", number)
        return tmp_path

    @pytest.mark.parametrize(
        ("written", "names", "left_out"),
        [
            (["cat/0.png", "aug/cat/0.png"], ["cat/0.png", "aug/cat/0.png"], {}),
            (["aug/cat/0.png", "cat/0.png"], ["aug/cat/0.png", "cat/0.png"], {}),
            (["aug/cat/1.png", "cat/0.png"], ["aug/cat/1.png", "cat/0.png"], {}),
            (["cat/0.png", "dog/5.png"], ["cat/0.png", "dog/5.png"], {}),
            (["/old/pets/cat/0.png", "/old/pets/dog/5.png"], ["cat/0.png", "dog/5.png"], {"old/pets": 2}),
            (["C:\\me\\cat\\1.png", "/a/b/dog/0.png"], ["cat/1.png", "dog/0.png"], {"me": 1, "a/b": 1}),
            (["/old/aug/cat/0.png", "/old/cat/1.png"], ["aug/cat/0.png", "cat/1.png"], {"old": 2}),
            (["cat/0.png", "data/cat/1.png"], ["cat/0.png", "cat/1.png"], {"data": 1}),
            (["/old/5.png", "/old/0.png"], ["5.png", "0.png"], {"old": 2}),
            (["a/5.png", "b/0.png"], ["a/5.png", "b/0.png"], {}),
        ],
    )
    def test_one_rule_for_the_whole_list(
        self, folder: Path, written: list[str], names: list[str], left_out: dict[str, int]
    ) -> None:
        found = Resolver(folder).find(written)
        assert (found.names, found.left_out) == (names, left_out)
        assert found.files == [folder / name for name in names]

    def test_an_image_that_is_missing_is_missing(self, folder: Path) -> None:
        found = Resolver(folder).find(["/old/pets/cat/0.png", "/old/pets/dog/5.png"])
        assert not found.files[1].exists(), "5.png beside the folders is another image"

    def test_sub_folders_and_one_flat_folder(self, folder: Path) -> None:
        for place in ("train", "val"):
            picture(folder / place / f"n01/{place}.png", 0)
        written = ["n01/train.png", "n01/val.png"]
        assert Resolver(folder, ("train", "val")).find(written).names == [
            "train/n01/train.png",
            "val/n01/val.png",
        ]
        assert Resolver(folder, flat=True).find(["actor/5.png", "bear/0.png"]).names == ["5.png", "0.png"]
        assert Resolver(folder).find(["actor/5.png", "bear/0.png"]).names == ["actor/5.png", "bear/0.png"]

    def test_what_is_left_out_is_said(self, folder: Path) -> None:
        (folder / "l.txt").write_text("/old/pets/cat/0.png 0\n/old/pets/dog/0.png 1\n")
        listed = listed_files({"all": read_list(folder / "l.txt")}, 2, Resolver(folder))
        assert listed.facts == {"paths": "l.txt: 'old/pets' left out before 2 paths"}


class TestFolders:
    """A folder of class folders."""

    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        for part in ("train", "test"):
            for number, name in enumerate(("cat", "dog")):
                for index in range(3):
                    picture(tmp_path / "photos" / part / name / f"{index}.png", number * 10 + index)
        return tmp_path

    def test_classes_are_the_folders(self, photos: Path) -> None:
        declare(photos, "pets", 'kind = "folder"\nfolder = "photos/train"\nsize = 8\nchannels = 1')
        data = load("pets", photos)
        assert data.images.shape == (6, 1, 8, 8)
        assert data.info.classes == ("cat", "dog")
        assert data.labels.argmax(1).tolist() == [0, 0, 0, 1, 1, 1]
        assert data.names[0] == "cat/0.png"

    def test_sub_folders_are_parts(self, photos: Path) -> None:
        declare(
            photos, "pets", 'kind = "folder"\nfolder = "photos"\nsize = 8\nquery = "test"\ntrain = "train"'
        )
        data = load("pets", photos)
        assert {part: rows.tolist() for part, rows in (data.parts or {}).items()} == {
            "query": [0, 1, 2, 3, 4, 5],
            "train": [6, 7, 8, 9, 10, 11],
        }

    def test_what_is_wrong_is_named(self, photos: Path) -> None:
        declare(photos, "pets", 'kind = "folder"\nfolder = "nowhere"')
        assert "pets.toml" in refused("pets", photos)
        declare(photos, "pets", 'kind = "folder"\nfolder = "photos/train/cat"')
        assert "holds no class folders" in refused("pets", photos)
        declare(photos, "pets", 'kind = "folder"\nfolder = "photos/train"\nsizes = 3')
        assert "did you mean size" in refused("pets", photos)


class TestTables:
    """CSV and Parquet."""

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        for number in range(4):
            picture(tmp_path / f"{number}.png", number)
        return tmp_path

    def test_class_names(self, images: Path) -> None:
        lines(
            images / "a.csv", ["path,species", "0.png,wren", "1.png,robin", '"2.png","wren"', "3.png,robin"]
        )
        declare(images, "birds", 'kind = "table"\ntable = "a.csv"\nsize = 8')
        data = load("birds", images)
        assert data.info.classes == ("robin", "wren")
        assert data.labels.argmax(1).tolist() == [1, 0, 1, 0]
        assert not data.info.multi_label

    def test_several_columns_and_parts(self, images: Path) -> None:
        content = [
            "file;cat;dog;split",
            "0.png;1;0;test",
            "1.png;1;1;train",
            "2.png;0;1;train",
            "3.png;0;0;gallery",
        ]
        lines(images / "a.csv", content, end="\r\n")
        declare(images, "pets", 'kind = "table"\ntable = "a.csv"\nsize = 8')
        data = load("pets", images)
        assert data.info.classes == ("cat", "dog")
        assert data.labels.tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]
        assert data.info.multi_label
        assert data.info.default_protocol == "lists"
        assert {part: rows.tolist() for part, rows in (data.parts or {}).items()} == {
            "query": [0],
            "train": [1, 2],
            "database": [3],
        }

    def test_a_list_of_labels_in_parquet(self, images: Path) -> None:
        import pandas

        frame = pandas.DataFrame({"image": [f"{n}.png" for n in range(4)], "tags": ["a;b", "c", "b", "a; c"]})
        frame.to_parquet(images / "a.parquet")
        declare(images, "tags", 'kind = "table"\ntable = "a.parquet"\nsize = 8')
        assert load("tags", images).labels.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 1]]
        (images / "a.parquet").write_bytes(b"PAR1 nonsense")
        assert "a.parquet" in refused("tags", images)

    def test_numbers_keep_their_order(self, images: Path) -> None:
        lines(images / "a.csv", ["path,label", "0.png,10", "1.png,2", "2.png,10"])
        declare(images, "numbers", 'kind = "table"\ntable = "a.csv"\nsize = 8')
        assert load("numbers", images).info.classes == ("2", "10")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (["path,label", "0.png,a", "1.png"], "a.csv' line 3 has 1 cells; the header has 2"),
            (["path,label", "0.png,a", "9.png,b"], "a.csv line 3: image"),
            (["path,label", "0.png,a", "1.png,"], "a.csv line 3 has no label"),
            (["path,label", "0.png,a", ",b"], "a.csv line 3 has no path"),
            (["path,label", "0.png,a", "0.png,a"], "a.csv line 3 repeats image '0.png' of a.csv line 2"),
            (["path,x,y", "0.png,1,0", "1.png,1,yes"], "a.csv line 3 has 'yes' in a label column"),
            (["path,label,part", "0.png,a,train", "1.png,a,tset"], "a.csv line 3 has the part 'tset'"),
            (["path", "0.png"], "no label column"),
            (["path,label"], "has no rows"),
        ],
    )
    def test_a_bad_line_is_named(self, images: Path, content: list[str], reason: str) -> None:
        lines(images / "a.csv", content)
        declare(images, "bad", 'kind = "table"\ntable = "a.csv"\nsize = 8')
        assert reason in refused("bad", images)

    def test_an_unknown_column_is_named(self, images: Path) -> None:
        lines(images / "a.csv", ["path,label", "0.png,a"])
        declare(images, "bad", 'kind = "table"\ntable = "a.csv"\nlabels = "labels"')
        assert "did you mean label" in refused("bad", images)


class TestDeclarations:
    """Names are listed and used like any other."""

    def test_the_whole_way(self, listed: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCHMARK_DATA", str(listed))
        code, out, _ = run_cli("list", "datasets", "--json")
        (row,) = [row for row in json.loads(out) if row["name"] == "mine"]
        assert code == 0
        assert row["origin"] == "mine.toml"
        assert str(listed) not in json.dumps(row["info"])
        code, out, _ = run_cli("prepare", "mine")
        assert code == 0
        assert "mine: 6 images, 3 classes, 3x12x10, parts: query 2, train 2, database 3" in out
        monkeypatch.delenv("BENCHMARK_DATA")
        results = listed / "results"
        arguments = ("run", "--datasets", "mine", "--methods", "lsh", "--bits", 8, "--tracking-uri", "none")
        code, out, err = run_cli(*arguments, "--results", results, "--data-root", listed)
        assert code == 2  # a query of the lists is in the database
        assert "lists-as-released" in err
        rest = ("--protocol", "lists-as-released", "--results", results, "--data-root", listed)
        code, out, err = run_cli(*arguments, *rest)
        assert code == 0, err
        (record,) = results.glob("*/*/*/record.json")
        assert str(listed) not in record.read_text().replace(str(results), "").split('"command"')[0]

    def test_broken_and_taken_names_are_listed_with_the_reason(self, tmp_path: Path) -> None:
        declare(tmp_path, "mnist", 'kind = "folder"')
        declare(tmp_path, "broken", "kind = ")
        declare(tmp_path, "Upper", 'kind = "folder"')
        declare(tmp_path, "none", "title = 'x'")
        found = {
            entry.name: entry.error for entry in registry.entries("datasets", tmp_path) if entry.declaration
        }
        assert "already taken" in found["mnist"]
        assert "no readable TOML" in found["broken"]
        assert "lower-case" in found["Upper"]
        assert "has no `kind`" in found["none"]
        assert "digits" in registry.names("datasets", tmp_path)
        assert registry.find("datasets", "mnist", tmp_path).declaration == ""
        with pytest.raises(InputError, match=r"broken.toml"):
            registry.dataset("broken", tmp_path)

    def test_a_changed_declaration_is_read_again(self, listed: Path) -> None:
        assert registry.find("datasets", "mine", listed).dataset_info.title == "mine"
        (listed / "mine.toml").write_text((listed / "mine.toml").read_text() + 'title = "My own"\n')
        assert registry.find("datasets", "mine", listed).dataset_info.title == "My own"


class TestWhatLiesInClassFolders:
    """Pictures of every named format are read, whatever else is there is counted with its reason."""

    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        picture(tmp_path / "photos" / "cat" / "0.png", 0)
        picture(tmp_path / "photos" / "dog" / "1.jpg", 1)
        (tmp_path / "pets.toml").write_text('kind = "folder"\nfolder = "photos"\nsize = 8\n')
        return tmp_path / "photos"

    def test_every_suffix_and_none(self, photos: Path) -> None:
        pixels = Image.fromarray(np.full((8, 8, 3), 90, np.uint8))
        kinds = {"jfif": "JPEG", "jpe": "JPEG", "avif": "AVIF", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}
        kinds |= {"JP2": "JPEG2000", "tga": "TGA", "pbm": "PPM", "dib": "DIB", "apng": "PNG"}
        for suffix, kind in kinds.items():
            pixels.save(photos / "cat" / f"a.{suffix}", kind)
        for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"):
            pixels.save(photos / "dog" / f"plain-{kind}", kind)
        data = load("pets", photos.parent)
        assert data.labels.sum(axis=0).tolist() == [1 + len(kinds), 8]
        assert "unused" not in data.facts
        assert np.abs(data.images[data.names != "cat/0.png"][1:-8].astype(int) - 90).max() <= 3

    def test_every_suffix_is_of_a_format_that_is_opened(self) -> None:
        Image.init()
        known = {
            suffix: Image.EXTENSION[suffix] for suffix in IMAGE_SUFFIXES if suffix not in (".npy", ".jif")
        }
        assert set(known.values()) <= set(pictures.FORMATS)

    def test_the_rest_is_counted_in_one_line(
        self, photos: Path, run_cli: Cli, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("a.txt", "b.txt", "c.mp4", "README", "._0.png", ".DS_Store"):
            (photos / "cat" / name).write_text("no picture")
        picture(photos / "dog" / "deeper" / "2.jpg", 2)
        picture(photos / "dog" / "named.jpg" / "3.jpg", 3)
        (photos / "dog" / "round").symlink_to("round")
        (photos / "dog" / "up").symlink_to(photos)
        (photos / ".git").mkdir()
        (photos / "notes.md").write_text("about")
        held = {".txt files": 2, "hidden files": 2, "nested folders": 3, ".mp4 file": 1, "broken link": 1}
        held |= {"file without a suffix": 1, "hidden folder": 1, "file beside the class folders": 1}
        data = load("pets", photos.parent)
        assert len(data.images) == 2
        assert set(str(data.facts["unused"]).split(", ")) == {
            f"{count} {what}" for what, count in held.items()
        }
        assert sum("not used: " in record.message for record in caplog.records) == 1
        code, out, err = run_cli("prepare", "pets", "--data-root", photos.parent)
        assert code == 0, err
        assert "; unused " in out
        code, out, err = run_cli("dataset", "add", "more", "--folder", photos, "--data-root", photos.parent)
        assert code == 0, err
        assert "not used: " in out

    def test_folders_that_are_no_declared_class(self, photos: Path) -> None:
        (photos.parent / "pets.toml").write_text(
            'kind = "folder"\nfolder = "photos"\nsize = 8\nclasses = ["cat"]\n'
        )
        assert load("pets", photos.parent).facts["unused"] == "1 folder of no class"

    def test_a_class_folder_without_pictures_says_what_it_holds(self, photos: Path) -> None:
        (photos / "owl" / "2024").mkdir(parents=True)
        assert re.search(r"owl' holds no .jpg.*; it holds 1 nested folder", refused("pets", photos.parent))

    def test_a_class_folder_that_cannot_be_read(
        self, photos: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.scandir

        def scandir(path: Any = ".") -> Any:
            if str(path).endswith("dog"):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
        assert re.search(r"photos/dog' cannot be read: Permission denied", refused("pets", photos.parent))
        for command in (("prepare", "pets"), ("run", "--datasets", "pets", "--methods", "lsh", "--plan")):
            code, _, err = run_cli(*command, "--data-root", photos.parent)
            assert code == 2
            assert "Permission denied" in err
            assert len(err.splitlines()) == 1

    def test_postscript_named_as_a_picture_with_bad_images_left_out(self, photos: Path, run_cli: Cli) -> None:
        (photos / "cat" / "9.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nbroken\n")
        code, _, err = run_cli("prepare", "pets", "--data-root", photos.parent)
        assert code == 2
        assert "cat/9.jpg' cannot be decoded: it is PostScript" in err
        code, out, err = run_cli("prepare", "pets", "--data-root", photos.parent, "--skip-bad-images")
        assert code == 0, err
        assert "skipped_images 1" in out


class TestAdd:
    """`dataset add` writes what a user would write, after checking it."""

    def test_class_folders(self, tmp_path: Path, run_cli: Cli) -> None:
        for name in ("a", "b"):
            for number in range(4):
                picture(tmp_path / "photos" / name / f"{number}.png", number)
        root = tmp_path / "data"
        code, out, err = run_cli(
            "dataset", "add", "pets", "--folder", tmp_path / "photos", "--size", 8, "--data-root", root
        )
        assert code == 0, err
        assert "8 images, 2 classes, one label an image" in out
        assert load("pets", root).images.shape == (8, 3, 8, 8)
        arguments = ("--datasets", "pets", "--methods", "lsh", "--bits", 8, "--tracking-uri", "none")
        code, _, err = run_cli("run", *arguments, "--data-root", root, "--results", tmp_path / "results")
        assert code == 0, err

    @pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 40, 5), (12, 7, 60), (30, 30, 31)])
    def test_every_class_of_a_small_folder_is_asked_for(
        self, tmp_path: Path, run_cli: Cli, sizes: tuple[int, ...]
    ) -> None:
        for number, size in enumerate(sizes):
            for index in range(size):
                picture(tmp_path / "photos" / f"class{number}" / f"{index}.png", 100 * number + index, (4, 4))
        where = ("--data-root", tmp_path)
        code, _, err = run_cli("dataset", "add", "pets", "--folder", tmp_path / "photos", "--size", 4, *where)
        assert code == 0, err
        data = load("pets", tmp_path)
        rule = protocol.resolve("default", data.info)
        for seed in range(20):
            split = protocol.draw(rule, data.info, data.labels, seed)
            assert protocol.unasked(split.query, data.labels, data.info) == []
            assert data.labels[split.database].any(axis=0).all()

    def test_a_draw_that_leaves_classes_out_says_so_before_anything_runs(
        self, tmp_path: Path, run_cli: Cli
    ) -> None:
        for number in range(12):
            for index in range(3):
                picture(
                    tmp_path / "photos" / f"class{number:02d}" / f"{index}.png", 9 * number + index, (4, 4)
                )
        (tmp_path / "pets.toml").write_text('kind = "folder"\nfolder = "photos"\nsize = 4\n')
        sweep = (
            "--datasets",
            "pets",
            "--methods",
            "lsh",
            "--bits",
            8,
            "--seeds",
            "0,1",
            "--data-root",
            tmp_path,
        )
        rest = ("--tracking-uri", "none", "--results", tmp_path / "results")
        code, out, err = run_cli(
            "run", *sweep, *rest, "--plan", "--protocol", "custom-q4-t18-random-all-but-query-kall"
        )
        assert code == 0, err
        for seed in (0, 1):
            assert re.search(
                rf"note: pets, seed {seed}: protocol 'custom-q4.*no image of \d+ of 12 classes", out
            )
        code, _, err = run_cli("run", *sweep, *rest, "--protocol", "custom-q4-t18-random-all-but-query-kall")
        assert code == 0, err
        assert "note: pets, seed 0: protocol" in err
        code, out, err = run_cli(
            "run", *sweep, *rest, "--plan", "--protocol", "custom-q12-t18-stratified-all-but-query-kall"
        )
        assert code == 0, err
        assert "note:" not in out

    def test_lists_and_tables(self, listed: Path, run_cli: Cli) -> None:
        triple = [("--query", "test.txt"), ("--train", "train.txt"), ("--database", "database.txt")]
        flags = [part for flag, file in triple for part in (flag, listed / file)]
        where = ("--folder", listed / "pictures", "--data-root", listed)
        code, out, err = run_cli("dataset", "add", "other", *flags, *where, "--size", "12x10")
        assert code == 0, err
        assert "parts: query 2, train 2, database 3, protocol lists" in out
        assert load("other", listed).fingerprint == load("mine", listed).fingerprint
        lines(listed / "a.csv", ["path,label", "images/0.png,x", "images/1.png,y"])
        code, _, err = run_cli(
            "dataset", "add", "table", "--table", listed / "a.csv", *where, "--channels", 1
        )
        assert code == 0, err
        assert load("table", listed).images.shape == (2, 1, 32, 32)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("mnist", "--folder", "pictures"), "exists already"),
            (("My set", "--folder", "pictures"), "lower-case"),
            (("new",), "give --folder"),
            (("new", "--folder", "nowhere"), "no such file"),
            (("new", "--folder", "pictures", "--size", "big"), "--size 'big'"),
            (("new", "--images", "broken.txt", "--folder", "pictures"), "broken.txt line 2: image"),
            (("new", "--table", "broken.txt"), "must end with one of .csv"),
        ],
    )
    def test_a_mistake_writes_nothing(
        self,
        listed: Path,
        run_cli: Cli,
        monkeypatch: pytest.MonkeyPatch,
        arguments: tuple[str, ...],
        reason: str,
    ) -> None:
        lines(listed / "broken.txt", ["images/0.png 1 0", "images/77.png 1 0"])
        monkeypatch.chdir(listed)
        before = sorted(path.name for path in listed.iterdir())
        code, _, err = run_cli("dataset", "add", *arguments, "--data-root", listed)
        assert code == 2
        assert reason in err
        assert len(err.splitlines()) == 1
        assert sorted(path.name for path in listed.iterdir()) == before


def test_the_documented_declaration_is_valid(tmp_path: Path) -> None:
    from benchmark.datasets._declaration import read_declaration

    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    (tmp_path / "doc.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    found = read_declaration(tmp_path / "doc.toml")
    assert found.kind == "lists"
    assert found.protocol == "lists-k5000"


def test_every_data_set_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    for entry in registry.entries("datasets", Path("/nonexistent")):
        assert f"`{entry.name}`" in text, entry.name
