"""Run Python as on an older processor: `python tests/plain_processor.py -m pytest -m processor`.

PyTorch, its convolutions and matrix products, numpy, its matrix products, and numba choose their kernels by the
processor, and each adds floats up in an order of its own. What holds here and there is no accident of one of them.
"""

from __future__ import annotations

import os
import sys


def environment() -> dict[str, str]:
    """The variables, each read when a library is imported: those of numpy name what this one can leave out here."""
    from numpy._core import _multiarray_umath as numpy

    has = [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__.get(name)]
    return {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "AVX2",  # without, convolutions take five times as long
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": ",".join(has),
        "OPENBLAS_CORETYPE": "Haswell",
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    }


if __name__ == "__main__":
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], {**os.environ, **environment()})
