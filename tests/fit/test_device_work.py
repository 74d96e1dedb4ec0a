"""What an update asks of its device: where its noise is drawn, what is copied, what is waited for."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark import registry
from benchmark.contracts import FitContext, HashData, Task
from benchmark.fit import context, evaluator
from benchmark.fit.checkpoint import home, read_checkpoint, write_checkpoint
from benchmark.fit.context import RunningContext
from benchmark.fit.devices import has_room
from benchmark.fit.randomness import isolated_generators
from benchmark.fit.runtime import Runtime
from benchmark.fit.setup import open_fit
from benchmark.methods._batches import Ahead
from benchmark.methods._scalars import DeviceScalars
from benchmark.methods.coophash.pairs import LabelPool
from benchmark.metrics import Rules
from benchmark.metrics.engines import choose_engine
from benchmark.stepwise import batch_index
from tests.helpers import digits, one_spec

#: An update draws no more numbers than these on the CPU: shifts and mirrors of a batch, its order, its labels.
FEW = 4096


def task() -> Task:
    return Task(classes=4, bits=16, channels=3, height=16, width=16, multi_label=False, backbone="compact")


def training_set(n: int = 96) -> HashData:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 16, 16), generator=draw, dtype=torch.uint8)
    labels = torch.nn.functional.one_hot(torch.arange(n) % 4, 4).to(torch.uint8)
    return HashData(task(), images, labels, images[: n // 2], crop_padding=2, flip=True)


def pool_on(device: torch.device) -> LabelPool:
    """CoopHash's label sets, some more frequent than others, as if they lay on another device."""
    labels = training_set().labels
    pool = LabelPool(torch.cat([labels, labels[:1].repeat(9, 1)]))
    for name in ("rows", "counts", "balance"):
        setattr(pool, name, getattr(pool, name).to(device))
    return pool


@dataclass
class Watched(FitContext):
    """Keeps the seeds of the generators that draw on the device."""

    on_device: set[int] = field(default_factory=set)

    def device_generator(self, purpose: str, *parts: int) -> torch.Generator:
        self.on_device.add(self.seed(purpose, *parts))
        return super().device_generator(purpose, *parts)


class Draws(TorchDispatchMode):
    """Every draw: how many numbers, and its generator's seed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("randn", "rand", "randint", "normal_", "uniform_"):
            used = (kwargs or {}).get("generator") or torch.default_generator
            self.seen.append((out.numel(), used.initial_seed()))
        return out


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("coophash", {}),
        ("hashgan", {"unlabelled": "use"}),
        ("hswd", {"distance": "swd"}),
        ("jmlh", {}),
        ("cibhash", {}),
    ],
)
def test_noise_is_drawn_on_the_device_from_a_named_seed(method: str, params: dict[str, Any]) -> None:
    cls = registry.method_class(method)
    trained = cls(cls.Params.model_validate(params))
    ctx = Watched(task(), torch.device("cpu"), batch_size=16, updates=4)
    step, draws = trained.step, Draws()

    def watched(batch: Any) -> Any:
        with draws:
            return step(batch)

    trained.step = watched
    trained.fit(training_set(), ctx)
    on_device = [count for count, seed in draws.seen if seed in ctx.on_device]
    elsewhere = [count for count, seed in draws.seen if seed not in ctx.on_device]
    assert on_device, "its noise is drawn on the device"
    assert max(elsewhere, default=0) <= FEW
    assert max(on_device) >= 16 * 16


def test_on_the_cpu_both_generators_draw_the_same() -> None:
    ctx = FitContext(task(), torch.device("cpu"))
    one, other = ctx.generator("noise", 3), ctx.device_generator("noise", 3)
    assert torch.equal(torch.randn(50, generator=one), torch.randn(50, generator=other))
    assert not torch.equal(torch.randn(50, generator=one), torch.randn(50, generator=ctx.generator("other")))


class Pretended(FitContext):
    """A GPU that is not there: tensors without values, so that whatever waits for one fails."""

    def reads(self, step: int) -> bool:
        return False

    def device_generator(self, purpose: str, *parts: int) -> Any:
        return None


class Copies(TorchDispatchMode):
    """Bytes of every copy from the CPU to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("_to_copy", "copy_"):
            source = args[1] if name == "copy_" else args[0]
            if source.device.type == "cpu" and out.device.type != "cpu":
                self.bytes.append(out.nbytes)
        return out


def placed(data: HashData, device: torch.device) -> HashData:
    parts = {name: getattr(data, name).to(device) for name in ("images", "labels", "unlabelled")}
    return dataclasses.replace(data, **parts)


@pytest.mark.parametrize(
    ("method", "copies"), [("hashnet", 1), ("csq", 1), ("hswd", 1), ("coophash", 1), ("hashgan", 20)]
)
def test_an_update_waits_for_nothing(method: str, copies: int) -> None:
    """On a device without values whatever would read one raises; a batch's small draws are all that is copied."""
    _three_updates(method, copies)


@pytest.mark.parametrize(("method", "copies"), [("hashnet", 1), ("coophash", 1), ("hashgan", 20)])
def test_an_update_of_a_resumed_fit_waits_for_nothing(method: str, copies: int, tmp_path: Path) -> None:
    """Also where optimisers count their steps in tensors, which a checkpoint holds."""
    before = _three_updates(method, copies)
    before.scalars = DeviceScalars(lambda step, values: None)  # what waits there has no values
    saved = {"training": before._training_state(3), "fit_id": "0" * 16, "seconds": 0.0}
    write_checkpoint(tmp_path, saved | {"scalars": [], "curve": [], "best": None})
    found = read_checkpoint(tmp_path, "0" * 16, torch.device("meta"))
    assert found is not None
    states = [state for one in found["training"]["optimizers"].values() for state in one["state"].values()]
    assert method == "hashnet" or any("step" in state for state in states)
    _three_updates(method, copies, found["training"])


def _three_updates(method: str, copies: int, saved: dict[str, Any] | None = None) -> Any:
    """From the start, or from a training state."""
    trained, data, device = registry.method_class(method)(), training_set(), torch.device("meta")
    trained._assemble(Pretended(task(), device, batch_size=32, updates=6))
    trained.optimizers = trained.build_optimizers()
    trained.begin(data)
    if method == "coophash":  # the distinct label sets are found once, before the first update
        trained.pool = pool_on(device)
    data = trained.data = placed(data, device)
    first = trained._resume(saved)
    for step in range(first, first + 3):
        trained.scalars.begin(step, at_once=False)
        trained.networks.train()
        batch_index(len(data.images), 32, step, trained.ctx)  # an epoch's order is copied once
        with Copies() as copied:
            trained.scalars.log(trained.step(trained._batch(data, step)))
        assert len(copied.bytes) <= copies
        assert max(copied.bytes) <= FEW
    return trained


def test_a_gpu_is_read_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context.time, "monotonic", lambda: 0.0)
    ctx = RunningContext(
        task(),
        torch.device("meta"),
        updates=200,
        spec=one_spec(),
        runtime=Runtime(curve_points=1, curve_steps=(131,)),
    )
    assert [step for step in range(200) if ctx.reads(step)] == [0, 50, 100, 130, 180, 199]
    monkeypatch.setattr(context.time, "monotonic", lambda: 1.5)
    assert ctx.reads(185), "updates that take long are read one by one"
    ctx.device = torch.device("cpu")
    assert all(ctx.reads(step) for step in range(200))


@dataclass
class Seldom(FitContext):
    """Reads after every tenth update, as on a GPU."""

    def reads(self, step: int) -> bool:
        return step % 10 == 9


def test_the_first_bad_update_is_named_when_it_is_read() -> None:
    trained = registry.method_class("hashnet")()
    ctx, loss = Seldom(task(), torch.device("cpu"), batch_size=32, updates=30), trained.loss
    trained.loss = lambda outputs, batch: {
        name: value * (float("nan") if batch.step >= 13 else 1)
        for name, value in loss(outputs, batch).items()
    }
    with pytest.raises(FloatingPointError, match=r"^loss is not finite at update 13$"):
        trained.fit(training_set(), ctx)
    assert [step for step, _ in ctx.scalars] == [*range(13)]


def test_what_is_read_late_is_the_same() -> None:
    seen = []
    for kind in (FitContext, Seldom):
        ctx, trained = (
            kind(task(), torch.device("cpu"), batch_size=32, updates=14),
            registry.method_class("coophash")(),
        )
        trained.fit(training_set(), ctx)
        seen.append((ctx.scalars, trained.encode(training_set().images)))
    assert seen[0][0] == seen[1][0]
    assert len(seen[0][0]) == 14
    assert torch.equal(seen[0][1], seen[1][1])


def test_what_breaks_because_of_a_bad_value_names_that_value() -> None:
    trained = registry.method_class("hashnet")()
    ctx, loss = Seldom(task(), torch.device("cpu"), batch_size=32, updates=30), trained.loss

    def broken(outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        if batch.step == 6:
            raise RuntimeError("the factorisation did not converge")
        return {
            name: value * (float("nan") if batch.step == 5 else 1)
            for name, value in loss(outputs, batch).items()
        }

    trained.loss = broken
    with pytest.raises(FloatingPointError, match=r"at update 5$"):
        trained.fit(training_set(), ctx)


def test_step_counters_of_a_resumed_fit_stay_on_the_cpu() -> None:
    device, storage = torch.device("meta"), torch.UntypedStorage(8)
    assert home(device, storage, "cpu") is storage
    assert home(device, storage, "cuda:0").device.type == "meta"


# ---- one device for a fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("cuda:1", ["cuda:1"]), ("meta", [])])
def test_generators_of_other_gpus_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, device: str, asked: list[str]
) -> None:
    seen: list[list[str]] = []
    plain = torch.random.fork_rng

    def spy(devices: Any = None, **options: Any) -> Any:
        seen.append([str(one) for one in devices])
        return plain(devices=[], **options)

    monkeypatch.setattr(torch.random, "fork_rng", spy)
    with isolated_generators(device):
        torch.rand(3)
    assert seen == [asked]


def test_only_the_fits_own_device_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_engine("auto", 10**11, "cuda:1") == choose_engine("auto", 10**11) == "torch"
    assert "torch" not in (choose_engine("auto", 10**11, "cpu"), choose_engine("auto", 10**11, "mps"))
    seen: list[Any] = []
    note = lambda *codes, **options: seen.append(options["device"])  # noqa: E731
    monkeypatch.setattr("benchmark.metrics.evaluation.evaluate", note)
    codes = {name: torch.zeros(1).numpy() for name in ("query_codes", "database_codes", "query_labels")}
    with pytest.raises(AttributeError):
        evaluator.score(codes | {"database_labels": None}, 8, Rules(), device="cuda:1")  # type: ignore[dict-item]
    assert seen == ["cuda:1"]


def test_coophash_calibrates_large_images_in_chunks() -> None:
    def passes(side: int) -> list[int]:
        trained = registry.method_class("coophash")()
        ctx = FitContext(dataclasses.replace(task(), height=side, width=side), torch.device("meta"))
        trained._assemble(ctx)
        sizes: list[int] = []
        trained.descriptor.base.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
        trained.descriptor.calibrate(torch.empty(512, 3, side, side, device="meta"), 0.1)
        return sizes

    assert passes(32) == [512]
    assert passes(224) == [64] * 8


# ---- training images that do not fit the device ------------------------------------------------------------


@pytest.mark.parametrize("method", ["hashnet", "coophash", "hashgan", "cibhash", "bihalf-u", "csq", "dnnh"])
def test_batches_of_images_in_host_memory_reach_the_device(method: str) -> None:
    trained, data, device = registry.method_class(method)(), training_set(), torch.device("meta")
    assert trained.takes_host_images
    trained._assemble(Pretended(task(), device, batch_size=32, updates=6))
    trained.optimizers = trained.build_optimizers()
    data = dataclasses.replace(data, labels=data.labels.to(device))
    if method == "coophash":
        trained.begin(training_set())
        trained.pool = pool_on(device)
        trained.unlabelled = data
    else:
        trained.begin(data)
    trained.networks.train()
    trained.scalars.begin(0, at_once=False)
    batch = trained._batch(data, 0)
    assert (batch.images.device, batch.index.device) == (device, device)
    trained.scalars.log(trained.step(batch))


@pytest.mark.parametrize("method", ["hashnet", "coophash"])
def test_batches_fetched_ahead_are_the_same(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """In a thread while the update before runs, across the ends of epochs; the thread ends with the fit."""

    def codes(ahead: bool) -> torch.Tensor:
        trained = registry.method_class(method)()
        monkeypatch.setattr(type(trained), "_fetch_ahead", lambda self, data: ahead)
        trained.fit(training_set(), FitContext(task(), torch.device("cpu"), batch_size=20, updates=7))
        assert trained._ahead is None
        return trained.encode(training_set().images)

    assert torch.equal(codes(ahead=False), codes(ahead=True))
    assert not [one for one in threading.enumerate() if one.name.startswith("batches")]


def test_what_is_made_ahead_is_asked_for_in_any_order_and_fails_where_it_is_asked_for() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        if step == 4:
            raise ValueError("no such row")
        return 10 * step

    ahead = Ahead(make, 6)
    assert [ahead(2), ahead(3)] == [20, 30]
    with pytest.raises(ValueError, match="no such row"):
        ahead(4)
    assert ahead(5) == 50
    ahead.close()
    assert sorted(set(made)) == [2, 3, 4, 5]


def test_images_stay_in_host_memory_only_where_the_method_takes_them_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = {"bytes": 10**9}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free["bytes"], 0))
    assert has_room(5 * 10**8, torch.device("cuda:0"))
    assert not has_room(5 * 10**8 + 1, torch.device("cuda:0"))
    assert has_room(10**15, torch.device("cpu"))
    seen: list[bool] = []
    made = open_fit(one_spec(), digits(), Runtime()).evaluator
    monkeypatch.setattr(evaluator, "has_room", lambda size, device: seen.append(True))
    monkeypatch.setattr(type(made), "_host_images", lambda self, rows: torch.zeros(len(rows)))
    assert made.training_data(task(), host=True).images.dim() == 1
    assert made.training_data(task()).images.dim() == 4
    assert len(seen) == 1
