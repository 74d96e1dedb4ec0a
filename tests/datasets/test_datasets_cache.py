"""Image files decode once, in parallel, into a cache that is whole or absent; bad images are named and counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import metrics, registry
from benchmark.contracts import Decoded, ImageFiles
from benchmark.data import cache, decode, inventory, protocol
from benchmark.data import load as loading
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.runtime import Runtime
from benchmark.spec import TrainJob
from benchmark.store.store import Store
from benchmark.sweep import plan as planning
from benchmark.sweep import worker
from benchmark.sweep.executors import Link
from benchmark.sweep.worker import Work
from tests.helpers import sweep
from tests.layouts import lines, make_coco, picture

Cli = Callable[..., tuple[int, str, str]]
IMAGES = 300  # more than two blocks


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a declared set of class folders, and a cache of its own."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for number in range(IMAGES):
        picture(root / "photos" / ("cat" if number < 200 else "dog") / f"{number:03d}.png", number, (9, 7))
    (root / "pets.toml").write_text('kind = "folder"\nfolder = "photos"\nsize = 8\nfit = "stretch"\n')
    return root


def load(root: Path) -> LoadedDataset:
    return loading.load(registry.dataset("pets", root), root)


def folders(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "decoded").iterdir())


def spoil(root: Path) -> list[Path]:
    """Three bad images: cut off, empty, and no image at all."""
    bad = [root / "photos" / name for name in ("cat/003.png", "cat/150.png", "dog/299.png")]
    bad[0].write_bytes(bad[0].read_bytes()[:60])
    bad[1].write_bytes(b"")
    bad[2].write_bytes(b"hello")
    return bad


def test_every_image_is_where_it_belongs(pets: Path) -> None:
    from PIL import Image

    data = load(pets)
    assert data.images.shape == (IMAGES, 3, 8, 8)
    for row in (0, 127, 128, 255, 299):
        path = pets / "photos" / str(data.names[row])
        wanted = np.asarray(Image.open(path).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR))
        assert (data.images[row] == wanted.transpose(2, 0, 1)).all()
    assert (data.images == load(pets).images).all()


def test_a_large_set_is_memory_mapped_and_the_same(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = load(pets)
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(cache, "MMAP_BYTES", 1000)
    large = load(pets)
    assert isinstance(large.images, np.memmap)
    assert not large.images.flags.writeable
    assert large.fingerprint == small.fingerprint
    assert isinstance(load(pets).images, np.memmap)


def test_the_evaluator_reads_a_memory_mapped_set_by_rows(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load(pets)
    monkeypatch.setattr(cache, "MMAP_BYTES", 1000)
    large = load(pets)
    rule = protocol.PROTOCOLS["balanced-20-50"]
    split = protocol.draw(rule, small.info, small.labels, 0)
    one, other = (Evaluator(data, split, metrics.Rules(), 8, torch.device("cpu")) for data in (small, large))
    rows = np.array([5, 299, 7])
    assert torch.equal(one.images(rows), other.images(rows))
    assert other._pool is None
    other.images(rows).zero_()  # a copy: the file stays as it is
    assert torch.equal(one.images(rows), other.images(rows))


def test_a_large_cache_whose_file_was_touched_is_checked_again(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MMAP_BYTES", 1000)
    first = load(pets)
    (file,) = (tmp_path / "cache" / "decoded").glob("pets-*/images.npy")
    content = bytearray(file.read_bytes())
    content[-5] ^= 0xFF
    del first
    file.write_bytes(bytes(content))
    again = load(pets)
    assert loading.fingerprint(Decoded(again.images, again.labels, again.names)) == again.fingerprint


def same_stamps(one: Path, other: Path) -> None:
    """Give the second file the first one's times; their names and sizes are the same already."""
    facts = one.stat()
    assert other.stat().st_size == facts.st_size
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))


class TestContent:
    """What was decoded is known by what the files hold; times and sizes only say when to look again."""

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))

    def table(self, root: Path, labels: str, seeds: str = "0123") -> Path:
        """A declared table of four images with these labels, one letter each."""
        for number, seed in enumerate(seeds):
            root.mkdir(exist_ok=True, parents=True)
            pixels = np.random.default_rng(int(seed)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            np.save(root / f"{number}.npy", pixels)
        lines(
            root / "t.csv", ["path,label", *(f"{number}.npy,{label}" for number, label in enumerate(labels))]
        )
        lines(root / "pets.toml", ['kind = "table"', 'table = "t.csv"', "size = 8"])
        return root

    @pytest.mark.parametrize("what", ["labels", "images"])
    def test_two_folders_whose_files_look_alike(self, tmp_path: Path, what: str) -> None:
        one = self.table(tmp_path / "one" / "my" / "data", "abab")
        other = self.table(
            tmp_path / "other" / "my" / "data", *(("abba",) if what == "labels" else ("abab", "0132"))
        )
        for file in one.iterdir():
            same_stamps(file, other / file.name)
        first, second = load(one), load(other)
        assert first.fingerprint != second.fingerprint
        assert (first.labels.argmax(1).tolist() == second.labels.argmax(1).tolist()) == (what == "images")
        for root, data in ((one, first), (other, second)):  # from the cache, in turn
            assert load(root).fingerprint == data.fingerprint
            assert loading.fingerprint_of(registry.dataset("pets", root), root) == data.fingerprint
            assert (loading.summarise(registry.dataset("pets", root), root).labels == data.labels).all()

    @pytest.mark.parametrize("what", ["labels", "images", "classes"])
    def test_a_file_that_is_exchanged_and_looks_alike(self, tmp_path: Path, what: str) -> None:
        root = self.table(tmp_path / "one", "abab")
        declaration = (root / "pets.toml").read_text()
        (root / "pets.toml").write_text(declaration + 'classes = ["a", "b"]\n')
        stamps = {file: file.stat() for file in root.iterdir()}
        before = load(root)
        if what == "classes":
            (root / "pets.toml").write_text(declaration + 'classes = ["b", "a"]\n')
        elif what == "labels":
            (root / "t.csv").write_text((root / "t.csv").read_text().replace("3.npy,b", "3.npy,a"))
        else:
            (root / "0.npy").write_bytes((root / "1.npy").read_bytes())
        for file, facts in stamps.items():
            os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        after = load(root)
        assert after.fingerprint != before.fingerprint
        assert (after.labels != before.labels).any() == (what != "images")
        assert (after.images != before.images).any() == (what == "images")

    def test_labels_and_pixels_in_files_of_a_format_of_their_own(self, tmp_path: Path) -> None:
        roots = []
        for name, shift in (("one", 0), ("other", 1)):
            raw = tmp_path / name / "MNIST" / "raw"
            raw.mkdir(parents=True)
            for part in ("train", "t10k"):
                labels = bytes((number + shift) % 10 for number in range(20))
                (raw / f"{part}-labels-idx1-ubyte").write_bytes(
                    b"\0\0\x08\x01" + bytes([0, 0, 0, 20]) + labels
                )
                head = b"\0\0\x08\x03" + bytes([0, 0, 0, 20, 0, 0, 0, 28, 0, 0, 0, 28])
                (raw / f"{part}-images-idx3-ubyte").write_bytes(head + bytes(20 * 784))
            roots.append(raw)
        for file in roots[0].iterdir():
            same_stamps(file, roots[1] / file.name)
        found = [loading.load(registry.dataset("mnist", raw.parents[1]), raw.parents[1]) for raw in roots]
        assert found[0].labels.argmax(1).tolist() != found[1].labels.argmax(1).tolist()
        assert found[0].fingerprint != found[1].fingerprint

    def test_an_image_of_a_released_set_that_is_exchanged_in_its_folder(self, tmp_path: Path) -> None:
        root = make_coco(tmp_path / "data")
        before = loading.load(registry.dataset("coco", root), root)
        picture(root / "coco" / "train2014" / "COCO_train2014_000000000003.jpg", 99)
        after = loading.load(registry.dataset("coco", root), root)
        assert after.names.tolist() == before.names.tolist()
        assert after.fingerprint != before.fingerprint

    def test_a_copy_elsewhere_and_touched_files_are_not_decoded_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = self.table(tmp_path / "one", "abab")
        before = load(root)

        def fail(*arguments: object) -> np.ndarray:
            raise AssertionError("decoded again")

        monkeypatch.setattr(decode, "decode", fail)
        other = tmp_path / "deeper" / "other"
        shutil.copytree(root, other)
        for file in root.iterdir():
            file.touch()
        assert load(other).fingerprint == load(root).fingerprint == before.fingerprint
        assert len(folders(tmp_path)) == 1

    def test_bytes_are_hashed_while_they_are_decoded_and_not_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = self.table(tmp_path / "one", "abab")
        hashed: list[str] = []
        real = inventory._hashed

        def noticed(path: str) -> decode.Seen:
            hashed.append(path)
            return real(path)

        monkeypatch.setattr(inventory, "_hashed", noticed)
        load(root)
        load(root)
        assert {Path(path).name for path in hashed} == {"pets.toml", "t.csv"}
        (root / "2.npy").touch()
        hashed.clear()
        load(root)
        assert [path for path in hashed if path.endswith(".npy")] == [str(root / "2.npy")]

    def test_images_that_come_and_go(self, tmp_path: Path) -> None:
        picture(tmp_path / "photos" / "cat" / "0.png", 0)
        picture(tmp_path / "photos" / "dog" / "1.png", 1)
        lines(tmp_path / "pets.toml", ['kind = "folder"', 'folder = "photos"', "size = 8"])
        one = load(tmp_path)
        extra = picture(tmp_path / "photos" / "dog" / "2.png", 2)
        assert len(load(tmp_path).images) == 3
        extra.unlink()
        assert load(tmp_path).fingerprint == one.fingerprint
        (tmp_path / "photos" / "dog" / "1.png").rename(tmp_path / "photos" / "cat" / "1.png")
        picture(tmp_path / "photos" / "dog" / "2.png", 2)
        assert load(tmp_path).labels.argmax(1).tolist() == [0, 0, 1]

    def test_a_damaged_inventory_costs_another_look_and_nothing_else(self, tmp_path: Path) -> None:
        root = self.table(tmp_path / "one", "abab")
        before = load(root)
        (file,) = (tmp_path / "cache" / "sources").iterdir()
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[whole.index(b"t.csv")] ^= 1
        for content in (b"", b"[]", whole[:-50], whole[:200], bytes(flipped)):
            file.write_bytes(content)
            assert load(root).fingerprint == before.fingerprint
            assert file.read_bytes() == whole

    def test_an_inventory_of_an_earlier_version_is_believed_and_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = self.table(tmp_path / "one", "abab")
        before = load(root)
        (file,) = (tmp_path / "cache" / "sources").iterdir()
        known = inventory._read(file, str(root))
        seen = zip(known.images.stamps.tolist(), known.images.digests.astype("U32").tolist(), strict=True)
        images = dict(zip(known.images.paths, seen, strict=True))
        former = file.with_suffix(".json")
        file.unlink()
        for content in ("[]", '{"documents": 3}', '{"documents": {}, "images": {"a": 1}}'):
            former.write_text(content)
            assert inventory._read(file, str(root)) == inventory.Inventory(file, str(root))
        former.write_text(json.dumps({"documents": known.documents, "images": images}))
        hashed: list[str] = []
        real = inventory._hashed
        monkeypatch.setattr(inventory, "_hashed", lambda path: hashed.append(path) or real(path))
        assert load(root).fingerprint == before.fingerprint
        assert not [path for path in hashed if path.endswith(".npy")]
        assert (file.is_file(), former.exists()) == (True, False)


class TestBadImages:
    """Named, counted, refused, or left out on request and on record."""

    def test_all_are_counted_and_nothing_is_cached(self, pets: Path, tmp_path: Path) -> None:
        bad = spoil(pets)
        with pytest.raises(InputError, match=r"3 of 300 images cannot be read") as caught:
            load(pets)
        assert all(str(path) in str(caught.value) for path in bad)
        assert "--skip-bad-images" in str(caught.value)
        assert folders(tmp_path) == []

    def test_missing_ones_as_well(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
        picture(tmp_path / "0.png", 0)
        lines(tmp_path / "a.txt", ["0.png 1 0", "1.png 0 1", "2.png 0 1"])
        (tmp_path / "pets.toml").write_text('kind = "lists"\nimages = "a.txt"\nsize = 8\n')
        with pytest.raises(
            InputError, match=r"2 of 3 images .* a.txt line 2: image .* is missing; a.txt line 3"
        ):
            load(tmp_path)

    def test_left_out_they_are_on_record(self, pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = load(pets)
        bad = spoil(pets)
        with loading.skipping_bad_images(True):
            data = load(pets)
            assert load(pets).facts == data.facts  # from the cache
            assert loading.fingerprint_of(registry.dataset("pets", pets), pets) == data.fingerprint
        assert len(data.images) == IMAGES - 3
        assert data.facts["skipped_images"] == 3
        assert data.facts["skipped_names"] == "cat/003.png; cat/150.png; dog/299.png"
        assert data.fingerprint != whole.fingerprint
        kept = [row for row in range(IMAGES) if row not in (3, 150, 299)]
        assert (data.images == whole.images[kept]).all()
        assert (data.labels == whole.labels[kept]).all()
        with pytest.raises(InputError, match="3 of 300"):  # not asked for: the other cache does not count
            load(pets)
        picture(bad[0], 3, (9, 7))  # one is mended
        with loading.skipping_bad_images(True):
            assert loading.fingerprint_of(registry.dataset("pets", pets), pets) != data.fingerprint
            assert len(loading.summarise(registry.dataset("pets", pets), pets).labels) == IMAGES - 2
            assert load(pets).facts["skipped_images"] == 2

    def test_parts_point_at_the_same_images(self) -> None:
        files = ImageFiles(
            [Path(str(n)) for n in range(5)],
            np.eye(5, dtype=np.uint8),
            np.array(list("abcde")),
            {"query": np.array([4, 1]), "train": np.array([0, 2, 3])},
            origins=["1", "2", "3", "4", "5"],
        )
        left = loading._without(files, {1, 2})
        assert left.parts is not None
        assert left.names[left.parts["query"]].tolist() == ["e"]
        assert left.names[left.parts["train"]].tolist() == ["a", "d"]
        assert left.origins == ["1", "4", "5"]

    def test_none_left_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
        lines(tmp_path / "photos" / "cat" / "0.png", ["no image"])
        (tmp_path / "pets.toml").write_text('kind = "folder"\nfolder = "photos"\nsize = 8\n')
        with (
            loading.skipping_bad_images(True),
            pytest.raises(InputError, match="no image that can be read"),
        ):
            load(tmp_path)

    def test_the_record_and_the_commands(self, pets: Path, tmp_path: Path, run_cli: Cli) -> None:
        spoil(pets)
        where = ("--data-root", pets)
        code, out, err = run_cli("prepare", "pets,nothing", *where)
        assert code == 2
        assert "nothing" in err
        code, out, err = run_cli("prepare", "pets", *where)
        assert code == 2
        assert "3 of 300" in err
        code, out, err = run_cli("prepare", "pets", *where, "--skip-bad-images")
        assert code == 0
        assert "297 images" in out
        assert "skipped_images 3" in out
        assert "BENCHMARK_SKIP_BAD_IMAGES" not in os.environ
        arguments = (
            "run",
            "--datasets",
            "pets",
            "--methods",
            "lsh",
            "--bits",
            8,
            "--protocol",
            "balanced-20-50",
        )
        rest = ("--tracking-uri", "none", "--results", tmp_path / "results", *where)
        assert run_cli(*arguments, *rest)[0] == 2
        code, out, err = run_cli(*arguments, *rest, "--skip-bad-images")
        assert code == 0, err
        (record,) = (tmp_path / "results").glob("*/*/*/record.json")
        assert re.search(r'"data_skipped_images": ?3', record.read_text())


class TestInterruption:
    """A killed process leaves no half cache."""

    def test_killed_while_decoding(self, pets: Path, tmp_path: Path) -> None:
        script = """
            import os, signal
            from pathlib import Path
            from benchmark.data import load as datastore, decode as decoding
            from benchmark import registry
            real, count = decoding.decode, [0]
            def decode(*arguments):
                count[0] += 1
                if count[0] == 250:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)
            decoding.decode = decode
            datastore.load(registry.dataset("pets", Path(ROOT)), Path(ROOT))
        """
        source = textwrap.dedent(script).replace("ROOT", repr(str(pets)))
        assert subprocess.run([sys.executable, "-c", source], check=False).returncode == -9
        (left,) = folders(tmp_path)
        assert left.startswith(".decoding-")
        data = load(pets)
        (only,) = folders(tmp_path)  # what the dead process left is gone
        assert only.startswith("pets-")
        assert len(data.images) == IMAGES

    def test_interrupted_by_the_user(
        self, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*arguments: object) -> np.ndarray:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(decode, "decode", interrupt)
            with pytest.raises(KeyboardInterrupt):
                load(pets)
        assert folders(tmp_path) == []
        assert len(load(pets).images) == IMAGES

    def test_a_live_process_keeps_its_scratch(self, pets: Path, tmp_path: Path) -> None:
        mine = cache._scratch(tmp_path / "cache" / "decoded")
        load(pets)
        assert mine.is_dir()


class TestDisk:
    """A cache that cannot be written."""

    def test_a_small_set_stays_in_memory(
        self, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "file" / "below"))
        assert len(load(pets).images) == IMAGES

    def test_a_large_one_is_refused_before_it_is_decoded(
        self, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "MMAP_BYTES", 1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: _Free())
        with pytest.raises(InputError, match=r"57,600 bytes are needed .* 10 are free.*BENCHMARK_CACHE"):
            load(pets)
        assert folders(tmp_path) == []


class _Free:
    free = 10


@pytest.mark.parametrize(
    ("fit", "zoom", "wanted"),
    [("stretch", 1.0, [0, 100, 200, 255]), ("crop", 1.0, [100, 200]), ("crop", 2.0, [150])],
)
def test_fit_and_zoom(tmp_path: Path, fit: str, zoom: float, wanted: list[int]) -> None:
    """Four stripes of grey, 40 px each in an image of 160 x 80."""
    from PIL import Image

    stripes = np.repeat(np.array([0, 100, 200, 255], dtype=np.uint8), 40)
    Image.fromarray(np.broadcast_to(stripes, (80, 160)).copy()).save(tmp_path / "a.png")
    target = decode.Target(1, 8, 8, fit, zoom)
    row = decode.decode(tmp_path / "a.png", target)[0, 4].astype(int)
    if fit == "stretch":
        assert np.abs(row[[0, 2, 5, 7]] - wanted).max() < 15
    elif zoom == 1:
        assert np.abs(row[[1, 6]] - wanted).max() < 15
    else:
        assert abs(row.mean() - wanted[0]) < 15


def test_a_worker_opens_what_the_driver_planned_without_its_lists(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the fit's fingerprint, in the decoded cache; where it is not there any more, the files are looked at."""
    whole = load(pets)
    wanted = sweep(
        methods=("lsh",),
        bits=(8,),
        datasets=("pets",),
        protocol="custom-q5-t20-per-class-all-but-query-kall",
    )
    (cell,) = planning.plan(wanted, Store(tmp_path), pets).fits
    assert cell.fit is not None
    info = registry.find("datasets", "pets", pets).dataset_info
    opened: list[str] = []
    plain = registry.dataset

    def counting(name: str, root: Path | None = None) -> object:
        opened.append(name)
        return plain(name, root)

    monkeypatch.setattr(registry, "dataset", counting)
    monkeypatch.setattr(cache, "MMAP_ROWS_BYTES", 64)
    worker._load.cache_clear()
    work = Work(tmp_path, Runtime(), pets, infos={"pets": info})
    found = work._data("pets", cell.fit.fingerprint)
    assert not opened
    assert isinstance(found.names, np.memmap)
    assert (found.info, found.fingerprint, found.facts) == (whole.info, whole.fingerprint, whole.facts)
    for part in ("images", "labels", "names"):
        assert np.array_equal(getattr(found, part), getattr(whole, part))
    outcome = work(TrainJob(cell.fit), Link())
    assert outcome is not None
    assert outcome.record.state == "done"
    assert not opened
    shutil.rmtree(tmp_path / "cache" / "decoded")
    worker._load.cache_clear()
    assert work._data("pets", cell.fit.fingerprint).fingerprint == whole.fingerprint
    assert opened == ["pets"]
