"""One line for each setting of CoopHash on images: mAP and generation on held-out training images alone.

    python benchmarks/coophash_generation_search.py "coophash" "coophash weight_vae_real=1 epochs=12" "coophash-nll"

MNIST at 28 px, 500 labels a class, 32 bits, 3 epochs (210 updates of 64); the split of `benchmark tune`: a
tenth of the seed's training images, each ranked against the others, less the queries of seeds 0 to 4.
`labels=N` trains on N labels a class, `epochs=N` for N epochs. --grids FOLDER keeps a picture of samples for
each setting. BENCHMARK_DATA and BENCHMARK_CACHE are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from held_out import few_labels, options, prepared, settings, trained

from benchmark.authoring import tune
from benchmark.fit.curves.probes import Probes
from benchmark.fit.curves.reference import Reference


def main() -> None:
    asked = options(__doc__)
    asked.add_argument("--dataset", default="mnist")
    asked.add_argument("--grids", type=Path)
    given = asked.parse_args()
    torch.set_num_threads(1)
    bench = prepared(given.dataset, given.seed, backbone="compact", weights="none", epochs=3)
    for line, name, params in settings(given.settings):
        print(line, json.dumps(tried(bench, name, params, given.grids)), flush=True)


def tried(
    bench: tune.TuningData, name: str, params: dict[str, Any], grids: Path | None = None
) -> dict[str, Any]:
    """Train once; the score and what a learning curve measures of generation, against held-out images."""
    labels, epochs = params.pop("labels", None), params.pop("epochs", 3)
    bench = few_labels(bench, labels)
    split, classes = bench.split, bench.data.labels.argmax(1)
    with trained(bench, name, params, len(split.labelled) // 64 * epochs) as (method, evaluator, found):
        # Held-out images are the reference: where a fit has database images, that choose nothing here.
        rows = split.tuning[np.argsort(classes[split.tuning], kind="stable")]
        probes = Probes(evaluator, frozenset({"fd", "samples"}), samples=len(rows))
        probes.__dict__["_reference"] = Reference(rows, rows[:0], bench.data.labels[rows], "held-out images")
        reading = probes.measure(method)
    if grids and reading.grid:
        grids.mkdir(parents=True, exist_ok=True)
        words = [name, *(f"{key}={value}" for key, value in params.items()), f"epochs={epochs}"]
        (grids / f"{'-'.join(words)}.png").write_bytes(reading.grid)
    return found | {key: round(value, 3) for key, value in reading.values.items()}


if __name__ == "__main__":
    main()
