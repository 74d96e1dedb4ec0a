"""The shared augmentation and batch order."""

from __future__ import annotations

import torch

from benchmark.contracts import FitContext, Task
from benchmark.methods._images import augment, to_float
from benchmark.methods._stepwise import batch_index, schedule_factor


def test_to_float_spans_minus_one_to_one() -> None:
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_each_image_gets_its_own_shift_and_flip() -> None:
    images = torch.zeros(200, 1, 5, 5, dtype=torch.uint8)
    images[:, 0, 2, 1] = 9
    moved = augment(images, 2, flip=True, generator=torch.Generator().manual_seed(0))
    places = {tuple(place.tolist()) for place in (moved[:, 0] == 9).nonzero()[:, 1:]}
    assert moved.shape == images.shape
    assert len(places) > 15
    assert (moved.flatten(1).sum(1) <= 9).all()


def test_a_shift_moves_pixels_exactly() -> None:
    images = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        dy, dx = (torch.randint(0, 3, (1, 2), generator=torch.Generator().manual_seed(seed)) - 1)[0].tolist()
        moved = augment(images, 1, flip=False, generator=generator)[0, 0]
        padded = torch.nn.functional.pad(images[0, 0], (1, 1, 1, 1))
        assert (moved == padded[1 + dy : 5 + dy, 1 + dx : 5 + dx]).all()


def test_flipping_mirrors_left_and_right() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4).expand(64, -1, -1, -1)
    flipped = augment(images, 0, flip=True, generator=torch.Generator().manual_seed(0))
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    kept = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 10 < mirrored.sum() < 54


def test_no_augmentation_is_the_identity() -> None:
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    assert augment(images, 0, flip=False, generator=torch.Generator()) is images


def test_every_image_is_used_equally_often() -> None:
    ctx = FitContext(Task(8, 2, 1, 8, 8), torch.device("cpu"))
    for n, size in ((10, 4), (7, 7), (3, 8), (65, 64)):
        seen = torch.cat([batch_index(n, size, step, ctx) for step in range(n)])
        assert seen.bincount(minlength=n).tolist() == [min(size, n)] * n


def test_any_batch_can_be_computed_alone() -> None:
    ctx = FitContext(Task(8, 2, 1, 8, 8), torch.device("cpu"), root_seed=5)
    assert (batch_index(50, 16, 9, ctx) == batch_index(50, 16, 9, ctx)).all()
    assert not (batch_index(50, 16, 9, ctx) == batch_index(50, 16, 10, ctx)).all()


def test_the_cosine_schedule_starts_at_one_and_falls() -> None:
    values = [schedule_factor("cosine", step / 10) for step in range(10)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert schedule_factor("constant", 0.9) == 1
