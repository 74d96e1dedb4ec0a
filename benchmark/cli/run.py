"""`benchmark run`: train and score methods over a sweep."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from benchmark.cli._run_text import grid, print_plans, print_summary, print_tracebacks
from benchmark.spec.suites import RunConfig


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for every key of a suite that has one; see `flag` of `benchmark.spec.values`."""
    for name, field in reversed(RunConfig.model_fields.items()):
        if isinstance(extra := field.json_schema_extra, dict):
            metavar = extra["metavar"] or "|".join(filter(None, get_args(field.annotation)))
            kind: dict[str, Any] = {"is_flag": True} if field.annotation is bool else {"metavar": metavar}
            option = click.option(f"--{name.replace('_', '-')}", default=None, help=field.description, **kind)
            command = option(command)
    return command


@click.command(name="run")
@click.option(
    "--suite", metavar="NAME|FILE", help="A named suite or a TOML file with the same keys; flags win."
)
@_config_options
@click.option("--protocol-file", metavar="FILE", help="A custom protocol: a TOML file of its sizes.")
@click.option("--input-size", metavar="N", help="Pixels of a side that the backbone is given.  [its own]")
@click.option("--retry", "retries", metavar="failed|stale|all", multiple=True, help="Run these again.")
@click.option(
    "--set",
    "assignments",
    metavar="METHOD.PARAM=VALUE",
    multiple=True,
    help="Override a parameter; repeatable.",
)
@click.option("--tuned", metavar="FILE", help="Take the best parameters that `tune` recorded; --set wins.")
@click.option("--skip-bad-images", is_flag=True, help="Leave out images that cannot be read; it is recorded.")
@click.option("--traceback", is_flag=True, help="Print the whole traceback of every fit that failed.")
@click.option("--plan", "plan_only", is_flag=True, help="Say what would run, what is done, what is skipped.")
def command(
    suite: str | None,
    retries: tuple[str, ...],
    assignments: tuple[str, ...],
    tuned: str | None,
    plan_only: bool,
    skip_bad_images: bool,
    traceback: bool,
    **flags: Any,
) -> int:
    """Train and score methods over a sweep; finished fits are not repeated."""
    from benchmark.data.load import skipping_bad_images
    from benchmark.spec import suites
    from benchmark.sweep.launch import retries_of

    flags = {key: value for key, value in flags.items() if value is not None}
    if assignments:
        flags["set"] = list(assignments)
    configs = suites.resolve_all(suite, flags)
    if tuned is not None:
        configs = tuple(_with_tuned(config, Path(tuned)) for config in configs)
    retry = retries_of(retries)
    with skipping_bad_images(skip_bad_images):
        if plan_only:
            for config in configs:
                _check_how(config)
            listed = suite is None or not suites.stands_for_others(suite)
            print_plans(configs, retry, listed=listed, without_data=suite is not None)
            return 0
        return _run_all(configs, retry, traceback)


def _run_all(configs: tuple[Any, ...], retry: frozenset[str], traceback: bool) -> int:
    """Every grid of the sweep; the worst exit code. Data of all of them must be there before any fit begins."""
    from benchmark.sweep.launch import ensure_data

    ensure_data(configs)
    worst = 0
    for number, config in enumerate(configs, 1):
        if len(configs) > 1:
            click.echo(f"[{number}/{len(configs)}] {config.title}: {grid(config)}")
        code = _run(config, retry, traceback)
        worst = max(worst, code)
        if code >= 128:  # stopped by a signal: the rest waits for the next time
            break
    return worst


def _with_tuned(config: Any, file: Path) -> Any:
    from benchmark.authoring import tune
    from benchmark.spec.weights import weights_identity

    found = tune.tuned_params(file, config.sweep, weights_identity(config.weights))
    merged = {
        name: {**found.get(name, {}), **config.params.get(name, {})} for name in {*found, *config.params}
    }
    return config.model_copy(update={"params": merged})


def _check_how(config: Any) -> None:
    """Raise InputError for a device, executor or tracker that a run would refuse."""
    from benchmark.store.mlflow_address import check_uri
    from benchmark.sweep.executors.choose import choose

    choose(config)
    if config.tracking_uri not in ("", "none"):
        check_uri(config.tracking_uri)


def _run(config: Any, retry: frozenset[str], traceback: bool) -> int:
    from rich.console import Console

    from benchmark.sweep.display import make_display
    from benchmark.sweep.launch import launch

    # A pipe has no width; 80 columns would cut the numbers.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    command = shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])
    done = launch(
        config,
        retry,
        command,
        lambda: make_display(Console(stderr=True, highlight=False)),
        note=lambda text: click.echo(f"note: {text}", err=True),
    )
    summary = done.summary
    print_summary(console, done.plan, summary, done.store, done.saved, done.uri)
    if traceback:
        print_tracebacks(summary.records)
    if summary.interrupted:
        return 128 + signal.Signals[summary.interrupted].value
    failed = any(record.state == "failed" for record in summary.records)
    return 1 if failed or summary.unviewed else 0
