"""HashGAN's hyper-parameters. Each difference between the paper and the authors' release is one of them."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from benchmark.methods._stepwise import StepwiseParams
from benchmark.methods.hashgan.losses import Theta, Weighting

#: alpha and a_g of the release's two configurations, CIFAR-10 (one label) and NUS-WIDE (several).
ALPHA: dict[bool, float] = {False: 10.0, True: 5.0}
GENERATOR_PAIRS: dict[bool, float] = {False: 10.0, True: 0.3}


class HashGANParams(StepwiseParams):
    """Where paper and release differ, the default is the release's if it was read there and is no fault.

    Faults that are no option: dropout stays active at evaluation; ranking by real-valued outputs belongs to the
    scorer; clipped inner products, which stop the gradient; class weights that divide by zero.
    """

    search: ClassVar = {"lr": (1e-4, 1e-2)}

    # Both stages: the pairwise loss C
    alpha: float | None = Field(
        default=None, gt=0, le=100, description="scale of the cosine; null: 10, or 5 for multi-label data"
    )
    theta: Theta = Field(default="cosine", description="`inner-product` divides by the bits, not by norms")
    weighting: Weighting = Field(
        default="release",
        description="`release`: |S|/|S1| and 1; `balanced`: |S|/|S1| and |S|/|S0|, as in HashNet",
    )
    diagonal: bool = Field(
        default=False,
        description="count an image's pair with itself (release: yes; it has no gradient and takes weight)",
    )

    # How the budget is shared
    gan_share: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="share of the updates that stage 1 gets (release: 0.91, before a hash network that has been "
        "trained on ImageNet; one that starts from nothing needs them more)",
    )

    # Stage 1: the pair-conditional WGAN
    critic_steps: int = Field(default=5, ge=1, le=100, description="critic steps inside one update")
    gradient_penalty: float = Field(default=10.0, gt=0, le=1000, description="weight of the penalty")
    critic_fakes: float = Field(default=1.0, ge=0, le=100, description="a_f: weight of C in the critic")
    generator_pairs: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="a_g: weight of C in the generator; null: 10, or 0.3 for multi-label data",
    )
    condition: Literal["labels", "similarity"] = Field(
        default="labels",
        description="`labels`: the label vector, as in the release; `similarity`: an embedding of the pairwise "
        "similarities, as in the paper",
    )
    unlabelled: Literal["use", "ignore"] = Field(
        default="use", description="images without a revealed label in the critic's real batch"
    )
    dequantise: bool = Field(default=True, description="uniform noise of one grey level on real images")
    latent: int = Field(
        default=32,
        ge=1,
        le=4096,
        description="random entries beside the condition (release: 256 less the number of classes, in which one "
        "label's weight is felt late)",
    )
    generator_width: int = Field(
        default=16, ge=4, le=512, description="channels at full resolution (release: 128)"
    )
    critic_width: int = Field(default=16, ge=4, le=512, description="first channels (release: 128)")
    critic: Literal["compact", "residual"] = Field(default="compact", description="the critic's network")
    gan_lr: float = Field(
        default=2e-3,
        gt=0,
        le=1,
        description="of Adam in stage 1, linear to 0; for some hundred updates (release: 1e-4 for 100,000)",
    )
    gan_batch: int | None = Field(
        default=None, ge=2, le=4096, description="images in stage 1's batches; null: the batch size"
    )

    # Stage 2: the hash network
    fake_weight: float = Field(
        default=0.1, ge=0, le=100, description="weight of C between real and synthesised images"
    )
    quantisation: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="weight of the cosine quantisation loss, chosen here (release: none)",
    )

    @model_validator(mode="after")
    def _fakes_need_a_generator(self) -> Self:
        if self.fake_weight and not self.gan_share:
            raise ValueError("fake_weight must be 0 when gan_share is: nothing trains a generator")
        return self
