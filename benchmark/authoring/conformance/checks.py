"""The checks, one promise each. A check returns a `Finding` or raises `Broken` with what it saw instead."""

from __future__ import annotations

import random

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from benchmark.authoring.conformance import data as tiny
from benchmark.authoring.conformance.abilities import abilities
from benchmark.authoring.conformance.lab import (
    BITS,
    FEW_UPDATES,
    OTHER_BITS,
    Broken,
    Check,
    Finding,
    Lab,
    agree,
    seed_globals,
)
from benchmark.authoring.conformance.learning import MARGIN, beats_random, constant_bits, gradient
from benchmark.authoring.conformance.resume import resume
from benchmark.contracts import MethodInfo
from benchmark.errors import one_line
from benchmark.spec import canonical_json


def metadata(lab: Lab) -> Finding:
    """The facts that tables and skips read, beyond what their types already enforce."""
    info = getattr(lab.cls, "info", None)
    if not isinstance(info, MethodInfo):
        raise Broken("the class has no `info` of type MethodInfo")
    bare = [name for name in ("title", "paper", "venue") if not str(getattr(info, name)).strip()]
    if bare:
        raise Broken(f"`info` leaves {', '.join(bare)} empty")
    if not (lab.cls.__doc__ or "").strip():
        raise Broken("the class has no docstring")
    known = {check.name for check in CHECKS}
    for name, reason in info.known_failures.items():
        if name not in known:
            raise Broken(f"known_failures names {name!r}, which is no check")
        if not reason.strip():
            raise Broken(f"the known failure {name!r} has no reason")
    return Finding(f"{info.title} ({info.venue} {info.year}), version {info.version}", 4)


def parameters(lab: Lab) -> Finding:
    """Parameters survive JSON and come back equal."""
    params = lab.fresh().params
    dumped = params.model_dump(mode="json")
    try:
        canonical_json(dumped)
        again = type(params).model_validate(dumped)
    except (ValueError, TypeError) as error:
        raise Broken(f"parameters do not survive JSON: {one_line(error)}") from error
    if again != params or again.model_dump(mode="json") != dumped:
        raise Broken(f"{dumped} came back as {again.model_dump(mode='json')}")
    return Finding(f"{len(dumped)} parameters come back equal")


def unknown_parameters(lab: Lab) -> Finding:
    """A misspelt parameter is refused, not ignored."""
    try:
        lab.cls.Params.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return Finding("an unknown key is refused")
    raise Broken("an unknown key was accepted")


def fits(lab: Lab) -> Finding:
    """The method can be trained at all and gives something for images."""
    outputs = lab.outputs
    if not isinstance(outputs, Tensor) or outputs.numel() == 0:
        raise Broken(f"encode returned {type(outputs).__name__}")
    return Finding(f"trained, and encoded {len(outputs)} images")


def code_lengths(lab: Lab) -> Finding:
    """Another number of bits, no power of two, works as well."""
    for bits in (BITS, OTHER_BITS):
        reason = lab.cls.supports(lab.taken(tiny.single(bits)).task)
        if reason:
            raise Broken(f"{bits} bits are not supported: {reason}")
    images = lab.test_images[:8]
    widths = [int(lab.encode(m, images).reshape(8, -1).shape[1]) for m in (lab.trained, lab.shorter)]
    if widths[0] - widths[1] != BITS - OTHER_BITS:
        raise Broken(f"asked for {BITS} and {OTHER_BITS} bits, got {widths[0]} and {widths[1]}")
    return Finding(f"{BITS} and {OTHER_BITS} bits both work", 2)


def shape_and_dtype(lab: Lab) -> Finding:
    """`encode` keeps its promised shape and type, for one image too, and its values are finite."""
    images = lab.test_images
    seen = 0
    for count in (1, 5, len(images)):
        seed_globals(0)
        outputs = lab.trained.encode(images[:count].clone())
        if tuple(outputs.shape) != (count, BITS) or outputs.dtype != torch.float32:
            raise Broken(f"{outputs.dtype} {tuple(outputs.shape)} for {count} images")
        if not torch.isfinite(outputs).all():
            raise Broken("outputs that are not finite")
        seen += 1
    return Finding(f"float32 (n, {BITS}) for n of 1, 5 and {len(images)}", seen)


def same_seed(lab: Lab) -> Finding:
    """Two fits with one seed give one set of codes, whatever ran before."""
    images = lab.test_images
    first, second = (lab.fit(lab.training_data(BITS), FEW_UPDATES) for _ in range(2))
    difference = agree(lab.encode(first, images), lab.encode(second, images))
    if difference:
        raise Broken(difference)
    return Finding("two fits agree", len(images))


def batch_size(lab: Lab) -> Finding:
    """An image's code does not depend on how many are encoded with it."""
    images = lab.test_images
    parts = _encode_in_parts(lab, images, 7)
    alone = _encode_in_parts(lab, images[:5], 1)
    difference = agree(lab.outputs, parts) or agree(lab.outputs[:5], alone)
    if difference:
        raise Broken(f"in batches of {len(images)}, 7 and 1: {difference}")
    return Finding(f"batches of {len(images)}, 7 and 1 agree", len(images))


def order(lab: Lab) -> Finding:
    """An image's code does not depend on its place in the batch."""
    images = lab.test_images
    shuffle = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    difference = agree(lab.outputs[shuffle], lab.encode(lab.trained, images[shuffle]))
    if difference:
        raise Broken(f"after shuffling: {difference}")
    return Finding("a shuffled batch gives the same codes", len(images))


def save_and_reload(lab: Lab) -> Finding:
    """`state` is plain tensors from which a fresh instance encodes alike."""
    from safetensors.torch import load, save

    state = lab.trained.state()
    wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise Broken(f"state holds no tensor under {wrong[0]!r}")
    again = lab.fresh()
    try:
        plain = load(save({key: value.detach().clone().contiguous() for key, value in state.items()}))
        again.load_state(plain, lab.context(lab.training_data(BITS), 1))
    except Exception as error:  # whatever went wrong is the finding
        raise Broken(f"reloading raised {one_line(error)}") from error
    difference = agree(lab.outputs, lab.encode(again, lab.test_images))
    if difference:
        raise Broken(f"after reloading: {difference}")
    return Finding(f"{len(state)} tensors restore the codes", len(state))


def inputs_unchanged(lab: Lab) -> Finding:
    """Neither `fit` nor `encode` writes into what it is handed."""
    data, images = lab.training_data(BITS), lab.test_images.clone()
    given = {"images": data.images, "labels": data.labels, "unlabelled": data.unlabelled}
    before = {name: tensor.clone() for name, tensor in given.items()}
    method = lab.fit(data, 2)
    kept = images.clone()
    method.encode(images)
    changed = [name for name, tensor in given.items() if not torch.equal(tensor, before[name])]
    changed += [] if torch.equal(images, kept) else ["the images to encode"]
    if changed:
        raise Broken(f"{', '.join(changed)} changed")
    return Finding("training data and images are as they were", 4)


def no_reseeding(lab: Lab) -> Finding:
    """The global generators are not reset: what they give after a fit still depends on what they were."""
    after = []
    for start in (1, 2):
        seed_globals(start)
        method = lab.fit(lab.training_data(BITS), 2, reseed=False)
        method.encode(lab.test_images[:4].clone())
        after.append((random.random(), float(np.random.random()), float(torch.rand(()))))
    names = ("random", "numpy.random", "torch")
    reset = [name for name, one, two in zip(names, *after, strict=True) if one == two]
    if reset:
        raise Broken(f"the global generator of {', '.join(reset)} was reseeded")
    return Finding("three global generators keep their own course", 3)


def one_label(lab: Lab) -> Finding:
    """Training works with a single labelled image a class, the rest without labels."""
    if "single" in lab.cls.info.labels:
        data = tiny.single(BITS, labelled_per_class=1)
    else:
        full = tiny.multi(BITS)
        count = len(tiny.DIGITS)
        data = type(full)(full.task, full.images[:count], full.labels[:count], full.images[count:])
    outputs = lab.encode(lab.fit(data, FEW_UPDATES), lab.test_images)
    if not torch.isfinite(outputs).all():
        raise Broken("outputs that are not finite")
    return Finding(f"{len(data.images)} labelled and {len(data.unlabelled)} unlabelled images suffice")


def label_kinds(lab: Lab) -> Finding:
    """Every declared kind of labels can be trained on."""
    kinds = {"single": tiny.single, "multi": tiny.multi}
    for kind in lab.cls.info.labels:
        try:
            outputs = lab.encode(lab.fit(kinds[kind](BITS), FEW_UPDATES), lab.test_images)
        except Broken as error:
            raise Broken(f"{kind}-label data: {error}") from error
        if not torch.isfinite(outputs).all():
            raise Broken(f"{kind}-label data: outputs that are not finite")
    kinds_tried = " and ".join(lab.cls.info.labels)
    return Finding(f"{kinds_tried}-label data work", len(lab.cls.info.labels))


def _encode_in_parts(lab: Lab, images: Tensor, size: int) -> Tensor:
    starts = range(0, len(images), size)
    return torch.cat([lab.trained.encode(images[at : at + size].clone()).detach() for at in starts])


CHECKS: tuple[Check, ...] = (
    Check("metadata", "complete facts and a docstring", metadata),
    Check("parameters", "parameters survive JSON unchanged", parameters),
    Check("unknown-parameters", "an unknown key is refused", unknown_parameters),
    Check("fits", "fit and encode run", fits),
    Check("code-lengths", f"{BITS} and {OTHER_BITS} bits", code_lengths, "fits"),
    Check("shape-and-dtype", f"finite float32 (n, {BITS})", shape_and_dtype, "fits"),
    Check("same-seed", "the same codes from the same seed", same_seed, "fits"),
    Check("resume", "an interrupted fit that ends as an undisturbed one", resume, "same-seed"),
    Check("batch-size", "codes that do not depend on the batch size", batch_size, "fits"),
    Check("order", "codes that do not depend on the order", order, "fits"),
    Check("save-and-reload", "plain tensors that restore the codes", save_and_reload, "fits"),
    Check("inputs-unchanged", "inputs that stay as they are", inputs_unchanged, "fits"),
    Check("no-reseeding", "global generators that are not reset", no_reseeding, "fits"),
    Check("one-label", "training with one label a class", one_label, "fits"),
    Check("label-kinds", "training on every declared kind of labels", label_kinds, "fits"),
    Check("constant-bits", "no constant bit", constant_bits, "fits"),
    Check("beats-random", f"mAP at least {MARGIN} above random codes", beats_random, "fits"),
    Check("abilities", "class logits and samples where they are declared", abilities, "fits"),
    Check("gradient", "every trainable parameter moves", gradient, "fits"),
)
