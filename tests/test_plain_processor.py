"""That `plain_processor.py` does what it says: a misspelt variable would go unnoticed, and nothing be tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, numba, torch
from numpy._core import _multiarray_umath as numpy
print(json.dumps({
    "numpy": [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__.get(name)],
    "torch": torch.backends.cpu.get_cpu_capability(),
    "numba": numba.config.CPU_NAME,
}))
"""


def test_the_libraries_take_the_plain_way() -> None:
    script = Path(__file__).with_name("plain_processor.py")
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::ImportWarning",
            str(script),
            "-W",
            "error::ImportWarning",
            "-c",
            SCRIPT,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no library warns of a name that it does not know"
    found = json.loads(done.stdout)
    assert (found["numpy"], found["torch"]) == ([], "DEFAULT")
    assert found["numba"] in ("generic", None)
