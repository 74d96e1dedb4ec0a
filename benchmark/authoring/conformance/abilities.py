"""The check of what few methods can: class logits and generated images."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from benchmark.authoring.conformance.lab import Broken, Finding, Lab, agree, seed_globals
from benchmark.contracts import Ability
from benchmark.errors import one_line


def abilities(lab: Lab) -> Finding:
    """Every declared ability works as the contract says and leaves the model as it was."""
    method = lab.trained
    declared = method.abilities()
    unknown = sorted(set(declared) - set(get_args(Ability)))
    if unknown:
        raise Broken(f"abilities() names {', '.join(unknown)}; there are {', '.join(get_args(Ability))}")
    if "revision" in declared and "generation" not in declared:
        raise Broken("abilities() declares revision without generation")
    before = {name: tensor.clone() for name, tensor in method.state().items()}
    compared = 1
    if "classification" in declared:
        compared += _logits(lab)
    if "generation" in declared:
        compared += _samples(lab, revised="revision" in declared)
    if "density" in declared:
        compared += _density(lab)
    after = method.state()
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
    if moved:
        raise Broken(f"asking for them changed {', '.join(moved[:3])}")
    return Finding(", ".join(sorted(declared)) or "none declared", compared)


def _logits(lab: Lab) -> int:
    images, classes = lab.test_images, lab.training_data(12).task.classes
    together, alone = (_call(lab, part) for part in (images, images[:1]))
    if tuple(together.shape) != (len(images), classes) or together.dtype != torch.float32:
        raise Broken(f"class_logits gave {together.dtype} {tuple(together.shape)} for {len(images)} images")
    if not torch.isfinite(together).all():
        raise Broken("class_logits that are not finite")
    difference = agree(together[:1], alone)
    if difference:
        raise Broken(f"class_logits of one image, alone and among others: {difference}")
    return len(images)


def _call(lab: Lab, images: Tensor) -> Tensor:
    try:
        return lab.trained.class_logits(images.clone()).detach()
    except Exception as error:  # whatever went wrong is the finding
        raise Broken(f"class_logits raised {one_line(error)}") from error


def _density(lab: Lab) -> int:
    images = lab.test_images
    labels = lab.training_data(12).labels[:1].expand(len(images), -1)
    together, alone = (_value(lab, images[:count], labels[:count]) for count in (len(images), 1))
    if tuple(together.shape) != (len(images),) or not torch.isfinite(together).all():
        raise Broken(
            f"log_density gave {tuple(together.shape)} for {len(images)} images, or no finite numbers"
        )
    difference = agree(together[:1], alone)
    if difference:
        raise Broken(f"log_density of one image, alone and among others: {difference}")
    return len(images)


def _value(lab: Lab, images: Tensor, labels: Tensor) -> Tensor:
    try:
        return lab.trained.log_density(images.clone(), labels.clone()).detach()
    except Exception as error:  # whatever went wrong is the finding
        raise Broken(f"log_density raised {one_line(error)}") from error


def _samples(lab: Lab, *, revised: bool) -> int:
    data = lab.training_data(12)
    labels = data.labels[:6]
    wanted = (len(labels), data.task.channels, data.task.height, data.task.width)
    first, again = (_draw(lab, labels, global_seed) for global_seed in (1, 2))
    for images in (*first, *again):
        if images.dtype != torch.uint8 or tuple(images.shape) != wanted:
            raise Broken(f"sample gave {images.dtype} {tuple(images.shape)}, not uint8 {wanted}")
    if not all(torch.equal(one, other) for one, other in zip(first, again, strict=True)):
        raise Broken("sample gave other images for the same labels and generator")
    if not revised and not torch.equal(*first):
        raise Broken("sample revised its images, but abilities() declares no revision")
    return 2 * len(labels)


def _draw(lab: Lab, labels: Tensor, global_seed: int) -> tuple[Tensor, Tensor]:
    """Samples for one generator, whatever the global generators are."""
    seed_globals(global_seed)
    try:
        before, after = lab.trained.sample(labels.clone(), torch.Generator().manual_seed(0))
    except Exception as error:  # whatever went wrong is the finding
        raise Broken(f"sample raised {one_line(error)}") from error
    return before, after
