from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark import metrics, registry
from benchmark.data import protocol
from benchmark.fit.result import FitResult, Interrupted
from benchmark.fit.runtime import Runtime
from benchmark.fit.train_job import run_job
from benchmark.spec import LabelRule, TrainJob
from tests.helpers import digits, method_source, one_spec, stop_after

pytestmark = pytest.mark.processor

Plugin = Callable[..., Path]


def trial(runtime: Runtime | None = None, **changes: Any) -> FitResult:
    options = {key: changes.pop(key) for key in ("workdir", "progress", "stop") if key in changes}
    return run_job(TrainJob(one_spec(**changes)), digits(), runtime or Runtime(curve_points=2), **options)


@pytest.fixture(scope="module")
def hashnet() -> FitResult:
    return trial()


def test_a_quick_fit_learns_and_says_what_it_is(hashnet: FitResult) -> None:
    record = hashnet.record
    assert record.state == "done"
    assert record.score() > 0.6  # random ranking gives 0.10
    assert record.updates == 4 * (500 // 64)
    assert record.protocol is not None
    assert (record.protocol.queries, record.protocol.database, record.protocol.labelled) == (200, 1597, 500)
    assert "ties averaged" in record.protocol.rules_text
    assert record.environment is not None
    assert record.environment.versions["torch"] == torch.__version__.split("+")[0]
    assert record.timings.train > 0
    assert record.timings.encode_images_per_second > 0
    assert record.peak_memory_mib > 50
    assert [point.step for point in record.curve] == [14, 28]
    assert record.curve[-1].map == pytest.approx(record.score(), abs=0.05)
    assert record.flags == ()
    assert len(hashnet.artifacts.curve) == 28


def test_the_score_is_that_of_the_stored_codes(hashnet: FitResult) -> None:
    """Independent of the harness: mAP by a plain loop over the packed codes, ties by scikit-learn's groups
    would differ, so compare to the exact expectation over random tie orders.
    """
    codes = hashnet.artifacts.codes
    query = np.unpackbits(codes["query_codes"], axis=1)[:40].astype(int)
    database = np.unpackbits(codes["database_codes"], axis=1).astype(int)
    relevant = codes["query_labels"][:40, None] == codes["database_labels"][None, :]
    distance = (query[:, None, :] != database[None, :, :]).sum(axis=2)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(60):
        order = np.lexsort((rng.random(distance.shape), distance))
        hits = np.take_along_axis(relevant, order, axis=1)
        ranks = np.arange(1, hits.shape[1] + 1)
        means.append(((hits.cumsum(1) / ranks) * hits).sum(1) / hits.sum(1))
    exact = metrics.mean_average_precision(
        query, database, codes["query_labels"][:40], codes["database_labels"]
    )
    assert exact == pytest.approx(np.mean(means), abs=3e-3)


def test_two_runs_with_one_seed_agree_bit_for_bit(hashnet: FitResult) -> None:
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    again = trial()
    for part in ("query_codes", "database_codes"):
        assert (hashnet.artifacts.codes[part] == again.artifacts.codes[part]).all()
    assert trial(seeds=(1,)).record.score() != hashnet.record.score()


def test_a_fit_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    expected = (torch.rand(1).item(), np.random.rand(), random.random())
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    trial(epochs=1)
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected


def test_hidden_labels_and_test_images_are_not_handed_over(plugin: Plugin, tmp_path: Path) -> None:
    """A spy method writes down all it is given."""
    spy = f"torch.save((data.images, data.labels, data.unlabelled), {str(tmp_path / 'seen.pt')!r})"
    plugin("spy", method_source("spy", fit=spy))
    trial(methods=("spy",), label_fractions=(0.1,))
    images, labels, unlabelled = torch.load(tmp_path / "seen.pt", weights_only=True)
    data = digits()
    split = protocol.draw(
        protocol.PROTOCOLS["digits-20-50"], data.info, data.labels, 0, LabelRule(fraction=0.1)
    )
    assert (images.numpy() == data.images[split.labelled]).all()
    assert (labels.numpy() == data.labels[split.labelled]).all()
    assert (unlabelled.numpy() == data.images[split.hidden]).all()
    assert (len(images), len(unlabelled)) == (50, 450)
    seen = {image.tobytes() for image in torch.cat([images, unlabelled]).numpy()}
    assert not seen & {image.tobytes() for image in data.images[split.query]}


@pytest.mark.parametrize(
    ("encode", "flag"),
    [
        ("-torch.ones_like(flat)", "collapsed: every image has the same code"),
        ("torch.sigmoid(flat - 64)", "as no output is below 0 and the sign is the code"),
        ("torch.where(images[:, :1, 8, 8] > 128, 1.0, -1.0) * torch.ones_like(flat)", "2 distinct codes"),
        ("torch.cat([flat[:, :12] - 64.5, flat[:, 12:] + 1], dim=1)", "of 16 bits are constant"),
    ],
)
def test_collapsed_codes_are_reported(plugin: Plugin, encode: str, flag: str) -> None:
    plugin("flat", method_source("flat", encode=encode))
    record = trial(methods=("flat",)).record
    assert record.state == "done"
    assert any(flag in text for text in record.flags), record.flags
    assert any("below 0" in text for text in record.flags) == ("below 0" in flag)
    assert record.health["distinct_codes"] >= 1
    assert 0 <= record.health["bit_entropy"] <= 1


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"fit": "raise ValueError('first line\\nsecond')"}, "error", "ValueError: first line second"),
        ({"fit": "raise MemoryError('too big')"}, "out-of-memory", "too big"),
        ({"encode": "flat * float('nan')"}, "not-finite", "not finite"),
        ({"encode": "flat[:, :3]"}, "error", "encode returned"),
        (
            {"fit": "import sys; sys.setrecursionlimit(10**4)\n            1 / 0"},
            "error",
            "ZeroDivisionError",
        ),
    ],
)
def test_a_failure_is_a_result(plugin: Plugin, change: dict[str, str], kind: str, text: str) -> None:
    plugin("faulty", method_source("faulty", **change))
    outcome = trial(methods=("faulty",))
    assert outcome.record.state == "failed"
    assert outcome.record.failure is not None
    assert outcome.record.failure.kind == kind
    assert text in outcome.record.failure.message
    assert "Traceback" in outcome.record.failure.traceback
    assert outcome.record.scores == ()
    assert outcome.record.environment is not None


def test_a_diverging_loss_names_itself() -> None:
    record = trial(params={"hashnet": {"lr": 1e30}}).record
    assert record.failure is not None
    assert record.failure.kind == "not-finite"
    assert "loss" in record.failure.message or "pairwise" in record.failure.message


def test_a_fit_that_diverges_keeps_its_last_good_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """CoopHash refuses a step whose loss is not finite before a parameter moves: that state and curve stay."""
    from benchmark.methods.coophash.method import CoopHash

    descend = CoopHash._descend

    def poisoned(self: CoopHash, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        self.steps_seen = getattr(self, "steps_seen", 0) + 1
        if self.steps_seen == 6:
            terms = {**terms, "class": terms["class"] * float("inf")}
        return descend(self, terms)

    monkeypatch.setattr(CoopHash, "_descend", poisoned)
    outcome = trial(methods=("coophash",), epochs=1)
    assert outcome.record.failure is not None
    assert outcome.record.failure.kind == "not-finite"
    assert "class" in outcome.record.failure.message
    assert all(bool(torch.isfinite(tensor).all()) for tensor in outcome.artifacts.weights.values())
    assert len(outcome.artifacts.weights) > 0
    assert len(outcome.artifacts.curve) == 5


def test_validation_never_touches_the_queries() -> None:
    outcome = trial(selection="val")
    assert {point.part for point in outcome.record.curve} == {"tuning"}
    best = max(outcome.record.curve, key=lambda point: point.map)
    assert outcome.record.selected_step == best.step
    assert outcome.record.protocol is not None
    assert (outcome.record.protocol.tuning, outcome.record.protocol.labelled) == (50, 450)


def test_peeking_is_flagged_and_never_below_its_own_last_model(hashnet: FitResult) -> None:
    last, peek = hashnet, trial(selection="peek")
    assert peek.record.protocol is not None
    assert "PEEKING" in peek.record.protocol.selection_text
    assert peek.record.score() >= last.record.score()
    assert peek.record.score() == pytest.approx(max(point.map for point in peek.record.curve), abs=1e-9)


@pytest.mark.parametrize("method", ["hashnet", "coophash"])
def test_an_interrupted_fit_continues_to_the_same_codes(tmp_path: Path, method: str) -> None:
    undisturbed = trial(methods=(method,), epochs=2)
    with stop_after(5) as stop, pytest.raises(Interrupted):
        trial(methods=(method,), epochs=2, workdir=tmp_path, stop=stop)
    assert (tmp_path / "checkpoint.pt").is_file()
    steps: list[int] = []
    continued = trial(
        methods=(method,), epochs=2, workdir=tmp_path, progress=lambda event: steps.append(event.step)
    )
    assert min(step for step in steps if step) == 6, "it started again from nothing"
    for part in ("query_codes", "database_codes"):
        assert (undisturbed.artifacts.codes[part] == continued.artifacts.codes[part]).all()
    assert len(continued.artifacts.curve) == len(undisturbed.artifacts.curve)


def test_a_damaged_or_foreign_checkpoint_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    assert trial(epochs=1, workdir=tmp_path).record.state == "done"
    with stop_after(3) as stop, pytest.raises(Interrupted):
        trial(epochs=2, workdir=tmp_path, stop=stop)
    assert trial(epochs=1, workdir=tmp_path).record.updates == 7


def test_a_reloaded_method_encodes_the_same(hashnet: FitResult, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from benchmark.contracts import FitContext, Task

    save_file(dict(hashnet.artifacts.weights), tmp_path / "weights.safetensors")
    spec, data = hashnet.record.spec, digits()
    task = Task(spec.bits, 10, 1, 16, 16)
    cls = registry.method_class("hashnet")
    method = cls(cls.Params.model_validate(spec.params))
    method.load_state(load_file(tmp_path / "weights.safetensors"), FitContext(task, torch.device("cpu")))
    rows = hashnet.artifacts.codes["query_ids"]
    packed = metrics.pack_codes(method.encode(torch.from_numpy(data.images[rows])))
    assert (packed == hashnet.artifacts.codes["query_codes"]).all()


def test_shallow_methods_state_their_features() -> None:
    itq, lsh = trial(methods=("itq",)).record, trial(methods=("lsh",)).record
    assert itq.facts["features"] == lsh.facts["features"] == "raw pixels, 256-d, centred"
    assert itq.spec.epochs is None
    assert itq.score() > lsh.score() > 0.2


def test_label_shares_keep_the_number_of_updates() -> None:
    full, few = trial(epochs=1).record, trial(epochs=1, label_fractions=(0.02,)).record
    assert few.protocol is not None
    assert few.protocol.labelled == 10
    assert full.updates == few.updates == 7
