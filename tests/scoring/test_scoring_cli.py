"""`score` on every kind of file, in every mode, and every bad input with its one line and exit code 2."""

from __future__ import annotations

import csv
import json
import pickle
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from benchmark.cli import main
from benchmark.errors import InputError
from benchmark.metrics import mean_average_precision, pack_codes
from benchmark.scoring.codeset import load_codes
from benchmark.scoring.keys import role_of, role_of_file

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 70)
OUTPUTS = (RNG.standard_normal((4, 13))[CLASSES] + RNG.standard_normal((70, 13))).astype(np.float32)
ONE_HOT = np.eye(4, dtype=np.uint8)[CLASSES]
MAP = mean_average_precision(OUTPUTS[:10], OUTPUTS[10:], CLASSES[:10], CLASSES[10:])


def arrays(**changes):
    found = {
        "query_outputs": OUTPUTS[:10],
        "database_outputs": OUTPUTS[10:],
        "query_labels": CLASSES[:10],
        "database_labels": CLASSES[10:],
        "query_ids": np.arange(10),
        "database_ids": np.arange(10, 70),
    }
    return {key: value for key, value in {**found, **changes}.items() if value is not None}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.npz"
    np.savez(path, **arrays())
    return path


def scored(capsys, *arguments):
    assert main(["score", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    """The one line that `score` answers with, and nothing else."""
    assert main(["score", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def write_mat73(path, **variables):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            file.create_dataset(name, data=np.atleast_2d(value).T)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, made by a test".ljust(128))


def files_of_every_kind(folder):
    signs, ones = np.sign(OUTPUTS), (OUTPUTS > 0).astype(float)
    labels = {"queryL": CLASSES[:10], "retrievalL": CLASSES[10:]}
    hot = {"queryL": ONE_HOT[:10], "retrievalL": ONE_HOT[10:]}
    np.savez_compressed(folder / "a.npz", qB=signs[:10], rB=signs[10:], **hot)
    packed = {"query_codes": pack_codes(OUTPUTS[:10]), "database_codes": pack_codes(OUTPUTS[10:])}
    np.savez(
        folder / "packed.npz", **packed, bits=13, query_labels=CLASSES[:10], database_labels=CLASSES[10:]
    )
    scipy.io.savemat(folder / "v5.mat", {"qB": ones[:10], "rB": ones[10:], **labels}, do_compression=True)
    sparse = {key: scipy.sparse.csc_matrix(value.astype(float)) for key, value in hot.items()}
    scipy.io.savemat(folder / "sparse.mat", {"qB": ones[:10], "rB": ones[10:], **sparse})
    write_mat73(
        folder / "v73.mat", B_tst=ones[:10], B_trn=ones[10:], tst_label=CLASSES[:10], trn_label=CLASSES[10:]
    )
    import torch

    tensors = {"qB": torch.from_numpy(OUTPUTS[:10]).half(), "rB": torch.from_numpy(OUTPUTS[10:]).half()}
    torch.save(
        {**tensors, **{key: torch.from_numpy(value) for key, value in labels.items()}}, folder / "c.pt"
    )
    for name, value in arrays(query_ids=None, database_ids=None).items():
        np.save(folder / f"run_{name}.npy", value)
    names = [f"run_{name}.npy" for name in arrays(query_ids=None, database_ids=None)]
    np.save(folder / "left.npy", np.asfortranarray(OUTPUTS[:10]))
    stated = [f"query_outputs={folder / 'left.npy'}", *(folder / name for name in names[1:])]
    singles = ("a.npz", "packed.npz", "v5.mat", "sparse.mat", "v73.mat", "c.pt")
    return [[folder / name] for name in singles] + [[folder / name for name in names], stated]


def test_every_kind_of_file_gives_the_same_number(tmp_path, capsys):
    for names in files_of_every_kind(tmp_path):
        found = scored(capsys, *names, "--metrics", "map")
        assert found["values"]["map"] == pytest.approx(MAP, abs=1e-10), names
        assert found["bits"] == 13


def test_floats_that_are_all_0_or_1_are_codes(tmp_path):
    ones = (OUTPUTS > 0).astype(float)
    np.savez(tmp_path / "f.npz", **arrays(query_outputs=ones[:10], database_outputs=ones[10:]))
    found = load_codes((str(tmp_path / "f.npz"),))
    assert "read as 0/1 codes" in found.notes[0]
    np.savez(tmp_path / "p.npz", **arrays(query_outputs=ones[:10] + 0.2, database_outputs=ones[10:] + 0.3))
    with pytest.raises(InputError, match=r"no value is below 0 .*--threshold 0.5 for probabilities"):
        load_codes((str(tmp_path / "p.npz"),))


def test_names_that_people_use():
    for key in ("qB", "query_code", "tst_binary", "B_test", "codes-query", "QueryHash"):
        assert role_of(key) == "query_codes", key
    for key in ("rB", "retrieval_codes", "trn_binary", "dbCodes", "gallery_hash"):
        assert role_of(key) == "database_codes", key
    assert role_of("retrievalL") == "database_labels"
    assert role_of("val_targets") == "query_labels"
    assert role_of("n_bits") == "bits"
    assert role_of("train_loss") is None
    assert role_of_file("coco_48b_test_labels") == "query_labels"
    assert role_of_file("iter_09000_database_code") == "database_codes"


def test_tables_for_people(good, tmp_path, capsys):
    other = tmp_path / "other.npz"
    np.savez(other, **arrays(query_outputs=OUTPUTS[:10, :5], database_outputs=OUTPUTS[10:, :5]))
    options = ["--conventions", "all", "--bootstrap", "50", "--against", str(other), "--k", "20"]
    assert main(["score", str(good), *options]) == 0
    text = capsys.readouterr().out
    for part in (
        "13 bits, 10 queries, 60 database items",
        "mAP@20",
        "95% interval",
        "spread",
        "A - B",
        "balance",
    ):
        assert part in text
    assert "ties averaged over all orders" in text
    for name in ("deephash-pytorch", "hashgan", "scikit-learn"):
        assert name in text


def test_json_and_csv_hold_the_same_numbers(good, tmp_path, capsys):
    out, queries = tmp_path / "o.csv", tmp_path / "q.csv"
    options = (
        "--out",
        out,
        "--per-query",
        queries,
        "--conventions",
        "fire,hashgan",
        "--bootstrap",
        "40",
        "--at",
        "5",
    )
    found = scored(capsys, good, *options, "--against", good)
    rows = list(csv.DictReader(out.open()))
    metrics = {row["name"]: float(row["value"]) for row in rows if row["kind"] == "metric"}
    assert metrics == found["values"]
    assert found["values"]["map"] == pytest.approx(MAP, abs=1e-10)
    conventions = {row["name"]: float(row["value"]) for row in rows if row["kind"] == "convention"}
    assert conventions == {one["name"]: one["map"] for one in found["conventions"]}
    assert found["spread"] == pytest.approx(max(conventions.values()) - min(conventions.values()))
    assert {row["p_value"] for row in rows if row["kind"] == "difference"} == {"1.0"}
    assert found["intervals"]["map"][0] <= MAP <= found["intervals"]["map"][1]
    assert found["against"]["paired"]["map"]["difference"] == 0
    by_query = list(csv.DictReader(queries.open()))
    assert len(by_query) == 10
    assert np.mean([float(row["map"]) for row in by_query]) == pytest.approx(MAP)
    assert "precision@5" in by_query[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.npz", "o.csv", "q.csv"]


def test_rules_reach_the_numbers(good, tmp_path, capsys):
    for option, value, keyword in (
        ("--ties", "pessimistic", "ties"),
        ("--ties", "database-order", "ties"),
        ("--normaliser", "all-relevant", "normaliser"),
        ("--no-hit", "skip", "no_hit"),
    ):
        expected = mean_average_precision(
            OUTPUTS[:10], OUTPUTS[10:], CLASSES[:10], CLASSES[10:], k=3, **{keyword: value}
        )
        found = scored(
            capsys, good, option, value, "--k", 3, "--metrics", "map", "--engine", "numba", "--threads", 2
        )
        assert found["values"]["map"] == pytest.approx(expected, abs=1e-10)
        assert (found["rules"][keyword], found["engine"]) == (value, "numba")
    np.savez(
        tmp_path / "self.npz",
        **arrays(database_outputs=OUTPUTS, database_labels=CLASSES, database_ids=np.arange(70)),
    )
    with_self = scored(capsys, tmp_path / "self.npz")["values"]["map"]
    without = scored(
        capsys, tmp_path / "self.npz", "--exclude-self", "--sign-zero", "-1", "--empty-ball", "skip"
    )
    assert without["values"]["map"] < with_self
    assert without["rules"]["sign_zero"] == -1
    np.savez(tmp_path / "multi.npz", **arrays(query_labels=ONE_HOT[:10], database_labels=ONE_HOT[10:]))
    graded = scored(capsys, tmp_path / "multi.npz", "--relevance", "graded", "--k", 5)
    assert graded["values"]["acg"] == pytest.approx(graded["values"]["wap"], abs=0.5)
    assert "ndcg" in graded["values"]
    assert len(graded["curves"]["precision"]) == len(graded["curves"]["cutoffs"])


class Trap:
    def __reduce__(self):
        return (print, ("executed",))


BAD_ARRAYS = [
    ({"query_labels": CLASSES[:9]}, "query codes have 10 rows but query labels have 9"),
    ({"database_outputs": OUTPUTS[10:, :12]}, "query codes have 13 bits but database codes have 12"),
    ({"query_outputs": np.where(OUTPUTS[:10] > 2, np.nan, OUTPUTS[:10])}, "query codes contain NaN"),
    ({"query_outputs": OUTPUTS[:0], "query_labels": CLASSES[:0]}, "query outputs is empty: shape (0, 13)"),
    ({"database_outputs": OUTPUTS[:0], "database_labels": CLASSES[:0]}, "database outputs is empty"),
    ({"query_labels": ONE_HOT[:10], "database_labels": ONE_HOT[10:, :3]}, "query labels have 4 columns"),
    ({"query_labels": ONE_HOT[:10]}, "query labels are multi-hot of width 4 but database labels are class"),
    ({"query_labels": None}, "lacks query_labels; it holds: query_outputs"),
    ({"query_outputs": None}, "lacks query_codes (or query_outputs)"),
    (
        {"q_out": OUTPUTS, "qB": OUTPUTS, "query_codes": OUTPUTS},
        "'qB' and 'query_codes' both look like query_codes",
    ),
    ({"query_outputs": OUTPUTS[:10].astype(str)}, "query outputs holds <U"),
    ({"query_outputs": None, "query_codes": OUTPUTS[:10]}, "codes for one set and outputs for the other"),
    (
        {"query_codes": pack_codes(OUTPUTS[:10]), "database_codes": pack_codes(OUTPUTS[10:]), "bits": 40},
        "40 bits take 5",
    ),
    (
        {"query_codes": pack_codes(OUTPUTS[:10]), "database_codes": pack_codes(OUTPUTS[10:]), "bits": 12},
        "padding bits",
    ),
    (
        {"query_codes": pack_codes(OUTPUTS[:10]), "database_codes": pack_codes(OUTPUTS[10:])},
        "must be -1/+1 or 0/1",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD_ARRAYS)
def test_arrays_that_do_not_fit(changes, message, tmp_path, capsys):
    np.savez(tmp_path / "bad.npz", **arrays(**changes))
    assert message in refused(capsys, tmp_path / "bad.npz")


BAD_OPTIONS = [
    (["--k", "0"], "k is 0"),
    (["--k", "99999999999999999999"], "k is 99999999999999999999"),
    (["--k", "x"], "'x' is not a valid integer"),
    (["--ties", "best"], "ties is 'best'; allowed: expected, database-order, optimistic, pessimistic"),
    (["--normaliser", "k"], "normaliser is 'k'"),
    (["--no-hit", "one"], "no_hit is 'one'"),
    (["--empty-ball", "one"], "empty_ball is 'one'"),
    (["--sign-zero", "0"], "--sign-zero is '0'"),
    (["--relevance", "none"], "relevance is 'none'"),
    (["--engine", "gpu"], "engine is 'gpu'"),
    (["--engine", "torch", "--device", "abacus"], "torch cannot use device 'abacus'"),
    (["--threads", "0"], "threads is 0"),
    (["--at", "1,x"], "--at is '1,x'"),
    (["--at", "0"], "at is 0"),
    (["--metrics", "mpa"], "unknown metric 'mpa': did you mean map"),
    (["--metrics", "ndcg"], "needs multi-hot labels"),
    (["--conventions", "hashnet"], "unknown convention 'hashnet'"),
    (["--bootstrap", "-1"], "--bootstrap is -1"),
    (["--bootstrap", "5", "--confidence", "95"], "confidence is 95"),
    (["--seed", "-1"], "--seed is -1"),
    (["--max-gb", "0"], "--max-gb is 0"),
    (["--out", "/no/such/folder/x.csv"], "cannot write /no/such/folder/x.csv"),
    (["--bogus"], "No such option"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_options_that_do_not_fit(options, message, good, capsys):
    assert message in refused(capsys, good, *options)


def test_ids_that_are_missing(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", **arrays(query_ids=None))
    assert "needs query ids and database ids" in refused(capsys, tmp_path / "x.npz", "--exclude-self")


def test_a_paired_test_needs_the_same_queries(good, tmp_path, capsys):
    np.savez(tmp_path / "b.npz", **arrays(query_labels=CLASSES[:10][::-1]))
    assert "query labels differ" in refused(capsys, good, "--against", tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", **arrays(query_ids=np.arange(10)[::-1]))
    assert "query ids differ" in refused(capsys, good, "--against", tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", **arrays(query_outputs=OUTPUTS[:9], query_labels=CLASSES[:9]))
    assert "have shapes (10,) and (9,)" in refused(capsys, good, "--against", tmp_path / "d.npz")


def test_real_valued_conventions_need_outputs(tmp_path, capsys):
    signs = np.sign(OUTPUTS).astype(np.int8)
    np.savez(tmp_path / "s.npz", **arrays(query_outputs=signs[:10], database_outputs=signs[10:]))
    assert "'hashgan' needs real-valued outputs" in refused(
        capsys, tmp_path / "s.npz", "--conventions", "hashgan"
    )
    np.savez(
        tmp_path / "c.npz", **arrays(query_outputs=None, database_outputs=None, qB=signs[:10], rB=signs[10:])
    )
    assert "'hashgan' needs real-valued outputs" in refused(
        capsys, tmp_path / "c.npz", "--conventions", "hashgan"
    )
    found = {
        one["name"]: one for one in scored(capsys, tmp_path / "c.npz", "--conventions", "all")["conventions"]
    }
    assert found["hashgan"]["map"] is None
    assert "real-valued" in found["hashgan"]["unavailable"]


def test_files_that_are_no_data(good, tmp_path, capsys):
    def bad(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    whole = good.read_bytes()
    assert "no such file" in refused(capsys, tmp_path / "none.npz")
    assert "no such file" in refused(capsys, tmp_path)
    assert "unknown kind of file; allowed: .npz, .npy, .mat, .pt, .pth" in refused(
        capsys, bad("x.xls", b"1,2")
    )
    for name in ("cut.npz", "cut.mat", "cut.pt"):
        assert "cannot be read" in refused(capsys, bad(name, whole[: len(whole) // 2]))
    assert "cannot be read" in refused(capsys, bad("empty.npz", b""))
    middle = bytearray(whole)
    middle[300:340] = bytes(40)
    assert refused(capsys, bad("flipped.npz", bytes(middle)))
    trap = pickle.dumps(Trap())
    assert "a pickle, which is not loaded" in refused(capsys, bad("query_codes.npy", trap))
    assert refused(capsys, bad("trap.pt", trap))
    assert refused(capsys, bad("trap.npz", trap))
    assert "give one" in refused(capsys, good, good)
    assert "states no role" in refused(capsys, bad("x.npy", b""))
    assert "unknown role 'q'" in refused(capsys, f"q={good}")


def test_arrays_of_objects_and_truncated_arrays(tmp_path, capsys):
    path = tmp_path / "query_codes.npy"
    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    assert "Python objects" in refused(capsys, path)
    np.save(path, OUTPUTS)
    path.write_bytes(path.read_bytes()[:-8])
    assert "is truncated: its header claims 3640 bytes, 3632 are there" in refused(capsys, path)
    np.savez(tmp_path / "o.npz", **arrays(query_outputs=np.array([[Trap()]], dtype=object)))
    assert "Python objects" in refused(capsys, tmp_path / "o.npz")


def test_claims_are_checked_before_memory_is_taken(tmp_path, capsys):
    header = b"\x93NUMPY\x01\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 64), }"
    body = header + (len(text) + 1).to_bytes(2, "little") + text + b"\n"
    (tmp_path / "query_codes.npy").write_bytes(body)
    assert "claims 512.0 GB, over the limit of 8.0 GB" in refused(capsys, tmp_path / "query_codes.npy")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("query_codes.npy", bytes(30_000_000))
    assert "claims 0.0 GB, over the limit" in refused(capsys, tmp_path / "bomb.npz", "--max-gb", "0.01")
    np.savez_compressed(tmp_path / "big.npz", **arrays())
    assert "over the limit" in refused(capsys, tmp_path / "big.npz", "--max-gb", "0.000001")
    scipy.io.savemat(tmp_path / "big.mat", arrays())
    assert "over the limit" in refused(capsys, tmp_path / "big.mat", "--max-gb", "0.000001")
    write_mat73(tmp_path / "big73.mat", **arrays())
    assert "over the limit" in refused(capsys, tmp_path / "big73.mat", "--max-gb", "0.000001")


def test_hdf5_files_may_not_point_elsewhere(tmp_path, capsys):
    path = tmp_path / "x.mat"
    (tmp_path / "secret").write_bytes(bytes(4000))
    with h5py.File(path, "w") as file:
        file["query_codes"] = h5py.ExternalLink("other.mat", "/x")
    assert "is a link to elsewhere" in refused(capsys, path)
    with h5py.File(path, "w") as file:
        file.create_dataset("query_codes", (10, 13), "u1", external=[(str(tmp_path / "secret"), 0, 130)])
    assert "keeps its data in another file" in refused(capsys, path)
    with h5py.File(path, "w") as file:
        file.create_group("query_codes")
    assert "no plain numeric array" in refused(capsys, path)
    scipy.io.savemat(tmp_path / "cell.mat", arrays(query_outputs=np.array([["a", 1]], dtype=object)))
    assert "is a MATLAB cell" in refused(capsys, tmp_path / "cell.mat")


def test_ids_that_are_not_read_do_not_matter(tmp_path, capsys):
    names = np.array([f"image {i}" for i in range(10)], dtype=object)
    scipy.io.savemat(tmp_path / "x.mat", arrays(query_ids=names))
    assert scored(capsys, tmp_path / "x.mat", "--metrics", "map")["values"]["map"] == pytest.approx(MAP)
    assert "needs query ids" in refused(capsys, tmp_path / "x.mat", "--exclude-self")


def test_no_torch_is_loaded_for_arrays(good):
    code = (
        "import sys\nfrom benchmark.cli import main\n"
        f"assert main(['score', {str(good)!r}, '--conventions', 'all', '--bootstrap', '20']) == 0\n"
        "print([name for name in ('torch', 'pandas', 'sklearn', 'h5py', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
