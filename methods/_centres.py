"""Hash centres: one target code in {-1, 1}^K for each class."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.errors import InputError

_REDRAWS = 1000


def hadamard(size: int) -> Tensor:
    """Sylvester's matrix (size, size) of +-1 with orthogonal rows. Raises InputError off powers of two."""
    if size < 1 or size & (size - 1):
        raise InputError(f"a Sylvester-Hadamard matrix needs a power of two, not {size}")
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def hadamard_centres(classes: int, bits: int, generator: torch.Generator, shuffled: bool = True) -> Tensor:
    """Rows of [H; -H] as centres (classes, bits); classes beyond 2 * bits get balanced random rows.

    The published order (`shuffled` False) takes the first rows: column 0 is then constant, and for few classes
    the columns repeat (16-row patterns four times over at 64 bits). Shuffling takes random rows of H with
    random signs instead, which keeps every distance at K/2; -H follows once H is used up.
    """
    matrix = hadamard(bits)
    if not shuffled:
        rows = torch.cat([matrix, -matrix])[:classes]
        return _fill(rows, classes, bits, generator)

    def draw() -> Tensor:
        flips = bernoulli(1, bits, generator).T
        order = torch.randperm(bits, generator=generator)
        signed = (matrix * flips)[order]
        return _fill(torch.cat([signed, -signed])[:classes], classes, bits, generator)

    return _first(draw, _no_constant_bit)


def bernoulli(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Fair random signs float32 (rows, columns)."""
    return torch.randint(0, 2, (rows, columns), generator=generator).float() * 2 - 1


def bernoulli_centres(classes: int, bits: int, generator: torch.Generator) -> Tensor:
    """Fair random centres, redrawn while two classes share one or (with two classes or more) a bit is constant.

    Where K is too small for that (2^K < classes), the last draw stands.
    """
    return _first(lambda: bernoulli(classes, bits, generator), _well_spread)


def balanced_centres(classes: int, bits: int, generator: torch.Generator, share: float = 0.5) -> Tensor:
    """Centres with exactly floor(share * K) entries -1, the farthest-spread of 20 draws (CSQ's own fallback)."""

    def draw() -> Tensor:
        return _balanced(classes, bits, generator, share)

    return max((draw() for _ in range(20)), key=lambda rows: (_well_spread(rows), minimum_distance(rows)))


def spread_centres(classes: int, bits: int, generator: torch.Generator, tries: int = 10_000) -> Tensor:
    """OrthoHash's "maximum Hamming distance" codebook, shuffled: random rows kept at a distance.

    A draw is accepted when its normalised distance to all kept rows is at least d, which starts at 0.61 and
    falls by 0.01 after `tries` rejections in a row. Raises InputError when it would fall below 0.2.
    """
    kept = bernoulli(1, bits, generator)
    threshold, block = 0.61, 500
    while len(kept) < classes:
        found = False
        for _ in range(max(1, tries // block)):
            rows = bernoulli(block, bits, generator)
            near = ((bits - rows @ kept.T) / (2 * bits)).amin(dim=1)
            good = (near >= threshold - 1e-9).nonzero()[:, 0]
            if len(good):
                kept, found = torch.cat([kept, rows[good[:1]]]), True
                break
        if not found:
            threshold -= 0.01
        if threshold < 0.2:
            raise InputError(f"no {classes} codes of {bits} bits are this far apart; use random centres")
    return kept[torch.randperm(classes, generator=generator)]


def minimum_distance(centres: Tensor) -> float:
    """The smallest Hamming distance between two centres; K when there is only one."""
    bits = centres.shape[1]
    distances = (bits - centres @ centres.T) / 2
    distances.fill_diagonal_(bits)
    return float(distances.min())


def image_targets(labels: Tensor, centres: Tensor, ties: Tensor) -> Tensor:
    """The target (n, K) of each image: its class's centre, or the sign of the sum over its classes.

    `ties` (K,) in {-1, 1} replaces zeros; one vector per run, as CSQ does.
    """
    summed = labels @ centres
    return torch.where(summed == 0, ties.expand_as(summed), summed.sign())


def _fill(rows: Tensor, classes: int, bits: int, generator: torch.Generator) -> Tensor:
    missing = classes - len(rows)
    return torch.cat([rows, _balanced(missing, bits, generator, 0.5)]) if missing > 0 else rows


def _balanced(classes: int, bits: int, generator: torch.Generator, share: float) -> Tensor:
    order = torch.rand(classes, bits, generator=generator).argsort(dim=1)
    return torch.where(order < int(share * bits), -1.0, 1.0)


def _first(draw: Callable[[], Tensor], good: Callable[[Tensor], bool]) -> Tensor:
    rows = draw()
    for _ in range(_REDRAWS):
        if good(rows):
            break
        rows = draw()
    return rows


def _no_constant_bit(rows: Tensor) -> bool:
    return len(rows) < 2 or bool((rows.sum(0).abs() < len(rows)).all())


def _well_spread(rows: Tensor) -> bool:
    return _no_constant_bit(rows) and minimum_distance(rows) > 0
