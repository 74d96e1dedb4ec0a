"""How codes, labels and ids are read: by one rule over both sides, in Python and on the command line alike."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from benchmark.cli import main
from benchmark.data.load import LoadedDataset
from benchmark.errors import InputError
from benchmark.fit.evaluator import Evaluator
from benchmark.metrics import Rules, evaluate, mean_average_precision, pack_codes
from benchmark.metrics.labels import class_indices, match_ids
from benchmark.scoring.codeset import CodeSet, load_codes
from benchmark.scoring.convention_table import CONVENTIONS
from benchmark.scoring.conventions import score_conventions

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 100)
OUTPUTS = (2 * RNG.standard_normal((4, 11))[CLASSES] + RNG.standard_normal((100, 11))).astype(np.float32)
ONES = OUTPUTS > 0
Q, D = slice(0, 20), slice(20, None)
MAP = mean_average_precision(ONES[Q], ONES[D], CLASSES[Q], CLASSES[D])
SIGMOID, TANH = 1 / (1 + np.exp(-OUTPUTS)), np.tanh(OUTPUTS)
KINDS = {
    "bool": ONES,
    "uint8": ONES.astype(np.uint8),
    "int64": ONES.astype(np.int64),
    "float 0/1": ONES.astype(np.float32),
    "half 0/1": ONES.astype(np.float16),
    "int8 -1/+1": (2 * ONES - 1).astype(np.int8),
    "float -1/+1": 2.0 * ONES - 1,
    "tanh": TANH,
    "outputs": OUTPUTS,
}


@pytest.mark.parametrize(("one", "other"), [*itertools.product(KINDS, KINDS)])
def test_the_two_sides_need_not_be_stored_alike(one: str, other: str, tmp_path: Path) -> None:
    queries, items = KINDS[one][Q], KINDS[other][D]
    labels = CLASSES[Q], CLASSES[D]
    assert mean_average_precision(queries, items, *labels) == MAP
    packed = pack_codes(queries), pack_codes(items)  # each alone
    assert evaluate(*packed, 11, *labels, metrics=["map"]).values["map"] == MAP
    np.savez(tmp_path / "x.npz", qB=queries, rB=items, qL=labels[0], rL=labels[1])
    codes = load_codes((str(tmp_path / "x.npz"),))
    assert (evaluate(*codes.packed(), 11, *labels, metrics=["map"]).values["map"]) == MAP
    assert "read" in codes.notes[0]
    found = score_conventions([CONVENTIONS["single-loss"]], codes, Rules())["single-loss"]
    plain = CodeSet("x", 11, (ONES[Q], ONES[D]), None, labels, (None, None))
    expected = score_conventions([CONVENTIONS["single-loss"]], plain, Rules())["single-loss"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("other", ["sigmoid", *KINDS])
@pytest.mark.parametrize("swap", [False, True])
def test_outputs_that_are_never_negative_are_asked_about(other: str, swap: bool) -> None:
    pair = (SIGMOID[Q], {"sigmoid": SIGMOID, **KINDS}[other][D])
    labels, sides = (CLASSES[Q], CLASSES[D]), ("query", "database")
    if swap:
        pair, labels, sides = pair[::-1], labels[::-1], sides[::-1]
    with pytest.raises(InputError, match=f"{sides[0]} codes 0[.].*--threshold 0.5") as caught:
        mean_average_precision(*pair, *labels)
    assert "\n" not in str(caught.value)
    expected = mean_average_precision(*(ONES[rows] for rows in ((Q, D), (D, Q))[swap]), *labels)
    threshold = [0.5, 0 if other in ("tanh", "outputs") else 0.5]
    assert mean_average_precision(*pair, *labels, threshold=threshold[:: -1 if swap else 1]) == expected


def test_one_set_alone_is_asked_about_too() -> None:
    with pytest.raises(InputError, match=r"no value is below 0 \(codes 0[.].*threshold"):
        pack_codes(SIGMOID)
    np.testing.assert_array_equal(pack_codes(SIGMOID, threshold=0.5), pack_codes(ONES))
    np.testing.assert_array_equal(pack_codes(np.ones((3, 9)) * 0.3, threshold=0), pack_codes(np.ones((3, 9))))
    np.testing.assert_array_equal(pack_codes([[3, 7, 5]], threshold=5, sign_zero=-1), pack_codes([[0, 1, 0]]))
    for wrong in (float("nan"), float("inf"), True, [0.5, 0.5, 0.5], "0.5"):
        with pytest.raises(InputError, match="threshold is"):
            mean_average_precision(SIGMOID, SIGMOID, CLASSES, CLASSES, threshold=wrong)


def test_a_lone_query_without_a_negative_value_is_read_like_the_database() -> None:
    items, labels = OUTPUTS[:, :3], CLASSES
    lone = np.array([[0.2, 3.0, 0.1]])
    expected = mean_average_precision([[1, 1, 1]], items > 0, [1], labels)
    assert mean_average_precision(lone, items, [1], labels) == expected
    with pytest.raises(InputError, match=r"query codes 0[.]1 to 3"):  # no longer chance
        mean_average_precision(np.repeat(lone, 50, axis=0), items, [1] * 50, labels)


def test_zeros_beside_signs() -> None:
    signs, few = np.array([[1, -1, 0, 1], [-1, 1, 1, 0]]), np.array([[0, 1, 1, 0]])
    labels = [0], [0, 1]
    options = {"ties": "database-order"}
    # The database has zeros between -1 and 1, so that those of the one query are such too ...
    for sign in (1, -1):
        known = np.where(few == 0, sign, few)
        found = mean_average_precision(few, signs, *labels, sign_zero=sign, **options)
        assert found == mean_average_precision(known, signs, *labels, sign_zero=sign, **options)
    # ... but not where it has none, and not where as many queries have no -1 at all.
    plain = np.where(signs == 0, 1, signs)
    assert mean_average_precision(few, plain, *labels, **options) == mean_average_precision(
        2 * few - 1, plain, *labels, **options
    )
    many = ONES.astype(np.int8)
    ternary = np.where(RNG.random(ONES.shape) < 0.1, 0, 2 * many - 1)
    found = mean_average_precision(many[Q], ternary[D], CLASSES[Q], CLASSES[D])
    assert found == mean_average_precision(2 * many[Q] - 1, ternary[D], CLASSES[Q], CLASSES[D])


def shaped(labels: np.ndarray) -> dict[str, object]:
    names = np.array(["cat", "dog", "ant", "bee"])[labels]
    return {
        "list": labels.tolist(),
        "column": labels[:, None],
        "row": labels[None],
        "float column": labels[:, None].astype(float),
        "bytes": labels.astype(np.uint8),
        "wide": labels.astype(np.uint64) + np.uint64(2**40),
        "names": names,
        "list of names": names.tolist(),
        "bytes of names": names.astype("S"),
        "column of names": names[:, None],
        "objects": names.astype(object),
        "tensor": torch.from_numpy(labels)[:, None],
        "sparse": scipy.sparse.csr_matrix(np.eye(4)[labels]),
        "sparse tensor": torch.eye(4)[labels].to_sparse(),
    }


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", shaped(np.array([0])))
def test_labels_of_every_shape(classes: int, kind: str) -> None:
    labels = CLASSES % classes
    expected = mean_average_precision(OUTPUTS[Q], OUTPUTS[D], labels[Q], labels[D])
    query, database = shaped(labels[Q])[kind], shaped(labels[D])[kind]
    assert mean_average_precision(OUTPUTS[Q], OUTPUTS[D], query, database) == expected


def test_a_column_of_two_classes_is_the_same_from_python_and_from_a_file(tmp_path: Path, capsys) -> None:
    two = (CLASSES > 1).astype(np.int64)
    expected = mean_average_precision(OUTPUTS[Q], OUTPUTS[D], two[Q], two[D])
    np.savez(tmp_path / "x.npz", qB=OUTPUTS[Q], rB=OUTPUTS[D], qL=two[Q, None], rL=two[D, None])
    assert main(["score", str(tmp_path / "x.npz"), "--json", "--metrics", "map"]) == 0
    assert json.loads(capsys.readouterr().out)["values"]["map"] == pytest.approx(expected, abs=1e-10)
    assert mean_average_precision(OUTPUTS[Q], OUTPUTS[D], two[Q, None], two[D]) == expected


def test_transposed_codes_are_asked_about() -> None:
    with pytest.raises(InputError, match=r"query codes have 11 rows but query labels have 20; .*transpose"):
        mean_average_precision(OUTPUTS[Q].T, OUTPUTS[D].T, CLASSES[Q], CLASSES[D])


@pytest.mark.parametrize("classes", [2, 300, 32_768, 32_769, 70_000])
def test_class_indices_keep_their_width(classes: int) -> None:
    wanted = np.array([0, classes - 1, classes // 2])
    hot = np.zeros((3, classes), dtype=np.uint8)
    hot[np.arange(3), wanted] = 1
    found = class_indices(hot)
    np.testing.assert_array_equal(found, wanted)
    assert (found.dtype == np.int16) == (classes <= 32_768)  # what published codes have, where it fits
    info = type("Info", (), {"multi_label": False})
    data = LoadedDataset.__new__(LoadedDataset)
    object.__setattr__(data, "info", info)
    object.__setattr__(data, "labels", hot)
    evaluator = Evaluator(data, None, Rules(), 8, torch.device("cpu"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(evaluator.labels(np.arange(3)), wanted)


BIG = 2**60 + np.arange(100)
IDS = {
    "int64": BIG,
    "uint64": BIG.astype(np.uint64),
    "strings": [str(one) for one in BIG],
    "bytes": BIG.astype("S"),
    "tensor": torch.from_numpy(BIG),
    "column": BIG[:, None].astype(np.uint64),
}


@pytest.mark.parametrize(("one", "other"), [*itertools.product(IDS, IDS)])
def test_ids_are_compared_exactly(one: str, other: str) -> None:
    queries, rows = match_ids(IDS[one][:20], IDS[other], 20, 100)
    assert queries.tolist() == rows.tolist() == list(range(20))


def test_ids_at_the_edges() -> None:
    top = np.array([2**64 - 1, 2**63, 5], dtype=np.uint64)
    for other, pairs in (([-1, 5], [(2, 1)]), ([2**63 - 1, -5], []), ([5.0, 7.0], [(2, 0)])):
        queries, rows = match_ids(top, np.array(other), 3, 2)
        assert list(zip(queries.tolist(), rows.tolist())) == pairs
    utf8 = ["ä.png".encode(), b"\xff.png"]
    queries, rows = match_ids(utf8, ["b", "ä.png"], 2, 2)
    assert (queries.tolist(), rows.tolist()) == ([0], [1])
    for wrong in (np.array([2.0**53, 2.0**53 + 2]), np.array([1.5, 2]), np.array([1, np.inf])):
        with pytest.raises(InputError, match="floats merge neighbours"):
            match_ids(wrong, [1, 2], 2, 2)
    with pytest.raises(InputError, match="query ids hold bool"):
        match_ids([True, False], [1, 2], 2, 2)


ODD_TENSORS = {
    "meta": lambda: torch.empty(20, 11, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.randn(3), torch.randn(4)]),
    "jagged": lambda: torch.nested.nested_tensor([torch.randn(3), torch.randn(4)], layout=torch.jagged),
    "complex": lambda: torch.zeros(20, 11, dtype=torch.complex64),
    "ragged": lambda: [torch.randn(3), torch.randn(4)],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD_TENSORS)
def test_tensors_without_numbers_are_refused_in_a_line(kind: str) -> None:
    with pytest.raises(InputError, match="query codes"):
        mean_average_precision(ODD_TENSORS[kind](), OUTPUTS[D], CLASSES[Q], CLASSES[D])


@pytest.mark.filterwarnings("ignore")
def test_tensors_of_every_layout_are_read() -> None:
    tensor = torch.from_numpy(OUTPUTS)
    coarse = torch.from_numpy(2.0 * ONES - 1)
    kinds = [
        tensor.to_sparse(),
        tensor.to_sparse_csr(),
        coarse.to(torch.float8_e4m3fn),
        coarse.to(torch.float8_e5m2),
        tensor.bfloat16(),
        torch.quantize_per_tensor(coarse.float(), 0.5, 0, torch.qint8),
    ]
    for one in kinds:
        found = mean_average_precision(OUTPUTS[Q], one, CLASSES[Q], CLASSES)
        assert found == mean_average_precision(OUTPUTS[Q], OUTPUTS, CLASSES[Q], CLASSES)
