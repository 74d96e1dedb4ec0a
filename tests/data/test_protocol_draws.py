"""The ways to draw: fixed for ever, disjoint where the protocol says so, refused where lists leak."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import cli, metrics, registry
from benchmark.data import protocol
from benchmark.data.protocol import PROTOCOLS, Protocol, Split
from benchmark.errors import InputError
from benchmark.fit.evaluator import score
from benchmark.spec import LabelRule, suites
from benchmark.spec.custom_protocol import read_custom
from benchmark.store.formats import read_record

ROOT = Path(__file__).parents[2]
INFO = registry.find("datasets", "digits").dataset_info
MULTI = INFO.model_copy(update={"name": "many", "multi_label": True, "split_key": ""})
BIG = np.eye(10, dtype=np.uint8)[np.random.default_rng(0).permutation(np.arange(60000) % 10)]
SMALL = BIG[:900]
PARTS = {
    "query": np.array([3, 1, 2]),
    "train": np.array([5, 4, 9, 8]),
    "database": np.array([5, 6, 7, 11]),
}

#: Digests of drawn row numbers, of the whole labels and (second) of a tenth with a tuning split, for seed 1. They
#: must never change: published ids and committed records mean these draws.
GOLDEN = {
    "digits-20-50": ("c82b8a265921cae6", "2de4be6f5b706c25"),
    "mnist-69k": ("b35d4f56c7951284", "217e760bbb0a8340"),
    "cifar10-59k": ("dbd5fef8b6c88a98", "56a56b7f4280c4df"),
    "cifar10-54k": ("4107f6b8212d3522", "e181c7af52c11385"),
    "cifar10-50k": ("381c7fdf4bbbbf77", "f06ba63680f23e1f"),
    "balanced-100-500": ("0554e0f369c573f3", "a84faf6b0eef43e5"),
    "balanced-20-50": ("c82b8a265921cae6", "2de4be6f5b706c25"),
}

PINNED = {
    "random": "b1b6d661e3ef9902",
    "random, 3 a label": "df0420966c4735c1",
    "quota": "2615013397b2de70",
    "quota, 3 a label": "3af03603752e3d33",
    "stratified": "787bad4de361950c",
    "noise": "0ffe9d95ecd75347",
    "classes": "[0, 1, 2, 4, 5]",
}


def digest(split: Split) -> str:
    hasher = hashlib.sha256()
    for part in ("query", "database", "labelled", "hidden", "tuning"):
        rows = np.asarray(getattr(split, part), dtype="<i8")
        hasher.update(f"{part} {len(rows)}".encode() + rows.tobytes())
    return hasher.hexdigest()[:16]


def many_labels(images: int = 3000) -> np.ndarray:
    rates = np.linspace(0.05, 0.4, 10)
    return (np.random.default_rng(5).random((images, 10)) < rates).astype(np.uint8)


@pytest.mark.parametrize("name", GOLDEN)
def test_draws_never_change(name: str) -> None:
    rule = PROTOCOLS[name]
    info = registry.find("datasets", (rule.datasets or ("digits",))[0]).dataset_info
    full = protocol.draw(rule, info, BIG, 1)
    tenth = protocol.draw(rule, info, BIG, 1, LabelRule(fraction=0.1), tuning=True)
    assert (digest(full), digest(tenth)) == GOLDEN[name]


def test_draws_of_every_kind_are_pinned() -> None:
    """The same on another machine, for the kinds and rules that GOLDEN has not."""
    labels = many_labels()
    found = {}
    for kind, query, train in (("random", 100, 400), ("quota", 5, 20)):
        rule = Protocol(name="t", title="t", draw=kind, query=query, train=train)  # type: ignore[arg-type]
        found[kind] = digest(protocol.draw(rule, MULTI, labels, 0, LabelRule(fraction=0.2)))
        found[f"{kind}, 3 a label"] = digest(protocol.draw(rule, MULTI, labels, 0, LabelRule(per_class=3)))
    rule = Protocol(name="t", title="t", draw="stratified", query=100, train=301)
    noisy = protocol.draw(rule, INFO, SMALL, 0, LabelRule(noise=0.2))
    found["stratified"] = digest(noisy)
    found["noise"] = hashlib.sha256(
        noisy.changed.astype("<i8").tobytes() + noisy.changed_labels.tobytes()
    ).hexdigest()[:16]
    found["classes"] = str(protocol.seen_classes(INFO, 0).tolist())
    assert found == PINNED


@pytest.mark.parametrize("folder", ["digits", "cifar10-gpu"])
def test_committed_records_are_readable_and_keep_their_draws(folder: str) -> None:
    paths = sorted((ROOT / "results" / "reproduced" / folder).glob("*/*/*/record.json"))
    assert paths
    records = [read_record(path) for path in paths]
    assert all(record.fit_id in path.parent.name for record, path in zip(records, paths, strict=True))
    if folder != "digits":
        return
    for record, path in zip(records, paths, strict=True):
        data = registry.dataset("digits").decode(None)
        split = protocol.draw(
            PROTOCOLS["digits-20-50"], INFO, data.labels, record.spec.seed, record.spec.label_rule
        )
        assert record.protocol is not None
        assert (record.protocol.queries, record.protocol.database) == (len(split.query), len(split.database))
        codes = path.with_name("codes.npz")
        if codes.exists():
            with np.load(codes, allow_pickle=False) as stored:
                assert np.array_equal(stored["query_ids"], split.query)
                assert np.array_equal(stored["database_ids"], split.database)


def test_every_named_protocol_describes_itself() -> None:
    for name, rule in PROTOCOLS.items():
        assert rule.describe().startswith(f"{name} v{rule.version}: ")
        assert protocol.find(name) is rule
    assert "OVERLAPPING" in PROTOCOLS["hashgan-cifar10"].describe()
    assert "OVERLAPPING" not in PROTOCOLS["hashgan-cifar10-disjoint"].describe()


# ---- kinds -------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**31 - 1),
    draw=st.sampled_from(["per-class", "stratified", "random"]),
    database=st.sampled_from(["all-but-query", "rest", "train"]),
)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_parts_are_disjoint_where_the_protocol_says_so(seed: int, draw: str, database: str) -> None:
    query, train = (5, 20) if draw == "per-class" else (55, 207)
    rule = Protocol(name="t", title="t", draw=draw, query=query, train=train, database=database)  # type: ignore[arg-type]
    split = protocol.draw(rule, INFO, SMALL, seed)
    total = (50, 200) if draw == "per-class" else (55, 207)
    assert (len(split.query), len(split.labelled)) == total
    shared = protocol.id_overlaps(split)
    assert shared["query-train"] == shared["query-database"] == 0
    assert shared["train-database"] == (0 if database == "rest" else total[1])
    sizes = {"all-but-query": 900 - total[0], "rest": 900 - sum(total), "train": total[1]}
    assert len(split.database) == sizes[database]
    if draw == "stratified":
        assert np.abs(SMALL[split.query].sum(axis=0) - 55 / 900 * SMALL.sum(axis=0)).max() < 1


def test_nothing_but_seed_and_data_set_decides() -> None:
    """Asked for in any order, by any method, between other draws."""
    rule, labels = PROTOCOLS["multi-100-400"], many_labels()
    asked = [(seed, fraction) for seed in (0, 1) for fraction in (1.0, 0.1)]

    def all_of(order: list[tuple[int, float]]) -> dict[tuple[int, float], str]:
        return {
            (s, f): digest(protocol.draw(rule, MULTI, labels, s, LabelRule(fraction=f, noise=0.1)))
            for s, f in order
        }

    first = all_of(asked)
    np.random.seed(7)
    np.random.random(100)
    assert all_of(asked[::-1]) == first
    assert len(set(first.values())) == len(asked)


def test_quotas_are_filled_exactly() -> None:
    labels = many_labels()
    rule = Protocol(name="t", title="t", draw="quota", query=5, train=20)
    split = protocol.draw(rule, MULTI, labels, 0)
    assert (len(split.query), len(split.labelled), len(split.database)) == (50, 200, 2950)
    assert (labels[split.labelled].sum(axis=0) >= 20).all()
    assert (labels[split.query].sum(axis=0) >= 5).all()
    with pytest.raises(InputError, match="label '0' has too few images"):
        protocol.draw(rule.model_copy(update={"train": 400}), MULTI, labels, 0)


def test_published_sizes() -> None:
    """MNIST's 60,000; NUS-WIDE's 21 concepts; MIRFLICKR's 20,000, with its images without a label."""
    info = registry.find("datasets", "mnist").dataset_info
    sizes = np.array([6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958])
    mnist = np.eye(10, dtype=np.uint8)[np.repeat(np.arange(10), sizes)]
    split = protocol.draw(PROTOCOLS["mnist-60k"], info, mnist, 0)
    assert (len(split.query), len(split.labelled), len(split.database)) == (10_000, 60_000, 60_000)
    assert not set(split.query) & set(split.database)
    split = protocol.draw(PROTOCOLS["mnist-55k"], info, mnist, 0)
    assert (len(split.query), len(split.labelled), len(split.database)) == (10_000, 5_000, 55_000)
    split = protocol.draw(PROTOCOLS["mnist-official"], info, mnist, 0)
    assert split.query.tolist() == list(range(60_000, 70_000))
    wide = (np.random.default_rng(0).random((30_000, 21)) < 0.15).astype(np.uint8)
    many = MULTI.model_copy(update={"classes": tuple(map(str, range(21)))})
    split = protocol.draw(PROTOCOLS["nuswide-tc21"], many, wide, 0)
    assert (len(split.query), len(split.labelled), len(split.database)) == (2_100, 10_500, 27_900)
    split = protocol.draw(PROTOCOLS["mirflickr38"], many, wide[:25_000], 0)
    assert (len(split.query), len(split.labelled), len(split.database)) == (1_000, 4_000, 20_000)


def test_a_query_part_and_so_many_of_each_class_train() -> None:
    rule = PROTOCOLS["imagenet100"].model_copy(update={"train": 30})
    split = protocol.draw(rule, INFO, SMALL, 0, parts={"query": np.arange(100)})
    assert split.query.tolist() == list(range(100))
    assert set(SMALL[split.labelled].sum(axis=0)) == {30}
    assert len(split.database) == 800
    with pytest.raises(InputError, match="has no query list"):
        protocol.draw(rule, INFO, SMALL, 0)


# ---- lists -------------------------------------------------------------------------------------------


def test_listed_parts_are_taken_as_they_are() -> None:
    split = protocol.draw(PROTOCOLS["lists"], MULTI, SMALL, 0, parts=PARTS)
    assert split.query.tolist() == [1, 2, 3]
    assert split.labelled.tolist() == [4, 5, 8, 9]
    assert split.database.tolist() == [5, 6, 7, 11]
    without = {name: PARTS[name] for name in ("query", "train")}
    assert len(protocol.draw(PROTOCOLS["lists"], MULTI, SMALL, 0, parts=without).database) == 897
    with pytest.raises(InputError, match="data set 'many' has no query list"):
        protocol.draw(PROTOCOLS["lists"], MULTI, SMALL, 0)


def test_overlapping_lists_are_refused_until_asked_for_by_name() -> None:
    leaky = {**PARTS, "database": np.array([5, 6, 7, 11, 1, 2])}
    with pytest.raises(
        InputError, match="2 queries are in the database too; ask for it by name: lists-as-released"
    ):
        protocol.draw(PROTOCOLS["lists"], MULTI, SMALL, 0, parts=leaky)
    split = protocol.draw(PROTOCOLS["lists-as-released"], MULTI, SMALL, 0, parts=leaky)
    assert protocol.id_overlaps(split) == {"query-train": 0, "query-database": 2, "train-database": 1}
    (note,) = protocol.notes(PROTOCOLS["lists-as-released"], MULTI, split)
    assert "2 of 3 queries and 1 training images are in the database" in note
    split = protocol.draw(PROTOCOLS["lists-disjoint"], MULTI, SMALL, 0, parts=leaky)
    assert split.database.tolist() == [6, 7, 11]
    leaky = {**PARTS, "train": np.array([3, 4])}
    with pytest.raises(InputError, match="1 queries are in the training part"):
        protocol.draw(PROTOCOLS["lists"], MULTI, SMALL, 0, parts=leaky)
    assert protocol.draw(PROTOCOLS["lists-disjoint"], MULTI, SMALL, 0, parts=leaky).labelled.tolist() == [4]


def test_a_query_can_be_left_out_of_its_own_ranking() -> None:
    rule = PROTOCOLS["lists-exclude-self"]
    assert rule.exclude_self
    codes = {
        "query_codes": np.array([[0], [255]], dtype=np.uint8),
        "database_codes": np.array([[0], [255], [1]], dtype=np.uint8),
        "query_labels": np.array([0, 1]),
        "database_labels": np.array([0, 1, 0]),
        "query_ids": np.array([10, 11]),
        "database_ids": np.array([10, 11, 12]),
    }
    found = [
        {one.metric: one.value for one in score(codes, 8, metrics.Rules(exclude_self=exclude))}["map"]
        for exclude in (False, True)
    ]
    assert found == [1.0, 0.5]  # alone, the second query has no relevant image left


def test_a_sets_own_cutoff_is_that_of_its_lists() -> None:
    cut = INFO.model_copy(update={"k": 5000})
    assert protocol.resolve("lists", cut).k == 5000
    assert protocol.resolve("lists-k1000", cut).k == 1000
    assert protocol.resolve("digits-20-50", cut).k is None


# ---- custom ------------------------------------------------------------------------------------------


def test_a_custom_protocols_name_is_its_definition(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[protocol]\nquery = 7\ntrain = 9\ndatabase = "rest"\nk = 50\n')
    name = read_custom(file)
    assert name == "custom-q7-t9-per-class-rest-k50"
    rule = protocol.resolve(name, INFO)
    assert (rule.query, rule.train, rule.database, rule.k) == (7, 9, "rest", 50)
    split = protocol.draw(rule, INFO, SMALL, 0)
    assert (len(split.query), len(split.labelled), len(split.database)) == (70, 90, 740)
    table = {"protocol": {"query": 7, "train": 9, "draw": "random"}}
    assert suites.normalise(table)["protocol"] == "custom-q7-t9-random-all-but-query-kall"
    config = suites.resolve(None, {"protocol": "custom", "protocol_file": str(file)})
    assert config.sweep.protocol == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query = 1\ntrain = 0\n", "train"),
        ("query = 1\n", "train"),
        ("query = 1\ntrain = 1\nshare = 2\n", "unknown"),
        ('query = 1\ntrain = 1\ndraw = "any"\n', "draw"),
        ("query = 1\ntrain = 1\nk = 0\n", "k is 0"),
        ("query = ", "is no TOML"),
    ],
)
def test_mistakes_in_a_custom_protocol_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_custom(tmp_path / "p.toml")
    assert "p.toml" in str(error.value)


def test_custom_names_that_mean_nothing_are_refused() -> None:
    for name in ("custom", "custom-q0-t1-random-rest-kall", "custom-q1-t1-random-rest-k01"):
        with pytest.raises(InputError, match="named by its numbers"):
            protocol.find(name)
    with pytest.raises(InputError, match="exclude each other"):
        suites.resolve(None, {"protocol": "lists", "protocol_file": "x.toml"})


def test_list_protocols_names_data_sets_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "protocols"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "cifar10, cifar10-jpeg" in lines["cifar10-54k"]
    assert "database of 54,000" in lines["cifar10-54k"]
    assert set(PROTOCOLS) < set(lines)
