"""The benchmark harness: protocols, metrics, sweeps, records and reports for image hashing."""

from pathlib import Path

TYPE_CHECKING = False  # `typing` is not loaded for it
if TYPE_CHECKING:
    from benchmark.use.api import load_fit as load_fit
    from benchmark.use.api import results as results
    from benchmark.use.api import run as run

__version__ = "0.1.0"

# In a checkout `methods/` and `datasets/` lie beside this folder; an installed package holds them. Either way they
# are imported as `benchmark.methods` and `benchmark.datasets`: their bare names belong to other libraries.
_checkout = Path(__file__).resolve().parents[1]
if (_checkout / "methods" / "_stepwise.py").is_file() and not (Path(__file__).parent / "methods").exists():
    __path__.append(str(_checkout))


def __getattr__(name: str) -> object:
    """The Python API, imported when it is first asked for: `import benchmark` loads no torch or pandas."""
    if name in ("load_fit", "results", "run"):
        from importlib import import_module

        return getattr(import_module("benchmark.use.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
