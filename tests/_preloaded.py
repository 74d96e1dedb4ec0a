"""Everything that the command line imports sooner or later, for the processes of `programs.py`."""

import importlib
import pkgutil
from pathlib import Path

import numpy as np

import benchmark
from benchmark.metrics import mean_average_precision
from benchmark.registry.scan import scan

# Not the checkout beside it, where its methods and data sets are found.
for module in pkgutil.walk_packages([str(Path(benchmark.__file__).parent)], "benchmark."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
# What the first optimiser, the first printed table, the first decoded digits and the first tracker import.
for name in ("torch._dynamo", "rich.table", "sklearn.datasets", "mlflow"):
    importlib.import_module(name)
scan()
_ONE = np.ones((1, 1), np.uint8)
mean_average_precision(_ONE, _ONE, np.zeros(1, int), np.zeros(1, int), engine="numba")
