"""Fashion-MNIST in torchvision's folder layout: MNIST's files in another folder."""

from __future__ import annotations

from benchmark.datasets.mnist import MNIST

_CLASSES = (
    *("t-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


class FashionMNIST(MNIST):
    """70,000 pictures of clothes, 28x28: 60,000 training images, then 10,000 test images."""

    info = MNIST.info.model_copy(
        update={
            "name": "fashion-mnist",
            "title": "Fashion-MNIST",
            "source": "Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747",
            "classes": _CLASSES,
            "default_protocol": "balanced-100-500",
            "flip": True,
            "split_key": "fashion-mnist",
            "subject": "clothes",
            "near": ("handwritten digits",),
            "confusions": (),
        }
    )
    folder = "FashionMNIST/raw"
    torchvision = "FashionMNIST"
