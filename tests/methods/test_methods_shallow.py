"""Closed-form methods: each step lowers its objective, and the pieces equal plain statements."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.contracts import FitContext, HashData, Task
from benchmark.methods import _features, bre, cnnh, itq_cca, ksh, lfh, sh
from benchmark.methods._discrete import classifier_step, coordinate_step, random_codes
from benchmark.methods._features import ShallowMethod
from benchmark.methods._kernels import ridge
from benchmark.methods._pairs import SignedSimilarity, similarity
from benchmark.methods._rotation import rotate
from benchmark.methods._spectra import principal_directions
from benchmark.methods.itq import ITQ, ITQParams
from benchmark.methods.pcah import PCAH
from benchmark.methods.sdh import SDH, SDHParams

pytestmark = pytest.mark.processor

pytestmark = pytest.mark.processor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(n: int = 240, classes: int = 4) -> HashData:
    """Images of 8x8 px in classes, each a noisy copy of one random picture."""
    g = generator(1)
    pictures = torch.randint(0, 256, (classes, 1, 8, 8), generator=g).float()
    ids = torch.arange(n) % classes
    images = (pictures[ids] + 60 * torch.randn(n, 1, 8, 8, generator=g)).clamp(0, 255).to(torch.uint8)
    labels = torch.nn.functional.one_hot(ids, classes).to(torch.uint8)
    return HashData(Task(8, classes, 1, 8, 8), images, labels, images[:0])


def context(data: HashData) -> FitContext:
    return FitContext(data.task, torch.device("cpu"))


def falling(values: list[float]) -> bool:
    return all(b <= a * (1 + 1e-9) + 1e-9 for a, b in pairwise(values))


# ---- ITQ ---------------------------------------------------------------------------------------


def test_itq_lowers_its_quantisation_error_at_every_iteration() -> None:
    data = blobs()
    method = ITQ(ITQParams(iterations=30))
    method.fit(data, context(data))
    assert len(method.errors) == 30
    assert falling(method.errors)
    assert method.errors[-1] < 0.98 * method.errors[0]


def test_the_transposed_update_of_public_code_does_not() -> None:
    projected = torch.randn(500, 6, generator=generator(), dtype=torch.float64) @ torch.diag(
        torch.arange(6, 0, -1).double()
    )
    _, errors = rotate(projected, 6, 20, generator(2))
    rotation, wrong = torch.eye(6, dtype=torch.float64), []
    for _ in range(20):
        signs = torch.where(projected @ rotation >= 0, 1.0, -1.0).double()
        left, _, right = torch.linalg.svd(signs.T @ projected)
        rotation = right @ left.T  # right is Q^T here: the mistake
        wrong.append(float((signs - projected @ rotation).square().sum() / 500))
    assert falling(errors)
    assert not falling(wrong)


def test_with_fewer_directions_than_bits_the_rotation_keeps_orthonormal_rows() -> None:
    projected = torch.randn(300, 3, generator=generator(), dtype=torch.float64)
    rotation, errors = rotate(projected, 8, 25, generator(1))
    assert rotation.shape == (3, 8)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
    assert falling(errors)


def test_cca_directions_attain_their_correlations() -> None:
    g = generator()
    x = torch.randn(400, 5, generator=g, dtype=torch.float64)
    y = torch.stack([x[:, 0] + 0.3 * torch.randn(400, generator=g), torch.randn(400, generator=g)], dim=1)
    directions, correlations = itq_cca.canonical_directions(x, y, 1e-9)
    best = torch.linalg.lstsq(x - x.mean(0), y - y.mean(0)).solution
    fitted = (x - x.mean(0)) @ best
    expected = np.corrcoef(fitted[:, 0].numpy(), y[:, 0].numpy())[0, 1]
    assert correlations[0] == pytest.approx(expected, abs=5e-3)
    along = (x @ directions[:, 0]).numpy()
    assert abs(np.corrcoef(along, y[:, 0].numpy())[0, 1]) == pytest.approx(float(correlations[0]), abs=5e-3)
    assert correlations[0] >= correlations[1]


# ---- SH ----------------------------------------------------------------------------------------


def few(n: int = 40, size: int = 90) -> torch.Tensor:
    """Fewer images than dimensions, centred, with eigenvalues apart from each other."""
    x = torch.randn(n, size, generator=generator(3)) * torch.linspace(1, 3, size)
    return x - x.mean(dim=0)


def up_to_signs(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference between columns, each with the sign that fits."""
    return float((one * (one * other).sum(dim=0).sign() - other).abs().max())


class TestTheSmallerSide:
    """Of fewer images than dimensions the images' own matrix is decomposed; the directions are the same to 1e-8."""

    def test_principal_directions(self) -> None:
        x = few()
        plain, spread = _features.principal_directions(x, 60)
        found, values = principal_directions(x, 60)
        assert up_to_signs(found[:, :39], plain[:, :39]) < 1e-8  # 40 centred images span 39 dimensions
        assert (values - spread).abs().max() < 1e-10
        assert (found.T @ found - torch.eye(60)).abs().max() < 1e-10
        assert (x.double() @ found[:, 39:]).abs().max() < 1e-6

    def test_many_images_are_decomposed_to_the_bit_as_before(self) -> None:
        x = few(90, 40)
        for one, other in zip(
            principal_directions(x, 30), _features.principal_directions(x, 30), strict=True
        ):
            assert torch.equal(one, other)

    @pytest.mark.parametrize("method", [ITQ, PCAH, sh.SpectralHashing])
    def test_large_images_are_never_squared(
        self, method: type[ShallowMethod], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sides = []
        real = torch.linalg.eigh

        def noticed(matrix: torch.Tensor) -> Any:
            sides.append(len(matrix))
            return real(matrix)

        monkeypatch.setattr(torch.linalg, "eigh", noticed)
        images = torch.randint(0, 256, (30, 3, 64, 64), generator=generator(), dtype=torch.uint8)
        data = HashData(
            Task(8, 2, 3, 64, 64), images, torch.eye(2, dtype=torch.uint8)[torch.arange(30) % 2], images[:0]
        )
        fitted = method()
        fitted.fit(data, context(data))
        assert sides == [30]
        assert fitted.encode(images).shape == (30, 8)

    def test_pcah_codes_have_the_distances_that_they_had(self) -> None:
        data = blobs(40)
        data = dataclasses.replace(data, images=data.images[:40])
        method = PCAH()
        method.fit(data, context(data))
        features = method.extract(data.images)
        plain = _features.principal_directions(features - features.mean(dim=0), 8)[0].float()
        old, new = (
            (outputs >= 0).int()
            for outputs in ((features - features.mean(0)) @ plain, method.encode(data.images))
        )
        distances = [(codes[:, None] != codes[None]).sum(dim=2) for codes in (old, new)]
        assert (
            distances[0] != distances[1]
        ).float().mean() < 0.01  # an output of about 0 may change its sign

    def test_canonical_directions(self) -> None:
        x, labels = few().double(), torch.eye(5).double()[torch.arange(40) % 5]
        plain, before = itq_cca._canonical(x, labels - labels.mean(dim=0), 1e-2, 1e-2)
        found, correlations = itq_cca.canonical_directions(x, labels, 1e-2)
        assert (correlations - before)[:4].abs().max() < 1e-8
        assert up_to_signs(found[:, :4], plain[:, :4]) < 1e-8

    def test_ridge(self) -> None:
        x, targets = few().double(), torch.randn(40, 3, generator=generator()).double()
        plain = torch.linalg.solve(x.T @ x + 0.3 * torch.eye(90), x.T @ targets)
        assert (ridge(x, targets, 0.3) - plain).abs().max() < 1e-8

    def test_images_that_are_all_alike(self) -> None:
        found, values = principal_directions(torch.zeros(4, 9), 6)
        assert (found.T @ found - torch.eye(6)).abs().max() < 1e-10
        assert values.tolist() == [0.0] * 6


def test_spectral_modes_are_the_smallest_over_all_axes() -> None:
    axes, modes = sh.choose_modes(torch.tensor([10.0, 3.0, 1.0]), 6)
    cost = sorted((k / length, axis, k) for axis, length in enumerate((10, 3, 1)) for k in range(1, 7))[:6]
    assert sorted(zip(axes.tolist(), modes.tolist())) == sorted((axis, k) for _, axis, k in cost)


# ---- SDH and DSDH ------------------------------------------------------------------------------


def objective(labels: torch.Tensor, codes: torch.Tensor, w: torch.Tensor, rest: torch.Tensor) -> float:
    return float((labels - codes @ w).square().sum() - 2 * (codes * rest).sum())


def test_the_discrete_step_lowers_its_objective_bit_by_bit() -> None:
    g = generator(4)
    labels = torch.nn.functional.one_hot(torch.arange(60) % 3, 3).double()
    codes = random_codes(60, 6, g).double()
    rest = torch.randn(60, 6, generator=g, dtype=torch.float64)
    w = classifier_step(codes, labels, 0.5)
    before = objective(labels, codes, w, rest)
    once = coordinate_step(codes, w, labels @ w.T + rest, 1)
    many = coordinate_step(codes, w, labels @ w.T + rest, 10)
    assert objective(labels, many, w, rest) <= objective(labels, once, w, rest) < before
    for i in range(6):  # no single flip of a converged solution helps
        flipped = many.clone()
        flipped[7, i] *= -1
        assert objective(labels, flipped, w, rest) >= objective(labels, many, w, rest) - 1e-9


def test_the_classifier_step_is_the_ridge_minimum() -> None:
    g = generator(5)
    codes, labels = random_codes(40, 5, g).double(), torch.randn(40, 3, generator=g, dtype=torch.float64)
    w = classifier_step(codes, labels, 0.7).requires_grad_()
    loss = (labels - codes @ w).square().sum() + 0.7 * w.square().sum()
    (gradient,) = torch.autograd.grad(loss, w)
    assert gradient.abs().max() < 1e-9


def test_ridge_without_weight_is_least_squares() -> None:
    g = generator(6)
    design, targets = (torch.randn(30, k, generator=g, dtype=torch.float64) for k in (4, 2))
    expected = torch.linalg.lstsq(design, targets).solution
    torch.testing.assert_close(ridge(design, targets, 0.0), expected)


def test_sdh_lowers_its_objective() -> None:
    data = blobs()
    method = SDH(SDHParams(anchors=50, iterations=6))
    method.fit(data, context(data))
    assert falling(method.objective)


# ---- KSH ---------------------------------------------------------------------------------------


def test_the_signed_similarity_multiplies_as_the_full_matrix() -> None:
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1]])
    full = 2 * similarity(labels.float()).double() - 1
    x = torch.randn(5, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(SignedSimilarity(labels) @ x, full @ x)


def test_ksh_gradient_and_refinement() -> None:
    g = generator(3)
    mapped = torch.randn(30, 5, generator=g, dtype=torch.float64)
    labels = torch.nn.functional.one_hot(torch.arange(30) % 3, 3)
    residual = ksh._Residual(SignedSimilarity(labels), 4)
    residual.add(torch.zeros(5), ksh._sign(torch.randn(30, generator=g, dtype=torch.float64)))
    full = 4 * (2 * similarity(labels.float()).double() - 1) - torch.outer(
        residual.codes[0], residual.codes[0]
    )
    vector = torch.randn(5, generator=g, dtype=torch.float64).requires_grad_()
    phi = 2 * torch.sigmoid(mapped @ vector) - 1
    (expected,) = torch.autograd.grad(-(phi @ full @ phi), vector)
    value, gradient = ksh.smooth_gradient(mapped, residual, vector.detach())
    assert value == pytest.approx(-float((phi @ full @ phi).detach()))
    torch.testing.assert_close(gradient, expected)
    refined = ksh.refine(mapped, residual, vector.detach(), 30)
    assert ksh.smooth_gradient(mapped, residual, refined)[0] < value


def test_ksh_spectral_direction_solves_the_generalised_eigenproblem() -> None:
    g = generator(7)
    mapped = torch.randn(40, 4, generator=g, dtype=torch.float64)
    middle = torch.randn(40, 40, generator=g, dtype=torch.float64)
    middle = middle + middle.T
    gram = mapped.T @ mapped
    vector = ksh.spectral_direction(mapped, middle @ mapped, torch.linalg.cholesky(gram))
    left, right = mapped.T @ middle @ mapped @ vector, gram @ vector
    torch.testing.assert_close(left, right * (left @ right) / (right @ right))
    assert float((mapped @ vector).square().sum()) == pytest.approx(40.0)


def test_ksh_takes_images_that_are_all_the_same() -> None:
    data = blobs(20)
    same = dataclasses.replace(data, images=data.images[:1].expand(20, -1, -1, -1).clone())
    method = ksh.KSH(ksh.KSHParams(iterations=2))
    method.fit(same, context(same))
    assert (method.encode(same.images) == 0).all()


# ---- BRE ---------------------------------------------------------------------------------------


def test_bre_finds_the_best_value_of_a_weight() -> None:
    rng = np.random.default_rng(0)
    column, rest = rng.normal(size=12), rng.normal(size=12)
    gains = rng.normal(size=(12, 12))
    gains = gains + gains.T
    np.fill_diagonal(gains, 0)

    def cost(weight: float) -> float:
        s = np.where(rest + weight * column > 0, 1.0, -1.0)
        return -float(s @ gains @ s)

    weight = bre.best_weight(column, rest + 0.3 * column, 0.3, gains)
    grid = np.concatenate([-rest / column + shift for shift in (-1e-4, 1e-4)])
    assert cost(weight) == pytest.approx(min(cost(value) for value in grid))


def test_bre_lowers_its_reconstruction_error_at_every_sweep() -> None:
    data = blobs()
    method = bre.BRE(bre.BREParams(labelled=120, sweeps=4, anchors=20))
    method.fit(data, context(data))
    assert falling(method.errors)
    assert method.errors[-1] < 0.1  # random codes would give about 0.3


# ---- LFH ---------------------------------------------------------------------------------------


def test_the_lfh_step_is_a_newton_step_and_never_lowers_the_sampled_posterior() -> None:
    g = generator(8)
    rows, columns = (torch.randn(n, 4, generator=g, dtype=torch.float64) for n in (9, 7))
    similar = (torch.rand(9, 7, generator=g) < 0.3).double()
    mask = torch.ones(9, 7, dtype=torch.float64)
    mask[0, 0] = 0
    start = rows.clone().requires_grad_()
    (expected,) = torch.autograd.grad(lfh.sampled_objective(start, columns, similar, mask, 30.0).sum(), start)
    stepped = lfh.newton_step(rows, columns, similar, mask, 30.0)
    bound = columns.T @ columns / 8 + torch.eye(4, dtype=torch.float64) / 30
    torch.testing.assert_close((stepped - rows) @ bound, expected, rtol=1e-9, atol=1e-9)
    before, after = (lfh.sampled_objective(r, columns, similar, mask, 30.0) for r in (rows, stepped))
    assert (after >= before - 1e-12).all()


# ---- CNNH, stage 1 -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_cnnh_codes_fit_the_similarities_and_never_get_worse(kind: str) -> None:
    g = generator(9)
    labels = torch.nn.functional.one_hot(torch.arange(30) % 3, 3)
    if kind == "multi":
        labels = labels | torch.nn.functional.one_hot(torch.randint(0, 3, (30,), generator=g), 3)
    start = 2 * torch.rand(30, 8, generator=g, dtype=torch.float64) - 1
    codes, objective_values = cnnh.factorise(labels, start, 10)
    signed = 2 * similarity(labels.float()).double() - 1
    for h, value in ((start, objective_values[0]), (codes, objective_values[-1])):
        assert value == pytest.approx(float((signed - h @ h.T / 8).square().sum()))
    assert falling(objective_values)
    assert objective_values[-1] < 0.5 * objective_values[0]
    assert codes.abs().max() <= 1
    if kind == "single":  # one code a class, as the labels say
        signs = torch.where(codes >= 0, 1.0, -1.0)
        within = (signs @ signs.T / 8)[signed > 0].mean()
        between = (signs @ signs.T / 8)[signed < 0].mean()
        assert within > 0.9
        assert between < 0.1


def test_cnnh_targets_belong_to_their_images() -> None:
    """A known mistake pairs shuffled labels with unshuffled images; classes then share no code."""
    data = blobs()
    method = cnnh.CNNH(cnnh.CNNHParams())
    ctx = context(data)
    method._assemble(ctx)
    method.begin(data)
    codes = method.buffers["codes"]
    ids = data.class_ids
    for c in range(4):
        mine = codes[ids == c]
        assert (mine == mine[0]).float().mean() > 0.95
