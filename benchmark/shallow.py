"""What methods in closed form build on: features of images, kernels, rotations, discrete steps."""

from benchmark.methods._discrete import classifier_step, coordinate_step, random_codes
from benchmark.methods._features import ShallowMethod, ShallowParams, too_many_bits
from benchmark.methods._kernels import KernelMethod, KernelParams, radial, ridge
from benchmark.methods._rotation import random_rotation, rotate
from benchmark.methods._spectra import principal_directions

__all__ = [
    "KernelMethod",
    "KernelParams",
    "ShallowMethod",
    "ShallowParams",
    "classifier_step",
    "coordinate_step",
    "principal_directions",
    "radial",
    "random_codes",
    "random_rotation",
    "ridge",
    "rotate",
    "too_many_bits",
]
