"""What is kept of a fit that went wrong, or that had something to say: its failure, its log."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import warnings
from collections.abc import Callable, Iterator

import torch

from benchmark.errors import one_line, trace_of, words
from benchmark.fit.result import Interrupted
from benchmark.store.record import Failure, FailureKind

#: What torch says, mostly in a plain RuntimeError, when memory is short: on the CPU, of CUDA and its libraries
#: (CUDNN_STATUS_ALLOC_FAILED, CUFFT_ALLOC_FAILED ...), of MPS ("Invalid buffer size").
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "_alloc_failed",
    "invalid buffer size",
)


def is_ours(error: BaseException, stop: Callable[[], bool]) -> bool:
    """Whether an exception ends the run: the harness's own, or the user's Ctrl-C. Others are a plug-in's failure.

    A KeyboardInterrupt that no signal explains (a run handles them, and `stop` knows) was raised by the plug-in.
    """
    if isinstance(error, KeyboardInterrupt):
        return stop() or signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, Interrupted) and stop()


def describe_failure(error: BaseException) -> Failure:
    """An exception as a result: its kind, one line, its traceback."""
    kind: FailureKind = "error"
    if isinstance(error, FloatingPointError):
        kind = "not-finite"
    elif isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(text in words(error).lower() for text in _NO_MEMORY)
    ):
        kind = "out-of-memory"
    message = one_line(error, 1000)
    return Failure(kind=kind, message=message, traceback=trace_of(error))


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
