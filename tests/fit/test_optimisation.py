"""Options of optimisers: what each does, that they are on record, survive a resume, and leave identities alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmark import registry
from benchmark.authoring.conformance import CHECKS, check_method
from benchmark.errors import InputError
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.result import FitResult, Interrupted
from benchmark.fit.runtime import Runtime
from benchmark.fit.train_job import run_job
from benchmark.methods._pace import Pace
from benchmark.methods._stepwise import StepwiseParams
from benchmark.report.run_summary import captions
from benchmark.spec import TrainJob
from benchmark.spec.command import command_of
from tests.helpers import digits, method_source, one_spec, stop_after

Cli = Callable[..., tuple[int, str, str]]
ALL = {"optimizer": "adamw", "weight_decay": 0.01, "warmup_share": 0.3, "accumulate": 3, "clip_norm": 0.5}
NAMES = ("optimizer", "warmup_share", "accumulate", "clip_norm", "early_stopping")


def fit(
    params: dict[str, Any], runtime: Runtime | None = None, method: str = "hashnet", **options: Any
) -> FitResult:
    changes = {key: options.pop(key) for key in ("selection", "epochs") if key in options}
    spec = one_spec(methods=(method,), bits=(16,), params={method: params}, **changes)
    return run_job(TrainJob(spec), digits(), runtime or Runtime(curve_points=2), **options)


def same(one: FitResult, other: FitResult) -> bool:
    left, right = one.artifacts, other.artifacts
    return all(torch.equal(tensor, right.weights[name]) for name, tensor in left.weights.items()) and all(
        (left.codes[name] == right.codes[name]).all() for name in left.codes
    )


class TestIdentity:
    def test_defaults_are_no_part_of_it(self) -> None:
        plain = one_spec(methods=("hashnet",))
        assert not {*plain.params} & {*NAMES}
        assert one_spec(methods=("hashnet",), params={"hashnet": {"accumulate": 1}}).fit_id == plain.fit_id
        other = one_spec(methods=("hashnet",), params={"hashnet": {"warmup_share": 0.1}})
        assert other.fit_id != plain.fit_id
        assert other.params == {**plain.params, "warmup_share": 0.1}
        assert registry.method_params("hashnet", other.params).model_dump(mode="json") == other.params

    def test_every_option_is_one_of_the_later_ones(self) -> None:
        assert StepwiseParams.later == {*NAMES}
        assert {*StepwiseParams.model_fields} - StepwiseParams.later == {"recipe", "lr", "weight_decay"}

    def test_a_parameter_of_a_methods_own_by_such_a_name_stays_its_own(self) -> None:
        class Own(StepwiseParams):
            """It had its own clipping before."""

            clip_norm: str = "off"  # type: ignore[assignment]

        assert Own().model_dump()["clip_norm"] == "off"
        assert Own().option("clip_norm") is None
        assert Own(accumulate=2).option("accumulate") == 2

    def test_they_are_in_the_command_and_refused_out_of_range(self, run_cli: Cli, tmp_path: Path) -> None:
        spec = one_spec(methods=("hashnet",), params={"hashnet": {"warmup_share": 0.1, "clip_norm": 2.0}})
        assert "--set hashnet.warmup_share=0.1 --set hashnet.clip_norm=2.0" in command_of(spec)
        for text, words in {
            "warmup_share=1": "warmup_share: Input should be less than 1",
            "accumulate=0": "accumulate: Input should be greater than or equal to 1",
            "clip_norm=0": "clip_norm: Input should be greater than 0",
            "optimizer=adamv": "'adam', 'adamw', 'sgd' or 'rmsprop'",
            "early_stopping=0": "early_stopping: Input should be greater than or equal to 1",
            "warmup=0.1": "did you mean warmup_share",
        }.items():
            code, _, err = run_cli(
                "run", "--methods", "hashnet", "--set", f"hashnet.{text}", "--results", tmp_path
            )
            assert code == 2
            assert words in err
            assert err.count("\n") == 1


def _steps(values: list[float], *, before: bool = True, **options: Any) -> list[float]:
    """w after every batch, from 0, with SGD at rate 1 on the loss w * value; zero_grad before or after."""
    w = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([w], lr=1.0)
    pace, seen = Pace({"main": optimizer}, len(values), **options), []
    for step, value in enumerate(values):
        with pace.update(step):
            if before:
                optimizer.zero_grad()
            (w * value).backward()
            optimizer.step()
            if not before:
                optimizer.zero_grad()
        seen.append(float(w.detach()))
    assert optimizer.param_groups[0]["lr"] == 1.0
    return seen


class TestPace:
    def test_plain(self) -> None:
        assert _steps([1, 2, 3]) == [-1, -3, -6]

    def test_gradients_of_several_batches_make_one_mean_step_and_so_does_what_is_left_over(self) -> None:
        for before in (True, False):
            assert _steps([1, 3, 5, 7, 4], before=before, accumulate=2) == [0, -2, -2, -8, -12]

    def test_rates_rise_linearly_over_the_share(self) -> None:
        assert _steps([1, 1, 1, 1, 1, 1, 1, 1], warmup=0.5) == pytest.approx(
            [-0.25, -0.75, -1.5, -2.5, -3.5, -4.5, -5.5, -6.5]
        )

    def test_the_mean_gradient_is_clipped(self) -> None:
        assert _steps([0.5, 4, -8], clip=2) == pytest.approx([-0.5, -2.5, -0.5], rel=1e-5)
        assert _steps([1, 9], accumulate=2, clip=2) == pytest.approx([0, -2], rel=1e-5)

    def test_a_method_that_steps_twice_is_refused(self) -> None:
        w = nn.Parameter(torch.zeros(()))
        optimizer = torch.optim.SGD([w], lr=1.0)
        Pace({"critic": optimizer}, 4, accumulate=2)
        optimizer.step()
        with pytest.raises(InputError, match="'critic' more than once an update"):
            optimizer.step()

    def test_nothing_is_touched_without_options(self) -> None:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
        before = optimizer.step
        Pace({"main": optimizer}, 4)
        assert optimizer.step == before
        assert not optimizer._optimizer_step_pre_hooks


class TestFits:
    def test_all_of_them_are_on_record(self) -> None:
        record = fit(ALL).record
        assert record.state == "done"
        text = record.facts["optimizer"]
        assert text == (
            "adamw lr 0.001 wd 0.01 cosine, warm-up over 0.3 of the updates, 3 batches a step, "
            "gradients clipped at 0.5"
        )
        assert record.updates == 10  # of 28 batches
        assert "budget digits: 10 updates of 3 batches of 64 (4 epochs)" in captions([record])
        assert fit({}).record.facts["optimizer"] == "adam lr 0.001 wd 0 cosine"

    @pytest.mark.parametrize("name", [name for name in ALL if name != "weight_decay"])
    def test_each_changes_what_is_learnt(self, name: str) -> None:
        decay = {"weight_decay": 0.01}
        plain = fit(decay, epochs=1)
        assert same(plain, fit(decay, epochs=1))
        assert not same(plain, fit({**decay, name: ALL[name]}, epochs=1))

    def test_adamw_decays_weights_beside_the_gradient(self) -> None:
        cls = registry.method_class("hashnet")
        method = cls(cls.Params(optimizer="adamw", weight_decay=0.3))
        method.ctx = type("Ctx", (), {"task": type("Task", (), {"weights": "none"})})()
        layer = nn.Linear(2, 2)
        optimizer = method.make_optimizer(layer)
        before = layer.weight.detach().clone()
        for parameter in layer.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        torch.testing.assert_close(layer.weight.detach(), before * (1 - 1e-3 * 0.3))

    def test_methods_with_optimisers_of_their_own_take_them_or_say_why_not(self) -> None:
        assert (
            fit(
                {"accumulate": 2, "clip_norm": 1.0, "warmup_share": 0.2}, method="coophash", epochs=1
            ).record.state
            == "done"
        )
        record = fit({"accumulate": 2, "critic_steps": 2}, method="hashgan", epochs=1).record
        assert record.failure is not None
        assert "steps its optimiser 'critic' more than once an update" in record.failure.message


@pytest.fixture
def _falling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Held-out scores that rise twice, then fall."""
    values = iter([0.5, 0.6, 0.55, 0.54, 0.9])
    monkeypatch.setattr(Evaluator, "held_out_map", lambda self, method: next(values))
    return


class TestEarlyStopping:
    @pytest.mark.usefixtures("_falling")
    def test_it_ends_and_keeps_the_best(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Evaluator, "curve_map", lambda *_: pytest.fail("it looked at something else"))
        record = fit({"early_stopping": 2}, selection="val").record
        assert record.state == "done"
        assert [point.map for point in record.curve] == [0.5, 0.6, 0.55, 0.54]
        assert {point.part for point in record.curve} == {"tuning"}
        assert record.selected_step == record.curve[1].step
        assert record.updates == record.curve[3].step < 28
        assert record.protocol is not None
        assert "after 2 evaluations in a row without a better one" in record.protocol.selection_text
        assert record.protocol.tuning == 50

    def test_a_patient_fit_runs_to_its_end(self) -> None:
        record = fit({"early_stopping": 100}, selection="val").record
        assert record.updates == 28
        assert len(record.curve) == 10
        assert record.selected_step == max(record.curve, key=lambda point: (point.map, -point.step)).step

    @pytest.mark.parametrize("params", [{}, {"early_stopping": 2}], ids=["val", "early"])
    def test_the_model_that_is_kept_does_not_depend_on_the_curve(self, params: dict[str, Any]) -> None:
        params = {**params, "lr": 0.03}  # at which the last model is not the best
        few, many = (
            fit(params, Runtime(curve_steps=steps), selection="val") for steps in ((3,), (5, 7, 9, 11, 13))
        )
        assert same(few, many)
        assert few.record.selected_step == many.record.selected_step
        assert few.record.updates == many.record.updates

    def test_it_needs_the_tuning_split(self, run_cli: Cli, tmp_path: Path) -> None:
        words = ("--methods", "hashnet", "--set", "hashnet.early_stopping=2", "--results", tmp_path)
        for chosen in ("last", "peek"):
            code, _, err = run_cli("run", *words, "--selection", chosen)
            assert code == 2
            assert f"give --selection val in the place of {chosen}" in err

    def test_held_out_images_must_have_something_to_find(self) -> None:
        record = run_job(
            TrainJob(
                one_spec(
                    methods=("hashnet",),
                    bits=(16,),
                    label_fractions=(),
                    labels_per_class=(2,),
                    selection="val",
                    params={"hashnet": {"early_stopping": 2}},
                )
            ),
            digits(),
            Runtime(),
        ).record
        assert record.failure is not None
        assert "no two share a label" in record.failure.message

    def test_a_method_with_a_loop_of_its_own_is_ended_too(self, plugin: Callable[..., Path]) -> None:
        source = f"""{method_source("early", fit="train(ctx)", trained_by="updates")}
    def train(ctx):
        for step in range(ctx.updates):
            ctx.begin_step(step)
            ctx.evaluate(step + 1)
            if ctx.should_stop():
                break

    Thrown.stops_after = classmethod(lambda cls, params: 1)
    """
        plugin("early", source, target="Thrown")
        record = fit({}, method="early", selection="val").record
        assert record.state == "done", record.failure
        assert record.updates < 28  # nothing is learnt, so that no evaluation is better than the first
        assert len(record.curve) == 2


@pytest.mark.parametrize(
    ("params", "selection"),
    [(ALL, "last"), ({**ALL, "early_stopping": 2}, "val"), ({"early_stopping": 2, "lr": 0.03}, "val")],
    ids=["all", "all-early", "early"],
)
def test_a_resumed_fit_is_the_undisturbed_one_bit_for_bit(
    tmp_path: Path, params: dict[str, Any], selection: str
) -> None:
    whole = fit(params, selection=selection)
    assert whole.record.updates < 28
    if "lr" in params:  # the one that does not learn for long
        assert whole.record.selected_step < whole.record.updates
    for number in (4, 8, 9):  # in the warm-up, within and at the end of three batches that make a step
        with stop_after(number) as stop, pytest.raises(Interrupted):
            fit(params, selection=selection, workdir=tmp_path, stop=stop)
    resumed = fit(params, selection=selection, workdir=tmp_path)
    assert same(whole, resumed)
    for name in ("updates", "selected_step", "facts", "scores"):
        assert getattr(whole.record, name) == getattr(resumed.record, name)
    assert [(p.step, p.map) for p in whole.record.curve] == [(p.step, p.map) for p in resumed.record.curve]


def test_the_check_of_a_resume_passes_with_every_option() -> None:
    resume = [check for check in CHECKS if check.name == "resume"]
    (result,) = check_method(registry.method_class("hashnet"), preset=ALL, checks=resume)
    assert result.state == "pass", result.line()
