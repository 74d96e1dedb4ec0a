"""Which views a fit is evaluated under, decided before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmark.contracts import DatasetInfo
from benchmark.data.protocol.shared_classes import shared_classes
from benchmark.errors import InputError
from benchmark.spec.views import View


def sources_of(views: Iterable[View]) -> tuple[str, ...]:
    """The other data sets that the views read, each once."""
    return tuple(dict.fromkeys(view.name for view in views if view.kind in ("cross", "novelty")))


def views_of_fit(
    views: Sequence[View], info: DatasetInfo, class_split: int | None, others: Mapping[str, DatasetInfo]
) -> tuple[tuple[View, ...], tuple[str, ...]]:
    """The views beside `clean` of one fit, and one line for each that is left out because it means nothing there.

    A fit with a class split is evaluated on its unseen classes alone; other fits have no unseen classes. Raises
    InputError when the data sets do not fit a view.
    """
    if class_split is not None:
        return tuple(view for view in views if view.kind == "unseen-classes"), ()
    kept, left_out = [], dict[str, None]()
    for view in views:
        if view.kind in ("clean", "unseen-classes"):
            continue
        if view.kind in ("cross", "novelty"):
            _check_source(view, info, others[view.name])
        if reason := view.pointless(info.channels):
            left_out[f"{view.kind}:{view.name} is left out for {info.name}: {reason}"] = None
        else:
            kept.append(view)
    return tuple(kept), tuple(left_out)


def _check_source(view: View, own: DatasetInfo, other: DatasetInfo) -> None:
    if own.name == other.name:
        raise InputError(f"view '{view}': data set {own.name!r} is compared with itself; name another one")
    if view.kind == "cross" and len(shared_classes(own, other)) < 2:
        raise InputError(
            f"view '{view}': data sets {own.name!r} and {other.name!r} share fewer than 2 classes by name "
            f"({', '.join(other.classes[:10])}{', ...' if len(other.classes) > 10 else ''})"
        )
