"""Protocol audit: what was split how, and whether queries, training images and database overlap."""

from __future__ import annotations

from benchmark.report.artifact import Artifact
from benchmark.report.context import Context
from benchmark.report.tables.cells import Cell, Drawn, Sheet, number_cell, text_cell
from benchmark.store.record import ProtocolFacts, Record


def build(ctx: Context) -> Drawn:
    """One row for each data set, protocol, share of labels and selection; ranges where seeds differ."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in ctx.records:
        if record.protocol is not None:
            spec = record.spec
            classes = "all" if spec.class_split is None else f"split {spec.class_split}"
            noise = f", {spec.label_noise:g} wrong ({spec.noise_kind})" if spec.label_noise else ""
            protocol, share = f"{spec.protocol} v{spec.protocol_version}", spec.label_rule.share + noise
            where = (spec.dataset, protocol, share, classes, spec.selection)
            groups.setdefault(where, []).append(record)
    if not groups:
        return Drawn(gaps=(ctx.no_records("an applied protocol", "paper-main"),))
    overlaps = sorted({name for records in groups.values() for r in records for name in _facts(r).overlaps})
    counts = ("queries", "database", "labelled", "hidden", "tuning", "dropped", "wrong_labels")
    body = []
    for key, records in sorted(groups.items()):
        cells = [_range([getattr(_facts(r), name) for r in records], records) for name in counts]
        cells += [_range([_facts(r).overlaps.get(name) for r in records], records) for name in overlaps]
        fingerprints = sorted({r.spec.fingerprint[:8] for r in records})
        body.append((*(text_cell(one) for one in key), *cells, text_cell(", ".join(fingerprints))))
    notes = sorted(
        {
            f"{r.spec.dataset}: {note}"
            for records in groups.values()
            for r in records
            for note in _facts(r).notes
        }
    )
    texts = sorted({_facts(r).text for records in groups.values() for r in records})
    sheet = Sheet(
        name="audit",
        title="Protocols as they were applied",
        head=(
            *("data set", "protocol", "labels", "classes", "selection"),
            *(name.replace("_", " ") for name in counts),
            *(name.replace("_", " ") for name in overlaps),
            "data",
        ),
        rows=tuple(body),
        notes=(
            "counts of images; a range where seeds differ; `–`: not recorded (an older record)",
            *texts,
            *notes,
        ),
        keys=5,
        metric="count",
    )
    return Drawn(sheets=(sheet,))


def _facts(record: Record) -> ProtocolFacts:
    if record.protocol is None:
        raise TypeError("a record without protocol facts")
    return record.protocol


def _range(values: list[int | None], records: list[Record]) -> Cell:
    known = sorted({value for value in values if value is not None})
    fits = sorted(record.fit_id for record in records)
    if len(known) == 1:
        return number_cell(known[0], fits, digits=0)
    return text_cell(f"{known[0]:,} to {known[-1]:,}" if known else "–", fits)


ARTIFACT = Artifact(
    name="audit",
    title="Protocol audit",
    needs="any record",
    suite="paper-main",
    order=130,
    build=build,
)
