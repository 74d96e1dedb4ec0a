"""Everything worth knowing about this project on a GPU, in one call of some eight minutes; see docs/gpu.md.

python benchmarks/gpu_check --out FOLDER                        # on the machine with the GPU
python benchmarks/gpu_check --out FOLDER --tiny --device cpu    # a dry run of seconds; the test suite makes one

Each stage writes to --out as it ends, so that a call cut short still brings back what it had. The training stage
takes CIFAR-10's JPEG folders from BENCHMARK_DATA where they are, the digits otherwise. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import speed  # noqa: E402 - it lies beside this file

#: What trains at the end, and its budget on one GPU.
METHODS, EPOCHS = "coophash,hashnet,csq,coophash-hash-only", 100
#: What is timed, the most wanted first: what no time is left for is left out.
SMALL = [(m, "compact", p) for p in ("fp32", "tf32", "bf16") for m in ("hashnet", "coophash", "hashgan")]
LARGE = [(m, "alexnet", p) for p in ("bf16", "fp32", "tf32") for m in ("hashnet", "coophash", "hashgan")]
MIDDLE = [(m, "residual", "fp32") for m in METHODS.split(",")]
#: The same with the networks compiled (`run --compile`), for which the bare rows are the measure.
COMPILED = [(m, "compact", "fp32", "compiled") for m in ("hashnet", "coophash")]
COMPILED_LARGE = [(m, "alexnet", "bf16", "compiled") for m in ("hashnet", "coophash")]
TIMED = [*SMALL[:3], *COMPILED, *SMALL[3:], *MIDDLE, *LARGE[:2], *COMPILED_LARGE, *LARGE[2:]]
_TIMED_TINY = [*SMALL[:3], COMPILED[0]]
_TINY = ["--seconds", "0.1", "--images", "64", "--batch", "8", "--every", "1"]
_SCORED = [(1000, 59_000, False, None), (5000, 117_218, True, 5000), (10_000, 1_000_000, False, None)]

Cli = Callable[..., tuple[int, str, str]]


def command_line(*arguments: object) -> tuple[int, str, str]:
    """`python -m benchmark ...`: exit code and what it printed."""
    words = [sys.executable, "-m", "benchmark", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class Check:
    """The stages, and what they found."""

    def __init__(self, o: argparse.Namespace, cli: Cli = command_line) -> None:
        self.o, self.cli, self.out = o, cli, Path(o.out)
        self.cuda, self.begun = o.device.startswith("cuda"), time.monotonic()
        self.found: dict[str, Any] = {}
        self.out.mkdir(parents=True, exist_ok=True)

    def left(self, share: float) -> bool:
        """Whether more than this share of the time is left."""
        return self.o.total - (time.monotonic() - self.begun) > share * self.o.total

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """A stage that fails says so and lets the others go on."""
        begun, rows = time.monotonic(), self.found.setdefault(name, {})
        try:
            yield rows
        except Exception as error:  # noqa: BLE001
            rows["error"] = f"{type(error).__name__}: {error}"[:500]
            (self.out / f"{name}.error").write_text(traceback.format_exc())
        rows["stage_seconds"] = round(time.monotonic() - begun, 1)
        (self.out / "found.json").write_text(json.dumps(self.found, indent=1))
        print(f"== {name}: {rows['stage_seconds']} s", flush=True)

    def machine(self, rows: dict[str, Any]) -> None:
        rows |= {"python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count()}
        rows["device"] = torch.cuda.get_device_name(self.o.device) if self.cuda else "cpu"
        if self.cuda:
            rows |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
            rows["bf16"] = torch.cuda.is_bf16_supported()

    def tests(self, rows: dict[str, Any]) -> None:
        """The tests that want a GPU."""
        files = ["tests/fit/test_gpu.py", "tests/metrics/test_metrics_engines.py"]
        words = [sys.executable, "-m", "pytest", *files, "-q"]
        chosen = ["-k", "gpu", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*words, *chosen], capture_output=True, text=True, check=False, cwd=HERE.parent.parent
        )
        (self.out / "tests.log").write_text(done.stdout + done.stderr)
        rows |= {"exit": done.returncode, "last": (done.stdout.strip().splitlines() or [""])[-1]}

    def speed(self, rows: dict[str, Any]) -> None:
        """Updates a second on random images of 32 and of 224 px."""
        tiny = (
            ["--seconds", "0.1", "--images", "64", "--batch", "8", "--updates", "8", "--every", "1"]
            if self.o.tiny
            else []
        )
        for method, backbone, precision, *compiled in _TIMED_TINY if self.o.tiny else TIMED:
            name = " ".join((method, backbone, precision, *compiled))
            size = ["--size", "224", "--images", "1000"] if backbone == "alexnet" else []
            few = ["--updates", "240"] if method == "hashgan" else []
            if not self.left(0.5):
                rows[name] = "left out: no time"
                continue
            words = [method, "--backbone", backbone, "--precision", precision, "--device", self.o.device]
            words += ["--compile"] if compiled else []
            try:
                rows[name] = speed.measure(speed.options([*words, *size, *few, *tiny]))
            except Exception as error:
                if not compiled and not isinstance(error, torch.cuda.OutOfMemoryError):
                    raise
                rows[name] = f"failed: {type(error).__name__}: {error}"[:300]

    def share(self, rows: dict[str, Any]) -> None:
        """Updates a second of several processes on one device."""
        for method, count in (
            [("hashnet", 1)] if self.o.tiny else [(m, n) for m in ("coophash", "hashnet") for n in (4, 8)]
        ):
            words = [sys.executable, str(HERE / "speed.py"), method, "--device", self.o.device]
            words += (
                ["--seconds", "0.1", "--images", "64", "--batch", "8", "--every", "1"]
                if self.o.tiny
                else ["--seconds", "4"]
            )
            threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
            started = [
                subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | threads)
                for _ in range(count)
            ]
            each = [
                json.loads(process.communicate(timeout=120)[0])["update"]["updates_per_s"]
                for process in started
            ]
            rows[f"{method} x {count}"] = {"each": each, "together": round(sum(each), 1)}

    def scoring(self, rows: dict[str, Any]) -> None:
        """The torch engine against the compiled one: how long, and equal to the last bit?"""
        from benchmark import metrics

        draw = np.random.default_rng(0)
        for queries, items, multi, k in [(50, 2000, False, None)] if self.o.tiny else _SCORED:
            sides = (queries, items)
            codes = [draw.integers(0, 256, (n, 8), dtype=np.uint8) for n in sides]
            labels = [
                (draw.random((n, 80)) < 0.035).astype(np.uint8)
                if multi
                else draw.integers(0, 10, n).astype(np.int16)
                for n in sides
            ]
            row, values = dict[str, Any](), []
            for engine in ("numpy" if self.o.tiny else "numba", "torch"):
                for _ in range(1 if self.o.tiny else 2):  # the first call loads what it needs
                    begun = time.perf_counter()
                    place = self.o.device if engine == "torch" else None
                    made = metrics.evaluate(
                        *codes, 64, *labels, rules=metrics.Rules(k=k), engine=engine, device=place
                    )
                    row[f"{engine}_s"] = round(time.perf_counter() - begun, 3)
                values.append(made.values)
            rows[f"{queries} x {items}, 64 bits"] = row | {"same": values[0] == values[1]}

    def train(self, rows: dict[str, Any]) -> None:
        """A sweep, as a user starts it; then whether each fit repeats bit for bit."""
        real = not self.o.tiny and (Path(os.environ.get("BENCHMARK_DATA", "data")) / "cifar10").is_dir()
        results = self.out / "results"
        words = ["--datasets", "cifar10-jpeg" if real else "digits", "--bits", "32", "--results", results]
        words += ["--tracking-uri", "none"] + (["--backbone", "residual"] if real else [])
        words += ["--methods", "hashnet" if self.o.tiny else METHODS]
        words += ["--epochs", "1" if self.o.tiny else str(self.o.epochs)]
        words += ["--gpus", "0", "--workers", "4"] if self.cuda else ["--device", self.o.device]
        rows["exit"], told, complained = self.cli("run", *words)
        (self.out / "train.log").write_text(told + complained)
        records = [json.loads(path.read_text()) for path in sorted(results.rglob("record.json"))]
        rows["fits"] = [facts(record) for record in records]
        for record in records:
            if not self.left(0.02):
                break
            told = self.cli("verify", record["fit_id"], "--results", results, "--device", self.o.device)[1]
            rows[f"again: {record['spec']['method']}"] = (told.strip().splitlines() or [""])[-1]
        with tarfile.open(self.out / "results.tar.gz", "w:gz") as archive:
            archive.add(results, "results", filter=_light)

    def summary(self) -> str:
        lines = [f"# GPU check, {time.strftime('%Y-%m-%d %H:%M')}"]
        for stage, rows in self.found.items():
            lines += [
                "",
                f"## {stage}",
                "",
                *(f"- {name}: {json.dumps(value)}" for name, value in rows.items()),
            ]
        text = "\n".join(lines) + "\n"
        (self.out / "summary.md").write_text(text)
        return text


def _light(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Records, codes, curves and grids; no weights, no training states."""
    return None if member.name.endswith((".safetensors", ".pt")) else member


def facts(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record belongs into the summary."""
    scores = {one["metric"]: one["value"] for one in record.get("scores", ()) if one["view"] == "clean"}
    return {
        "fit": f"{record['spec']['method']} {record['spec']['dataset']} {record['spec']['bits']}b",
        "state": record["state"],
        "map": scores.get("map"),
        "precision": (record.get("environment") or {}).get("precision"),
        "train_s": (record.get("timings") or {}).get("train"),
        "updates": record.get("updates"),
        "peak_gpu_memory_mib": record.get("peak_gpu_memory_mib"),
    }


STAGES = ("machine", "tests", "speed", "share", "scoring", "train")


def main(arguments: list[str] | None = None, cli: Cli = command_line) -> int:
    """Run the stages; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where everything goes")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--total", type=float, default=470.0, help="seconds for everything but the trainings")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the trainings")
    parser.add_argument("--tiny", action="store_true", help="a dry run on next to nothing")
    parser.add_argument("--only", default=",".join(STAGES), help="stages, comma-separated")
    options = parser.parse_args(arguments)
    unknown = {*options.only.split(",")} - {*STAGES}
    if unknown:
        parser.error(f"--only {','.join(sorted(unknown))}: no such stage; allowed: {', '.join(STAGES)}")
    check = Check(options, cli)
    for name in STAGES:
        if name in check.o.only.split(",") and not (name == "tests" and check.o.tiny):
            with check.stage(name) as rows:
                getattr(check, name)(rows)
    print(check.summary())
    return int(any("error" in rows or rows.get("exit") for rows in check.found.values()))


if __name__ == "__main__":
    sys.exit(main())
