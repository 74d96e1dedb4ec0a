"""Views on disk: `views.npz` beside a record, and records that grow by views without losing anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from benchmark.errors import InputError
from benchmark.spec import FitSpec
from benchmark.store.formats import read_codes
from benchmark.store.record import Artifacts, Record, Score, ViewFacts
from benchmark.store.store import Store

_FILE = "views.npz"


def read_views(store: Store, spec: FitSpec) -> dict[str, dict[str, np.ndarray]]:
    """Slug of each stored view -> its arrays; what a view shares with `codes.npz` is not repeated there.

    Raises InputError when the file is there and unreadable.
    """
    path = store.folder(spec) / _FILE
    found: dict[str, dict[str, np.ndarray]] = {}
    if path.is_file():
        for key, array in read_codes(path).items():
            slug, _, name = key.rpartition(".")
            found.setdefault(slug, {})[name] = array
    return found


def extend(
    store: Store,
    record: Record,
    scores: Sequence[Score],
    views: Sequence[ViewFacts],
    arrays: dict[str, np.ndarray],
) -> Record:
    """Add evaluated views to a finished fit's record; a view that it has already is replaced.

    The arrays are written first, then the record, each by rename: a kill leaves the old record or the new one,
    and every view of a record has its codes: a view that is replaced leaves the record first. What training said
    is untouched. Raises OSError when it cannot be written, InputError when the record is gone or was made anew
    meanwhile.
    """
    now = store.get(record.spec)
    mine, theirs = ((one.finished, one.source_digest) if one else None for one in (record, now))
    if now is None or now.state != "done" or mine != theirs:
        raise InputError(
            f"{record.spec.label} ({record.fit_id}) was run again meanwhile; its views are dropped"
        )
    new = {facts.view for facts in views}
    slugs = {re.sub(r"[:@/]", ".", view) for view in new}
    kept = {
        f"{slug}.{name}": array
        for slug, parts in _stored(store, record.spec).items()
        if slug not in slugs
        for name, array in parts.items()
    }
    other_scores = tuple(score for score in now.scores if score.view not in new)
    other_views = tuple(facts for facts in now.views if facts.view not in new)
    without = now.model_copy(update={"scores": other_scores, "views": other_views})
    merged = now.model_copy(
        update={"scores": (*other_scores, *scores), "views": (*other_views, *views)},
    )
    content = Artifacts(views={**kept, **arrays}).files()[_FILE]
    if len(other_views) < len(now.views):  # else a kill between the files left old scores beside new codes
        store.amend(without)
    store.amend(merged, {} if content is None else {_FILE: content})
    for leftover in store.folder(record.spec).glob(".*.tmp"):  # of runs that were killed here
        leftover.unlink(missing_ok=True)
    return merged


def _stored(store: Store, spec: FitSpec) -> dict[str, dict[str, np.ndarray]]:
    try:
        return read_views(store, spec)
    except InputError:
        return {}  # a damaged file: its scores stay in the record, the new views' arrays are written
