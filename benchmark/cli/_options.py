"""The options that several commands share, and those of every command that uses a finished fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmark.use.encode import Codes
    from benchmark.use.model import Encoder
    from benchmark.use.sources import Source

results_option = click.option(
    "--results", default="results/runs", metavar="DIR", show_default=True, help="The results folder."
)
data_root_option = click.option(
    "--data-root", metavar="DIR", help="Folder of data sets.  [$BENCHMARK_DATA or ./data]"
)
device_option = click.option(
    "--device", metavar="auto|cpu|cuda|cuda:N|mps", default="auto", show_default=True
)
weights_option = click.option(
    "--weights", "weights_file", metavar="FILE", default="", help="The weights file that it used."
)
skip_option = click.option(
    "--skip-bad-images", is_flag=True, help="Leave out images that cannot be read, as in `run`."
)


def fit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """FIT and where it and its data lie; `open_fit` takes them."""
    for option in (skip_option, weights_option, device_option, data_root_option, results_option):
        command = option(command)
    return click.argument("fit_id", metavar="FIT")(command)


def open_fit(where: dict[str, Any]) -> Encoder:
    """The encoder of the fit that the options of `fit_options` name."""
    from benchmark.files import places
    from benchmark.fit.devices import resolve_device
    from benchmark.use.model import open_encoder

    return open_encoder(
        Path(where["results"]),
        where["fit_id"],
        data_root=places.data_root(where["data_root"]),
        device=resolve_device(where["device"]),
        weights_file=where["weights_file"],
    )


def encode_shown(encoder: Encoder, source: Source) -> Codes:
    """Encode with a progress bar on stderr where that is a terminal; notes go there too."""
    from rich.console import Console
    from rich.progress import Progress

    from benchmark.use.encode import encode

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("encoding", total=source.total)
        found = encode(encoder, source, lambda count: bar.advance(task, count))
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    return found
