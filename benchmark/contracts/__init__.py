"""What authors of methods and data sets see, and all that they need to see."""

from benchmark.contracts.dataset import (
    PARTS,
    VECTORS,
    CorruptedFiles,
    DatasetInfo,
    Decoded,
    HashDataset,
    ImageDataset,
    ImageFiles,
    Task,
)
from benchmark.contracts.listing import Origins, PathsBelow, Shelf, absolute
from benchmark.contracts.method import (
    Ability,
    FitContext,
    HashData,
    HashMethod,
    LabelKind,
    Look,
    MethodInfo,
    Params,
    Supervision,
    Variant,
)

__all__ = [
    "PARTS",
    "VECTORS",
    "Ability",
    "CorruptedFiles",
    "DatasetInfo",
    "Decoded",
    "FitContext",
    "HashData",
    "HashDataset",
    "HashMethod",
    "ImageDataset",
    "ImageFiles",
    "LabelKind",
    "Look",
    "MethodInfo",
    "Origins",
    "Params",
    "PathsBelow",
    "Shelf",
    "Supervision",
    "Task",
    "Variant",
    "absolute",
]
