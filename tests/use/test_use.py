"""A finished fit in use: its codes of the same images are those that it stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.cli import main
from benchmark.use.encode import read_encoded
from tests.helpers import digits, execute


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a deep, a frozen, a shallow method, each 16 bits."""
    folder = tmp_path_factory.mktemp("fits")
    for changes in (
        {"methods": ("hashnet",), "epochs": 2},
        {"methods": ("itq",)},
        {"methods": ("itq",), "frozen": True},
    ):
        execute(folder, **changes)
    return folder


def _records(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("record.json"))


def _photos(folder: Path, rows: np.ndarray) -> Path:
    """Digits as PNG files in class folders, named by their rows."""
    data = digits()
    for row in rows:
        path = folder / str(data.labels[row].argmax()) / f"{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[row, 0]).save(path)
    return folder


def test_codes_of_a_data_set_are_those_of_its_record(fits: Path, tmp_path: Path) -> None:
    assert len(_records(fits)) == 3
    for fit in _records(fits):
        out = tmp_path / f"{fit.name}.npz"
        assert (
            main(["encode", fit.name[-16:], "--results", str(fits), "--dataset", "digits", "--out", str(out)])
            == 0
        )
        found, stored = read_encoded(out), np.load(fit / "codes.npz")
        assert found.fit_id == fit.name[-16:]
        for side in ("query", "database"):
            assert np.array_equal(found.codes[stored[f"{side}_ids"]], stored[f"{side}_codes"]), fit


def test_codes_of_image_files_are_those_of_the_record(fits: Path, tmp_path: Path) -> None:
    for fit in _records(fits):
        stored = np.load(fit / "codes.npz")
        by_row = dict(zip(stored["query_ids"].tolist(), stored["query_codes"]))
        photos = _photos(tmp_path / fit.name / "photos", stored["query_ids"][:40])
        out = tmp_path / f"{fit.name}.npz"
        assert (
            main(
                ["encode", fit.name[-16:], "--results", str(fits), "--images", str(photos), "--out", str(out)]
            )
            == 0
        )
        found = read_encoded(out)
        assert len(found.ids) == 40
        for name, code in zip(found.ids, found.codes):
            assert np.array_equal(code, by_row[int(Path(name).stem)])
        assert found.labels is not None
        assert found.labels.tolist() == [name.split("/")[0] for name in found.ids]


def test_the_file_is_scored(fits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = _records(fits)[0]
    names = []
    for side, rows in (("query", np.arange(30)), ("database", np.arange(30, 150))):
        photos = _photos(tmp_path / side, rows)
        names.append(f"{side}={tmp_path / side}.npz")
        words = ["encode", fit.name[-16:], "--results", str(fits), "--images", str(photos)]
        assert main([*words, "--out", f"{photos}.npz"]) == 0
    assert main(["score", *names]) == 0
    assert "30 queries" in capsys.readouterr().out


def test_a_bad_image_is_named_or_left_out(
    fits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, fit = _photos(tmp_path / "photos", np.arange(5)), _records(fits)[0]
    (photos / "0" / "bad.png").write_bytes(b"no image")
    out = tmp_path / "codes.npz"
    words = ["encode", fit.name[-16:], "--results", str(fits), "--images", str(photos), "--out", str(out)]
    assert main(words) == 2
    assert "bad.png" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--skip-bad-images"]) == 0
    assert len(read_encoded(out).ids) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "c.npz"], "give one of --images"),
        (["--dataset", "digits", "--out", "c.txt"], "must end in .npz"),
        (["--images", "nowhere", "--out", "c.npz"], "no folder 'nowhere'"),
        (["--features", "nowhere.npy", "--out", "c.npz"], "learnt from images"),
    ],
)
def test_what_cannot_be_encoded_is_one_line(
    words: list[str], said: str, fits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = next(path for path in _records(fits) if path.parent.name == "hashnet")
    assert main(["encode", fit.name[-16:], "--results", str(fits), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_file_of_another_fits_bits_is_refused(
    fits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = []
    for side, bits in (("query", 16), ("database", 8)):
        file = tmp_path / f"{side}.npz"
        np.savez(file, codes=np.zeros((3, 2), np.uint8), bits=bits, labels=np.arange(3))
        sides.append(f"{side}={file}")
    assert main(["score", *sides]) == 2
    assert "bits is given twice" in capsys.readouterr().err


def test_vectors_are_encoded_as_the_record_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, root = digits(), tmp_path / "data"
    root.mkdir()
    np.save(root / "v.npy", data.images.reshape(len(data.images), -1).astype(np.float32))
    np.save(root / "l.npy", data.labels.argmax(axis=1))
    monkeypatch.setenv("BENCHMARK_DATA", str(root))
    flags = ["--features", str(root / "v.npy"), "--labels", str(root / "l.npy"), "--data-root", str(root)]
    assert main(["dataset", "add", "vec", *flags]) == 0
    words = [
        "--datasets",
        "vec",
        "--methods",
        "itq",
        "--bits",
        "16",
        "--results",
        str(tmp_path / "r"),
        "--tracking-uri",
        "none",
    ]
    assert main(["run", *words]) == 0
    (fit,) = _records(tmp_path / "r")
    out = tmp_path / "c.npz"
    words = ["encode", fit.name[-16:], "--results", str(tmp_path / "r"), "--features", str(root / "v.npy")]
    assert main([*words, "--out", str(out)]) == 0
    found, stored = read_encoded(out), np.load(fit / "codes.npz")
    assert np.array_equal(found.codes[stored["query_ids"]], stored["query_codes"])
