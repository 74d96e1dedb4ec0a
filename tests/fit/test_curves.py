from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from torch import nn

from benchmark import registry
from benchmark.data import protocol
from benchmark.errors import InputError
from benchmark.fit.curves import classifier, inception
from benchmark.fit.curves.frechet import Gaussian, frechet_distance, gaussian_of
from benchmark.fit.curves.grid import GAP, GREY, WIDE_GAP, grid_png
from benchmark.fit.curves.reference import grid_labels, reference
from benchmark.fit.randomness import undisturbed
from benchmark.fit.result import FitResult, Interrupted
from benchmark.fit.runtime import Runtime
from benchmark.fit.train_job import run_job
from benchmark.spec import TrainJob
from benchmark.store.record import CurvePoint
from benchmark.store.store import Store
from tests.helpers import digits, one_spec, stop_after

EVERYTHING = ("map", "accuracy", "fd", "samples")
#: Small, so that a fit of some updates and its looks take a second or two.
SMALL = {"methods": ("coophash",), "epochs": 1, "params": {"coophash": {"langevin_steps": 2, "pairs": 4}}}


@pytest.fixture(autouse=True, scope="module")
def _quick_classifier() -> Any:
    """The digits' classifier in a tenth of its updates, kept under a version of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "UPDATES", 50)
        patch.setattr(classifier, "VERSION", 10**6)
        yield


def fit(runtime: Runtime | None = None, **changes: Any) -> FitResult:
    how = {key: changes.pop(key) for key in ("workdir", "progress", "stop") if key in changes}
    chosen = runtime or Runtime(curve_points=2, curve_metrics=EVERYTHING, curve_samples=60)
    return run_job(TrainJob(one_spec(**{**SMALL, **changes})), digits(), chosen, **how)


@pytest.fixture(scope="module")
def watched() -> FitResult:
    outcome = fit()
    assert outcome.record.state == "done", outcome.record.failure
    return outcome


# ---- the distance -------------------------------------------------------------------------------


def test_the_distance_of_two_gaussians_is_that_of_the_closed_form() -> None:
    """Diagonal covariances: |m - n|^2 + sum (s - t)^2 over the standard deviations."""
    a = Gaussian(np.array([1.0, 2.0, 0.0]), np.diag([4.0, 9.0, 1.0]))
    b = Gaussian(np.array([0.0, 0.0, 0.0]), np.diag([1.0, 16.0, 0.0]))
    assert frechet_distance(a, b) == pytest.approx(5 + 1 + 1 + 1, abs=1e-12)
    assert frechet_distance(b, a) == pytest.approx(8, abs=1e-12)


def test_the_distance_agrees_with_a_general_matrix_root() -> None:
    rng = np.random.default_rng(0)
    a, b = (gaussian_of(rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + k) for k in (0, 1))
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_the_distance_agrees_with_torchmetrics() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")

    class Flat(nn.Module):
        num_features = 12

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1).double()

    draw = torch.Generator().manual_seed(0)
    real = torch.randint(0, 256, (80, 3, 2, 2), dtype=torch.uint8, generator=draw)
    fake = torch.randint(0, 200, (70, 3, 2, 2), dtype=torch.uint8, generator=draw)
    metric = fid.FrechetInceptionDistance(feature=Flat())
    metric.update(real, real=True)
    metric.update(fake, real=False)
    ours = frechet_distance(*(gaussian_of(x.flatten(1).double().numpy()) for x in (real, fake)))
    assert ours == pytest.approx(float(metric.compute()), rel=1e-6)


def test_one_set_is_at_no_distance_from_itself_even_without_full_rank() -> None:
    features = np.random.default_rng(0).normal(size=(10, 64)) * 100
    assert frechet_distance(gaussian_of(features), gaussian_of(features)) < 1e-6
    constant = gaussian_of(np.ones((5, 3)))
    assert frechet_distance(constant, constant) == 0


@pytest.mark.parametrize("bad", [np.zeros((1, 3)), np.zeros(3), np.array([[np.nan], [1.0]])])
def test_what_has_no_gaussian_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Gaussian"):
        gaussian_of(bad)


# ---- features, reference, grids -------------------------------------------------------------------


def test_the_classifier_is_made_once_and_tells_real_images_from_noise() -> None:
    data, device = digits(), torch.device("cpu")
    made = classifier.feature_network(data, device)
    again = classifier.feature_network(data, device)
    assert made.accuracy > 0.9
    assert (made.digest, made.accuracy) == (again.digest, again.accuracy)
    images = torch.from_numpy(data.images)
    assert (made.features(images[:50]) == again.features(images[:50])).all()
    real, other = gaussian_of(made.features(images[::2])), gaussian_of(made.features(images[1::2]))
    draw = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (200, *images.shape[1:]), dtype=torch.uint8, generator=draw)
    assert np.trace(real.covariance) == pytest.approx(1, abs=0.1)
    assert frechet_distance(real, other) < 0.05
    assert frechet_distance(real, gaussian_of(made.features(noise))) > 0.5
    ones = images[torch.from_numpy(data.labels[:, 1] == 1)]
    assert frechet_distance(real, gaussian_of(made.features(ones))) > 0.2, "a collapsed generator is caught"


def test_a_damaged_classifier_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    monkeypatch.setattr(classifier, "UPDATES", 2)
    made = classifier.feature_network(digits(), torch.device("cpu"))
    (path,) = tmp_path.glob("classifiers/digits-*.safetensors")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    for content in (b"", whole[:1000], bytes(flipped)):
        path.write_bytes(content)
        assert classifier.feature_network(digits(), torch.device("cpu")).digest == made.digest
        assert path.read_bytes()[-1000:] == whole[-1000:]


def test_processes_that_start_together_train_one_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one holds the lock and trains; the second one, which saw none either, finds that one's."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    monkeypatch.setattr(classifier, "UPDATES", 2)
    trained, train, read = [], classifier._train, classifier._read
    first, looked = threading.Event(), threading.Event()

    def counting(data: object, device: torch.device) -> object:
        first.set()
        looked.wait(60)
        trained.append(device)
        return train(data, device)  # type: ignore[arg-type]

    def looking(path: Path, data: object) -> object:
        found = read(path, data)  # type: ignore[arg-type]
        if threading.current_thread() is waiting:
            looked.set()
        return found

    monkeypatch.setattr(classifier, "_train", counting)
    monkeypatch.setattr(classifier, "_read", looking)
    found: list[str] = []

    def second() -> None:
        first.wait(60)
        found.append(classifier.feature_network(digits(), torch.device("cpu")).digest)

    waiting = threading.Thread(target=second)
    waiting.start()
    found.append(classifier.feature_network(digits(), torch.device("cpu")).digest)
    waiting.join(60)
    assert len(set(found)) == 1
    assert len(found) == 2
    assert trained == [torch.device("cpu")]


def test_the_reference_keeps_away_from_training_images_and_unseen_classes() -> None:
    data = digits()
    split = protocol.draw(protocol.PROTOCOLS["digits-20-50"], data.info, data.labels, 0)
    found = reference(data, split, 100)
    trained = set(split.labelled) | set(split.query)
    assert not trained & (set(found.rows) | set(found.other))
    assert not set(found.rows) & set(found.other)
    assert found.labels.shape == (100, 10)
    assert (found.labels.sum(axis=1) == 1).all()
    assert found.labels.sum(axis=0).min() >= 8, "every class, in proportion"
    assert f"{len(found.rows)} database images outside" in found.text
    labelled = split.labelled[data.labels[split.labelled][:, 3:].any(axis=1)]
    few = type(split)(**{**vars(split), "labelled": labelled})
    assert not reference(data, few, 50).labels[:, :3].any()
    assert grid_labels(data, split).argmax(axis=1).tolist() == list(range(10))
    assert grid_labels(data, few).argmax(axis=1).tolist() == list(range(3, 10))


def test_a_grid_shows_before_above_after_and_a_class_in_each_column() -> None:
    tiles = torch.arange(12, dtype=torch.uint8)[:, None, None, None] * 20
    before = tiles.expand(12, 1, 32, 40).contiguous()
    picture = np.array(Image.open(io.BytesIO(grid_png(before, before + 5, columns=6))))
    assert picture.shape == (4 * 32 + GAP * 4 + WIDE_GAP, GAP + 6 * (40 + GAP), 3)
    rows = [
        GAP + 5,
        2 * GAP + 32 + 5,
        GAP + 2 * 32 + GAP + WIDE_GAP + 5,
        3 * 32 + 2 * GAP + GAP + WIDE_GAP + 5,
    ]
    for column in range(6):
        seen = picture[rows, GAP + 10 + column * (40 + GAP), 0]
        first, second = 20 * column, 20 * (6 + column)
        assert seen.tolist() == [first, first + 5, second, second + 5]
    assert (picture[0] == GREY).all()
    assert grid_png(before, None, 6) == grid_png(before.clone(), None, 6)
    assert Image.open(io.BytesIO(grid_png(before, None, 6))).height < picture.shape[0]
    with pytest.raises(ValueError, match="rows of 5"):
        grid_png(before, None, 5)


# ---- what a curve holds ---------------------------------------------------------------------------


def test_a_curve_of_everything(watched: FitResult) -> None:
    first, last = watched.record.curve
    for point in (first, last):
        assert 0 < point.accuracy <= 1
        assert point.fd_generated > 0
        assert point.fd_revised > 0
        assert point.fid_generated is None
        assert point.label_f1 is None
        for name in ("generated", "revised"):
            assert getattr(point, f"diversity_{name}") > 0
            assert getattr(point, f"density_{name}") >= 0
            assert 0 <= getattr(point, f"coverage_{name}") <= 1
            assert 0 <= getattr(point, f"asked_class_{name}") <= 1
        assert 0 <= point.chain_raises_f <= 1
        assert point.chain_distance > 0
        assert point.energy_gap_revised is not None
    facts = watched.record.facts
    assert "not Inception FID" in facts["curve_fd"]
    assert facts["curve_samples"] == 60
    assert facts["curve_fd_real"] < min(last.fd_generated, last.fd_revised)
    assert list(watched.artifacts.samples) == [f"step-{point.step:06d}.png" for point in (first, last)]
    sizes = {Image.open(io.BytesIO(png)).size for png in watched.artifacts.samples.values()}
    assert sizes == {(331, 8 * 32 + 6 * GAP + 3 * WIDE_GAP)}


def test_accuracy_is_that_of_the_stored_model(watched: FitResult) -> None:
    from benchmark.contracts import FitContext, Task

    spec, data = watched.record.spec, digits()
    cls = registry.method_class("coophash")
    method = cls(cls.Params.model_validate(spec.params))
    method.load_state(watched.artifacts.weights, FitContext(Task(16, 10, 1, 16, 16), torch.device("cpu")))
    rows = watched.artifacts.codes["query_ids"]
    said = method.class_logits(torch.from_numpy(data.images[rows])).argmax(dim=1).numpy()
    right = (said == data.labels[rows].argmax(axis=1)).mean()
    assert watched.record.curve[-1].accuracy == pytest.approx(right, abs=1e-12)


def test_looking_does_not_disturb_the_fit(watched: FitResult) -> None:
    quiet = fit(Runtime(curve_points=1, curve_metrics=("map",)))
    assert quiet.record.curve[-1].accuracy is None
    assert quiet.artifacts.samples == {}
    for part in ("query_codes", "database_codes"):
        assert (quiet.artifacts.codes[part] == watched.artifacts.codes[part]).all()
    for name, tensor in quiet.artifacts.weights.items():
        assert torch.equal(tensor, watched.artifacts.weights[name]), name


def test_a_rude_method_is_left_as_it_was() -> None:
    """One that trains BatchNorm, changes modes and draws from global generators when it is asked."""

    class Rude:
        def __init__(self) -> None:
            self.nets = {"list": [nn.Sequential(nn.BatchNorm1d(3), nn.Dropout())]}

    method = Rude()
    network = method.nets["list"][0]
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    expected = (torch.rand(1).item(), np.random.rand(), random.random())
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    with undisturbed(method):
        network.train()(torch.randn(8, 3) + np.random.rand() + random.random())
        network[0].eval()
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected
    assert [part.training for part in network] == [True, False]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.processor
def test_a_resumed_fit_has_the_same_curve(tmp_path: Path, watched: FitResult) -> None:
    with stop_after(4) as stop, pytest.raises(Interrupted):
        fit(workdir=tmp_path, stop=stop)
    assert [path.name for path in tmp_path.glob("samples/*")] == ["step-000004.png"]
    resumed = fit(workdir=tmp_path)
    clock = {"seconds"}
    for one, other in zip(resumed.record.curve, watched.record.curve, strict=True):
        assert one.model_dump(exclude=clock) == other.model_dump(exclude=clock)
    assert resumed.artifacts.samples == watched.artifacts.samples
    for name, content in watched.artifacts.samples.items():
        assert (tmp_path / "samples" / name).read_bytes() == content


def test_grids_lie_beside_the_record_and_those_of_an_earlier_run_go(
    tmp_path: Path, watched: FitResult
) -> None:
    store = Store(tmp_path)
    folder = store.folder(watched.record.spec)
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "step-000999.png").write_bytes(b"old")
    store.save(watched.record, watched.artifacts)
    assert sorted(path.name for path in folder.glob("samples/*")) == sorted(watched.artifacts.samples)
    assert store.get(watched.record.spec) == watched.record


MEASURES = ("fd", "diversity", "density", "coverage", "asked_class")
GENERATED = {f"{name}_generated" for name in MEASURES}
REVISED = {f"{name}_revised" for name in (*MEASURES, "energy_gap")} | {"chain_raises_f", "chain_distance"}


@pytest.mark.parametrize(
    ("method", "there", "flagged"),
    [
        ("coophash-hash-only", set(), False),
        ("coophash-class-only", {"accuracy"}, True),
        ("coophash-generation-only", {*GENERATED, *REVISED, "energy_gap_generated"}, True),
        ("coophash-gan", {"accuracy", *GENERATED}, False),
        ("coophash-nll", {"accuracy", *GENERATED}, False),
        ("hashnet", set(), False),
    ],
)
def test_a_curve_holds_what_a_method_is_trained_for(method: str, there: set[str], flagged: bool) -> None:
    runtime = Runtime(curve_points=1, curve_metrics=EVERYTHING, curve_samples=30)
    record = fit(runtime, methods=(method,), params={}).record
    (point,) = record.curve
    values = point.model_dump(exclude={"step", "seconds", "map", "part"}, exclude_none=True)
    assert set(values) == there
    assert ("curve_map" in record.facts) == flagged
    assert ("curve_fd" in record.facts) == ("fd_generated" in there)


def test_chosen_steps_are_looked_at_and_the_last() -> None:
    runtime = Runtime(curve_steps=(1, 3, 5000), curve_metrics=("map",))
    assert [point.step for point in fit(runtime, methods=("hashnet",), params={}).record.curve] == [1, 3, 7]


def test_points_of_older_records_still_load() -> None:
    point = CurvePoint.model_validate({"step": 3, "seconds": 1.0, "map": 0.5, "part": "query"})
    assert point.accuracy is None


# ---- FID, and the command line ----------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04N."])
def test_a_file_without_inception_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read|are not loaded"):
            inception.check_inception(tmp_path / name)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    torch.save({"one": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="do not fit"):
        inception.check_inception(tmp_path / "other.pth")


@pytest.mark.slow
def test_fid_is_computed_from_a_weights_file_of_either_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights stand in for Inception's: what is tested is the way from a file to a number."""
    network = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    from safetensors.torch import save_file

    with monkeypatch.context() as patch:
        patch.setattr(network, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(network.FeatureExtractorInceptionV3, "load_state_dict", lambda *a, **k: None)
        torch.manual_seed(0)
        state = network.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "weights.safetensors")
    draw, device = torch.Generator().manual_seed(0), torch.device("cpu")
    real = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8, generator=draw)
    fid = inception.InceptionFid(tmp_path / "weights.pth", real, device)
    assert fid.distance(real) < 1e-3
    assert fid.distance(real // 8) > 0, "the fake side starts anew and the real one is kept"
    assert fid.distance(real) < 1e-3
    read = inception.read_weights(tmp_path / "weights.safetensors")
    assert all(torch.equal(read[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--curve-metrics", "map,beauty"), "beauty"),
        (("--curve-steps", "0"), "curve_steps"),
        (("--curve-samples", "1"), "curve_samples"),
        (("--curve-metrics", "fd", "--inception-weights", "/nowhere/w.pth"), "/nowhere/w.pth"),
    ],
)
def test_mistakes_are_one_line(
    run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path, flags: tuple[str, ...], text: str
) -> None:
    code, _, err = run_cli("run", "--results", tmp_path, "--tracking-uri", "none", *flags)
    assert code == 2
    assert text in err
    assert "Traceback" not in err
