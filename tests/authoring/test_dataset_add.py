"""What `dataset add` refuses at once instead of at `run`, and tables and TOML files with odd contents."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import registry
from benchmark.data import load as loading
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from benchmark.spec.sweep import read_toml
from benchmark.spec.views import parse_view
from tests.layouts import lines, picture

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of five pictures, and lists of them."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        picture(tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    (tmp_path / "data").mkdir()
    names = [f"{('cat', 'dog')[number % 2]}/{number}.png" for number in range(10)]
    lines(tmp_path / "q.txt", [f"{name} 1 0" for name in names[:2]])
    lines(tmp_path / "t.txt", [f"{name} 0 1" for name in names[2:6]])
    lines(tmp_path / "d.txt", [f"{name} 1 1" for name in names[6:]])
    lines(tmp_path / "overlap.txt", [f"{names[0]} 1 0", f"{names[9]} 1 1"])
    lines(tmp_path / "a.csv", ["path,label,part", *(f"{name},{name[:3]},train" for name in names)])
    return tmp_path


def load(name: str, root: Path) -> LoadedDataset:
    return loading.load(registry.dataset(name, root), root)


FOLDER = ("--folder", "photos", "--size", 4)
LISTS = ("--query", "q.txt", "--train", "t.txt", "--database", "d.txt", *FOLDER)
TABLE = ("--table", "a.csv", *FOLDER)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((*FOLDER, "--protocol", "nope"), r"unknown protocol 'nope': .*known: .*balanced-100-500"),
        ((*FOLDER, "--protocol", "list"), r"did you mean lists"),
        ((*FOLDER, "--protocol", "custom-q1"), r"a custom protocol is named by its numbers"),
        ((*FOLDER, "--protocol", "cifar10-59k"), r"is for .*, not for data set 'mine'"),
        ((*FOLDER, "--protocol", "balanced-20-50"), r"needs 70 images a class; class 'cat' .* has 5"),
        ((*FOLDER, "--protocol", "custom-q4-t9-random-rest-kall"), r"needs 13 images; .* has 10"),
        ((*FOLDER, "--protocol", "lists"), r"list"),
        ((*LISTS, "--protocol", "balanced-20-50"), r"draws by class; data set 'mine' is multi-label"),
        ((*LISTS[:4], "--database", "overlap.txt", *FOLDER, "--protocol", "lists"), r"lists-as-released"),
        ((*FOLDER, "--labels", "species"), r"--labels means nothing for class folders"),
        ((*FOLDER, "--path", "p", "--part", "q"), r"--path, --part means nothing for class folders"),
        ((*LISTS, "--part", "split"), r"--part means nothing for list files"),
        ((*TABLE, "--images", "q.txt"), r"--images means nothing for a table"),
        ((*TABLE, "--query", "q.txt"), r"--query means nothing for a table"),
        ((*FOLDER[:2], "--size", "1"), r"size.*greater than or equal to 4"),
        ((*FOLDER[:2], "--size", "99999999"), r"size.*less than or equal to 16384"),
        ((*FOLDER[:2], "--size", "9" * 5000), r"--size '9+'"),
        ((*FOLDER, "--epochs", "0"), r"epochs.*greater than or equal to 1"),
        ((*FOLDER, "--epochs", "100000000"), r"epochs.*less than or equal to 1000000"),
        ((*FOLDER, "--data-root", "a.csv"), r"a.csv.* cannot be written"),
        ((*FOLDER, "--query", "nowhere"), r"no folder .*nowhere"),
    ],
)
def test_what_a_run_would_refuse_is_refused_at_once(
    photos: Path, run_cli: Cli, arguments: tuple[object, ...], reason: str
) -> None:
    code, out, err = run_cli("dataset", "add", "mine", *arguments)
    assert (code, out) == (2, "")
    assert re.search(reason, err), err[:500]
    assert len(err.splitlines()) == 1
    assert [*(photos / "data").iterdir()] == []


@pytest.mark.parametrize(
    "arguments",
    [
        (*FOLDER, "--protocol", "custom-q4-t5-random-rest-k3"),
        (*FOLDER, "--protocol", "default"),
        (*LISTS, "--protocol", "lists-k1000"),
        (*LISTS[:4], "--database", "overlap.txt", *FOLDER, "--protocol", "lists-as-released"),
        TABLE,
    ],
)
def test_what_is_added_can_be_run(photos: Path, run_cli: Cli, arguments: tuple[object, ...]) -> None:
    code, out, err = run_cli("dataset", "add", "mine", *arguments)
    assert code == 0, err
    assert "note:" not in out
    code, _, err = run_cli("run", "--datasets", "mine", "--methods", "lsh", "--bits", 8, "--plan")
    assert code == 0, err


def test_lists_that_overlap_say_so_when_they_are_added(photos: Path, run_cli: Cli) -> None:
    code, out, err = run_cli("dataset", "add", "mine", *LISTS[:4], "--database", "overlap.txt", *FOLDER)
    assert code == 0, err
    assert "note: " in out
    assert "lists-as-released" in out


def test_an_unknown_protocol_in_a_declaration_names_the_data_set(photos: Path, run_cli: Cli) -> None:
    (photos / "data" / "mine.toml").write_text('kind = "folder"\nfolder = "../photos"\nprotocol = "nope"\n')
    code, _, err = run_cli("run", "--datasets", "mine", "--methods", "lsh", "--plan")
    assert code == 2
    assert "default of data set 'mine': unknown protocol 'nope'" in err


def test_a_name_with_a_colon_is_told_one_without(photos: Path, run_cli: Cli) -> None:
    code, _, err = run_cli("dataset", "add", "My:Set", *FOLDER)
    assert code == 2
    assert "'My:Set': use lower-case letters, digits and hyphens, such as my-set" in err
    with pytest.raises(InputError, match=r"view 'cross:a:b': 'a:b' is no data set's name; cross:DATASET"):
        parse_view("cross:a:b")


def test_class_folders_tables_and_files_with_colons(photos: Path, run_cli: Cli) -> None:
    names = [f"{('a:b', 'c')[number % 2]}/{number}:x.png" for number in range(6)]
    for number, name in enumerate(names):
        picture(photos / "with:colon" / name, number)
    lines(photos / "l:1.txt", [f"{name} {number % 2}" for number, name in enumerate(names)])
    lines(photos / "t:1.csv", ["path,label", *(f"{name},{name.partition('/')[0]}" for name in names)])
    where = ("--folder", "with:colon", "--size", 4)
    found = []
    for name, kind in (("one", ()), ("two", ("--images", "l:1.txt")), ("three", ("--table", "t:1.csv"))):
        code, _, err = run_cli("dataset", "add", name, *kind, *where)
        assert code == 0, err
        data = load(name, photos / "data")
        rows = zip(data.names.tolist(), data.images, data.labels.tolist(), strict=True)
        found.append({name: (image.tobytes(), label) for name, image, label in rows})
    assert found[0] == found[1] == found[2]
    assert load("one", photos / "data").info.classes == ("a:b", "c")


class TestTables:
    """A table is read, or refused with its line."""

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"path,a,b,a\n0.png,1,0,1\n", r"line 1 has 2 columns 'a' \(number 2, 4\)"),
            (b"path,label,path\n0.png,x,1.png\n", r"line 1 has 2 columns 'path' \(number 1, 3\)"),
            (b"path,label,part,part\n0.png,x,train,test\n", r"line 1 has 2 columns 'part'"),
            ("path,label\n0.png,x\n".encode("utf-16"), r"line 1: the file is UTF-16; save it as UTF-8"),
            ("path,label\n0.png,\u00e9\n".encode("latin-1"), r"line 2 is not UTF-8 \(byte e9\)"),
            (b"path,label\n0.png,x\0\n", r"line 2 holds a zero byte"),
            (b"", r"has no rows below its header"),
            (b"\xef\xbb\xbf", r"has no rows below its header"),
            (b'path,label\n0.png,x\n1.png,"y\n2.png,z\n', r"line 3 opens a quote that is never closed"),
            (b"path,label\n0.png,1\n1.png,nan\n", r"line 3 has the label 'nan' among class numbers"),
            (b"path,label\n" + b"x" * 200_000 + b",1\n", r"line 2 cannot be read: field larger"),
            (b"path,label\n" + b"x" * 5_000 + b",1\n", r"line 2 has a path of 5,000 characters"),
            (
                b"path,label," + b"x" * 5_000 + b"\n0.png,1,0\n",
                r"line 1 has a column name of 5,000 characters",
            ),
            (b'path,"label\n' + b"x" * 5_000, r"line 1 opens a quote that is never closed"),
        ],
    )
    def test_a_bad_one_is_one_line(self, photos: Path, run_cli: Cli, content: bytes, reason: str) -> None:
        (photos / "bad.csv").write_bytes(content)
        code, out, err = run_cli("dataset", "add", "mine", "--table", "bad.csv", *FOLDER)
        assert (code, out) == (2, "")
        assert re.search(reason, err), err[:500]
        assert "bad.csv" in err
        assert len(err.splitlines()) == 1

    def test_a_column_twice_that_is_not_read(self, photos: Path) -> None:
        lines(photos / "data" / "a.csv", ["path,label,note,note", "cat/0.png,x,,", "dog/1.png,y,,"])
        text = 'kind = "table"\ntable = "a.csv"\nfolder = "../photos"\nsize = 4\nlabels = "label"\n'
        (photos / "data" / "mine.toml").write_text(text)
        assert load("mine", photos / "data").info.classes == ("x", "y")

    def test_a_column_twice_in_parquet(self, photos: Path, run_cli: Cli) -> None:
        import pyarrow
        import pyarrow.parquet

        names = ["path", "label", "label"]
        columns = [pyarrow.array(["cat/0.png"]), pyarrow.array(["x"]), pyarrow.array(["y"])]
        pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, names), photos / "a.parquet")
        code, _, err = run_cli("dataset", "add", "mine", "--table", "a.parquet", *FOLDER)
        assert code == 2
        assert "a.parquet" in err
        assert len(err.splitlines()) == 1

    def test_nan_among_names_is_a_class(self, photos: Path) -> None:
        lines(photos / "data" / "a.csv", ["path,label", "cat/0.png,nan", "dog/1.png,roti", "cat/2.png,1"])
        (photos / "data" / "mine.toml").write_text(
            'kind = "table"\ntable = "a.csv"\nfolder = "../photos"\nsize = 4\n'
        )
        assert load("mine", photos / "data").info.classes == ("1", "nan", "roti")


class TestToml:
    """Declarations and suites."""

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ('kind = "folder"\ntitle = "caf\u00e9"'.encode("latin-1"), r"\(line 2\); save the file as UTF-8"),
            ('kind = "folder"'.encode("utf-16"), r"\(line 1\); save the file as UTF-8"),
            (b'kind = "folder"\nepochs = ' + b"9" * 5000, r"cannot be read: Exceeds the limit"),
            (b'kind = "folder"\nfolder = "a\\u0000b"', r"'folder' holds a zero character"),
            (b'kind = "folder"\n[kind]\n', r"line 2"),
        ],
    )
    def test_a_bad_one_is_one_line(self, photos: Path, run_cli: Cli, content: bytes, reason: str) -> None:
        (photos / "data" / "mine.toml").write_bytes(content)
        for command in (("prepare", "mine"), ("run", "--suite", photos / "data" / "mine.toml", "--plan")):
            code, _, err = run_cli(*command)
            assert code == 2
            assert re.search(reason, err), err[:500]
            assert "mine.toml" in err
            assert len(err.splitlines()) == 1
        code, out, _ = run_cli("list", "datasets", "--json")
        assert code == 0
        assert json.loads(out)

    def test_padding_beyond_the_image(self, photos: Path, run_cli: Cli) -> None:
        (photos / "data" / "mine.toml").write_text(
            'kind = "folder"\nfolder = "../photos"\nsize = 8\ncrop_padding = 9\n'
        )
        code, _, err = run_cli("prepare", "mine")
        assert code == 2
        assert "crop_padding of 9 pixels is more than the images have" in err

    def test_a_backslash_is_no_zero(self, tmp_path: Path) -> None:
        (tmp_path / "a.toml").write_text("a = 'C:\\x00'\n")
        assert read_toml(tmp_path / "a.toml") == tomllib.loads("a = 'C:\\x00'")
