from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from benchmark import registry
from benchmark.errors import InputError
from benchmark.report.artifacts import claims, literature, ranks
from benchmark.report.claims.judge import Finding, Unit, Verdict, as_dict, decide, judge, pool
from benchmark.report.claims.paper import CLAIMS
from benchmark.report.context import Context
from benchmark.report.published import DEFAULT, read_published, same_images
from benchmark.report.statistics.effect import pooled_effect
from benchmark.report.statistics.ranking import cliques, holm, rank_methods
from benchmark.spec.suites import resolve_all
from benchmark.store.record import Artifacts, Record, Score
from benchmark.store.store import Store
from tests.report.test_report import FACTS, made

RULES = {
    "ties": "expected",
    "normaliser": "retrieved-in-k",
    "no_hit": "zero",
    "empty_ball": "zero",
    "sign_zero": 1,
    "relevance": "shared",
    "k": None,
    "exclude_self": False,
}
BASIS = FACTS.model_copy(update={"rules": RULES})


Made = tuple[Record, Artifacts]


def coded(
    method: str, seed: int, wrong: float, views: dict[str, float] | None = None, **changes: object
) -> tuple[Record, Artifacts]:
    """A record with codes: each class has a codeword, and a share `wrong` of the bits is drawn at random."""
    rng = np.random.default_rng([seed, int(wrong * 1000)])
    labels = np.arange(120) % 4
    words = np.random.default_rng(0).integers(0, 2, (4, 32), dtype=np.uint8)
    bits = np.where(rng.random((120, 32)) < wrong, rng.integers(0, 2, (120, 32)), words[labels]).astype(
        np.uint8
    )
    packed = np.packbits(bits, axis=1)
    codes = {
        "query_codes": packed[:40],
        "database_codes": packed[40:],
        "bits": np.array(32),
        "query_labels": labels[:40],
        "database_labels": labels[40:],
        "query_ids": np.arange(40),
        "database_ids": np.arange(40, 120),
    }
    defaults = registry.find("methods", method)
    params = {"params": defaults.defaults, "method_version": defaults.info["version"]}
    record = made(1.0 - wrong, method=method, seed=seed, **{**params, **changes})
    scores = (
        *record.scores,
        *(Score(view=view, metric="map", value=value) for view, value in (views or {}).items()),
    )
    return record.model_copy(update={"protocol": BASIS, "scores": scores, "spec": record.spec}), Artifacts(
        codes=codes
    )


def finding(root: Path, name: str, made_: list[Made]) -> Finding:
    store = Store(root)
    for record, artifacts in made_:
        fixed = record.model_copy(update={"fit_id": record.spec.fit_id})
        store.save(fixed, artifacts)
    (claim,) = [one for one in CLAIMS if one.name == name]
    return judge(Context(store, store.records(), set()), [claim])[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (0.2, 0.8, "supported"),
        (0.8, 0.2, "contradicted"),
        (0.5, 0.5, "equivalent"),
        (0.5, 0.501, "undecided"),
    ],
)
def test_the_lead_at_full_labels(tmp_path: Path, ours: float, theirs: float, verdict: str) -> None:
    sides = [coded(m, s, w) for s in range(3) for m, w in (("coophash", ours), ("hashnet", theirs))]
    found = finding(tmp_path, "full-labels", sides)
    assert found.verdict == verdict
    (unit,) = found.units
    assert unit.found is not None
    assert unit.found.low <= unit.found.difference <= unit.found.high
    assert unit.found.seeds == (0, 1, 2)
    assert (found.gap is not None) == (verdict == "undecided")


def test_one_seed_decides_nothing_and_says_what_to_run(tmp_path: Path) -> None:
    found = finding(tmp_path, "full-labels", [coded("coophash", 4, 0.1), coded("hashnet", 4, 0.9)])
    assert found.verdict == "undecided"
    assert found.gap is not None
    assert found.gap.command == f"python -m benchmark claims --plan --results {tmp_path}"
    assert "1 of 3 seeds" in found.units[0].text
    assert " –, p=–" in found.text, "one seed gives no interval"
    assert "inf" not in found.text + found.units[0].text
    numbers = as_dict(found)["found"]
    assert isinstance(numbers, dict)
    assert (numbers["low"], numbers["high"], numbers["p_adjusted"]) == (None, None, None)


def test_a_mean_that_hides_its_opposite_says_so(tmp_path: Path) -> None:
    """Far ahead of a weak opponent and behind a strong one: the mean is ahead."""
    wrong = {"coophash": 0.3, "hashnet": 0.0, "sdh": 0.9}
    found = finding(tmp_path, "full-labels", [coded(m, s, w) for s in range(5) for m, w in wrong.items()])
    assert found.verdict == "supported"
    assert found.text.endswith("comparisons: 2; a mean: 1 of 2 alone is contradicted")
    table, _ = claims.build(Context(Store(tmp_path), Store(tmp_path).records(), set())).sheets
    shown = dict(zip(table.head, (cell.text for cell in table.rows[0])))
    assert shown["verdict"] == "supported; a mean: 1 of 2 alone is contradicted"
    assert shown["each alone"] == "1 supported, 1 contradicted"
    assert [row[2].text for row in table.rows[1:]] == ["not tested"] * 4


def test_a_mean_says_how_many_are_ahead_that_no_test_can_tell(tmp_path: Path) -> None:
    """Far ahead of one opponent; behind another by a lead that differs from seed to seed."""
    ahead = (0.3, 0.05, 0.15)
    runs = [coded(m, seed, w) for seed in range(3) for m, w in (("coophash", 0.3), ("hashnet", 0.9))]
    runs += [coded("sdh", seed, 0.3 - more) for seed, more in enumerate(ahead)]
    found = finding(tmp_path, "full-labels", runs)
    behind = next(unit for unit in found.units if "sdh" in unit.what)
    assert behind.found is not None
    assert behind.verdict == "undecided"
    assert behind.found.difference < -0.01
    supported = replace(found, verdict="supported")
    assert supported.hides == "a mean: 1 of 2 is the other way by 0.01 or more, undecided alone"
    assert replace(supported, smallest=1.0).hides == ""


def test_a_mean_of_nothing_says_what_it_hides() -> None:
    """Far ahead here, as far behind there: equivalent as a mean, in neither place alone."""
    units = [Unit(name, "d", {}, None, verdict=told) for name, told in zip("abc", get_args(Verdict))]
    found = Finding(CLAIMS[0], "equivalent", None, 0.9, tuple(units), used=3)
    assert found.hides == "a mean: 1 of 3 alone is supported, 1 of 3 alone is contradicted"
    assert replace(found, verdict="undecided").hides == ""
    assert found.alone == "1 supported, 1 contradicted, 1 equivalent"


def test_methods_without_labels_are_no_opponents(tmp_path: Path) -> None:
    """The paper compares with supervised methods: a lead over LSH would hide that HashNet is ahead."""
    wrong = {"coophash": 0.3, "hashnet": 0.0, "lsh": 0.9, "itq": 0.9}
    found = finding(tmp_path, "full-labels", [coded(m, s, w) for s in range(5) for m, w in wrong.items()])
    assert found.verdict == "contradicted"
    assert found.used == 1


def test_a_claim_has_one_effect_over_its_comparisons(tmp_path: Path) -> None:
    sides = [coded(m, s, w) for s in range(5) for m, w in (("coophash", 0.4), ("hashnet", 0.9), ("csq", 0.3))]
    found = finding(tmp_path, "full-labels", sides)
    assert found.verdict == "supported", "the mean over both, though one comparison goes the other way"
    assert found.found is not None
    effects = [unit.found.difference for unit in found.units if unit.found is not None]
    assert found.found.difference == pytest.approx(sum(effects) / 2)
    assert min(effects) < 0
    assert sum(found.counts.values()) == found.used == 2


def test_the_lead_that_grows_as_labels_shrink(tmp_path: Path) -> None:
    sides = []
    for seed in range(3):
        for fraction, ours, theirs in ((1.0, 0.3, 0.3), (0.1, 0.5, 0.9)):
            sides += [coded("coophash", seed, ours, label_fraction=fraction)]
            sides += [coded("hashnet", seed, theirs, label_fraction=fraction)]
    assert finding(tmp_path, "scarce-labels", sides).verdict == "supported"


@pytest.mark.parametrize(("name", "view"), [("out-of-distribution", "cross:mnist"), ("ablation", "")])
def test_other_claims_over_records(tmp_path: Path, name: str, view: str) -> None:
    other = "hashnet" if view else "coophash-class"
    sides = []
    for seed in range(3):
        sides.append(coded("coophash", seed, 0.2, {view: 0.8 + 0.01 * seed} if view else None))
        sides.append(coded(other, seed, 0.7, {view: 0.5 - 0.01 * seed} if view else None))
    found = finding(tmp_path, name, sides)
    assert found.verdict == "supported"
    assert found.units[0].found is not None
    assert found.units[0].found.difference > 0
    assert ("queries" in found.units[0].text) == (not view), "of a view only the mean is compared"


def test_the_command_prints_verdicts_and_json(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    finding(
        tmp_path,
        "full-labels",
        [coded(m, s, w) for s in range(3) for m, w in (("coophash", 0.2), ("sdh", 0.8))],
    )
    code, out, _ = run_cli("claims", "--results", str(tmp_path))
    assert code == 0
    assert "full-labels: SUPPORTED: +0." in out
    assert "single comparisons (1 supported, 0 contradicted, 0 equivalent, 0 undecided)" in out
    assert "reconstruction" in out
    assert "run --suite paper-ood-small" in out
    code, out, _ = run_cli("claims", "--results", str(tmp_path), "--json")
    (first, *_) = json.loads(out)["claims"]
    assert first["units"][0]["effect"] == first["found"]["effect"] > 0
    code, out, _ = run_cli("claims", "--results", str(tmp_path), "--smallest-effect", "1")
    assert "full-labels: EQUIVALENT" in out
    code, _, err = run_cli("claims", "--results", str(tmp_path), "--out", "x.toml")
    assert (code, "--out belongs to --plan" in err) == (2, True)
    code, _, err = run_cli("claims", "--results", str(tmp_path / "none"))
    assert (code, "holds no records" in err) == (2, True)


def test_the_form_for_vectors_stands_in_for_the_method(tmp_path: Path) -> None:
    """Where the group has no CoopHash; its variants are its ablations, and no opponents."""
    made_ = [
        coded(m, s, w)
        for s in range(3)
        for m, w in (("coophash-vectors", 0.2), ("coophash-vectors-nll", 0.6), ("hashnet", 0.8))
    ]
    found = finding(tmp_path, "full-labels", made_)
    assert found.verdict == "supported"
    (unit,) = found.units
    assert unit.what.startswith("coophash-vectors: ")
    assert "hashnet" in unit.what
    (unit,) = finding(tmp_path, "ablation", []).units
    assert "coophash-vectors-nll" in unit.what


def test_a_plan_has_the_missing_fits_and_no_other(
    tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    """CoopHash has two seeds, HashNet one with a parameter of its own: both sides get what they lack of three."""
    params = {**registry.find("methods", "hashnet").defaults, "lr": 0.005}
    sides = [coded("coophash", s, 0.1, label_fraction=f) for s in (0, 1) for f in (1.0, 0.1)]
    sides += [coded("hashnet", 1, 0.9, label_fraction=f, params=params) for f in (1.0, 0.1)]
    finding(tmp_path / "runs", "full-labels", sides)
    out = tmp_path / "mine.toml"
    words = ("claims", "--results", tmp_path / "runs", "--plan", "--out", out)
    code, text, err = run_cli(*words)
    assert code == 0, err
    assert "full-labels: undecided: one seed, so no spread is known: 3 seeds first" in text
    assert "8 different fits, 6 to run" not in text, "nothing that is done is in the suite"
    configs = resolve_all(str(out), {})
    cells = {
        (one.method, one.seed, one.labels.fraction, config.params.get(one.method, {}).get("lr"))
        for config in configs
        for one in config.sweep.points()
    }
    assert cells == {("coophash", 2, f, None) for f in (1.0, 0.1)} | {
        ("hashnet", s, f, 0.005) for s in (0, 2) for f in (1.0, 0.1)
    }
    assert run_cli(*words)[0] == 0, "a plan may be written again"
    out.write_text("mine")
    code, _, err = run_cli(*words)
    assert (code, "name another file" in err) == (2, True)
    assert out.read_text() == "mine"


def sweep(rng: np.random.Generator, effect: float, claims: int = 5) -> list[list[Unit]]:
    """The comparisons of planted claims: two data sets, two opponents, 5 seeds of 40 queries. A fit's difference
    has a spread of 0.01 over seeds, half of its variance the tested method's own, which both opponents meet;
    precisions of single queries vary by 0.05 around it.
    """
    found = []
    for number in range(claims):
        units = []
        own = {dataset: rng.normal(0, 0.01 / 2**0.5, 5) for dataset in ("one", "two")}
        for dataset, opponent in (("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")):
            means = (effect if number == 0 else 0.0) + own[dataset] + rng.normal(0, 0.01 / 2**0.5, 5)
            noise = rng.normal(0, 0.05, (5, 40))
            noise -= noise.mean(axis=1, keepdims=True)  # 0.01 is the whole spread of a fit's mean
            changes = {seed: mean + noise[seed] for seed, mean in enumerate(means)}
            units.append(Unit(opponent, dataset, changes, pooled_effect({dataset: [changes]})))
        found.append(units)
    return found


def test_planted_effects_are_found_and_none_is_made_up() -> None:
    """200 sweeps of five claims, as many as the paper has, of which one is true by 0.02: that is found in at least
    90 %; and of 200 sweeps in which none is, at most 5 % call any supported or contradicted.
    """
    rng, true, false = np.random.default_rng(0), 0, 0
    for _ in range(200):
        true += verdicts(sweep(rng, 0.02))[0] == "supported"
        false += bool({"supported", "contradicted"} & {*verdicts(sweep(rng, 0.0))})
    assert true >= 180
    assert false <= 10


def verdicts(claims: list[list[Unit]]) -> list[str]:
    found = dict(enumerate(pool(units)[0] for units in claims))
    adjusted = holm({key: one.p for key, one in found.items() if one is not None})
    return [decide(one, adjusted[key]) for key, one in found.items()]


def test_one_comparison_of_five_seeds_errs_as_often_as_it_says() -> None:
    """The hardest case: nothing but five numbers. 95 % of the intervals hold the truth."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        found = pooled_effect({"one": [{seed: rng.normal(0.1, 0.01, 1) for seed in range(5)}]})
        assert found is not None
        held += found.low <= 0.1 <= found.high
    assert held / 400 == pytest.approx(0.95, abs=0.03)


def test_the_pooled_error_is_that_of_the_drawn_bootstrap() -> None:
    """Against the plain loop: seeds of each data set drawn, two comparisons share them, then their queries."""
    from scipy import stats

    rng = np.random.default_rng(2)
    strata = {
        name: [{seed: rng.normal(0.1 * seed, 0.5, 30) for seed in range(4)} for _ in range(2)]
        for name in ("one", "two")
    }
    means = []
    for _ in range(3000):
        parts = []
        for members in strata.values():
            drawn = [(seed, rng.integers(0, 30, 30)) for seed in rng.integers(0, 4, 4)]
            parts.append(np.mean([one[seed][rows].mean() for one in members for seed, rows in drawn]))
        means.append(np.mean(parts))
    found = pooled_effect(strata)
    assert found is not None
    reach, error = (found.high - found.low) / 2, np.std(means) * np.sqrt(4 / 3)
    low, high = (float(stats.t.ppf(0.975, free)) * error for free in (6, 3))
    assert low * 0.95 < reach < high * 1.05
    assert found.difference == pytest.approx(np.mean(means), abs=3 * error / np.sqrt(3000))


def test_a_comparison_that_lacks_a_seed_shifts_nothing() -> None:
    high = {seed: np.array([0.5]) for seed in range(3)}
    low = {seed: np.array([0.1]) for seed in range(5)}
    found = pooled_effect({"one": [high, low]})
    assert found is not None
    assert (found.difference, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_ranks_against_demsars_formulas() -> None:
    scores = np.array([[0.9, 0.8, 0.95, 0.9], [0.8, 0.7, 0.9, 0.85], [0.1, 0.2, 0.3, 0.2]])
    found = rank_methods(["a", "b", "c"], ["w", "x", "y", "z"], scores)
    assert found.ranks == (1.0, 2.0, 3.0)
    assert found.cd == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 4)), abs=2e-3)
    assert found.won["a", "c"] == (4, 0, 0)
    assert cliques(found) == [(0, 1), (1, 2)]
    with pytest.raises(ValueError, match="at least 3"):
        rank_methods(["a", "b"], ["w"], scores[:2, :1])


def test_holm_never_lowers_and_keeps_order() -> None:
    assert holm({(0, 1): 0.01, (0, 2): 0.04, (1, 2): 0.03}) == {(0, 1): 0.03, (1, 2): 0.06, (0, 2): 0.06}


def test_ranks_need_blocks_and_say_so(tmp_path: Path) -> None:
    few = [made(0.5, method=name) for name in ("hashnet", "csq", "dpsh")]
    drawn = ranks.build(Context(Store(tmp_path), few, set()))
    assert not drawn.sheets
    assert "paper-main" in drawn.gaps[0].command
    more = [
        *few,
        *(made(0.6 + 0.1 * i, method=name, bits=16) for i, name in enumerate(("hashnet", "csq", "dpsh"))),
    ]
    drawn = ranks.build(Context(Store(tmp_path), more, set()))
    assert [row[0].text for row in drawn.sheets[0].rows] == ["dpsh", "csq", "hashnet"]


def published(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "published.csv"
    path.write_text("method,dataset,protocol,bits,metric,value,backbone,source\n" + "\n".join(rows) + "\n")
    return path


def test_published_numbers_join_under_one_protocol_alone(tmp_path: Path) -> None:
    file = published(
        tmp_path,
        "HashNet,CIFAR-10,cifar10-59k,32,mAP@all,0.5,AlexNet,one table",
        'HashNet,CIFAR-10,cifar10-54k,32,mAP@all,0.6,AlexNet,"another, recalled, unverified"',
        "HashNet,CIFAR-10,cifar10-59k,48,mAP@all,0.7,AlexNet,other bits",
    )
    same = {"dataset": "cifar10", "protocol": "cifar10-59k"}
    ctx = Context(Store(tmp_path), [made(0.75, **same).model_copy(update={"protocol": BASIS})], set(), file)
    joined, apart = literature.build(ctx).sheets
    (row,) = joined.rows
    assert [cell.text for cell in row[:6]] == ["hashnet", "32", "one table", "0.7500", "0.5", "+0.2500"]
    assert "backbone AlexNet there, compact with weights none here" in row[6].text
    (row,) = apart.rows
    assert row[4].text == "0.6 (unverified)"
    assert row[5].text == "not comparable"
    assert "split cifar10-54k there" in row[6].text


def test_published_numbers_stand_by_ours(tmp_path: Path) -> None:
    """The method that is best here comes first, whatever it is called."""
    lines = [f"{name},CIFAR-10,cifar10-59k,32,mAP@all,0.5,AlexNet,one table" for name in ("CSQ", "HashNet")]
    same = {"dataset": "cifar10", "protocol": "cifar10-59k"}
    records = [made(0.5, method="csq", **same), made(0.7, **same)]
    records = [record.model_copy(update={"protocol": BASIS}) for record in records]
    (joined,) = literature.build(Context(Store(tmp_path), records, set(), published(tmp_path, *lines))).sheets
    assert [row[0].text for row in joined.rows] == ["hashnet", "csq"]


def test_jpeg_pixels_are_never_joined(tmp_path: Path) -> None:
    file = published(tmp_path, "HashNet,CIFAR-10,cifar10-59k,32,mAP@all,0.5,AlexNet,one table")
    same = {"dataset": "cifar10-jpeg", "protocol": "cifar10-59k"}
    ctx = Context(Store(tmp_path), [made(0.75, **same).model_copy(update={"protocol": BASIS})], set(), file)
    (apart,) = literature.build(ctx).sheets
    assert "pixels: cifar10-jpeg here" in apart.rows[0][6].text


def test_a_broken_file_of_published_numbers_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_published(published(tmp_path, "HashNet,CIFAR-10,x,32,mAP@all,high,AlexNet,s"))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="lacks the columns"):
        read_published(tmp_path / "other.csv")


def test_the_published_numbers_here_are_readable_and_marked() -> None:
    found = read_published()
    with DEFAULT.open(newline="") as file:
        assert len(found) == len(list(csv.DictReader(file)))
    assert all(0 < one.value <= 1 for one in found)
    assert any(not one.verified for one in found)
    joined = {one.dataset for one in found if any(same_images(ours, one) for ours in ("coco", "mirflickr"))}
    assert joined == {"MS-COCO", "MIRFlickr-25k"}  # by the data sets' titles
