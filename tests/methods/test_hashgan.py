"""HashGAN: its losses by hand and by numerical gradients, who moves whom, both stages, resuming, failures."""

import copy
import io
import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.autograd import gradcheck

from benchmark import metrics
from benchmark.contracts import FitContext, HashData, Task
from benchmark.errors import InputError
from benchmark.methods.hashgan import HashGAN, HashGANParams, losses
from benchmark.methods.hashgan.networks import Critic, Generator, SimilarityCondition
from benchmark.methods.hashgan.stages import PairLoss, critic_terms, generator_terms, hash_terms
from benchmark.methods.lsh import LSH
from benchmark.spec import parse

pytestmark = pytest.mark.processor

pytestmark = pytest.mark.processor

F64 = torch.float64
SMALL = {
    "latent": 4,
    "generator_width": 4,
    "critic_width": 4,
    "critic_steps": 2,
    "gan_share": 0.5,
    "gan_batch": 8,
}
TASK = Task(bits=8, classes=10, channels=1, height=8, width=8)
SETS = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 1]], dtype=torch.uint8)


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small only lose time to a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def digits(first: int = 0, count: int = 40, unlabelled: int = 0, task: Task = TASK) -> HashData:
    pixels, target = load_digits(return_X_y=True)
    images = (torch.tensor(pixels).view(-1, 1, 8, 8) * 255 / 16).round().to(torch.uint8)
    labels = torch.nn.functional.one_hot(torch.tensor(target), 10).to(torch.uint8)
    end = first + count
    return HashData(task, images[first:end], labels[first:end], images[end : end + unlabelled])


def multi_label_data() -> HashData:
    task = Task(bits=8, classes=5, channels=3, height=8, width=10, multi_label=True)
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (24, 3, 8, 10), generator=draw).to(torch.uint8)
    return HashData(task, images, SETS.repeat(6, 1), images[:7], flip=True)


class Memory(FitContext):
    """A context that keeps the training state of one update, written and read as a file would be."""

    def __init__(self, task: Task, keep: int | None = None, kept: bytes | None = None, **settings) -> None:
        super().__init__(task, torch.device("cpu"), **{"batch_size": 16, **settings})
        self.keep, self.kept = keep, kept

    def begin_step(self, step: int) -> None:
        torch.manual_seed(self.seed("step", step))

    def save(self, step, state) -> None:
        if step == self.keep:
            file = io.BytesIO()
            torch.save(state(), file)
            self.kept = file.getvalue()

    def should_stop(self) -> bool:
        return self.keep is not None and self.kept is not None

    def restore(self):
        return None if self.kept is None else torch.load(io.BytesIO(self.kept), weights_only=True)


def method(**params) -> HashGAN:
    return HashGAN(parse(HashGANParams, {**SMALL, **params}, "params"))


def fitted(data: HashData, updates: int = 4, **params) -> HashGAN:
    made = method(**params)
    made.fit(data, Memory(data.task, updates=updates))
    return made


def ready(data: HashData, **params) -> HashGAN:
    """A method with networks and optimisers, before any update."""
    made = method(**params)
    made._assemble(Memory(data.task, updates=4))
    made.optimizers = made.build_optimizers()
    made.begin(data)
    made.networks.train()
    return made


def weights(made: HashGAN, name: str) -> dict[str, Tensor]:
    return copy.deepcopy(made.networks[name].state_dict())


def moved(made: HashGAN, name: str, before: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, before[key]) for key, value in made.networks[name].state_dict().items())


# ---- losses by hand, and by numerical gradients ----------------------------------------------------


def test_theta_is_a_scaled_cosine_and_both_kinds_agree_on_binary_codes():
    left = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=F64)
    right = torch.tensor([[1.0, 0.0], [-6.0, -8.0]], dtype=F64)
    expected = torch.tensor([[6.0, -10.0], [0.0, 0.0]], dtype=F64)
    torch.testing.assert_close(losses.pair_theta(left, right, 10.0, "cosine"), expected)
    binary = random(5, 4).detach().sign()
    same = [losses.pair_theta(binary, binary, 7.0, kind) for kind in ("cosine", "inner-product")]
    torch.testing.assert_close(*same)


def test_pair_weights_by_hand():
    similar = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    every = torch.ones(2, 2)
    assert losses.pair_weights(similar, every, "release").tolist() == [[4, 1], [1, 1]]
    torch.testing.assert_close(
        losses.pair_weights(similar, every, "balanced"), torch.tensor([[4, 4 / 3], [4 / 3, 4 / 3]])
    )
    assert losses.pair_weights(similar, every, "none").tolist() == [[1, 1], [1, 1]]
    mask = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # the only similar pair is masked: nothing becomes infinite
    for kind in ("release", "balanced", "none"):
        assert losses.pair_weights(similar, mask, kind).tolist() == [[0, 1], [1, 0]]


def test_pair_cross_entropy_by_hand():
    theta = torch.tensor([[math.log(3), 0.0]], dtype=F64)
    similar = torch.tensor([[1.0, 0.0]], dtype=F64)
    # -log sigmoid: log 4 - log 3 for the similar pair (weight 2), log 2 for the other; mean over two pairs.
    expected = (2 * math.log(4 / 3) + math.log(2)) / 2
    value = losses.pair_cross_entropy(theta, similar, torch.ones_like(similar), "release")
    assert value.item() == pytest.approx(expected)
    far = losses.pair_cross_entropy(torch.tensor([[1e4, 1e4]]), similar, torch.ones(1, 2), "none")
    assert far.item() == pytest.approx(5e3)


@pytest.mark.parametrize("theta", ["cosine", "inner-product"])
@pytest.mark.parametrize("weighting", ["release", "balanced", "none"])
@pytest.mark.parametrize("diagonal", [False, True])
def test_the_pairwise_loss_equals_its_statement_in_loops(theta, weighting, diagonal):
    codes, labels = torch.tanh(random(5, 3)), SETS[[0, 1, 2, 3, 1]].to(F64)
    pairs = [(i, j) for i, j in itertools.product(range(5), repeat=2) if diagonal or i != j]
    alike = {(i, j): bool(labels[i] @ labels[j]) for i, j in pairs}
    positive = sum(alike.values())
    total = 0.0
    for i, j in pairs:
        scale = codes[i].norm() * codes[j].norm() if theta == "cosine" else 3
        t = (5 * codes[i] @ codes[j] / scale).item()
        weight = 1.0
        if weighting != "none" and alike[i, j]:
            weight = len(pairs) / positive
        if weighting == "balanced" and not alike[i, j]:
            weight = len(pairs) / (len(pairs) - positive)
        total += weight * (math.log1p(math.exp(t)) - alike[i, j] * t)
    value = PairLoss(5.0, theta, weighting, diagonal).among(codes, labels)
    assert value.item() == pytest.approx(total / len(pairs))


@pytest.mark.parametrize("theta", ["cosine", "inner-product"])
def test_the_numerical_gradient_of_the_pairwise_loss(theta):
    labels, loss = SETS.to(F64), PairLoss(10.0, theta)
    assert gradcheck(lambda codes: loss.among(torch.tanh(codes), labels), [random(4, 3)])
    assert gradcheck(lambda fake: loss.across(random(4, 3, seed=1), fake, labels), [random(4, 3)])


def test_real_codes_do_not_move_towards_synthesised_ones():
    real, fake = random(4, 3), random(4, 3, seed=1)
    PairLoss(10.0).across(real, fake, SETS.to(F64)).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def test_cosine_quantisation_by_hand():
    equal = torch.tensor([[0.5, -0.5], [0.1, 0.1]], dtype=F64)
    assert losses.cosine_quantisation(equal).item() == pytest.approx(0)
    lone = torch.tensor([[1.0, 0.0], [0.3, -0.3]], dtype=F64)
    assert losses.cosine_quantisation(lone).item() == pytest.approx((1 - 0.5**0.5) / 2)
    assert gradcheck(losses.cosine_quantisation, [random(4, 3)])


def test_the_critics_gap_by_hand():
    assert losses.critic_gap(torch.tensor([1.0, 3.0]), torch.tensor([5.0, 6.0, 10.0])).item() == 5
    assert gradcheck(losses.critic_gap, [random(3), random(4, seed=1)])


def test_the_gradient_penalty_of_a_linear_critic_is_known():
    slope = torch.tensor([3.0, 4.0, 0.0, 12.0], dtype=F64, requires_grad=True)  # of length 13
    points = random(5, 1, 2, 2).detach()
    value = losses.gradient_penalty(lambda x: x.flatten(1) @ slope, points)
    assert value.item() == pytest.approx(12.0**2)
    value.backward()
    torch.testing.assert_close(slope.grad, 2 * 12 * slope.detach() / 13)
    assert not points.requires_grad


def test_the_gradient_penalty_judges_each_image_alone():
    # w(x) = |x|^2 / 2 has gradient x: lengths 5 and 1 give (16 + 0) / 2.
    points = torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=F64).view(2, 1, 1, 2)
    value = losses.gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, points)
    assert value.item() == pytest.approx(8)


def test_the_numerical_gradient_of_the_gradient_penalty():
    def penalty(first: Tensor, second: Tensor) -> Tensor:
        return losses.gradient_penalty(lambda x: torch.tanh(x.flatten(1) @ first) @ second, points)

    points = random(3, 1, 2, 2, seed=2).detach()
    assert gradcheck(penalty, [random(4, 5), random(5, seed=1)])


# ---- networks and conditions ------------------------------------------------------------------------


@pytest.mark.parametrize("condition", ["labels", "similarity"])
@pytest.mark.parametrize(
    ("channels", "height", "width"),
    [(1, 8, 8), (1, 16, 16), (1, 28, 28), (3, 32, 32), (1, 20, 31), (3, 64, 64)],
)
def test_networks_make_and_judge_images_of_any_size(condition, channels, height, width):
    task = Task(bits=8, classes=3, channels=channels, height=height, width=width)
    images = Generator(task, 4, 4, condition)(torch.randn(2, 4), torch.eye(3)[:2])
    assert images.shape == (2, channels, height, width)
    assert images.abs().max() <= 1
    for kind in ("compact", "residual"):
        critic = Critic(task, kind, 4)
        values, codes = critic(images)
        assert values.shape == (2,)
        assert codes.shape == (2, 8)
        torch.testing.assert_close(critic.values(images), values)
        torch.testing.assert_close(critic.codes(images), codes)


def test_the_similarity_embedding_of_single_labels_is_the_label_up_to_a_rotation():
    condition = SimilarityCondition(6)
    condition.learn(torch.eye(6).repeat(3, 1))
    embedded = condition(torch.eye(6))
    torch.testing.assert_close(embedded @ embedded.T, torch.eye(6), atol=1e-5, rtol=0)
    assert not condition(torch.zeros(2, 6)).any()


def test_the_similarity_embedding_of_label_sets_reproduces_their_similarities():
    condition = SimilarityCondition(5)
    condition.learn(SETS.repeat(6, 1))
    embedded = condition(SETS)
    overlap = (SETS.float() @ SETS.float().T > 0).float()
    values, vectors = torch.linalg.eigh(overlap)
    nearest = vectors @ torch.diag(values.clamp(min=0)) @ vectors.T  # no embedding has negative eigenvalues
    torch.testing.assert_close(embedded @ embedded.T, nearest, atol=1e-5, rtol=0)
    unseen = condition(torch.tensor([[1, 1, 1, 0, 0]]))  # similar to sets 0, 1 and 3, not to set 2
    assert (unseen @ embedded.T)[0].argmin() == 2


def test_more_label_sets_than_landmarks_keep_the_frequent_ones():
    draw = torch.Generator().manual_seed(0)
    labels = (torch.rand(2000, 12, generator=draw) < 0.3).float()
    labels = torch.cat([labels, torch.eye(12)[:1].repeat(500, 1)])
    condition = SimilarityCondition(12)
    condition.learn(labels)
    assert torch.equal(condition.landmarks[0], torch.eye(12)[0])
    assert condition(labels).isfinite().all()


# ---- who moves whom ---------------------------------------------------------------------------------


def test_a_critic_step_moves_the_critic_alone_and_a_generator_step_the_generator_alone():
    made = ready(digits(unlabelled=10))
    before = {name: weights(made, name) for name in made.networks}
    duel = made._duel(0)
    assert duel.real.shape == duel.fake.shape == (16, 1, 8, 8)
    assert not duel.fake.requires_grad
    made._descend("critic", critic_terms(made.critic, duel, made.pairs, made.params, made.ctx))
    assert moved(made, "critic", before["critic"])
    assert all(p.grad is None for p in made.generator.parameters())
    assert all(p.grad is None for p in made.networks["hash"].parameters())

    before = {name: weights(made, name) for name in made.networks}
    kept = {name: p.grad.clone() for name, p in made.critic.named_parameters()}
    fake = made._make(duel.labels, 8, "generator-noise", 0)
    assert fake.requires_grad
    live = type(duel)(duel.real, fake, duel.labels, duel.mix)
    made._descend("generator", generator_terms(made.critic, live, made.pairs, made.params, made.ctx))
    assert moved(made, "generator", before["generator"])
    assert not moved(made, "critic", before["critic"])
    assert not moved(made, "hash", before["hash"])
    assert all(torch.equal(p.grad, kept[name]) for name, p in made.critic.named_parameters())


def test_each_loss_of_the_critic_reaches_its_own_head():
    made = ready(digits())
    terms = critic_terms(made.critic, made._duel(0), made.pairs, made.params, made.ctx)
    heads = {
        "critic_gap": "value",
        "gradient_penalty": "value",
        "critic_pairs": "code",
        "critic_fake_pairs": "code",
    }
    assert terms.keys() == heads.keys()
    for name, head in heads.items():
        made.critic.zero_grad(set_to_none=True)
        terms[name].backward(retain_graph=True)
        reached = {
            key.split(".")[0]
            for key, p in made.critic.named_parameters()
            if p.grad is not None and p.grad.any()
        }
        assert reached == {"trunk", head}, name


def test_images_without_a_label_count_for_the_critics_value_alone():
    made = ready(digits(unlabelled=10))
    duel = made._duel(0)
    other = type(duel)(duel.real.clone(), duel.fake, duel.labels, duel.mix)
    other.real[len(duel.labels) :] *= -1
    one, two = (critic_terms(made.critic, d, made.pairs, made.params, made.ctx) for d in (duel, other))
    assert one["critic_gap"] != two["critic_gap"]
    assert one["critic_pairs"] == two["critic_pairs"]
    assert one["critic_fake_pairs"] == two["critic_fake_pairs"]
    assert len(ready(digits(unlabelled=10), unlabelled="ignore")._duel(0).real) == 8


def test_no_pass_is_needless():
    made = ready(digits(unlabelled=10))
    passes: list[int] = []
    made.critic.trunk.register_forward_hook(lambda module, inputs, output: passes.append(len(output)))
    duel = made._duel(0)
    critic_terms(made.critic, duel, made.pairs, made.params, made.ctx)
    assert passes == [32, 16]  # real and fake images together; the points of the penalty
    passes.clear()
    generator_terms(made.critic, duel, made.pairs, made.params, made.ctx)
    assert passes == [16, 8]  # fake images; real ones with a label, without a graph


def test_real_images_are_spread_over_their_grey_level():
    made, plain = ready(digits()), ready(digits(), dequantise=False)
    spread, raw = made._duel(0).real, plain._duel(0).real
    level = (raw + 1) * 127.5  # 0 to 255
    within = (spread + 1) * 128 - level
    assert within.min() >= -1e-3
    assert within.max() <= 1 + 1e-3
    assert within.std() > 0.2


def test_the_hash_losses_with_their_weights():
    labels, pairs = SETS.to(F64), PairLoss(10.0)
    real, fake = random(4, 3), random(4, 3, seed=1)
    params = HashGANParams(fake_weight=0.3, quantisation=2.0)
    terms = hash_terms(real, fake, labels, pairs, params)
    codes = torch.tanh(real)
    assert terms["hash_pairs"] == pairs.among(codes, labels)
    assert terms["hash_fake_pairs"] == 0.3 * pairs.across(codes, torch.tanh(fake), labels)
    assert terms["quantisation"] == 2.0 * losses.cosine_quantisation(codes)
    without = hash_terms(real, None, labels, pairs, HashGANParams(quantisation=0.0))
    assert without.keys() == {"hash_pairs"}


def test_scales_of_the_release_follow_the_kind_of_labels():
    single, multi = digits().task, multi_label_data().task
    assert PairLoss.of(HashGANParams(), single).alpha == 10
    assert PairLoss.of(HashGANParams(), multi).alpha == 5
    assert PairLoss.of(HashGANParams(alpha=3.0), multi).alpha == 3


# ---- the two stages ---------------------------------------------------------------------------------


def test_both_stages_run_and_each_moves_its_own_networks():
    data, seen = digits(), []

    class Watching(Memory):
        def begin_step(self, step):
            super().begin_step(step)
            seen.append({name: weights(made, name) for name in made.networks})

    made = method()
    context = Watching(data.task, updates=6)
    made.fit(data, context)
    seen.append({name: weights(made, name) for name in made.networks})
    for step in range(6):
        changed = {
            name
            for name in made.networks
            if any(not torch.equal(v, seen[step + 1][name][key]) for key, v in seen[step][name].items())
        }
        assert changed == ({"critic", "generator"} if step < 3 else {"hash"}), step
    logged = [set(scalars) for _, scalars in context.scalars]
    assert all({"generator", "critic_gap", "gradient_penalty"} <= names for names in logged[:3])
    assert all({"hash_pairs", "hash_fake_pairs", "quantisation"} <= names for names in logged[3:])
    facts = made.facts()
    assert (facts["gan_updates"], facts["critic_steps"], facts["hash_updates"]) == (3, 6, 3)


def test_rates_are_annealed_over_each_stage():
    made = ready(digits(), gan_lr=0.01)
    rates = []
    for step in range(4):
        made._schedule(step / 4)
        rates.append({name: o.param_groups[0]["lr"] for name, o in made.optimizers.items()})
    assert [rate["critic"] for rate in rates] == pytest.approx([0.01, 0.005, 0.005, 0.005])
    assert [rate["hash"] for rate in rates] == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])


def test_the_smallest_budget_is_left_to_the_hash_network():
    made = fitted(digits(), updates=1)
    assert made.gan_updates == 0
    assert made.encode(digits().images).isfinite().all()


def test_it_learns_digits():
    task = Task(bits=16, classes=10, channels=1, height=8, width=8)
    data, test = digits(0, 300, task=task), digits(300, 400)
    labels = test.labels.numpy().astype(np.int16)

    def score(made) -> float:
        made.fit(data, FitContext(task, torch.device("cpu"), batch_size=64, updates=140))
        codes = np.where(made.encode(test.images).numpy() >= 0, 1.0, -1.0)
        return float(metrics.mean_average_precision(codes, codes, labels, labels))

    options = {"gan_share": 0.2, "lr": 2e-3, "gan_batch": 32, "critic_width": 8, "generator_width": 8}
    assert score(method(**options)) > score(LSH()) + 0.25


@pytest.mark.parametrize(
    "extra", [{}, {"condition": "similarity"}, {"theta": "inner-product", "diagonal": True}]
)
def test_multi_label_data_with_images_whose_labels_are_hidden(extra):
    data = multi_label_data()
    made = fitted(data, **extra)
    assert made.encode(data.images).isfinite().all()
    before, _ = made.sample(data.labels, torch.Generator().manual_seed(0))
    assert before.shape == data.images.shape


@pytest.mark.parametrize("keep", [1, 2, 3, 5])
@pytest.mark.parametrize("extra", [{}, {"condition": "similarity"}])
def test_a_resumed_fit_repeats_an_undisturbed_one_bit_for_bit(keep, extra):
    data = digits(unlabelled=10)
    straight = fitted(data, updates=6, **extra)
    first = Memory(data.task, updates=6, keep=keep)
    method(**extra).fit(data, first)
    assert len(first.scalars) == keep
    second = Memory(data.task, updates=6, kept=first.kept)
    resumed = method(**extra)
    resumed.fit(data, second)
    assert len(second.scalars) == 6 - keep
    for key, value in straight.state().items():
        assert torch.equal(value, resumed.state()[key]), key


def test_two_fits_with_one_seed_are_identical_and_two_seeds_differ():
    data = digits()
    assert torch.equal(fitted(data).encode(data.images), fitted(data).encode(data.images))
    other = method()
    other.fit(data, Memory(data.task, updates=4, root_seed=1))
    assert not torch.equal(other.encode(data.images), fitted(data).encode(data.images))


def test_state_round_trip_keeps_codes_and_samples():
    data = digits()
    made = fitted(data, condition="similarity")
    fresh = method(condition="similarity")
    fresh.load_state(made.state(), Memory(data.task))
    assert torch.equal(fresh.encode(data.images), made.encode(data.images))
    pictures = [m.sample(torch.eye(10), torch.Generator().manual_seed(3))[0] for m in (made, fresh)]
    assert torch.equal(*pictures)


def test_samples():
    made = fitted(digits())
    assert made.abilities() == {"hashing", "generation"}
    kept, state = made.state(), torch.random.get_rng_state()
    before, after = made.sample(torch.eye(10), torch.Generator().manual_seed(0))
    assert before.shape == (10, 1, 8, 8)
    assert before.dtype == torch.uint8
    assert torch.equal(before, after)
    assert before.data_ptr() != after.data_ptr()
    noise = torch.randn(
        10, 4, generator=torch.Generator().manual_seed(1)
    )  # no sample depends on its neighbours
    with torch.no_grad():
        images = made.generator(noise, torch.eye(10))
        torch.testing.assert_close(made.generator(noise[:1], torch.eye(10)[:1]), images[:1])
    assert all(torch.equal(value, made.state()[key]) for key, value in kept.items())
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_label_decides_what_a_sample_shows():
    made = fitted(digits())
    same, other = (torch.eye(10)[[c, c]] for c in (3, 7))
    one, two = (made.sample(labels, torch.Generator().manual_seed(0))[0] for labels in (same, other))
    assert not torch.equal(one, two)


def test_stage_two_alone_has_no_generator():
    (variant,) = HashGAN.variants
    made = fitted(digits(), **variant.params)
    assert set(made.networks) == {"hash"}
    assert made.facts()["hash_updates"] == 4
    assert made.abilities() == {"hashing"}
    with pytest.raises(NotImplementedError, match="generates no images"):
        made.sample(torch.eye(10), torch.Generator())


# ---- failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"gan_share": 0.0}, "fake_weight"),
        ({"gan_share": 1.0}, "gan_share"),
        ({"critic_steps": 0}, "critic_steps"),
        ({"gradient_penalty": -1.0}, "gradient_penalty"),
        ({"alpha": 0.0}, "alpha"),
        ({"weighting": "paper"}, "weighting"),
        ({"condition": "classes"}, "condition"),
        ({"quantisation": float("nan")}, "quantisation"),
        ({"critic_step": 3}, "critic_step"),
    ],
)
def test_nonsense_is_refused_by_name(params, name):
    with pytest.raises(InputError, match=name):
        method(**params)


@pytest.mark.parametrize(
    ("network", "key", "loss"),
    [
        ("critic", "value.weight", "critic_gap"),
        ("critic", "code.bias", "critic_pairs, critic_fake_pairs"),
        ("generator", "layers.0.skip.0.bias", "critic_gap"),
        ("hash", "head.bias", "hash_pairs"),
    ],
)
def test_a_fit_that_diverges_stops_and_names_the_loss(network, key, loss):
    data = digits()

    class Poisoned(Memory):
        def begin_step(self, step):
            super().begin_step(step)
            if step == (0 if network != "hash" else 2):
                made.networks[network].get_parameter(key).data.fill_(math.nan)
                kept.update(weights(made, network))

    made, kept = method(), {}
    with pytest.raises(FloatingPointError, match=loss):
        made.fit(data, Poisoned(data.task, updates=4))
    after = made.networks[network].state_dict()
    parameters = dict(made.networks[network].named_parameters())
    assert all(torch.equal(kept[name], after[name]) for name in parameters if name != key)


def test_an_exploding_gradient_is_named_before_anything_moves():
    made = ready(digits())
    before = weights(made, "critic")
    slope = made.critic.value.weight
    with pytest.raises(FloatingPointError, match="gradient of the critic"):
        made._descend("critic", {"critic_gap": torch.sqrt((slope - slope.detach()).square()).sum()})
    assert not moved(made, "critic", before)
