"""A picture of what a finished fit's generator draws: ten images a class, before and after MCMC.

    python benchmarks/coophash_samples.py results/coophash-generation FIT samples.png

FIT: the first letters of the fit's id; its weights must be there. A column is a class, a pair of rows one latent
draw. The first draws of seed 0, and not chosen ones. BENCHMARK_DATA is read where the data set lies there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmark.fit.curves.grid import grid_png
from benchmark.use.api import load_fit


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("results", type=Path)
    asked.add_argument("fit")
    asked.add_argument("out", type=Path)
    asked.add_argument("--draws", type=int, default=10)
    given = asked.parse_args()
    fit = load_fit(given.fit, given.results)
    method, classes = fit.encoder.method, len(fit.encoder.info.classes)
    labels = torch.eye(classes, dtype=torch.uint8).repeat(given.draws, 1)
    before, after = method.sample(labels, torch.Generator().manual_seed(0))
    revised = after if "revision" in method.abilities() else None
    given.out.write_bytes(grid_png(before, revised, classes))


if __name__ == "__main__":
    main()
