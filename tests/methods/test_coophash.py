"""CoopHash as a whole: networks, where gradients go, variants, resuming, failures."""

import copy
from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from benchmark.contracts import FitContext, HashData, Task
from benchmark.errors import InputError
from benchmark.methods import _backbones
from benchmark.methods._convolutions import Pixels
from benchmark.methods._stepwise import Batch
from benchmark.methods.coophash import CoopHash, CoopHashParams
from benchmark.methods.coophash.networks import Descriptor, FixedProjection, Generator
from benchmark.methods.coophash.pairs import LabelPool
from benchmark.spec import parse

pytestmark = pytest.mark.processor

SMALL = {"latent": 4, "generator_width": 4, "pairs": 6, "langevin_steps": 2}
VARIANTS = {variant.name: variant.params for variant in CoopHash.variants}
TASK = Task(bits=8, classes=10, channels=1, height=8, width=8)


def digits(count: int = 60, unlabelled: int = 0) -> HashData:
    pixels, target = load_digits(return_X_y=True)
    images = (torch.tensor(pixels).view(-1, 1, 8, 8) * 255 / 16).round().to(torch.uint8)
    labels = torch.nn.functional.one_hot(torch.tensor(target), 10).to(torch.uint8)
    return HashData(TASK, images[:count], labels[:count], images[count : count + unlabelled])


def multi_label_data() -> HashData:
    task = Task(bits=8, classes=5, channels=3, height=8, width=8, multi_label=True)
    sets = torch.tensor(
        [[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 1]], dtype=torch.uint8
    )
    labels = sets.repeat(6, 1)
    images = torch.randint(0, 256, (24, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return HashData(task, images, labels, images[:7])


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small only lose time to a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Memory(FitContext):
    """A context that keeps the training state of one update in memory, as a file would."""

    def __init__(self, task: Task, keep: int | None = None, kept: dict | None = None, **settings) -> None:
        super().__init__(task, torch.device("cpu"), **settings)
        self.keep, self.kept = keep, kept

    def begin_step(self, step: int) -> None:
        torch.manual_seed(self.seed("step", step))

    def save(self, step, state) -> None:
        if step == self.keep:
            self.kept = copy.deepcopy(state())

    def restore(self):
        return self.kept


def method(**params) -> CoopHash:
    return CoopHash(parse(CoopHashParams, {**SMALL, **params}, "params"))


def fitted(data: HashData, updates: int = 3, **params) -> CoopHash:
    made = method(**params)
    made.fit(data, Memory(data.task, updates=updates, batch_size=16))
    return made


def ready(data: HashData, **params) -> tuple[CoopHash, Batch]:
    """A method with networks and optimisers, and its first batch, before any update."""
    made = method(**params)
    made._assemble(Memory(data.task, updates=4, batch_size=16))
    made.optimizers = made.build_optimizers()
    made.begin(data)
    return made, made._batch(data, 0)


def gradients(module: torch.nn.Module) -> dict[str, bool]:
    """Whether each parameter has a gradient other than zero."""
    return {name: p.grad is not None and bool(p.grad.any()) for name, p in module.named_parameters()}


# ---- networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["compact", "residual"])
@pytest.mark.parametrize(
    ("channels", "height", "width"),
    [(1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 32, 32), (1, 20, 31), (3, 64, 64)],
)
def test_networks_take_and_make_images_of_any_size(backbone, channels, height, width):
    task = Task(bits=8, classes=3, channels=channels, height=height, width=width, backbone=backbone)
    images = Generator(task, 4, 4)(torch.randn(2, 4), torch.eye(3)[:2])
    assert images.shape == (2, channels, height, width)
    assert images.abs().max() <= 1
    assert Descriptor(task)(images).shape == (2, 8)


def test_density_heads_agree_with_their_tables():
    for multi in (False, True):
        descriptor = Descriptor(Task(8, 4, 1, 8, 8, multi_label=multi))
        features = descriptor.base(torch.rand(3, 1, 8, 8))
        candidates = torch.eye(4)
        table = descriptor.density_table(features, candidates)
        for c in range(4):
            torch.testing.assert_close(table[:, c], descriptor.density(features, candidates[c].expand(3, -1)))


def test_fixed_projection_centres_on_the_features_it_has_seen():
    projection = FixedProjection(6, 4)
    features = torch.randn(10, 6) + 5
    for _ in range(3):
        projection.observe(features)
    torch.testing.assert_close(projection(features).mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(projection.weight @ projection.weight.T, torch.eye(4), atol=1e-5, rtol=0)


# ---- contrastive pairs ------------------------------------------------------------------------------


def test_negative_labels_share_none_with_the_positive_ones():
    data = multi_label_data()
    pool = LabelPool(data.labels)
    own = data.labels.float().repeat(20, 1)
    negatives, valid = pool.negatives(own, torch.Generator().manual_seed(0))
    assert valid.all()
    assert not (negatives * own).any()
    known = {tuple(row) for row in data.labels.float().tolist()}
    assert {tuple(row) for row in negatives.tolist()} <= known


def test_negative_classes_are_drawn_evenly_from_the_other_ones():
    pool = LabelPool(torch.eye(4).repeat(5, 1))
    negatives, _ = pool.negatives(torch.eye(4)[:1].expand(3000, -1), torch.Generator().manual_seed(0))
    torch.testing.assert_close(negatives.mean(0), torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]), atol=0.03, rtol=0)


def test_the_negative_phase_has_the_labels_of_the_data():
    """c- is drawn from the other classes, so that of 150 and 8 images the rare class makes half of all pairs."""
    labels = torch.eye(2)[torch.tensor([0] * 150 + [1] * 8)]
    pool, share = LabelPool(labels), 8 / 158
    drawn = torch.cat([labels, pool.negatives(labels, torch.Generator().manual_seed(0))[0]])
    assert drawn.mean(0)[1] == pytest.approx(0.5)
    weights = pool.weights(drawn)
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    assert (weights * drawn[:, 1]).mean().item() == pytest.approx(share, abs=1e-5)
    assert LabelPool(labels[140:]).weights(drawn) is not None
    assert LabelPool(labels[142:]).weights(drawn) is None, "with as many of each, equal weights are exact"


def test_the_weights_of_label_sets_are_those_of_what_is_drawn():
    data = multi_label_data()
    labels = torch.cat([data.labels.float(), data.labels[2:3].float().repeat(12, 1)])
    pool = LabelPool(labels)
    own = labels.repeat(400, 1)
    drawn = torch.cat([own, pool.negatives(own, torch.Generator().manual_seed(0))[0]])
    found = (pool.weights(drawn)[:, None] * drawn).mean(0)
    torch.testing.assert_close(found, labels.mean(0), atol=0.01, rtol=0)
    assert not torch.allclose(drawn.mean(0), labels.mean(0), atol=0.03, rtol=0)


def test_the_loss_of_the_density_weighs_its_pairs():
    labels = torch.eye(10)[torch.tensor([0] * 40 + [1] * 8)].to(torch.uint8)
    data = replace(digits(48), labels=labels)
    terms = {}
    for negatives in ("data", "drawn"):
        made, batch = ready(data, negatives=negatives)
        terms[negatives] = losses_without_step(made, batch)["nll"]
        pair, _ = made._pair(batch)
        assert (pair.weights is None) == (negatives == "drawn")
    assert terms["data"] != terms["drawn"]


class Normalised(Pixels):
    """Pixels after batch normalisation and dropout, which notes in which mode it drops."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.norm, self.dropout = torch.nn.BatchNorm1d(self.features), torch.nn.Dropout(0.5)
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.dropout.training)
        return self.dropout(self.norm(images.flatten(1)))


def test_a_pre_trained_base_keeps_its_statistics_and_its_dropout(monkeypatch):
    """As the other methods have it; the chain alone, which climbs one function, runs without dropout."""
    monkeypatch.setitem(_backbones.BACKBONES, "normalised", Normalised)
    monkeypatch.setattr(_backbones, "check_backbone", lambda task: None)  # of such weights no file exists
    data = digits()
    task = replace(data.task, backbone="normalised", weights="imagenet")
    made = method()
    made.fit(replace(data, task=task), Memory(task, updates=1, batch_size=16))
    base = made.descriptor.base
    assert base.modes[-3:] == [False] * SMALL["langevin_steps"] + [True]
    assert torch.equal(base.norm.running_mean, torch.zeros(base.features))


def test_an_image_with_every_label_gets_the_set_that_shares_fewest_and_no_triplet():
    pool = LabelPool(torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 0]]))
    negatives, valid = pool.negatives(torch.ones(1, 3), torch.Generator().manual_seed(0))
    assert valid.tolist() == [0]
    assert negatives.tolist() == [[0, 1, 0]]


def test_the_pair_shares_its_latent_vector():
    made, batch = ready(digits(), langevin_steps=0)
    with torch.no_grad():
        made.generator.embedding.zero_()  # without a label the two members must be one image
    pair, _ = made._pair(batch)
    positive, negative = pair.images.split(pair.count)
    assert torch.equal(positive, negative)
    assert not torch.equal(positive[0], positive[1])


# ---- where gradients go -----------------------------------------------------------------------------


def test_sampling_leaves_no_gradient_and_no_graph():
    made, batch = ready(digits())
    pair, chain = made._pair(batch)
    assert chain.distance > 0
    assert not pair.images.requires_grad
    assert pair.initial.requires_grad, "the generator is taught from its own output"
    made, batch = ready(digits(), teaching=0)
    pair, _ = made._pair(batch)
    assert not pair.initial.requires_grad
    assert all(p.grad is None for p in made.networks.parameters())
    assert all(p.requires_grad for p in made.networks.parameters())


def losses_without_step(made: CoopHash, batch: Batch) -> dict[str, Tensor]:
    """The loss terms of an update, before anything is differentiated."""
    kept: dict[str, Tensor] = {}

    def keep(terms: dict[str, Tensor]) -> Tensor:
        kept.update(terms)
        return torch.zeros(())

    made._descend = keep
    made.step(batch)
    return kept


def test_only_the_variational_loss_and_the_teaching_reach_the_generator():
    made, batch = ready(digits())
    terms = losses_without_step(made, batch)
    for name, term in terms.items():
        made.networks.zero_grad(set_to_none=True)
        term.backward(retain_graph=True)
        teaches = name in ("vae_reconstruction", "vae_real", "teaching")
        assert any(gradients(made.generator).values()) == teaches, name


def test_each_loss_reaches_its_own_head_and_the_base_alone():
    made, batch = ready(digits())
    inference = {"inference_head", "encoder", "label_mean"}
    heads = {
        **{name: {"density_head"} for name in ("nll", "energy_penalty", "density_class")},
        **{name: {"hash_head"} for name in ("tr_real", "tr_pair", "likelihood")},
        **{name: {"class_head"} for name in ("class", "class_pair")},
        **dict.fromkeys(("vae_reconstruction", "vae_kl", "vae_real"), inference),
    }
    terms = losses_without_step(made, batch)
    assert terms.keys() - {"teaching"} == heads.keys()
    for name, term in terms.items():
        made.networks.zero_grad(set_to_none=True)
        term.backward(retain_graph=True)
        reached = {key.split(".")[0] for key, has in gradients(made.descriptor).items() if has}
        assert reached == ({"base", *heads[name]} if name in heads else set()), name


@pytest.mark.parametrize("name", ["coophash", "coophash-vae"])
def test_plain_teaching_moves_the_generator_and_not_the_energy(name):
    made, batch = ready(digits(), **VARIANTS.get(name, {}))
    losses_without_step(made, batch)["teaching"].backward()
    assert any(gradients(made.generator).values())
    assert not any(gradients(made.descriptor).values())


def test_noise_reaches_every_head_while_there_is_a_density_and_never_encoding():
    def features(**params):
        made, batch = ready(digits(), **params)
        pair, _ = made._pair(batch)
        return made, made._features(batch, pair, None)[0].detach()

    noisy, clean = features(density_noise=0.5), features(density_noise=0)
    assert not torch.allclose(noisy[1], clean[1])
    torch.testing.assert_close(features(density_noise=0.5)[1], noisy[1])
    images = digits().images
    torch.testing.assert_close(noisy[0].encode(images), clean[0].encode(images))
    without = {"weight_nll": 0.0}
    torch.testing.assert_close(
        features(density_noise=0.5, **without)[1], features(density_noise=0, **without)[1]
    )


def test_adversarial_loss_goes_through_the_descriptor_without_moving_it():
    made, batch = ready(digits(), **VARIANTS["coophash-gan"])
    terms = losses_without_step(made, batch)
    terms["discriminator"].backward(retain_graph=True)
    assert not any(gradients(made.generator).values())
    made.networks.zero_grad(set_to_none=True)
    terms["adversarial"].backward()
    assert any(gradients(made.generator).values())
    assert not any(gradients(made.descriptor).values())


def test_hidden_images_train_density_and_inference_and_not_the_generator():
    made, batch = ready(digits(unlabelled=30), unlabelled="density-and-inference")
    terms = losses_without_step(made, batch)
    terms["vae_hidden"].backward(retain_graph=True)
    assert not any(gradients(made.generator).values())
    reached = {key.split(".")[0] for key, has in gradients(made.descriptor).items() if has}
    assert reached == {"base", "inference_head", "encoder", "label_mean"}
    plain, _ = ready(digits(unlabelled=30))
    assert terms["nll"].item() != losses_without_step(plain, batch)["nll"].item()


# ---- fitting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coophash", *VARIANTS])
def test_every_variant_learns_and_encodes(name):
    data = digits()
    made = fitted(data, **VARIANTS.get(name, {}))
    outputs = made.encode(data.images)
    assert outputs.shape == (60, 8)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs[:7], made.encode(data.images[:7]))
    assert made.facts()["parameters"] <= made.facts()["parameters_in_training"]


def test_heads_that_are_off_do_not_exist():
    descriptor = fitted(digits(), **VARIANTS["coophash-hash-only"]).descriptor
    assert descriptor.density_head is None
    assert descriptor.class_head is None
    assert descriptor.inference_head is None
    assert "generator" not in fitted(digits(), **VARIANTS["coophash-class-only"]).networks


@pytest.mark.parametrize("name", ["coophash", *VARIANTS])
def test_multi_label_data_with_images_whose_labels_are_hidden(name):
    data = multi_label_data()
    made = fitted(data, unlabelled="density-and-inference", **VARIANTS.get(name, {}))
    assert made.encode(data.images).isfinite().all()


def test_every_option_together():
    data = digits(unlabelled=20)
    options = {
        "unlabelled": "density-and-inference",
        "ema": 0.9,
        "spectral_norm": True,
        "gradient_clip": 1.0,
        "langevin_decay": 0.9,
        "langevin_noise": None,
        "reference_std": 1.0,
        "quantisation": 0.1,
        "generator_lr": 1e-4,
        "pairs": None,
    }
    made = fitted(data, **options)
    assert made.encode(data.images).isfinite().all()
    assert not torch.equal(
        made.networks["hash"].hash_head.linear.weight, made.descriptor.hash_head.linear.weight
    )


@pytest.mark.parametrize("extra", [{}, {"ema": 0.9}, VARIANTS["coophash-tr"], VARIANTS["coophash-gan"]])
def test_a_resumed_fit_ends_with_the_same_codes(extra):
    data = digits()
    whole = Memory(data.task, updates=6, batch_size=16, keep=3)
    straight = method(**extra)
    straight.fit(data, whole)
    resumed = method(**extra)
    resumed.fit(data, Memory(data.task, updates=6, batch_size=16, kept=whole.kept))
    assert torch.equal(straight.encode(data.images), resumed.encode(data.images))


def test_two_fits_with_one_seed_are_identical():
    data = digits()
    assert torch.equal(fitted(data).encode(data.images), fitted(data).encode(data.images))


@pytest.mark.parametrize("extra", [{}, {"ema": 0.9}, VARIANTS["coophash-tr"]])
def test_state_round_trip_shares_no_memory(extra):
    data = digits()
    made = fitted(data, **extra)
    state = made.state()
    assert len({tensor.data_ptr() for tensor in state.values() if tensor.numel()}) == len(state)
    fresh = method(**extra)
    fresh.load_state(state, Memory(data.task))
    assert torch.equal(fresh.encode(data.images), made.encode(data.images))


def test_samples_and_class_logits():
    data = digits()
    made = fitted(data)
    before, after = made.sample(torch.eye(10), torch.Generator().manual_seed(0))
    assert before.shape == after.shape == (10, 1, 8, 8)
    assert before.dtype == after.dtype == torch.uint8
    assert not torch.equal(before, after)
    again, _ = made.sample(torch.eye(10), torch.Generator().manual_seed(0))
    assert torch.equal(before, again)
    assert made.class_logits(data.images).shape == (60, 10)


def test_energies_are_logged():
    data = digits()
    ctx = Memory(data.task, updates=2, batch_size=16)
    method().fit(data, ctx)
    names = {"nll", "f_real", "f_pair", "f_gap", "langevin_distance", "langevin_gradient", "code_balance"}
    assert names <= ctx.scalars[-1][1].keys()


def test_energies_stay_bounded_and_codes_do_not_collapse():
    data = digits(200)
    ctx = Memory(data.task, updates=120, batch_size=32)
    made = method(pairs=16)
    made.fit(data, ctx)
    assert all(abs(scalars["f_real"]) < 20 and abs(scalars["f_pair"]) < 20 for _, scalars in ctx.scalars)
    codes = made.encode(data.images) > 0
    assert len(torch.unique(codes, dim=0)) >= 10
    assert ctx.scalars[-1][1]["class_accuracy"] > 0.9


# ---- failures ---------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_named_and_moves_nothing():
    made, batch = ready(digits(), langevin_steps=0)
    with torch.no_grad():
        made.descriptor.class_head.bias.fill_(float("inf"))
    before = copy.deepcopy(made.state())
    with pytest.raises(FloatingPointError, match=r"^loss class, class_pair is not finite"):
        made.step(batch)
    after = made.state()
    kept = [key for key in before if "running" not in key and "num_batches" not in key]
    assert all(torch.equal(before[key], after[key]) for key in kept)


def test_a_gradient_that_is_not_finite_is_named():
    made, batch = ready(digits())
    made.descriptor.hash_head.linear.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(FloatingPointError, match="gradient of the descriptor"):
        made.step(batch)


def test_parameters_are_validated():
    with pytest.raises(InputError, match="at least one of the four loss weights"):
        method(weight_nll=0, weight_tr=0, weight_class=0, weight_vae=0)
    with pytest.raises(InputError, match="real_triplets"):
        method(weight_nll=0, weight_vae=0, real_triplets=0)
    with pytest.raises(InputError, match="langevin_steps"):
        method(langevin_steps=-1)


def test_one_class_is_refused():
    assert "two classes" in CoopHash.supports(Task(8, 1, 1, 8, 8))
