"""What is known of a plug-in without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from benchmark.contracts import DatasetInfo, HashDataset, HashMethod

Kind = Literal["methods", "datasets"]
KINDS: tuple[Kind, ...] = ("methods", "datasets")
NOUN: dict[Kind, str] = {"methods": "method", "datasets": "data set"}
#: Entry-point groups that installed packages register under.
GROUPS: dict[Kind, str] = {kind: f"coophash_benchmark.{kind}" for kind in KINDS}
#: What a plug-in of a kind derives from.
BASE: dict[Kind, type] = {"methods": HashMethod, "datasets": HashDataset}


@dataclass(frozen=True)
class Entry:
    """One plug-in as the index knows it; `error` is why it cannot be used, and then little else is known.

    `trace` is then the traceback, where something was raised. `preset` holds a variant's parameters; `defaults`
    every parameter with its default; `digest` covers the plug-in's file (or package) and the shared files that it
    imports, and `former` holds the digests of the same code in earlier versions of this project. `declaration` is
    the file of a data set that a user declared.
    """

    kind: Kind
    name: str
    module: str
    qualname: str
    origin: str
    info: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    former: tuple[str, ...] = ()
    error: str = ""
    declaration: str = ""
    trace: str = ""

    def is_current(self, digest: str) -> bool:
        """Whether a record with this digest was made by the code that is here now."""
        return digest == self.digest or digest in self.former

    @property
    def dataset_info(self) -> DatasetInfo:
        """The entry's facts as a data set."""
        return DatasetInfo.model_validate(self.info)
