"""What is kept of a fit that went wrong, or that had something to say: its failure, its log."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Iterator

import torch

from benchmark.store.record import Failure, FailureKind


def describe_failure(error: Exception) -> Failure:
    """An exception as a result: its kind, one line, its traceback."""
    kind: FailureKind = "error"
    if isinstance(error, FloatingPointError):
        kind = "not-finite"
    elif isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(
        error
    ):
        kind = "out-of-memory"  # on the CPU torch raises a plain RuntimeError
    message = " ".join(f"{type(error).__name__}: {error}".split())[:1000]
    return Failure(kind=kind, message=message, traceback="".join(traceback.format_exception(error))[-8000:])


@contextlib.contextmanager
def captured_log(into: io.StringIO) -> Iterator[None]:
    """Keep what is logged or warned during a fit, for its `log.txt`."""
    handler = logging.StreamHandler(into)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    finally:
        root.removeHandler(handler)
        logging.captureWarnings(False)
