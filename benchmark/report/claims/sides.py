"""Who is compared with whom: the paper's method and its opponents, in groups that are fair to both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmark.report.claims.judge import SUBJECTS
from benchmark.report.context import rows_of
from benchmark.report.declared_methods import without_labels
from benchmark.report.groups import Group, is_plain, is_variant
from benchmark.store.record import Record


def fair(groups: Iterable[Group]) -> Iterator[tuple[Group, int]]:
    """Each group with each of its code lengths; those that chose their model on the test queries are left out."""
    for group in groups:
        if group.selection != "peek":
            for bits in sorted({record.spec.bits for record in group.records}):
                yield group, bits


def sides(records: Iterable[Record]) -> tuple[list[Record], dict[str, list[Record]]]:
    """The subject's records at its defaults, newest version first choice; and by row those of every supervised
    baseline, with which the paper compares: a mean over methods that read no labels would hide the others.
    """
    rows, mine = rows_of(records), list[Record]()
    for subject in SUBJECTS:
        own = [name for name, found in rows.items() if found[0].spec.method == subject and is_plain(found[0])]
        mine = mine or (rows[subject] if subject in rows else rows[max(own)] if own else [])
    others = {
        name: found
        for name, found in sorted(rows.items())
        if (method := found[0].spec.method) not in {*SUBJECTS, *without_labels()} and not is_variant(method)
    }
    return mine, others
