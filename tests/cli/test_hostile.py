"""Over two hundred generated bad inputs: each one line, exit code 2, nothing touched outside the results."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.datasets._archives import unpack
from benchmark.store.store import Store
from tests.helpers import execute


def generated(count: int) -> settings:
    """The same inputs on every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def call(*arguments: object) -> tuple[int, str]:
    """Exit code and standard error of the command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return code, err.getvalue()


def refused(*arguments: object) -> None:
    code, err = call(*arguments)
    assert code == 2, (arguments, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in; whatever the inputs say, it stays as it was outside `runs`."""
    inside = tmp_path / "work"
    inside.mkdir()
    (inside / "precious").write_text("untouched")
    monkeypatch.chdir(inside)
    yield inside
    assert {path.name for path in tmp_path.iterdir()} == {"work"}
    assert {path.name for path in inside.iterdir()} <= {"precious", "runs", "input"}
    assert (inside / "precious").read_text() == "untouched"


WEIRD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NOT_A_NUMBER = WEIRD.filter(lambda text: not any(c.isdigit() for c in text))
BAD_FLAGS = st.one_of(
    st.tuples(
        st.just("--bits"), st.one_of(st.integers(max_value=0).map(str), st.integers(min_value=4097).map(str))
    ),
    st.tuples(
        st.sampled_from(["--seeds", "--bits", "--label-fractions", "--epochs", "--workers"]), NOT_A_NUMBER
    ),
    st.tuples(
        st.just("--label-fractions"), st.sampled_from(["0", "-1", "1.01", "nan", "inf", "1e999", "0x1"])
    ),
    st.tuples(st.just("--time-limit"), st.sampled_from(["0", "-3", "nan", "soon"])),
    st.tuples(st.just("--checkpoint-seconds"), st.sampled_from(["-1", "nan", "inf", "often"])),
    st.tuples(st.just("--gpus"), st.sampled_from(["-1", "one", "0,x", "9999"])),
    st.tuples(st.just("--gpus-per-fit"), st.sampled_from(["-0.5", "half", "nan"])),
    st.tuples(st.just("--methods"), WEIRD.map(lambda text: f"no such {text}")),
    st.tuples(st.just("--methods"), st.sampled_from(["../lsh", "lsh;rm", "__init__", "LSH", "methods.lsh"])),
    st.tuples(st.just("--datasets"), st.sampled_from(["../../etc", "digits/..", "", "/"])),
    st.tuples(st.just("--set"), WEIRD.filter(lambda text: "=" not in text)),
    st.tuples(
        st.just("--set"),
        st.sampled_from(["hashnet.lr=nan", "hashnet.lr=[1]", "hashnet.__class__=1", "=", ".="]),
    ),
    st.tuples(
        st.sampled_from(["--executor", "--selection", "--precision", "--protocol"]), WEIRD.filter(bool)
    ),
    st.tuples(st.just("--tracking-uri"), st.sampled_from(["javascript:1", "file", "//x", "http//x"])),
)
#: What decides labels, views and curves.
BAD_RULES = st.one_of(
    st.tuples(
        st.just("--labels-per-class"), st.sampled_from(["0", "-1", "1.5", "1e3", "nan", "x", "1000000"])
    ),
    st.tuples(st.just("--label-noise"), st.sampled_from(["1", "-0.1", "nan", "inf", "half", "0,,2"])),
    st.tuples(st.sampled_from(["--noise-kind", "--hidden-images"]), WEIRD.filter(bool)),
    st.tuples(
        st.just("--views"),
        st.sampled_from(["nosuch", "../x", "clean@@", "corruption:gaussian_noise@9", "cross:", "a:b:c@1"]),
    ),
    st.tuples(st.just("--class-splits"), st.sampled_from(["-1", "1000", "x", "0.5"])),
    st.tuples(
        st.sampled_from(["--curve-points", "--curve-steps", "--curve-samples"]), NOT_A_NUMBER.filter(bool)
    ),
    st.tuples(
        st.sampled_from(["--curve-points", "--curve-steps", "--curve-samples"]),
        st.sampled_from(["-1", "1e9"]),
    ),
    st.tuples(st.just("--curve-metrics"), WEIRD.map(lambda text: f"no such {text}")),
)


@generated(70)
@given(flag=BAD_FLAGS)
def test_flags(place: Path, flag: tuple[str, str]) -> None:
    name, value = flag
    refused("run", "--methods", "hashnet", f"{name}={value}", "--results", place / "runs", "--plan")
    assert not (place / "runs").exists()


@generated(40)
@given(flag=BAD_RULES)
def test_flags_of_labels_views_and_curves(place: Path, flag: tuple[str, str]) -> None:
    name, value = flag
    refused("run", "--methods", "hashnet", f"{name}={value}", "--results", place / "runs", "--plan")
    assert not (place / "runs").exists()


TOML_VALUES = st.one_of(
    st.integers(min_value=-(2**60), max_value=-1),
    st.floats(max_value=-0.5),
    st.sampled_from([float("nan"), float("inf"), [[1]], {"a": 1}, [{}]]),
)
KEYS = st.sampled_from(
    ["methods", "datasets", "seeds", "bits", "epochs", "batch_size", "set", "weights", "workers"]
)


@generated(30)
@given(key=KEYS, value=TOML_VALUES)
def test_suite_files(place: Path, key: str, value: Any) -> None:
    import tomli_w

    (place / "input").write_text(tomli_w.dumps({key: value}))
    refused("run", "--suite", place / "input", "--results", place / "runs", "--plan")
    assert not (place / "runs").exists()


@generated(20)
@given(content=st.binary(min_size=1, max_size=200).filter(lambda raw: b"#" not in raw and raw.strip()))
def test_suite_files_of_noise(place: Path, content: bytes) -> None:
    (place / "input").write_bytes(content)
    refused("run", "--suite", place / "input", "--results", place / "runs", "--plan")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return execute(tmp_path_factory.mktemp("good"), methods=("lsh",), bits=(8,))[2]


class Evil:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch precious-was-here",)


def damaged(content: bytes, position: int, byte: int, cut: bool) -> bytes:
    position %= len(content)
    return content[:position] if cut else content[:position] + bytes([byte]) + content[position + 1 :]


DAMAGE = st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.booleans())


@generated(30)
@given(damage=DAMAGE)
def test_records(place: Path, store: Store, damage: tuple[int, int, bool]) -> None:
    """A damaged record is refused, or (where the damage hits a text or a number) still a valid one."""
    record = next(store.records())
    folder = Store(place / "runs").folder(record.spec)
    folder.mkdir(parents=True, exist_ok=True)
    good = (store.folder(record.spec) / "record.json").read_bytes()
    (folder / "record.json").write_bytes(damaged(good, *damage))
    code, err = call("show", record.fit_id, "--results", place / "runs")
    assert code in (0, 2)
    assert err.count("\n") == (code == 2)
    code, err = call("status", "--results", place / "runs")
    assert (code, err) == (0, "")


RECORD_LIES = st.sampled_from(
    [
        ("dataset", "../../../escape"),
        ("method", "/etc/passwd"),
        ("method", "a/../b"),
        ("bits", 10**9),
        ("seed", -1),
        ("fingerprint", "../../../../aaaa"),
        ("label_fraction", 1e400),
        ("schema_version", "x"),
        ("params", [1]),
        ("weights", None),
    ]
)


@generated(10)
@given(lie=RECORD_LIES)
def test_records_that_lie(place: Path, store: Store, lie: tuple[str, Any]) -> None:
    record = next(store.records())
    raw = json.loads(record.model_dump_json())
    raw["spec"][lie[0]] = lie[1]
    path = Store(place / "runs").folder(record.spec) / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw))
    refused("show", record.fit_id, "--results", place / "runs")
    refused("verify", record.fit_id, "--results", place / "runs")
    before = path.read_text()
    assert call("run", "--methods", "lsh", "--bits", "8", "--results", place / "runs", "--plan") == (0, "")
    assert path.read_text() == before, "a plan changes nothing"


@generated(20)
@given(damage=DAMAGE)
def test_stored_codes(place: Path, store: Store, damage: tuple[int, int, bool]) -> None:
    record = next(store.records())
    good, folder = store.folder(record.spec), Store(place / "runs").folder(record.spec)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_bytes((good / "record.json").read_bytes())
    (folder / "codes.npz").write_bytes(damaged((good / "codes.npz").read_bytes(), *damage))
    code, err = call("verify", record.fit_id, "--results", place / "runs", "--device", "cpu")
    assert code in (0, 1, 2)
    assert err.count("\n") == (code == 2)
    assert "Traceback" not in err


def _pickled(path: Path) -> None:
    np.savez(path, query_codes=np.array([Evil()], dtype=object), allow_pickle=True)
    path.with_suffix(".npz").rename(path) if path.suffix != ".npz" and not path.exists() else None


def _bomb(path: Path) -> None:
    """A megabyte that claims four gigabytes, as zeros."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("query_codes.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(
            member, {"descr": "|u1", "fortran_order": False, "shape": (4 * 2**30,)}
        )
        for _ in range(8):
            member.write(bytes(2**20))


def test_codes_that_are_pickles_or_bombs(place: Path, store: Store) -> None:
    record = next(store.records())
    folder = Store(place / "runs").folder(record.spec)
    folder.mkdir(parents=True)
    (folder / "record.json").write_bytes((store.folder(record.spec) / "record.json").read_bytes())
    for make in (_pickled, _bomb):
        make(folder / "codes.npz")
        refused("verify", record.fit_id, "--results", place / "runs")


@generated(15)
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".pt", ".pth", ".safetensors", ".bin"]))
def test_weights_of_noise(place: Path, content: bytes, suffix: str) -> None:
    _refuse_weights(place, content, suffix)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ""])
@pytest.mark.parametrize(
    "content", [pickle.dumps(Evil()), pickle.dumps({"fc.weight": Evil()}), pickle.dumps([1, 2])]
)
def test_weights_that_are_pickles(place: Path, content: bytes, suffix: str) -> None:
    _refuse_weights(place, content, suffix)


def _refuse_weights(place: Path, content: bytes, suffix: str) -> None:
    path = place / "runs" / f"weights{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    refused(
        *("run", "--methods", "hashnet", "--backbone", "resnet18", "--weights", path),
        *("--results", place / "runs", "--device", "cpu"),
    )
    assert {entry.name for entry in path.parent.iterdir()} == {path.name}
    path.unlink()


@generated(15)
@given(content=st.binary(max_size=400), name=st.sampled_from(["a.zip", "a.tar", "a.tar.gz"]))
def test_archives_of_noise(place: Path, content: bytes, name: str) -> None:
    from benchmark.errors import InputError

    path = place / "runs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(InputError):
        unpack(path, place / "runs" / "out")
    assert [*(place / "runs" / "out").iterdir()] == []
