"""The command line as a user meets it: bad input is one line, exit code 2, and nothing is written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.test_datasets import make_jpeg_folders, make_mnist

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--methods", "hasnet"), "unknown method 'hasnet': did you mean hashnet"),
        (("run", "--methods", "no-such-thing"), "unknown method 'no-such-thing'"),
        (("run", "--methods", ""), "methods: must name at least one"),
        (("run", "--datasets", "digts"), "unknown data set 'digts': did you mean digits"),
        (("run", "--bits", "-4"), "bits.0: Input should be greater than or equal to 1 (given: '-4')"),
        (("run", "--bits", "sixteen"), "bits.0"),
        (("run", "--bits", "1.5"), "bits.0"),
        (("run", "--seeds", "-1"), "seeds.0"),
        (("run", "--label-fractions", "0"), "label_fractions.0"),
        (("run", "--epochs", "0"), "epochs"),
        (("run", "--set", "hashnet.lrr=1"), "unknown parameter of hashnet key 'lrr': did you mean lr"),
        (("run", "--set", "hashnet.lr=-1"), "parameter of hashnet: lr"),
        (("run", "--set", "hashnet.lr"), "METHOD.PARAM=VALUE"),
        (("run", "--set", "itq.iterations=3"), "not in this sweep"),
        (("run", "--protocol", "cifar10-59k"), "not for data set 'digits'"),
        (("run", "--protocol", "nonsense"), "unknown protocol 'nonsense'"),
        (("run", "--selection", "best"), "selection"),
        (("run", "--precision", "fp8"), "precision"),
        (("run", "--device", "tpu"), "unknown device 'tpu'; allowed: auto, cpu, cuda, cuda:N, mps"),
        (("run", "--device", "cuda:99"), "cuda:99"),
        (("run", "--backbone", "alexnett"), "unknown backbone 'alexnett': did you mean alexnet"),
        (("run", "--weights", "imagenet"), "no weights 'imagenet'"),
        (("run", "--weights", "missing.pt"), "missing.pt"),
        (("run", "--retry", "sometimes"), "unknown --retry 'sometimes'"),
        (("run", "--tracking-uri", "nonsense"), "tracking URI 'nonsense'"),
        (("run", "--suite", "quikstart"), "unknown suite 'quikstart': did you mean quickstart"),
        (("run", "--suite", "missing.toml"), "missing.toml"),
        (("run", "--methds", "itq"), "--methds"),
        (("run", "--datasets", "mnist", "--data-root", "nowhere"), "data folder 'nowhere' does not exist"),
        (("run", "--results", ""), "results: String should have at least 1 character"),
        (("run", "extra"), "extra"),
        (("rnu",), "unknown command 'rnu': did you mean run"),
        (("list", "method"), "unknown listing 'method': did you mean methods"),
        (("status", "--results", "nowhere"), "results folder 'nowhere' does not exist"),
        (("report", "--results", "nowhere"), "results folder 'nowhere' does not exist"),
        (("track", "--results", "nowhere"), "results folder 'nowhere' does not exist"),
        (("ui", "--results", "nowhere"), "no MLflow database in 'nowhere'"),
    ],
)
def test_bad_input_is_one_line(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods = [", "no TOML"),
        ('methds = ["itq"]', "did you mean methods"),
        ('methods = ["itq"]\nbits = [0]', "bits.0"),
        ('set = "itq.iterations=1"', "'set' must be"),
        ("[set]\nitq = 3", "params.itq"),
        ("title = 3", "title"),
        ("\0", "no TOML"),
    ],
)
def test_bad_suite_files_are_one_line(run_cli: Cli, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(text)
    code, _, err = run_cli("run", "--suite", path, "--results", tmp_path / "runs")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_suite_runs_and_flags_win(run_cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text('methods = "itq,lsh"\nbits = [8, 16]\nlabel-fractions = 1\n[set.itq]\niterations = 3\n')
    code, out, _ = run_cli("run", "--suite", path, "--bits", "12", "--results", tmp_path / "runs", "--plan")
    assert code == 0
    assert "2 fits: 2 planned; 2 would run" in out.splitlines()
    assert "itq digits 12b s0" in out
    assert not (tmp_path / "runs").exists(), "--plan writes nothing"


def test_run_status_report_from_one_folder(run_cli: Cli, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    arguments = ("run", "--methods", "itq,lsh", "--bits", "12", "--results", runs, "--device", "cpu")
    code, out, err = run_cli(*arguments)
    assert code == 0
    assert "itq digits 12b s0: mAP" in err
    assert "ties averaged over all orders" in out
    assert "20 queries and 50 training images a class" in out
    assert f"records: {runs}/" in out
    assert (runs / "mlflow.db").is_file()
    ids = [path.parent.name[-16:] for path in runs.glob("digits/*/*/record.json")]
    assert all(f"  {fit_id}  " in out for fit_id in ids)
    assert out.splitlines()[-1] == (
        f"report:  python -m benchmark report --results {runs}   (then open {runs}/report/report.html)"
    )
    code, out, _ = run_cli("status", "--results", runs)
    assert all(f"({fit_id})" in out for fit_id in ids)
    assert len(ids) == 2
    assert run_cli("show", ids[0], "--results", runs)[0] == 0
    code, out, _ = run_cli(*arguments, "--plan")
    assert "under a minute of one worker" in out
    assert "2 fits: 2 done; 0 would run" in out.splitlines()
    code, out, _ = run_cli("status", "--results", runs, "--json")
    assert json.loads(out)["counts"]["done"] == 2
    code, out, _ = run_cli("report", "--results", runs, "--out", tmp_path / "out")
    assert code == 0
    assert all(Path(line).is_file() for line in out.splitlines())
    code, out, _ = run_cli("track", "--results", runs)
    assert "0 fits are not in" in out


def test_times_are_said_as_they_are_waited_for() -> None:
    from benchmark.cli._text import hours

    said = {0.0: "under a minute", 59.0: "under a minute", 61.0: "about 1 minute", 5000.0: "about 83 minutes"}
    said |= {5400.0: "about 1.5 hours", 3.6e7: "about 10,000.0 hours"}
    assert {seconds: hours(seconds) for seconds in said} == said


def test_a_failed_fit_gives_exit_code_one(run_cli: Cli, tmp_path: Path) -> None:
    arguments = ("run", "--methods", "hashnet", "--bits", "8", "--epochs", "1", "--set", "hashnet.lr=1e30")
    code, out, err = run_cli(*arguments, "--results", tmp_path, "--tracking-uri", "none")
    assert code == 1
    assert "FAILED (not-finite" in err
    assert "1 failed" in out
    code, out, _ = run_cli("status", "--results", tmp_path)
    assert code == 0
    assert "not-finite" in out


def test_a_truncated_image_stops_before_anything_is_written(run_cli: Cli, tmp_path: Path) -> None:
    make_jpeg_folders(tmp_path / "data", per_class=2)
    victim = tmp_path / "data/cifar10/train/frog/0001.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    arguments = (
        "--datasets",
        "cifar10-jpeg",
        "--data-root",
        tmp_path / "data",
        "--results",
        tmp_path / "runs",
    )
    code, _, err = run_cli("run", "--methods", "lsh", *arguments)
    assert code == 2
    assert "frog/0001.jpg" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_too_small_a_data_set_is_one_line(run_cli: Cli, tmp_path: Path) -> None:
    make_mnist(tmp_path / "data")
    arguments = ("--datasets", "mnist", "--data-root", tmp_path / "data", "--results", tmp_path / "runs")
    code, _, err = run_cli("run", "--methods", "lsh", *arguments)
    assert code == 2
    assert "needs 600 images a class; class '0'" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere; the next test covers root")
def test_a_read_only_results_folder_is_named(run_cli: Cli, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    code, _, err = run_cli("run", "--methods", "lsh", "--results", tmp_path / "runs")
    tmp_path.chmod(0o700)
    assert code == 2
    assert str(tmp_path / "runs") in err


def test_a_results_path_below_a_file_is_named(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run_cli("run", "--methods", "lsh", "--results", tmp_path / "file" / "runs")
    assert code == 2
    assert "cannot be written" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("what", ["methods", "datasets", "suites", "metrics", "conventions", "protocols"])
def test_listings_in_text_and_json(run_cli: Cli, what: str) -> None:
    code, text, _ = run_cli("list", what)
    assert code == 0
    code, out, _ = run_cli("list", what, "--json")
    rows = json.loads(out)
    assert [row["name"] for row in rows] == [line.split()[0] for line in text.splitlines()]
    assert all(row["summary"] for row in rows)


def test_every_suite_is_valid(run_cli: Cli) -> None:
    from benchmark.spec import suites

    for name in suites.names():
        assert all(config.title for config in suites.resolve_all(name, {}))


def test_help_names_every_flag(run_cli: Cli) -> None:
    from benchmark.spec.suites import RunConfig

    code, out, _ = run_cli("run", "--help")
    assert code == 0
    keys = {name.replace("_", "-") for name in RunConfig.model_fields} - {"title", "params"}
    assert len(keys) > 30
    for flag in (*keys, "plan", "retry", "set", "suite", "protocol-file", "input-size"):
        assert f"--{flag} " in out
    assert "--selection last|val|peek" in out  # a choice names its words, a switch takes none
    assert "--frozen  " in out


def test_no_command_prints_the_help(run_cli: Cli) -> None:
    code, out, _ = run_cli()
    assert code in (0, 2)
    assert "Commands" in out


def test_python_version_is_supported() -> None:
    assert sys.version_info >= (3, 11)


def test_missing_data_are_downloaded_where_that_is_possible(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a named folder, `./data` is made and filled; here the download fails, which is one line."""
    import urllib.request

    asked: list[str] = []

    def refuse(request: urllib.request.Request, *arguments: object, **options: object) -> None:
        asked.append(request.full_url)
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli("run", "--datasets", "cifar10")
    assert code == 2
    assert any("cifar-10-python" in url for url in asked)
    assert "its download failed (no network); put cifar-10-batches-py" in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
    code, _, err = run_cli("run", "--datasets", "cifar10", "--plan")
    assert code == 2
    assert "does not exist" in err


def test_a_download_is_used(run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.datasets.mnist import MNIST

    monkeypatch.setattr(MNIST, "prepare", lambda self, root: make_mnist(root))
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli("run", "--datasets", "mnist", "--methods", "lsh")
    assert code == 2
    assert "needs 600 images a class" in err.splitlines()[-1]
    assert (tmp_path / "data/MNIST/raw").is_dir()
