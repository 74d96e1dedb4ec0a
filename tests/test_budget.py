"""What a checkout weighs: it is cloned, and it travels to machines with a GPU."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmark.report.statistics.compare import MEAN_TOLERANCE
from benchmark.store.store import Store
from benchmark.store.thin import QUERY_AP, is_thin

ROOT = Path(__file__).parents[1]
#: Megabytes of all files that git tracks or would, and of one folder of committed results.
TREE, FOLDER = 25.0, 10.0
_RESULTS = "results/reproduced"
_MEND = (
    "make it small with `python -m benchmark compact --results DIR --out DIR --only ARTIFACTS`, then draw it again "
    "with `python -m benchmark report --results DIR --only ARTIFACTS --formats png`, or take out what newer "
    "results replace"
)


def over_budget(sizes: Mapping[str, int]) -> list[str]:
    """One line for each budget that is overrun. sizes: path below the checkout -> bytes."""
    folders: Counter[str] = Counter()
    for path, size in sizes.items():
        folders["the tree"] += size
        if path.startswith(f"{_RESULTS}/"):
            folders["/".join(path.split("/")[:3])] += size
    lines = []
    for name, size in sorted(folders.items()):
        limit = FOLDER if name.startswith(_RESULTS) else TREE
        if size > limit * 1e6:
            inside = {
                path: one for path, one in sizes.items() if limit == TREE or path.startswith(f"{name}/")
            }
            largest = sorted(inside, key=lambda path: -inside[path])[:3]
            shown = ", ".join(f"{path} ({inside[path] / 1e6:.1f})" for path in largest)
            lines.append(f"{name} holds {size / 1e6:.1f} MB of at most {limit:g}; largest: {shown}; {_MEND}")
    return lines


def test_the_checkout_is_within_its_budget() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("no git checkout: nothing says which files belong to it")
    paths = {name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()}
    assert f"{_RESULTS}/digits/report/report.md" in paths
    assert over_budget({name: (ROOT / name).stat().st_size for name in paths}) == []


def test_what_is_too_large_is_named_with_its_mend() -> None:
    small = {"README.md": 10_000, f"{_RESULTS}/a/report/report.html": 9_000_000}
    assert over_budget(small) == []
    (line,) = over_budget({**small, f"{_RESULTS}/a/mnist/x/codes.npz": 2_000_000})
    assert line.startswith(
        f"{_RESULTS}/a holds 11.0 MB of at most 10; largest: {_RESULTS}/a/report/report.html (9.0)"
    )
    assert "benchmark compact --results" in line
    (line,) = over_budget({**small, "docs/film.gif": 20_000_000})
    assert line.startswith("the tree holds 29.0 MB of at most 25; largest: docs/film.gif (20.0)")


def test_committed_precisions_have_the_mean_that_their_record_states() -> None:
    seen = 0
    for folder in sorted((ROOT / _RESULTS).iterdir()):
        store = Store(folder)
        for record in store.records():
            if not (store.folder(record.spec) / "codes.npz").is_file():
                continue
            codes = store.codes(record.spec)
            if is_thin(codes):
                seen += 1
                score = record.score()
                assert score is not None
                mean = np.nanmean(codes[QUERY_AP], dtype=np.float64)
                assert abs(mean - score) < MEAN_TOLERANCE, record.spec.label
    assert seen > 100
