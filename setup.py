"""Packages only; everything else is in pyproject.toml.

`methods/` and `datasets/` lie at the top level and are installed as `benchmark.methods` and `benchmark.datasets`: a
top-level package `datasets` would overwrite the Hugging Face library's.
"""

from setuptools import find_namespace_packages, find_packages, setup

rooms = find_packages(include=["benchmark", "benchmark.*"])
plugins = find_namespace_packages(include=["methods", "methods.*", "datasets", "datasets.*"])
setup(
    packages=[*rooms, *(f"benchmark.{name}" for name in plugins)],
    package_dir={"benchmark.methods": "methods", "benchmark.datasets": "datasets"},
)
