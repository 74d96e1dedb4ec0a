"""The ablations, the GAN counterpart and the single-task baselines, as presets of one method.

Stated by the paper's summary: the ablations -L_CLASS, -L_TR, -L_NLL, -L_VAE, a GAN-based counterpart, and
baselines trained for one task. What remains when a loss goes is not stated; each note says what was chosen.
"""

from __future__ import annotations

from benchmark.contracts import Variant

VARIANTS = (
    Variant(
        name="coophash-class",
        title="CoopHash - L_CLASS",
        params={"weight_class": 0.0},
        note="no class head",
        look=("black", "s", "dashdot"),
    ),
    Variant(
        name="coophash-tr",
        title="CoopHash - L_TR",
        params={"weight_tr": 0.0},
        note="no trained hash head: signs of a fixed orthonormal projection of the centred base features",
        look=("vermillion", "D", "dotted"),
    ),
    Variant(
        name="coophash-nll",
        title="CoopHash - L_NLL",
        params={"weight_nll": 0.0},
        note="no density, so no MCMC: the pair is the generator's output, L_VAE learns from the real batch",
        look=("blue", "^", "densely dashed"),
    ),
    Variant(
        name="coophash-vae",
        title="CoopHash - L_VAE",
        params={"weight_vae": 0.0},
        note="no inference head: the generator regresses the revised pair from the z that began it",
        look=("green", "v", "densely dotted"),
    ),
    Variant(
        name="coophash-gan",
        title="GAN-based counterpart",
        params={"density": "discriminator", "weight_vae": 0.0},
        note="a real/fake discriminator for the density head, no MCMC, adversarial generator loss",
        look=("sky blue", "D", "dashed"),
    ),
    Variant(
        name="coophash-hash-only",
        title="Baseline: hashing only",
        params={"weight_nll": 0.0, "weight_vae": 0.0, "weight_class": 0.0},
        note="the same base network, L_TR on real images alone",
        look=("green", "X", "dotted"),
    ),
    Variant(
        name="coophash-class-only",
        title="Baseline: classification only",
        params={"weight_nll": 0.0, "weight_vae": 0.0, "weight_tr": 0.0},
        note="the same base network; codes are signs of a fixed projection of its features",
        look=("orange", "*", "densely dashed"),
    ),
    Variant(
        name="coophash-generation-only",
        title="Baseline: generation only",
        params={"weight_class": 0.0, "weight_tr": 0.0},
        note="the same base network and generator; codes are signs of a fixed projection of its features",
        look=("black", "<", "dashdot"),
    ),
)
