"""Run Python as on an older processor: `python tests/plain_processor.py -m pytest -m processor`.

PyTorch, its convolutions and matrix products, numpy, its matrix products, and numba choose their kernels by the
processor, and each adds floats up in an order of its own. What holds here and there is no accident of one of them.
"""

from __future__ import annotations

import os
import platform
import sys


def environment() -> dict[str, str]:
    """The variables, each read when a library is imported; for numpy, the kernels that it would choose here."""
    from numpy._core import _multiarray_umath as numpy

    before = [name for name in os.environ.get("NPY_DISABLE_CPU_FEATURES", "").split(",") if name]
    chosen = before + [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__.get(name)]
    found = {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": ",".join(chosen)}
    if platform.machine().lower() in ("x86_64", "amd64"):
        # Without AVX2 convolutions would take five times as long.
        found |= {
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell",
        }
        found |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    return found


if __name__ == "__main__":
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], {**os.environ, **environment()})
