"""Measures of generated vectors, and the warm start of the networks that generate them."""

from __future__ import annotations

import pytest
import torch

from benchmark.contracts import VECTORS, Task
from benchmark.fit.curves.generation import chain_measures, diversity_ratio, spread_in_features
from benchmark.methods._generated import density_and_coverage, diversity
from benchmark.methods._vector_networks import VectorDescriptor, VectorGenerator, warm_start
from benchmark.methods.coophash_vectors import CoopHashVectorsParams


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- measures ----------------------------------------------------------------------------------------


def test_diversity_is_the_ratio_of_deviations() -> None:
    real = draw(500, 6) * torch.arange(1, 7)
    assert diversity(real, real * 0.3 + 5) == pytest.approx(0.3, rel=1e-5)
    assert diversity(real, real.mean(0).repeat(500, 1)) == pytest.approx(0, abs=1e-6)


def test_diversity_of_one_vector_or_of_equal_ones_is_not_known() -> None:
    assert diversity(draw(1, 3), draw(9, 3)) is None
    assert diversity(draw(9, 3), draw(1, 3)) is None
    assert diversity(torch.ones(9, 3), draw(9, 3)) is None


def test_density_and_coverage_on_a_line() -> None:
    """Real 0, 1, 3 and one neighbour: balls [-1, 1], [0, 2], [1, 5]."""
    real = torch.tensor([[0.0], [1.0], [3.0]])
    assert density_and_coverage(real, torch.tensor([[0.5]]), 1) == pytest.approx((2, 2 / 3))
    assert density_and_coverage(real, torch.tensor([[4.0], [9.0]]), 1) == pytest.approx((0.5, 1 / 3))
    assert density_and_coverage(real, torch.tensor([[9.0]]), 1) == (0, 0)
    assert density_and_coverage(real, real, 3) is None


def test_of_one_distribution_density_is_one_and_coverage_its_expected_value() -> None:
    pairs = [density_and_coverage(draw(200, 4, seed=k), draw(200, 4, seed=100 + k)) for k in range(20)]
    density, coverage = torch.tensor([pair for pair in pairs if pair is not None]).mean(0).tolist()
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.01)


def test_one_drawing_over_and_over_is_dense_and_covers_little() -> None:
    real = draw(200, 4)
    found = density_and_coverage(real, real.mean(0).repeat(200, 1))
    assert found is not None
    assert found[0] > 1
    assert found[1] < 0.5


def test_diversity_of_images_is_taken_within_label_sets() -> None:
    """Two drawings, one a class: as different as digits are, and no diversity within a class."""
    labels = torch.eye(2)[torch.arange(40) % 2]
    real = (128 + 20 * draw(40, 1, 4, 4) + 60 * labels[:, :1, None, None]).to(torch.uint8)
    stiff = real[:2].repeat(20, 1, 1, 1)
    assert diversity_ratio(real, labels, stiff, labels) == 0
    assert diversity_ratio(real, labels, real, labels) == pytest.approx(1)
    halved = torch.stack([real[i].float() / 2 for i in range(40)]).to(torch.uint8)
    assert diversity_ratio(real, labels, halved, labels) == pytest.approx(0.5, abs=0.02)
    assert diversity_ratio(real[:2], labels[:2], real, labels) is None


def test_coverage_compares_as_many_made_as_real() -> None:
    real = draw(60, 3).numpy()
    assert spread_in_features(real, real)["coverage"] == 1
    many = draw(6000, 3, seed=1).numpy()
    rows = torch.linspace(0, 5999, 60).round().long()
    assert spread_in_features(real, many) == spread_in_features(real, many[rows])
    assert spread_in_features(real[:3], many) == {}


def test_what_a_chain_did_is_told_from_f_and_pixels() -> None:
    def f(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return images.float().mean((1, 2, 3)) * labels[:, 0]

    labels = torch.eye(2)[torch.zeros(4, dtype=torch.long)]
    real, before = (torch.full((4, 1, 2, 2), value, dtype=torch.uint8) for value in (100, 40))
    after = before.clone()
    after[:3] += 51
    found = chain_measures(f, (real, labels), labels, before, after)
    assert found == pytest.approx(
        {
            "energy_gap_generated": -60,
            "energy_gap_revised": -60 + 51 * 0.75,
            "chain_raises_f": 0.75,
            "chain_distance": 0.75 * 51 / 127.5,
        }
    )
    assert set(chain_measures(f, (real, labels), labels, before, None)) == {"energy_gap_generated"}


# ---- warm start --------------------------------------------------------------------------------------

TASK = Task(bits=8, classes=3, channels=12, height=1, width=1, inputs="vectors", backbone=VECTORS)
SIGMA = 0.3


def linear(count: int, latent: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vectors of three classes that differ along four directions within their class; labels; the directions."""
    ways = torch.linalg.qr(draw(12, 4)).Q.T * torch.tensor([3.0, 2.0, 1.5, 1.0])[:, None]
    labels = torch.eye(3)[torch.arange(count) % 3]
    centres = 3 * draw(3, 12, seed=1)
    vectors = labels @ centres + draw(count, 4, seed=2) @ ways + SIGMA * draw(count, 12, seed=3)
    return vectors, labels, ways


def started(vectors: torch.Tensor, labels: torch.Tensor) -> tuple[VectorGenerator, VectorDescriptor]:
    params = CoopHashVectorsParams(latent=6, hidden=16)
    generator, descriptor = VectorGenerator(TASK, 6, 16), VectorDescriptor(TASK, params, 16)
    warm_start(vectors, labels, SIGMA, generator, descriptor)
    return generator, descriptor


def test_the_warm_generator_draws_what_real_vectors_of_a_class_differ_in() -> None:
    vectors, labels, ways = linear(6000)
    generator, _ = started(vectors, labels)
    with torch.no_grad():
        made = generator(draw(6000, 6, seed=4), labels)
    for k in range(3):
        own, real = made[labels[:, k] > 0], vectors[labels[:, k] > 0]
        torch.testing.assert_close(own.mean(0), real.mean(0), atol=0.2, rtol=0)
        torch.testing.assert_close(torch.cov(own.T), ways.T @ ways, atol=0.5, rtol=0)


def test_the_warm_encoder_finds_the_z_that_made_a_vector() -> None:
    vectors, labels, _ = linear(6000)
    generator, descriptor = started(vectors, labels)
    latent = draw(200, 6, seed=5)
    with torch.no_grad():
        made = generator(latent, labels[:200])
        centred = made - labels[:200] @ generator.centres
        mean, log_variance = descriptor.posterior(descriptor.base(centred), centred, labels[:200])
    torch.testing.assert_close(mean[:, :4], latent[:, :4], atol=0.25, rtol=0.1)
    # Directions that vectors do not vary along are left at the prior.
    torch.testing.assert_close(log_variance[:, 4:], torch.zeros(200, 2), atol=0.15, rtol=0)
    assert (log_variance[:, :4] < -2).all()


def test_one_vector_a_class_starts_at_the_vectors_themselves() -> None:
    vectors, labels, _ = linear(3)
    generator, _ = started(vectors, labels)
    torch.testing.assert_close(generator(draw(3, 6), labels), vectors, atol=1e-4, rtol=0)
