"""Every loss of CoopHash against a value worked by hand and against a numerical gradient."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from benchmark.methods.coophash import CoopHashParams, losses

pytestmark = pytest.mark.processor

F64 = torch.float64


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


LABELS = torch.eye(3, dtype=F64)[[0, 0, 1, 2, 1]]


def test_negative_log_likelihood_is_the_gap_of_means():
    assert losses.negative_log_likelihood(column(1, 3), column(-1, 0, 1, 4)).item() == pytest.approx(1 - 2)


def test_energy_penalty_averages_both_mean_squares():
    assert losses.energy_penalty(column(1, 3), column(2, 0)).item() == pytest.approx((5 + 2) / 2)


def test_marginal_is_the_log_of_the_mean_exponential():
    table = torch.log(torch.tensor([[1.0, 3.0], [2.0, 2.0]], dtype=F64))
    torch.testing.assert_close(losses.marginal(table), torch.log(column(2, 2)))


def test_label_posterior_is_bayes_rule_with_the_batch_as_prior():
    f = random(5, 3).detach()  # of five images under the three classes
    shares = LABELS.mean(0)
    by_hand = -torch.log_softmax(f + shares.log(), dim=1)[torch.arange(5), LABELS.argmax(1)].mean()
    torch.testing.assert_close(losses.label_posterior(f @ LABELS.T, LABELS), by_hand)


def test_label_posterior_of_label_sets_tells_whole_sets_apart():
    sets = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0]], dtype=F64)
    table = torch.log(torch.tensor([[1, 2, 1], [5, 3, 5], [1, 2, 1]], dtype=F64))
    by_hand = -(2 * math.log(2 / 4) + math.log(3 / 13)) / 3
    assert losses.label_posterior(table, sets).item() == pytest.approx(by_hand)


def test_label_posterior_of_one_label_set_is_nothing():
    assert losses.label_posterior(random(3, 3), LABELS[[0, 0, 0]]).item() == pytest.approx(0)


def test_code_distance_is_the_share_of_differing_bits():
    first = torch.tensor([1.0, 1.0, -1.0, -1.0])
    second = torch.tensor([1.0, -1.0, -1.0, 1.0])
    assert losses.code_distance(first, second).item() == 0.5


def test_hinge_by_hand_and_in_its_limit():
    torch.testing.assert_close(losses.hinge(column(-1, 0, 2), None), column(0, 0, 2))
    assert losses.hinge(column(0), 0.5).item() == pytest.approx(0.5 * math.log(2))
    torch.testing.assert_close(losses.hinge(column(-1, 2), 1e-3), column(0, 2))


def test_pair_triplet_by_hand():
    anchor = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], dtype=F64)
    positive = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], dtype=F64)
    negative = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0]], dtype=F64)
    # Distances 0 and 1; 0.5 and 0; 1 and 0: with a margin of 0.5 the hinges are 0, 1 and (masked) 1.5.
    assert losses.pair_triplet(anchor, positive, negative, column(1, 1, 0), 0.5, None).item() == 0.5
    smooth = losses.pair_triplet(anchor, positive, negative, column(1, 1, 0), 0.5, 1.0)
    assert smooth.item() == pytest.approx((math.log1p(math.exp(-0.5)) + math.log1p(math.exp(1))) / 2)


def test_pair_triplet_without_a_valid_negative_is_zero():
    codes = random(2, 4)
    assert losses.pair_triplet(codes, -codes, codes, column(0, 0), 0.5, None).item() == 0


def test_batch_triplet_equals_the_sum_over_triplets():
    codes = torch.tanh(random(5, 4))
    total, count = 0.0, 0
    for a in range(5):
        for p in range(5):
            for n in range(5):
                if p == a or not LABELS[a] @ LABELS[p] or LABELS[a] @ LABELS[n]:
                    continue
                near = losses.code_distance(codes[a], codes[p])
                far = losses.code_distance(codes[a], codes[n])
                total += max(0.0, 0.5 + (near - far).item())
                count += 1
    assert losses.batch_triplet(codes, LABELS, 0.5, None).item() == pytest.approx(total / count)


def test_batch_triplet_of_one_class_is_zero():
    labels = torch.ones(4, 1, dtype=F64)
    assert losses.batch_triplet(torch.tanh(random(4, 4)), labels, 0.5, None).item() == 0


def test_likelihood_by_hand():
    codes = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], dtype=F64)
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=F64)
    # One like pair at 0; unlike pairs at -1 and 0 (cosines): both kinds weigh the same in total.
    like = math.log(2)
    unlike = (math.log1p(math.exp(-4)) + math.log(2)) / 2
    assert losses.likelihood(codes, labels, 4.0).item() == pytest.approx((like + unlike) / 2)


def test_likelihood_moves_a_bit_that_a_triplet_leaves_on_one_side():
    codes = torch.tensor([[1.0, 0.9], [1.0, 0.9], [-1.0, 0.9]], dtype=F64, requires_grad=True)
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=F64)
    (still,) = torch.autograd.grad(losses.batch_triplet(codes, labels, 0.1, None), codes)
    (moved,) = torch.autograd.grad(losses.likelihood(codes, labels, 4.0), codes)
    assert not still[:, 1].any()
    assert moved[2, 1] > 0


def test_likelihood_of_one_class_or_one_image_is_finite():
    for count in (1, 4):
        codes = torch.tanh(random(count, 3))
        assert losses.likelihood(codes, torch.ones(count, 1, dtype=F64), 10.0).isfinite()


def test_quantisation_by_hand():
    assert losses.quantisation(torch.tensor([[0.5, -1.0], [0.0, 1.0]])).item() == pytest.approx(1.25 / 4)


def test_classification_by_hand():
    logits = torch.tensor([[math.log(3), 0.0]], dtype=F64)
    labels = torch.tensor([[1.0, 0.0]], dtype=F64)
    assert losses.classification(logits, labels, False).item() == pytest.approx(math.log(4 / 3))
    # Sigmoid of log 3 is 3/4, of 0 is 1/2.
    both = -math.log(3 / 4) - math.log(1 / 2)
    assert losses.classification(logits, labels, True).item() == pytest.approx(both / 2)
    assert losses.classification(logits, labels, True, "sum").item() == pytest.approx(both)


def test_classification_of_label_sets_pulls_no_harder_with_more_labels():
    """At 80 labels the sum's gradient is 40 times that at 2; the mean's is the same."""
    assert CoopHashParams().label_loss == "mean"
    norms = []
    for classes in (2, 80):
        feature = torch.ones(1, requires_grad=True)
        labels = torch.ones(1, classes)
        losses.classification(feature.expand(1, classes) * 0.1, labels, True).backward()
        norms.append(feature.grad.abs().item())
    assert norms[1] == pytest.approx(norms[0])


def test_likelihood_of_weighted_pairs_by_hand():
    real, revised = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 6.0])
    weights = torch.tensor([1.5, 0.5])
    assert losses.negative_log_likelihood(real, revised).item() == pytest.approx(4 - 2)
    assert losses.negative_log_likelihood(real, revised, weights).item() == pytest.approx(3 - 2)
    fakes = losses.discriminator(real, revised, weights) - losses.discriminator(
        real, revised * 0, weights * 0
    )
    assert fakes.item() == pytest.approx((1.5 * math.log1p(math.exp(2)) + 0.5 * math.log1p(math.exp(6))) / 2)


def test_gaussian_kl_by_hand_and_at_its_zero():
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(2)]])
    expected = 0.5 * (1 + (2 - 1 - math.log(2)))
    assert losses.gaussian_kl(mean, log_variance).item() == pytest.approx(expected)
    assert losses.gaussian_kl(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_reconstruction_by_hand():
    images = torch.zeros(1, 1, 2, 2)
    assert losses.reconstruction(images, images + 1, 0.5).item() == pytest.approx(4 / (2 * 0.25))


def test_adversarial_losses_by_hand():
    zero = column(0, 0)
    assert losses.discriminator(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert losses.adversarial(column(math.log(3))).item() == pytest.approx(-math.log(3 / 4))


CASES = {
    "nll": lambda a, b: losses.negative_log_likelihood(a[:, 0], b[:, 0]),
    "penalty": lambda a, b: losses.energy_penalty(a[:, 0], b[:, 0]),
    "marginal": lambda a, b: losses.marginal(a + b),
    "label posterior": lambda a, b: losses.label_posterior(a @ b.T, LABELS),
    "pair, plain": lambda a, b: losses.pair_triplet(a, b, b.flip(0), column(1, 1, 0, 1, 1), 0.5, None),
    "pair, smooth": lambda a, b: losses.pair_triplet(a, b, b.flip(0), column(1, 1, 0, 1, 1), 0.5, 0.1),
    "batch, plain": lambda a, b: losses.batch_triplet(torch.tanh(a + b), LABELS, 0.5, None),
    "batch, smooth": lambda a, b: losses.batch_triplet(torch.tanh(a + b), LABELS, 0.5, 0.1),
    "likelihood": lambda a, b: losses.likelihood(torch.tanh(a + b), LABELS, 10.0),
    "quantisation": lambda a, b: losses.quantisation(torch.tanh(a * b)),
    "softmax": lambda a, b: losses.classification((a + b)[:, :3], LABELS, False),
    "sigmoid": lambda a, b: losses.classification((a + b)[:, :3], LABELS, True),
    "kl": lambda a, b: losses.gaussian_kl(a, b),
    "reconstruction": lambda a, b: losses.reconstruction(a[:, None], b[:, None], 0.3),
    "discriminator": lambda a, b: losses.discriminator(a[:, 0], b[:, 0]),
    "adversarial": lambda a, b: losses.adversarial((a * b)[:, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_the_numerical_one(name):
    assert gradcheck(CASES[name], (random(5, 4, seed=1), random(5, 4, seed=2)))
