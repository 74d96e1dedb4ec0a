"""A fit's way from items to outputs as one torch program, which needs nothing of this project to run."""

from __future__ import annotations

import io
import logging
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.fit.frozen import FeatureNetwork
from benchmark.methods._images import to_float
from benchmark.use.model import Encoder

#: The most items that the program takes at a time: methods that work in chunks then see one of them.
MAX_ITEMS = 256
#: Items that prove the program, and how far its outputs may be from the fit's, as a share of the largest.
_TRIED, _TOLERANCE = 7, 1e-4


class Network(nn.Module):
    """The backbone of a frozen fit, where there is one, and then the method."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.body = encoder.given.body if isinstance(encoder.given, FeatureNetwork) else None
        self.method = encoder.method
        for name, part in vars(encoder.method).items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)  # its tensors are then the program's

    def forward(self, items: Tensor) -> Tensor:
        """uint8 images (n, channels, height, width) or float32 vectors (n, d) to outputs (n, bits)."""
        if self.body is not None:
            items = self.body(to_float(items)).float()
        return self.method.encode(items)

    def tensors(self) -> dict[str, Tensor]:
        """What it has learnt: `backbone.*` of a frozen fit, `method.*` as the fit stored them."""
        body = self.body.state_dict() if self.body is not None else {}
        named = [("backbone", body), ("method", self.method.state())]
        return {f"{of}.{key}": _plain(one) for of, found in named for key, one in found.items()}


def _plain(tensor: Tensor) -> Tensor:
    return tensor.cpu().clone(memory_format=torch.contiguous_format)  # a backbone's are channels last


def program(encoder: Encoder, network: Network) -> bytes:
    """The network as a file of `torch.export`, for 1 to `MAX_ITEMS` items at a time.

    Raises InputError, in one line, for a method that torch cannot export, and where the program, read back, does
    not give the fit's outputs.
    """
    items, label = _items(encoder), f"{encoder.record.spec.label} ({encoder.record.fit_id})"
    sizes = ({0: torch.export.Dim("items", min=1, max=MAX_ITEMS)},)
    content = io.BytesIO()
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            made = torch.export.export(network.eval(), (torch.from_numpy(items),), dynamic_shapes=sizes)
            for node in made.graph.nodes:
                node.meta.pop("stack_trace", None)  # names folders of this machine
            torch.export.save(made, content)
            again = torch.export.load(io.BytesIO(content.getvalue())).module()
            found = {n: again(torch.from_numpy(items[:n])).detach().numpy() for n in (1, len(items))}
    except Exception as error:  # a method's own code is traced: anything
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{label} cannot be exported by torch: {type(error).__name__}: {reason}") from error
    for n, outputs in found.items():
        if not _alike(outputs, encoder.outputs(items[:n])):
            raise InputError(f"{label} cannot be exported: the program does not give the fit's outputs")
    return content.getvalue()


def onnx_program(encoder: Encoder, content: bytes) -> tuple[bytes, str]:
    """The exported program as ONNX, if onnxruntime gives the fit's outputs with it; else empty, and why not."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch.onnx imports it
    except ImportError:
        return b"", "ONNX needs pip install 'coophash-benchmark[onnx]'"
    items = _items(encoder)
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            found = torch.onnx.export(torch.export.load(io.BytesIO(content)), dynamo=True, verbose=False)
            made: bytes = found.model_proto.SerializeToString()  # type: ignore[union-attr]
            session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name
            outputs = {n: session.run(None, {name: items[:n]})[0] for n in (1, len(items))}
    except Exception as error:  # noqa: BLE001 - whatever a converter or a runtime says of an operator
        return b"", f"no ONNX: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    if not all(_alike(found, encoder.outputs(items[:n])) for n, found in outputs.items()):
        return b"", "no ONNX: what it was turned into does not give the fit's outputs"
    return made, ""


def _alike(outputs: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.allclose(outputs, wanted, rtol=0, atol=_TOLERANCE * float(np.abs(wanted).max())))


def _items(encoder: Encoder) -> np.ndarray:
    """Items of the fit's shape, drawn."""
    draw, info = np.random.default_rng(0), encoder.info
    if encoder.target is None:
        return draw.normal(size=(_TRIED, encoder.width)).astype(np.float32)
    return draw.integers(0, 256, (_TRIED, info.channels, info.height, info.width), dtype=np.uint8)


class _quiet:
    """torch's own log lines left out: what matters is raised."""

    def __enter__(self) -> None:
        self._log = logging.getLogger("torch")
        self._level = self._log.level
        self._log.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        self._log.setLevel(self._level)
