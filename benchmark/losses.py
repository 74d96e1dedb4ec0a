"""Pieces of hashing losses: pairs, triplets, classes, centres, and what pulls outputs to codes."""

from benchmark.methods._centres import (
    balanced_centres,
    bernoulli_centres,
    hadamard,
    hadamard_centres,
    image_targets,
    minimum_distance,
    spread_centres,
)
from benchmark.methods._pairs import (
    SignedSimilarity,
    balance_weights,
    cosine,
    masked_mean,
    off_diagonal,
    pair_likelihood,
    similarity,
    squared_distances,
)
from benchmark.methods._pointwise import classification_loss
from benchmark.methods._quantisers import (
    assignment_wasserstein,
    component_wasserstein,
    half_half,
    half_half_layer,
    log_cosh_error,
    magnitude_error,
    sign_error,
    signs,
    sliced_wasserstein,
    straight_bernoulli,
    straight_sign,
)
from benchmark.methods._triplets import anchor_mean, differences, triplet_mask

__all__ = [
    "SignedSimilarity",
    "anchor_mean",
    "assignment_wasserstein",
    "balance_weights",
    "balanced_centres",
    "bernoulli_centres",
    "classification_loss",
    "component_wasserstein",
    "cosine",
    "differences",
    "hadamard",
    "hadamard_centres",
    "half_half",
    "half_half_layer",
    "image_targets",
    "log_cosh_error",
    "magnitude_error",
    "masked_mean",
    "minimum_distance",
    "off_diagonal",
    "pair_likelihood",
    "sign_error",
    "signs",
    "similarity",
    "sliced_wasserstein",
    "spread_centres",
    "squared_distances",
    "straight_bernoulli",
    "straight_sign",
    "triplet_mask",
]
