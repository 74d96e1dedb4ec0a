"""Every public data set, read from small files in its real layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import registry
from benchmark.contracts import ImageDataset
from benchmark.data import load as loading
from benchmark.data import protocol
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from tests import layouts
from tests.datasets.test_datasets import make_cifar, make_jpeg_folders, make_mnist


def load(name: str, root: Path) -> LoadedDataset:
    return loading.load(registry.dataset(name, root), root)


def refused(name: str, root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels(data: LoadedDataset, row: int) -> set[str]:
    return {data.info.classes[column] for column in np.flatnonzero(data.labels[row])}


def test_every_default_protocol_exists() -> None:
    for entry in registry.entries("datasets"):
        assert not entry.error, f"{entry.name}: {entry.error}"
        assert protocol.resolve("default", entry.dataset_info).name == entry.info["default_protocol"]


def test_fashion_mnist_is_read_like_mnist(tmp_path: Path) -> None:
    make_mnist(tmp_path)
    (tmp_path / "MNIST").rename(tmp_path / "FashionMNIST")
    data = load("fashion-mnist", tmp_path)
    assert data.images.shape == (50, 1, 28, 28)
    assert data.info.classes[9] == "ankle boot"
    assert "FashionMNIST" in refused("fashion-mnist", tmp_path / "FashionMNIST")


def test_cifar100_python_and_binary_agree_on_fine_labels(tmp_path: Path) -> None:
    python = load("cifar100", layouts.make_cifar100(tmp_path / "a", "py"))
    binary = load("cifar100", layouts.make_cifar100(tmp_path / "b", "bin"))
    assert (python.labels.argmax(1)[:4] == [0, 3, 6, 9]).all()
    assert python.fingerprint == binary.fingerprint
    assert python.info.classes[3] == "bear"
    assert len(set(python.info.classes)) == 100


def test_svhn_turns_planes_and_ten_is_zero(tmp_path: Path) -> None:
    from scipy.io import loadmat

    data = load("svhn", layouts.make_svhn(tmp_path))
    raw = loadmat(tmp_path / "SVHN/train_32x32.mat")["X"]
    assert (data.images[3] == raw[:, :, :, 3].transpose(2, 0, 1)).all()
    assert data.labels.argmax(1)[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    victim = tmp_path / "SVHN/test_32x32.mat"
    victim.write_bytes(victim.read_bytes()[:500])
    assert "test_32x32.mat" in refused("svhn", tmp_path)


def test_usps_agrees_with_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets import USPS

    data = load("usps", layouts.make_usps(tmp_path))
    theirs = USPS(str(tmp_path / "USPS"), train=True, download=False)
    assert data.images.shape == (20, 1, 16, 16)
    assert (data.images[:12, 0] == theirs.data).all()
    assert data.labels.argmax(1)[:3].tolist() == [0, 1, 2]
    assert data.images.min() == 0
    assert data.images.max() == 255
    (tmp_path / "USPS/usps.bz2").write_bytes(b"BZh9 nonsense")
    assert "usps.bz2" in refused("usps", tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"), [("x 1:0.5", "line 2"), ("3 1:0.5 300:1", "line 2"), ("3 1:7.5", "-1 to 1")]
)
def test_usps_names_a_bad_line(tmp_path: Path, line: str, reason: str) -> None:
    import bz2

    layouts.make_usps(tmp_path)
    (tmp_path / "USPS/usps.t.bz2").write_bytes(bz2.compress(f"1 1:0.1\n{line}\n".encode()))
    assert reason in refused("usps", tmp_path)


def test_stl10_stores_columns(tmp_path: Path) -> None:
    data = load("stl10", layouts.make_stl10(tmp_path))
    raw = np.fromfile(tmp_path / "stl10_binary/train_X.bin", np.uint8).reshape(-1, 3, 96, 96)
    assert (data.images[1, 2] == raw[1, 2].T).all()
    assert data.labels.argmax(1).tolist() == [0, 1, 2, 3, 0, 1, 2]
    victim = tmp_path / "stl10_binary/test_X.bin"
    victim.write_bytes(victim.read_bytes()[:-1])
    assert "test_X.bin" in refused("stl10", tmp_path)


def test_coco_2014_and_2017_are_one_set(tmp_path: Path) -> None:
    old = load("coco", layouts.make_coco(tmp_path / "a", "2014"))
    new = load("coco", layouts.make_coco(tmp_path / "b", "2017"))
    assert old.names.tolist() == [f"{number:012d}" for number in (3, 4, 8, 9)]  # 7 has no category
    assert labels(old, 0) == {old.info.classes[3], old.info.classes[13]}
    assert old.images.shape == (4, 3, 224, 224)
    assert old.fingerprint == new.fingerprint


def test_coco_names_what_is_wrong(tmp_path: Path) -> None:
    root = layouts.make_coco(tmp_path)
    file = root / "coco/annotations/instances_val2014.json"
    good = file.read_text()
    file.write_text(good.replace('"image_id": 4', '"image_id": 5'))
    assert "names image 5" in refused("coco", root)
    file.write_text(good.replace('"person"', '"persona"'))
    assert "'persona'" in refused("coco", root)
    file.write_text(good[:-20])
    assert "instances_val2014.json" in refused("coco", root)
    file.write_text("[]")
    assert "instances_val2014.json" in refused("coco", root)
    file.unlink()
    assert "instances_val2014.json" in refused("coco", root)


@pytest.mark.parametrize("place", ["images", "Flickr"])
def test_nuswide_official_layout(tmp_path: Path, place: str) -> None:
    root = layouts.make_nuswide(tmp_path, place)
    data = load("nuswide-81", root)
    assert len(data.images) == 5  # the sixth has no concept
    assert labels(data, 1) == {"animal", "beach"}
    assert data.names[0] == "actor/0000_0.jpg"
    frequent = load("nuswide-21", root)
    assert [labels(frequent, row) for row in range(3)] == [{"animal"}, {"animal", "beach"}, {"beach"}]


def test_nuswide_names_what_is_wrong(tmp_path: Path) -> None:
    root = layouts.make_nuswide(tmp_path)
    truth = root / "NUS-WIDE/Groundtruth/AllLabels/Labels_animal.txt"
    layouts.lines(truth, [0, 1, 2, 0, 0, 0])
    assert "Labels_animal.txt' line 3" in refused("nuswide-81", root)
    layouts.lines(truth, [0, 1])
    assert "has 2 lines" in refused("nuswide-81", root)
    layouts.make_nuswide(root)
    (root / "NUS-WIDE/images/0002_2.jpg").unlink()
    message = refused("nuswide-81", root)
    assert "1 of 5 images cannot be read" in message
    assert "Imagelist.txt line 3" in message


def test_mirflickr_keeps_images_without_labels(tmp_path: Path) -> None:
    root = layouts.make_mirflickr(tmp_path)
    data = load("mirflickr", root)
    assert data.names.tolist() == ["im1.jpg", "im2.jpg", "im3.jpg", "im10.jpg"]
    assert [labels(data, row) for row in range(4)] == [
        {"animals"},
        {"baby_r1", "sky"},
        set(),
        {"animals", "sky"},
    ]
    layouts.lines(root / "mirflickr/mirflickr25k_annotations_v080/sky.txt", [1, 99])
    assert "sky.txt' line 2 names image '99'" in refused("mirflickr", root)


@pytest.mark.parametrize("xml", [False, True])
def test_voc_from_lists_and_from_annotations(tmp_path: Path, *, xml: bool) -> None:
    root = layouts.make_voc(tmp_path, xml=xml)
    data = load("voc2012", root)
    assert [labels(data, row) for row in range(3)] == [
        {"dog"},
        {"dog", "person"},
        set(),
    ]  # difficult: no label
    if xml:
        victim = root / "VOCdevkit/VOC2012/Annotations/2008_000003.xml"
        victim.write_text("<annotation><object><name>dragon</name></object></annotation>")
    else:
        victim = root / "VOCdevkit/VOC2012/ImageSets/Main/dog_trainval.txt"
        victim.write_text("2008_000002 2\n")
    (tmp_path / "VOCdevkit/VOC2012/Annotations/new").mkdir()  # the folder's time moves on
    assert victim.name in refused("voc2012", root)


def test_imagenet100_class_folders(tmp_path: Path) -> None:
    root = layouts.make_imagenet100(tmp_path)
    data = load("imagenet100", root)
    assert data.images.shape == (300, 3, 224, 224)
    assert data.parts is not None
    assert data.parts["query"].tolist() == [*range(200, 300)]
    assert data.labels.argmax(1)[[0, 1, 2, 200, 299]].tolist() == [0, 0, 1, 0, 99]
    (root / "imagenet100/train/n99999999").mkdir()
    assert "101 classes" in refused("imagenet100", root)
    layouts.lines(root / "imagenet100/classes.txt", [f"n{number:08d} name" for number in range(100)])
    assert load("imagenet100", root).fingerprint == data.fingerprint


def test_imagenet100_lists(tmp_path: Path) -> None:
    root = layouts.make_imagenet100(tmp_path)

    def listed(place: str, number: int, index: int) -> str:
        columns = " ".join(str(int(column == number)) for column in range(100))
        name = f"n{number:08d}"
        return f"/home/someone/imagenet/{place}/{name}/{name}_{index}.JPEG {columns}"

    for number in range(100):  # a validation image has a name of its own
        name = f"n{number:08d}"
        inside = root / "imagenet100/val" / name
        (inside / f"{name}_0.JPEG").rename(inside / f"{name}_7.JPEG")
    lists = {
        "test.txt": [("val_set", number, 7) for number in range(3)],
        "train.txt": [("train", 5, 1)],
        "database.txt": [("train", 5, 1), ("train", 6, 0)],
    }
    for name, entries in lists.items():
        layouts.lines(root / "imagenet100" / name, [listed(*entry) for entry in entries])
    data = load("imagenet100", root)
    assert len(data.images) == 5
    assert {part: rows.tolist() for part, rows in (data.parts or {}).items()} == {
        "query": [0, 1, 2],
        "train": [3],
        "database": [3, 4],
    }


class TestMultiMNIST:
    """Canvases of real digits, the same everywhere."""

    def test_from_digits_without_mnist(self, tmp_path: Path) -> None:
        data, digits = load("multi-mnist", tmp_path), load("multi-digits", tmp_path)
        assert data.fingerprint == digits.fingerprint
        assert data.facts["made_from"] == "digits"
        assert data.images.shape[1:] == (1, 32, 32)
        used = [row for name in data.names for row in name.removeprefix("digits/").split("+")]
        assert len(set(used)) == len(used)  # no digit on two canvases
        assert {name.count("+") for name in data.names} == {1, 2}
        assert data.labels.sum(axis=1).max() == 3

    def test_each_canvas_holds_its_digits(self) -> None:
        from benchmark.datasets.digits import Digits
        from benchmark.datasets.multi_mnist import MultiDigits

        digits, data = Digits().decode(None), MultiDigits().decode(None)
        for row in range(20):
            sources = [int(one) for one in data.names[row].removeprefix("digits/").split("+")]
            assert (digits.labels[sources].max(axis=0) == data.labels[row]).all()
            total = int(digits.images[sources].astype(int).sum())
            assert 0.9 * total <= int(data.images[row].astype(int).sum()) <= total

    def test_from_mnist_where_it_is(self, tmp_path: Path) -> None:
        data = load("multi-mnist", make_mnist(tmp_path, train=40, test=20))
        assert data.facts["made_from"] == "mnist"
        assert data.fingerprint != load("multi-digits", tmp_path).fingerprint


class TestHashGANLists:
    """The released lists address CIFAR-10 in its original order."""

    def _lists(self, root: Path, *, classes: np.ndarray, wrong: bool = False) -> None:
        def line(row: int) -> str:
            name = (
                f"test/999_{row - 50_000}.jpg"
                if row >= 50_000
                else f"train/{row // 10_000}_{row % 10_000}.jpg"
            )
            label = (classes[row] + wrong) % 10
            return f"{name} {' '.join(str(int(column == label)) for column in range(10))}"

        rows = {"test": [3, 10_001, 50_004], "train": [0, 20_002], "database": [3, 5, 50_004, 40_000]}
        for part, chosen in rows.items():
            layouts.lines(root / "cifar10_hashgan_lists" / f"{part}.txt", [line(row) for row in chosen])

    @pytest.fixture
    def classes(self) -> np.ndarray:
        return np.tile(np.arange(10), 6_000)  # make_cifar labels its images 0, 1, ..., 9, 0, ...

    def test_on_the_original_images(self, tmp_path: Path, classes: np.ndarray) -> None:
        make_cifar(tmp_path, "bin", per_batch=10_000)
        self._lists(tmp_path, classes=classes)
        from benchmark.datasets.cifar10_hashgan import CIFAR10HashGAN

        data = CIFAR10HashGAN().decode(tmp_path)
        assert data.parts is not None
        assert data.parts["query"].tolist() == [3, 10_001, 50_004]
        assert data.parts["database"].tolist() == [3, 5, 50_004, 40_000]
        self._lists(tmp_path, classes=classes, wrong=True)
        with pytest.raises(InputError, match=r"test.txt line 1 .* original order"):
            CIFAR10HashGAN().decode(tmp_path)

    def test_on_jpeg_by_class_and_exactly(self, tmp_path: Path, classes: np.ndarray) -> None:
        from benchmark.datasets.cifar10_hashgan import CIFAR10JPEGHashGAN

        make_jpeg_folders(tmp_path, per_class=5)
        self._lists(tmp_path, classes=classes)
        files = CIFAR10JPEGHashGAN().files(tmp_path)
        assert files.facts["lists_matched"] == "by class and order"
        assert files.parts is not None
        assert np.intersect1d(files.parts["query"], files.parts["database"]).size == 2
        order = [0, 1, 2, 3, 9, 3] + [9] * 9_994 + [9, 1]
        (tmp_path / "cifar10/labels.txt").write_text(" ".join(map(str, order)))
        with pytest.raises(InputError, match=r"test.txt line 3: labels.txt ends before image 50,005"):
            CIFAR10JPEGHashGAN().files(tmp_path)
        layouts.lines(tmp_path / "cifar10/labels.txt", classes)
        with pytest.raises(InputError, match="has 5 images here"):
            CIFAR10JPEGHashGAN().files(tmp_path)

    def test_bad_names_have_their_line(self, tmp_path: Path, classes: np.ndarray) -> None:
        from benchmark.datasets.cifar10_hashgan import CIFAR10JPEGHashGAN

        make_jpeg_folders(tmp_path, per_class=5)
        self._lists(tmp_path, classes=classes)
        layouts.lines(tmp_path / "cifar10_hashgan_lists/train.txt", ["train/9_1.jpg 1 0 0 0 0 0 0 0 0 0"])
        with pytest.raises(InputError, match=r"train.txt line 1 has 'train/9_1.jpg'"):
            CIFAR10JPEGHashGAN().files(tmp_path)


def test_the_released_hashgan_lists_share_888_queries(real_data: Path) -> None:
    name = "cifar10-jpeg-hashgan"
    dataset = registry.dataset(name, real_data)
    assert isinstance(dataset, ImageDataset)
    try:
        parts = dataset.files(real_data).parts
    except InputError as error:
        pytest.skip(str(error))
    assert parts is not None
    assert {part: len(rows) for part, rows in parts.items()} == {
        "query": 1000,
        "train": 5000,
        "database": 54_000,
    }
    assert np.intersect1d(parts["query"], parts["database"]).size == 888
    assert np.intersect1d(parts["train"], parts["database"]).size == 4504


Make = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("name", "make", "folder"),
    [
        ("coco", layouts.make_coco, "coco"),
        ("nuswide-21", layouts.make_nuswide, "NUS-WIDE"),
        ("mirflickr", layouts.make_mirflickr, "mirflickr"),
        ("voc2012", lambda root: layouts.make_voc(root, xml=True), "VOCdevkit/VOC2012"),
        ("imagenet100", layouts.make_imagenet100, "imagenet100"),
        ("svhn", layouts.make_svhn, "SVHN"),
        ("usps", layouts.make_usps, "USPS"),
        ("stl10", layouts.make_stl10, "stl10_binary"),
    ],
)
def test_missing_files_say_what_belongs_where(tmp_path: Path, name: str, make: Make, folder: str) -> None:
    assert "data folder" in refused(name, tmp_path / "nowhere")
    assert folder in refused(name, tmp_path)


def test_large_photographs_show_their_centre(tmp_path: Path) -> None:
    """The usual test-time view: the short side to 256, then the centre of 224."""
    from torchvision.transforms.v2 import functional

    root = layouts.make_mirflickr(tmp_path)
    path = layouts.picture(root / "mirflickr/im1.jpg", 1, size=(400, 320))
    data = load("mirflickr", root)
    wanted = functional.center_crop(functional.resize(Image.open(path), [256]), [224])
    theirs = np.asarray(wanted).transpose(2, 0, 1).astype(int)
    assert np.abs(theirs - data.images[0]).mean() < 4
