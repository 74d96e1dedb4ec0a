"""`score`: score codes that somebody brings, under stated rules and public conventions."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmark.scoring.session import Request, ScoredCodes
    from benchmark.scoring.uncertainty import Paired


_ROLES = tuple(
    f"{side}_{kind}" for side in ("query", "database") for kind in ("codes", "outputs", "labels", "ids")
)


def _keys(function: Any) -> Any:
    """`--query-codes KEY` and its siblings."""
    for role in reversed(_ROLES):
        help_text = f"The {role.replace('_', ' ')} in the file, if under another name."
        flag = f"--{role.replace('_', '-')}"
        function = click.option(flag, role, default=None, metavar="KEY", help=help_text)(function)
    return function


@click.command(name="score")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--against", "against", multiple=True, metavar="FILE", help="A second set, for a paired test.")
@click.option("--k", type=int, default=None, help="Cut-off of mAP, NDCG, ACG and WAP (default: all items).")
@click.option("--ties", default="expected", help="expected, database-order, optimistic or pessimistic.")
@click.option("--normaliser", default="retrieved-in-k", help="retrieved-in-k or all-relevant.")
@click.option("--no-hit", default="zero", help="Queries without a hit: zero or skip.")
@click.option(
    "--no-label", default="count", help="Queries without a label: count (as without a hit) or skip."
)
@click.option("--empty-ball", default="zero", help="Empty radius-2 balls: zero or skip.")
@click.option("--sign-zero", default="+1", help="The bit of an output that is exactly 0: +1 or -1.")
@click.option(
    "--threshold",
    default=None,
    metavar="T[,T]",
    help="What a 1 must exceed (queries, database), for outputs that are never negative.  [by sign]",
)
@click.option("--transpose", is_flag=True, help="Codes and outputs are stored bits x items.")
@click.option("--bits", default=None, metavar="N|KEY", help="Codes are packed bytes of so many bits.")
@_keys
@click.option("--exclude-self", is_flag=True, help="Leave each query's own id out of its ranking.")
@click.option("--relevance", default="shared", help="shared (at least one label), or graded as well.")
@click.option("--metrics", default=None, metavar="NAME,...", help="Only these metrics.")
@click.option("--at", default="100,1000", metavar="N,...", help="The N of precision, recall and hit rate.")
@click.option("--conventions", default=None, metavar="all|NAME,...", help="Public repositories' rules too.")
@click.option("--bootstrap", "resamples", type=int, default=0, metavar="N", help="Resamples for intervals.")
@click.option("--seed", type=int, default=0, help="Seed of everything random here.", show_default=True)
@click.option("--confidence", type=float, default=0.95, help="Of the intervals.", show_default=True)
@click.option("--engine", default="auto", help="auto, numpy, numba or torch.")
@click.option("--threads", type=int, default=None, help="Threads (default: every core of the process).")
@click.option("--device", default=None, help="Device of the torch engine.")
@click.option("--max-gb", type=float, default=8.0, help="Refuse files that claim more.", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the curves, and no table.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the numbers as CSV.")
@click.option(
    "--per-query", type=click.Path(path_type=Path), default=None, help="Write scores by query as CSV."
)
def command(
    files: tuple[str, ...],
    against: tuple[str, ...],
    max_gb: float,
    threshold: str | None,
    transpose: bool,
    bits: str | None,
    as_json: bool,
    out: Path | None,
    per_query: Path | None,
    **chosen: Any,
) -> None:
    """Score query codes against database codes.

    FILE is one .npz, .mat (any version), .pt, .h5, .csv or .jsonl file, or several of them. They hold query_codes
    (or query_outputs), database_codes (or database_outputs), query_labels and database_labels, and may hold
    query_ids and database_ids; common other names are understood, and --query-codes KEY (and so on) names any
    other. A file of one set or of one array: query=FILE, query_labels=FILE. Codes are -1/+1, 0/1, floats by sign,
    or packed bytes with their number of `bits`.
    """
    from benchmark.errors import InputError
    from benchmark.scoring.codeset import load_codes
    from benchmark.scoring.session import compare, score

    if not 0 < max_gb < 1e6:
        raise InputError(f"--max-gb is {max_gb}; it must be above 0")
    keys = {role: key for role in _ROLES if (key := chosen.pop(role)) is not None}
    reading: dict[str, Any] = {"threshold": _threshold(threshold), "transpose": transpose, "named": keys}
    if bits is not None and bits.isdecimal():
        reading["bits"] = int(bits)
    elif bits is not None:
        keys["bits"] = bits
    request, limit = _request(**chosen), int(max_gb * 1e9)
    outcome = score(load_codes(files, limit, **reading), request)
    second = None
    if against:
        other = score(load_codes(against, limit, **reading), request)
        second = (other, compare(outcome, other))
    _show(outcome, second, as_json, out, per_query)


def _request(
    *, metrics: str | None, at: str, conventions: str | None, resamples: int, seed: int, **chosen: Any
) -> Request:
    """The options as a checked request; InputError for one that does not fit."""
    from benchmark.errors import InputError
    from benchmark.metrics import Rules
    from benchmark.scoring.convention_table import choose_conventions
    from benchmark.scoring.session import Request

    if resamples < 0:
        raise InputError(f"--bootstrap is {resamples}; it must be 0 (off) or more")
    if seed < 0:
        raise InputError(f"--seed is {seed}; it must be 0 or more")
    chosen["sign_zero"] = _sign(chosen["sign_zero"])
    rules = Rules(**{field.name: chosen.pop(field.name) for field in fields(Rules)})
    return Request(
        rules,
        None if metrics is None else _names(metrics),
        at=_ranks(at),
        conventions=tuple(choose_conventions(conventions)) if conventions is not None else (),
        resamples=resamples,
        seed=seed,
        **chosen,
    )


def _show(
    outcome: ScoredCodes,
    second: tuple[ScoredCodes, dict[str, Paired]] | None,
    as_json: bool,
    out: Path | None,
    per_query: Path | None,
) -> None:
    import json

    from benchmark.files.rounding import rounded_all
    from benchmark.files.text_table import terminal_width
    from benchmark.scoring import present

    if out is not None:
        _write(out, present.as_csv(outcome, second))
    if per_query is not None:
        _write(per_query, present.per_query_csv(outcome))
    if as_json:
        click.echo(json.dumps(rounded_all(present.as_dict(outcome, second)), indent=2, allow_nan=False))
    else:
        click.echo(present.as_text(outcome, second, terminal_width()))


def _write(path: Path, text: str) -> None:
    from benchmark.errors import InputError
    from benchmark.files.write import write_file

    try:
        write_file(path, text.encode("utf-8", "surrogateescape"), folders=False)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def _threshold(text: str | None) -> tuple[float, ...] | None:
    from benchmark.errors import InputError

    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--threshold is {text!r}; it must be a number, or one for the queries and one for the database: 0.5,0"
        ) from None


def _sign(text: str) -> int:
    from benchmark.errors import InputError

    signs = {"+1": 1, "1": 1, "-1": -1}
    if text not in signs:
        raise InputError(f"--sign-zero is {text!r}; allowed: +1, -1")
    return signs[text]


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _ranks(text: str) -> tuple[int, ...]:
    from benchmark.errors import InputError

    try:
        return tuple(int(part) for part in _names(text))
    except ValueError:
        raise InputError(f"--at is {text!r}; it must be whole numbers, such as 100,1000") from None
