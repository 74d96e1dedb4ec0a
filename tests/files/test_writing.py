"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.authoring import declare_dataset, new_method
from benchmark.files import write as writing
from benchmark.files.write import write_file, write_files
from benchmark.report import write as report


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    target = tmp_path / "tracked[1].json"
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom benchmark.files import write as writing\n"
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


def _to_a_report(path: Path, content: bytes) -> None:
    report._write(path, content)


def _to_a_method(path: Path, content: bytes) -> None:
    new_method._write(path, content.decode())


WRITERS: list[Callable[[Path, bytes], object]] = [write_file, _to_a_report, _to_a_method]


@pytest.mark.parametrize("write", WRITERS)
def test_a_link_is_followed_and_stays(tmp_path: Path, write: Callable[[Path, bytes], object]) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    link.symlink_to("there/target")
    write(link, b"new")  # nothing is there yet
    assert target.read_bytes() == b"new"
    target.chmod(0o640)
    write(link, b"newer")
    assert link.is_symlink()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"newer", 0o640)
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    link.unlink()
    link.symlink_to("/dev/null")
    write(link, b"away")
    assert link.is_symlink()
    assert link.is_char_device()


@pytest.mark.parametrize("write", WRITERS)
def test_a_pipe_is_written_through(tmp_path: Path, write: Callable[[Path, bytes], object]) -> None:
    pipe, received = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR)  # so that neither end waits for the other for ever
    reader = threading.Thread(target=lambda: received.append(os.read(holder, 100)))
    reader.start()
    write(pipe, b"through")
    still = pipe.is_fifo()
    if not still:
        os.write(holder, b"nothing came")
    reader.join()
    os.close(holder)
    assert still
    assert received == [b"through"]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_the_file_that_is_printed_into_keeps_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/dev/stdout")
    script = (
        "import sys\nfrom pathlib import Path\nfrom benchmark.files.write import write_file\n"
        "print('first')\nwrite_file(Path(sys.argv[1]), b'second\\n')\nprint('third')\n"
    )
    with (tmp_path / "printed").open("w") as printed:
        done = subprocess.run([sys.executable, "-c", script, tmp_path / "out"], stdout=printed, check=False)
    assert done.returncode == 0
    assert (tmp_path / "printed").read_text() == "first\nsecond\nthird\n"


def test_links_in_a_circle_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path):
        with pytest.raises(OSError, match=r"symbolic links|directory"):
            write_file(path, b"")
    with pytest.raises(OSError, match="No such file"):
        write_file(tmp_path / "missing" / "x", b"", folders=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_declaration_follows_links(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (4, 4)).save(tmp_path / "pets" / name / f"{number}.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets.toml").symlink_to("../kept.toml")
    declare_dataset.declare("pets", {"folder": str(tmp_path / "pets")}, tmp_path / "data")
    assert (tmp_path / "data" / "pets.toml").is_symlink()
    assert "folder" in (tmp_path / "kept.toml").read_text()
