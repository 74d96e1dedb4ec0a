"""Every registered method conforms; a method broken in one way is caught by exactly that check."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from benchmark import registry
from benchmark.authoring.conformance import CHECKS, check_method, passed
from benchmark.authoring.conformance import data as tiny
from benchmark.authoring.conformance.lab import Check, Finding
from benchmark.contracts import HashMethod, MethodInfo, Params
from benchmark.errors import InputError
from benchmark.methods._stepwise import Recipe, StepwiseMethod, StepwiseParams


def info(**changes: Any) -> MethodInfo:
    facts = {
        "name": "dummy",
        "title": "Dummy",
        "paper": "none",
        "year": 2020,
        "venue": "none",
        "version": 1,
        "labels": ("single", "multi"),
        "supervision": "pointwise",
        "trained_by": "closed-form",
    }
    return MethodInfo(**{**facts, **changes})


class Fine(HashMethod):
    """Ridge regression from pixels to a random code for each class; conforms."""

    info = info()

    def fit(self, data: Any, ctx: Any) -> None:
        bits = ctx.task.bits
        generator = ctx.generator("codes")
        codes = torch.randn(ctx.task.classes, bits, generator=generator)
        codes = codes - codes.mean(dim=0)
        x = data.images.float().flatten(1) / 255
        self.mean = x.mean(dim=0)
        centred = x - self.mean
        gram = centred.T @ centred + torch.eye(x.shape[1])
        self.weights = torch.linalg.solve(gram, centred.T @ (data.labels.float() @ codes))
        self.weights += 1e-3 * torch.randn(self.weights.shape, generator=generator)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return (images.float().flatten(1) / 255 - self.mean) @ self.weights

    def state(self) -> dict[str, torch.Tensor]:
        return {"weights": self.weights, "mean": self.mean}

    def load_state(self, state: Any, ctx: Any) -> None:
        self.weights, self.mean = state["weights"], state["mean"]


class Nameless(Fine):
    info = info(known_failures={"no-such-check": "because"})


class Forgetful(Fine):
    """Its parameters do not come back as they were."""

    class Params(Params):
        """One parameter that drifts."""

        value: float = 1.0

        def model_dump(self, **options: Any) -> dict[str, Any]:
            return {"value": self.value + 1}


class Tolerant(Fine):
    """It swallows misspelt parameters."""

    class Params(Params):
        """Ignores what it does not know."""

        model_config = {"extra": "ignore", "frozen": True}


class Raising(Fine):
    """It cannot be trained."""

    def fit(self, data: Any, ctx: Any) -> None:
        raise RuntimeError("no")


class PowerOfTwo(Fine):
    """It needs a power of two."""

    def fit(self, data: Any, ctx: Any) -> None:
        if ctx.task.bits & (ctx.task.bits - 1):
            raise ValueError("bits must be a power of two")
        super().fit(data, ctx)


class Doubled(Fine):
    """It returns float64."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return super().encode(images).double()


class Wide(Fine):
    """It returns one column too many."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        outputs = super().encode(images)
        return torch.cat([outputs, outputs[:, :1]], dim=1)


class Moody(Fine):
    """Its fit draws from the operating system's entropy."""

    def fit(self, data: Any, ctx: Any) -> None:
        super().fit(data, ctx)
        self.weights += (
            1e-2 * torch.from_numpy(np.random.default_rng().normal(size=self.weights.shape)).float()
        )


class BatchBound(Fine):
    """It subtracts the batch's mean."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        outputs = super().encode(images)
        return outputs - outputs.mean(dim=0) if len(images) > 1 else outputs


class Ordered(Fine):
    """Its outputs depend on the even and odd places of a large batch."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        outputs = super().encode(images)
        if len(images) > 50 and not torch.equal(images, tiny.tiny_set().test_images):
            outputs[::2] *= -1
        return outputs


class Unsaved(Fine):
    """Its state leaves the mean out."""

    def load_state(self, state: Any, ctx: Any) -> None:
        self.weights, self.mean = state["weights"], torch.zeros_like(state["mean"])


class Writing(Fine):
    """It scales the images that it is handed, in place."""

    def fit(self, data: Any, ctx: Any) -> None:
        super().fit(data, ctx)
        data.images.zero_()


class Reseeding(Fine):
    """It seeds NumPy's global generator."""

    def fit(self, data: Any, ctx: Any) -> None:
        np.random.seed(0)
        super().fit(data, ctx)


class ReseedingPython(Fine):
    """It seeds Python's global generator while encoding."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        random.seed(1)
        return super().encode(images)


class NeedsPairs(Fine):
    """It wants two labelled images a class."""

    def fit(self, data: Any, ctx: Any) -> None:
        if len(data.images) < 2 * ctx.task.classes:
            raise ValueError("too few labels")
        super().fit(data, ctx)


class SingleOnly(Fine):
    """It declares multi-label data but asks for class indices."""

    def fit(self, data: Any, ctx: Any) -> None:
        assert len(data.class_ids)
        super().fit(data, ctx)


class Constant(Fine):
    """One bit never changes."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        outputs = super().encode(images).clone()
        outputs[:, 0] = 1
        return outputs


class Useless(Fine):
    """Its bits are a scrambled checksum of the pixels."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        bits = torch.arange(1, self.weights.shape[1] + 1)
        return torch.sin(1.7 * images.long().sum(dim=(1, 2, 3))[:, None] * bits).float()


class Stepwise(StepwiseMethod):
    """A conforming gradient-trained method."""

    info = info(trained_by="updates")
    Params = StepwiseParams
    paper_recipe: ClassVar[Recipe] = Recipe()

    def build(self, task: Any) -> dict[str, nn.Module]:
        return super().build(task) | {"classifier": nn.Linear(task.bits, task.classes)}

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        logits = self.networks["classifier"](outputs)
        targets = batch.labels / batch.labels.sum(dim=1, keepdim=True)
        return {"classification": -(targets * torch.log_softmax(logits, 1)).sum(1).mean()}


class Unoptimised(Stepwise):
    """Its classifier is not given to the optimiser, a mistake that public code made."""

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"main": self.make_optimizer(self.networks["hash"])}


class Hidden(Stepwise):
    """Its classifier lives in an attribute, out of reach of the optimiser and of `networks`."""

    def build(self, task: Any) -> dict[str, nn.Module]:
        self.aside = {"classifier": nn.Linear(task.bits, task.classes)}
        return StepwiseMethod.build(self, task)

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        logits = self.aside["classifier"](outputs)
        return {"classification": -(batch.labels * torch.log_softmax(logits, 1)).sum(1).mean()}


class Detached(Stepwise):
    """No gradient passes the sign to its network."""

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        codes = torch.where(outputs > outputs.median(dim=0).values, 1.0, -1.0)
        return super().loss(codes.detach(), batch)


class Banked(Stepwise):
    """Its memory bank is a plain attribute, which no checkpoint holds."""

    def begin(self, data: Any) -> None:
        self.bank = torch.zeros(len(data.images), data.task.bits)

    def loss(self, outputs: torch.Tensor, batch: Any) -> dict[str, torch.Tensor]:
        self.bank[batch.index] = outputs.detach()
        pull = (outputs - self.bank.mean(dim=0)).square().mean()
        return {**super().loss(outputs, batch), "pull": pull}


class Idle(Fine):
    """It says that it is trained by updates but does not train."""

    info = info(trained_by="updates")


class Boastful(Fine):
    """It declares images that it cannot make."""

    def abilities(self) -> Any:
        return frozenset({"hashing", "generation"})


class Haphazard(Boastful):
    """Its images come from the global generator."""

    def sample(self, labels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randint(0, 256, (len(labels), 1, 16, 16), dtype=torch.uint8)
        return images, images


class Comparing(Fine):
    """It judges an image's class by the others of the batch."""

    def abilities(self) -> Any:
        return frozenset({"hashing", "classification"})

    def class_logits(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.float().flatten(1)
        return (flat - flat.mean(dim=0))[:, 64:68]


class Crowded(Fine):
    """Its density of an image depends on the others of the batch."""

    def abilities(self) -> Any:
        return frozenset({"hashing", "density"})

    def log_density(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        flat = images.float().flatten(1).mean(1)
        return flat - flat.mean()


BROKEN: list[tuple[type[HashMethod], str]] = [
    (Nameless, "metadata"),
    (Forgetful, "parameters"),
    (Tolerant, "unknown-parameters"),
    (Raising, "fits"),
    (PowerOfTwo, "code-lengths"),
    (Doubled, "shape-and-dtype"),
    (Wide, "shape-and-dtype"),
    (Moody, "same-seed"),
    (Banked, "resume"),
    (BatchBound, "batch-size"),
    (Ordered, "order"),
    (Unsaved, "save-and-reload"),
    (Writing, "inputs-unchanged"),
    (Reseeding, "no-reseeding"),
    (ReseedingPython, "no-reseeding"),
    (NeedsPairs, "one-label"),
    (SingleOnly, "label-kinds"),
    (Constant, "constant-bits"),
    (Useless, "beats-random"),
    (Boastful, "abilities"),
    (Haphazard, "abilities"),
    (Comparing, "abilities"),
    (Crowded, "abilities"),
    (Unoptimised, "gradient"),
    (Hidden, "gradient"),
    (Detached, "gradient"),
    (Idle, "gradient"),
]


@pytest.mark.parametrize("cls", [Fine, Stepwise])
def test_a_conforming_method_passes_every_check(cls: type[HashMethod]) -> None:
    results = check_method(cls)
    assert passed(results), [result.line() for result in results if result.state != "pass"]
    assert [result.check for result in results] == [check.name for check in CHECKS]


@pytest.mark.parametrize(("cls", "check"), BROKEN, ids=[cls.__name__ for cls, _ in BROKEN])
def test_a_broken_method_is_caught_by_exactly_that_check(cls: type[HashMethod], check: str) -> None:
    results = check_method(cls)
    failed = [result.check for result in results if result.state == "FAIL"]
    assert failed == [check], [result.line() for result in results if result.state == "FAIL"]
    blocked = [result for result in results if result.state == "blocked"]
    assert bool(blocked) == (cls in (Raising, Moody))  # what a fit gives is needed by others
    assert not passed(results)


def test_every_check_is_broken_by_some_dummy() -> None:
    assert {name for _, name in BROKEN} == {check.name for check in CHECKS}


def test_a_known_failure_needs_a_reason_and_fails_once_it_passes() -> None:
    class Known(Constant):
        """Known to have a constant bit."""

        info = info(known_failures={"constant-bits": "by design"})

    class Repaired(Fine):
        """Declared broken, but fine."""

        info = info(known_failures={"constant-bits": "by design"})

    class Wordless(Constant):
        """Declared broken without a reason."""

        info = info(known_failures={"constant-bits": " "})

    known = {result.check: result for result in check_method(Known)}
    assert known["constant-bits"].state == "known"
    assert "by design" in known["constant-bits"].found
    assert passed(known.values())
    repaired = {result.check: result for result in check_method(Repaired)}
    assert repaired["constant-bits"].state == "FAIL"
    assert "passes now" in repaired["constant-bits"].found
    wordless = {result.check: result.state for result in check_method(Wordless)}
    assert wordless["constant-bits"] == wordless["metadata"] == "FAIL"


def test_a_check_that_ran_nothing_fails() -> None:
    empty = Check("empty", "something", lambda lab: Finding("looked at nothing", compared=0))
    (result,) = check_method(Fine, checks=[empty])
    assert result.state == "FAIL"
    assert "ran nothing" in result.found
    assert not passed([])


def test_the_tiny_data_are_separable_and_multi_labels_mix() -> None:
    data = tiny.single(16)
    assert data.images.shape == (160, 1, 16, 16)
    assert data.labels.sum(dim=1).eq(1).all()
    assert tiny.single(16, labelled_per_class=1).labels.sum(dim=0).eq(1).all()
    assert set(tiny.multi(16).labels.sum(dim=1).tolist()) == {1, 2}


@pytest.mark.parametrize("entry", registry.entries("methods"), ids=lambda entry: entry.name)
def test_every_registered_method_conforms(entry: registry.Entry) -> None:
    """A variant is its method with other parameters: here it has to train on what it declares (`check --all`
    runs the whole list over variants too)."""
    assert not entry.error
    brief = {"metadata", "parameters", "unknown-parameters", "label-kinds"}
    chosen = [check for check in CHECKS if not entry.preset or check.name in brief]
    results = check_method(registry.method_class(entry.name), entry.name, entry.preset, checks=chosen)
    assert passed(results), "\n".join(result.line() for result in results if result.state != "pass")


def test_check_prints_a_line_for_each_check(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run_cli("check", "lsh")
    assert code == 0
    for check in CHECKS:
        assert f"pass     {check.name}" in out
    assert "expected" in out
    assert "1 methods checked, 1 conform" in out


def test_check_refuses_unknown_names_and_no_names(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run_cli("check", "lhs")
    assert code == 2
    assert "lsh" in err
    assert run_cli("check")[0] == 2
    assert run_cli("check", "lsh", "--all")[0] == 2


def test_check_ends_with_1_for_a_failing_package(
    run_cli: Callable[..., tuple[int, str, str]], plugin: Callable[..., Path]
) -> None:
    from tests.helpers import METHOD

    source = METHOD.format(name="flat", trained_by="closed-form", fit="pass", encode="torch.ones_like(flat)")
    plugin("flat", source, target="Thrown")
    code, out, _ = run_cli("check", "flat", "--quiet")
    assert code == 1
    assert "constant-bits" in out
    assert "FAIL  flat" in out


def test_a_broken_package_is_listed_and_stops_no_other(
    run_cli: Callable[..., tuple[int, str, str]],
    plugin: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin("snapped", "raise ImportError('its library is missing')")
    kept = [entry for entry in registry.entries("methods") if entry.name in ("lsh", "pcah") or entry.error]
    monkeypatch.setattr(registry, "entries", lambda *_: kept)
    code, out, _ = run_cli("check", "--all", "--quiet")
    assert code == 1
    assert "BROKEN: ImportError: its library is missing" in out
    assert "pass  lsh" in out
    assert "pass  pcah" in out
    with pytest.raises(InputError, match="its library is missing"):
        registry.find("methods", "throwaway-snapped")


def test_the_documentation_names_every_method_and_every_check() -> None:
    docs = Path(__file__).parents[2] / "docs"
    methods = (docs / "methods.md").read_text()
    own = [entry.name for entry in registry.entries("methods") if entry.origin.startswith("methods/")]
    assert [name for name in own if f"`{name}`" not in methods and not name.startswith("coophash")] == []
    guide = (docs / "adding-a-method.md").read_text()
    assert [check.name for check in CHECKS if f"`{check.name}`" not in guide] == []
