"""Table 1: mAP by method and bits, at full labels."""

from __future__ import annotations

from collections.abc import Callable

from benchmark.metrics import METRICS
from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.groups import Group, is_variant
from benchmark.report.map_table import map_sheet
from benchmark.report.tables.cells import Drawn, Sheet
from benchmark.store.record import Record


def build(ctx: Context) -> Drawn:
    """One table per data set, protocol, budget and selection; declared variants stand in the ablation."""
    sheets, gaps = [], []
    for group in ctx.main_groups:
        records = group.of(lambda record: not is_variant(record.spec.method))
        if not records:
            continue
        rows, columns = rows_of(records), sorted({record.spec.bits for record in records})
        sheets.append(main_table(ctx, group))
        gaps += ctx.missing(group, rows, columns)
    if not sheets:
        gaps.append(ctx.no_records("a fit at full labels", "paper-main"))
    return Drawn(sheets=tuple(sheets), gaps=tuple(gaps))


def main_table(ctx: Context, group: Group) -> Sheet:
    """mAP of one group: methods by bits."""
    rows = rows_of(group.of(lambda record: not is_variant(record.spec.method)))
    bits = sorted({record.spec.bits for records in rows.values() for record in records})
    return map_sheet(
        ctx,
        group,
        rows,
        [(f"{one} bits", _at(one)) for one in bits],
        name=f"table1-{group.slug}",
        title=f"{METRICS['map'].label}: {group.title}",
    )


def _at(bits: int) -> Callable[[Record], bool]:
    def keep(record: Record) -> bool:
        return record.spec.bits == bits

    return keep


ARTIFACT = Artifact(
    name="table1",
    aliases=("main",),
    title="mAP by method and code length",
    needs="fits at full labels of several methods; several seeds for a spread",
    suite="paper-main",
    order=10,
    build=build,
)
