"""The corruptions, and how strong each severity is: published tables for 32 px (CIFAR-10-C), 224 px (ImageNet-C).

Numbers of Hendrycks and Dietterich (ICLR 2019), read in `make_cifar_c.py` (32 px) and `make_imagenet_c.py` (224 px)
of their repository hendrycks/robustness. Where those do not distort more with each severity, they are reordered
or changed: `docs/views.md` lists every such place with the published values.
"""

from __future__ import annotations

from collections.abc import Sequence

SEVERITIES = (1, 2, 3, 4, 5)

#: Families of Hendrycks and Dietterich (2019); the last of each is one of their four extra corruptions.
FAMILIES: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"),
    "weather": ("snow", "frost", "fog", "brightness", "spatter"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate"),
}
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
CORRUPTIONS: dict[str, str] = {name: family for family, names in FAMILIES.items() for name in names}
#: The fifteen that mean corruption scores are taken over.
COMMON = tuple(name for name in CORRUPTIONS if name not in EXTRA)

#: The longest shorter side, in pixels, that the 32 px table is used for.
SMALL_UP_TO = 64

_Table = dict[str, tuple[tuple[float, ...], ...]]


def _each(*values: float) -> tuple[tuple[float, ...], ...]:
    return tuple((value,) for value in values)


def _of_244(*settings: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Shares of a side: the published file takes 244 pixels for the side of its images of 224."""
    return tuple(tuple(share * 244 / 224 for share in setting) for setting in settings)


_SMALL: _Table = {
    "gaussian_noise": _each(0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": _each(500, 250, 100, 75, 50),
    "impulse_noise": _each(0.01, 0.02, 0.03, 0.05, 0.07),
    "speckle_noise": _each(0.06, 0.1, 0.12, 0.16, 0.2),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.5, 1, 1), (0.4, 1, 1), (0.25, 1, 1), (0.4, 1, 2), (0.25, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2.1), (9, 2.5)),
    "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "gaussian_blur": _each(0.4, 0.6, 0.7, 0.8, 1.0),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.52, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.45), (0.75, 0.55)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": _each(0.05, 0.1, 0.15, 0.2, 0.3),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.1, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    "contrast": _each(0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": (
        (0.1, 0.03, 0.03),
        (0.1, 0.04, 0.05),
        (0.08, 0.06, 0.06),
        (0.05, 0.2, 0.07),
        (0.0, 0.0, 0.08),
    ),
    "pixelate": _each(0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": _each(80, 65, 58, 50, 40),
    "saturate": ((0.8, 0), (0.7, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}

_LARGE: _Table = {
    "gaussian_noise": _each(0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": _each(60, 25, 12, 5, 3),
    "impulse_noise": _each(0.03, 0.06, 0.09, 0.17, 0.27),
    "speckle_noise": _each(0.15, 0.2, 0.35, 0.45, 0.6),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    "gaussian_blur": _each(1, 2, 3, 4, 6),
    "snow": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.75), (0.6, 0.8)),
    "fog": ((1.5, 2), (2, 2), (2.5, 1.5), (2.5, 1.7), (3, 1.4)),
    "brightness": _each(0.1, 0.2, 0.3, 0.4, 0.5),
    "spatter": (
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.55, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    "contrast": _each(0.4, 0.3, 0.2, 0.1, 0.05),
    "elastic_transform": _of_244(
        (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02), (2, 0.7, 0.1), (2, 0.08, 0.2)
    ),
    "pixelate": _each(0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg_compression": _each(25, 18, 15, 10, 7),
    "saturate": ((0.8, 0), (0.7, 0), (2, 0), (5, 0.1), (20, 0.2)),
}


def table_of(size: Sequence[int]) -> str:
    """Which published table images of (height, width) pixels are corrupted by: `32 px` or `224 px`."""
    return "32 px" if min(size) <= SMALL_UP_TO else "224 px"


def strength(name: str, severity: int, size: Sequence[int]) -> tuple[float, ...]:
    """The parameters of one corruption at one severity (1 to 5) for images of (height, width) pixels.

    Lengths are pixels as published, except in `elastic_transform`, where they are shares of the shorter side.
    """
    table = _SMALL if table_of(size) == "32 px" else _LARGE
    return table[name][severity - 1]
