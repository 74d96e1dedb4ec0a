"""The named protocols, and `custom` ones whose name says all that they fix."""

from __future__ import annotations

import re

from benchmark.contracts import DatasetInfo
from benchmark.errors import InputError, unknown
from benchmark.protocol.rules import Database, DrawKind, Protocol

_CIFAR = ("cifar10", "cifar10-jpeg")
_DHP = "swuxyj/DeepHash-pytorch"

_CLASSIC = (
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
        source=f"{_DHP} `cifar10-1`, jiangqy/ADSH-AAAI2018, kamwoh/orthohash protocol 1",
    ),
    Protocol(
        name="cifar10-54k",
        title="CIFAR-10: 1,000 queries, 5,000 training images, database of 54,000 (disjoint)",
        datasets=_CIFAR,
        query=100,
        train=500,
        database="rest",
        source=f"{_DHP} `cifar10`",
    ),
    Protocol(
        name="cifar10-50k",
        title="CIFAR-10: 10,000 queries, 50,000 training images, database = training images",
        datasets=_CIFAR,
        query=1000,
        train=5000,
        database="train",
        source=f"{_DHP} `cifar10-2`, kamwoh/orthohash protocol 2",
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

_SINGLE = (
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
        note="made here, after cifar10-50k",
    ),
    Protocol(
        name="cifar100-54k",
        title="CIFAR-100: 1,000 queries, 5,000 training images, database of 54,000 (disjoint)",
        datasets=("cifar100",),
        query=10,
        train=50,
        database="rest",
        note="made here, after cifar10-54k",
    ),
    Protocol(
        name="cifar100-official",
        title="CIFAR-100: its 10,000 test images as queries, its 50,000 training images train and are the database",
        datasets=("cifar100",),
        draw="official",
        official_train=50_000,
        database="train",
        note="made here, after cifar10-official",
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

_MULTI = (
    Protocol(
        name="nuswide-tc21",
        title="NUS-WIDE, 21 concepts: 2,100 queries, 10,500 training images, database all but queries",
        datasets=("nuswide-21",),
        draw="quota",
        query=100,
        train=500,
        k=5000,
        source=f"{_DHP} data/nuswide_21/code.py: the pass over a permutation, drawn here",
    ),
    Protocol(
        name="nuswide-81",
        title="NUS-WIDE, 81 concepts: 5,000 queries, 10,000 training images, database all but queries",
        datasets=("nuswide-81",),
        draw="random",
        query=5_000,
        train=10_000,
        k=5000,
        source="sizes of thuml/HashNet and thulab/DeepHash; their images only with their lists",
    ),
    Protocol(
        name="coco-117k",
        title="MS-COCO: 5,000 queries, 10,000 training images, database all but queries",
        datasets=("coco",),
        draw="random",
        query=5_000,
        train=10_000,
        k=5000,
        source="sizes of thuml/HashNet and thulab/DeepHash; their images only with their lists",
        note="HashNet's own lists hold all 5,000 queries in the database: lists-as-released or lists-disjoint",
    ),
    Protocol(
        name="mirflickr38",
        title="MIRFLICKR-25K, 38 labels: 1,000 queries, 4,000 training images, database of the other 20,000",
        datasets=("mirflickr",),
        draw="random",
        query=1_000,
        train=4_000,
        database="rest",
        source=f"{_DHP} data/mirflickr/code.py",
        note="images without a label are kept, as there; a query without one scores 0",
    ),
    Protocol(
        name="voc2012",
        title="VOC 2012: 1,000 queries, 4,000 training images, database of the other 6,540",
        datasets=("voc2012",),
        draw="random",
        query=1_000,
        train=4_000,
        database="rest",
        source=_DHP,
    ),
    Protocol(
        name="multi-100-400",
        title="100 queries and 400 training images of any set, multi-label too, database all but queries",
        draw="random",
        query=100,
        train=400,
        note="made here",
    ),
    Protocol(
        name="multi-1000-5000",
        title="1,000 queries and 5,000 training images of any set, multi-label too, database all but queries",
        draw="random",
        query=1_000,
        train=5_000,
        note="made here",
    ),
)

_LISTED = (
    Protocol(
        name="lists",
        title="the parts of a data set's list files; refused when queries are in another part",
        draw="lists",
        database="listed",
    ),
    Protocol(
        name="lists-k1000",
        title="lists with mAP@1000",
        draw="lists",
        database="listed",
        k=1000,
    ),
    Protocol(
        name="lists-k5000",
        title="lists with mAP@5000, as NUS-WIDE and MS-COCO are scored",
        draw="lists",
        database="listed",
        k=5000,
    ),
    Protocol(
        name="lists-as-released",
        title="the parts of a data set's list files, overlaps kept",
        draw="lists",
        database="listed",
        overlapping=True,
    ),
    Protocol(
        name="lists-disjoint",
        title="the parts of a data set's list files, made disjoint",
        draw="lists",
        database="listed",
        disjoint=True,
    ),
    Protocol(
        name="lists-exclude-self",
        title="the parts of a data set's list files, overlaps kept, a query's own entry left out of its ranking",
        draw="lists",
        database="listed",
        overlapping=True,
        exclude_self=True,
    ),
    Protocol(
        name="coco-hashnet",
        title="HashNet's MS-COCO lists as released: all 5,000 queries are in the database of 112,218",
        datasets=("coco-hashnet",),
        draw="lists",
        database="listed",
        overlapping=True,
        k=5000,
        source="thuml/HashNet, also in yuanli2333/Hadamard-Matrix-for-hashing",
    ),
    Protocol(
        name="hashgan-cifar10",
        title="HashGAN's CIFAR-10 lists as released: 888 of the 1,000 queries and 4,504 of the 5,000 training "
        "images are in the database of 54,000",
        draw="lists",
        database="listed",
        overlapping=True,
        source="thuml/HashGAN data_list/cifar10",
    ),
    Protocol(
        name="hashgan-cifar10-disjoint",
        title="HashGAN's CIFAR-10 lists, the database without queries and training images: 48,608 images",
        draw="lists",
        database="listed",
        disjoint=True,
        source="thuml/HashGAN data_list/cifar10, made disjoint here",
    ),
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (*_CLASSIC, *_SINGLE, *_MULTI, *_LISTED)
}

#: `custom-q100-t500-per-class-rest-k1000`: sizes, draw, database, k (a number or `all`).
CUSTOM = re.compile(
    r"custom-q([1-9][0-9]*)-t([1-9][0-9]*)-(per-class|stratified|random|quota)-(all-but-query|rest|train)"
    r"-k([1-9][0-9]*|all)"
)
CUSTOM_EXAMPLE = "custom-q100-t500-per-class-rest-kall"


def find(name: str) -> Protocol:
    """The protocol of a name: one of `PROTOCOLS`, or a custom one, whose name is its definition.

    `custom-q<queries>-t<training images>-<draw>-<database>-k<k or all>` means what `Protocol` says of the draws
    `per-class`, `stratified`, `random` and `quota` and of the databases `all-but-query`, `rest` and `train`.
    Raises InputError for any other name.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.startswith("custom"):
        return _custom(name)
    raise unknown("protocol", name, [*PROTOCOLS, "default", "custom-..."])


def _custom(name: str) -> Protocol:
    found = CUSTOM.fullmatch(name)
    if found is None:
        raise InputError(
            f"protocol {name!r}: a custom protocol is named by its numbers, such as {CUSTOM_EXAMPLE} (draws: "
            "per-class, stratified, random, quota; databases: all-but-query, rest, train; k: a number or all), "
            "or comes from a file (--protocol-file) or a suite's [protocol] table"
        )
    query, train, draw, database, k = found.groups()
    kind: DrawKind = draw  # type: ignore[assignment]
    where: Database = database  # type: ignore[assignment]
    return Protocol(
        name=name,
        title="sizes given by the user",
        draw=kind,
        query=int(query),
        train=int(train),
        database=where,
        k=None if k == "all" else int(k),
    )


def resolve(name: str, info: DatasetInfo) -> Protocol:
    """The protocol a data set is run under; `default` is the data set's own.

    Raises InputError for an unknown name or one that is not made for the data set.
    """
    wanted = info.default_protocol if name == "default" else name
    protocol = find(wanted)
    if protocol.datasets and info.name not in protocol.datasets:
        raise InputError(
            f"protocol {wanted!r} is for {', '.join(protocol.datasets)}, not for data set {info.name!r}"
        )
    if info.multi_label and protocol.draw in ("per-class", "stratified", "query-part"):
        raise InputError(f"protocol {wanted!r} draws by class; data set {info.name!r} is multi-label")
    return protocol
