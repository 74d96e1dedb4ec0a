"""What the searches of CoopHash's settings share: data, training and mAP on held-out training images alone.

The split is that of `benchmark tune`: a tenth of the seed's training images, each ranked against the others, less
the queries of seeds 0 to 4.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmark import metrics, registry
from benchmark.authoring import tune
from benchmark.contracts import HashMethod
from benchmark.data import protocol
from benchmark.data.load import fingerprint_of
from benchmark.files import places
from benchmark.fit.devices import numerics
from benchmark.fit.evaluator import Evaluator
from benchmark.fit.randomness import isolated_generators, root_seed, seed_everything
from benchmark.spec import parse


def options(description: str | None) -> argparse.ArgumentParser:
    """The command line: settings, and the seed."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    found.add_argument("settings", nargs="+")
    found.add_argument("--seed", type=int, default=0)
    return found


def settings(lines: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each line as it is, its method, and its NAME=VALUE words, the values as JSON."""
    for line in lines:
        name, *words = line.split()
        parts = (word.partition("=") for word in words)
        yield line, name, {key: json.loads(value) for key, _, value in parts}


def prepared(dataset: str, seed: int, **changes: Any) -> tune.TuningData:
    """Data and tuning split, without what any of the seeds 0 to 4 asks for; changes: of the setting."""
    root = places.data_root(None)
    info = registry.find("datasets", dataset, root).dataset_info
    values = {
        "dataset": dataset,
        "fingerprint": fingerprint_of(registry.dataset(dataset, root), root),
        "protocol": protocol.resolve("default", info).name,
        "database": "tuning",
        **{"bits": 32, "batch_size": 64, "seed": seed, "trials": 2},
    }
    bench = tune.prepare(parse(tune.Setting, values | changes, "setting"), root)
    data = bench.data
    asked = [protocol.draw(bench.rule, data.info, data.labels, k, parts=data.parts).query for k in range(5)]
    kept = bench.split.tuning[~np.isin(bench.split.tuning, np.concatenate(asked))]
    return replace(bench, split=replace(bench.split, tuning=kept))


def few_labels(bench: tune.TuningData, labels: int | None) -> tune.TuningData:
    """The same with the first `labels` labelled images of each class; None: with all."""
    if labels is None:
        return bench
    split, classes = bench.split, bench.data.labels.argmax(1)
    count = bench.data.labels.shape[1]
    own = [split.labelled[classes[split.labelled] == c][:labels] for c in range(count)]
    return replace(bench, split=replace(split, labelled=np.sort(np.concatenate(own))))


@contextlib.contextmanager
def trained(
    bench: tune.TuningData, name: str, params: Mapping[str, Any], updates: int
) -> Iterator[tuple[HashMethod, Evaluator, dict[str, Any]]]:
    """A method after its training, its evaluator, and what training took; generators are kept apart inside."""
    setting = bench.setting
    task = bench.data.info.task(32, setting.backbone, setting.weights, setting.preprocessing, setting.head)
    ctx = tune._TrialContext(
        task,
        torch.device("cpu"),
        batch_size=64,
        updates=updates,
        root_seed=root_seed(bench.data.info, setting.seed),
    )
    evaluator = Evaluator(bench.data, bench.split, metrics.Rules(k=bench.rule.k), 32, ctx.device)
    method = registry.method_class(name)(registry.method_params(name, params))
    with isolated_generators("cpu"), numerics("fp32", "cpu"):
        seed_everything(ctx.seed("fit"))
        begun = time.process_time()
        method.fit(evaluator.training_data(task), ctx)
        spent = round(1e3 * (time.process_time() - begun) / updates, 1)
        yield (
            method,
            evaluator,
            {"updates": updates, "ms_an_update": spent, "map": round(evaluator.held_out_map(method), 4)},
        )
