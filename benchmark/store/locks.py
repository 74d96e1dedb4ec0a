"""Who is working on which fit: one small file per running fit, kept fresh by a heartbeat.

Several drivers may share a results folder. A fit's lock is created with O_EXCL, so that one driver wins; its file's
time is renewed every `BEAT` seconds; a lock that was not renewed for `STALE` seconds, or whose process is gone
from this very machine, is taken over. Staleness is judged by watching the file, never by comparing clocks of
two machines. Taking over is serialised by `flock` on one file; docs/sweeps.md says what holds where there is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: creation stays exclusive, taking over is not serialised
    fcntl = None  # type: ignore[assignment]

#: Seconds between two renewals of a lock.
BEAT = 10.0
#: Seconds without a renewal after which a lock is taken over.
STALE = 60.0
#: Seconds to wait, where `flock` does not work, before a lock that was taken over is believed.
SETTLE = 1.0
#: Seconds between two words of how far a fit is; they lie beside the lock in files with this ending.
TELL, _WORD = 5.0, ".progress"


@dataclass
class _Seen:
    """Another driver's lock as it was last found changed, by this process's own clock."""

    stamp: tuple[int, bytes]
    since: float


class FitLocks:
    """The fits of a results folder that one driver holds. A context manager: a thread renews its locks inside."""

    def __init__(self, root: Path, *, beat: float = BEAT, stale: float = STALE) -> None:
        self._folder = (root / "claims").absolute()  # a method may change the working folder meanwhile
        self._beat, self._stale = beat, stale
        self.token = uuid.uuid4().hex
        self._held: set[str] = set()
        self._seen: dict[str, _Seen] = {}
        self._told: dict[str, float] = {}
        self._guard, self._end = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FitLocks:
        self._end.clear()
        self._thread = threading.Thread(target=self._renew, name="claims", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(5)
        for fit_id in [*self._held]:
            self.release(fit_id)

    def take(self, fit_id: str) -> bool:
        """Lock a fit: True when it is ours now. Raises OSError when the folder cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(fit_id)
        if self._create(path):
            return self._won(fit_id)
        if not self._is_stale(path, fit_id):
            return False
        with self._locked() as locked:
            if not self._is_stale(path, fit_id):  # another driver was faster
                return False
            scratch = path.with_name(f".{fit_id}.{self.token}.tmp")
            scratch.write_bytes(self._content())
            scratch.replace(path)
        if not locked:
            time.sleep(SETTLE)  # of several that replaced it, the last is believed
        return self._won(fit_id) if self._is_ours(path) else False

    def holder(self, fit_id: str) -> str:
        """The driver that holds a fit, for messages; empty when none does."""
        content = _read(self._path(fit_id))
        if content is None:
            return ""
        owner = _parse(content)
        return f"process {owner.get('pid', '?')} on {owner.get('host', 'another machine')}"

    def owns(self, fit_id: str) -> bool:
        """Whether a fit is still ours: a driver that slept past `STALE` may have lost it."""
        return fit_id in self._held and self._is_ours(self._path(fit_id))

    def release(self, fit_id: str) -> None:
        """Give a fit up, if it is still ours."""
        with self._guard:
            self._held.discard(fit_id)
        with contextlib.suppress(OSError), self._locked():
            if self._is_ours(self._path(fit_id)):
                self._path(fit_id).with_suffix(_WORD).unlink(missing_ok=True)
                self._path(fit_id).unlink()

    def tell(self, fit_id: str, how_far: Mapping[str, Any]) -> None:
        """Note in its lock how far a fit of ours is, for `running`; every `TELL` seconds at most. Never raises."""
        now = time.monotonic()
        if fit_id not in self._held or now - self._told.get(fit_id, -TELL) < TELL:
            return
        self._told[fit_id] = now
        word = self._path(fit_id).with_suffix(_WORD)
        scratch = word.with_name(f".{fit_id}.{self.token}.word")
        with contextlib.suppress(OSError):
            scratch.write_text(json.dumps({**how_far, "token": self.token}))
            scratch.replace(word)

    def tidy(self, fit_ids: Iterable[str]) -> None:
        """Remove what dead drivers left of finished fits: they died between a record and giving its lock up."""
        with contextlib.suppress(OSError):
            for fit_id in fit_ids:
                path = self._path(fit_id)
                if path.exists():
                    with self._locked():
                        if self._is_stale(path, fit_id):
                            path.with_suffix(_WORD).unlink(missing_ok=True)
                            path.unlink()

    def _won(self, fit_id: str) -> bool:
        with self._guard:
            self._held.add(fit_id)
        self._seen.pop(fit_id, None)
        return True

    def _path(self, fit_id: str) -> Path:
        return self._folder / f"{fit_id}.json"

    def _content(self) -> bytes:
        owner = {"token": self.token, "machine": _machine(), "host": platform.node(), "pid": os.getpid()}
        return json.dumps(owner | {"born": _born(os.getpid())}).encode()

    def _create(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(handle, self._content())
        except OSError:  # a full disk: an empty lock would hold the fit up
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return True

    def _is_ours(self, path: Path) -> bool:
        content = _read(path)
        return content is not None and _parse(content).get("token") == self.token

    def _is_stale(self, path: Path, fit_id: str) -> bool:
        """Whether the holder is gone: dead on this machine, or silent for `STALE` seconds of our clock."""
        content = _read(path)
        if content is None:  # released this moment: the next try creates it
            return False
        owner = _parse(content)
        # On this very machine a dead holder is seen at once; its start time tells it from a later namesake.
        if owner.get("machine") == _machine() and _born(owner["pid"]) != owner.get("born"):
            return True
        try:
            stamp = (path.stat().st_mtime_ns, content)
        except OSError:
            return False
        seen, now = self._seen.get(fit_id), time.monotonic()
        if seen is None or seen.stamp != stamp:
            self._seen[fit_id] = _Seen(stamp, now)
            return False
        return now - seen.since > self._stale

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the folder's lock; yields False where the file system has none."""
        with (self._folder / "lock").open("w") as file:
            try:
                if fcntl is None:
                    raise OSError("no locks on this system")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                yield False
                return
            yield True  # closing the file unlocks it, and so does the death of this process

    def _renew(self) -> None:
        while not self._end.wait(self._beat):
            with self._guard:
                held = [*self._held]
            for fit_id in held:
                with contextlib.suppress(OSError):  # a lock that was lost is noticed by `owns`
                    if self._is_ours(self._path(fit_id)):
                        os.utime(self._path(fit_id))


def running(root: Path) -> dict[str, dict[str, Any]]:
    """The fits that somebody works on now, with what their driver said last: fit_id -> host, pid, step, steps, ...

    A driver on this machine counts while it lives; one on another while its lock is younger than `STALE` seconds
    by this machine's clock.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((root / "claims").glob("*.json")):
        owner = _parse(_read(path) or b"")
        if not owner:
            continue
        try:
            age = time.time() - path.stat().st_mtime
        except OSError:  # released this moment
            continue
        here = owner.get("machine") == _machine()
        if not (_born(owner["pid"]) == owner.get("born") if here else age < STALE):
            continue
        try:
            word = json.loads(_read(path.with_suffix(_WORD)) or b"{}")
        except (ValueError, RecursionError):
            word = {}
        told = word if isinstance(word, dict) and word.pop("token", None) == owner.get("token") else {}
        found[path.stem] = {"host": owner.get("host"), "pid": owner["pid"], **told}
    return found


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return None


def _parse(content: bytes) -> dict[str, Any]:
    """The owner that a lock names; empty for one that is being written, or is no lock."""
    try:
        owner: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(owner, dict) or not isinstance(owner.get("pid"), int):
        return {}
    return owner


def _machine() -> str:
    """One boot of one machine and one space of process numbers: containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{platform.node()}/{uuid.getnode()}"


def _born(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None when it does not run (a zombie does not)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    except (OSError, IndexError):
        return None
    try:  # no /proc here: that it exists is all that can be asked
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return "running"
