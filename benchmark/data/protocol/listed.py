"""Protocols of multi-label data sets, and of data sets that come with list files."""

from __future__ import annotations

from benchmark.data.protocol.protocol import Protocol
from benchmark.data.protocol.single import DHP

_HASHGAN = ("cifar10-hashgan", "cifar10-jpeg-hashgan")

MULTI = (
    Protocol(
        name="nuswide-tc21",
        title="NUS-WIDE, 21 concepts: 2,100 queries, 10,500 training images, database all but queries",
        datasets=("nuswide-21",),
        draw="quota",
        query=100,
        train=500,
        k=5000,
        source=f"{DHP} data/nuswide_21/code.py: the pass over a permutation, drawn here",
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
        source=f"{DHP} data/mirflickr/code.py",
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
        source=DHP,
    ),
    Protocol(
        name="multi-100-400",
        title="100 queries and 400 training images of any set, multi-label too, database all but queries",
        draw="random",
        query=100,
        train=400,
        source="made here",
    ),
    Protocol(
        name="multi-1000-5000",
        title="1,000 queries and 5,000 training images of any set, multi-label too, database all but queries",
        draw="random",
        query=1_000,
        train=5_000,
        source="made here",
    ),
)

LISTED = (
    Protocol(
        name="lists",
        title="the parts of a data set's list files, mAP at the k they were published with; "
        "queries in another part are refused",
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
        datasets=_HASHGAN,
        draw="lists",
        database="listed",
        overlapping=True,
        source="thuml/HashGAN data_list/cifar10",
    ),
    Protocol(
        name="hashgan-cifar10-disjoint",
        title="HashGAN's CIFAR-10 lists, the database without queries and training images: 48,608 images",
        datasets=_HASHGAN,
        draw="lists",
        database="listed",
        disjoint=True,
        source="thuml/HashGAN data_list/cifar10, made disjoint here",
    ),
)
