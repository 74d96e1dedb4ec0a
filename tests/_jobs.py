"""Functions that the executors' tests run in workers: importable there, and quick."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
import time
from pathlib import Path

from benchmark.sweep.executors import Link
from tests.programs import wait_until


class Refusal(Exception):
    """An exception that cannot be pickled on its way back."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def square(item: int, link: Link) -> int:
    link.emit(("at", item))
    return item * item


def fail_on_three(item: int, link: Link) -> int:
    if item == 3:
        raise Refusal("three", " is refused")
    return item


def die_on_three(item: int, link: Link) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die_once(item: tuple[int, str], link: Link) -> int:
    """The first attempt at an item with a marker file dies after leaving it."""
    number, marker = item
    if marker and not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def hang_on_three(item: int, link: Link) -> int:
    while item == 3:
        time.sleep(1)
    return item


def until_stopped(item: int, link: Link) -> str:
    link.emit("running")
    wait_until(link.stopping)
    return "stopped"


def surroundings(item: tuple[int, str], link: Link) -> dict[str, str | None]:
    """The worker's environment, told once as many workers as the item asks for hold one: each takes its share."""
    workers, folder = item
    (Path(folder) / str(os.getpid())).touch()
    wait_until(lambda: len(os.listdir(folder)) >= workers)
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {"pid": str(os.getpid()), **{name: os.environ.get(name) for name in names}}


def unpicklable(item: int, link: Link) -> object:
    return lambda: item


def listening(item: int, link: Link) -> list[str]:
    """Addresses on which the processes of this worker's Ray accept connections; Linux alone."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    ray = {parents[parents[os.getpid()]]}  # the driver: it started the raylet, which started this worker
    while more := {pid for pid, parent in parents.items() if parent in ray} - ray:
        ray |= more
    sockets = {_target(fd) for pid in ray for fd in Path(f"/proc/{pid}/fd").glob("*")}
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(_address(fields[1].split(":")[0]))
    return found


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return 0


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ""


def _address(words: str) -> str:
    """An address of /proc/net/tcp: 32-bit words, each written as the machine holds it."""
    raw = b"".join(int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8))
    return str(ipaddress.ip_address(raw))


def retire_on_three(item: int, link: Link) -> int:
    """The process that it ran in; the third item says that it is spent."""
    if item == 3:
        link.retire()
    return os.getpid()


def fail_and_retire_on_three(item: int, link: Link) -> int:
    if item == 3:
        link.retire()
        raise RuntimeError("CUDA error: device-side assert triggered")
    return os.getpid()
