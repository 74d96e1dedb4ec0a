"""Data sets of vectors: every kind of file gives the same, what is wrong is one line, methods learn from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from safetensors.numpy import save_file

from benchmark import registry
from benchmark.authoring.declare_dataset import declare
from benchmark.data.audit.pixels import digests, near_vectors
from benchmark.data.load import load
from benchmark.datasets import _vector_files
from benchmark.errors import InputError
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import open_fit
from benchmark.store.store import Store
from tests.helpers import digits, execute, one_spec

Cli = Callable[..., tuple[int, str, str]]

N, D = 300, 12
RULE = "custom-q60-t120-stratified-all-but-query-kall"


def items(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """Vectors around three centres, and their classes with indices that are not 0, 1, 2."""
    draw = np.random.default_rng(7)
    classes = np.array([3, 40_000, 70_000])[np.arange(N) % 3]
    centres = draw.normal(size=(3, D)) * 3
    return (centres[np.arange(N) % 3] + draw.normal(size=(N, D))).astype(dtype), classes


def _vecs(path: Path, vectors: np.ndarray) -> None:
    heads = np.full((len(vectors), 1), vectors.shape[1], "<i4").view(np.uint8)
    path.write_bytes(np.hstack([heads, np.ascontiguousarray(vectors).view(np.uint8)]).tobytes())


def _hdf5(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def _parquet(path: Path, vectors: np.ndarray, labels: np.ndarray, fixed: bool) -> None:
    kind = pa.list_(pa.float32(), D) if fixed else pa.list_(pa.float32())
    table = pa.table(
        {"id": [f"i{n}" for n in range(N)], "emb": pa.array(list(vectors), kind), "label": labels}
    )
    parquet.write_table(table, path, row_group_size=77)


#: Writers of (folder, vectors, labels) -> what `dataset add` is given.
FORMS: dict[str, Callable[[Path, np.ndarray, np.ndarray], dict[str, str]]] = {}


def form(name: str) -> Any:
    def keep(write: Any) -> Any:
        FORMS[name] = write
        return write

    return keep


@form("npy and npy")
def _a(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y[:, None])
    return {"features": "x.npy", "labels": "y.npy"}


@form("columns first, and text with a header")
def _b(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    np.save(folder / "x.npy", np.asfortranarray(x))
    (folder / "y.csv").write_text("\ufefflabel\r\n" + "\r\n".join(map(str, y)) + "\r\n\r\n")
    return {"features": "x.npy", "labels": "y.csv"}


@form("npz with both")
def _c(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    np.savez(folder / "both.npz", embeddings=x.astype(np.float64), targets=y.astype(np.float64), lr=0.1)
    return {"features": "both.npz"}


@form("npz with names of its own")
def _d(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    np.savez(folder / "both.npz", foo=x, bar=y, other=x[:, :3])
    return {"features": "both.npz", "key": "foo", "labels_key": "bar"}


@form("parquet of lists")
def _e(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    _parquet(folder / "t.parquet", x, y, fixed=False)
    return {"features": "t.parquet", "key": "emb"}


@form("parquet of fixed lists")
def _f(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    _parquet(folder / "t.parquet", x, y, fixed=True)
    return {"features": "t.parquet"}


@form("hdf5")
def _g(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    _hdf5(folder / "f.h5", features=x, labels=y.astype("S"))
    return {"features": "f.h5"}


@form("safetensors")
def _h(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    save_file({"features": x, "labels": y}, folder / "f.safetensors")
    return {"features": "f.safetensors"}


@form("fvecs")
def _i(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    _vecs(folder / "f.fvecs", x)
    np.save(folder / "y.npy", y.astype(str))
    return {"features": "f.fvecs", "labels": "y.npy"}


def add(folder: Path, keys: dict[str, str], name: str = "mine") -> Any:
    paths = {key: str(folder / keys[key]) for key in ("features", "labels", "split") if key in keys}
    return declare(name, {**keys, **paths}, folder)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_is_the_same_data_set(tmp_path: Path, name: str) -> None:
    x, y = items()
    found = add(tmp_path, FORMS[name](tmp_path, x, y))
    assert found.info.classes == ("3", "40000", "70000")
    assert (found.info.inputs, found.info.channels, found.info.multi_label) == ("vectors", D, False)
    data = load(registry.dataset("mine", tmp_path), tmp_path)
    assert data.images.dtype == np.float32
    assert (data.images == x).all()
    assert (data.labels == (y[:, None] == [3, 40_000, 70_000])).all()
    other = tmp_path / "other"
    other.mkdir()
    add(other, FORMS["npy and npy"](other, x, y))
    assert data.fingerprint == load(registry.dataset("mine", other), other).fingerprint
    again = load(registry.dataset("mine", tmp_path), tmp_path)
    assert (again.images == x).all()
    assert again.fingerprint == data.fingerprint


def test_half_precision_stays_and_bytes_become_floats(tmp_path: Path) -> None:
    x, y = items("float16")
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "x.npy", x)
    add(tmp_path, {"features": "x.npy", "labels": "y.npy"})
    half = load(registry.dataset("mine", tmp_path), tmp_path)
    assert half.images.dtype == np.float16
    raw = (np.arange(N * D) % 251).astype(np.uint8).reshape(N, D)
    _vecs(tmp_path / "x.bvecs", raw)
    add(tmp_path, {"features": "x.bvecs", "labels": "y.npy"}, "bytes")
    data = load(registry.dataset("bytes", tmp_path), tmp_path)
    assert data.images.dtype == np.float32
    assert (data.images == raw).all()


def test_several_labels_and_parts(tmp_path: Path) -> None:
    x, _ = items()
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "y.txt").write_text("\n".join(["cat;dog", "dog", "", "owl"] * (N // 4)) + "\n")
    words = ["test"] * 60 + ["train;database"] * 120 + ["database"] * 120
    (tmp_path / "parts.txt").write_text("\n".join(words))
    found = add(tmp_path, {"features": "x.npy", "labels": "y.txt", "split": "parts.txt"})
    assert found.info.multi_label
    assert found.info.classes == ("cat", "dog", "owl")
    assert found.info.default_protocol == "lists"
    assert {part: len(rows) for part, rows in found.parts.items()} == {
        "query": 60,
        "train": 120,
        "database": 240,
    }
    hot = np.zeros((N, 4), dtype=np.int64)
    hot[:, 1] = 1
    hot[::5, 2] = 1
    np.save(tmp_path / "hot.npy", hot)
    wide = add(tmp_path, {"features": "x.npy", "labels": "hot.npy"}, "wide")
    assert (wide.labels == hot).all()


def test_an_ann_benchmarks_file(tmp_path: Path) -> None:
    """Its `train` is the database, on which methods learn; its `test` are the queries."""
    x, y = items()
    _hdf5(tmp_path / "ann.hdf5", train=x[:240], test=x[240:], neighbors=np.zeros((60, 100), int))
    (tmp_path / "y.txt").write_text("\n".join(map(str, y)))
    found = add(tmp_path, {"features": "ann.hdf5", "labels": "y.txt"})
    assert {part: (rows[0], len(rows)) for part, rows in found.parts.items()} == {
        "query": (240, 60),
        "train": (0, 240),
        "database": (0, 240),
    }
    data = load(registry.dataset("mine", tmp_path), tmp_path)
    assert (data.images == x).all()


WRONG: list[tuple[str, Callable[[Path, np.ndarray, np.ndarray], dict[str, str]], str]] = []


def wrong(text: str) -> Any:
    def keep(make: Any) -> Any:
        WRONG.append((make.__name__, make, text))
        return make

    return keep


def _both(folder: Path, x: Any, y: Any) -> dict[str, str]:
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return {"features": "x.npy", "labels": "y.npy"}


@wrong("row 8 holds a value that is not finite")
def nan(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    x[7, 3] = np.nan
    return _both(folder, x, y)


@wrong("row 10 holds a value that is not finite")
def too_large_for_float32(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    x = x.astype(np.float64)
    x[9, 0] = 1e300
    return _both(folder, x, y)


@wrong("holds 299 labels for 300 vectors")
def fewer_labels(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    return _both(folder, x, y[1:])


@wrong("holds no labels; give a file of them")
def no_labels(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    # Without labels a set is one of true neighbours; but where they are named, they are missing.
    return {"features": _both(folder, x, y)["features"], "labels_key": "y"}


@wrong("row 5 has no label")
def empty_label(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    words = list(map(str, y))
    words[4] = " "
    (folder / "y.txt").write_text("\n".join(words))
    return {**_both(folder, x, y), "labels": "y.txt"}


@wrong("row 3 is no class index")
def half_a_class(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    y = y.astype(float)
    y[2] += 0.5
    return _both(folder, x, y)


@wrong("must be columns of 0 and 1")
def vectors_as_labels(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    return _both(folder, x, x)


@wrong(r"must be rows of numbers \(n, d\), found float32 \(3600,\)")
def flat(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    return _both(folder, x.ravel(), y)


@wrong("must be rows of numbers")
def words(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    return _both(folder, x.astype(str), y)


@wrong("cannot be read")
def pickled(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    return _both(folder, np.array([object()], dtype=object), y)


@wrong(r"which array holds the vectors\? It has a \(300, 12\), b \(300, 12\)")
def two_arrays(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    np.savez(folder / "two.npz", a=x, b=x)
    return {"features": "two.npz"}


@wrong("unknown array of .*two.npz' for vectors 'emb': did you mean b[?] known: a, b")
def another_key(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    np.savez(folder / "two.npz", a=x, b=x)
    return {"features": "two.npz", "key": "emb"}


@wrong("lists of differing lengths")
def ragged(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    lists = [list(map(float, row)) for row in x]
    lists[5], lists[6] = lists[5][:-1], [*lists[6], 1.0]
    table = pa.table({"emb": pa.array(lists, pa.list_(pa.float32())), "label": y})
    parquet.write_table(table, folder / "t.parquet")
    return {"features": "t.parquet"}


@wrong("no whole vectors of 12")
def cut_fvecs(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    _vecs(folder / "f.fvecs", x)
    (folder / "f.fvecs").write_bytes((folder / "f.fvecs").read_bytes()[:-3])
    return {**_both(folder, x, y), "features": "f.fvecs"}


@wrong("must end with one of .npy")
def another_suffix(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    (folder / "x.pkl").write_bytes(b"x")
    return {**_both(folder, x, y), "features": "x.pkl"}


@wrong("row 2 has the part 'valid'; allowed: query, test, train, database, gallery")
def another_part(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    (folder / "parts.txt").write_text("\n".join(["train", "valid", *["train"] * 298]))
    return {**_both(folder, x, y), "split": "parts.txt"}


@wrong("holds 2 parts for 300 vectors")
def fewer_parts(folder: Path, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
    (folder / "parts.txt").write_text("train\nquery\n")
    return {**_both(folder, x, y), "split": "parts.txt"}


@pytest.mark.parametrize(("name", "make", "text"), WRONG, ids=[name for name, _, _ in WRONG])
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    tmp_path: Path, run_cli: Cli, name: str, make: Any, text: str
) -> None:
    with pytest.raises(InputError, match=text) as caught:
        add(tmp_path, make(tmp_path, *items()))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "mine.toml").exists()


@pytest.mark.parametrize(
    "name", ["npy and npy", "npz with both", "hdf5", "safetensors", "parquet of lists", "fvecs"]
)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, byte: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    keys = FORMS[name](folder, *items())
    path = folder / keys["features"]
    content = bytearray(path.read_bytes())
    at = min(int(place * len(content)), len(content) - 1)
    content[at] = byte
    path.write_bytes(content[:at] if cut else content)
    message = ""
    try:
        assert len(add(folder, keys).labels) > 0
    except InputError as error:
        message = str(error)
    assert "\n" not in message


class TestLearning:
    def test_the_same_vectors_as_a_data_set_give_the_codes_of_the_frozen_backbone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
        rule = "custom-q200-t500-stratified-all-but-query-kall"
        shared = {"methods": ("hashnet", "itq"), "protocol": rule}
        network = {"backbone": "test_efficientnet", "frozen": True, "preprocessing": {"size": 32}}
        frozen = one_spec(**{**shared, "methods": ("hashnet",)}, **network)
        vectors = open_fit(frozen, digits(), Runtime()).evaluator.data
        np.save(tmp_path / "x.npy", vectors.images)
        np.save(tmp_path / "y.npy", vectors.labels.argmax(axis=1))
        add(
            tmp_path,
            {"features": "x.npy", "labels": "y.npy", "split_key": digits().info.name},
            "digit-vectors",
        )
        _, first, store = execute(tmp_path / "a", **shared, **network)
        from benchmark.sweep import driver
        from benchmark.sweep import plan as planning
        from benchmark.sweep.display import Lines
        from tests.helpers import sweep

        plan = planning.plan(sweep(**shared, datasets=("digit-vectors",)), Store(tmp_path / "b"), tmp_path)
        Store(tmp_path / "b").open()
        second = driver.execute(
            plan, Store(tmp_path / "b"), Runtime(curve_points=2), tmp_path, Lines(every=1e9)
        )
        assert len(first.records) == len(second.records) == 2
        for a, b in zip(first.records, second.records, strict=True):
            assert (a.spec.method, a.state, b.state) == (b.spec.method, "done", "done")
            one, other = store.codes(a.spec), Store(tmp_path / "b").codes(b.spec)
            assert all((one[name] == other[name]).all() for name in one)
            assert a.scores == b.scores
        assert second.records[0].facts["features"] == "vectors, 256-d"
        assert second.records[0].spec.backbone == "vectors"

    def test_commands_on_vectors(self, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
        x, y = items()
        keys = _both(tmp_path, x, y)
        given = [word for key, name in keys.items() for word in (f"--{key}", tmp_path / name)]
        code, out, err = run_cli("dataset", "add", "mine", *given, "--data-root", tmp_path)
        assert code == 0, err
        assert "mine: 300 vectors of 12, 3 classes, one label a vector" in out
        run = ("run", "--datasets", "mine", "--protocol", RULE, "--bits", "8", "--epochs", "3")
        run = (*run, "--results", tmp_path / "r", "--tracking-uri", "none")
        code, out, err = run_cli(*run, "--methods", "hashnet,lsh,coophash")
        assert code == 0, err
        assert "coophash mine 8b s0: it generates images: it needs pixels" in out
        record = next(Store(tmp_path / "r").records())
        for command in (
            ("verify", record.fit_id, "--results", tmp_path / "r", "--device", "cpu"),
            ("audit", "mine", "--protocol", RULE),
            ("prepare", "mine"),
            ("list", "datasets"),
            ("report", "--results", tmp_path / "r"),
        ):
            code, out, err = run_cli(*command)
            assert code == 0, (command, out, err)
        for flags in (("--backbone", "resnet18"), ("--frozen",), ("--weights", "imagenet")):
            code, _, err = run_cli(*run, "--methods", "hashnet", *flags)
            assert (code, err.count("\n")) == (2, 1)
            assert "holds vectors, which no backbone takes" in err
        code, _, err = run_cli("dataset", "add", "other", *given, "--size", "8", "--data-root", tmp_path)
        assert (code, err.count("\n")) == (2, 1)
        assert "--size does not go with --features" in err

    def test_near_duplicates_of_vectors(self) -> None:
        draw = np.random.default_rng(1)
        x = draw.normal(size=(200, 16)).astype(np.float32)
        x[10] = x[20]
        x[30] = x[40] * 1.03
        x[50] = x[60] * 1.2
        x[70] = 0
        assert near_vectors(x, digests(x)).tolist() == [[30, 40]]  # type: ignore[union-attr]

    def test_too_many_vectors_are_not_compared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("benchmark.data.audit.pixels.MOST_VECTORS", 10)
        x = np.zeros((11, 2), dtype=np.float32)
        assert near_vectors(x, digests(x)) is None


def test_blocks_cover_every_row_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_vector_files, "BLOCK", 70)
    for name in FORMS:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        x, y = items()
        keys = FORMS[name](folder, x, y)
        add(folder, keys)
        assert (registry.dataset("mine", folder).decode(folder).images == x).all()


def test_vectors_that_share_draws_share_published_confusions(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(40, dtype=np.float32))
    np.save(tmp_path / "y.npy", np.arange(40) % 10)
    for name, more in (("shared-vectors", {"split_key": "cifar10"}), ("own-vectors", {})):
        add(tmp_path, {"features": "x.npy", "labels": "y.npy", **more}, name)
    published = registry.dataset("cifar10").info.confusions
    assert dict(published) == {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
    assert registry.dataset("shared-vectors", tmp_path).info.confusions == published
    assert registry.dataset("own-vectors", tmp_path).info.confusions == ()
    assert registry.dataset("cifar10-jpeg").info.confusions == published
    assert (
        registry.dataset("cifar100").info.confusions
        == registry.dataset("fashion-mnist").info.confusions
        == ()
    )
