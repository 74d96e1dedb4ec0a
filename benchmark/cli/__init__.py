"""The command line: a table of sub-commands, each imported only when it is used.

Keep this module light: `--help` has to answer at once, so nothing here may import
torch, pandas, pydantic or MLflow.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from benchmark.errors import InputError, trace_of, unknown
from benchmark.files.places import absolute_places
from benchmark.files.streams import guarded

#: sub-command -> one line for `--help`. The module `benchmark.cli.<name>` holds `command`.
COMMANDS: dict[str, str] = {
    "run": "Train and score methods over a sweep; finished fits are not repeated.",
    "list": "List methods, data sets, backbones, suites, metrics, protocols or views.",
    "status": "Count what a results folder holds, with the failures' reasons.",
    "show": "Print one record and the command that makes it again.",
    "verify": "Run one fit again and compare its codes, bit for bit.",
    "report": "Render tables and figures from a results folder.",
    "compact": "Make a results folder small enough to commit; a report of it stays the same.",
    "describe": "List the parts of a method's built networks; `report` draws them as Figure 1.",
    "claims": "Test the paper's claims on records: supported, contradicted or undecided.",
    "score": "Score codes that you bring, under any public convention.",
    "score-shards": "Score or search codes on disk that exceed memory.",
    "encode": "Codes of images, vectors or a data set by a finished fit.",
    "search": "The nearest images of a query by a finished fit's codes.",
    "search-cost": "Speed, size and quality of indexes over a fit's codes, beside vectors.",
    "export": "A finished fit as a folder that needs nothing of this project.",
    "serve": "A page on 127.0.0.1 to search a folder of images with a picture.",
    "check": "Run the list of checks that every method must pass.",
    "tune": "Search learning rates on a tuning split; equal trials for every method.",
    "new": "Write a method file and its test that run from the first minute.",
    "prepare": "Download and decode data sets before they are needed.",
    "dataset": "Name a data set of your own: class folders, list files, or a table.",
    "audit": "Leaks between query, database and training part; label statistics.",
    "track": "Send finished fits to MLflow again (after a tracker failed).",
    "ui": "Open MLflow's own interface on 127.0.0.1.",
}

#: Commands whose result is what they print.
PRINTS = tuple([name] for name in ("list", "status", "show", "claims", "score", "audit"))


class _LazyGroup(click.Group):
    """A group that knows its commands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        command = importlib.import_module(f"benchmark.cli.{cmd_name.replace('-', '_')}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"benchmark.cli.{cmd_name}.command is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])  # `list` is a sub-module of this package


@click.group(
    cls=_LazyGroup,
    name="benchmark",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="coophash-benchmark")
def app() -> None:
    """Image hashing, compared fairly: train, score, sweep and report."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 fine, 1 something failed, 2 bad input.

    A reader of the output that goes away or stops reading changes neither what is done nor the code; nor does a
    full disk under it, except where what is printed is the whole result.
    """
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    absolute_places()
    with guarded() as streams:
        code = _run(words)
    failed = next((one.failed for one in streams if one.failed is not None and one.fileno() == 1), None)
    if failed is None:
        return code
    click.echo(f"error: standard output cannot be written: {failed.strerror}", err=True)
    return code or int(words[:1] in PRINTS)


def _run(arguments: list[str]) -> int:
    try:
        result = app.main(args=arguments, prog_name="benchmark", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error))
        return 2
    except click.ClickException as error:
        return _refuse(error.format_message())
    except InputError as error:
        if "--traceback" in arguments:
            click.echo(error.trace or trace_of(error), err=True, nl=False)
        return _refuse(str(error))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    return result if isinstance(result, int) else 0


def _refuse(message: str) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return 2
