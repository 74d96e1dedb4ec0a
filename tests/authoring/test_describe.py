from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.authoring.describe import describe
from benchmark.report import render
from benchmark.report.figures.flow import draw_flow, flow_of
from benchmark.report.figures.style import drawing
from benchmark.store.record import Artifacts
from benchmark.store.store import Store
from tests.report.test_report import made


def test_a_built_model_is_listed_and_drawn(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, _ = run_cli(
        "describe", "coophash", "--dataset", "digits", "--bits", "16", "--results", str(tmp_path)
    )
    assert code == 0
    facts = json.loads((tmp_path / "architecture" / "coophash.json").read_text())
    parts = {part["name"]: part for network in facts["networks"] for part in network["parts"]}
    assert parts["hash_head"]["layers"][0].startswith("Linear 16x")
    assert parts["base"]["parameters"] > 0
    Store(tmp_path).save(made(0.4), Artifacts())
    names = {path.name for path in render(tmp_path, tmp_path / "out", "figure1")}
    assert {"figure1-coophash.png", "figure1-parts-coophash.png"} <= names


def test_a_method_without_networks_is_refused(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run_cli("describe", "itq", "--dataset", "digits")
    assert (code, "builds no networks" in err) == (2, True)


#: Variant -> words that its drawing must and must not have.
VARIANTS = {
    "coophash": ("NLL VAE TR CLASS Langevin generator", "GAN fixed"),
    "coophash-nll": ("VAE TR CLASS generator", "NLL Langevin density"),
    "coophash-vae": ("NLL TR CLASS Langevin generator", "VAE inference"),
    "coophash-tr": ("NLL VAE CLASS Langevin fixed", "_{\\mathrm{TR}}"),
    "coophash-class": ("NLL VAE TR Langevin", "CLASS"),
    "coophash-gan": ("GAN fake generator", "NLL Langevin"),
    "coophash-hash-only": ("TR hash", "generator Langevin NLL CLASS pair"),
}


@pytest.mark.parametrize("method", VARIANTS)
def test_figure_1_draws_what_was_built_and_no_text_overlaps(method: str) -> None:
    facts = describe(method, "digits", 32)
    flow = flow_of(facts)
    assert flow is not None
    with drawing():
        figure = draw_flow(flow)
        renderer = figure.canvas.get_renderer()
        texts = [one for one in figure.axes[0].texts if one.get_text()]
        boxes = [one.get_window_extent(renderer) for one in texts]
    for (one, box), (other, its) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not box.overlaps(its), (one.get_text(), other.get_text())
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())
    shown = " ".join(one.get_text() for one in texts)
    wanted, unwanted = VARIANTS[method]
    assert [word for word in wanted.split() if word not in shown] == []
    assert [word for word in unwanted.split() if word in shown] == []
    if "Langevin" in shown:
        assert f"T = {facts['parameters']['langevin_steps']} steps" in shown
    base = next(part for part in facts["networks"][0]["parts"] if part["name"] == "base")
    assert f"{base['parameters']:,} parameters" in shown


def test_a_network_without_heads_has_parts_and_no_flow() -> None:
    assert flow_of(describe("hashnet", "digits", 16)) is None
