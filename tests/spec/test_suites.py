from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.spec import suites
from benchmark.store.store import Store
from benchmark.sweep.forecast import Expected, forecast
from benchmark.sweep.lookup import Lookup
from benchmark.sweep.plan import Plan, plan
from tests.helpers import execute, sweep
from tests.layouts import picture


def written(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


def test_parts_come_over_the_suites_own_keys_and_flags_over_both(tmp_path: Path) -> None:
    text = 'title = "t"\nmethods = ["itq"]\nbits = [8]\n[[parts]]\nseeds = [4]\n[[parts]]\nbits = [16]\n'
    first, second = suites.resolve_all(written(tmp_path, "a", text), {"seeds": "7"})
    assert (first.bits, first.seeds, first.methods) == ((8,), (7,), ("itq",))
    assert (second.bits, second.seeds, second.title) == ((16,), (7,), "t")


def test_a_suite_of_suites_is_their_grids_in_order(tmp_path: Path) -> None:
    one = written(tmp_path, "one", "bits = [8]\n")
    two = written(tmp_path, "two", "[[parts]]\nbits = [16]\n[[parts]]\nbits = [32]\n")
    both = written(tmp_path, "both", f'title = "both"\ninclude = ["{one}", "{two}"]\n')
    assert [config.bits for config in suites.resolve_all(both, {})] == [(8,), (16,), (32,)]
    with pytest.raises(InputError, match="3 grids"):
        suites.resolve(both, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('include = ["paper-main"]\nbits = [8]\n', "takes only a title beside"),
        ("include = []\n", "include must list suites"),
        ('include = ["papr-main"]\n', "unknown suite 'papr-main'"),
        ("parts = 3\n", "parts must be tables"),
        ("[[parts]]\nbit = [8]\n", "part 1 key 'bit'"),
    ],
)
def test_mistakes_in_a_suite_of_several_grids_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        suites.resolve_all(written(tmp_path, "bad", text), {})


def test_a_suite_cannot_include_itself(tmp_path: Path) -> None:
    name = str(tmp_path / "loop.toml")
    written(tmp_path, "loop", f'include = ["{name}"]\n')
    with pytest.raises(InputError, match="includes itself"):
        suites.resolve_all(name, {})


def test_every_paper_suite_has_its_small_twin_and_paper_is_all_of_them() -> None:
    names = set(suites.names())
    large = {name for name in names if name.startswith("paper-") and not name.endswith(("small", "night"))}
    assert {f"{name}-small" for name in large} <= names
    every = [config for name in sorted(large) for config in suites.resolve_all(name, {})]
    assert sorted(map(repr, suites.resolve_all("paper", {}))) == sorted(map(repr, every))


def test_the_forecast_counts_a_shared_fit_once_and_learns_from_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plans = [plan(sweep(bits=(8, 16)), store, None), plan(sweep(bits=(16, 32)), store, None)]
    (row,) = forecast(plans, store, {"digits": 1797})
    assert (row.dataset, row.fits, row.to_run, row.measured) == ("digits", 3, 3, 0)
    assert row.seconds > 0
    execute(tmp_path, bits=(8,), epochs=2)
    (after,) = forecast([plan(sweep(bits=(8,), epochs=20), store, None)], store, {"digits": 1797})
    (record,) = store.records()
    assert (after.fits, after.to_run, after.measured) == (1, 1, 1)
    expected = record.timings.total + 9 * record.timings.train
    assert after.seconds == pytest.approx(expected)
    plans = [plan(sweep(bits=(8,), epochs=2, views=("clean", "corruption:fog@1")), store, None)]
    assert plans[0].fits[0].extend
    (views,) = forecast(plans, store, {"digits": 1797})
    assert (views.fits, views.to_run, views.seconds) == (1, 0, 0)


def test_the_forecast_says_what_a_decomposition_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few large images: the smaller side is theirs; many: the dimensions'."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    for number in range(2):
        for index in range(3):
            picture(tmp_path / "photos" / f"class{number}" / f"{index}.png", 3 * number + index)
    (tmp_path / "large.toml").write_text(
        'kind = "folder"\nfolder = "photos"\nsize = 128\nprotocol = "custom-q2-t4-random-all-but-query-kall"\n'
    )
    store, dimensions = Store(tmp_path / "results"), 3 * 128 * 128
    plans = [plan(sweep(datasets=("large",), methods=("itq",)), store, tmp_path)]
    (few,) = forecast(plans, store, {"large": 6}, tmp_path)
    assert few.memory == 16 * 4 * dimensions + 32 * 4**2
    assert few.seconds < 20
    many = [plan(sweep(datasets=("large",), methods=("hashnet",)), store, tmp_path)]
    assert forecast(many, store, {"large": 6}, tmp_path)[0].memory == 0
    rule = "custom-q10-t100000-random-all-but-query-kall"
    spec = plans[0].fits[0].fit.model_copy(update={"protocol": rule})  # type: ignore[union-attr]
    grown = dataclasses.replace(plans[0], fits=(dataclasses.replace(plans[0].fits[0], fit=spec),))
    (large,) = forecast([grown], store, {"large": 200_000}, tmp_path)
    assert large.memory == 16 * 100_000 * dimensions + 32 * dimensions**2
    assert large.seconds > 3600


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without any data set."""
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_main_suite_is_planned_without_its_data(no_data: Path, run_cli: Cli) -> None:
    code, out, err = run_cli("run", "--suite", "paper-main", "--plan")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for name, place in (("cifar10", "cifar-10-batches-py"), ("nuswide-21", "NUS-WIDE"), ("coco", "coco")):
        (missing,) = [line for line in lines if line.startswith(f"files missing: data set {name!r}")]
        assert place in missing
        (expected,) = [line for line in lines if line.startswith(f"{name}: ")]
        assert "204 to run" in expected or "408 to run" in expected
        assert " 0.0 hours" not in expected
        assert "decoded images once; its files are missing" in expected
    assert "absent             coophash coco 64b s2: files missing" in lines
    assert lines[-1].startswith("all: 1020 different fits on 4 data sets, 1020 to run")
    assert list(no_data.iterdir()) == []


def test_a_set_that_is_there_is_planned_beside_those_that_are_not(no_data: Path, run_cli: Cli) -> None:
    suite = written(no_data, "two", 'methods = ["itq"]\nbits = [8]\ndatasets = ["digits", "coco"]\n')
    code, out, _ = run_cli("run", "--suite", suite, "--plan")
    assert code == 0
    assert "2 fits: 1 absent, 1 planned; 1 would run, 1 more once their files are there" in out


def test_a_run_without_its_data_names_every_missing_set_before_any_fit(no_data: Path, run_cli: Cli) -> None:
    text = 'methods = ["itq"]\nbits = [8]\n[[parts]]\ndatasets = ["digits"]\n'
    suite = written(no_data, "two", text + '[[parts]]\ndatasets = ["coco", "nuswide-21"]\n')
    code, _, err = run_cli("run", "--suite", suite, "--results", no_data / "runs")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "data set 'coco'" in err
    assert "data set 'nuswide-21'" in err
    assert err.rstrip().endswith("without them: --datasets digits")
    assert not (no_data / "runs").exists()


def test_a_mistyped_data_folder_is_refused_in_a_plan_too(no_data: Path, run_cli: Cli) -> None:
    code, _, err = run_cli("run", "--suite", "paper-main", "--plan", "--data-root", "nowhere")
    assert code == 2
    assert "'nowhere' does not exist" in err.splitlines()[-1]


def test_the_flag_datasets_picks_from_a_suites_grids_or_replaces_them(tmp_path: Path) -> None:
    text = (
        '[[parts]]\ndatasets = ["mnist", "digits"]\nbits = [8]\n[[parts]]\ndatasets = ["coco"]\nbits = [16]\n'
    )
    suite = written(tmp_path, "two", text)

    def found(flag: str) -> list[tuple[tuple[str, ...], int]]:
        configs = suites.resolve_all(suite, {"datasets": flag})
        return [(config.datasets, config.bits[0]) for config in configs]

    assert found("digits") == [(("digits",), 8)]
    assert found("coco,mnist") == [(("mnist",), 8), (("coco",), 16)]
    assert found("usps") == [(("usps",), 8), (("usps",), 16)]
    assert found("coco,usps") == [(("coco", "usps"), 8), (("coco", "usps"), 16)]


def test_the_papers_multi_label_sets_are_in_its_suites_with_a_pretrained_backbone() -> None:
    for name in ("paper-main", "paper-scarcity", "paper-corruption", "paper-ood"):
        found = [one for one in suites.resolve_all(name, {}) if {"nuswide-21", "coco"} <= {*one.datasets}]
        assert {(one.backbone, one.weights) for one in found} == {("alexnet", "imagenet")}, name


def test_a_night_is_a_choice_of_the_papers_fits_that_one_gpu_finishes(tmp_path: Path) -> None:
    """Twelve hours by what was measured and estimated; each of its fits is one of the paper suites' too."""
    store, known = Store(tmp_path), Lookup(tmp_path, without_data=True)

    def plans(suite: str) -> list[Plan]:
        return [plan(config.sweep, store, tmp_path, known=known) for config in suites.resolve_all(suite, {})]

    night, paper = plans("paper-night"), plans("paper")

    def fits(made: list[Plan]) -> dict[str, str]:
        return {cell.fit.fit_id: cell.label for one in made for cell in one.fits if cell.fit is not None}

    assert not [label for fit_id, label in fits(night).items() if fit_id not in fits(paper)]
    images = {cell.fit.dataset: known.images(cell.fit.dataset) for p in night for cell in p.fits if cell.fit}
    hours = sum(row.seconds for row in forecast(night, store, images, tmp_path, gpu=True)) / 3600
    assert 5 < hours < 12
    assert hours < sum(row.seconds for row in forecast(night, store, images, tmp_path)) / 3600 / 50


def test_a_gpus_forecast_rests_on_what_was_measured_and_on_a_gpus_records(tmp_path: Path) -> None:
    store, images = Store(tmp_path), {"digits": 1797}
    made = [plan(sweep(methods=("hashnet",), bits=(8,), epochs=1000), store, None)]
    (first,) = forecast(made, store, images, gpu=True)
    updates = 1000 * (first.fits and max(1, 1797 // 64))
    assert first.seconds < updates * 6.3e-3 + 10
    execute(tmp_path, methods=("hashnet",), bits=(16,), epochs=2)
    (after,) = forecast(made, store, images, gpu=True)
    assert (after.measured, after.seconds) == (0, first.seconds), "a record of a CPU says nothing of a GPU"
    (record,) = store.records()
    there = record.environment.model_copy(update={"device": "cuda:0 NVIDIA H100"})  # type: ignore[union-attr]
    (path,) = tmp_path.rglob("record.json")
    path.write_text(record.model_copy(update={"environment": there}).model_dump_json())
    (gpu,) = forecast(made, store, images, gpu=True)
    assert gpu.measured == 1
    assert gpu.seconds == pytest.approx(record.timings.total + 499 * record.timings.train)
    assert forecast(made, store, images)[0].measured == 0


def test_a_forecast_of_fits_on_vectors_rests_on_such_fits(tmp_path: Path) -> None:
    """Not on the image fits of the same backbone; on other data sets' vectors before the table."""
    store, images = Store(tmp_path), {"digits": 1797}

    def of(method: str, gpu: bool = False, **how: object) -> Expected:
        grid = sweep(methods=(method,), bits=(8,), epochs=30, frozen=True, **how)
        (row,) = forecast([plan(grid, store, None)], store, images, gpu=gpu)
        return row

    updates = 30 * (500 // 64)
    plain, generative = of("hashnet"), of("coophash-vectors")
    assert plain.seconds == pytest.approx(1 + updates * 0.002)
    assert generative.seconds == pytest.approx(1 + updates * 0.026)
    assert (plain.measured, plain.elsewhere, plain.as_images) == (0, 0, 0)
    assert of("hashnet", gpu=True).as_images == 1

    execute(tmp_path, methods=("hashnet",), bits=(16,), epochs=1)
    assert of("hashnet") == plain, "a fit of images says nothing of one on the frozen features"
    (path,) = tmp_path.rglob("record.json")
    (record,) = store.records()
    for name, device in (("cpu", "cpu"), ("cuda", "cuda:0 NVIDIA H100")):
        there = record.environment.model_copy(update={"device": device})  # type: ignore[union-attr]
        spec = record.spec.model_copy(update={"frozen": True, "dataset": f"other-{name}"})
        change = {"spec": spec, "fit_id": spec.fit_id, "environment": there}
        target = store.folder(spec)
        target.mkdir(parents=True)
        (target / "record.json").write_text(record.model_copy(update=change).model_dump_json())
    facts, times = record.protocol, record.timings
    assert facts is not None
    rest = (times.total - times.train) * 1797 / (facts.queries + facts.database)
    for gpu in (False, True):
        row = of("hashnet", gpu=gpu)
        assert (row.measured, row.elsewhere, row.as_images) == (0, 1, 0)
        assert row.seconds == pytest.approx(times.train / record.updates * updates + rest)
    assert path.is_file()
    frozen = record.spec.model_copy(update={"frozen": True})
    store.folder(frozen).mkdir(parents=True)
    change = {"spec": frozen, "fit_id": frozen.fit_id}
    (store.folder(frozen) / "record.json").write_text(record.model_copy(update=change).model_dump_json())
    row = of("hashnet")
    assert (row.measured, row.elsewhere) == (1, 0)
    assert row.seconds == pytest.approx(times.total + 29 * times.train)


def test_a_plan_says_that_no_gpu_was_timed_on_vectors(tmp_path: Path, run_cli: Cli) -> None:
    words = ("run", "--bits", "8", "--epochs", "1", "--plan", "--results", tmp_path, "--device", "cpu")
    words = (*words, "--frozen", "--backbone", "compact", "--methods")
    assert "2 of them on vectors, untimed there, as if of small images" in run_cli(*words, "hashnet,csq")[1]
    assert "on vectors" not in run_cli(*words, "itq")[1], "a closed form takes no updates"


def test_what_a_suite_sets_follows_its_methods(tmp_path: Path) -> None:
    """A method that a grid lacks, or that the flags left out, takes its parameters along; a stranger's stay."""
    file = tmp_path / "mine.toml"
    file.write_text(
        'methods = ["hashnet", "csq"]\n[[parts]]\n[[parts]]\nmethods = ["itq"]\n'
        "[set]\nhashnet = { lr = 0.1 }\ncsq = { lr = 0.2 }\n"
    )
    assert [sorted(one.params) for one in suites.resolve_all(str(file), {})] == [["csq", "hashnet"], []]
    assert [one.params for one in suites.resolve_all(str(file), {"methods": "csq"})] == [
        {"csq": {"lr": 0.2}}
    ] * 2
    file.write_text('methods = ["itq"]\n[set]\nhashnet = { lr = 0.1 }\n')
    assert [*suites.resolve_all(str(file), {})[0].params] == ["hashnet"], "refused by whoever plans it"
