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


def hadamard_centres(
    classes: int, bits: int, generator: torch.Generator, shuffled: bool = True, distance: int = 1
) -> Tensor:
    """Rows of [H; -H] as centres (classes, bits), K/2 apart; classes beyond 2 * bits get balanced random rows, each
    drawn again until it is at least `distance` from all before. Raises InputError where so many do not fit.

    The published order (`shuffled` False) takes the first rows: column 0 is then constant, and for few classes
    the columns repeat (16-row patterns four times over at 64 bits). Shuffling takes random rows of H with
    random signs instead, which keeps every distance at K/2; -H follows once H is used up.
    """
    matrix = hadamard(bits)

    def row(count: int) -> Tensor:
        return _balanced(count, bits, generator, 0.5)

    def draw() -> Tensor:
        signed = matrix
        if shuffled:
            flips = bernoulli(1, bits, generator).T
            order = torch.randperm(bits, generator=generator)
            signed = (matrix * flips)[order]
        rows = torch.cat([signed, -signed])[:classes]
        return torch.cat([rows, row(classes - len(rows))]) if len(rows) < classes else rows

    rows = _first(draw, _no_constant_bit) if shuffled else draw()
    return _apart(rows, distance, row)


def bernoulli(
    rows: int, columns: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Fair random signs float32 (rows, columns), drawn on the generator's device."""
    return torch.randint(0, 2, (rows, columns), generator=generator, device=device).float() * 2 - 1


def bernoulli_centres(classes: int, bits: int, generator: torch.Generator, distance: int = 1) -> Tensor:
    """Fair random centres at least `distance` apart (1: no two classes share one), redrawn while a bit is constant.

    Two or three classes may keep a constant bit. Raises InputError where so many centres do not fit.
    """

    def draw(count: int = classes) -> Tensor:
        return bernoulli(count, bits, generator)

    for _ in range(_REDRAWS + 1):
        rows = draw()
        if _well_spread(rows):
            rows = _apart(rows, distance, draw)
            if _no_constant_bit(rows):
                return rows
    return _apart(rows, distance, draw)


def balanced_centres(
    classes: int, bits: int, generator: torch.Generator, share: float = 0.5, distance: int = 1
) -> Tensor:
    """Centres with exactly floor(share * K) entries -1, the farthest-spread of 20 draws (CSQ's own fallback).

    At least `distance` apart. Raises InputError where so many do not fit.
    """

    def draw(count: int = classes) -> Tensor:
        return _balanced(count, bits, generator, share)

    best = max((draw() for _ in range(20)), key=lambda rows: (_well_spread(rows), minimum_distance(rows)))
    return _apart(best, distance, draw)


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


def _apart(rows: Tensor, distance: int, draw: Callable[[int], Tensor], block: int = 500) -> Tensor:
    """`rows` with each that is nearer than `distance` to an earlier one replaced by a drawn one that is not.

    `draw` gives that many candidate rows. Good rows stay, and nothing is drawn when all are good.
    """
    bits, kept = rows.shape[1], rows.clone()

    def far(some: Tensor, count: int) -> Tensor:
        return ((bits - some @ kept[:count].T) / 2).amin(dim=1) >= distance

    for i in range(1, len(rows) if minimum_distance(rows) < distance else 0):
        tries, candidates = 0, kept[i : i + 1]
        while not (good := far(candidates, i)).any():
            if tries >= _REDRAWS * 10:
                count = f"{len(rows)} centres of {bits} bits"
                raise InputError(f"{count} cannot be drawn {distance} or more bits apart; take more bits")
            candidates, tries = draw(block), tries + block
        kept[i] = candidates[good][0]
    return kept


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
