"""The Python API: a fit is loaded and encodes as it did; records as a frame; importing stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import benchmark
from benchmark.errors import InputError
from tests.helpers import digits, execute


def test_a_loaded_fit_encodes_as_it_did(tmp_path: Path) -> None:
    execute(tmp_path, methods=("itq",))
    frame = benchmark.results(tmp_path)  # type: ignore[operator]
    assert frame["method"].tolist() == ["itq"]
    fit = benchmark.load_fit(frame["fit_id"][0], tmp_path)  # type: ignore[operator]
    stored, images = fit.codes, digits().images
    assert np.array_equal(fit.encode(images[stored["query_ids"]]), stored["query_codes"])
    assert frame["map"][0] == next(one.value for one in fit.record.scores if one.metric == "map")
    with pytest.raises(InputError, match="uint8"):
        fit.encode(images.astype(np.float32))
    with pytest.raises(InputError, match="does not exist"):
        benchmark.results(tmp_path / "nowhere")  # type: ignore[operator]


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, benchmark; print({'torch', 'pandas', 'pydantic'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
