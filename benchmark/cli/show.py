"""`benchmark show`: one record, and the command that makes it again."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cli._options import results_option
from benchmark.cli._text import plain, trace_lines


@click.command(name="show")
@click.argument("fit_id", metavar="ID")
@results_option
@click.option("--json", "as_json", is_flag=True, help="Print the record as it is stored.")
@click.option("--traceback", is_flag=True, help="Of a failed fit, the whole traceback.")
def command(fit_id: str, results: str, as_json: bool, traceback: bool) -> None:
    """Print the record whose id begins with ID, and the command that makes it again."""
    from benchmark.store.store import existing, find

    store = existing(results)
    record = find(store, fit_id)
    if as_json:
        click.echo(record.model_dump_json(indent=1))
        return
    for name, text in _facts(record, store):
        if text:
            click.echo(f"{name:<12} {plain(text)}")
    if record.failure is None:
        click.echo("traceback    none: the fit is done\n" if traceback else "", nl=False)
    elif traceback:
        click.echo(trace_lines(record.failure.traceback), nl=False)
    elif record.failure.traceback:
        click.echo("traceback    give --traceback to see it")


def _facts(record: Any, store: Any) -> list[tuple[str, str]]:
    from benchmark.spec import command as commands

    spec, env = record.spec, record.environment
    failure = f": {record.failure.kind}: {record.failure.message}" if record.failure else ""
    scores = [f"{s.metric}{f'@{s.k}' if s.k else ''} {s.value:.4f} ({s.view})" for s in record.scores]
    facts = [
        ("fit", f"{record.fit_id}  {spec.label}"),
        ("state", record.state + failure),
        ("scores", ", ".join(scores)),
        ("flags", "; ".join(record.flags)),
        ("protocol", record.protocol.text if record.protocol else ""),
        ("rules", record.protocol.rules_text if record.protocol else ""),
        ("data", f"{spec.dataset}, fingerprint {spec.fingerprint}"),
        ("method", f"{spec.method} version {spec.method_version}, source {record.source_digest}"),
        ("seed", str(spec.seed)),
        ("ran", f"{record.started} to {record.finished}, {record.timings.total:.1f} s"),
        ("folder", str(store.folder(spec))),
        ("given as", record.command),
    ]
    if env is not None:
        dirty = f", with changes {env.dirty_digest}" if env.dirty else ""
        versions = ", ".join(f"{name} {version}" for name, version in env.versions.items())
        facts += [
            ("commit", env.commit + dirty),
            ("versions", versions),
            ("hardware", f"{env.device}, {env.precision}, {env.threads} threads, {env.cpu}, {env.platform}"),
        ]
        facts.append(("compiled", env.compiled))
        if env.commit not in ("", "unknown"):
            facts.append(("check out", f"git checkout {env.commit}"))
    facts.append(("make again", commands.command_of(spec)))
    return facts
