"""An exported fit: its README's lines run where this project cannot be imported, and find what the fit finds."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from benchmark.cli import main
from benchmark.data.decode import Target, decode
from benchmark.use import export as exports
from benchmark.use import index as indexes
from benchmark.use.export import export, stored_codes
from benchmark.use.model import open_encoder
from tests.helpers import digits, execute
from tests.programs import PATIENCE

#: Before the README's lines: nothing of this project can be imported.
_ALONE = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("benchmark", "methods"):
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
try:
    import benchmark
except ImportError:
    pass
else:
    raise SystemExit("this project is there")
"""
_METHODS = ("hashnet", "greedyhash", "itq", "ksh")


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fits")
    execute(folder, methods=_METHODS, epochs=1)
    execute(folder, methods=("itq", "csq"), frozen=True, epochs=1)
    return folder


def _ids(folder: Path, method: str = "") -> list[str]:
    paths = sorted(folder.rglob("record.json"))
    return [path.parent.name[-16:] for path in paths if method in path.parts[-3]]


def _run_readme(folder: Path) -> list[list[tuple[int, str]]]:
    """(distance, id) that each block of the README prints, run in one process without this project."""
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    code = _ALONE + "\nprint('--')\n".join(blocks)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    lines = [part.strip().splitlines() for part in done.stdout.split("--\n")]
    return [[(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in part] for part in lines]


def _by_hand(code: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.sort(np.bitwise_count(codes ^ code).sum(axis=1, dtype=int))[:10]


def test_the_lines_of_the_readme_find_what_the_fit_finds(fits: Path, tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    for fit in _ids(fits, "hashnet") + _ids(fits, "csq"):
        to = tmp_path / fit
        assert main(["export", fit, "--results", str(fits), "--to", str(to)]) == 0
        stored = np.load(next(fits.rglob(f"*{fit}")) / "codes.npz")
        row = int(stored["query_ids"][3])
        Image.fromarray(digits().images[row, 0]).save(to / "query.jpg", "PNG")
        found = _run_readme(to)
        assert len(found) == 2
        for hits in found:
            assert [far for far, _ in hits] == _by_hand(
                stored["query_codes"][3], stored["database_codes"]
            ).tolist()
            by_id = dict(zip(stored["database_ids"].tolist(), stored["database_codes"]))
            for far, name in hits:
                assert np.bitwise_count(by_id[int(name)] ^ stored["query_codes"][3]).sum() == far


def test_every_kind_of_method_is_exported(fits: Path, tmp_path: Path) -> None:
    import torch

    images = digits().images[:200]
    converted = set[str]()
    assert len(_ids(fits)) == len(_METHODS) + 2
    for fit in _ids(fits):
        encoder, to = open_encoder(fits, fit), tmp_path / fit
        export(encoder, stored_codes(encoder, fits), to)
        program = torch.export.load(to / "network.pt2").module()
        for n in (1, 200):
            found = program(torch.from_numpy(images[:n])).detach().numpy()
            wanted = encoder.outputs(images[:n])
            assert np.allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max()), fit
        if (to / "network.onnx").is_file():
            session = pytest.importorskip("onnxruntime").InferenceSession(to / "network.onnx")
            found = session.run(None, {session.get_inputs()[0].name: images[:200]})[0]
            assert np.allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max()), fit
            converted.add(encoder.record.spec.method)
        stored = encoder.method.state()
        weights = load_file(to / "weights.safetensors")
        assert {f"method.{name}" for name in stored} <= {*weights}
        assert any(name.startswith("backbone.") for name in weights) == encoder.record.spec.frozen
        for file in to.glob("network.*"):
            assert str(Path(exports.__file__).parents[2]).encode() not in file.read_bytes(), file.name
    assert not importlib.util.find_spec("onnxscript") or {"hashnet", "itq", "csq"} <= converted


def test_pictures_of_another_size_and_cropped_ones(
    fits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "_faiss", lambda: None)
    encoder, to = open_encoder(fits, _ids(fits, "hashnet")[0]), tmp_path / "out"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 61, 3), dtype=np.uint8))
    for how, zoom in (("stretch", 1.0), ("crop", 1.3)):
        target = Target(1, encoder.info.height, encoder.info.width, how, zoom)
        changed = type(encoder)(**{**vars(encoder), "target": target})
        to = tmp_path / f"{how}{zoom}"
        assert "index.faiss" not in export(changed, stored_codes(encoder, fits), to)
        picture.save(to / "query.jpg", "PNG")
        (hits,) = _run_readme(to)
        code = np.packbits(encoder.outputs(decode(to / "query.jpg", target)[None]) >= 0)
        database = np.load(to / "codes.npz")["codes"]
        assert [far for far, _ in hits] == _by_hand(code, database).tolist(), how


def test_a_database_of_ones_own_keeps_its_names(fits: Path, tmp_path: Path) -> None:
    photos, to = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for row in range(12):
        Image.fromarray(digits().images[row, 0]).save(photos / f"{row:02d}.png")
    fit = _ids(fits, "ksh")[0]
    words = ["export", fit, "--results", str(fits), "--to", str(to), "--database", str(photos)]
    assert main(words) == 0
    (to / "query.jpg").write_bytes((photos / "07.png").read_bytes())
    hits = _run_readme(to)[0]
    assert (0, "07.png") in hits
    assert json.loads((to / "preprocessing.json").read_text())["fit_id"] == fit
    assert (np.load(to / "codes.npz")["outputs"] >= 0).shape == (12, 16)


def test_what_cannot_be_exported_is_one_line(
    fits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, to = _ids(fits, "hashnet")[0], tmp_path / "out"
    words = ["export", fit, "--results", str(fits), "--to", str(to)]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert main([*words[:-1], str(tmp_path / "full")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main([*words, "--device", "cuda"]) == 2
    encoder = open_encoder(fits, fit)
    encode = type(encoder.method).encode
    for broken, said in (
        (lambda method, items: encode(method, items) + float(items.sum()), "cannot be exported by torch"),
        (lambda method, items: encode(method, items).argsort(dim=0).float(), "the fit's outputs"),
    ):
        with monkeypatch.context() as change:
            change.setattr(type(encoder.method), "encode", broken)
            if said == "the fit's outputs":
                change.setattr(type(encoder), "outputs", lambda self, items: np.ones((len(items), 16)))
            assert main(words) == 2
        assert said in capsys.readouterr().err
        assert not to.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".export")]


def test_vectors_are_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, root, results = digits(), tmp_path / "data", tmp_path / "r"
    root.mkdir()
    vectors = data.images.reshape(len(data.images), -1).astype(np.float32)
    np.savez(root / "v.npz", features=vectors, labels=data.labels.argmax(axis=1))
    monkeypatch.setenv("BENCHMARK_DATA", str(root))
    assert main(["dataset", "add", "vec", "--features", str(root / "v.npz"), "--data-root", str(root)]) == 0
    execute_words = ["--datasets", "vec", "--methods", "itq", "--bits", "12", "--results", str(results)]
    assert main(["run", *execute_words, "--tracking-uri", "none"]) == 0
    to = tmp_path / "out"
    assert main(["export", _ids(results)[0], "--results", str(results), "--to", str(to)]) == 0
    stored = np.load(next(results.rglob("codes.npz")))
    np.save(to / "query.npy", vectors[stored["query_ids"][0]])
    wanted = _by_hand(stored["query_codes"][0], stored["database_codes"]).tolist()
    for hits in _run_readme(to):
        assert [far for far, _ in hits] == wanted
