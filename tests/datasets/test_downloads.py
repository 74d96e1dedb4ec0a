"""Downloads from a local server: checksums, resumed halves, mirrors, and what a hostile or broken server does."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.datasets import _download
from benchmark.datasets._download import Remote, fetch, md5_of
from benchmark.errors import InputError
from tests.datasets.test_datasets import idx_bytes, make_cifar

Cli = Callable[..., tuple[int, str, str]]
CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files` with Range support; `cut` breaks the connection after that many bytes, once or always."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: list[int] = []
        self.ranges = True
        self.asked: list[str] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        given = self.headers.get("Range", "")
        self.server.asked.append(given)
        content = self.server.files.get(self.path.strip("/"))
        if content is None:
            self.send_error(404)
            return
        found = re.fullmatch(r"bytes=(\d+)-", given) if self.server.ranges else None
        start = int(found[1]) if found else 0
        if start >= len(content) and found:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if found else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[start:]
        self.wfile.write(body[: self.server.cut.pop(0)] if self.server.cut else body)

    def log_message(self, *arguments: Any) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_file_arrives_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    remote = Remote((server.url("x.bin"),), "inside/x.bin", MD5)
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert fetch(remote, tmp_path) == tmp_path / "inside" / "x.bin"
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "inside").iterdir()] == ["x.bin"]


def test_a_broken_connection_is_continued(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    server.cut = [100_000, 50_000]
    assert fetch(Remote((server.url("x.bin"),), "x.bin", MD5), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=150000-"]


def test_the_next_call_continues_where_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    server.cut = [1000, 1000, 1000, 1000]
    remote = Remote((server.url("x.bin"),), "x.bin", MD5)
    with pytest.raises(InputError, match="4,000 bytes are kept and the next call continues"):
        fetch(remote, tmp_path)
    assert (tmp_path / "x.bin.part").stat().st_size == 4000
    assert not (tmp_path / "x.bin").exists()
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=4000-"


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    server.ranges, server.cut = False, [100_000]
    assert fetch(Remote((server.url("x.bin"),), "x.bin", MD5), tmp_path).read_bytes() == CONTENT


def test_what_was_kept_of_another_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    for left in (b"z" * 1000, b"z" * 400_000, b"z" * len(CONTENT)):
        (tmp_path / "x.bin.part").write_bytes(left)
        assert fetch(Remote((server.url("x.bin"),), "x.bin", MD5), tmp_path).read_bytes() == CONTENT
        (tmp_path / "x.bin").unlink()


def test_a_wrong_checksum_is_refused_and_nothing_kept(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(InputError, match=f"published is {MD5}"):
        fetch(Remote((server.url("x.bin"),), "x.bin", MD5), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match="remove it first"):
        fetch(Remote((server.url("x.bin"),), "x.bin", MD5), tmp_path)
    assert (tmp_path / "x.bin").read_bytes() == b"mine"


def test_the_next_mirror_is_tried(server: Server, tmp_path: Path) -> None:
    server.files["good"] = CONTENT
    remote = Remote((server.url("gone"), "http://127.0.0.1:9/x", server.url("good")), "x.bin", MD5)
    assert md5_of(fetch(remote, tmp_path)) == MD5
    with pytest.raises(InputError, match="404"):
        fetch(Remote((server.url("gone"),), "y.bin", MD5), tmp_path)
    assert not (tmp_path / "y.bin.part").exists()


def test_a_file_that_is_too_large_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    with pytest.raises(InputError, match="300,000 bytes; at most 1,000"):
        fetch(Remote((server.url("x.bin"),), "x.bin"), tmp_path, max_bytes=1000)


def test_local_files_and_other_schemes(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    (tmp_path / "x.bin.part").write_bytes(b"half")
    assert fetch(Remote(((tmp_path / "source").as_uri(),), "x.bin", MD5), tmp_path).read_bytes() == CONTENT
    with pytest.raises(InputError, match="no address to download from"):
        fetch(Remote(("ftp://example.org/x",), "y.bin"), tmp_path)


class TestPrepare:
    """`prepare` from one end to the other, with torchvision's tables pointing at the local server."""

    def test_fashion_mnist(
        self, server: Server, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torchvision.datasets import FashionMNIST

        resources = []
        for part, n in (("train", 30), ("t10k", 20)):
            images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
            for stem, array in (
                ("images-idx3", images),
                ("labels-idx1", (np.arange(n) % 10).astype(np.uint8)),
            ):
                name = f"{part}-{stem}-ubyte.gz"
                server.files[name] = gzip.compress(idx_bytes(array), mtime=0)
                resources.append((name, hashlib.md5(server.files[name], usedforsecurity=False).hexdigest()))
        monkeypatch.setattr(FashionMNIST, "mirrors", [server.url("")])
        monkeypatch.setattr(FashionMNIST, "resources", resources)
        server.cut = [20]
        root = tmp_path / "data"
        code, out, err = run_cli("prepare", "fashion-mnist,digits", "--data-root", root)
        assert code == 0, err
        first, second = out.splitlines()
        assert first.startswith("fashion-mnist: 50 images, 10 classes, 1x28x28;")
        assert "39,200 bytes decoded, fingerprint" in first
        assert second.startswith("digits: 1,797 images")
        asked = len(server.asked)
        assert run_cli("prepare", "fashion-mnist", "--data-root", root)[0] == 0
        assert len(server.asked) == asked

    def _serve_cifar(self, server: Server, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        from torchvision.datasets import CIFAR10

        server.files["cifar.tgz"] = content
        monkeypatch.setattr(CIFAR10, "url", server.url("cifar.tgz"))
        monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(content, usedforsecurity=False).hexdigest())

    def test_an_archive_is_unpacked(
        self, server: Server, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = make_cifar(tmp_path / "source", "py")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(source / "cifar-10-batches-py", "cifar-10-batches-py")
        self._serve_cifar(server, monkeypatch, packed.getvalue())
        code, out, err = run_cli("prepare", "cifar10", "--data-root", tmp_path / "data")
        assert code == 0, err
        assert "cifar10: 120 images" in out

    def test_an_archive_that_escapes_is_refused(
        self, server: Server, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            member = tarfile.TarInfo("../../escaped")
            member.size = 6
            archive.addfile(member, io.BytesIO(b"inside"))
        self._serve_cifar(server, monkeypatch, packed.getvalue())
        code, _, err = run_cli("prepare", "cifar10", "--data-root", tmp_path / "deep" / "data")
        assert code == 2
        assert "would leave its folder" in err
        assert not list(tmp_path.rglob("escaped*"))

    def test_what_cannot_be_downloaded_says_what_belongs_where(self, tmp_path: Path, run_cli: Cli) -> None:
        root = tmp_path / "data"
        root.mkdir()
        code, out, err = run_cli(
            "prepare", "coco,nuswide-21,imagenet100,mirflickr,multi-mnist", "--data-root", root
        )
        assert code == 2
        assert "multi-mnist: 7" in out  # the others do not stop it
        messages = [line for line in err.splitlines() if line.startswith("error:")]
        assert len(messages) == 4
        words = ("instances_train2014.json", "Imagelist", "classes.txt", "im1.jpg")
        for line, word in zip(messages, words, strict=True):
            assert word in line
            assert str(root) in line

    def test_a_misspelt_name_ends_it_first(self, tmp_path: Path, run_cli: Cli) -> None:
        code, out, err = run_cli("prepare", "digits,fashon-mnist", "--data-root", tmp_path)
        assert code == 2
        assert out == ""
        assert "did you mean fashion-mnist" in err


def test_the_bar_shows_on_a_terminal_only(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["x.bin"] = CONTENT
    fetch(Remote((server.url("x.bin"),), "x.bin", MD5), tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(_download.sys.stderr, "isatty", lambda: True, raising=False)
    fetch(Remote((server.url("x.bin"),), "y.bin", MD5), tmp_path)
    assert (tmp_path / "y.bin").read_bytes() == CONTENT
