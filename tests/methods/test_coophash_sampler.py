"""The Langevin sampler as a unit."""

import pytest
import torch
from torch import nn

from benchmark.methods.coophash.sampler import LangevinSettings, frozen, langevin

pytestmark = pytest.mark.processor

SHAPE = (4000, 1, 2, 2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(mean: float, std: float):
    return lambda images: -(images - mean).square().flatten(1).sum(1) / (2 * std**2)


@pytest.mark.parametrize("std", [0.5, 1.0])
def test_samples_of_a_gaussian_have_its_mean_and_variance(std):
    settings = LangevinSettings(steps=300, step=0.02 * std**2, clamp=False)
    images = langevin(torch.zeros(SHAPE), gaussian(0.7, std), settings, rng()).images
    assert images.mean().item() == pytest.approx(0.7, abs=0.02 * std)
    # A step of 0.02 std^2 inflates the variance of the discretised chain by 1 %.
    assert images.var().item() == pytest.approx(1.01 * std**2, rel=0.03)


def test_reference_multiplies_a_second_gaussian():
    # N(1, 1) times N(0, 1) is N(1/2, 1/2), up to scale.
    settings = LangevinSettings(steps=400, step=0.01, reference_std=1.0, clamp=False)
    images = langevin(torch.zeros(SHAPE), gaussian(1.0, 1.0), settings, rng()).images
    assert images.mean().item() == pytest.approx(0.5, abs=0.02)
    assert images.var().item() == pytest.approx(0.5, rel=0.04)


def test_one_update_by_hand():
    settings = LangevinSettings(steps=1, step=0.1, noise=0.0, clip=2.0, clamp=True)
    start = torch.tensor([0.0, 0.5, -0.9, 1.0]).view(1, 1, 2, 2)
    slope = torch.tensor([1.0, 5.0, -2.0, 1.0]).view(1, 1, 2, 2)
    chain = langevin(start, lambda images: (images * slope).flatten(1).sum(1), settings, measure_end=True)
    expected = torch.tensor([0.1, 0.7, -1.0, 1.0]).view(1, 1, 2, 2)  # clipped at 2, clamped to [-1, 1]
    torch.testing.assert_close(chain.images, expected)
    assert chain.distance.item() == pytest.approx((0.1 + 0.2 + 0.1 + 0.0) / 4)
    assert chain.gradient_norm.item() == pytest.approx(slope.norm().item())
    assert chain.before is not None
    assert chain.after is not None
    assert chain.before.item() == pytest.approx((start * slope).sum().item())
    assert chain.after.item() == pytest.approx((expected * slope).sum().item())


def test_decay_shrinks_the_step():
    settings = LangevinSettings(steps=3, step=0.1, noise=0.0, decay=0.5)
    chain = langevin(torch.zeros(1, 1, 1, 1), lambda images: images.flatten(1).sum(1), settings)
    assert chain.images.item() == pytest.approx(0.1 * (1 + 0.5 + 0.25))


def test_no_steps_returns_the_start_without_its_graph():
    start = torch.zeros(2, 1, 2, 2, requires_grad=True)
    chain = langevin(start * 2, gaussian(0, 1), LangevinSettings(steps=0, step=1.0))
    assert not chain.images.requires_grad
    assert chain.distance.item() == 0
    assert chain.before is None


def test_equal_seeds_give_equal_chains():
    settings = LangevinSettings(steps=3, step=0.1)
    first, second, third = (
        langevin(torch.zeros(2, 1, 2, 2), gaussian(0, 1), settings, rng(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, third.images)


def test_parameters_get_no_gradient_and_keep_what_they_had():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    network[1].weight.grad = torch.ones(3, 4)
    start = torch.rand(2, 1, 2, 2, requires_grad=True)
    with frozen(network):
        assert not any(p.requires_grad for p in network.parameters())
        chain = langevin(start, lambda images: network(images)[:, 0], LangevinSettings(steps=3, step=0.1))
    assert all(p.requires_grad for p in network.parameters())
    assert torch.equal(network[1].weight.grad, torch.ones(3, 4))
    assert network[3].weight.grad is None
    assert start.grad is None
    assert not chain.images.requires_grad


def test_frozen_leaves_alone_what_was_frozen_before_and_restores_after_an_error():
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="stop"), frozen(network):
        raise RuntimeError("stop")
    assert network.weight.requires_grad
    assert not network.bias.requires_grad


def test_sampling_works_where_gradients_are_switched_off():
    with torch.no_grad():
        chain = langevin(torch.zeros(1, 1, 2, 2), gaussian(1, 1), LangevinSettings(2, 0.1, noise=0.0))
    assert chain.images.mean().item() > 0
