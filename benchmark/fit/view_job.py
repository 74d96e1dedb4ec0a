"""Views of a fit that is done: its stored weights are loaded, nothing is trained."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark import metrics
from benchmark.contracts import FitContext, HashMethod
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError, words
from benchmark.fit import environment
from benchmark.fit.devices import numerics
from benchmark.fit.evaluator import ENCODE_BATCH, Evaluator
from benchmark.fit.failures import captured_log, describe_failure, is_ours
from benchmark.fit.randomness import isolated_generators, seed_everything
from benchmark.fit.result import Interrupted, ViewResult
from benchmark.fit.runtime import Progress, Runtime
from benchmark.fit.setup import open_fit, precision_of
from benchmark.fit.views import StoredFit, evaluate_views
from benchmark.registry.contained import contained
from benchmark.spec import FitSpec, ViewJob
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.store.thin import require_whole

log = logging.getLogger(__name__)

#: Share of code bits that may differ between stored codes and loaded weights: another processor moves a few.
_TOLERANCE = 0.02


def revisit(
    job: ViewJob,
    data: LoadedDataset,
    others: Callable[[str], LoadedDataset],
    runtime: Runtime,
    store: Store,
    data_root: Path | None,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> ViewResult:
    """Evaluate the views of a finished fit.

    Whatever goes wrong becomes a failure with one line of reason: the stored record is not touched here.
    Raises Interrupted after `stop` turned true.
    """
    record, text = store.get(job.fit), io.StringIO()
    if record is None or record.state != "done":
        raise InputError(f"{job.fit.label} ({job.fit.fit_id}) has no finished record to add views to")
    strict = numerics(precision_of(job.fit, runtime), runtime.device, runtime.deterministic)
    with captured_log(text), strict, isolated_generators(runtime.device), contained():
        try:
            stored = _stored_fit(record, data, others, runtime, store, data_root)

            def tell(done: int) -> None:
                progress(Progress(f"view {min(done + 1, len(job.views))} of {len(job.views)}"))
                if stop():
                    raise Interrupted(job.fit.label)

            measured = evaluate_views(stored, job.views, tell)
        except BaseException as error:
            if is_ours(error, stop):
                raise
            log.error("views of %s failed: %s", job.fit.label, words(error))
            return ViewResult(record, failure=describe_failure(error))
    when = environment.now()
    commit = environment.describe(runtime.device, "", 0).commit
    facts = tuple(one.model_copy(update={"evaluated": when, "commit": commit}) for one in measured.views)
    return ViewResult(record, tuple(measured.scores), facts, measured.arrays)


def _stored_fit(
    record: Record,
    data: LoadedDataset,
    others: Callable[[str], LoadedDataset],
    runtime: Runtime,
    store: Store,
    data_root: Path | None,
) -> StoredFit:
    spec, codes = record.spec, store.codes(record.spec)
    require_whole(codes, spec)
    opened = open_fit(spec, data, runtime)
    split, method, ctx = opened.split, opened.method, opened.ctx
    for side, rows in (("query", split.query), ("database", split.database)):
        if f"{side}_ids" not in codes or not np.array_equal(codes[f"{side}_ids"], rows):
            raise InputError(
                f"the stored codes are of another split: their {side} images are not the protocol's"
            )
    load_state(method, store, spec, ctx)
    _check(method, opened.evaluator, codes, spec)
    return StoredFit(opened, codes, others, data_root)


def load_state(method: HashMethod, store: Store, spec: FitSpec, ctx: FitContext) -> None:
    """Give a fresh method the state that the fit stored. Raises InputError when it is missing or does not fit."""
    state = store.weights(spec)
    seed_everything(ctx.seed("fit"))
    try:
        method.load_state(state, ctx)
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"weights of {spec.label} ({spec.fit_id}) do not fit the method: {text}") from error


def _check(method: HashMethod, evaluator: Evaluator, codes: dict[str, np.ndarray], spec: FitSpec) -> None:
    """Loaded weights must give the stored codes again: tried on some queries before any view is scored."""
    rows = evaluator.split.query[:ENCODE_BATCH]
    outputs, _ = evaluator.encode(method, rows)
    again = metrics.pack_codes(outputs, sign_zero=evaluator.rules.sign_zero, threshold=0)
    wrong = int(np.bitwise_count(again ^ codes["query_codes"][: len(rows)]).sum())
    if wrong > _TOLERANCE * outputs.size:
        raise InputError(
            f"weights of {spec.label} ({spec.fit_id}) do not give the stored codes: {wrong:,} of {outputs.size:,} "
            "bits differ; run the fit again with --retry all"
        )
    if wrong:
        log.warning("%d of %d bits differ from the stored codes", wrong, outputs.size)
