"""Where the weights file of a stored fit's backbone lies: the fit itself knows its digest alone."""

from __future__ import annotations

import itertools
import shlex
import tomllib

from benchmark.errors import InputError
from benchmark.spec import is_published
from benchmark.spec.weights import weights_identity
from benchmark.store.formats import small_text
from benchmark.store.record import Record
from benchmark.store.store import Store


def weights_used(store: Store, record: Record, given: str = "") -> str:
    """`[by-order:]FILE` or `[by-order:]package:NAME` whose content is that of a fit; empty where there was no file.

    given: what the user says; without it, what the command and the saved sweep say that made the fit. Raises
    InputError where that is another file, or none is found.
    """
    wanted = record.spec.weights
    if is_published(wanted):
        return ""
    for place in [given] if given else _said(store, record):
        try:
            found = weights_identity(place)
        except InputError:
            if given:
                raise
            continue
        if found == wanted:
            return place
        raise InputError(
            f"weights {place!r} are not those of fit {record.fit_id} ({wanted}): give --weights FILE"
        )
    raise InputError(
        f"the backbone of fit {record.fit_id} came from a file ({wanted}): give it with --weights FILE"
    )


def _said(store: Store, record: Record) -> list[str]:
    words = shlex.split(record.command)
    said = [word.removeprefix("--weights=") for word in words if word.startswith("--weights=")]
    said += [after for word, after in itertools.pairwise(words) if word == "--weights"]
    try:
        saved = tomllib.loads(small_text(store.root / "sweeps" / f"{record.sweep}.toml")).get("weights", "")
    except (OSError, ValueError):
        saved = ""
    return [*said, *([saved] if isinstance(saved, str) and saved and not said else [])]
