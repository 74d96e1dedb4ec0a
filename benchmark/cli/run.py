"""`benchmark run`: train and score methods over a sweep."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli._run_text import grid, print_plans, print_summary, print_tracebacks


@click.command(name="run")
@click.option(
    "--suite", metavar="NAME|FILE", help="A named suite or a TOML file with the same keys; flags win."
)
@click.option("--methods", metavar="A,B", help="Methods, comma-separated.  [coophash,hashnet]")
@click.option("--datasets", metavar="A,B", help="Data sets.  [digits]")
@click.option("--bits", metavar="N,M", help="Code lengths.  [16,32]")
@click.option("--label-fractions", metavar="F,G", help="Shares of the training labels to show.  [1]")
@click.option("--labels-per-class", metavar="N,M", help="Labelled images a class, instead of a share.")
@click.option("--label-noise", metavar="P,Q", help="Shares of the shown labels to make wrong.  [0]")
@click.option("--noise-kind", metavar="symmetric|class-conditional", help="Which wrong label.  [symmetric]")
@click.option(
    "--hidden-images", metavar="unlabelled|dropped", help="Images without a label.  [handed over unlabelled]"
)
@click.option("--views", metavar="A,B", help="What to evaluate each fit under; see `list views`.  [clean]")
@click.option("--class-splits", metavar="I,J", help="Class choices of the view unseen-classes.  [0,1,2]")
@click.option("--seeds", metavar="S,T", help="Seeds.  [0]")
@click.option("--protocol", metavar="NAME", help="Split, database and mAP@k; see `list protocols`.")
@click.option("--protocol-file", metavar="FILE", help="A custom protocol: a TOML file of its sizes.")
@click.option("--backbone", metavar="NAME", help="Feature network: compact, resnet18, any of timm, ...")
@click.option(
    "--weights", metavar="none|imagenet|FILE", help="The backbone's weights; see docs/features.md.  [none]"
)
@click.option(
    "--frozen", is_flag=True, default=None, help="Learn from the backbone's features, computed once."
)
@click.option("--input-size", metavar="N", help="Pixels of a side that the backbone is given.  [its own]")
@click.option("--preprocessing", metavar="KEY=VALUE,...", help="size, interpolation, crop, mean, std.")
@click.option("--head", metavar="linear|mlp:N", help="What stands between features and bits.  [the method's]")
@click.option("--epochs", metavar="N", help="Passes over the training images.  [the data set's]")
@click.option("--batch-size", metavar="N", help="Images per update.  [64]")
@click.option("--selection", metavar="last|val|peek", help="Which model is scored.  [last]")
@click.option("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="Where to train.  [auto]")
@click.option(
    "--precision",
    metavar="auto|fp32|tf32|bf16",
    help="auto: bf16 for large backbones on CUDA, else fp32.  [auto]",
)
@click.option(
    "--deterministic", is_flag=True, default=None, help="On a GPU, only algorithms that repeat bit for bit."
)
@click.option(
    "--compile",
    is_flag=True,
    default=None,
    help="Have torch compile the networks for training; see docs/gpu.md.",
)
@click.option("--data-root", metavar="DIR", help="Folder of data sets.  [$BENCHMARK_DATA or ./data]")
@click.option("--results", metavar="DIR", help="Where results go.  [results/runs]")
@click.option("--tracking-uri", metavar="URI", help="MLflow tracker, or `none`.  [SQLite inside --results]")
@click.option("--curve-points", metavar="N", help="Scorings along the training, for the curve.  [5]")
@click.option("--curve-steps", metavar="N,M", help="Score after these updates instead, and after the last.")
@click.option(
    "--curve-metrics",
    metavar="A,B",
    help="What a scoring looks at: map, accuracy, fd (Fréchet distances), samples.  [map,accuracy]",
)
@click.option("--curve-samples", metavar="N", help="Generated images per Fréchet distance.  [1000]")
@click.option("--inception-weights", metavar="FILE", help="Inception's weights: `fd` is then FID.")
@click.option("--checkpoint-seconds", metavar="S", help="Save the training state this often.  [60]")
@click.option(
    "--executor", metavar="serial|processes|ray", help="Where fits run; see docs/sweeps.md.  [serial]"
)
@click.option("--workers", metavar="N", help="Fits at a time (processes, ray).  [one a GPU, else one a core]")
@click.option("--gpus", metavar="0,1", help="GPUs that the worker processes share.")
@click.option("--gpu-memory", metavar="MIB", help="What a fit needs on its GPU.  [learnt from records]")
@click.option("--gpus-per-fit", metavar="SHARE", help="Share of a GPU for a fit (ray): 0.5 puts two on one.")
@click.option(
    "--ray-address", metavar="ADDRESS", help="A Ray cluster: `auto`, HOST:PORT.  [one started here]"
)
@click.option("--time-limit", metavar="SECONDS", help="End a fit that takes longer (processes, ray).")
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
