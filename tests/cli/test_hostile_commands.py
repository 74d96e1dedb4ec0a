"""Bad input to every command, each in a process of its own: exit code 2, one line, and no file touched."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import COMMANDS, main
from benchmark.store.store import Store
from tests.helpers import execute
from tests.programs import Program


class Evil:
    """Unpickling this would leave a file behind."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch unpickled",)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return execute(tmp_path_factory.mktemp("good"), methods=("lsh",), bits=(8,))[2]


@pytest.fixture
def place(tmp_path: Path, store: Store) -> Path:
    """A working folder with a results folder whose one record lies, and with files of an attacker."""
    record = next(store.records())
    folder = Store(tmp_path / "lies").folder(record.spec)
    folder.mkdir(parents=True)
    text = record.model_dump_json().replace('"method":"lsh"', '"method":"../../evil"')
    (folder / "record.json").write_text(text)
    (tmp_path / "id").write_text(record.fit_id)
    np.savez(tmp_path / "evil.npz", query_codes=np.array([Evil()], dtype=object), allow_pickle=True)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"fc.weight": Evil()}))
    (tmp_path / "evil.toml").write_text('methods = ["../evil"]\n')
    (tmp_path / "noise.toml").write_bytes(b"\xff\xfe\x00")
    return tmp_path


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "line",
    [
        "run --suite evil.toml --results runs",
        "run --suite noise.toml --results runs",
        "run --methods hashnet --backbone resnet18 --weights evil.pt --results runs --device cpu",
        "run --methods lsh --results id/runs",
        "score evil.npz",
        "score evil.pt",
        "report --results nowhere --out pages",
        "status --results nowhere",
        "show ../../etc --results lies",
        "show ID --results lies",
        "verify ID --results lies",
        "tune hashnet --trials 0 --results runs",
        "check ../evil",
        "describe ../evil --results made",
        "describe hashnet --dataset ../evil --results made",
        "describe hashnet --dataset digits --results id/made",
        "run --methods lsh --datasets digits --views cross:../evil --results runs",
        "new ../evil --directory .",
        "new class --directory made",
        "track --sync --results lies --tracking-uri javascript:1",
        "list everything",
        "audit ../../etc/passwd",
        "encode ../evil --results lies --dataset digits --out codes.npz",
        "encode ID --results lies --images ../evil --out codes.npz",
        "search ID --results lies --database ../evil --query ../evil",
        "serve ID --results lies --database ../evil --port 0",
        "ui --results nowhere",
        "prepare ../evil --data-root nowhere",
        "dataset add ../evil --data-root nowhere",
    ],
)
def test_a_command_refuses_in_one_line(
    place: Path, tmp_path_factory: pytest.TempPathFactory, line: str
) -> None:
    before = content(place)
    arguments = [(place / "id").read_text() if word == "ID" else word for word in line.split()]
    folder = tmp_path_factory.mktemp("said")
    with Program(*arguments, log=folder / "err", out=folder / "out", cwd=place) as command:
        assert command.wait() == 2, command.text()
        assert command.text().startswith("error: ")
        assert command.text().count("\n") == 1
    assert (folder / "out").read_bytes() == b""
    after = {path: data for path, data in content(place).items() if not path.startswith(str(place / "runs"))}
    assert after == before


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_flag_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--no-such-flag=../x"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
