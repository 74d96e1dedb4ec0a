"""Frozen backbones: features like those of the network, computed once, resumed, shared, read by every method."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from benchmark import metrics, registry
from benchmark.authoring import tune
from benchmark.contracts import VECTORS, DatasetInfo, Task
from benchmark.errors import InputError
from benchmark.fit import frozen
from benchmark.fit.frozen import BLOCK, frozen_features
from benchmark.fit.result import Interrupted
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import open_fit
from benchmark.methods._backbones import build_backbone, features_of
from benchmark.methods._networks import HashNetwork
from benchmark.methods._pretrained import load_file
from benchmark.methods._stepwise import StepwiseMethod
from benchmark.spec import PLAIN, FitSpec, Preprocessing, suites
from benchmark.spec.command import command_of, sweep_of
from benchmark.spec.weights import weights_file, weights_for_task, weights_identity
from benchmark.store.store import Store
from benchmark.sweep import plan as planning
from tests.helpers import digits, execute, one_spec, only, sweep

Cli = Callable[..., tuple[int, str, str]]

#: Small networks of each kind: a convolutional one and a transformer of timm, and torchvision's.
BACKBONES = [("test_efficientnet", 32), ("test_vit", 32), ("alexnet", 64)]
SMALL: dict[str, Any] = {
    "backbone": "test_efficientnet",
    "frozen": True,
    "preprocessing": {"size": 32},
    "methods": ("hashnet",),
}


@pytest.fixture(scope="module")
def spec() -> FitSpec:
    return one_spec(**SMALL)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own for features; data sets decoded there cost little."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BENCHMARK_CACHE", str(folder))
    return folder


def few(rows: int = 2 * BLOCK + 40) -> Any:
    """Some of the digits under a fingerprint of their own."""
    data = digits()
    return replace(
        data,
        images=data.images[:rows],
        labels=data.labels[:rows],
        names=data.names[:rows],
        fingerprint="f" * 16,
    )


class TestLikeTheNetwork:
    @pytest.mark.processor
    @pytest.mark.parametrize(("backbone", "size"), BACKBONES)
    def test_frozen_equals_the_trained_way_without_training(self, backbone: str, size: int) -> None:
        """Features, outputs, codes and mAP, with one head and a backbone that no update touched."""
        torch.set_num_threads(1)
        changes = {**SMALL, "backbone": backbone, "preprocessing": {"size": size}}
        opened = open_fit(one_spec(**changes), digits(), Runtime())
        plain = open_fit(one_spec(**{**changes, "frozen": False}), digits(), Runtime())
        for one in (opened, plain):
            assert isinstance(one.method, StepwiseMethod)
            one.method._assemble(one.ctx)
        network, head = plain.method.networks["hash"].eval(), opened.method.networks["hash"]  # type: ignore[attr-defined]
        rows = opened.split.query
        pixels, vectors = plain.evaluator.images(rows), opened.evaluator.images(rows)
        with torch.no_grad():
            features = network.backbone(pixels.float() / 127.5 - 1)
        scale = features.abs().max()
        assert vectors.shape == (len(rows), network.backbone.features)
        assert torch.allclose(features / scale, vectors / scale, atol=1e-5)
        head.centre.copy_(vectors.mean(dim=0))
        network.head.load_state_dict(head.head.state_dict())
        network.centre.copy_(head.centre)
        database = opened.split.database
        labels = [opened.evaluator.labels(part) for part in (rows, database)]
        outputs = [
            [one.evaluator.encode(one.method, part)[0] for part in (rows, database)]
            for one in (opened, plain)
        ]
        for frozen_side, plain_side in zip(*outputs, strict=True):
            assert np.allclose(frozen_side, plain_side, atol=1e-5 * float(scale) * 10)
            # A sign may differ only where the output is within rounding of 0.
            near = np.abs(plain_side) > 1e-4 * float(scale)
            assert ((frozen_side > 0) == (plain_side > 0))[near].all()
        scores = [metrics.mean_average_precision(*pair, *labels) for pair in outputs]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)

    def test_the_seed_of_an_untrained_backbone_counts_and_that_of_a_trained_one_does_not(
        self, spec: FitSpec, tmp_path: Path
    ) -> None:
        data = few(BLOCK)
        a, b = (np.array(frozen_features(data, spec, Runtime(), seed).data.images) for seed in (1, 2))
        assert not np.allclose(a, b)
        file = tmp_path / "weights.pt"
        torch.save(_body().state_dict(), file)
        named = spec.model_copy(update={"weights": weights_identity(str(file))})
        runtime = Runtime(weights_file=weights_for_task(str(file)))
        a, b = (np.array(frozen_features(data, named, runtime, seed).data.images) for seed in (1, 2))
        assert (a == b).all()
        assert len(list(frozen.cache_root().glob("features/digits-*"))) == 3

    def test_batch_normalisation_keeps_its_statistics(self, spec: FitSpec) -> None:
        features = frozen_features(few(BLOCK), spec, Runtime(), 1)
        before = {name: tensor.clone() for name, tensor in features.network.body.state_dict().items()}
        assert any("running_mean" in name for name in before)
        features.of(torch.from_numpy(few(64).images))
        after = features.network.body.state_dict()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())

    def test_preprocessing_is_the_models_own_unless_overridden(self) -> None:
        task = Task(8, 10, 1, 8, 8, backbone="test_efficientnet")
        used = build_backbone(task).used  # type: ignore[attr-defined]
        assert (used.size, used.interpolation, used.mean) == (160, "bicubic", (0.485, 0.456, 0.406))
        changed = Preprocessing(size=48, interpolation="bilinear", crop=0.75, mean=(0.0,), std=(1.0,))
        network = build_backbone(replace(task, preprocessing=changed))
        ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
        seen: list[torch.Tensor] = []
        network.body.register_forward_pre_hook(lambda module, given: seen.append(given[0]))  # type: ignore[operator, union-attr]
        network(ramp)
        assert seen[0].shape == (1, 3, 48, 48)
        # Resized to 64, of which the middle 48 columns stay: from 8/63 to 55/63 of the ramp, in 0..1.
        assert seen[0][0, 0, 0, 0] == pytest.approx(8 / 63, abs=1e-5)
        assert seen[0][0, 2, -1, -1] == pytest.approx(55 / 63, abs=1e-5)

    @pytest.mark.parametrize("backbone", ["compact", "alexnet", "test_efficientnet", "test_vit", "resnet18"])
    def test_the_width_is_known_without_the_network(self, backbone: str) -> None:
        task = Task(8, 10, 3, 32, 32, backbone=backbone)
        assert features_of(task) == build_backbone(task).features


def _body() -> torch.nn.Module:
    torch.manual_seed(5)
    body = build_backbone(Task(8, 10, 1, 8, 8, backbone="test_efficientnet")).body
    assert isinstance(body, torch.nn.Module)
    return body


class TestCache:
    def test_an_extraction_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
        self, spec: FitSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = few()
        whole = np.array(frozen_features(data, spec, Runtime(), 1).data.images)
        (folder,) = cache.glob("features/*")
        for file in folder.iterdir():
            file.unlink()
        steps: list[int] = []
        with pytest.raises(Interrupted):
            frozen_features(data, spec, Runtime(), 1, lambda event: steps.append(event.step), lambda: True)
        assert steps == [BLOCK]
        again: list[int] = []
        found = frozen_features(data, spec, Runtime(), 1, lambda event: again.append(event.step))
        assert again == [2 * BLOCK, len(data.images)], "the first block is not computed twice"
        assert found.data.images.tobytes() == whole.tobytes()
        monkeypatch.setattr(
            frozen, "build_backbone", lambda task: pytest.fail("finished features need no network")
        )
        assert frozen_features(data, spec, Runtime(), 1).data.images.tobytes() == whole.tobytes()

    @pytest.mark.parametrize("mark", ["", "[]", "7", "99999999", "-256", '"256"', "nonsense"])
    def test_a_damaged_mark_costs_time_and_no_number(self, spec: FitSpec, cache: Path, mark: str) -> None:
        data = few(BLOCK + 10)
        whole = np.array(frozen_features(data, spec, Runtime(), 1).data.images)
        (folder,) = cache.glob("features/*")
        (folder / "facts.json").unlink()
        (folder / "features.npy").rename(folder / "partial.npy")
        array = np.load(folder / "partial.npy", mmap_mode="r+")
        array[:] = 7
        array.flush()
        (folder / "done.json").write_text(mark)
        assert frozen_features(data, spec, Runtime(), 1).data.images.tobytes() == whole.tobytes()

    def test_who_finds_another_process_at_work_waits_for_it(
        self, spec: FitSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = few(BLOCK)
        whole = np.array(frozen_features(data, spec, Runtime(), 1).data.images)
        (folder,) = cache.glob("features/*")
        facts = (folder / "facts.json").read_text()
        (folder / "facts.json").unlink()
        waiting, found = threading.Event(), list[Any]()
        monkeypatch.setattr(frozen, "build_backbone", lambda task: pytest.fail("it is computed elsewhere"))
        with FileLock(folder / "lock"):
            work = threading.Thread(
                target=lambda: found.append(
                    frozen_features(data, spec, Runtime(), 1, lambda event: waiting.set())
                )
            )
            work.start()
            assert waiting.wait(60)
            (folder / "facts.json").write_text(facts)
        work.join(60)
        assert found[0].data.images.tobytes() == whole.tobytes()

    def test_features_that_are_not_finite_are_refused(
        self, spec: FitSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(task: Task) -> torch.nn.Module:
            network = build_backbone(task)
            next(network.parameters()).data.fill_(float("nan"))
            return network

        monkeypatch.setattr(frozen, "build_backbone", broken)
        with pytest.raises(InputError, match="gives features that are not finite"):
            frozen_features(few(BLOCK), spec, Runtime(), 1)
        assert not list(cache.glob("features/*/features.npy"))


class TestFits:
    def test_a_frozen_fit_its_record_its_command_and_its_repetition(
        self, tmp_path: Path, run_cli: Cli
    ) -> None:
        _, summary, _ = execute(
            tmp_path, **{**SMALL, "methods": ("hashnet", "itq")}, label_fractions=(1 / 3,)
        )
        for record in summary.records:
            assert record.state == "done"
            assert record.spec.frozen
            assert record.facts["features"] == (
                "test_efficientnet backbone, weights none, frozen, 256-d, no augmentation"
            )
            assert record.facts["frozen_features"] == 256
            assert "size 32" in str(record.facts["frozen_preprocessing"])
            words = command_of(record.spec).split()[4:]
            flags = {word[2:]: words[place + 1] for place, word in enumerate(words) if word.startswith("--")}
            flags = {name: value for name, value in flags.items() if name not in ("set", "frozen")}
            (cell,) = planning.plan(
                suites.resolve(None, {**flags, "frozen": True}).sweep, Store(tmp_path), None
            ).fits
            assert cell.state == "done"
            assert sweep_of(record.spec) == sweep_of(cell.fit)  # type: ignore[union-attr]
        code, out, err = run_cli(
            "verify", summary.records[0].fit_id, "--results", tmp_path, "--device", "cpu"
        )
        assert code == 0, out + err
        assert "code bits are the same" in out

    def test_views_are_encoded_through_the_same_backbone(self, tmp_path: Path) -> None:
        _, summary, store = execute(tmp_path, **SMALL, views=("clean", "corruption:gaussian_noise@1"))
        record = only(summary)
        assert {facts.view for facts in record.views} == {"corruption:gaussian_noise@1"}
        opened = open_fit(record.spec, digits(), Runtime())
        from benchmark.data.view_images import corrupted
        from benchmark.spec.views import parse_view

        opened.method.load_state(store.weights(record.spec), opened.ctx)
        images = corrupted(
            digits(), opened.split.query, parse_view("corruption:gaussian_noise@1"), None, keep=False
        )
        outputs = opened.method.encode(opened.given(images)(0, len(images.rows))).numpy()
        with np.load(store.folder(record.spec) / "views.npz") as arrays:
            (name,) = [name for name in arrays if name.endswith("query_codes")]
            stored = metrics.unpack_codes(arrays[name], record.spec.bits)
        wrong = (stored != (outputs >= 0)).mean()
        assert wrong < 0.001

    def test_the_weights_file_of_a_suite_is_found_again(self, tmp_path: Path, run_cli: Cli) -> None:
        """Its place is in the saved sweep, where the command names a suite alone."""
        file, suite, results = tmp_path / "weights.pt", tmp_path / "mine.toml", tmp_path / "runs"
        torch.save(_body().state_dict(), file)
        suite.write_text(
            f'methods = ["itq"]\nbits = [8]\nfrozen = true\nbackbone = "test_efficientnet"\ninput_size = 32\n'
            f'weights = "{file}"\n'
        )
        flags = ("--suite", suite, "--results", results, "--tracking-uri", "none", "--device", "cpu")
        assert run_cli("run", *flags)[0] == 0
        (folder,) = (path.parent for path in results.rglob("record.json"))
        words = (folder.name[-16:], "--results", results, "--device", "cpu")
        code, _, err = run_cli("encode", *words, "--dataset", "digits", "--out", tmp_path / "codes.npz")
        assert code == 0, err
        assert run_cli("verify", *words)[0] == 0
        file.write_bytes(file.read_bytes() + b"0")
        code, _, err = run_cli("verify", *words)
        assert code == 2
        assert "are not those of fit" in err

    def test_fits_share_the_features_of_a_view(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second method encodes no image anew, and finds what it would have found alone."""
        seen: list[int] = []
        real = frozen.encode_with
        monkeypatch.setattr(
            frozen, "encode_with", lambda body, images: seen.append(len(images)) or real(body, images)
        )
        view = "corruption:gaussian_noise@1"
        flags = {**SMALL, "views": ("clean", view)}

        def scores(folder: str, *methods: str) -> dict[str, float | None]:
            _, summary, _ = execute(tmp_path / folder, **{**flags, "methods": methods})
            return {record.spec.method: record.score("map", view) for record in summary.records}

        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "shared"))
        both = scores("both", "itq", "lsh")
        assert sum(seen) == 1797 + 200
        monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "alone"))
        monkeypatch.setenv("BENCHMARK_VIEW_CACHE_GIB", "0")
        assert scores("alone", "lsh") == {"lsh": both["lsh"]}
        assert scores("again", "itq") == {"itq": both["itq"]}
        assert sum(seen) == 2 * 1797 + 3 * 200, "without room each fit encodes the view anew"

    def test_what_needs_pixels_is_left_out_with_the_reason(self) -> None:
        methods = ("coophash", "hashgan", "cibhash", "hashnet", "itq")
        plan = planning.plan(sweep(**{**SMALL, "methods": methods}), Store(Path("/nonexistent")), None)
        states = {cell.label.split()[0]: (cell.state, cell.reason) for cell in plan.fits}
        assert {name for name, (state, _) in states.items() if state == "planned"} == {"hashnet", "itq"}
        assert all("pixels" in reason for state, reason in states.values() if state == "skipped")

    def test_the_plan_tells_the_time_of_encoding(self, tmp_path: Path, run_cli: Cli) -> None:
        flags = ("--backbone", "test_efficientnet", "--frozen", "--input-size", "32", "--methods", "itq,lsh")
        flags = (*flags, "--bits", "12", "--seeds", "0,1", "--device", "cpu", "--results", tmp_path)
        code, out, _ = run_cli("run", *flags, "--plan")
        assert code == 0
        # Untrained backbones differ by seed, and so do queries: five views of 200 queries each for two methods.
        assert "features of digits: 3,594 images, once; about" in out
        code, out, _ = run_cli("run", *flags, "--views", "clean,corruption:gaussian_noise", "--plan")
        assert (
            "features of digits: 3,594 images, once; 2,000 changed images of views, once, at most; about"
            in out
        )
        assert run_cli("run", *flags, "--tracking-uri", "none")[0] == 0
        code, out, _ = run_cli("run", *flags[:-1], tmp_path / "another", "--plan")
        assert "features of digits: in the cache" in out

    def test_a_search_reads_what_a_fit_reads(self, tmp_path: Path, run_cli: Cli) -> None:
        reading = ("--backbone", "test_efficientnet", "--frozen", "--input-size", "32", "--head", "mlp:16")
        flags = ("--bits", "12", "--trials", "2", "--epochs", "1", "--device", "cpu", "--results", tmp_path)
        code, _, err = run_cli("tune", "hashnet", "--dataset", "digits", *flags, *reading)
        assert code == 0, err
        (path,) = (tmp_path / "tuning").glob("*.json")
        setting = tune.read_study(path).setting
        assert (setting.frozen, setting.preprocessing.size, setting.head) == (True, 32, "mlp:16")
        opened = open_fit(one_spec(**SMALL), digits(), Runtime())
        assert np.array_equal(tune.prepare(setting, None).data.images, opened.evaluator.data.images)
        plan = ("run", "--methods", "hashnet", *reading[:2], "--tuned", path, "--plan", "--results", tmp_path)
        for asked, said in (
            (reading[2:], ""),
            (reading[2:5], "made for features --frozen --preprocessing size=32 --head mlp:16, not for --fro"),
            ((), "not for neither --frozen nor --preprocessing nor --head"),
        ):
            code, _, err = run_cli(*plan, *asked)
            assert (code, said in err) == (2 if said else 0, True), err

    def test_identity(self, spec: FitSpec) -> None:
        """Records without these fields keep their identity; each of them makes another fit."""
        plain = one_spec(methods=("hashnet",))
        old = plain.model_dump(mode="json", exclude={"frozen", "preprocessing", "head"})
        assert FitSpec.model_validate(old).fit_id == plain.fit_id
        others = [{"frozen": True}, {"preprocessing": Preprocessing(size=48)}, {"head": "mlp:32"}]
        ids = {spec.fit_id, plain.fit_id, *(plain.model_copy(update=change).fit_id for change in others)}
        assert len(ids) == 5


class TestHeads:
    def test_a_hidden_layer_learns_at_the_heads_rate(self) -> None:
        opened = open_fit(one_spec(methods=("csq",), backbone="compact", head="mlp:24"), digits(), Runtime())
        method = opened.method
        assert isinstance(method, StepwiseMethod)
        method._assemble(opened.ctx)
        network = method.networks["hash"]
        assert isinstance(network, HashNetwork)
        assert network.head.in_features == 24
        groups = method.make_optimizer(method.networks, backbone_factor=0.1).param_groups
        rates = {id(p): group["lr"] for group in groups for p in group["params"]}
        hidden, body = network.backbone.layer, network.backbone.body
        assert rates[id(hidden.weight)] == rates[id(network.head.weight)]  # type: ignore[union-attr]
        assert rates[id(next(body.parameters()))] == pytest.approx(0.1 * rates[id(network.head.weight)])  # type: ignore[union-attr, operator]

    def test_it_is_part_of_the_fit_and_of_the_command(self, tmp_path: Path) -> None:
        _, summary, _ = execute(tmp_path, **{**SMALL, "methods": ("csq", "itq"), "head": "mlp:24"})
        heads = {record.spec.method: record.spec.head for record in summary.records}
        assert heads == {"csq": "mlp:24", "itq": ""}, "a closed form has no head"
        assert all(record.state == "done" for record in summary.records)
        assert "--head mlp:24" in command_of(next(r.spec for r in summary.records if r.spec.head))


class TestWeights:
    @pytest.fixture
    def renamed(self, tmp_path: Path) -> Path:
        """The tensors of a network under other names, with a classifier behind them."""
        state = {f"module.{number}": tensor for number, tensor in enumerate(_body().state_dict().values())}
        state |= {"module.fc.weight": torch.zeros(10, 256), "module.fc.bias": torch.zeros(10)}
        path = tmp_path / "renamed.pth"
        torch.save(state, path)
        return path

    def test_other_names_in_the_same_order_load_when_asked_for(self, renamed: Path) -> None:
        task = Task(8, 10, 1, 8, 8, backbone="test_efficientnet", weights=str(renamed))
        with pytest.raises(InputError, match=f"give --weights by-order:{renamed} to load them so"):
            build_backbone(task)
        loaded = build_backbone(replace(task, weights=f"by-order:{renamed}")).body
        wanted = _body().state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in loaded.state_dict().items())  # type: ignore[union-attr, operator]

    @pytest.mark.parametrize("change", ["shape", "order", "more"])
    def test_other_shapes_do_not(self, renamed: Path, change: str) -> None:
        state = torch.load(renamed, weights_only=True)
        names = list(state)
        if change == "shape":
            state[names[0]] = state[names[0]][:-1]
        elif change == "order":
            state = {name: state[name] for name in [names[2], *names[:2], *names[3:]]}
        else:
            state |= {"one": torch.zeros(3)}
        torch.save(state, renamed)
        with pytest.raises(InputError, match="does not fit"):
            load_file(_body(), str(renamed))
        with pytest.raises(InputError, match="does not fit by order"):
            load_file(_body(), f"by-order:{renamed}")

    def test_a_package_that_ships_one_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        info = tmp_path / "shipped_weights-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shipped-weights\nVersion: 1.0\n")
        (info / "RECORD").write_text("shipped/net.pth,,\nshipped/__init__.py,,\n")
        (tmp_path / "shipped").mkdir()
        torch.save(_body().state_dict(), tmp_path / "shipped" / "net.pth")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        assert weights_file("by-order:package:shipped-weights") == tmp_path / "shipped" / "net.pth"
        (tmp_path / "shipped" / "other.bin").write_bytes(b"more")
        two = tmp_path / "two_weights-1.0.dist-info"
        two.mkdir()
        (two / "METADATA").write_text("Metadata-Version: 2.1\nName: two-weights\nVersion: 1.0\n")
        (two / "RECORD").write_text("shipped/net.pth,,\nshipped/other.bin,,\n")
        importlib.invalidate_caches()
        with pytest.raises(InputError, match="holds 2 files of weights"):
            weights_file("package:two-weights")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"backbone": "compact", "preprocessing": {"size": 32}}, "takes images as they are"),
    ({"backbone": "compact", "weights": "imagenet"}, "has no weights"),
    (
        {"backbone": "test_efficientnett"},
        "unknown backbone 'test_efficientnett': did you mean test_efficientnet",
    ),
    ({"backbone": VECTORS}, "does not take images"),
    ({"backbone": "test_efficientnet", "weights": "imagenet-v1"}, "resnet50.tv_in1k"),
    ({"backbone": "resnet18", "weights": "imagenet-v2"}, "publishes no weights IMAGENET1K_V2 of resnet18"),
    ({"weights": "package:no-such-package-anywhere"}, "no such package is installed"),
    ({"weights": "nowhere.pt"}, "no such file"),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED)
def test_what_cannot_be_is_refused_before_anything_runs(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        planning.plan(sweep(methods=("hashnet",), **changes), Store(Path("/nonexistent")), None)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--head", "mlp:0"), "head"),
        (("--head", "deep"), "head"),
        (("--input-size", "4"), "size"),
        (("--input-size", "many"), "size"),
        (("--preprocessing", "sise=32"), "sise"),
        (("--preprocessing", "mean=a"), "mean"),
        (("--preprocessing", "std=0"), "std must be above 0"),
        (("--preprocessing", "mean=0.1/0.2"), "one number, or three"),
        (("--preprocessing", "interpolation=lanczos"), "interpolation"),
    ],
)
def test_bad_flags_are_one_line(tmp_path: Path, run_cli: Cli, flags: tuple[str, ...], text: str) -> None:
    command = ("run", "--methods", "hashnet", "--backbone", "test_vit", "--results", tmp_path)
    code, _, err = run_cli(*command, *flags)
    assert (code, err.count("\n")) == (2, 1)
    assert text in err


def test_vectors_are_facts_of_a_data_set() -> None:
    info = digits().info.as_vectors(64)
    task = info.task(16, "compact", "none", PLAIN, "")
    assert (task.inputs, task.backbone, task.channels, task.height) == ("vectors", VECTORS, 64, 1)
    facts = info.model_dump()
    for changes, text in [({"height": 3}, "vectors have height"), ({"flip": True}, "no augmentation")]:
        with pytest.raises(ValueError, match=text):
            DatasetInfo.model_validate({**facts, **changes})
    with pytest.raises(ValueError, match="at least 4 x 4"):
        DatasetInfo.model_validate({**digits().info.model_dump(), "width": 2})
    assert registry.find("datasets", "digits").dataset_info.inputs == "images"
