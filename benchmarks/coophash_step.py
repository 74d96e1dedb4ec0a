"""What an update of CoopHash costs, as a multiple of the forward and backward passes it cannot do without.

    python benchmarks/coophash_step.py [--size 16] [--batch 64] [--backbone compact] [--device cpu] [--json]

The passes are timed bare, on images of the same number and size, in the same process and in turn with whole
updates: the generator forward, and back where it is taught from its own z; the density forward and back to
the pixels, once for each Langevin update; the descriptor forward and back over the real batch and the
revised pair, its four heads included; the generator forward and back, for the pair and for the real batch.
What is left is the method's own overhead: draws, Langevin moves, losses, both optimisers, logging. Medians
over the rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch

from benchmark.contracts import FitContext, HashData, Task
from benchmark.methods._stepwise import Batch
from benchmark.methods.coophash import CoopHash, CoopHashParams
from benchmark.methods.coophash.sampler import frozen
from benchmark.spec import parse


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    method, batch = prepare(options)
    passes = bare_passes(method, batch)
    times = measure({"step": lambda: method.step(batch), **passes}, options)
    total = sum(times[name] for name in passes)
    result = {
        "milliseconds": {name: round(1e3 * value, 3) for name, value in times.items()},
        "passes": round(1e3 * total, 3),
        "multiple": round(times["step"] / total, 3),
        "settings": vars(options) | {"pairs": method.params.pairs, "T": method.params.langevin_steps},
        "machine": {"processor": _processor(options.device), "torch": torch.__version__},
    }
    print(json.dumps(result, indent=2) if options.json else _lines(result))


def prepare(options: argparse.Namespace) -> tuple[CoopHash, Batch]:
    """A method before its first update, and a batch of noise with labels."""
    task = Task(32, options.classes, options.channels, options.size, options.size, backbone=options.backbone)
    ctx = FitContext(
        task,
        torch.device(options.device),
        batch_size=options.batch,
        updates=1000,
        precision=options.precision,
    )
    shape = (options.batch, task.channels, task.height, task.width)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=ctx.generator("images"))
    labels = torch.eye(task.classes, dtype=torch.uint8)[torch.arange(options.batch) % task.classes]
    data = HashData(task, images.to(ctx.device), labels.to(ctx.device), images[:0].to(ctx.device))
    method = CoopHash(parse(CoopHashParams, dict(pair.split("=", 1) for pair in options.set), "params"))
    method._assemble(ctx)
    method.optimizers = method.build_optimizers()
    method.begin(data)
    return method, method._batch(data, 0)


def bare_passes(method: CoopHash, batch: Batch) -> dict[str, Callable[[], None]]:
    """The passes of one update by name, on fixed inputs of the sizes that the update has."""
    p, descriptor, generator = method.params, method.descriptor, method.generator
    labels = batch.labels[: p.pairs].repeat(2, 1)
    latent = torch.randn(len(labels), p.latent, device=batch.images.device)
    made = torch.rand(len(labels), *batch.images.shape[1:], device=latent.device) * 2 - 1
    everything = method._place(torch.cat([batch.images, made]))
    autocast = method.ctx.autocast

    @torch.no_grad()
    def generate() -> None:
        with autocast():
            generator(latent, labels)

    def sample() -> None:
        with frozen(descriptor):
            for _ in range(p.langevin_steps):
                leaf = method._place(made).detach().requires_grad_(True)
                torch.autograd.grad(method._log_density(labels, leaf).sum(), leaf)

    def describe() -> None:
        with autocast():
            features = descriptor.base(everything)
        features = features.float()
        real, revised = features.split([len(batch.images), len(made)])
        total = descriptor.hash_head(features).sum() + descriptor.class_head(features).sum()
        total = (
            total + descriptor.density(real, batch.labels).sum() + descriptor.density(revised, labels).sum()
        )
        seen = [(revised, made, labels)]
        if p.weight_vae_real:
            seen.append((real, batch.images, batch.labels))
        for one in seen:
            total = total + sum(part.sum() for part in descriptor.posterior(*one))
        total.backward()
        descriptor.zero_grad(set_to_none=True)

    def rebuild(z: torch.Tensor = latent, wanted: torch.Tensor = labels) -> None:
        with autocast():
            images = generator(z, wanted)
        images.float().sum().backward()
        generator.zero_grad(set_to_none=True)

    every = torch.randn(len(batch.images), p.latent, device=latent.device)

    return {
        # Taught from its own z, the generator's first pass goes back too.
        **({"generator forward and back, own z": rebuild} if p.teaches else {"generator forward": generate}),
        f"{p.langevin_steps} x density forward and back to pixels": sample,
        "descriptor forward and back": describe,
        "generator forward and back": rebuild,
        **(
            {"generator forward and back, real batch": lambda: rebuild(every, batch.labels)}
            if p.weight_vae_real
            else {}
        ),
    }


def measure(work: dict[str, Callable[[], object]], options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each piece of work, all of them taken in turn in every round."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(options.warm_up + options.rounds):
        for name, run in work.items():
            _wait(options.device)
            start = time.perf_counter()
            run()
            _wait(options.device)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[options.warm_up :]) for name, values in times.items()}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _processor(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return platform.processor() or platform.machine()


def _lines(result: dict) -> str:
    width = max(map(len, result["milliseconds"]))
    lines = [f"{name:<{width}}  {value:9.2f} ms" for name, value in result["milliseconds"].items()]
    lines.append(f"{'sum of the passes':<{width}}  {result['passes']:9.2f} ms")
    lines.append(f"a step costs {result['multiple']:.2f} times the sum of its passes")
    lines.append(f"{result['settings']} {result['machine']}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=16, help="pixels")
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3))
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--backbone", default="compact")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="PARAM=VALUE")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
