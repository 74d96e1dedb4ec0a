"""`benchmark tune`: learning rates by an equal search for every method, never on the queries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli._options import data_root_option, device_option, skip_option


@click.command(name="tune")
@click.argument("methods", metavar="METHODS")
@click.option("--dataset", metavar="NAME", default="digits", show_default=True, help="One data set.")
@click.option("--bits", metavar="N", type=int, default=32, show_default=True, help="One code length.")
@click.option("--trials", metavar="N", type=int, default=5, show_default=True, help="For every method.")
@click.option("--protocol", metavar="NAME", default="default", show_default=True, help="As in `run`.")
@click.option("--backbone", metavar="NAME", default="compact", show_default=True, help="As in `run`.")
@click.option(
    "--weights", metavar="none|imagenet|FILE", default="none", show_default=True, help="As in `run`."
)
@click.option("--frozen", is_flag=True, help="As in `run`.")
@click.option("--input-size", metavar="N", help="As in `run`.")
@click.option("--preprocessing", metavar="KEY=VALUE,...", help="As in `run`.")
@click.option("--head", metavar="linear|mlp:N", help="As in `run`.")
@click.option("--epochs", metavar="N", type=int, help="Passes over the training images.  [the data set's]")
@click.option("--batch-size", metavar="N", type=int, default=64, show_default=True, help="As in `run`.")
@click.option("--seed", metavar="S", type=int, default=0, show_default=True, help="Seed of split and fits.")
@device_option
@data_root_option
@click.option("--results", metavar="DIR", default="results/runs", show_default=True, help="Where results go.")
@click.option("--again", is_flag=True, help="Repeat searches that are recorded already.")
@skip_option
def command(methods: str, skip_bad_images: bool, **flags: Any) -> int:
    """Search METHODS (comma-separated) with an equal number of trials each, on a tuning split.

    The split is a tenth of the training images; the test queries are never read. Results are recorded under
    RESULTS/tuning and reused by `run --tuned FILE`.
    """
    names = list(dict.fromkeys(part.strip() for part in methods.split(",") if part.strip()))
    if not names:
        raise click.UsageError("name at least one method")
    from benchmark.data.load import skipping_bad_images

    with skipping_bad_images(skip_bad_images):
        return _tune(names, flags)


def _tune(names: list[str], flags: dict[str, Any]) -> int:
    from benchmark.authoring import tune
    from benchmark.authoring.tune import Study
    from benchmark.errors import InputError
    from benchmark.fit.devices import resolve_device
    from benchmark.spec.weights import task_file

    for name in names:
        tune.candidates(name, tune.TRIALS[0])  # unknown and untunable names are refused before any work
    data_root, setting = _setting(flags)
    path = tune.study_path(setting, Path(flags["results"]))
    study = tune.read_study(path) if path.exists() else Study(setting=setting)
    todo = [name for name in names if flags["again"] or not tune.is_current(study.methods.get(name))]
    if todo:
        file = task_file(flags["weights"])
        bench = tune.prepare(setting, data_root, resolve_device(flags["device"]), file, _shown)
        for name in todo:
            try:
                found = tune.search(name, bench, lambda text: click.echo(text, err=True))
            except InputError as error:  # the other methods' searches go on
                click.echo(f"error: {error}", err=True)
                continue
            study = study.model_copy(update={"methods": {**study.methods, name: found}})
            tune.write_study(study, path)
    for name in (name for name in names if name in study.methods):
        tuned = study.methods[name]
        best = ", ".join(f"{key} {value:g}" for key, value in tuned.best.items())
        click.echo(
            f"{name:<16} {best}  (mAP {tuned.score:.4f} on the tuning split, {len(tuned.trials)} trials)"
        )
    lost = [name for name in names if name not in study.methods]
    if len(lost) == len(names):
        return 2
    click.echo(f"recorded: {path}   (use it with: python -m benchmark run --tuned {path} ...)")
    return int(bool(lost))


def _shown(event: Any) -> None:
    """The share of a frozen backbone's features that is computed, on one line of a terminal."""
    if sys.stderr.isatty() and event.steps:
        end = "\n" if event.step >= event.steps else ""
        click.echo(f"\r{event.phase} {event.step:,}/{event.steps:,}{end}", err=True, nl=False)


def _setting(flags: dict[str, Any]) -> Any:
    from benchmark import registry
    from benchmark.authoring.tune import Setting
    from benchmark.data import protocol
    from benchmark.data.load import fingerprint_of
    from benchmark.files import places
    from benchmark.spec import parse
    from benchmark.spec.suites import normalise
    from benchmark.spec.weights import weights_identity

    reading = {key: flags[key] for key in ("preprocessing", "input_size", "head") if flags[key] is not None}
    data_root = places.data_root(flags["data_root"])
    info = registry.find("datasets", flags["dataset"], data_root).dataset_info
    values = {
        "dataset": flags["dataset"],
        "fingerprint": fingerprint_of(registry.dataset(flags["dataset"], data_root), data_root),
        "protocol": protocol.resolve(flags["protocol"], info).name,
        "backbone": flags["backbone"],
        "weights": weights_identity(flags["weights"]),
        "bits": flags["bits"],
        "epochs": flags["epochs"] or info.epochs,
        "batch_size": flags["batch_size"],
        "seed": flags["seed"],
        "trials": flags["trials"],
        "frozen": flags["frozen"],
        "database": "tuning",
        **normalise(reading),
    }
    return data_root, parse(Setting, values, "tune")
