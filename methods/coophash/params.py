"""CoopHash's hyper-parameters.

The paper's summary states none of them. Every default was chosen here, on the embedded digits and on training
images of MNIST (`docs/coophash.md`, "What was tried"), and is no value of the paper's.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from benchmark.methods._stepwise import StepwiseParams
from benchmark.methods.coophash.sampler import LangevinSettings


class CoopHashParams(StepwiseParams):
    """A weight of 0 switches a loss off, and with it the head and the passes that nothing else needs."""

    #: Left out of a fit's identity at their defaults: they came when there were records.
    later = StepwiseParams.later | {"negatives", "label_loss"}

    # Loss weights
    weight_nll: float = Field(default=0.3, ge=0, le=100, description="L_NLL, the density head")
    weight_tr: float = Field(default=20.0, ge=0, le=1000, description="L_TR, the hash head")
    weight_class: float = Field(
        default=1.0, ge=0, le=100, description="L_CLASS on real images, the class head"
    )
    weight_vae: float = Field(default=0.1, ge=0, le=100, description="L_VAE per pixel, the inference head")

    weight_vae_real: float = Field(
        default=0.2,
        ge=0,
        le=100,
        description="L_VAE of real images per pixel, beside the pair; needs weight_vae",
    )
    posterior_pixels: bool = Field(
        default=True,
        description="the inference head has convolutions of its own on the image, beside the base's features",
    )

    posterior_label: bool = Field(
        default=True, description="the posterior's mean is moved by a learnt vector for each label"
    )

    # Hashing
    margin: float = Field(default=0.1, ge=0, le=1, description="m, as a share of differing bits")
    temperature: float | None = Field(
        default=0.05, gt=0, le=10, description="of the smooth hinge in L_TR; null: the plain hinge, max(0, .)"
    )
    real_triplets: float = Field(default=0.5, ge=0, le=1, description="share of L_TR on real images alone")
    quantisation: float = Field(default=0.0, ge=0, le=10, description="weight of (|h| - 1)^2 inside L_TR")
    likelihood: float = Field(
        default=0.2, ge=0, le=10, description="weight of real pairs' likelihood inside L_TR; not in the paper"
    )
    likelihood_scale: float = Field(default=10.0, gt=0, le=100, description="of the inner product per bit")
    class_on_pair: float = Field(
        default=0.1, ge=0, le=10, description="weight of L_CLASS on the revised pair"
    )

    # Density
    density: Literal["energy", "discriminator"] = Field(
        default="energy", description="`discriminator` is the GAN counterpart: real against fake, no MCMC"
    )
    energy_penalty: float = Field(default=0.1, ge=0, le=100, description="weight of mean f^2 inside L_NLL")
    density_noise: float = Field(
        default=0.1,
        ge=0,
        le=2,
        description="deviation of noise on real images and the pair, while there is a density",
    )
    density_class: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="inside L_NLL, weight of the cross-entropy of the label posterior that f implies; not stated",
    )
    spectral_norm: bool = Field(default=False, description="on the base and the density head")

    negatives: Literal["drawn", "data"] = Field(
        default="data",
        description="labels of the negative phase: as pairs are drawn, or weighted so that they are the data's",
    )
    label_loss: Literal["mean", "sum"] = Field(
        default="mean", description="L_CLASS of label sets: mean or sum over labels"
    )

    # Langevin dynamics
    langevin_steps: int = Field(default=10, ge=0, le=1000, description="T")
    langevin_step: float = Field(default=0.5, gt=0, description="delta^2 / 2, the factor on the gradient")
    langevin_noise: float | None = Field(default=0.02, ge=0, description="null: delta, tied to the step")
    langevin_clip: float | None = Field(default=None, gt=0, description="bound on each pixel's gradient")
    langevin_decay: float = Field(default=1.0, gt=0, le=1, description="factor on the step per update")
    reference_std: float | None = Field(default=None, gt=0, description="s of the reference N(0, s^2)")

    # Generator
    latent: int = Field(default=32, ge=1, le=1024, description="d, the dimension of z")
    generator_width: int = Field(default=32, ge=4, le=512, description="channels at full resolution")
    generator_lr: float | None = Field(default=None, gt=0, description="null: the descriptor's")
    reconstruction_std: float = Field(default=1.0, gt=0, le=10, description="sigma of L_VAE")
    teaching: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="weight of the revised pair regressed from its own z; not stated",
    )
    pairs: int | None = Field(
        default=16, ge=1, description="contrastive pairs per update; null: one per image"
    )

    # Optimisation and extras
    beta1: float = Field(default=0.5, ge=0, lt=1, description="Adam's first moment decay")
    gradient_clip: float | None = Field(
        default=None, gt=0, description="bound on each network's gradient norm"
    )
    ema: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged weights that encode; 0: off"
    )
    unlabelled: Literal["ignore", "density-and-inference"] = Field(
        default="ignore", description="what images without a revealed label may train"
    )

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not (self.weight_nll or self.weight_tr or self.weight_class or self.weight_vae):
            raise ValueError("at least one of the four loss weights must be above 0")
        if self.weight_tr and not self.makes_images and not self.real_triplets:
            raise ValueError("real_triplets must be above 0 when nothing generates pairs")
        if self.makes_images and not (self.weight_vae or self.adversarial or self.teaches):
            raise ValueError("nothing teaches the generator: weight_vae or teaching must be above 0")
        return self

    @property
    def adversarial(self) -> bool:
        """Whether the density head is a real/fake discriminator."""
        return self.density == "discriminator"

    @property
    def makes_images(self) -> bool:
        """Whether there is a generator: a density or a variational loss asks for one."""
        return self.weight_nll > 0 or self.weight_vae > 0

    @property
    def revises(self) -> bool:
        """Whether Langevin dynamics revises the pair: only where there is an energy to sample."""
        return self.weight_nll > 0 and not self.adversarial and self.langevin_steps > 0

    @property
    def teaches(self) -> bool:
        """Whether the generator regresses the revised pair from the very z that began it."""
        return self.revises and self.teaching > 0

    def langevin(self) -> LangevinSettings:
        """The sampler's settings."""
        return LangevinSettings(
            steps=self.langevin_steps,
            step=self.langevin_step,
            noise=self.langevin_noise,
            clip=self.langevin_clip,
            decay=self.langevin_decay,
            reference_std=self.reference_std,
        )
