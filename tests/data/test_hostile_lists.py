"""List files, tables, declarations and suites that are damaged or made up: read, or refused in one line."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.datasets._declared import Declaration
from benchmark.spec.suites import RunConfig
from tests.layouts import picture


def generated(examples: int) -> Callable[[Any], Any]:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks, database=None
    )


def answered(*arguments: object) -> tuple[str, str]:
    """What was printed, and the one line of a refusal; anything else fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    if code == 0:
        return out.getvalue(), ""
    said = err.getvalue().splitlines()[-1:]
    assert code == 2, (code, err.getvalue())
    assert [line.startswith("error: ") for line in said] == [True]
    assert "Traceback" not in err.getvalue()
    assert len(said[0]) < 10_000
    assert not re.search("codec can't|embedded null|invalid literal", said[0].partition("(line ")[0][:60])
    return "", said[0]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, one in a folder of a class; lists and tables are written beside them."""
    root = tmp_path_factory.mktemp("lists")
    for number, name in enumerate(("0.png", "a 1.png", "b:2.png", "cat/3.png", "dog/4.png")):
        picture(root / "images" / name, number, (8, 8))
    return root


@pytest.fixture(autouse=True)
def _cache(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(images / "cache"))


@contextlib.contextmanager
def added(images: Path, *flags: object) -> Iterator[str]:
    """`dataset add`: what it says when it refuses, else nothing, and the declaration is there meanwhile."""
    data = images / "data"
    where = ("--folder", images / "images", "--size", 4, "--data-root", data)
    out, said = answered("dataset", "add", "mine", *flags, *where)
    assert (data / "mine.toml").exists() == bool(out), "nothing stays behind of what is refused"
    try:
        yield said
    finally:
        (data / "mine.toml").unlink(missing_ok=True)


ODD = st.sampled_from(
    [
        *("-1", "999999", "1099511627776", "9" * 30, "9" * 5000, "nan", "inf", "0.7", "1.0", "1e999", "x"),
        *("1,0", '"0"', "\u0663", "1_0", "+1", "--1", "\0", "\ufeff", "\u2028", "", "C:", "0" * 400),
    ]
)
NAME = st.one_of(
    st.sampled_from(
        ["0.png", "a 1.png", "b:2.png", "cat/3.png", "./0.png", "../0.png", "C:\\x\\0.png", "/", ""]
    ),
    st.text(max_size=6),
    st.just("x" * 50_000),
)
LINE = st.builds(
    lambda name, labels, space: space.join([name, *labels]),
    NAME,
    st.lists(st.one_of(st.sampled_from("01"), ODD), max_size=4),
    st.sampled_from([" ", "\t", "  ", ",", " \t "]),
)
BYTES = st.builds(
    lambda lines, end, code, cut: end.join(lines).encode(code, "replace")[: cut or None],
    st.lists(st.one_of(LINE, st.builds("{} 1 0".format, NAME)), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le"]),
    st.one_of(st.just(0), st.integers(1, 40)),
)


@generated(150)
@given(content=st.one_of(BYTES, st.binary(max_size=60)))
def test_lists(images: Path, content: bytes) -> None:
    path = images / "test.txt"
    path.write_bytes(content)
    counted, _ = answered("audit", path, "--images", images / "images", "--no-near", "--format", "json")
    with added(images, "--images", path, "--duplicates", "drop") as refused:
        if not refused:
            (found,) = json.loads(counted)
            assert not found["parts"]["query"]["missing_classes"] or " 0" in path.read_text("utf-8-sig")
            answered("prepare", "mine", "--data-root", images / "data")
        elif "line" not in refused:
            assert re.search("names no image|images cannot be read|needs|no such", refused), refused


CELL = st.one_of(
    st.sampled_from(["0", "1", "wren", "a;b", ";", " ", "train", "test", "query;train"]), NAME, ODD
)
HEAD = st.sampled_from(["path", "label", "label", "part", "image", "", "a", "b", '"', "0", "\ufeff"])


@generated(120)
@given(
    head=st.lists(HEAD, max_size=4),
    rows=st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=4),
    join=st.sampled_from([",", ";", "\t", '","']),
    suffix=st.sampled_from([".csv", ".csv", ".tsv", ".parquet"]),
    code=st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16"]),
    even=st.booleans(),
    labels=st.sampled_from([(), (), ("--labels", "label"), ("--labels", "a,b"), ("--path", "0")]),
)
def test_tables(
    images: Path,
    head: list[str],
    rows: list[list[str]],
    join: str,
    suffix: str,
    code: str,
    even: bool,
    labels: tuple[str, ...],
) -> None:
    if even:
        rows = [(row * 4)[: len(head)] for row in rows]
    path = images / f"table{suffix}"
    path.write_bytes("\n".join(join.join(row) for row in [head, *rows]).encode(code, "replace"))
    with added(images, "--table", path, "--duplicates", "drop", *labels) as refused:
        if not refused:
            answered("prepare", "mine", "--data-root", images / "data")


LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.sampled_from(
        ["images", "l.txt", "t.csv", "nope", "folder", "lists", "table", "lists-k5000", "query", "x" * 300]
    ),
    st.sampled_from(["custom-q1-t1-random-rest-kall", "default", "multi-100-400", "label", "\0"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab:", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
KINDS: dict[str, dict[str, Any]] = {
    "folder": {"folder": "images"},
    "lists": {"folder": "images", "images": "l.txt"},
    "table": {"folder": "images", "table": "t.csv"},
}
DECLARED = st.sampled_from([*Declaration.model_fields])


@generated(150)
@given(kind=st.sampled_from([*KINDS]), keys=st.dictionaries(DECLARED, VALUES, max_size=2))
def test_declarations(images: Path, kind: str, keys: dict[str, Any]) -> None:
    data = images / "declared"
    data.mkdir(exist_ok=True)
    for name, content in {
        "l.txt": "0.png 1\nb:2.png 70000\n",
        "t.csv": "path,label\n0.png,a\nb:2.png,b\n",
    }.items():
        (data / name).write_text(content)
    if not (data / "images").exists():
        (data / "images").symlink_to(images / "images")
    (data / "mine.toml").write_text(tomli_w.dumps({"kind": kind, "size": 4, **KINDS[kind], **keys}), "utf-8")
    _, said = answered("prepare", "mine", "--data-root", data)
    assert answered("list", "datasets", "--data-root", data)[0]
    assert not said or "mine" in said or "l.txt" in said or "t.csv" in said, said


SUITE = st.sampled_from([*RunConfig.model_fields, "set", "parts", "include", "protocol_file", "label-noise"])


@generated(120)
@given(keys=st.dictionaries(SUITE, VALUES, max_size=2))
def test_suites(images: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]) -> None:
    monkeypatch.chdir(images)
    fixed = {"methods": ["lsh"], "bits": [8], "results": str(images / "runs")}
    Path("s.toml").write_text(tomli_w.dumps({**fixed, **keys}), "utf-8")
    answered("run", "--suite", "s.toml", "--plan")


@generated(60)
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            [
                b'kind = "folder"\nepochs = ' + b"9" * 5000,
                b'kind = "lists"\nimages = "\\u0000"',
                b"a = " + b"[" * 5000,
                'kind = "folder" # \u00e9'.encode("latin-1"),
                'kind = "folder"'.encode("utf-16"),
                b"\xef\xbb\xbf\xef\xbb\xbf",
                b'include = ["a/\\u0000"]',
            ]
        ),
    )
)
def test_toml_of_noise(images: Path, content: bytes) -> None:
    data = images / "noise"
    data.mkdir(exist_ok=True)
    (data / "mine.toml").write_bytes(content)
    assert "mine.toml" in answered("prepare", "mine", "--data-root", data)[1]
    assert answered("list", "datasets", "--data-root", data)[0]
    _, said = answered("run", "--suite", data / "mine.toml", "--plan", "--results", images / "runs")
    assert "mine.toml" in said or re.match(rb"(\xef\xbb\xbf)?\s*(#|$)", content), "an empty suite is one"
