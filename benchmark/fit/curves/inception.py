"""FID proper, by torchmetrics, for those who have Inception's weights in a file."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import InputError

#: Images per pass: each is enlarged to 299 x 299.
BATCH = 50


class InceptionFid:
    """`torchmetrics.image.fid.FrechetInceptionDistance` on 2,048 features, its real side filled once.

    The weights are those of torch-fidelity (`weights-inception-2015-12-05-6726825d.pth`, or the same tensors as
    safetensors); sums over features are float64. Raises InputError when the file or the packages are missing, or
    the file holds other things.
    """

    def __init__(self, weights: Path, real: Tensor, device: torch.device) -> None:
        state = read_weights(weights)
        self.digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
        self.metric = _metric(state, weights).to(device)
        self._update(real, real=True)

    def distance(self, images: Tensor) -> float:
        """FID between the reference and uint8 images (n, 1 or 3 channels, height, width)."""
        self.metric.reset()  # keeps the real side
        self._update(images, real=False)
        return max(0.0, float(self.metric.compute()))

    def _update(self, images: Tensor, *, real: bool) -> None:
        for part in torch.split(images, BATCH):
            colour = part.expand(-1, 3, -1, -1) if part.shape[1] == 1 else part
            self.metric.update(colour, real=real)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, never anything else from it. Raises InputError naming the file."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        with warnings.catch_warnings():  # torch also warns about a pickle that it goes on to refuse
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own words advise to load it all the same
        text = f"Inception weights {str(path)!r} hold more than tensors, or are damaged; they are not loaded"
        raise InputError(text) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"Inception weights {str(path)!r} cannot be read: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"Inception weights {str(path)!r} are no table of tensors")
    return state


def check_inception(path: Path) -> None:
    """Raise InputError, before a run begins, when FID cannot be computed from this file."""
    _metric(read_weights(path), path)


def _metric(state: dict[str, Tensor], path: Path) -> Any:
    try:
        import torch_fidelity  # noqa: F401
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError:
        raise InputError(
            "--inception-weights needs torchmetrics and torch-fidelity; install them with "
            "pip install 'coophash-benchmark[fid]'"
        ) from None
    # torch-fidelity unpickles whatever file it is given: it gets one written here, of tensors alone.
    with tempfile.TemporaryDirectory(prefix="inception-") as folder:
        clean = Path(folder) / "weights.pth"
        torch.save(state, clean)
        try:
            metric = FrechetInceptionDistance(
                feature=2048, reset_real_features=False, feature_extractor_weights_path=str(clean)
            )
        except (RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise InputError(
                f"Inception weights {str(path)!r} do not fit torch-fidelity's network: {reason}"
            ) from None
    return metric
