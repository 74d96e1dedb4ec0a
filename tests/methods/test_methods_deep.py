"""Pieces of the deep methods that are more than one formula: discrete steps, centres, quantisers, buffers."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark import registry
from benchmark.authoring.conformance import data as tiny
from benchmark.authoring.conformance.lab import CheckContext
from benchmark.contracts import HashData, Task
from benchmark.errors import InputError
from benchmark.methods import (
    _backbones,
    _centres,
    _quantisers,
    adsh,
    csq,
    dfh,
    dnnh,
    dpsh,
    dsdh,
    hswd,
    orthohash,
    ssdh,
)
from benchmark.methods._backbones import Pixels, build_backbone
from benchmark.methods._images import to_float
from benchmark.methods._pairs import pair_likelihood, similarity
from benchmark.methods._stepwise import Batch, Recipe, StepwiseMethod
from benchmark.methods._unsupervised import UnsupervisedMethod
from benchmark.methods.bihalf_u import BiHalfU
from benchmark.methods.cibhash import CIBHash
from benchmark.methods.greedyhash_u import GreedyHashU

pytestmark = pytest.mark.processor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- likelihood --------------------------------------------------------------------------------


def test_the_pair_likelihood_overflows_for_no_theta() -> None:
    theta = torch.tensor([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], requires_grad=True)
    for s in (0.0, 1.0):
        values = pair_likelihood(theta, torch.full_like(theta, s))
        (gradient,) = torch.autograd.grad(values.sum(), theta)
        assert torch.isfinite(values).all()
        torch.testing.assert_close(gradient, torch.sigmoid(theta.detach()) - s)


def test_log_cosh_does_not_overflow() -> None:
    u = torch.tensor([[1e4, 0.0, -3.0]], requires_grad=True)
    value = _quantisers.log_cosh_error(u)
    expected = (
        1e4 - 1 - torch.log(torch.tensor(2.0)) + torch.cosh(torch.tensor([-1.0, 2.0])).log().sum()
    ) / 3
    torch.testing.assert_close(value, expected)
    assert torch.isfinite(torch.autograd.grad(value, u)[0]).all()


# ---- discrete steps ----------------------------------------------------------------------------


def adsh_objective(codes: Tensor, u: Tensor, target: Tensor, rows: Tensor, gamma: float) -> float:
    fit = (u @ codes.T - codes.shape[1] * target).square().sum()
    return float(fit + gamma * (codes[rows] - u).square().sum())


def test_the_database_step_of_adsh_lowers_its_objective_and_ends_where_no_bit_helps() -> None:
    g = generator(1)
    codes = _centres.bernoulli(12, 5, g).double()
    u = torch.tanh(torch.randn(6, 5, generator=g, dtype=torch.float64))
    labels = torch.nn.functional.one_hot(torch.arange(12) % 3, 3).float()
    rows = torch.randperm(12, generator=g)[:6]
    same = similarity(labels[rows], labels).double()
    target = same - 0.4 * (1 - same)
    values = [adsh_objective(codes, u, target, rows, 2.0)]
    for _ in range(10):
        codes = adsh.database_step(codes, u, target, rows, 2.0)
        values.append(adsh_objective(codes, u, target, rows, 2.0))
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(values))
    assert values[-1] < values[0]
    for i, k in itertools.product(range(12), range(5)):
        flipped = codes.clone()
        flipped[i, k] *= -1
        assert adsh_objective(flipped, u, target, rows, 2.0) >= values[-1] - 1e-9


def test_the_sample_of_adsh_is_drawn_at_random_from_all_images_of_the_round() -> None:
    """The release permutes the database before it takes `num_samples` (ADSH_CIFAR_10.py), whatever its order."""
    data = tiny.single(8)
    order = data.labels.argmax(dim=1).argsort(stable=True)  # a set sorted by class, as folders of images are
    data = HashData(data.task, data.images[order], data.labels[order], data.unlabelled)
    method = adsh.ADSH(adsh.ADSHParams(rounds=2, sample=40))
    drawn: list[Tensor] = []
    with pytest.MonkeyPatch.context() as patch:

        def spy(codes: Tensor, u: Tensor, target: Tensor, rows: Tensor, gamma: float) -> Tensor:
            drawn.append(rows)
            return codes

        patch.setattr(adsh, "database_step", spy)
        method.fit(data, context(data.task, 10))
    assert [len(rows.unique()) for rows in drawn] == [40, 40]
    for rows in drawn:
        assert data.labels[rows].any(dim=0).all()  # the first forty are of the first class alone
    assert set(drawn[0].tolist()) != set(drawn[1].tolist())


def test_the_optimiser_of_adsh_has_no_momentum() -> None:
    """As in the release: optim.SGD(parameters, lr, weight_decay), whose momentum is 0."""
    assert adsh.ADSH.paper_recipe.momentum == 0


def test_the_ratio_of_adsh_counts_all_ordered_pairs() -> None:
    labels = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 2]), 3).float()
    assert adsh.similar_ratio(labels) == pytest.approx(6 / 10)
    assert adsh.similar_ratio(labels[:2]) == 1.0


def test_the_discrete_centres_of_dfh_are_exact_minimisers() -> None:
    g = generator(2)
    codes, centres = _centres.bernoulli(20, 4, g), _centres.bernoulli(4, 3, g)
    labels = torch.nn.functional.one_hot(torch.randint(0, 3, (20,), generator=g), 3).float()

    def cost(c: Tensor) -> float:
        return float((codes - labels @ c.T).square().sum() + 1.5 * c.sum(dim=1).square().sum())

    updated = dfh.discrete_centres(centres, codes, labels, 1.5)
    assert cost(updated) <= cost(centres)
    last = updated.shape[1] - 1  # the column solved last is the best given the others
    for column in itertools.product((-1.0, 1.0), repeat=4):
        other = updated.clone()
        other[:, last] = torch.tensor(column)
        assert cost(other) >= cost(updated) - 1e-4


def test_the_relaxed_centres_of_dfh_follow_their_gradient() -> None:
    g = generator(3)
    centres = torch.randn(4, 3, generator=g, dtype=torch.float64).requires_grad_()
    codes = _centres.bernoulli(10, 4, g).double()
    labels = torch.nn.functional.one_hot(torch.randint(0, 3, (10,), generator=g), 3).double()
    value = dfh.centre_objective(centres, codes, labels, 0.7, 0.3)
    (expected,) = torch.autograd.grad(value, centres)
    torch.testing.assert_close(dfh.centre_gradient(centres.detach(), codes, labels, 0.7, 0.3), expected)
    after = dfh.relaxed_centres(centres.detach(), codes, labels, 0.7, 0.3, 200)
    assert dfh.centre_objective(after, codes, labels, 0.7, 0.3) < value


# ---- centres -----------------------------------------------------------------------------------


def test_hadamard_rows_are_orthogonal_and_other_sizes_are_refused() -> None:
    matrix = _centres.hadamard(16)
    assert torch.equal(matrix @ matrix.T, 16 * torch.eye(16))
    with pytest.raises(InputError, match="power of two"):
        _centres.hadamard(48)


@pytest.mark.parametrize(("classes", "bits"), [(10, 16), (10, 64), (20, 16), (50, 16), (4, 8)])
def test_shuffled_hadamard_centres_keep_their_distance_and_no_bit_is_constant(
    classes: int, bits: int
) -> None:
    centres = _centres.hadamard_centres(classes, bits, generator(1))
    assert centres.shape == (classes, bits)
    assert set(centres.unique().tolist()) == {-1.0, 1.0}
    assert (centres.sum(dim=0).abs() < classes).all()
    if classes <= 2 * bits:
        assert _centres.minimum_distance(centres) == bits / 2


def test_the_published_hadamard_order_has_a_constant_bit_and_repeated_columns() -> None:
    centres = _centres.hadamard_centres(10, 64, generator(), shuffled=False)
    assert torch.equal(centres, _centres.hadamard(64)[:10])
    assert (centres[:, 0] == 1).all()
    assert torch.equal(centres[:, :16], centres[:, 16:32])


@pytest.mark.parametrize("bits", [12, 48])
def test_bernoulli_centres_are_distinct_for_any_number_of_bits(bits: int) -> None:
    centres = _centres.bernoulli_centres(10, bits, generator(2))
    assert _centres.minimum_distance(centres) > 0
    assert (centres.sum(dim=0).abs() < 10).all()


def test_balanced_and_spread_centres() -> None:
    balanced = _centres.balanced_centres(10, 13, generator(3))
    assert ((balanced == -1).sum(dim=1) == 6).all()
    spread = _centres.spread_centres(10, 32, generator(4))
    assert spread.shape == (10, 32)
    assert _centres.minimum_distance(spread) >= 0.4 * 32


def test_an_image_with_several_classes_gets_the_majority_and_ties_get_one_fixed_vector() -> None:
    centres = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0]])
    ties = torch.tensor([1.0, -1.0, 1.0])
    labels = torch.tensor([[1.0, 0, 0], [1.0, 1.0, 0], [1.0, 1.0, 1.0]])
    expected = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [1.0, 1.0, -1.0]])
    assert torch.equal(_centres.image_targets(labels, centres, ties), expected)


@pytest.mark.parametrize("bits", [12, 16])
def test_csq_takes_hadamard_centres_where_they_exist(bits: int) -> None:
    method, data = assembled(csq.CSQ(), bits)
    method.begin(data)
    centres = method.buffers["centres"]
    orthogonal = torch.equal(centres @ centres.T, bits * torch.eye(len(centres)))
    assert orthogonal == (bits == 16)


@pytest.mark.parametrize(("classes", "bits", "least"), [(100, 16, 4), (80, 16, 4), (100, 12, 3), (100, 8, 1)])
def test_no_two_classes_of_csq_share_a_centre(classes: int, bits: int, least: int) -> None:
    """K/4 apart, or as far as so many rows go; the release accepts its random centres at 20 of 64 bits."""
    data = tiny.single(bits)
    many = HashData(Task(bits, classes, 1, 16, 16, False), data.images, data.labels, data.unlabelled)
    for seed in range(12):
        method = csq.CSQ()
        method.ctx = CheckContext(task=many.task, device=torch.device("cpu"), root_seed=seed)
        method.buffers = {}
        method.begin(many)
        assert _centres.minimum_distance(method.buffers["centres"]) >= least


def test_good_centres_are_those_of_earlier_versions() -> None:
    """Only rows that are too near are drawn again: runs whose first draw was good keep their centres."""
    for seed in range(5):
        g = generator(seed)
        flips = _centres.bernoulli(1, 16, g).T
        signed = (_centres.hadamard(16) * flips)[torch.randperm(16, generator=g)]
        assert torch.equal(_centres.hadamard_centres(32, 16, generator(seed)), torch.cat([signed, -signed]))
        assert torch.equal(
            _centres.bernoulli_centres(20, 48, generator(seed)), _centres.bernoulli(20, 48, generator(seed))
        )


@pytest.mark.parametrize(
    "draw", [_centres.bernoulli_centres, _centres.balanced_centres, _centres.hadamard_centres]
)
def test_more_classes_than_codes_are_refused_in_one_line(draw: Any) -> None:
    with pytest.raises(
        InputError, match="20 centres of 4 bits cannot be drawn 1 or more bits apart; take more bits"
    ):
        draw(20, 4, generator())


def test_csq_with_its_papers_optimiser_has_the_hidden_layers_and_rates_of_the_release() -> None:
    """network.py: fc1, ReLU, fc2, ReLU, fc3; options.py: multi_lr 0.01; AlexNet commands: lambda2 0.001."""
    method, _ = assembled(csq.CSQ(csq.CSQParams(recipe="paper")), 16)
    layers = [part for part in method.networks["hash"].modules() if isinstance(part, torch.nn.Linear)]
    size = method.networks["hash"].backbone.features
    assert [(part.in_features, part.out_features) for part in layers] == [
        (size, size),
        (size, size),
        (size, 16),
    ]
    assert method.recipe().backbone_factor == 0.01
    assert method.params.lambda_ == 1e-3


# ---- quantisers --------------------------------------------------------------------------------


def test_half_half_splits_every_batch_and_an_odd_one_rounds_down() -> None:
    for n in (6, 7):
        codes = _quantisers.half_half(torch.randn(n, 5, generator=generator(n)))
        assert ((codes == 1).sum(dim=0) == n // 2).all()


def test_the_component_distance_is_the_best_match_of_each_column() -> None:
    g = generator(5)
    u, r = torch.randn(5, 3, generator=g), _centres.bernoulli(5, 3, g)
    best = 0.0
    for k in range(3):
        best += min(
            sum((u[i, k] - r[j, k]) ** 2 for i, j in enumerate(order))
            for order in itertools.permutations(range(5))
        )
    assert float(_quantisers.component_wasserstein(u, r)) == pytest.approx(float(best) / 15, rel=1e-5)


def test_the_assignment_distance_is_the_best_match_of_rows() -> None:
    g = generator(6)
    u, r = torch.randn(5, 3, generator=g), _centres.bernoulli(5, 3, g)
    best = min(float((u - r[list(order)]).square().sum()) for order in itertools.permutations(range(5)))
    assert float(_quantisers.assignment_wasserstein(u, r)) == pytest.approx(best / 15, rel=1e-5)
    assert float(_quantisers.assignment_wasserstein(r, r.flip(0))) == 0


@pytest.mark.parametrize("base", ["hashnet", "dsdh", "dpsh", "dhn", "csq"])
@pytest.mark.parametrize("distance", ["hswd", "swd", "ot"])
def test_hswd_plugs_into_every_base(base: str, distance: str) -> None:
    params = hswd.HSWDParams(base=base, distance=distance, directions=20)
    method, data = assembled(hswd.HSWD(params), 12)
    method.fit(data, context(data.task, 3))
    assert torch.isfinite(method.encode(data.images[:3])).all()


# ---- whole-set buffers -------------------------------------------------------------------------


def context(task: Task, updates: int, **changes: Any) -> CheckContext:
    return CheckContext(task=task, device=torch.device("cpu"), batch_size=32, updates=updates, **changes)


def assembled(method: StepwiseMethod, bits: int) -> tuple[Any, HashData]:
    data = tiny.single(bits)
    method._assemble(context(data.task, 10))
    return method, data


def test_only_visited_rows_count_and_no_image_is_its_own_partner() -> None:
    method, data = assembled(dpsh.DPSH(dpsh.DPSHParams(pairs="set")), 8)
    method.begin(data)
    batch = method._batch(data, 0)
    outputs = torch.randn(len(batch.index), 8, requires_grad=True)
    others = method.partners(outputs, batch)
    assert others.mask.shape == (32, 160)
    assert (others.mask.sum(dim=1) == 31).all()
    assert not others.mask[torch.arange(32), batch.index].any()
    assert torch.equal(others.outputs[batch.index], outputs.detach())
    assert not others.outputs.requires_grad


class Interrupting(CheckContext):
    """Keeps the training state after `stop_at` updates and stops there."""

    stop_at = 0
    kept: dict[str, Any] | None = None
    resumed: dict[str, Any] | None = None

    def save(self, step: int, state: Any) -> None:
        if step == self.stop_at:
            self.kept = torch.load(_stored(state()), weights_only=True)

    def should_stop(self) -> bool:
        return self.kept is not None

    def restore(self) -> dict[str, Any] | None:
        return self.resumed


def _stored(state: dict[str, Any]) -> Any:
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (dpsh.DPSH, {"pairs": "set"}),
        (dsdh.DSDH, {}),
        (dsdh.DSDH, {"pairs": "set"}),
        (adsh.ADSH, {"rounds": 4}),
        (dfh.DFH, {"pairs": "set"}),
        (csq.CSQ, {}),
        (hswd.HSWD, {"base": "dsdh"}),
        (orthohash.OrthoHash, {}),
    ],
    ids=lambda value: getattr(
        value, "__name__", "-".join(map(str, value)) if isinstance(value, dict) else None
    ),
)
def test_a_whole_set_method_survives_resume(cls: type[StepwiseMethod], params: dict[str, Any]) -> None:
    data = tiny.single(8)
    straight = cls(cls.Params(**params))
    straight.fit(data, context(data.task, 14))
    first = Interrupting(task=data.task, device=torch.device("cpu"), batch_size=32, updates=14)
    first.stop_at = 8
    cls(cls.Params(**params)).fit(data, first)
    second = Interrupting(task=data.task, device=torch.device("cpu"), batch_size=32, updates=14)
    second.resumed = first.kept
    resumed = cls(cls.Params(**params))
    resumed.fit(data, second)
    for key, value in straight.state().items():
        assert torch.equal(value, resumed.state()[key]), key
    for key, value in straight.buffers.items():
        assert torch.equal(value, resumed.buffers[key]), key


@pytest.mark.parametrize("recipe", ["paper", "scratch"])
def test_the_slices_of_dnnh_learn_with_either_optimiser(recipe: str) -> None:
    """They are an ordinary layer in the paper. With 1 / sqrt(2,048) outside of its weights SGD moved
    them by 6e-5 of their norm in place of 9e-3.
    """
    method, data = assembled(dnnh.DNNH(dnnh.DNNHParams(recipe=recipe)), 16)
    before = method.networks["hash"].features.weight.detach().clone()
    method.fit(data, context(data.task, 20))
    after = method.networks["hash"].features.weight.detach()
    assert float((after - before).norm() / before.norm()) > 1e-3


@pytest.mark.parametrize(("recipe", "whole"), [("paper", True), ("scratch", False), ("auto", False)])
def test_the_base_of_hswd_follows_its_recipe(recipe: str, whole: bool) -> None:
    """What a base leaves to the recipe: the pairs of DPSH, the head of CSQ."""
    pairs, data = assembled(hswd.HSWD(hswd.HSWDParams(base="dpsh", recipe=recipe)), 16)
    pairs.begin(data)
    assert ("outputs" in pairs.buffers) == whole
    centres, _ = assembled(hswd.HSWD(hswd.HSWDParams(base="csq", recipe=recipe)), 16)
    assert hasattr(centres.networks["hash"], "hidden") == whole


# ---- unsupervised ------------------------------------------------------------------------------


def test_unsupervised_methods_never_see_a_label_and_use_all_images() -> None:
    seen: list[HashData] = []

    class Spy(GreedyHashU):
        def begin(self, data: HashData) -> None:
            seen.append(data)
            super().begin(data)

    assert issubclass(Spy, UnsupervisedMethod)
    data = tiny.single(8, labelled_per_class=2)
    spy = Spy()
    spy.fit(data, context(data.task, 2))
    assert len(seen[0].images) == 160
    assert not seen[0].labels.any()
    other = GreedyHashU()
    shifted = HashData(
        data.task, data.images, data.labels.roll(1, dims=1), data.unlabelled, data.crop_padding
    )
    other.fit(shifted, context(data.task, 2))
    assert all(torch.equal(value, other.state()[key]) for key, value in spy.state().items())


def test_the_limits_of_ssdh_are_deviations_of_both_mirrored_halves() -> None:
    """As the release fits them: a normal distribution to the distances on one side of the mode and their mirror."""
    generator = np.random.default_rng(0)
    drawn = np.concatenate(
        [0.8 - abs(generator.normal(0, 0.15, 6000)), 0.8 + abs(generator.normal(0, 0.05, 6000))]
    )
    distances = torch.eye(110, dtype=torch.float64)
    distances[~distances.bool()] = torch.from_numpy(generator.permutation(drawn)[: 110 * 109])
    near, far = ssdh.structure_limits(distances, 2.0, 3.0)
    pairs = distances[~torch.eye(110, dtype=torch.bool)].numpy()
    counts, edges = np.histogram(pairs, bins=200, range=(0, 2))
    mode = edges[counts.argmax()]
    for limit, half, times in ((near, pairs[pairs <= mode], -2), (far, pairs[pairs > mode], 3)):
        mirrored = np.concatenate([half, 2 * mode - half])
        assert limit == pytest.approx(mirrored.mean() + times * mirrored.std(), abs=1e-9)
    assert near == pytest.approx(0.5, abs=0.05)
    assert far == pytest.approx(0.95, abs=0.05)
    assert ssdh.structure_limits(torch.zeros(1, 1), 2.0, 2.0) == (0.0, 2.0)


@pytest.mark.parametrize("recipe", ["paper", "scratch"])
def test_the_encoder_of_cibhash_is_the_releases(recipe: str) -> None:
    """CIBHash.py: Linear(features, 1024), ReLU, Linear(1024, bits) on frozen features."""
    method, data = assembled(CIBHash(CIBHash.Params(recipe=recipe)), 16)
    network = method.networks["hash"]
    layers = [part for part in network.modules() if isinstance(part, torch.nn.Linear | torch.nn.ReLU)]
    sizes = [(part.in_features, part.out_features) for part in layers if isinstance(part, torch.nn.Linear)]
    assert sizes == [(network.backbone.features, 1024), (1024, 16)]
    assert [type(part).__name__ for part in layers] == ["Linear", "ReLU", "Linear"]
    method._calibrate(data)
    outputs = method.encode(data.images)
    assert outputs.mean(dim=0).abs().max() < 1e-4
    torch.testing.assert_close(outputs.std(dim=0), torch.full((16,), 0.1), rtol=1e-3, atol=1e-4)


FROZEN = [
    cls
    for name in sorted(registry.names("methods"))
    if getattr(cls := registry.method_class(name), "paper_recipe", Recipe()).backbone_factor == 0
]


class Normalised(Pixels):
    """Pixels after batch normalisation and dropout: a backbone with running statistics, quick to run."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.norm, self.dropout = torch.nn.BatchNorm1d(self.features), torch.nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.dropout(self.norm(images.flatten(1)))


class AuthorsOwn(StepwiseMethod):
    """A supervised method of somebody's own whose recipe holds the backbone, with a step of its own."""

    info = registry.method_class("hashnet").info.model_copy(update={"name": "authors-own"})
    paper_recipe = Recipe(backbone_factor=0)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        loss = self.networks["hash"](batch.images).square().mean()
        self.optimize("main", loss)
        return {"loss": loss}


@pytest.mark.parametrize("cls", [*FROZEN, AuthorsOwn], ids=lambda cls: cls.info.name)
@pytest.mark.parametrize("recipe", ["paper", "scratch"])
def test_a_frozen_backbone_keeps_its_statistics(
    cls: type[StepwiseMethod], recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen: neither a weight nor a running statistic moves. Trained from nothing, both do."""
    monkeypatch.setitem(_backbones.BACKBONES, "normalised", Normalised)
    data = tiny.single(8)
    task = dataclasses.replace(data.task, backbone="normalised")
    data = HashData(task, data.images, data.labels, data.unlabelled)
    method = cls(cls.Params(recipe=recipe))
    method.fit(data, context(task, 3))
    kept = dict(method.networks["hash"].backbone.named_buffers())
    fresh = torch.nn.BatchNorm1d(256)
    moved = [name for name, value in fresh.named_buffers() if not torch.equal(value, kept[f"norm.{name}"])]
    assert moved == ([] if recipe == "paper" else ["running_mean", "running_var", "num_batches_tracked"])


@pytest.mark.parametrize("cls", [BiHalfU, GreedyHashU], ids=lambda cls: cls.info.name)
def test_reference_features_are_those_of_the_frozen_backbone(
    cls: type[StepwiseMethod], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their mean too is taken in evaluation mode: no running statistic moves, no dropout acts."""
    monkeypatch.setitem(_backbones.BACKBONES, "normalised", Normalised)
    data = tiny.single(8)
    data = dataclasses.replace(data, task=dataclasses.replace(data.task, backbone="normalised"))
    method = cls(cls.Params(recipe="paper", reference="backbone"))
    method.fit(data, context(data.task, 3))
    reference = method.networks["reference"]
    assert not reference.body.norm.num_batches_tracked
    features = reference(to_float(torch.cat([data.images, data.unlabelled])))
    assert features.std(dim=0).mean() > 0.3
    assert features.mean(dim=0).abs().max() < 1e-5


@pytest.mark.parametrize("cls", FROZEN, ids=lambda cls: cls.info.name)
@pytest.mark.parametrize(("recipe", "how"), [("paper", "frozen"), ("scratch", "trained")])
def test_a_record_says_whether_the_backbone_was_trained(
    cls: type[StepwiseMethod], recipe: str, how: str
) -> None:
    data = tiny.single(8)
    method = cls(cls.Params(recipe=recipe))
    method.fit(data, context(data.task, 1))
    assert str(method.facts()["features"]).endswith(how)


def test_there_are_methods_with_a_frozen_backbone() -> None:
    assert {cls.info.name for cls in FROZEN} == {"bihalf-u", "cibhash", "greedyhash-u"}


# ---- backbones ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "features"), [("resnet18", 512), ("vit_tiny_patch16_224", 192), ("pixels", 256)]
)
def test_backbones_by_name(name: str, features: int) -> None:
    network = build_backbone(Task(8, 2, 1, 16, 16, backbone=name)).eval()
    with torch.inference_mode():
        outputs = network(torch.zeros(1, 1, 16, 16))
    assert outputs.shape == (1, features)
    assert network.features == features


def test_weights_from_a_file_are_loaded_and_misfits_are_one_line_errors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = build_backbone(Task(8, 2, 1, 16, 16, backbone="resnet18"))
    path = tmp_path / "weights.pt"
    torch.save(source.body.state_dict(), path)
    loaded = build_backbone(Task(8, 2, 1, 16, 16, backbone="resnet18", weights=str(path)))
    assert torch.equal(loaded.body.conv1.weight, source.body.conv1.weight)
    for backbone, weights in (("resnet34", str(path)), ("resnet18", str(tmp_path / "none.pt"))):
        with pytest.raises(InputError) as caught:
            build_backbone(Task(8, 2, 1, 16, 16, backbone=backbone, weights=weights))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("backbone", "weights", "text"),
    [
        ("vit_nope", "none", "unknown backbone"),
        ("alexnot", "none", "alexnet"),
        ("compact", "imagenet", "no weights"),
    ],
)
def test_impossible_backbones_are_refused(backbone: str, weights: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        build_backbone(Task(8, 2, 1, 16, 16, backbone=backbone, weights=weights))
