"""The table that a run ends with: one row per method, data set, bits and label share; seeds averaged."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from benchmark.store.record import Record


def summary_table(records: Iterable[Record]) -> Table:
    """Rows of mean mAP (standard deviation over seeds), times, speed and what is wrong."""
    table = Table(title=None, show_edge=True, pad_edge=False)
    for name in ("data set", "method", "bits", "labels"):
        table.add_column(name, no_wrap=True)
    for name in ("seeds", "mAP", "sd", "train s", "encode img/s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("notes", overflow="fold")
    groups: dict[tuple[str, str, int, str, bool], list[Record]] = {}
    for record in records:
        spec = record.spec
        unseen = spec.class_split is not None
        key = (spec.dataset, spec.method, spec.bits, spec.label_rule.slug, unseen)
        groups.setdefault(key, []).append(record)
    for (dataset, method, bits, _, unseen), group in sorted(groups.items()):
        share = group[0].spec.label_rule.share + (", unseen classes" if unseen else "")
        row = [dataset, method, str(bits), share, *_cells(group, "unseen-classes" if unseen else "clean")]
        table.add_row(*(Text(cell) for cell in row))
    return table


def _cells(group: list[Record], view: str) -> list[str]:
    done = [record for record in group if record.state == "done"]
    values = [value for record in done if (value := record.score(view=view)) is not None]
    notes = {flag for record in done for flag in record.flags}
    notes |= {f"selection {record.spec.selection}" for record in done if record.spec.selection != "last"}
    failed = [record for record in group if record.failure is not None]
    if failed:
        first = failed[0].failure
        notes.add(f"{len(failed)} failed: {first.kind}: {first.message[:120]}" if first else "failed")
    return [
        f"{len(done)}/{len(group)}",
        f"{statistics.mean(values):.4f}" if values else "-",
        f"{statistics.stdev(values):.4f}" if len(values) > 1 else "-",
        f"{statistics.mean([record.timings.train for record in done]):.1f}" if done else "-",
        f"{statistics.mean([record.timings.encode_images_per_second for record in done]):,.0f}"
        if done
        else "-",
        "; ".join(sorted(notes)),
    ]


def captions(records: Iterable[Record]) -> list[str]:
    """What the numbers are: one line per distinct protocol, rules, selection and hardware."""
    lines: dict[str, None] = {}
    for record in records:
        if record.protocol is None or record.environment is None:
            continue
        facts, env = record.protocol, record.environment
        lines[f"protocol {facts.text}"] = None
        lines[f"{facts.queries:,} queries, {facts.database:,} database images; {facts.rules_text}"] = None
        lines[f"selection {record.spec.selection}: {facts.selection_text}"] = None
        if not record.spec.label_rule.full:
            lines[f"labels: {facts.label_rule}"] = None
        for line in (facts.noise_rule, *facts.notes):
            if line:
                lines[line] = None
        budget = (
            "" if record.spec.epochs is None else f"{record.spec.dataset}: {record.updates} updates of batch "
        )
        if budget:
            lines[f"budget {budget}{record.spec.batch_size} ({record.spec.epochs} epochs)"] = None
        backbone = f"backbone {record.spec.network}, weights {record.spec.weights}"
        lines[f"{backbone}; {env.device}, {env.precision}, {env.threads} threads, {env.cpu}"] = None
    return list(lines)
