"""Which records the report's parts are about: variants and their base, views out of distribution, label shares."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from benchmark.report.context import Context, rows_of
from benchmark.report.declared_methods import known
from benchmark.report.groups import Group, group_records, is_plain, is_variant
from benchmark.report.tables.cells import best_first
from benchmark.store.record import Record


def base_of(method: str) -> str | None:
    """The method that a declared variant is a variant of; None for one that is none."""
    declared = known(method)
    return declared.base or None if declared is not None else None


def variant_pairs(records: Iterable[Record]) -> dict[str, tuple[list[Record], list[Record]]]:
    """variant's row -> (the base's records, the variant's), of one version and at their defaults."""
    rows = {name: found for name, found in rows_of(records).items() if is_plain(found[0])}
    pairs = {}
    for name, found in sorted(rows.items()):
        base = base_of(found[0].spec.method)
        whole = rows.get(f"{base}{name.removeprefix(found[0].spec.method)}", [])
        if base is not None and whole:
            pairs[name] = (whole, found)
    return pairs


OOD_KINDS = ("unseen-classes", "cross:", "novelty:")


def ood_views(record: Record) -> list[tuple[str, str]]:
    """(view, metric) of what a record was measured on out of distribution: mAP, or AUROC for novelty."""
    found: dict[tuple[str, str], None] = {}
    for score in record.scores:
        if score.view.startswith(OOD_KINDS):
            wanted = "auroc" if score.view.startswith("novelty:") else "map"
            if score.metric == wanted:
                found[score.view, wanted] = None
    return list(found)


#: Code sets of one figure are at most so many.
MOST_CODE_SETS = 12


def pick(group: Group) -> dict[str, Record]:
    """row -> its record of the lowest seed, at the one code length that the figure is about; the highest mAPs first
    where there are more rows than a figure holds.
    """
    plain = [r for r in group.records if r.state == "done" and is_plain(r)]
    done = [record for record in plain if not is_variant(record.spec.method)]
    counts = {
        bits: len({r.spec.method for r in done if r.spec.bits == bits})
        for bits in {r.spec.bits for r in done}
    }
    if not counts:
        return {}
    bits = max(counts, key=lambda one: (counts[one], one == 32, -one))
    rows = rows_of(record for record in done if record.spec.bits == bits)
    chosen = {name: min(records, key=lambda r: r.spec.seed) for name, records in rows.items()}
    best = sorted(chosen, key=lambda name: (-(chosen[name].score() or 0.0), name))[:MOST_CODE_SETS]
    return {name: chosen[name] for name in sorted(best)}


def ranked(records: Iterable[Record]) -> list[str]:
    """Rows in order of score: the mean over code lengths of the mean mAP over seeds."""
    scores = dict[str, float | None]()
    for name, members in rows_of(records).items():
        values: dict[int, list[float]] = {}
        for record in members:
            if (value := record.score("map")) is not None:
                values.setdefault(record.spec.bits, []).append(value)
        scores[name] = fmean(map(fmean, values.values())) if values else None
    return best_first(scores)


def share_groups(ctx: Context) -> list[tuple[Group, int]]:
    """Groups over label shares: those with at least two shares, full ones joined to each way of hiding images."""
    plain = [r for r in ctx.records if r.spec.class_split is None and not r.spec.label_noise]
    ways = sorted({r.spec.hidden_images for r in plain if not r.spec.label_rule.full})
    found = []
    for way in ways:
        members = [r for r in plain if r.spec.label_rule.full or r.spec.hidden_images == way]
        for group in group_records(members, vary=("share", "hidden")):
            for bits in sorted({r.spec.bits for r in group.records if not r.spec.label_rule.full}):
                found.append((group, bits))
    return found


def shares(records: tuple[Record, ...]) -> list[tuple[str, int]]:
    """(share, labelled images) of the records, from few labels to all."""
    counts: dict[str, int] = {}
    for record in records:
        number = record.protocol.labelled if record.protocol else 0
        share = record.spec.label_rule.share
        counts[share] = max(counts.get(share, 0), number)
    return sorted(counts.items(), key=lambda pair: (pair[1], pair[0]))
