"""One line for each setting of CoopHash on images: mAP and generation on held-out training images alone.

    python benchmarks/coophash_generation_search.py "coophash" "coophash weight_vae_real=1 epochs=12" "coophash-nll"

MNIST at 28 px, 500 labels a class, 32 bits, 3 epochs (210 updates of 64); the split of `benchmark tune`: a
tenth of the seed's training images, each ranked against the others, less the queries of seeds 0 to 4.
`labels=N` trains on N labels a class, `epochs=N` for N epochs. --grids FOLDER keeps a picture of samples for
each setting. BENCHMARK_DATA and BENCHMARK_CACHE are read.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import metrics, registry
from benchmark.authoring import tune
from benchmark.data import protocol
from benchmark.data.load import fingerprint_of
from benchmark.files import places
from benchmark.fit.curves.probes import Probes
from benchmark.fit.curves.reference import Reference
from benchmark.fit.devices import numerics
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.randomness import isolated_generators, root_seed, seed_everything
from benchmark.spec import parse


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("settings", nargs="+")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--dataset", default="mnist")
    options.add_argument("--grids", type=Path)
    given = options.parse_args()
    torch.set_num_threads(1)
    bench = prepared(given.dataset, given.seed)
    for setting in given.settings:
        name, *words = setting.split()
        print(setting, json.dumps(tried(bench, name, dict(map(read, words)), given.grids)), flush=True)


def read(word: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON."""
    name, _, value = word.partition("=")
    return name, json.loads(value)


def prepared(dataset: str, seed: int) -> tune.TuningData:
    """Images and tuning split, without what any of the seeds 0 to 4 asks for."""
    root = places.data_root(None)
    info = registry.find("datasets", dataset, root).dataset_info
    values = {
        "dataset": dataset,
        "fingerprint": fingerprint_of(registry.dataset(dataset, root), root),
        "protocol": protocol.resolve("default", info).name,
        "backbone": "compact",
        "weights": "none",
        "database": "tuning",
        **{"bits": 32, "epochs": 3, "batch_size": 64, "seed": seed, "trials": 2},
    }
    bench = tune.prepare(parse(tune.Setting, values, "setting"), root)
    data = bench.data
    asked = [protocol.draw(bench.rule, data.info, data.labels, k, parts=data.parts).query for k in range(5)]
    kept = bench.split.tuning[~np.isin(bench.split.tuning, np.concatenate(asked))]
    return replace(bench, split=replace(bench.split, tuning=kept))


def tried(
    bench: tune.TuningData, name: str, params: dict[str, Any], grids: Path | None = None
) -> dict[str, Any]:
    """Train once; the score and what a learning curve measures of generation, against held-out images."""
    labels, epochs = params.pop("labels", None), params.pop("epochs", 3)
    setting, split, classes = bench.setting, bench.split, bench.data.labels.argmax(1)
    if labels:
        own = [
            split.labelled[classes[split.labelled] == c][:labels] for c in range(bench.data.labels.shape[1])
        ]
        split = replace(split, labelled=np.sort(np.concatenate(own)))
    task = bench.data.info.task(32, setting.backbone, setting.weights, setting.preprocessing, setting.head)
    ctx = tune._TrialContext(
        task,
        torch.device("cpu"),
        batch_size=64,
        updates=len(split.labelled) // 64 * epochs,
        root_seed=root_seed(bench.data.info, setting.seed),
    )
    evaluator = Evaluator(bench.data, split, metrics.Rules(k=bench.rule.k), 32, ctx.device)
    method = registry.method_class(name)(registry.method_params(name, params))
    with isolated_generators("cpu"), numerics("fp32", "cpu"):
        seed_everything(ctx.seed("fit"))
        begun = time.process_time()
        method.fit(evaluator.training_data(task), ctx)
        found: dict[str, Any] = {"updates": ctx.updates}
        found["ms_an_update"] = round(1e3 * (time.process_time() - begun) / ctx.updates, 1)
        found["map"] = round(evaluator.held_out_map(method), 4)
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
