"""What a built method consists of: networks, their parts and shapes, as plain facts for the architecture figure."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmark import registry
from benchmark.errors import InputError


def describe(method: str, dataset: str, bits: int, backbone: str = "compact") -> dict[str, Any]:
    """Build a method's networks for a data set and list them; nothing is trained and no image is read.

    Returns {method, dataset, bits, backbone, parameters (the method's own, by name),
    networks: [{name, parts: [{name, layers: [text], parameters (how many)}]}]}.
    Raises InputError for unknown names and for methods that do not build networks with `build(task)`.
    """
    info = registry.find("datasets", dataset).dataset_info
    task = info.task(bits, backbone, "none")
    cls = registry.method_class(method)
    params = registry.method_params(method, {})
    built = cls(params)
    build = getattr(built, "build", None)
    if build is None:
        raise InputError(f"method {method!r} builds no networks: there is no architecture to draw")
    found = build(task)
    networks = found if isinstance(found, dict) else {"hash": found}
    return {
        "method": method,
        "dataset": dataset,
        "bits": bits,
        "backbone": backbone,
        "parameters": params.model_dump(mode="json"),
        "networks": [{"name": name, "parts": _parts(network)} for name, network in networks.items()],
    }


def _parts(network: nn.Module) -> list[dict[str, Any]]:
    children = [*network.named_children()] or [("", network)]
    return [
        {
            "name": name,
            "layers": [_layer(layer) for layer in part.modules() if not [*layer.children()]],
            "parameters": sum(one.numel() for one in part.parameters()),
        }
        for name, part in children
    ]


def _layer(layer: nn.Module) -> str:
    shapes = [list(one.shape) for name, one in layer.named_parameters() if name.endswith("weight")]
    sizes = "x".join(map(str, shapes[0])) if shapes else ""
    return f"{type(layer).__name__} {sizes}".strip()
