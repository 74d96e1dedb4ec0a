"""`benchmark list`: what there is to run."""

from __future__ import annotations

import difflib
import fnmatch
import json
from typing import Any

import click

from benchmark.errors import InputError, unknown

WHAT = ("methods", "datasets", "suites", "metrics", "conventions", "protocols", "views", "backbones")
#: Weights that a line names.
_NAMED = 4


@click.command(name="list")
@click.argument("what", metavar="{" + ",".join(WHAT) + "}")
@click.argument("pattern", required=False, metavar="[PATTERN]")
@click.option("--data-root", metavar="DIR", help="Folder of your own data sets.  [$BENCHMARK_DATA or ./data]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str, pattern: str | None, data_root: str | None, as_json: bool) -> None:
    """List methods, datasets, suites, metrics, conventions, protocols, views or backbones.

    Broken plug-ins show their reason.
    PATTERN keeps the names that contain it, such as resnet, or that it stands for, such as 'vit_*_224'.
    """
    if what not in WHAT:
        raise unknown("listing", what, WHAT)
    rows = _datasets(data_root) if what == "datasets" else _ROWS[what]()
    if what == "backbones":
        most = _NAMED if pattern is None and not as_json else len(rows)
        rows = [{**row, "summary": _backbone(row, most)} for row in rows]
    if pattern is not None:
        rows = _matching(rows, pattern, what)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        broken = row.get("error")
        click.echo(f"{row['name']:<{width}}  {'BROKEN: ' + broken if broken else row['summary']}")


def _matching(rows: list[dict[str, Any]], pattern: str, what: str) -> list[dict[str, Any]]:
    """The rows whose name, or a name of whose weights, a pattern fits. Raises InputError when none does."""
    wanted = pattern.lower() if any(sign in pattern for sign in "*?[") else f"*{pattern.lower()}*"
    names = {row["name"]: [row["name"], *(one["backbone"] for one in row.get("weights", ()))] for row in rows}
    found = [row for row in rows if any(fnmatch.fnmatchcase(name, wanted) for name in names[row["name"]])]
    if not found:
        near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise InputError(f"none of the {len(rows)} {what} has a name like {pattern!r}{hint}")
    return found


def _backbones() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from benchmark.registry.backbones import networks

    return [asdict(one) for one in networks()]


def _backbone(row: dict[str, Any], most: int) -> str:
    """Where it is from, what it takes and gives, and the first of its weights; `.tag` goes behind its name."""
    size = f"{row['input_size']} px" if row["input_size"] else "the images as they are"
    parts = [row["about"] or row["library"], size]
    parts += [f"{row['features']} features"] if row["features"] else []
    names = [f".{one['name']}" if "." in one["backbone"] else one["name"] for one in row["weights"]]
    named = [f"{name} (default)" if name.strip(".") == row["default"] else name for name in names]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(parts) + (f"; weights {', '.join(named[:most])}{more}" if named else "")


def _methods() -> list[dict[str, Any]]:
    from benchmark import registry

    rows = []
    for entry in registry.entries("methods"):
        info = entry.info
        summary = f"{info['title']} ({info['venue']} {info['year']}), {info['supervision']}" if info else ""
        rows.append(
            {"name": entry.name, "summary": summary, "origin": entry.origin, "error": entry.error}
            | {"info": info, "params": entry.defaults}
        )
    return rows


def _datasets(data_root: str | None = None) -> list[dict[str, Any]]:
    from pathlib import Path

    from benchmark import registry

    rows = []
    for entry in registry.entries("datasets", Path(data_root) if data_root else None):
        info = entry.info
        summary = ""
        if info:
            size = entry.dataset_info.form
            summary = f"{info['title']}: {size}, {len(info['classes'])} classes"
            summary += f", protocol {info['default_protocol']}"
        rows.append(
            {
                "name": entry.name,
                "summary": summary,
                "origin": entry.origin,
                "error": entry.error,
                "info": info,
            }
        )
    return rows


def _suites() -> list[dict[str, Any]]:
    from benchmark.spec import suites

    return [{"name": name, "summary": suites.describe(name)} for name in suites.names()]


def _metrics() -> list[dict[str, Any]]:
    from benchmark.metrics import METRICS

    return [
        {
            "name": name,
            "summary": f"{fact.label}: {fact.description}{' (only where named)' if fact.on_request else ''}",
            "direction": fact.direction,
        }
        for name, fact in METRICS.items()
    ]


def _conventions() -> list[dict[str, Any]]:
    from benchmark.scoring.convention_table import CONVENTIONS

    return [
        {
            "name": name,
            "summary": f"{one.source}: {one.describe()}",
            "source": one.source,
            "needs_outputs": one.needs_outputs,
        }
        for name, one in CONVENTIONS.items()
    ]


def _protocols() -> list[dict[str, Any]]:
    from benchmark.data.protocol import CUSTOM_EXAMPLE, NEIGHBOURS_EXAMPLE, PROTOCOLS, find

    more = {
        CUSTOM_EXAMPLE: "any numbers, or --protocol-file FILE",
        NEIGHBOURS_EXAMPLE: "any number, and -cosine or -ip; vectors or --frozen, with labels or without",
    }
    rows = []
    for name in (*PROTOCOLS, *more):
        protocol = find(name)
        made_for = ", ".join(protocol.datasets) or "any data set that it fits"
        k = "all" if protocol.k is None else protocol.k
        summary = f"v{protocol.version} for {made_for}: {protocol.title}; mAP@{k}"
        if name in more:
            summary += f"; {more[name]}"
        rows.append({"name": name, "summary": summary, "protocol": protocol.definition()})
    return rows


def _views() -> list[dict[str, Any]]:
    from benchmark.spec.corruptions import FAMILIES
    from benchmark.spec.views import LISTING

    rows: list[dict[str, Any]] = [{"name": name, "summary": text} for name, text in LISTING.items()]
    return rows + [
        {"name": f"corruption:{name}", "summary": f"{family}{_extra(name)}", "family": family}
        for family in FAMILIES
        for name in FAMILIES[family]
    ]


def _extra(name: str) -> str:
    from benchmark.spec.corruptions import EXTRA

    return ", one of the extra ones" if name in EXTRA else ""


_ROWS = {
    "methods": _methods,
    "datasets": _datasets,
    "suites": _suites,
    "metrics": _metrics,
    "conventions": _conventions,
    "protocols": _protocols,
    "views": _views,
    "backbones": _backbones,
}
