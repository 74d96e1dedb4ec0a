"""What authors of methods and data sets see, and all that they need to see."""

from benchmark.contracts.dataset import PARTS, Decoded, HashDataset, ImageDataset, ImageFiles
from benchmark.contracts.dataset_info import CorruptedFiles, DatasetInfo
from benchmark.contracts.fit_context import FitContext, HashData
from benchmark.contracts.listing import Origins, PathsBelow, Shelf, absolute
from benchmark.contracts.method import HashMethod
from benchmark.contracts.method_info import Ability, LabelKind, Look, MethodInfo, Params, Supervision, Variant
from benchmark.contracts.task import VECTORS, Task

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
