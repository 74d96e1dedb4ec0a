"""Protocols of single-label data sets."""

from __future__ import annotations

from benchmark.data.protocol.protocol import Protocol

_CIFAR = ("cifar10", "cifar10-jpeg")
DHP = "swuxyj/DeepHash-pytorch"

CLASSIC = (
    Protocol(
        name="digits-20-50",
        title="digits: 200 queries, 500 training images, database all but queries",
        datasets=("digits",),
        query=20,
        train=50,
    ),
    Protocol(
        name="mnist-69k",
        title="MNIST: 1,000 queries, 5,000 training images, database of 69,000",
        datasets=("mnist",),
        query=100,
        train=500,
    ),
    Protocol(
        name="cifar10-59k",
        title="CIFAR-10: 1,000 queries, 5,000 training images, database of 59,000 (train included)",
        datasets=_CIFAR,
        query=100,
        train=500,
        source=f"{DHP} `cifar10-1`, jiangqy/ADSH-AAAI2018, kamwoh/orthohash protocol 1",
    ),
    Protocol(
        name="cifar10-54k",
        title="CIFAR-10: 1,000 queries, 5,000 training images, database of 54,000 (disjoint)",
        datasets=_CIFAR,
        query=100,
        train=500,
        database="rest",
        source=f"{DHP} `cifar10`",
    ),
    Protocol(
        name="cifar10-50k",
        title="CIFAR-10: 10,000 queries, 50,000 training images, database = training images",
        datasets=_CIFAR,
        query=1000,
        train=5000,
        database="train",
        source=f"{DHP} `cifar10-2`, kamwoh/orthohash protocol 2",
    ),
    Protocol(
        name="balanced-100-500",
        title="100 queries and 500 training images a class, database all but queries",
        query=100,
        train=500,
    ),
    Protocol(
        name="balanced-20-50",
        title="20 queries and 50 training images a class, database all but queries",
        query=20,
        train=50,
    ),
)

SINGLE = (
    Protocol(
        name="cifar10-official",
        title="CIFAR-10: its 10,000 test images as queries, its 50,000 training images train and are the database",
        datasets=_CIFAR,
        draw="official",
        official_train=50_000,
        database="train",
        source="ssppp/GreedyHash `cifar2.py`",
        note="the same sizes as cifar10-50k, other images",
    ),
    Protocol(
        name="cifar100-100-500",
        title="CIFAR-100: 10,000 queries, the other 50,000 images train and are the database",
        datasets=("cifar100",),
        query=100,
        train=500,
        source="made here, after cifar10-50k",
    ),
    Protocol(
        name="cifar100-54k",
        title="CIFAR-100: 1,000 queries, 5,000 training images, database of 54,000 (disjoint)",
        datasets=("cifar100",),
        query=10,
        train=50,
        database="rest",
        source="made here, after cifar10-54k",
    ),
    Protocol(
        name="cifar100-official",
        title="CIFAR-100: its 10,000 test images as queries, its 50,000 training images train and are the database",
        datasets=("cifar100",),
        draw="official",
        official_train=50_000,
        database="train",
        source="made here, after cifar10-official",
    ),
    Protocol(
        name="mnist-60k",
        title="MNIST, Fashion-MNIST: 10,000 queries of the pool, the other 60,000 train and are the database",
        datasets=("mnist", "fashion-mnist"),
        draw="stratified",
        query=10_000,
        train=60_000,
        database="train",
        source="khoadoan/adversarial-hashing notebooks/create_datasets.ipynb, `DCW-AE` split",
    ),
    Protocol(
        name="mnist-55k",
        title="MNIST, Fashion-MNIST: 10,000 queries, 5,000 training images, database of 55,000 (disjoint)",
        datasets=("mnist", "fashion-mnist"),
        draw="stratified",
        query=10_000,
        train=5_000,
        database="rest",
        source="khoadoan/adversarial-hashing notebooks/create_datasets.ipynb, `DistillHash/SSDH` split",
    ),
    Protocol(
        name="mnist-official",
        title="MNIST, Fashion-MNIST: the 10,000 test images as queries, the 60,000 training images train and are "
        "the database",
        datasets=("mnist", "fashion-mnist"),
        draw="official",
        official_train=60_000,
        database="train",
        source="passalis/qsmi (Fashion-MNIST)",
    ),
    Protocol(
        name="imagenet100",
        title="ImageNet-100: the validation images as queries, 130 training images a class, database of the rest",
        datasets=("imagenet100",),
        draw="query-part",
        train=130,
        k=1000,
        source="thuml/HashNet, kamwoh/orthohash, yuanli2333/Hadamard-Matrix-for-hashing",
        note="mAP@1000 in most repositories; thulab/DeepHash and khoadoan106/single_loss_quantization set 5,000 "
        "(imagenet100-k5000)",
    ),
    Protocol(
        name="imagenet100-k5000",
        title="imagenet100 with mAP@5000",
        datasets=("imagenet100",),
        draw="query-part",
        train=130,
        k=5000,
        source="thulab/DeepHash examples, khoadoan106/single_loss_quantization config.py",
    ),
)
