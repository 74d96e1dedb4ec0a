"""What MLflow is told of a record: metrics, parameters, tags, and a stamp that tells two records of a fit apart."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from benchmark.spec import FitSpec, digest
from benchmark.store.record import SAMPLES, Record, Score
from benchmark.store.store import Store

#: Raised when runs get other names or fields: records sent before are then sent once more, and no run mixes two.
SCHEME = 3
#: Metrics in one call; a training curve is thinned to what the other numbers leave of it, or to so many points.
MAX_METRICS, _POINTS = 1000, 50
#: Parameters in one call.
MAX_PARAMS = 100
#: Files of a fit that its run holds.
_ARTIFACTS = ("record.json", "curve.csv", "codes.npz", "views.npz", "log.txt")
#: Characters that MLflow takes in a name on every system, and how many.
_OTHER, _LONGEST = re.compile(r"[^/\w.\- ]"), 200


def fill(client: Any, run_id: str, record: Record, store: Store) -> None:
    """Give a run all that is known of a record, and end it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    times = times_of(record)
    now = times[1] if times else int(time.time() * 1000)
    context = [InputTag("mlflow.data.context", "training and retrieval")]
    client.log_inputs(run_id, [DatasetInput(Dataset(**dataset_of(record)), context)])
    metrics = [Metric(name, value, now, step) for name, value, step in metrics_of(record, store)]
    params = [Param(name, str(value)[:500]) for name, value in params_of(record).items()]
    tags = [RunTag(name, str(value)[:5000]) for name, value in tags_of(record).items()]
    client.log_batch(run_id, metrics[:MAX_METRICS], params[:MAX_PARAMS], tags)
    for first in range(MAX_METRICS, len(metrics), MAX_METRICS):
        client.log_batch(run_id, metrics[first : first + MAX_METRICS])
    for first in range(MAX_PARAMS, len(params), MAX_PARAMS):
        client.log_batch(run_id, params=params[first : first + MAX_PARAMS])
    folder = store.folder(record.spec)
    for name in _ARTIFACTS:
        if (folder / name).is_file():
            client.log_artifact(run_id, str(folder / name))
    for path in sorted(folder.glob(f"{SAMPLES}/*.png")):
        client.log_artifact(run_id, str(path), SAMPLES)
    client.set_tag(run_id, "stamp", stamp_of(record))
    client.set_terminated(run_id, "FINISHED" if record.state == "done" else "FAILED", times and times[1])


def stamp_of(record: Record) -> str:
    """Tells a record from an earlier one of the same fit, and from itself with other views."""
    views = sorted([facts.view, facts.version, facts.evaluated] for facts in record.views)
    return digest([SCHEME, record.fit_id, record.finished, record.state, *([views] if views else [])])


def metrics_of(record: Record, store: Store) -> list[tuple[str, float, int]]:
    """(name, value, step) of every finite number of a record: a long training curve is thinned.

    Numbers of the finished fit are at step 0, whatever its updates: MLflow draws as bars what has no other step.
    """
    rows = [(metric_name(score), score.value, 0) for score in record.scores]
    rows += [(f"health.{name}", value, 0) for name, value in record.health.items()]
    for point in record.curve:
        values = point.model_dump(exclude={"step", "map", "part"}, exclude_none=True)
        rows.append((f"curve.map.{point.part}", point.map, point.step))
        rows += [(f"curve.{name}", value, point.step) for name, value in values.items()]
    timings = record.timings.model_dump()
    rows += [(f"seconds.{name}" if "_" not in name else name, value, 0) for name, value in timings.items()]
    rows.append(("peak_memory_mib", record.peak_memory_mib, 0))
    curve = store.curve(record.spec)
    columns = [name for name in (curve[0] if curve else {}) if name != "step"]
    if columns:
        room = max(_POINTS, (MAX_METRICS - len(rows)) // len(columns))
        stride = -(-len(curve) // room)
        named = names_for(columns)
        for row in curve[::stride]:
            rows += [(f"train.{named[name]}", row[name], int(row["step"])) for name in columns if name in row]
    return [row for row in rows if row[1] == row[1] and abs(row[1]) != float("inf")]


def metric_name(score: Score) -> str:
    """`map`, `precision_at_100`; of another view than the clean one `corruption:fog.3.map`.

    The protocol's k of mAP is in the tag `rules`, for it is the same in the whole of an experiment's table.
    """
    at = f"_at_{score.k}" if score.k is not None and score.metric != "map" else ""
    view = "" if score.view == "clean" else f"{score.view.replace('@', '.')}."
    return f"{view}{score.metric}{at}"


def times_of(record: Record) -> tuple[int, int] | None:
    """When the fit began and ended, in milliseconds since 1970; None for a record that does not say.

    The record's times are whole seconds, its total is finer.
    """
    try:
        begun, ended = (
            datetime.fromisoformat(text).timestamp() for text in (record.started, record.finished)
        )
    except ValueError:
        return None
    return round(1000 * begun), round(1000 * (begun + (record.timings.total or max(0.0, ended - begun))))


def dataset_of(record: Record) -> dict[str, str]:
    """The data set as MLflow's input of a run: name, digest (the fingerprint), source, and the protocol's sizes."""
    facts = record.protocol
    parts = ("queries", "database", "labelled", "hidden", "tuning")
    sizes = {part: getattr(facts, part) for part in parts} if facts else {}
    return {
        "name": record.spec.dataset,
        "digest": record.spec.fingerprint,
        "source_type": "local",
        "source": json.dumps({"name": record.spec.dataset, "protocol": record.spec.protocol}),
        "profile": json.dumps(sizes),
    }


def names_for(names: Iterable[str]) -> dict[str, str]:
    """For each name one that MLflow takes, no two alike: acc@1 is acc_at_1, other strange letters are `_`."""
    found = dict[str, str]()
    for name in sorted(
        names, key=lambda name: _OTHER.search(name) is not None
    ):  # good names stay as they are
        parts = [part for part in _OTHER.sub("_", name.replace("@", "_at_")).split("/") if part.strip(". ")]
        plain = "/".join(parts) or "_"
        if len(plain) > _LONGEST or plain in found.values():
            plain = f"{plain[:_LONGEST]}_{digest(name)[:6]}"
        found[name] = plain
    return found


def params_of(record: Record) -> dict[str, Any]:
    """The fit's identity, one entry a field, the method's own parameters as `param.NAME`."""
    spec = record.spec.told()
    params = spec.pop("params")
    named = names_for(params)
    return {**spec, **{f"param.{named[name]}": value for name, value in params.items()}}


def identity_tags(spec: FitSpec) -> dict[str, str]:
    """What runs are filtered by, the same while a fit trains and afterwards."""
    return {
        "method": spec.method,
        "dataset": spec.dataset,
        "bits": str(spec.bits),
        "seed": str(spec.seed),
        "protocol_name": spec.protocol,
        "labels": spec.label_rule.share,
    }


def tags_of(record: Record) -> dict[str, Any]:
    """State, protocol and provenance as texts, without empty ones."""
    tags: dict[str, Any] = {
        "state": record.state,
        **identity_tags(record.spec),
        "command": record.command,
        "flags": "; ".join(record.flags),
    }
    if record.protocol:
        tags |= {"protocol": record.protocol.text, "rules": record.protocol.rules_text}
    if record.environment:
        env = record.environment
        tags |= {"commit": env.commit, "dirty": env.dirty, "device": env.device, "precision": env.precision}
        tags["compiled"] = env.compiled
    if record.failure:
        tags["failure"] = f"{record.failure.kind}: {record.failure.message}"
    return {name: value for name, value in tags.items() if value not in ("", None)}
