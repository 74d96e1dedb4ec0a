"""Suite files: TOML with the same keys as the flags of `run`. Named ones live in this folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import Field

from benchmark.errors import InputError, unknown
from benchmark.spec.fit import CurveMetric
from benchmark.spec.preprocessing import parse_preprocessing
from benchmark.spec.sweep import Sweep, read_toml
from benchmark.spec.values import flag, parse

_FOLDER = Path(__file__).parent
MAX_BYTES = 2**20


class RunConfig(Sweep):
    """Everything that a suite file may say: the sweep, and how to run it."""

    title: str = ""
    device: str = flag("auto", "auto|cpu|cuda|cuda:N|mps", "Where to train.  [auto]")
    deterministic: bool = flag(False, "", "On a GPU, only algorithms that repeat bit for bit.")
    compile: bool = flag(False, "", "Have torch compile the networks for training; see docs/gpu.md.")
    data_root: str = flag("", "DIR", "Folder of data sets.  [$BENCHMARK_DATA or ./data]")
    results: str = flag("results/runs", "DIR", "Where results go.  [results/runs]", min_length=1)
    tracking_uri: str = flag("", "URI", "MLflow tracker, or `none`.  [SQLite inside --results]")
    curve_points: int = flag(5, "N", "Scorings along the training, for the curve.  [5]", ge=1, le=10_000)
    curve_steps: tuple[Annotated[int, Field(ge=1, le=10**9)], ...] = flag(
        (), "N,M", "Score after these updates instead, and after the last.", max_length=10_000
    )
    curve_metrics: tuple[CurveMetric, ...] = flag(
        ("map", "accuracy"),
        "A,B",
        "What a scoring looks at: map, accuracy, fd (Fréchet distances), samples.  [map,accuracy]",
    )
    curve_samples: int = flag(1000, "N", "Generated images per Fréchet distance.  [1000]", ge=2, le=100_000)
    inception_weights: str = flag("", "FILE", "Inception's weights: `fd` is then FID.")
    checkpoint_seconds: float = flag(60.0, "S", "Save the training state this often.  [60]", ge=0)
    executor: Literal["", "serial", "processes", "ray"] = flag(
        "", "", "Where fits run; see docs/sweeps.md.  [serial]"
    )
    workers: int = flag(
        0, "N", "Fits at a time (processes, ray).  [one a GPU, else one a core]", ge=0, le=4096
    )
    gpus: tuple[Annotated[int, Field(ge=0, le=1023)], ...] = flag(
        (), "0,1", "GPUs that the worker processes share."
    )
    gpu_memory: float | None = flag(
        None, "MIB", "What a fit needs on its GPU.  [learnt from records]", gt=0, le=10**7
    )
    gpus_per_fit: float | None = flag(
        None, "SHARE", "Share of a GPU for a fit (ray): 0.5 puts two on one.", ge=0, le=64
    )
    ray_address: str = flag("", "ADDRESS", "A Ray cluster: `auto`, HOST:PORT.  [one started here]")
    time_limit: float | None = flag(None, "SECONDS", "End a fit that takes longer (processes, ray).", gt=0)

    @property
    def sweep(self) -> Sweep:
        """The grid alone, without folders and devices."""
        return Sweep.model_validate(self.model_dump(include={*Sweep.model_fields}))


def names() -> list[str]:
    """The named suites."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def describe(name: str) -> str:
    """A suite's title."""
    return str(read(name).get("title", ""))


def read(name_or_file: str) -> dict[str, Any]:
    """The raw keys of a named suite or of a TOML file.

    Raises InputError for an unknown name, a missing or oversized file, or text that is no TOML.
    """
    is_file = name_or_file.endswith(".toml") or "/" in name_or_file or Path(name_or_file).is_file()
    if not is_file and name_or_file not in names():
        raise unknown("suite", name_or_file, names())
    path = Path(name_or_file) if is_file else _FOLDER / f"{name_or_file}.toml"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"suite file {str(path)!r} is larger than 1 MiB")
        raw = read_toml(path)
    except OSError as error:
        raise InputError(f"suite file {str(path)!r} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"suite file {str(path)!r} is no TOML: {error}") from error
    return normalise(raw)


def stands_for_others(name_or_file: str) -> bool:
    """Whether a suite is a list of other suites."""
    return "include" in read(name_or_file)


def normalise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Hyphens to underscores, comma-separated text to lists, `set` to `params`."""
    keys = {str(key).replace("-", "_"): value for key, value in raw.items()}
    for key in (
        name for name, field in RunConfig.model_fields.items() if get_origin(field.annotation) is tuple
    ):
        value = keys.get(key)
        if isinstance(value, str):
            keys[key] = [part.strip() for part in value.split(",") if part.strip()]
        elif isinstance(value, int | float):
            keys[key] = [value]
    if isinstance(keys.get("preprocessing"), str):
        keys["preprocessing"] = parse_preprocessing(keys["preprocessing"])
    if "input_size" in keys and isinstance(keys.get("preprocessing", {}), Mapping):
        keys["preprocessing"] = {**keys.get("preprocessing", {}), "size": keys.pop("input_size")}
    if "set" in keys:
        given = keys.pop("set")
        keys["params"] = parse_assignments(given) if isinstance(given, list) else given
    if "protocol_file" in keys or isinstance(keys.get("protocol"), Mapping):
        keys["protocol"] = _custom_protocol(keys.get("protocol"), keys.pop("protocol_file", None))
    if not isinstance(keys.get("params", {}), dict):
        raise InputError(
            "suite key 'set' must be a table of METHOD to PARAM = VALUE, or a list of assignments"
        )
    return keys


def _custom_protocol(given: Any, file: Any) -> str:
    """The name of a custom protocol that a `[protocol]` table or a file defines: the name holds its numbers."""
    from benchmark.spec.custom_protocol import custom_name, read_custom

    if file is None:
        return custom_name(given, "suite table [protocol]")
    if given not in (None, "custom"):
        raise InputError(f"protocol {given!r} and a protocol file exclude each other; with a file: custom")
    return read_custom(Path(str(file)))


def parse_assignments(assignments: list[str] | tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`METHOD.PARAM=VALUE` texts as {method: {param: value}}; values are read as TOML, else as text.

    Raises InputError for text of another form.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in assignments:
        target, equals, value = str(text).partition("=")
        method, dot, param = target.strip().partition(".")
        if not (equals and dot and method and param.strip()):
            raise InputError(f"--set takes METHOD.PARAM=VALUE, not {text!r}")
        found.setdefault(method, {})[param.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def resolve(suite: str | None, flags: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run: defaults, then the suite's keys, then the flags that were given.

    Raises InputError for a mistake in either, and for a suite of several grids (see `resolve_all`).
    """
    found = resolve_all(suite, flags)
    if len(found) > 1:
        raise InputError(f"suite {suite} is {len(found)} grids; this needs a suite of one")
    return found[0]


def resolve_all(suite: str | None, flags: Mapping[str, Any]) -> tuple[RunConfig, ...]:
    """The configurations of a run, in the order in which they run: one for each grid of the suite.

    A suite is one grid; or `[[parts]]`, whose keys come over the suite's own; or `include = [...]`, the
    suites that it stands for. Flags win over all of them; only the flag `datasets` picks, when the suite has all
    that it names: each grid keeps its own of them, and grids without one are left out. What the suite sets for one
    of its methods is left out where a grid, or the flag `methods`, has not that method. Raises InputError for a
    mistake in any.
    """
    if not suite:
        return (_resolve({}, flags, "run"),)
    found = _grids(suite, ())
    grids = [(what, _own_params(keys, flags, found)) for what, keys in found]
    wanted = normalise({"datasets": flags.get("datasets") or ()})["datasets"]
    theirs = [[name for name in wanted if name in _datasets(keys)] for _, keys in grids]
    if not wanted or set(wanted) - set().union(*theirs):
        return tuple(_resolve(keys, flags, what) for what, keys in grids)
    return tuple(
        _resolve(keys, {**flags, "datasets": picked}, what)
        for (what, keys), picked in zip(grids, theirs, strict=True)
        if picked
    )


def _own_params(
    keys: dict[str, Any], flags: Mapping[str, Any], grids: list[tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """A grid's keys without the parameters of methods that only other grids of the suite have, or that flags left
    out. A name that no grid has stays, and is refused later.
    """
    params = keys.get("params")
    if not isinstance(params, dict):
        return keys
    given = normalise({"methods": flags.get("methods") or ()})["methods"]
    mine = set(given or keys.get("methods", Sweep().methods))
    known = {name for _, other in grids for name in other.get("methods", Sweep().methods)}
    return {
        **keys,
        "params": {name: one for name, one in params.items() if name in mine or name not in known},
    }


def _datasets(keys: Mapping[str, Any]) -> tuple[Any, ...]:
    """The data sets that a grid's keys name; the usual ones where they name none."""
    named = keys.get("datasets", Sweep().datasets)
    return tuple(named) if isinstance(named, list | tuple) else ()


def _grids(suite: str, outer: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """(name for messages, keys) of each grid."""
    if suite in outer:
        raise InputError(f"suite {outer[0]} includes itself: {' -> '.join((*outer, suite))}")
    keys, what = read(suite), f"suite {suite}"
    include, parts = keys.pop("include", None), keys.pop("parts", None)
    if include is not None:
        extra = [key for key in keys if key != "title"]
        if extra or parts is not None:
            raise InputError(
                f"{what}: a suite that includes others takes only a title beside, not {extra or 'parts'}"
            )
        names = [include] if isinstance(include, str) else include
        if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
            raise InputError(f"{what}: include must list suites")
        return [grid for name in names for grid in _grids(name, (*outer, suite))]
    if parts is None:
        return [(what, keys)]
    if not isinstance(parts, list) or not parts or not all(isinstance(one, dict) for one in parts):
        raise InputError(f"{what}: parts must be tables, [[parts]]")
    return [(f"{what} part {number}", {**keys, **normalise(one)}) for number, one in enumerate(parts, 1)]


def _resolve(keys: dict[str, Any], flags: Mapping[str, Any], what: str) -> RunConfig:
    parse(RunConfig, keys, what)  # a mistake in the file is the file's, whatever the flags override
    given = normalise({key: value for key, value in flags.items() if value is not None})
    params = {**keys.get("params", {})}
    for method, values in given.pop("params", {}).items():
        params[method] = {**params.get(method, {}), **values}
    return parse(RunConfig, {**keys, **given, "params": params}, what)


__all__ = [
    "RunConfig",
    "describe",
    "names",
    "parse_assignments",
    "read",
    "resolve",
    "resolve_all",
    "stands_for_others",
]
