"""mAP against the share of the shown labels that are wrong."""

from __future__ import annotations

from typing import Any

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context, rows_of
from benchmark.report.groups import group_records
from benchmark.report.map_table import map_sheet
from benchmark.report.tables.cells import Drawn, Gap


def build(ctx: Context) -> Drawn:
    """One table for each data set, kind of noise, share of labels and bits."""
    sheets = []
    plain = [r for r in ctx.records if r.spec.class_split is None]
    for kind in sorted({r.spec.noise_kind for r in plain if r.spec.label_noise}):
        members = [r for r in plain if not r.spec.label_noise or r.spec.noise_kind == kind]
        for group in group_records(members, vary=("noise",)):
            for bits in sorted({r.spec.bits for r in group.records if r.spec.label_noise}):
                records = group.at(bits)
                shares = sorted({record.spec.label_noise for record in records})
                sheets.append(
                    map_sheet(
                        ctx,
                        group,
                        rows_of(records),
                        [(f"{share:g}", _noise(share)) for share in shares],
                        name=f"noise-{kind}-{bits}b-{group.slug}",
                        title=f"mAP by share of wrong labels ({kind}): {group.title}, {bits} bits",
                    )
                )
    gap = Gap(
        "no records of fits with wrong labels",
        f"{ctx.suite_command('paper-main-small')} --label-noise 0,0.2",
    )
    return Drawn(tuple(sheets), (), () if sheets else (gap,))


def _noise(share: float) -> Any:
    return lambda record: record.spec.label_noise == share


ARTIFACT = Artifact(
    name="noise",
    title="mAP against wrong labels",
    needs="fits with `--label-noise`",
    suite="paper-main",
    order=25,
    build=build,
)
