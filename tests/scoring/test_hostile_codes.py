"""Files of codes that are damaged, made up or full of odd values: a score or one line, whatever the reader."""

from __future__ import annotations

import contextlib
import io
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from benchmark.cli import main
from benchmark.scoring.readers import SUFFIXES

RNG = np.random.default_rng(2)
CLASSES = RNG.integers(0, 3, 14)
OUTPUTS = RNG.standard_normal((14, 9)).round(2)
CODES = (OUTPUTS > 0).astype(np.uint8)
GOOD = {"qB": CODES[:4], "rB": CODES[4:], "qL": CLASSES[:4], "rL": CLASSES[4:], "q_ids": np.arange(4)}
GOOD |= {"r_ids": np.arange(10), "query_outputs": OUTPUTS[:4], "database_outputs": OUTPUTS[4:]}


def generated(examples: int) -> Callable[[Any], Any]:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks, database=None
    )


def _npz(path: Path) -> None:
    np.savez_compressed(path, **GOOD)  # type: ignore[arg-type]


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, value in GOOD.items():
            file.create_dataset(name, data=value, compression="gzip" if value.ndim == 2 else None)


def _mat_73(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in GOOD.items():
            file[name] = np.atleast_2d(value).T
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(128))


def _pt(path: Path) -> None:
    torch.save({**{name: torch.from_numpy(value) for name, value in GOOD.items()}, "qL": CLASSES[:4]}, path)


def _old_pt(path: Path) -> None:
    torch.save(
        {"query": {"codes": CODES[:4]}, "x": torch.ones(2)}, path, _use_new_zipfile_serialization=False
    )


def _csv(path: Path) -> None:
    rows = [["q" if row < 4 else "db", row, CLASSES[row], *OUTPUTS[row]] for row in range(14)]
    head = ["set", "id", "label", *(f"b{bit}" for bit in range(9))]
    path.write_text("\n".join(",".join(map(str, row)) for row in [head, *rows]))


def _jsonl(path: Path) -> None:
    rows = [
        {"set": "q" if row < 4 else "db", "label": "ab"[row % 2], "code": CODES[row].tolist()}
        for row in range(14)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))


def _json(path: Path) -> None:
    path.write_text(json.dumps({name: value.tolist() for name, value in GOOD.items()}))


MAKERS: list[tuple[str, Callable[[Path], None]]] = [
    ("x.npz", _npz),
    ("query_codes.npy", lambda path: np.save(path, CODES)),
    ("v5.mat", lambda path: scipy.io.savemat(path, GOOD, do_compression=False)),
    ("compressed.mat", lambda path: scipy.io.savemat(path, GOOD, do_compression=True)),
    ("v73.mat", _mat_73),
    ("x.h5", _hdf5),
    ("x.pt", _pt),
    ("old.pth", _old_pt),
    ("x.csv", _csv),
    ("x.jsonl", _jsonl),
    ("x.json", _json),
]


def answered(path: Path, *options: str) -> dict[str, Any] | str:
    """The score, or the one line; anything else fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error")
        code = main(["score", str(path), *options, "--json", "--metrics", "map", "--max-gb", "0.01"])
    if code == 0:
        assert err.getvalue() == ""
        found: dict[str, Any] = json.loads(out.getvalue())
        value = found["values"]["map"]
        assert value is None or 0 <= value <= 1 + 1e-12
        assert found["notes"]
        return found
    assert code == 2, (code, err.getvalue())
    assert out.getvalue() == ""
    assert err.getvalue().startswith("error: ")
    assert err.getvalue().count("\n") == 1
    assert "Traceback" not in err.getvalue()
    return err.getvalue()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("good")
    for name, make in MAKERS:
        make(folder / name)
    return {name: (folder / name).read_bytes() for name, _ in MAKERS}


DAMAGE = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["byte", "cut", "drop", "double"]),
        st.binary(min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for place, how, new in changes:
        at = int(place * len(content))
        after = {
            "byte": content[at + len(new) :],
            "cut": b"",
            "drop": content[at + 7 :],
            "double": content[at // 2 :],
        }
        content = content[:at] + (new if how == "byte" else b"") + after[how]
    return content


@pytest.mark.parametrize("name", [name for name, _ in MAKERS])
@generated(25)
@given(changes=DAMAGE)
def test_damaged_files(
    tmp_path: Path, good: dict[str, bytes], name: str, changes: list[tuple[float, str, bytes]]
) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(good[name], changes))
    answered(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@generated(12)
@given(
    content=st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace"))
    )
)
def test_files_of_noise(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"query_codes{suffix}"
    path.write_bytes(content)
    assert isinstance(answered(path), str)


ODD = st.one_of(
    *(
        arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        for kind in ("?", "i1", "u8", "f2", "f8", "c8", "U3", "S2", "M8[s]")
    ),
    st.just(np.zeros(3, "V3")),
    st.sampled_from([np.nan, np.inf, -1.0, 1e300, 2**63, -(2**63)]).map(
        lambda value: np.where(RNG.random((4, 9)) < 0.2, value, 0.5)
    ),
)


@generated(120)
@given(
    role=st.sampled_from([*GOOD, "bits"]),
    value=ODD,
    options=st.sampled_from(
        [
            (),
            ("--exclude-self",),
            ("--conventions", "all"),
            ("--threshold", "0.5"),
            ("--transpose",),
            ("--bits", "9"),
        ]
    ),
)
def test_arrays_of_odd_values(tmp_path: Path, role: str, value: Any, options: tuple[str, ...]) -> None:
    np.savez(tmp_path / "x.npz", **{**GOOD, role: value})
    answered(tmp_path / "x.npz", *options)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([CODES[:4].tolist(), CLASSES[:4].tolist(), OUTPUTS[4:].tolist()]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "codes", "labels"]), inner)
    ),
    max_leaves=8,
)


@generated(80)
@given(role=st.sampled_from([*GOOD, "bits"]), value=TREES)
def test_json_of_anything(tmp_path: Path, role: str, value: Any) -> None:
    content = {**{name: array.tolist() for name, array in GOOD.items()}, role: value}
    (tmp_path / "x.json").write_text(json.dumps(content))
    answered(tmp_path / "x.json")


@generated(60)
@given(
    keys=st.lists(st.sampled_from(["set", "label", "code", "b", "id", "x"]), min_size=1, max_size=4),
    values=st.lists(TREES, min_size=2, max_size=5),
    sets=st.booleans(),
)
def test_json_lines_of_anything(tmp_path: Path, keys: list[str], values: list[Any], sets: bool) -> None:
    lines = [
        {**dict.fromkeys(keys, value), **({"set": "qd"[at % 2]} if sets else {})}
        for at, value in enumerate(values)
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    answered(tmp_path / "x.jsonl")


CELLS = st.one_of(
    st.integers(-3, 3).map(str),
    st.floats().map(str),
    st.sampled_from(["", "a", "01", "[1, 0]", "query", "db", "-1 1", '"', "1e400"]),
)


@generated(60)
@given(
    head=st.lists(
        st.sampled_from(["set", "label", "code", "b0", "b1", "id", "", "0", "1", "2"]), min_size=1, max_size=5
    ),
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=6),
)
def test_tables_of_anything(tmp_path: Path, head: list[str], rows: list[list[str]]) -> None:
    rows = [(row * 5)[: len(head)] for row in rows]
    (tmp_path / "query_codes.csv").write_text("\n".join(",".join(row) for row in [head, *rows]))
    answered(tmp_path / "query_codes.csv")


TENSORS = st.one_of(
    LEAVES,
    arrays_of.arrays(
        st.sampled_from(["?", "i1", "f2", "f8", "U2", "S2"]), arrays_of.array_shapes(max_dims=2, max_side=4)
    ),
    st.sampled_from(
        [
            torch.zeros(4, 9, dtype=torch.bfloat16),
            torch.zeros(4, 9, dtype=torch.float8_e4m3fn),
            torch.zeros(4, 9, dtype=torch.complex64),
            torch.eye(4, 9).to_sparse(),
            torch.empty(4, 9, device="meta"),
            torch.zeros(1).expand(10**9, 9),
            torch.zeros(()),
            torch.zeros(0, 9),
            torch.nn.Parameter(torch.ones(4, 9)),
            torch.tensor(1 + 2j).conj(),
            math.nan,
        ]
    ),
)


@generated(60)
@given(role=st.sampled_from([*GOOD, "bits"]), value=st.one_of(TENSORS, st.lists(TENSORS, max_size=3)))
def test_tensors_of_anything(tmp_path: Path, role: str, value: Any) -> None:
    torch.save({**GOOD, role: value}, tmp_path / "x.pt")
    answered(tmp_path / "x.pt")
