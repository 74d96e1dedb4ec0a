"""Images encoded in a second on a CPU by the number of images a call, in one process and in turn.

python benchmarks/encode_speed.py [--backbone compact] [--images 2000] [--repeats 3] [--threads 1]

The evaluator gives few images a call: the maps of a layer then stay in the processor's cache. The last column says
whether the outputs are those of 500 images a call, bit for bit.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from benchmark.contracts import Task
from benchmark.fit.evaluator import CPU_BATCH, ENCODE_BATCH
from benchmark.methods._backbones import build_backbone

SHAPES = ((1, 16), (1, 28), (3, 32), (3, 64))


def main() -> None:
    """Print a line for each size of image and number of images a call."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="compact")
    for name, usual in (("images", 2000), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for channels, size in SHAPES:
        torch.manual_seed(0)
        network = build_backbone(Task(32, 10, channels, size, size, backbone=options.backbone)).eval()
        images = torch.rand(options.images, channels, size, size) * 2 - 1
        sizes = (ENCODE_BATCH, 100, CPU_BATCH)
        times: dict[int, list[float]] = {batch: [] for batch in sizes}
        outputs = {}
        with torch.inference_mode():
            for _ in range(options.repeats):
                for batch in sizes:
                    begun = time.perf_counter()
                    outputs[batch] = torch.cat([network(part) for part in images.split(batch)])
                    times[batch].append(time.perf_counter() - begun)
        usual = statistics.median(times[ENCODE_BATCH])
        for batch in sizes:
            median = statistics.median(times[batch])
            print(
                f"{channels} x {size} x {size}, {batch} a call: {options.images / median:,.0f} images/s, "
                f"{usual / median:.2f} times {ENCODE_BATCH} a call, outputs "
                f"{'the same' if torch.equal(outputs[batch], outputs[ENCODE_BATCH]) else 'not the same'}"
            )


if __name__ == "__main__":
    main()
