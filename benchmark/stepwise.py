"""What methods trained by gradient descent build on: the training loop, recipes, networks, backbones."""

from benchmark.methods._backbones import Backbone, build_backbone
from benchmark.methods._buffers import PairwiseMethod, PairwiseParams, Partners
from benchmark.methods._images import augment, to_float
from benchmark.methods._networks import CalibratedNetwork, HashNetwork
from benchmark.methods._recipes import SCRATCH, Recipe, make_optimizer, schedule_factor
from benchmark.methods._stepwise import Batch, StepwiseMethod, StepwiseParams, batch_index, parameters_of
from benchmark.methods._unsupervised import ReferenceMethod, ReferenceParams, UnsupervisedMethod
from benchmark.methods._views import random_views

__all__ = [
    "SCRATCH",
    "Backbone",
    "Batch",
    "CalibratedNetwork",
    "HashNetwork",
    "PairwiseMethod",
    "PairwiseParams",
    "Partners",
    "Recipe",
    "ReferenceMethod",
    "ReferenceParams",
    "StepwiseMethod",
    "StepwiseParams",
    "UnsupervisedMethod",
    "augment",
    "batch_index",
    "build_backbone",
    "make_optimizer",
    "parameters_of",
    "random_views",
    "schedule_factor",
    "to_float",
]
