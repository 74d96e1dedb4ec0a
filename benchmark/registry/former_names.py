"""Answers for `methods` and `datasets`, the former names of `benchmark.methods` and `benchmark.datasets`.

Plug-ins written before import shared pieces as `from methods._stepwise import ...`. They get the very same modules,
and a warning that names the new address. Other libraries with these names (Hugging Face's `datasets`) come first.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

KINDS = ("methods", "datasets")
#: Where shared pieces are found by authors; the others by their full name.
_PUBLIC = {
    **dict.fromkeys(("_backbones", "_buffers", "_images", "_networks", "_recipes"), "benchmark.stepwise"),
    **dict.fromkeys(("_stepwise", "_unsupervised", "_views"), "benchmark.stepwise"),
    **dict.fromkeys(("_centres", "_pairs", "_pointwise", "_quantisers", "_triplets"), "benchmark.losses"),
    **dict.fromkeys(("_discrete", "_features", "_kernels", "_rotation", "_spectra"), "benchmark.shallow"),
}


@contextlib.contextmanager
def former_names(origin: str) -> Iterator[None]:
    """While a plug-in is loaded, its former addresses answer. origin: how a warning names the plug-in."""
    finder = _Finder(origin)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.served:  # nobody else is to find them there
            sys.modules.pop(name, None)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, origin: str) -> None:
        self.origin, self.served = origin, list[str]()
        self._specs = dict[str, ModuleSpec | None]()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] not in KINDS or _is_elsewhere(fullname, path):
            return None
        if importlib.util.find_spec(f"benchmark.{fullname}") is None:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"benchmark.{spec.name}")
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It ran already, under its present name, which it keeps."""
        name = str(module.__spec__ and module.__spec__.name)
        module.__spec__ = self._specs.pop(name)
        self.served.append(name)
        if "." in name:
            new = _PUBLIC.get(name.split(".")[1], f"benchmark.{name}")
            warnings.warn(
                f"{self.origin} imports {name!r}, which is {new!r} now; the former name still answers",
                FutureWarning,
                stacklevel=2,
            )


def _is_elsewhere(fullname: str, path: Sequence[str] | None) -> bool:
    """Whether another library has a module of this name: a file, which a bare folder in the import path is not."""
    found = PathFinder.find_spec(fullname, path)
    if found is None or not found.has_location:
        return False
    own = importlib.util.find_spec(f"benchmark.{fullname}")
    return own is None or own.origin != found.origin
