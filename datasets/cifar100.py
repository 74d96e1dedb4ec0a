"""CIFAR-100 with its 100 fine labels, in torchvision's folder layout or the binary one."""

from __future__ import annotations

from benchmark.datasets._cifar import CIFAR
from benchmark.datasets.cifar10 import CIFAR10

_NAMES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
    dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
    leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
    otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
    road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""
CLASSES = tuple(_NAMES.split())


class CIFAR100(CIFAR):
    """60,000 colour images, 32x32, 600 a class: train (50,000), then test (10,000)."""

    info = CIFAR10.info.model_copy(
        update={
            "name": "cifar100",
            "title": "CIFAR-100",
            "classes": CLASSES,
            "default_protocol": "cifar100-100-500",
            "split_key": "cifar100",
            "confusions": (),
            "corrupted": None,
            "notes": "fine labels; the 20 coarse ones are not read",
        }
    )
    stems = ("train", "test")
    python_folder = "cifar-100-python"
    binary_folder = "cifar-100-binary"
    archives = ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz")
    torchvision = "CIFAR100"
    label_key = "fine_labels"
    label_bytes = 2
