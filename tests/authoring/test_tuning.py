"""The search is equal for every method, blind to queries, recorded, and reused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import registry
from benchmark.authoring import tune
from benchmark.authoring.tune import Setting, Study, Tuned
from benchmark.data import protocol
from benchmark.errors import InputError
from benchmark.fit import evaluator

RunCli = Callable[..., tuple[int, str, str]]
QUICK = ("--dataset", "digits", "--bits", "12", "--trials", "2", "--epochs", "1", "--device", "cpu")


def setting(**changes: object) -> Setting:
    values = {
        "dataset": "digits",
        "fingerprint": "0" * 16,
        "protocol": "digits-20-50",
        "backbone": "pixels",
        "weights": "none",
        "bits": 8,
        "epochs": 1,
        "batch_size": 64,
        "seed": 0,
        "trials": 3,
    }
    return Setting.model_validate({**values, **changes})


def test_every_method_gets_the_same_number_of_trials_on_a_log_scale() -> None:
    for name in ("hashnet", "csq", "dpsh"):
        found = tune.candidates(name, 5)
        rates = [trial["lr"] for trial in found]
        assert rates == [0.0001, 0.000316, 0.001, 0.00316, 0.01]
        assert found == tune.candidates(name, 5)


def test_several_ranges_are_covered_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "search_space", lambda name: {"lr": (1e-4, 1e-2), "alpha": (0.1, 10.0)})
    found = tune.candidates("hashnet", 4)
    assert sorted(trial["alpha"] for trial in found) == [0.1, 0.464, 2.15, 10.0]
    assert list(found[0]) == ["lr", "alpha"]


def test_a_method_with_nothing_to_search_is_refused_before_any_work(run_cli: RunCli, tmp_path: Path) -> None:
    code, _, err = run_cli("tune", "lsh", "--results", tmp_path)
    assert code == 2
    assert "nothing to tune" in err
    code, _, err = run_cli("tune", "hashent", "--results", tmp_path)
    assert code == 2
    assert "hashnet" in err
    assert not list(tmp_path.iterdir())


def test_trials_train_and_score_on_training_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = tune.prepare(setting(), None)
    assert len(bench.split.query) == len(bench.split.database) == 0
    info = bench.data.info
    full = protocol.draw(bench.rule, info, bench.data.labels, 0)
    used = np.concatenate([bench.split.labelled, bench.split.tuning])
    assert set(used) == set(full.labelled)
    assert not set(used) & set(full.query)
    assert len(bench.split.tuning) == len(full.labelled) // 10
    seen: list[np.ndarray] = []
    original = evaluator.Evaluator.images

    def watched(self: evaluator.Evaluator, rows: np.ndarray) -> object:
        seen.append(rows)
        return original(self, rows)

    monkeypatch.setattr(evaluator.Evaluator, "images", watched)
    trial = tune.run_trial("hashnet", {"lr": 1e-3}, bench)
    assert trial.score is not None
    assert set(np.concatenate(seen)) <= set(used)


def test_a_failed_trial_is_recorded_and_the_best_of_the_others_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {0.0001: 0.5, 0.001: None, 0.01: 0.5}

    def fake(name: str, params: dict[str, float], bench: object) -> float:
        score = scores[params["lr"]]
        if score is None:
            raise FloatingPointError("loss is nan")
        return score

    monkeypatch.setattr(tune, "_train_and_score", fake)
    bench = tune.TuningData(setting(), None, None, None)  # type: ignore[arg-type]
    found = tune.search("hashnet", bench)
    assert found.best == {"lr": 0.0001}  # ties go to the earlier trial
    assert [trial.score for trial in found.trials] == [0.5, None, 0.5]
    assert "loss is nan" in found.trials[1].error
    scores = dict.fromkeys(scores)
    with pytest.raises(InputError, match=r"every trial .* failed"):
        tune.search("hashnet", bench)


def test_tune_records_reuses_and_feeds_run(run_cli: RunCli, tmp_path: Path) -> None:
    code, _, err = run_cli("tune", "hashnet", *QUICK, "--backbone", "pixels", "--results", tmp_path)
    assert code == 0, err
    assert err.count("hashnet trial") == 2
    (path,) = (tmp_path / "tuning").glob("*.json")
    study = tune.read_study(path)
    assert len(study.methods["hashnet"].trials) == 2
    assert str(tmp_path) not in path.read_text()
    code, _, err = run_cli(
        "tune", "hashnet,cross-entropy", *QUICK, "--backbone", "pixels", "--results", tmp_path
    )
    assert code == 0
    assert "hashnet trial" not in err
    assert err.count("cross-entropy trial") == 2
    assert set(tune.read_study(path).methods) == {"hashnet", "cross-entropy"}
    flags = (
        "--datasets",
        "digits",
        "--bits",
        "12",
        "--epochs",
        "1",
        "--backbone",
        "pixels",
        "--device",
        "cpu",
    )
    code, _, err = run_cli(
        "run",
        "--methods",
        "hashnet,lsh",
        *flags,
        "--tuned",
        path,
        "--results",
        tmp_path,
        "--tracking-uri",
        "none",
    )
    assert code == 0, err
    records = [json.loads(p.read_text()) for p in tmp_path.rglob("record.json")]
    rates = {record["spec"]["method"]: record["spec"]["params"].get("lr") for record in records}
    assert rates == {"hashnet": study.methods["hashnet"].best["lr"], "lsh": None}


def test_a_study_for_another_setting_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    entry = registry.find("methods", "hashnet")
    tuned = Tuned(
        method="hashnet", version=1, source_digest=entry.digest, best={"lr": 2e-3}, score=0.5, trials=()
    )
    tune.write_study(Study(setting=setting(), methods={"hashnet": tuned}), path)
    assert tune.is_current(tuned)
    assert not tune.is_current(tuned.model_copy(update={"source_digest": "x"}))
    args = (
        "run",
        "--methods",
        "hashnet",
        "--datasets",
        "digits",
        "--bits",
        "12",
        "--results",
        tmp_path / "r",
    )
    code, _, err = run_cli(*args, "--tuned", path, "--plan")
    assert code == 2
    assert "made for backbone pixels" in err
    code, _, _ = run_cli(*args, "--tuned", path, "--plan", "--backbone", "pixels")
    assert code == 0
    for content in ("{", "[]", '{"setting": 1}'):
        path.write_text(content)
        code, _, err = run_cli(*args, "--tuned", path, "--plan")
        assert code == 2
        assert "no result of `tune`" in err
    assert run_cli(*args, "--tuned", tmp_path / "absent.json", "--plan")[0] == 2


@pytest.mark.parametrize(
    "flags", [("--trials", "0"), ("--bits", "0"), ("--dataset", "digit"), ("--protocol", "x")]
)
def test_bad_flags_are_one_line_errors(run_cli: RunCli, tmp_path: Path, flags: tuple[str, ...]) -> None:
    code, _, err = run_cli("tune", "hashnet", "--results", tmp_path, *flags)
    assert code == 2
    assert err.count("\n") == 1


def test_a_trial_is_ranked_against_images_that_it_never_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    original = evaluator.Evaluator.encode

    def watched(self: evaluator.Evaluator, method: object, rows: np.ndarray) -> object:
        seen.append(rows)
        return original(self, method, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluator.Evaluator, "encode", watched)
    bench = tune.prepare(setting(), None)
    assert tune.run_trial("hashnet", {"lr": 1e-3}, bench).score is not None
    assert seen
    assert all(np.array_equal(rows, bench.split.tuning) for rows in seen)
