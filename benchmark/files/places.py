"""Where data, caches and decoded images lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """Where decoded data and indexes are kept: BENCHMARK_CACHE, or the platform's user cache folder."""
    given = os.environ.get("BENCHMARK_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("coophash-benchmark"))


def absolute_places() -> None:
    """Make relative folders of the environment absolute: they stay where they are if the working folder moves."""
    for name in ("BENCHMARK_CACHE", "BENCHMARK_DATA"):
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])


def data_root(given: Path | str | None) -> Path | None:
    """The data folder: the flag (empty: not given), else BENCHMARK_DATA, else `data` in the working folder."""
    if given:
        return Path(given)
    if os.environ.get("BENCHMARK_DATA"):
        return Path(os.environ["BENCHMARK_DATA"])
    return Path("data")
