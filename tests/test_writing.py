"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import writing
from benchmark.writing import write_file, write_files


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    target = tmp_path / "tracked[1].json"
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom benchmark import writing\n"
        "writing.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "writing.write_file(Path(sys.argv[1]), b'half')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".tmp")
    alive = tmp_path / left.name.replace(left.name.split("-")[-1], f"{os.getppid()}.tmp")
    elsewhere = tmp_path / f".{target.name}.another_machine-1.tmp"
    alive.touch(), elsewhere.touch()
    write_file(target, b"whole")
    assert target.read_bytes() == b"whole"
    assert {path.name for path in tmp_path.iterdir()} == {target.name, alive.name, elsewhere.name}


def test_a_full_disk_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = tmp_path / "codes", tmp_path / "record"
    write_files({first: b"1", last: b"1"}, last)

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_files({first: b"2", last: b"2"}, last)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"codes": b"1", "record": b"1"}
