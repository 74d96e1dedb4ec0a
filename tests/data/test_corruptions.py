"""Corruptions: stronger with severity, each image's own, alike on any batch; what they do to small images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images

from benchmark.data.corruptions import corrupt, table_of
from benchmark.data.corruptions.draws import Draws
from benchmark.data.corruptions.fields import clouds, gaussian_matrix, pixelate_matrix, zoom_matrix
from benchmark.errors import InputError
from benchmark.spec.corruptions import COMMON, CORRUPTIONS, strength

pytestmark = pytest.mark.processor


def _photos(size: int) -> torch.Tensor:
    """Crops of scikit-learn's two photographs, uint8 (12, 3, size, size)."""
    crops = [
        photo[top : top + 224, left : left + 224]
        for photo in load_sample_images().images
        for top in (0, 200)
        for left in (0, 200, 400)
    ]
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    return torch.nn.functional.interpolate(images, size=(size, size), mode="area").round().to(torch.uint8)


def _digits(size: int) -> torch.Tensor:
    small = torch.from_numpy(load_digits().images[:200]).float()[:, None] * (255 / 16)
    return torch.nn.functional.interpolate(small, size=(size, size), mode="bilinear").round().to(torch.uint8)


SETS = {
    "digits 8 px": _digits(8),
    "digits 28 px": _digits(28),
    "photos 32 px": _photos(32),
    "photos 96 px": _photos(96),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("which", SETS)
def test_severity_raises_the_distortion(which: str, name: str) -> None:
    images = SETS[which]
    if name == "saturate" and images.shape[1] == 1:
        pytest.skip("grey images have no colour to saturate")
    errors = []
    for severity in range(1, 6):
        changed = corrupt(images, name, severity, np.arange(len(images)), "test")
        assert changed.dtype == torch.uint8
        assert changed.shape == images.shape
        errors.append(float(((changed.float() - images.float()) ** 2).mean()))
    assert errors[0] > 0
    assert all(low < high for low, high in itertools.pairwise(errors)), errors


#: Mean change in grey levels of the photographs: 32 px at severities 1, 3 and 5; 96 px at 3 and 5.
GOLDEN = {
    "gaussian_noise": (7.634, 14.792, 18.2, 30.538, 55.411),
    "shot_noise": (5.048, 10.957, 15.203, 29.105, 54.075),
    "impulse_noise": (1.244, 3.672, 9.103, 11.597, 34.368),
    "speckle_noise": (4.739, 9.134, 14.618, 23.961, 37.517),
    "defocus_blur": (0.95, 3.784, 6.9, 10.572, 13.634),
    "glass_blur": (9.3, 11.002, 14.32, 10.441, 12.285),
    "motion_blur": (5.098, 9.209, 10.75, 14.007, 19.187),
    "zoom_blur": (3.07, 6.855, 9.639, 10.01, 12.002),
    "gaussian_blur": (0.911, 4.705, 6.788, 9.64, 13.729),
    "snow": (10.433, 24.409, 46.628, 58.73, 83.04),
    "frost": (21.425, 33.625, 38.672, 50.252, 55.365),
    "fog": (13.119, 33.344, 48.078, 59.595, 62.343),
    "brightness": (8.945, 24.353, 43.741, 42.921, 64.868),
    "spatter": (2.863, 6.887, 26.509, 18.02, 46.761),
    "contrast": (10.682, 25.683, 36.381, 35.311, 41.941),
    "elastic_transform": (9.264, 11.609, 13.947, 12.432, 28.688),
    "pixelate": (3.597, 4.441, 5.773, 5.675, 8.131),
    "jpeg_compression": (5.578, 7.018, 7.85, 7.777, 10.826),
    "saturate": (4.678, 7.344, 21.452, 11.778, 36.139),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pixels_stay_what_they_are(name: str) -> None:
    """Whoever changes these numbers raises `VERSIONS["corruption"]` in benchmark/spec/views.py too."""
    measured = []
    for size, severities in ((32, (1, 3, 5)), (96, (3, 5))):
        images = _photos(size)
        for severity in severities:
            changed = corrupt(images, name, severity, np.arange(12), "golden")
            measured.append(float((changed.float() - images.float()).abs().mean()))
    # Decoders of JPEG may differ by a grey level here and there; the rest is arithmetic and rounding.
    assert measured == pytest.approx(
        GOLDEN[name], rel=0.05 if name == "jpeg_compression" else 0.001, abs=0.002
    )


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_any_company(name: str) -> None:
    images, rows = _photos(32), np.arange(100, 112)
    whole = corrupt(images, name, 3, rows, "test")
    order = np.array([7, 2, 11])
    assert torch.equal(corrupt(images[order], name, 3, rows[order], "test"), whole[order])
    floats = corrupt(images.float() / 255, name, 3, rows, "test")
    assert floats.dtype == torch.float32
    assert ((floats * 255).round() - whole.float()).abs().max() <= 1


RANDOM = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "glass_blur",
    "motion_blur",
    "snow",
)
RANDOM += ("frost", "fog", "spatter", "elastic_transform")


@pytest.mark.parametrize("name", RANDOM)
def test_unlike_images_get_unlike_draws(name: str) -> None:
    twice = _photos(32)[:1].repeat(2, 1, 1, 1)
    other_rows = corrupt(twice, name, 4, np.array([0, 1]), "test")
    assert not torch.equal(other_rows[0], other_rows[1])
    other_set = corrupt(twice, name, 4, np.array([0, 1]), "elsewhere")
    assert not torch.equal(other_rows, other_set)


def test_the_input_is_not_written_to_and_sizes_may_differ() -> None:
    for shape in ((3, 1, 8, 12), (2, 3, 33, 20), (1, 1, 100, 70)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        before = images.clone()
        for name in CORRUPTIONS:
            assert corrupt(images, name, 5, np.arange(shape[0]), "test").shape == shape
        assert torch.equal(images, before)
    assert corrupt(images[:0], "fog", 1, np.arange(0), "test").shape == (0, 1, 100, 70)


@pytest.mark.parametrize(
    ("images", "name", "severity", "rows", "text"),
    [
        (torch.zeros(1, 3, 8, 8), "fogg", 1, 1, "did you mean fog"),
        (torch.zeros(1, 3, 8, 8), "fog", 6, 1, "1, 2, 3, 4, 5"),
        (torch.zeros(1, 2, 8, 8), "fog", 1, 1, "1 or 3"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "fog", 1, 1, "uint8"),
        (torch.zeros(2, 3, 8, 8), "fog", 1, 1, "row numbers"),
    ],
)
def test_bad_input_is_named(images: torch.Tensor, name: str, severity: int, rows: int, text: str) -> None:
    with pytest.raises(InputError, match=text):
        corrupt(images, name, severity, np.arange(rows), "test")


def test_noise_has_the_deviation_of_its_table() -> None:
    grey = torch.full((50, 1, 32, 32), 0.5)
    noisy = corrupt(grey, "gaussian_noise", 3, np.arange(50), "test")
    assert float(noisy.std()) == pytest.approx(strength("gaussian_noise", 3, (32, 32))[0], rel=0.02)
    shot = corrupt(grey, "shot_noise", 3, np.arange(50), "test")
    assert float(shot.var()) == pytest.approx(0.5 / strength("shot_noise", 3, (32, 32))[0], rel=0.05)
    salted = corrupt(grey, "impulse_noise", 5, np.arange(50), "test")
    assert float((salted != 0.5).float().mean()) == pytest.approx(0.07, abs=0.005)


def test_tables_and_operators() -> None:
    assert (table_of((32, 32)), table_of((64, 80)), table_of((224, 224))) == ("32 px", "32 px", "224 px")
    for matrix in (gaussian_matrix(20, 1.5), gaussian_matrix(8, 6.0, reflect=True), zoom_matrix(15, 1.3)):
        assert torch.allclose(matrix.sum(dim=1), torch.ones(len(matrix)), atol=1e-5)
    for size in (8, 16, 28, 32, 33):
        for share in (0.95, 0.75, 0.25):
            assert torch.allclose(pixelate_matrix(size, share).sum(dim=1), torch.ones(size), atol=1e-5)
    mist = clouds(Draws(1, np.arange(3)), 20, 28, 2.0)
    assert mist.shape == (3, 20, 28)
    assert 0 <= float(mist.min()) < float(mist.max()) <= 1
    assert len(COMMON) == 15
    assert len(CORRUPTIONS) == 19
