"""Archives from elsewhere: all inside the folder, all of it or nothing."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmark.datasets._archives import unpack
from benchmark.datasets._files import read_idx
from benchmark.errors import InputError


def tar(path: Path, members: list[tarfile.TarInfo], content: bytes = b"inside", mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if member.isreg():
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_plain_files_are_unpacked(tmp_path: Path, mode: str) -> None:
    archive = tar(
        tmp_path / "a.tar", [member("top", tarfile.DIRTYPE), member("top/x"), member("./top/y")], mode=mode
    )
    unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/top").iterdir()) == ["x", "y"]
    assert (tmp_path / "out/top/x").read_bytes() == b"inside"
    with pytest.raises(InputError, match="exists already"):
        unpack(archive, tmp_path / "out")


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("top/x", "inside")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/top/x").read_text() == "inside"


@pytest.mark.skipif(os.name == "nt", reason="a colon names a drive or a stream there")
@pytest.mark.parametrize("name", ["a:b.jpg", "cat:/1.jpg", "2024-01-01 10:30/x", "c:x"])
def test_a_colon_inside_a_name_is_a_letter(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "inside")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "inside"


ESCAPES = [
    [member("../x")],
    [member("/tmp/x")],
    [member("a/../../x")],
    [member("a\\..\\x")],
    [member("C:/x")],
    [member("link", tarfile.SYMTYPE, "/etc")],
    [member("link", tarfile.SYMTYPE, ".."), member("link/x")],
    [member("link", tarfile.LNKTYPE, "/etc/passwd")],
    [member("pipe", tarfile.FIFOTYPE)],
    [member("device", tarfile.CHRTYPE)],
    [member("x"), member("x")],
]


@pytest.mark.parametrize("members", ESCAPES, ids=lambda members: members[-1].name)
def test_nothing_leaves_the_folder(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    archive = tar(tmp_path / "a.tgz", members)
    with pytest.raises(InputError) as caught:
        unpack(archive, tmp_path / "deep/out")
    assert "\n" not in str(caught.value)
    files = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert files == [archive]


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x"])
def test_nothing_leaves_the_folder_from_a_zip(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good", "inside")
        archive.writestr(name, "outside")
    with pytest.raises(InputError, match="leave its folder"):
        unpack(tmp_path / "a.zip", tmp_path / "deep/out")
    assert not [path for path in (tmp_path / "deep").rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, kind: str) -> None:
    bomb = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", bytes(20 << 20))
    else:
        tar(bomb, [member("x")], content=bytes(20 << 20))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match="more than 1,000,000 bytes"):
        unpack(bomb, tmp_path / "out", max_bytes=1_000_000)
    with pytest.raises(InputError, match="too many files"):
        unpack(bomb, tmp_path / "out", max_members=0)
    assert [*(tmp_path / "out").iterdir()] == []


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.zip", "a.tar"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 200, b"\x1f\x8b\x08" + b"x" * 50, b"PK\x03\x04"])
def test_a_broken_archive_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked") as caught:
        unpack(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_leaves_nothing(tmp_path: Path) -> None:
    import numpy as np

    archive = tar(tmp_path / "a.tgz", [member("x")], content=np.random.default_rng(0).bytes(100_000))
    archive.write_bytes(archive.read_bytes()[:60_000])
    with pytest.raises(InputError, match=r"unpacked|truncated"):
        unpack(archive, tmp_path / "out")
    assert [*(tmp_path / "out").iterdir()] == []


def test_a_compressed_idx_file_stops_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.datasets import _files

    monkeypatch.setattr(_files, "MAX_IDX_BYTES", 1000)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x01" + (10_000_000).to_bytes(4, "big") + bytes(10_000_000)))
    with pytest.raises(InputError, match="1001 bytes, its header needs"):
        read_idx(path)


def test_cifar10_is_unpacked_where_its_archive_lies(tmp_path: Path) -> None:
    from benchmark.datasets.cifar10 import CIFAR10

    inside = [member(f"cifar-10-batches-py/{name}") for name in ("data_batch_1", "test_batch")]
    tar(tmp_path / "cifar-10-python.tar.gz", inside)
    CIFAR10().prepare(tmp_path)
    assert (tmp_path / "cifar-10-batches-py/test_batch").read_bytes() == b"inside"
