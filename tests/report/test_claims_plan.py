"""What the claims still need: seeds by power, their fits as one suite file; and the paper's own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.report import render
from benchmark.report.claims.judge import SMALLEST, judge
from benchmark.report.claims.paper import CLAIMS
from benchmark.report.claims.plan import plan_claims, write_suite
from benchmark.report.claims.relative import relative_gains, up_to_relative
from benchmark.report.context import Context
from benchmark.report.statistics.effect import LEVEL, pooled_effect
from benchmark.report.statistics.power import POWER, seeds_to_decide
from benchmark.spec import FitSpec, Sweep
from benchmark.spec.grids import join_grids, suite_text
from benchmark.spec.suites import resolve_all
from benchmark.store.store import Store
from benchmark.sweep.plan import plan
from tests.report.test_report_claims import coded

Cli = Callable[..., tuple[int, str, str]]


def fits(root: Path, **changes: object) -> list[FitSpec]:
    """The fits of a sweep over the bundled digits."""
    sweep = Sweep(methods=("coophash", "hashnet", "dpsh"), bits=(32,)).model_copy(update=changes)
    return [cell.fit for cell in plan(sweep, Store(root), None).fits if cell.fit is not None]


def plant(root: Path, specs: list[FitSpec], wrong: dict[str, float]) -> Context:
    """Finished records of these fits, whose codes are as good as their method's share of wrong bits says."""
    store = Store(root)
    for spec in specs:
        record, artifacts = coded(spec.method, spec.seed, wrong[spec.method])
        store.save(record.model_copy(update={"spec": spec, "fit_id": spec.fit_id}), artifacts)
    return Context(store, store.records(), set())


WRONG = {"coophash": 0.2, "hashnet": 0.2, "dpsh": 0.205}


def test_the_suite_holds_exactly_the_fits_that_are_missing(tmp_path: Path, run_cli: Cli) -> None:
    """One side has a seed more than the other: that seed is finished, and the file is one that `run` takes."""
    have = [one for one in fits(tmp_path, seeds=(0, 5)) if one.seed == 0 or one.method == "coophash"]
    plant(tmp_path, have, WRONG)
    out = tmp_path / "more.toml"
    code, text, _ = run_cli("claims", "--plan", "--results", str(tmp_path), "--out", str(out))
    assert code == 0
    assert "full-labels: undecided: one seed, so no spread is known: 3 seeds first; 5 fits to run" in text
    assert "digits: 5 different fits, 5 to run; " in text, "hours and disk"
    cells = [c for one in resolve_all(str(out), {}) for c in plan(one.sweep, Store(tmp_path), None).fits]
    assert {cell.state for cell in cells} == {"planned"}
    found = sorted((cell.fit.method, cell.fit.seed) for cell in cells if cell.fit is not None)
    assert found == [("coophash", 1), ("dpsh", 1), ("dpsh", 5), ("hashnet", 1), ("hashnet", 5)]
    code, shown, _ = run_cli("run", "--suite", str(out), "--plan")
    assert (code, shown.count("planned ")) == (0, 5)
    assert str(tmp_path) in out.read_text(), "it runs into the same folder"
    run_cli("claims", "--plan", "--results", str(tmp_path), "--out", str(out))  # over its own file
    (other := tmp_path / "notes.txt").write_text("mine")
    code, _, err = run_cli("claims", "--plan", "--results", str(tmp_path), "--out", str(other))
    assert (code, "no earlier plan" in err, other.read_text()) == (2, True, "mine")


def test_the_plan_names_seeds_by_power_or_says_that_they_are_too_many(tmp_path: Path, run_cli: Cli) -> None:
    ctx = plant(tmp_path, fits(tmp_path, seeds=(0, 1, 2)), {"coophash": 0.3, "hashnet": 0.32, "dpsh": 0.31})
    findings = judge(ctx, CLAIMS)
    step = plan_claims(ctx, findings, most=1000)[0]
    assert step.finding.verdict == "undecided"
    assert step.seeds > 3
    assert {one.spec.seed for one in step.fits.values()} == {*range(3, step.seeds)}
    assert len(step.fits) == 3 * (step.seeds - 3)
    assert "seeds would call it" in step.text
    few = plan_claims(ctx, findings, most=3)[0]
    assert (few.fits, "more than the 3 that are asked for" in few.text) == ({}, True)
    code, text, _ = run_cli("claims", "--plan", "--results", str(tmp_path), "--max-seeds", "3")
    assert (code, "no suite file is written" in text) == (0, True)


def test_a_claim_that_is_decided_needs_nothing(tmp_path: Path) -> None:
    ctx = plant(tmp_path, fits(tmp_path, seeds=(0, 1, 2)), {"coophash": 0.2, "hashnet": 0.8, "dpsh": 0.9})
    step = plan_claims(ctx, judge(ctx, CLAIMS))[0]
    assert (step.text, step.fits) == ("full-labels: supported: decided", {})


def test_a_fit_that_failed_and_one_of_an_older_version_are_not_counted_on(tmp_path: Path) -> None:
    """Seed 1 of one side failed: another is taken. An older version's seeds are all made anew."""
    specs = fits(tmp_path, seeds=(0,))
    ctx = plant(tmp_path, specs, WRONG)
    failed = next(one for one in fits(tmp_path, seeds=(1,)) if one.method == "hashnet")
    record = ctx.records[0].model_copy(update={"spec": failed, "fit_id": failed.fit_id, "state": "failed"})
    step = plan_claims(Context(ctx.store, [*ctx.records, record], set()), judge(ctx, CLAIMS))[0]
    seeds = {method: {f.spec.seed for f in step.fits.values() if f.spec.method == method} for method in WRONG}
    assert seeds["hashnet"] == {2, 3}
    old = [one.model_copy(update={"method_version": 1}) for one in specs if one.method == "coophash"]
    assert all(one.method_version > 1 for one in specs if one.method == "coophash")
    ctx = plant(tmp_path / "old", [*old, *(one for one in specs if one.method == "hashnet")], WRONG)
    step = plan_claims(ctx, judge(ctx, CLAIMS))[0]
    found = sorted((one.spec.method, one.spec.seed) for one in step.fits.values())
    assert found == [("coophash", 0), ("coophash", 1), ("coophash", 2), ("hashnet", 1), ("hashnet", 2)]


def test_a_weights_file_is_found_again_or_its_fits_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit knows its file by digest; the path comes from the command that made it."""
    specs = [one.model_copy(update={"weights": f"sha256:{'0' * 64}"}) for one in fits(tmp_path)]
    ctx = plant(tmp_path, specs, WRONG)
    step = plan_claims(ctx, judge(ctx, CLAIMS))[0]
    assert step.fits == {}
    assert all("give it with --weights FILE" in line for line in step.left_out)
    assert len(step.left_out) == 2
    monkeypatch.setattr("benchmark.report.claims.plan.weights_used", lambda store, record: "mine.safetensors")
    text, count = write_suite(ctx, plan_claims(ctx, judge(ctx, CLAIMS)))
    assert (count, text.count('weights = "mine.safetensors"')) == (6, text.count("[[parts]]"))


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ([], "holds no records"),
        (["hashnet"], "holds no record of coophash or coophash-vectors, so no claim can be planned"),
        (["coophash"], "holds nothing that the paper's method can be compared with"),
    ],
)
def test_without_a_comparison_there_is_one_line(
    tmp_path: Path, run_cli: Cli, methods: list[str], told: str
) -> None:
    plant(tmp_path, [one for one in fits(tmp_path) if one.method in methods], WRONG)
    code, _, err = run_cli("claims", "--plan", "--results", str(tmp_path))
    assert (code, told in err, len(err.strip().splitlines())) == (2, True, 1)


@pytest.mark.parametrize("given", [["--out", "x.toml"], ["--max-seeds", "5"], ["--plan", "--json"]])
def test_flags_that_do_not_go_together_are_named(tmp_path: Path, run_cli: Cli, given: list[str]) -> None:
    code, _, err = run_cli("claims", "--results", str(tmp_path), *given)
    assert (code, "--plan" in err) == (2, True)


def test_what_a_report_lacks_is_one_suite_file_and_one_command(tmp_path: Path, run_cli: Cli) -> None:
    """A method lacks a seed, another with a parameter of its own lacks one at one length; nothing done is in it."""
    have = fits(tmp_path, methods=("hashnet", "csq"), bits=(16, 32), seeds=(0, 1))
    params = {"csq": {**have[-1].params, "lr": 0.002}}
    have = [s.model_copy(update={"params": params.get(s.method, s.params)}) for s in have]
    have = [s for s in have if s.seed == 0 or (s.method == "csq" and s.bits == 16)]
    plant(tmp_path, have, {"hashnet": 0.3, "csq": 0.4})
    render(tmp_path, tmp_path / "report", "table1", formats=("png",))
    file = tmp_path / "report" / "missing.toml"
    cells = [c for one in resolve_all(str(file), {}) for c in plan(one.sweep, Store(tmp_path), None).fits]
    found = sorted(
        (c.fit.method, c.fit.bits, c.fit.seed, c.fit.params["lr"]) for c in cells if c.fit is not None
    )
    usual = next(s for s in have if s.method == "hashnet").params["lr"]
    assert found == [("csq", 32, 1, 0.002), ("hashnet", 16, 1, usual), ("hashnet", 32, 1, usual)]
    assert {cell.state for cell in cells} == {"planned"}
    page = (tmp_path / "report" / "report.md").read_text()
    assert page.count("python -m benchmark run") == page.count(f"run --suite {file}") == 1
    plant(tmp_path, [cell.fit for cell in cells if cell.fit is not None], {"hashnet": 0.3, "csq": 0.4})
    render(tmp_path, tmp_path / "report", "table1", formats=("png",))
    assert not file.exists(), "nothing is missing any more"


@pytest.mark.parametrize(
    ("effect", "kind"), [(0.02, "difference"), (0.0, "equivalence"), (0.005, "equivalence")]
)
def test_so_many_seeds_decide_as_often_as_the_plan_says(effect: float, kind: str) -> None:
    """200 sweeps with that many seeds, of the very effect and spread: at least 80 % decide, but for chance."""
    rng, level = np.random.default_rng(4), LEVEL / 5
    seen = rng.normal(0, 1, 3)
    seen = effect + 0.01 * (seen - seen.mean()) / seen.std(ddof=1)
    needed = seeds_to_decide(
        {"one": [{seed: np.array([x]) for seed, x in enumerate(seen)}]}, SMALLEST, level, 3
    )
    assert needed is not None
    assert needed[1] == kind
    decided = {-1: 0, 0: 0}
    for fewer in decided:
        for _ in range(200):
            drawn = rng.normal(effect, 0.01, needed[0] + fewer)
            found = pooled_effect({"one": [{seed: np.array([x]) for seed, x in enumerate(drawn)}]})
            assert found is not None
            equal = found.low > -SMALLEST and found.high < SMALLEST
            decided[fewer] += equal if kind == "equivalence" else found.p < level
    assert decided[0] / 200 >= POWER - 0.06
    assert decided[-1] / 200 <= POWER + 0.06, "not many more than it takes"


def test_grids_hold_exactly_the_fits(tmp_path: Path) -> None:
    cells = [("dpsh", 0), ("dpsh", 1), ("hashnet", 1), ("csq", 0), ("csq", 1), ("hashnet", 2)]
    sweeps = [
        Sweep(
            methods=(method,),
            seeds=(seed,),
            bits=(bits,),
            params={"csq": {"scale": 2.0}} if method == "csq" else {},
        )
        for method, seed in cells
        for bits in (16, 32)
    ]
    sweeps.append(
        sweeps[-1].model_copy(update={"labels_per_class": (5,), "label_fractions": (), "epochs": 3})
    )
    joined = join_grids(sweeps)
    assert len(joined) == 3
    file = tmp_path / "x.toml"
    file.write_text(suite_text(joined, {"title": "t", "results": 'odd "name"'}, "a plan"))
    read = resolve_all(str(file), {})
    assert {one.results for one in read} == {'odd "name"'}
    assert [one.sweep for one in read] == joined
    found = [(c.method, c.seed, c.bits, c.labels) for one in read for c in one.sweep.points()]
    assert sorted(map(repr, found)) == sorted(
        repr((c.method, c.seed, c.bits, c.labels)) for one in sweeps for c in one.points()
    )


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ({"coophash": 0.2, "hashnet": 0.6, "dpsh": 0.9}, "supported"),
        ({"coophash": 0.3, "hashnet": 0.3, "dpsh": 0.9}, "contradicted"),
    ],
)
def test_the_papers_own_words_are_tested_over_the_best_opponent(
    tmp_path: Path, wrong: dict[str, float], verdict: str
) -> None:
    """A gain over a weak opponent alone is no gain over the state of the art, and is told beside."""
    ctx = plant(tmp_path, fits(tmp_path, seeds=range(5)), wrong)
    text = up_to_relative(ctx)
    assert f'"up to 10 % relative": {verdict}. ' in text
    assert "%] (over hashnet; digits, " in text
    assert "over any opponent: +" in text
    assert "simultaneous 95 % intervals over 2 comparisons" in text
    for one in relative_gains(ctx):
        mean = {
            name: np.mean([np.mean(ctx.queries.of(r)[1]) for r in ctx.records if r.spec.method == name])  # type: ignore[index]
            for name in ("coophash", one.over)
        }
        assert one.found.difference == pytest.approx(mean["coophash"] / mean[one.over] - 1, abs=1e-9)


def test_one_seed_says_nothing_of_the_papers_own_words(tmp_path: Path) -> None:
    text = up_to_relative(plant(tmp_path, fits(tmp_path), WRONG))
    assert "undecided (1 of 3 seeds)" in text
    assert "% – (over " in text
    assert up_to_relative(Context(Store(tmp_path / "none"), [], set())) == ""


def test_simultaneous_intervals_hold_the_largest_gain() -> None:
    """300 sweeps of six opponents: the interval of the largest holds the largest true gain in at least 95 %."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(300):
        ends = [
            pooled_effect({"": [{seed: rng.normal(0.1, 0.02, 1) for seed in range(5)}]}, LEVEL / 6)
            for _ in range(6)
        ]
        known = [one for one in ends if one is not None]
        held += max(one.low for one in known) <= 0.1 <= max(one.high for one in known)
    assert held / 300 >= 0.93
