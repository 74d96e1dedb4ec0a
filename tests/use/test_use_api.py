"""The Python API: a fit is loaded and encodes as it did; records as a frame; importing stays light."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import benchmark
from benchmark.cli import main
from benchmark.errors import InputError
from tests.helpers import digits, execute


def test_a_loaded_fit_encodes_as_it_did(tmp_path: Path) -> None:
    execute(tmp_path, methods=("itq",))
    frame = benchmark.results(tmp_path)
    assert frame["method"].tolist() == ["itq"]
    fit = benchmark.load_fit(frame["fit_id"][0], tmp_path)
    stored, images = fit.codes, digits().images
    assert np.array_equal(fit.encode(images[stored["query_ids"]]), stored["query_codes"])
    assert frame["map"][0] == next(one.value for one in fit.record.scores if one.metric == "map")
    with pytest.raises(InputError, match="uint8"):
        fit.encode(images.astype(np.float32))
    with pytest.raises(InputError, match="does not exist"):
        benchmark.results(tmp_path / "nowhere")


def test_a_run_gives_its_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"bits": (8, 16), "results": str(tmp_path), "tracking_uri": "none", "progress": False}
    first = benchmark.run(methods="itq,lsh", **keys)
    assert sorted(zip(first["method"], first["bits"])) == [("itq", 8), ("itq", 16), ("lsh", 8), ("lsh", 16)]
    assert capsys.readouterr() == ("", "")
    again = benchmark.run(methods=["itq"], **keys)
    everything = benchmark.results(tmp_path).set_index("fit_id")
    assert again.set_index("fit_id").equals(everything.loc[again["fit_id"]])
    assert set(again["fit_id"]) == set(first.query("method == 'itq'")["fit_id"])
    said = benchmark.load_fit(first["fit_id"][0], tmp_path).record.command
    assert said.startswith("python -m benchmark run --methods itq,lsh")
    assert str(tmp_path) in said


def test_the_command_of_a_run_finds_its_fits_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"bits": 8, "set": ["itq.iterations=3"], "seeds": "1", "results": str(tmp_path)}
    frame = benchmark.run(methods="itq", **keys, tracking_uri="none", progress=False)
    words = shlex.split(benchmark.load_fit(frame["fit_id"][0], tmp_path).record.command)
    assert main([*words[3:], "--tracking-uri", "none"]) == 0
    assert "0 fits run" in capsys.readouterr().out
    assert len(benchmark.results(tmp_path)) == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"methods": "itqq"}, "itqq"),
        ({"bit": 8}, "bit"),
        ({"retry": "some"}, "known: all, failed, stale"),
        ({"suite": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_run_is_refused(keys: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        benchmark.run(**{"results": str(tmp_path), "progress": False, **keys})


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, benchmark; print({'torch', 'pandas', 'pydantic'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells in order, in one namespace; its own check of a score is in it."""
    import json
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    notebook = json.loads((Path(__file__).parents[2] / "docs/notebook.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), names)
    assert len(names["frame"]) == 8  # type: ignore[arg-type]
    assert names["codes"].shape == (5, int(names["best"]["bits"]) // 8)  # type: ignore[attr-defined, index]
    assert len(names["axes"].lines) == 2  # type: ignore[attr-defined]
