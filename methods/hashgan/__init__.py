"""HashGAN: a pair-conditional Wasserstein GAN, then a hash network on real and synthesised images."""

from benchmark.methods.hashgan.method import HashGAN
from benchmark.methods.hashgan.params import HashGANParams

__all__ = ["HashGAN", "HashGANParams"]
