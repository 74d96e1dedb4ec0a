"""How fast a folder of photographs is decoded, and how fast a long table of images opens.

    python benchmarks/prepare_speed.py [--photographs 2000] [--rows 1000000]

First: JPEGs of 640x480 (detailed noise, quality 90) are prepared at 224 px; then their decoding and a bare loop
that opens, decodes and resizes with Pillow alone go over some of them in turn, in core-milliseconds an image.
Second: a CSV of so many rows (hard links to a few small JPEGs, each 32 px) is declared and prepared. In fresh
processes it is then read for the first time, opened again from what was kept, planned from the cache, and opened
as a worker opens it; each with core-seconds and the memory that it adds at its peak.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.contracts import ImageFiles
from benchmark.data import decode

LINKS = 50_000  # to one file; file systems allow 65,000
#: What is measured in a process of its own, by name; peak memory is that of a process so far.
_BEGIN = """
import os, pathlib, resource, sys, time
root = pathlib.Path(sys.argv[1])
os.environ |= {"BENCHMARK_CACHE": str(root / "cache"), "BENCHMARK_DATA": str(root)}
import numpy
from benchmark import registry
from benchmark.data import load
from benchmark.data.cache import read_meta
from benchmark.datasets import _declared
registry.entries("methods")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, begun, cores = peak(), time.perf_counter(), time.process_time()
"""
_END = """
took, cores = time.perf_counter() - begun, time.process_time() - cores
print(f"{took:.2f} s, {cores:.2f} core-s, {peak() - before:.0f} MiB")
"""
_OPEN = """
data = registry.dataset("many")
assert len(data.files(None).paths)
"""
#: By a data set's fingerprint, without its table.
_WORK = """
(folder,) = [path for path in (root / "cache/decoded").iterdir() if read_meta(path) is not None]
data = load.load_known(registry.dataset("many").info, read_meta(folder).fingerprint)
assert data is not None and len(data.labels)
"""
_PLAN = """
assert load.fingerprint_of(registry.dataset("many"), None)
"""


def photograph(path: Path, seed: int, height: int = 480, width: int = 640) -> None:
    """Noise whose spectrum falls as a photograph's does."""
    draw = np.random.default_rng(seed)
    planes = []
    falling = 1 / (np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height))) + 2e-3)
    for _ in range(3):
        noise = np.fft.ifft2(np.fft.fft2(draw.normal(size=(height, width))) * falling).real
        planes.append(128 + 55 * noise / noise.std())
    Image.fromarray(np.stack(planes, axis=2).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def command(root: Path, *words: str) -> tuple[float, float]:
    """Seconds and core-seconds of a command of the benchmark."""
    environment = {**os.environ, "BENCHMARK_CACHE": str(root / "cache"), "BENCHMARK_DATA": str(root)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begun
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def decoding(root: Path, count: int) -> None:
    """Preparing photographs beside a bare loop."""
    for name in ("a", "b"):
        (root / "photos" / name).mkdir(parents=True)
    originals = [root / f"{seed}.jpg" for seed in range(20)]
    for seed, path in enumerate(originals):
        photograph(path, seed)
    for number in range(count):  # other bytes each: equal ones are hashed to one
        target = root / "photos" / "ab"[number % 2] / f"{number}.jpg"
        target.write_bytes(originals[number % len(originals)].read_bytes() + number.to_bytes(4, "big"))
    size = sum(path.stat().st_size for path in originals) / len(originals) / 1024
    command(root, "dataset", "add", "photos", "--folder", str(root / "photos"), "--size", "224")
    took, cores = command(root, "prepare", "photos")
    start = command(root, "prepare", "photos")[1]  # from the cache: what a process costs by itself
    print(
        f"{count:,} photographs of 640x480 ({size:.0f} kB): {took:.1f} s, {count / took:.0f} images/s; "
        f"{1e3 * cores / count:.2f} core-ms an image, {start:.1f} core-s of which are the process's start and end"
    )
    ours, bare = interleaved(sorted((root / "photos").rglob("*.jpg"))[: min(count, 2000)])
    whole = (cores - start) / count / bare
    print(
        f"in turn, in one process: decoded, resized and hashed {1e3 * ours:.2f}, bare loop {1e3 * bare:.2f} "
        f"core-ms an image, {ours / bare:.2f} times; all of prepare without its start {whole:.2f} times"
    )


def interleaved(paths: list[Path]) -> tuple[float, float]:
    """Core-seconds an image of this project's decoding and of a bare loop, over the same files in turn."""
    target = decode.Target(3, 224, 224, "crop", 1.0)
    spent = [0.0, 0.0]
    for first in range(0, len(paths), 2 * decode.BLOCK):
        some = paths[first : first + 2 * decode.BLOCK]
        begun = time.process_time()
        files = ImageFiles(some, np.zeros((len(some), 1), np.uint8), np.array([path.name for path in some]))
        for block in decode.blocks(files, target, "photos"):
            assert not block.bad
        spent[0] += time.process_time() - begun
        begun = time.process_time()
        for path in some:
            with Image.open(path) as image:
                np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
        spent[1] += time.process_time() - begun
    return spent[0] / len(paths), spent[1] / len(paths)


def long_table(root: Path, rows: int) -> None:
    """Declaring, preparing, planning and opening a table of `rows` images."""
    (root / "images").mkdir(parents=True)
    lines = ["path,label"]
    for first in range(0, rows, LINKS):
        original = root / f"{first}.jpg"
        photograph(original, first, 32, 32)
        for number in range(first, min(first + LINKS, rows)):
            os.link(original, root / "images" / f"{number}.jpg")
            lines.append(f"{number}.jpg,class{number % 10}")
    (root / "many.csv").write_text("\n".join(lines))
    words = ("--table", str(root / "many.csv"), "--folder", str(root / "images"), "--size", "32")
    print(
        f"table of {rows:,} images: declared in {command(root, 'dataset', 'add', 'many', *words)[0]:.1f} s",
        end="; ",
    )
    print(f"prepared in {command(root, 'prepare', 'many')[0]:.0f} s")
    opening(root)


def opening(root: Path) -> None:
    """How long the prepared table takes to open, and what memory."""
    for listing in (root / "cache" / "sources").glob("*.listing"):
        listing.unlink()
    steps = {"read": _OPEN, "opened again": _OPEN, "each image looked at": _PLAN, "opened by a worker": _WORK}
    for what, code in steps.items():
        words = [sys.executable, "-c", f"{_BEGIN}{code}{_END}", str(root)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        print(f"{what}: {done.stdout.strip()} more at its peak", flush=True)


def main() -> None:
    """Both measurements, in a folder that is removed after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.photographs:
            decoding(Path(folder) / "one", options.photographs)
        if options.rows:
            long_table(Path(folder) / "two", options.rows)


if __name__ == "__main__":
    main()
