"""Views: their names, their numbers against plain statements, and finished fits that get more of them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmark import registry
from benchmark.contracts import CorruptedFiles
from benchmark.data import view_images
from benchmark.data.protocol.shared_classes import shared_classes, similarity
from benchmark.errors import InputError
from benchmark.files.write import write_file
from benchmark.metrics import mean_average_precision, unpack_codes
from benchmark.metrics.novelty import auroc, nearest_distances
from benchmark.report.statistics.robustness import corruption_cells
from benchmark.spec.views import expand_views, parse_view
from benchmark.store import views as viewstore
from benchmark.store.store import Store
from benchmark.sweep import plan as planning
from benchmark.sweep.saved import save_sweep
from benchmark.sweep.status import collect
from tests.helpers import digits, execute, sweep
from tests.programs import DieAt, Program

ITQ = {"methods": ("itq",), "bits": (12,)}
SOME = ("clean", "corruption:noise@3", "corruption:fog@1/both", "unseen-classes")


def test_names_stand_for_views() -> None:
    assert len(expand_views(["corruption:all"])) == 95
    assert len(expand_views(["corruption:common", "corruption:fog@2", "clean"])) == 76
    assert str(parse_view("corruption:jpeg/both@5")) == "corruption:jpeg_compression@5/both"
    assert parse_view("cross:usps/queries") == parse_view("cross:usps")
    view = parse_view("corruption:snow@2/database")
    assert (view.kind, view.name, view.severity, view.target) == ("corruption", "snow", 2, "database")
    for name in map(str, expand_views(["corruption:all", "cross:usps/both", "novelty:mnist"])):
        assert str(parse_view(name)) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("corruption:gausian_noise@3", "did you mean gaussian_noise"),
        ("corruption:fog@6", "1 to 5"),
        ("corruption:fog@3@4", "two severities"),
        ("corruption:", "lacks a name"),
        ("clean@3", "stands alone"),
        ("novelty:mnist/both", "no /both"),
        ("cross:../../etc", "unknown"),
        ("cross:nothing", "unknown data set"),
        ("cross:digits", "itself"),
        ("cross:cifar10", "cifar10"),
        ("", "view"),
        ("x" * 10_000, "unknown view"),
    ],
)
def test_a_bad_name_is_one_line_and_nothing_runs(
    name: str, text: str, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    flags = ("--methods", "itq", "--tracking-uri", "none", "--data-root", tmp_path)
    code, _, err = run_cli("run", *flags, "--views", f"{name},clean", "--results", tmp_path / "r")
    if name:
        assert code == 2
        assert text in err
        assert "Traceback" not in err
        assert not (tmp_path / "r").exists()


def test_a_view_names_its_corruption_and_severity() -> None:
    assert corruption_cells([("clean", 1.0), ("corruption:fog@2", 0.5)]) == {"fog": {2: 0.5}}


def test_auroc_and_nearest_distances_are_exact() -> None:
    rng = np.random.default_rng(0)
    own, foreign = rng.integers(0, 9, 60), rng.integers(2, 12, 80)
    truth = np.r_[np.zeros(60), np.ones(80)]
    assert auroc(own, foreign) == pytest.approx(roc_auc_score(truth, np.r_[own, foreign]), abs=1e-12)
    codes, base = rng.integers(0, 256, (30, 3), np.uint8), rng.integers(0, 256, (50, 3), np.uint8)
    plain = [[int(np.bitwise_count(a ^ b).sum()) for b in base] for a in codes]
    assert nearest_distances(codes, base).tolist() == [min(row) for row in plain]
    ids = np.arange(30)
    assert (nearest_distances(codes, codes, ids, ids) > 0).all()


def test_classes_are_shared_by_name_and_digit() -> None:
    info = digits().info
    words = ("9 - nine", "three", "cat", "digit 0")
    assert shared_classes(info, info.model_copy(update={"classes": words})) == {0: 9, 1: 3, 3: 0}
    cars = info.model_copy(update={"classes": ("automobile", "bird")})
    assert shared_classes(cars, info.model_copy(update={"classes": ("Car", "monkey")})) == {0: 0}


def test_views_added_later_are_those_evaluated_at_once(tmp_path: Path) -> None:
    split = {"class_splits": (1,)}
    execute(tmp_path / "once", views=SOME, **ITQ, **split)
    execute(tmp_path / "later", **ITQ)
    (before,) = Store(tmp_path / "later").records()
    plan, summary, _ = execute(tmp_path / "later", views=SOME[:2], **ITQ)
    assert [(cell.state, cell.extend) for cell in plan.fits] == [("planned", True)]
    assert (summary.ran, summary.viewed) == (0, 1)
    execute(tmp_path / "later", views=SOME, **ITQ, **split)
    one, two = Store(tmp_path / "once"), Store(tmp_path / "later")
    for record in one.records():
        other = two.get(record.spec)
        assert other is not None
        assert set(record.scores) == set(other.scores)
        leave = {"evaluated", "commit"}
        assert [v.model_dump(exclude=leave) for v in sorted(record.views, key=str)] == [
            v.model_dump(exclude=leave) for v in sorted(other.views, key=str)
        ]
        left, right = viewstore.read_views(one, record.spec), viewstore.read_views(two, record.spec)
        assert left.keys() == right.keys()
        assert all(np.array_equal(left[k][n], right[k][n]) for k in left for n in left[k])
    after = two.get(before.spec)
    assert after is not None
    assert after.model_dump(exclude={"scores", "views"}) == before.model_dump(exclude={"scores", "views"})
    assert set(before.scores) <= set(after.scores)
    plan, summary, _ = execute(tmp_path / "later", views=SOME, **ITQ, **split)
    assert (plan.counts()["done"], summary.ran, summary.viewed) == (2, 0, 0)
    assert not list((tmp_path / "later").rglob(".*.tmp"))
    _unseen_by_hand(two)
    _score_by_hand(two, before.spec)


def _score_by_hand(store: Store, spec: object) -> None:
    record = store.get(spec)  # type: ignore[arg-type]
    assert record is not None
    codes, views = store.codes(record.spec), viewstore.read_views(store, record.spec)
    name = "corruption:fog@1/both"
    parts = views["corruption.fog.1.both"]
    value = mean_average_precision(
        unpack_codes(parts["query_codes"], 12),
        unpack_codes(parts["database_codes"], 12),
        codes["query_labels"],
        codes["database_labels"],
    )
    assert record.score("map", name) == pytest.approx(value, abs=1e-12)
    assert not np.array_equal(parts["query_codes"], codes["query_codes"])


def _unseen_by_hand(store: Store) -> None:
    (record,) = [one for one in store.records() if one.spec.class_split is not None]
    (facts,) = record.views
    codes, unseen = store.codes(record.spec), [int(name) for name in facts.classes]
    query, base = (np.isin(codes[f"{side}_labels"], unseen) for side in ("query", "database"))
    value = mean_average_precision(
        unpack_codes(codes["query_codes"][query], 12),
        unpack_codes(codes["database_codes"][base], 12),
        codes["query_labels"][query],
        codes["database_labels"][base],
    )
    assert len(unseen) == 5
    assert (facts.queries, facts.database) == (int(query.sum()), int(base.sum()))
    assert record.score("map", "unseen-classes") == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_bad_weights_fail_in_one_line_and_the_record_stays(damage: str, tmp_path: Path) -> None:
    execute(tmp_path, **ITQ)
    (path,) = tmp_path.rglob("weights.safetensors")
    before = path.with_name("record.json").read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        from safetensors.torch import load_file, save_file

        save_file(
            {
                key: tensor * 0 if tensor.is_floating_point() else tensor
                for key, tensor in load_file(path).items()
            },
            path,
        )
    plan, summary, store = execute(tmp_path, views=("corruption:fog@1",), **ITQ)
    save_sweep(plan, store)
    assert summary.viewed == 0
    assert len(summary.unviewed) == 1
    assert "weights of itq" in summary.unviewed[0]
    assert "\n" not in summary.unviewed[0]
    assert path.with_name("record.json").read_bytes() == before
    assert collect(tmp_path)["counts"]["with views missing"] == 1


def test_a_crash_between_codes_and_record_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(tmp_path, **ITQ)
    (path,) = tmp_path.rglob("record.json")
    before, write = path.read_bytes(), write_file

    def dies(target: Path, content: bytes) -> None:
        if target.name == "record.json":
            raise KeyboardInterrupt
        write(target, content)

    monkeypatch.setattr("benchmark.store.store.write_file", dies)
    execute(tmp_path, views=("corruption:fog@1",), **ITQ)
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert execute(tmp_path, views=("corruption:fog@1",), **ITQ)[1].viewed == 1
    assert json.loads(path.read_bytes())["views"][0]["view"] == "corruption:fog@1"


def test_a_crash_while_a_view_is_replaced_leaves_no_old_scores_beside_new_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fog = {"views": ("corruption:fog@1", "corruption:fog@2"), **ITQ}
    execute(tmp_path, **fog)
    (path,) = tmp_path.rglob("record.json")
    before, write = json.loads(path.read_bytes()), write_file
    for facts in before["views"]:
        facts["version"] -= facts["view"] == "corruption:fog@2"
    path.write_text(json.dumps(before))

    def dies(target: Path, content: bytes) -> None:
        write(target, content)
        if target.name == "views.npz":
            raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.store.store.write_file", dies)
    execute(tmp_path, **fog)
    assert [facts["view"] for facts in json.loads(path.read_bytes())["views"]] == ["corruption:fog@1"]
    monkeypatch.undo()
    assert execute(tmp_path, **fog)[1].viewed == 1
    after = json.loads(path.read_bytes())
    assert {score["view"] for score in after["scores"]} == {"clean", *fog["views"]}
    assert {facts["version"] for facts in after["views"]} == {parse_view("corruption:fog@1").version}


def test_a_stale_fit_is_not_extended_but_on_request(tmp_path: Path) -> None:
    execute(tmp_path, **ITQ)
    (path,) = tmp_path.rglob("record.json")
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "source_digest": "0" * 16}))
    plan, summary, _ = execute(tmp_path, views=("corruption:fog@1",), **ITQ)
    assert (plan.fits[0].state, summary.ran, summary.viewed) == ("stale", 0, 0)
    assert "--retry stale" in plan.fits[0].reason
    _, summary, _ = execute(tmp_path, retry=frozenset({"stale"}), views=("corruption:fog@1",), **ITQ)
    assert (summary.ran, summary.viewed) == (1, 1)


#: Right before a file operation, in this order, and how many records then hold the views: a view's evaluation
#: begins with the codes of its fit, and ends with its own, the record, and the claim that is given up.
KILLS = [
    (DieAt("open", "*/codes.npz"), 0),
    (DieAt("os.rename", "*/views.npz"), 0),
    (DieAt("os.rename", "*/record.json"), 0),
    (DieAt("os.remove", "*/claims/*.json"), 1),
    (DieAt("os.rename", "*/views.npz"), 1),
]


@pytest.mark.slow
def test_kills_leave_the_old_record_or_the_new_one(tmp_path: Path) -> None:
    both = {
        "methods": ("itq",),
        "bits": (8, 12),
        "views": ("clean", "corruption:weather@1-2", "corruption:noise@1"),
    }
    execute(tmp_path / "undisturbed", **both)
    results, log = tmp_path / "r", tmp_path / "log"
    execute(results, methods=both["methods"], bits=both["bits"])
    old = {path: path.read_bytes() for path in results.rglob("record.json")}
    line = ["run", "--methods", "itq", "--bits", "8,12", "--views", ",".join(both["views"])]
    line += ["--results", str(results), "--epochs", "4", "--device", "cpu", "--tracking-uri", "none"]
    for moment, extended in KILLS:
        with Program(*line, log=log, before=moment) as driver:
            assert driver.wait() == -signal.SIGKILL, driver.text()
        new = [path for path, before in old.items() if path.read_bytes() != before]
        assert len(new) == extended, moment.pattern
        for path in new:
            assert _whole(Store(results), json.loads(path.read_bytes())["fit_id"])
    with Program(*line, "--executor", "processes", "--workers", "2", log=log) as rest:
        assert rest.wait() == 0, rest.text()
    assert not list(results.rglob(".*.tmp"))
    for record in Store(tmp_path / "undisturbed").records():
        assert _whole(Store(results), record.fit_id)
        assert set(Store(results).by_id(record.fit_id).scores) == set(record.scores)


def _whole(store: Store, fit_id: str) -> bool:
    """Whether every view that the record has, and all that were asked for, has codes that give its score again."""
    record = store.by_id(fit_id)
    codes, views = store.codes(record.spec), viewstore.read_views(store, record.spec)
    facts_of = [facts for facts in record.views if facts.view != "clean"]
    assert len(facts_of) == 14
    for facts in facts_of:
        value = mean_average_precision(
            unpack_codes(views[parse_view(facts.view).slug]["query_codes"], record.spec.bits),
            unpack_codes(codes["database_codes"], record.spec.bits),
            codes["query_labels"],
            codes["database_labels"],
        )
        assert record.score("map", facts.view) == pytest.approx(value, abs=1e-12)
    return True


def test_unseen_classes_alone_train_class_splits_alone() -> None:
    plan = planning.plan(
        sweep(views=("unseen-classes",), class_splits=(0, 2), **ITQ), Store(Path("/nonexistent")), None
    )
    assert [cell.fit.class_split for cell in plan.fits if cell.fit] == [0, 2]


#: Subjects that two data sets declare make them near or far.
WRITTEN = {"digits", "mnist", "usps", "multi-mnist"}
OBJECTS = {"cifar10", "cifar10-jpeg", "stl10", "imagenet100", "cifar100"}


def test_near_and_far_come_from_what_data_sets_declare() -> None:
    infos = {entry.name: entry.dataset_info for entry in registry.entries("datasets")}
    for own, other in itertools.combinations([*WRITTEN, *OBJECTS, "fashion-mnist", "svhn"], 2):
        found = similarity(infos[own], infos[other])
        assert found == similarity(infos[other], infos[own])
        if found != "shared classes":
            alike = {own, other} <= OBJECTS or {own, other} <= {*WRITTEN, "fashion-mnist"}
            assert found == ("near" if alike else "far"), (own, other)
    assert similarity(infos["cifar10"], infos["stl10"]) == "shared classes"
    assert similarity(infos["cifar10"], infos["nuswide-81"]) == ""  # declares no subject
    mine = infos["svhn"].model_copy(
        update={"classes": ("a", "b"), "subject": "sketches", "near": ("objects",)}
    )
    assert similarity(mine, infos["cifar10"]) == similarity(infos["cifar10"], mine) == "near"


def test_published_corruptions_are_those_that_the_data_set_declares(tmp_path: Path) -> None:
    data = digits()
    told = CorruptedFiles(folder="digits-c", part="digits", images=4)
    info = data.info.model_copy(update={"corrupted": told})
    declared = dataclasses.replace(
        data, info=info, names=np.array([f"digits/{i}" for i in range(len(data.images))])
    )
    folder = tmp_path / "digits-c"
    folder.mkdir()
    published = np.arange(5 * 4, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (1, 16, 16, 1), dtype=np.uint8
    )
    np.save(folder / "fog.npy", published)
    np.save(folder / "labels.npy", np.tile(data.labels[:4].argmax(axis=1), 5))
    view, rows = parse_view("corruption:fog@3"), np.array([3, 1])
    found = view_images.corrupted(declared, rows, view, tmp_path, keep=False)
    assert found.official == 2
    assert found.part(0, 2)[:, 0, 0, 0].tolist() == [11, 9]  # the third block of four
    assert view_images.corrupted(data, rows, view, tmp_path, keep=False).official == 0
    np.save(folder / "labels.npy", np.zeros(20, dtype=int))
    with pytest.raises(InputError, match=r"does not label digits .* in their order"):
        view_images.corrupted(declared, rows, view, tmp_path, keep=False)
    corrupted = {e.name: e.info["corrupted"] for e in registry.entries("datasets") if e.info["corrupted"]}
    assert corrupted == {"cifar10": {"folder": "CIFAR-10-C", "part": "test_batch", "images": 10_000}}
