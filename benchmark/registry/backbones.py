"""The feature networks that `--backbone` names: the project's own, torchvision's, timm's. None is built here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from benchmark.contracts import VECTORS

_MODULE = "benchmark.methods._backbones"
#: torchvision's weights as `--weights` names them, and how many numbers its networks make of a picture.
_FLAGS = {"IMAGENET1K_V1": "imagenet-v1", "IMAGENET1K_V2": "imagenet-v2"}
_FEATURES = {"alexnet": 4096, "vgg16": 4096, "resnet18": 512, "resnet34": 512, "resnet50": 2048}
_OWN = {
    "compact": "three or four convolutions, for 8 to 64 px; trained from nothing",
    "residual": "a deeper residual network, for 32 to 64 px; trained from nothing",
    "pixels": "no network: the image itself, for linear models",
}


@dataclass(frozen=True)
class Weights:
    """Published weights. name: their library's. backbone, weights: what `--backbone` and `--weights` take for them.

    input_size: pixels of a side that they were made for.
    """

    name: str
    backbone: str
    weights: str
    input_size: int | None


@dataclass(frozen=True)
class Network:
    """A name that `--backbone` takes. library: `own`, `torchvision` or `timm`. default: of its weights, by name.

    input_size: pixels of a side that it is given unless `--input-size` says otherwise; None: images as they are.
    features: how many numbers an image becomes, where that is known without building it.
    """

    name: str
    library: str
    about: str
    input_size: int | None
    features: int | None
    weights: tuple[Weights, ...] = ()
    default: str = ""


def networks() -> list[Network]:
    """Every network: own ones first, then torchvision's, then timm's by name (none where it is not installed).

    Where both libraries have a name it means torchvision's; timm's weights of it go by `name.tag`.
    """
    known = [name for name in importlib.import_module(_MODULE).BACKBONES if name != VECTORS]
    published = _timm_weights()
    own = [Network(name, "own", about, None, None) for name, about in _OWN.items() if name in known]
    vision = [_torchvision(name, published.pop(name, ())) for name in known if name not in _OWN]
    return [*own, *vision, *(_timm(*item) for item in published.items() if item[0] not in known)]


def _torchvision(name: str, timms: tuple[Weights, ...]) -> Network:
    from torchvision.models import get_model_weights

    every = get_model_weights(name)
    own = tuple(Weights(one.name, name, _FLAGS[one.name], 224) for one in every if one.name in _FLAGS)
    return Network(name, "torchvision", "", 224, _FEATURES.get(name), own + timms, every.DEFAULT.name)


def _timm_weights() -> dict[str, tuple[Weights, ...]]:
    """timm's models by name with their weights; empty where it is not installed."""
    try:
        import timm
    except ImportError:
        return {}
    found: dict[str, tuple[Weights, ...]] = dict.fromkeys(timm.list_models(), ())
    for full in timm.list_models(pretrained=True):
        name, _, tag = full.partition(".")
        found[name] = (*found.get(name, ()), Weights(tag, full, "imagenet", _facts(full)[0]))
    return found


def _timm(name: str, weights: tuple[Weights, ...]) -> Network:
    side, tag = _facts(name)
    return Network(name, "timm", "", side, None, weights, tag if weights else "")


def _facts(name: str) -> tuple[int | None, str]:
    """Input size and tag of a configuration of timm's."""
    import timm

    facts = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if facts is None:
        return None, ""
    return int(facts.input_size[1]) if facts.input_size else None, str(facts.tag or "")
