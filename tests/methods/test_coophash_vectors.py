"""CoopHash on feature vectors: what it refuses, that it learns, resumes, and states how it generates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmark.contracts import VECTORS, FitContext, HashData, Task
from benchmark.methods.coophash import CoopHash, losses
from benchmark.methods.coophash_vectors import CoopHashVectors, CoopHashVectorsParams
from benchmark.metrics import mean_average_precision
from benchmark.spec import parse

TASK = Task(bits=16, classes=4, channels=20, height=1, width=1, inputs="vectors", backbone=VECTORS)
VARIANTS = {one.name.removeprefix("coophash-vectors-"): one.params for one in CoopHashVectors.variants}
MEASURES = {
    f"{what}_{when}_mcmc"
    for what in ("diversity", "density", "coverage", "asked_class", "energy_gap")
    for when in ("before", "after")
} | {"chain_raises_f", "chain_distance"}


def vectors(count: int = 200, seed: int = 1) -> HashData:
    """Four classes, each moved along two dimensions of 20 of different scale, one of them constant."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.arange(count) % 4
    items = torch.randn(count, 20, generator=draw)
    items[:, :8] += 5 * torch.eye(4)[classes].repeat(1, 2)
    items = items * torch.logspace(-0.5, 0.5, 20) + 7
    items[:, 19] = 3
    return HashData(TASK, items, torch.eye(4, dtype=torch.uint8)[classes], items[:0])


class Memory(FitContext):
    """A context that keeps the training state of one update in memory, as a file would."""

    def __init__(self, keep: int | None = None, kept: Any = None, **settings: Any) -> None:
        super().__init__(settings.pop("task", TASK), torch.device("cpu"), **settings)
        self.keep, self.kept = keep, kept

    def begin_step(self, step: int) -> None:
        torch.manual_seed(self.seed("step", step))

    def save(self, step: int, state: Any) -> None:
        if step == self.keep:
            self.kept = copy.deepcopy(state())

    def restore(self) -> Any:
        return self.kept


def fitted(data: HashData, updates: int, memory: Memory | None = None, **params: Any) -> CoopHashVectors:
    small = {"hidden": 32, "latent": 4, "pairs": 8, "langevin_steps": 4}
    made = CoopHashVectors(parse(CoopHashVectorsParams, {**small, **params}, "params"))
    made.fit(data, memory or Memory(task=data.task, updates=updates, batch_size=32))
    return made


def score(made: CoopHashVectors, data: HashData) -> float:
    """mAP of every item's query among all items."""
    codes, classes = made.encode(data.images).numpy(), data.class_ids.numpy()
    return float(mean_average_precision(codes, codes, classes, classes, threshold=0))


def test_it_takes_vectors_and_coophash_images() -> None:
    images = Task(bits=16, classes=4, channels=1, height=8, width=8)
    assert "feature vectors" in (CoopHashVectors.supports(images) or "")
    assert CoopHashVectors.supports(TASK) is None
    assert "two classes" in (CoopHashVectors.supports(replace(TASK, classes=1)) or "")
    assert "--head" in (CoopHashVectors.supports(replace(TASK, head="linear")) or "")
    assert CoopHash.supports(images) is None
    assert "pixels" in (CoopHash.supports(TASK) or "")


@pytest.mark.parametrize("name", ["", *VARIANTS])
def test_it_learns(name: str) -> None:
    data, held = vectors(), vectors(120, seed=2)
    untrained, trained = (score(fitted(data, n, lr=0.003, **VARIANTS.get(name, {})), held) for n in (0, 60))
    gain, least = (0.05, 0.7) if name == "tr" else (0.15, 0.8)  # without L_TR codes are a fixed projection
    assert trained > untrained + gain
    assert trained > least


@pytest.mark.parametrize("extra", [{}, {"ema": 0.9}, VARIANTS["nll"], VARIANTS["gan"]])
def test_a_resumed_fit_ends_with_the_same_codes_and_facts(extra: dict[str, Any]) -> None:
    data = vectors()
    whole = Memory(updates=6, batch_size=16, keep=3)
    straight = fitted(data, 6, whole, **extra)
    resumed = fitted(data, 6, Memory(updates=6, batch_size=16, kept=whole.kept), **extra)
    assert torch.equal(straight.encode(data.images), resumed.encode(data.images))
    assert straight.facts() == resumed.facts()


def test_scales_of_dimensions_do_not_matter_and_codes_survive_saving() -> None:
    data = vectors()
    made = fitted(data, 3)
    scaled = fitted(replace(data, images=data.images * 64), 3)
    torch.testing.assert_close(
        made.encode(data.images), scaled.encode(data.images * 64), rtol=1e-3, atol=1e-4
    )
    fresh = CoopHashVectors(made.params)
    fresh.load_state(made.state(), Memory())
    assert torch.equal(fresh.encode(data.images), made.encode(data.images))
    assert not MEASURES & set(fresh.facts()), "without training vectors nothing is measured"


def test_facts_tell_how_it_generates() -> None:
    data = vectors()
    made = fitted(data, 60, lr=0.003)
    facts = made.facts()
    assert set(facts) >= MEASURES
    before, after = made.sample(data.labels[:8], torch.Generator().manual_seed(0))
    assert before.shape == after.shape == (8, 20)
    assert not torch.equal(before, after)
    assert facts["asked_class_after_mcmc"] > 0.6, "four classes: 0.25 by chance"
    assert "diversity_before_mcmc" not in fitted(data, 0, **VARIANTS["hash-only"]).facts()


def test_facts_are_the_ratio_and_the_share_that_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that halves real deviations and is right in every class but one."""
    data = vectors(4000)
    made = fitted(data, 0)
    real = made._standardised(data.images)

    def draw(labels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        asked = labels.argmax(1)
        taken = torch.stack(
            [real[data.class_ids == (0 if k == 3 else int(k))][i] for i, k in enumerate(asked)]
        )
        return taken, taken * 0.5

    monkeypatch.setattr(made, "_sample", draw)
    made._measured = {}
    facts = made.facts()
    assert facts["diversity_before_mcmc"] == pytest.approx(1, abs=0.05)
    assert facts["diversity_after_mcmc"] == pytest.approx(0.5, abs=0.03)
    assert 0.6 < float(facts["asked_class_before_mcmc"]) <= 0.76


def test_coverage_takes_as_many_vectors_as_there_are_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve real vectors a class; the first twelve made lie at one of them, the others would cover all."""
    data = vectors(48)
    made = fitted(data, 0)
    real = made._standardised(data.images)

    def draw(labels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        own = [real[data.class_ids == int(k)] for k in labels.argmax(1)]
        taken = torch.stack([one[0 if i % 250 < 12 else i % 12] for i, one in enumerate(own)])
        return taken, torch.stack([one[i % 250 % 12] for i, one in enumerate(own)])

    monkeypatch.setattr(made, "_sample", draw)
    made._measured = {}
    facts = made.facts()
    assert float(facts["coverage_before_mcmc"]) < 0.9
    assert facts["coverage_after_mcmc"] == 1


def test_facts_tell_what_the_chain_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under f = minus the distance from 1 of a mean dimension, a chain that moves three of four vectors there."""
    made = fitted(vectors(), 0)

    def draw(labels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        start = torch.zeros(len(labels), 20)
        return start, start + torch.tensor([1.0, 1.0, 1.0, -1.0]).repeat(len(labels) // 4)[:, None]

    monkeypatch.setattr(made, "_sample", draw)
    monkeypatch.setattr(made, "_log_density", lambda labels, x: -(x.mean(1) - 1).abs())
    made._measured = {}
    facts = made.facts()
    assert facts["chain_raises_f"] == 0.75
    assert facts["chain_distance"] == pytest.approx(1)
    gain = float(facts["energy_gap_after_mcmc"]) - float(facts["energy_gap_before_mcmc"])
    assert gain == pytest.approx(0.5, abs=1e-3), "a quarter is at -2, the rest at 0, and all were at -1"
    assert not any(
        name.startswith(("chain", "energy")) for name in fitted(vectors(), 0, **VARIANTS["nll"]).facts()
    )


@pytest.mark.parametrize("name", ["", "nll", "hash-only"])
def test_noise_is_the_same_regulariser_in_every_twin(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor sees it on real vectors and the pair, the losses compare with vectors as they are."""
    made = fitted(vectors(), 1, density_noise=0.5, **VARIANTS.get(name, {}))
    batch = made._batch(vectors(), 0)
    pair, _ = made._pair(batch)
    seen: list[torch.Tensor] = []
    made.descriptor.base.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    made._features(batch, pair, None)
    clean = torch.cat([batch.images] if pair is None else [batch.images, pair.images])
    assert (seen[0] - clean).std() == pytest.approx(0.5, rel=0.1)
    made.encode(vectors().images)
    assert torch.equal(seen[1], made._standardised(vectors().images)), "no noise when encoding"
    compared: list[torch.Tensor] = []
    monkeypatch.setattr(losses, "reconstruction", noted(losses.reconstruction, compared))
    made.step(batch)
    assert any(images is batch.images for images in compared) == (name != "hash-only")


def noted(loss: Callable[..., torch.Tensor], compared: list[torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The loss, which keeps what it compares with."""

    def noting(images: torch.Tensor, *rest: Any) -> torch.Tensor:
        compared.append(images)
        return loss(images, *rest)

    return noting


def test_an_update_moves_vectors_without_bounds_and_label_sets_work() -> None:
    data = vectors()
    assert fitted(data, 1).params.langevin().clamp is False
    sets = data.labels | torch.roll(data.labels, 1, dims=1) * (torch.arange(200) % 2 == 0)[:, None].to(
        torch.uint8
    )
    several = fitted(replace(data, task=replace(TASK, multi_label=True), labels=sets), 3)
    assert "diversity_after_mcmc" in several.facts()
    assert "asked_class_after_mcmc" not in several.facts()
