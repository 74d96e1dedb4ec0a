"""What every artifact is drawn from: the records, what is known of them, and the commands that would add more."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.report.declared_methods import known
from benchmark.report.groups import Group, group_records, row_name
from benchmark.report.published import DEFAULT
from benchmark.report.statistics.compare import Queries
from benchmark.report.tables.cells import Gap, Sheet
from benchmark.spec import FitSpec, Sweep
from benchmark.spec.command import WEIGHTS_FILE, command, sweep_of
from benchmark.spec.suites import parse_assignments
from benchmark.store.record import Record
from benchmark.store.store import Store


class Context:
    """A results folder, read once.

    stale: ids of fits whose method's source has changed since. published: the file of published numbers.
    """

    def __init__(
        self, store: Store, records: Iterable[Record], stale: set[str], published: Path = DEFAULT
    ) -> None:
        self.store = store
        self.records = tuple(records)
        self.stale = stale
        self.published = published
        self.queries = Queries(store, len(self.records))
        #: The main table of each main group by its slug: several artifacts show it.
        self.main_tables: dict[str, Sheet] = {}

    @functools.cached_property
    def done(self) -> tuple[Record, ...]:
        """The records with a result."""
        return tuple(record for record in self.records if record.state == "done")

    @functools.cached_property
    def main_groups(self) -> list[Group]:
        """Groups at full labels, without label noise, on all classes, methods only (no declared variants)."""
        full = [r for r in self.records if r.spec.label_rule.full and not r.spec.label_noise]
        return group_records([r for r in full if r.spec.class_split is None])

    def suite_command(self, suite: str) -> str:
        """The command that runs a suite into this folder."""
        return f"python -m benchmark run --suite {suite} --results {shlex.quote(str(self.store.root))}"

    @property
    def plan_command(self) -> str:
        """The command that writes the suite file of the fits which the claims lack."""
        return f"python -m benchmark claims --plan --results {shlex.quote(str(self.store.root))}"

    def no_records(self, what: str, suite: str) -> Gap:
        """The gap of an artifact without a single record: the small twin, or the suite at the paper's scale."""
        return Gap(f"no records of {what}", f"{self.suite_command(suite + '-small')}   # or --suite {suite}")

    def sweep(
        self,
        like: FitSpec,
        methods: Sequence[str],
        *,
        bits: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
        views: Sequence[str] = (),
    ) -> Sweep:
        """Fits under the conditions of `like`, parameters at their defaults.

        A weights file is known by its digest only: the sweep holds a placeholder for it.
        """
        changes: dict[str, object] = {"methods": tuple(methods), "params": {}, "views": ("clean",)}
        changes |= {"class_splits": Sweep().class_splits}
        changes |= {"bits": tuple(bits)} if bits else {}
        changes |= {"seeds": tuple(seeds)} if seeds else {}
        changes |= {"views": tuple(views)} if views else {}
        return sweep_of(like).model_copy(update=changes)

    def command(self, sweep: Sweep, extra: Sequence[str] = ()) -> str:
        """The command that runs a sweep into this folder, flags at their defaults left out."""
        always = ("methods", "datasets", "bits", "seeds", "protocol")
        return command(sweep, (*extra, "--results", str(self.store.root)), always)

    def gap(self, what: str, sweep: Sweep) -> Gap:
        """Fits that are missing: by their command, and by their sweep where a suite file can hold it."""
        return Gap(what, self.command(sweep), None if sweep.weights.endswith(WEIGHTS_FILE) else sweep)

    def again(self, record: Record) -> str:
        """The command that makes one fit again, into this folder; see `show ID` for every flag spelled out."""
        spec, extra = record.spec, assignments(record)
        if spec.class_split is not None:
            extra += ["--class-splits", str(spec.class_split)]
        views = () if spec.class_split is None else ("unseen-classes",)
        return self.command(self.sweep(spec, [spec.method], views=views), extra)

    def missing(self, group: Group, rows: dict[str, list[Record]], columns: Sequence[int]) -> list[Gap]:
        """Gaps of a table of rows by bits: configurations without a record, and seeds that others have.

        One gap for each row and set of seeds; rows whose parameters were set by hand are repeated with them.
        """
        gaps = []
        for name, records in sorted(rows.items()):
            lacking: dict[tuple[int, ...], list[int]] = {}
            for bits in columns:
                have = {r.spec.seed for r in records if r.spec.bits == bits}
                wanted = tuple(sorted(set(group.seeds) - have))
                if wanted:
                    lacking.setdefault(wanted, []).append(bits)
            for seeds, bit_counts in lacking.items():
                lengths, shown = (", ".join(map(str, numbers)) for numbers in (bit_counts, seeds))
                what = f"{group.title}: {name} at {lengths} bits, seeds {shown}"
                like = records[0].spec
                sweep = self.sweep(like, [like.method], bits=bit_counts, seeds=seeds)
                params = parse_assignments([word for word in assignments(records[0]) if word != "--set"])
                gaps.append(self.gap(what, sweep.model_copy(update={"params": params})))
        return gaps


def rows_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by the row that they belong to."""
    rows: dict[str, list[Record]] = {}
    for record in records:
        rows.setdefault(row_name(record), []).append(record)
    return rows


def assignments(record: Record) -> list[str]:
    """`--set` flags of the parameters that are off their defaults."""
    if row_name(record) == record.spec.method:
        return []
    declared = known(record.spec.method)
    defaults = {} if declared is None else declared.defaults
    flags: list[str] = []
    for key, value in sorted(record.spec.params.items()):
        if defaults.get(key) != value:
            shown = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            flags += ["--set", f"{record.spec.method}.{key}={shown}"]
    return flags


def common_path(root: Path) -> str:
    """A results folder as text for captions: its last two parts."""
    return "/".join(root.parts[-2:])
