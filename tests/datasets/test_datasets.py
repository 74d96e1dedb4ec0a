from __future__ import annotations

import gzip
import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import registry
from benchmark.data.load import fingerprint_of, load
from benchmark.datasets._files import read_cifar_batch, read_idx
from benchmark.errors import InputError


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def make_mnist(root: Path, train: int = 30, test: int = 20, *, zipped: bool = False) -> Path:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for stem, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = idx_bytes(array)
            path = folder / (f"{stem}.gz" if zipped else stem)
            path.write_bytes(gzip.compress(content) if zipped else content)
    return root


def make_cifar(root: Path, kind: str, per_batch: int = 20) -> Path:
    folder = root / f"cifar-10-batches-{kind}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        data = rng.integers(0, 256, (per_batch, 3072), dtype=np.uint8)
        labels = [n % 10 for n in range(per_batch)]
        if kind == "py":
            content = {
                b"data": data,
                b"labels": labels,
                b"batch_label": b"x",
                b"filenames": [b"f"] * per_batch,
            }
            (folder / stem).write_bytes(pickle.dumps(content, protocol=2))
        else:
            rows = np.concatenate([np.array(labels, dtype=np.uint8)[:, None], data], axis=1)
            (folder / f"{stem}.bin").write_bytes(rows.tobytes())
    return root


def make_jpeg_folders(root: Path, per_class: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in registry.dataset("cifar10").info.classes:
            folder = root / "cifar10" / part / name
            folder.mkdir(parents=True)
            for number in range(per_class):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:04d}.jpg")
    return root


def test_digits_are_the_real_ones() -> None:
    from sklearn.datasets import load_digits

    data = load(registry.dataset("digits"), None)
    assert data.images.shape == (1797, 1, 16, 16)
    assert (data.labels.argmax(1) == load_digits().target).all()
    assert data.images.max() > 200
    small = data.images.reshape(1797, 8, 2, 8, 2).mean(axis=(2, 4))
    original = load_digits().images * (255 / 16)
    assert np.corrcoef(small.ravel(), original.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_reads_idx_files(tmp_path: Path, *, zipped: bool) -> None:
    data = load(registry.dataset("mnist"), make_mnist(tmp_path, zipped=zipped))
    assert data.images.shape == (50, 1, 28, 28)
    assert (data.labels.argmax(1)[:12] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]).all()
    assert data.names[0] == "train/00000"
    assert data.names[-1] == "test/00019"
    raw = tmp_path / "MNIST/raw" / ("train-images-idx3-ubyte" + (".gz" if zipped else ""))
    assert (data.images[:30, 0] == read_idx(raw)).all()


def test_cifar_python_and_binary_agree(tmp_path: Path) -> None:
    python = load(registry.dataset("cifar10"), make_cifar(tmp_path / "a", "py"))
    binary = load(registry.dataset("cifar10"), make_cifar(tmp_path / "b", "bin"))
    assert python.images.shape == (120, 3, 32, 32)
    assert (python.images == binary.images).all()
    assert python.fingerprint == binary.fingerprint


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": Evil(), b"labels": [1]}))
    with pytest.raises(InputError, match="system"):
        read_cifar_batch(path)
    assert not (tmp_path / "ran").exists()


def test_jpeg_folders(tmp_path: Path) -> None:
    data = load(registry.dataset("cifar10-jpeg"), make_jpeg_folders(tmp_path))
    assert data.images.shape == (60, 3, 32, 32)
    assert (data.labels.argmax(1) == np.tile(np.repeat(np.arange(10), 3), 2)).all()
    assert data.names[0] == "train/airplane/0000.jpg"


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "make", "victim"),
    [
        ("mnist", make_mnist, "MNIST/raw/train-images-idx3-ubyte"),
        ("cifar10", lambda root: make_cifar(root, "py"), "cifar-10-batches-py/data_batch_3"),
        ("cifar10", lambda root: make_cifar(root, "bin"), "cifar-10-batches-bin/test_batch.bin"),
        ("cifar10-jpeg", make_jpeg_folders, "cifar10/train/cat/0001.jpg"),
    ],
)
def test_a_truncated_file_is_named(tmp_path: Path, name: str, make: object, victim: str) -> None:
    make(tmp_path)  # type: ignore[operator]
    _damage(tmp_path / victim)
    with pytest.raises(InputError, match=Path(victim).name) as caught:
        load(registry.dataset(name), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar10-jpeg"])
def test_a_missing_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=str(tmp_path / "nowhere")):
        load(registry.dataset(name), tmp_path / "nowhere")
    with pytest.raises(InputError, match=name):
        load(registry.dataset(name), tmp_path)


def test_a_missing_class_and_a_missing_batch_are_named(tmp_path: Path) -> None:
    make_jpeg_folders(tmp_path)
    shutil.rmtree(tmp_path / "cifar10/test/ship")
    with pytest.raises(InputError, match="ship"):
        load(registry.dataset("cifar10-jpeg"), tmp_path)
    make_cifar(tmp_path, "py")
    (tmp_path / "cifar-10-batches-py/data_batch_2").unlink()
    with pytest.raises(InputError, match="data_batch_2"):
        load(registry.dataset("cifar10"), tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x08", b"\x00\x00\x0d\x01" + b"\0" * 8, b"hello world"])
def test_what_is_no_idx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(InputError, match="train-images"):
        read_idx(path)


def test_an_idx_header_cannot_claim_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31))
    with pytest.raises(InputError, match="bomb"):
        read_idx(path)


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    make_mnist(tmp_path)
    path = tmp_path / "MNIST/raw/train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")
    with pytest.raises(InputError, match="label 11"):
        load(registry.dataset("mnist"), tmp_path)


class TestCache:
    """Decoded data is kept under a key of its sources and checked by its content."""

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))

    def _decoded(self, tmp_path: Path) -> Path:
        (folder,) = (tmp_path / "cache" / "decoded").glob("mnist-*")
        return folder

    def test_second_load_reads_the_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = make_mnist(tmp_path / "data")
        first = load(registry.dataset("mnist"), root)
        monkeypatch.setattr(type(registry.dataset("mnist")), "decode", None)
        second = load(registry.dataset("mnist"), root)
        assert (first.images == second.images).all()
        assert first.fingerprint == second.fingerprint == fingerprint_of(registry.dataset("mnist"), root)

    @pytest.mark.parametrize("part", ["images.npy", "labels.npy", "names.npy", "meta.json"])
    def test_a_damaged_cache_is_decoded_again(self, tmp_path: Path, part: str) -> None:
        root = make_mnist(tmp_path / "data")
        first = load(registry.dataset("mnist"), root)
        victim = self._decoded(tmp_path) / part
        content = bytearray(victim.read_bytes())
        content[-2] ^= 0xFF
        victim.write_bytes(bytes(content) if part != "names.npy" else bytes(content[:-30]))
        again = load(registry.dataset("mnist"), root)
        assert (first.images == again.images).all()
        assert first.fingerprint == again.fingerprint

    def test_changed_pixels_change_the_fingerprint(self, tmp_path: Path) -> None:
        root = make_mnist(tmp_path / "data")
        first = load(registry.dataset("mnist"), root)
        path = root / "MNIST/raw/train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
        os.utime(path, (1, 1))
        assert load(registry.dataset("mnist"), root).fingerprint != first.fingerprint

    def test_the_fingerprint_knows_no_paths(self, tmp_path: Path) -> None:
        a = load(registry.dataset("mnist"), make_mnist(tmp_path / "a"))
        b = load(registry.dataset("mnist"), make_mnist(tmp_path / "elsewhere" / "b"))
        assert a.fingerprint == b.fingerprint

    def test_an_unwritable_cache_only_warns(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "file" / "below"))
        assert len(load(registry.dataset("mnist"), make_mnist(tmp_path / "data")).images) == 50


def test_download_failure_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.request

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for name in ("mnist", "cifar10"):
        with pytest.raises(InputError, match="download failed") as caught:
            registry.dataset(name).prepare(tmp_path / "fresh")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "fresh").exists()
