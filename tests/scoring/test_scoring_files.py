"""Files of codes as people keep them: every kind, names of their own, one set a file, and what is in the way."""

from __future__ import annotations

import csv
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from benchmark.cli import main
from benchmark.errors import InputError
from benchmark.metrics import mean_average_precision, pack_codes
from benchmark.scoring.codeset import load_codes
from benchmark.scoring.keys import role_of

RNG = np.random.default_rng(1)
CLASSES = RNG.integers(0, 4, 60)
OUTPUTS = (RNG.standard_normal((4, 12))[CLASSES] + RNG.standard_normal((60, 12))).round(3).astype(np.float32)
ONES = (OUTPUTS > 0).astype(np.uint8)
Q, D = slice(0, 12), slice(12, None)
MAP = mean_average_precision(OUTPUTS[Q], OUTPUTS[D], CLASSES[Q], CLASSES[D])
NAMES = np.array(["cat", "dog", "ant", "bee"])[CLASSES]
SIDES = {"query": Q, "database": D}


def arrays(codes: np.ndarray = OUTPUTS) -> dict[str, np.ndarray]:
    found = {f"{side}_codes": codes[rows] for side, rows in SIDES.items()}
    return found | {f"{side}_labels": CLASSES[rows] for side, rows in SIDES.items()}


def found_map(*names: Path | str, **options: object) -> float:
    codes = load_codes(tuple(map(str, names)), **options)  # type: ignore[arg-type]
    from benchmark.metrics import evaluate

    return evaluate(*codes.packed(), codes.bits, *codes.labels, metrics=["map"]).values["map"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["score", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith("error: ")
    return captured.err


# ---- tables ------------------------------------------------------------------------------------


def _rows(write: Callable[[int], list[object]]) -> list[list[object]]:
    return [write(row) for row in range(len(CLASSES))]


def _csv(path: Path, rows: list[list[object]], delimiter: str = ",", mark: str = "") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def _side(row: int) -> str:
    return "test" if row < 12 else "gallery"


def one_table(folder: Path) -> list[Path]:
    head = ["split", "path", "label", *(f"b{bit}" for bit in range(12))]
    rows = _rows(lambda row: [_side(row), f"{row}, x.png", NAMES[row], *ONES[row]])
    return [_csv(folder / "all.csv", [head, *rows], mark="\ufeff")]


def one_column_of_code(folder: Path) -> list[Path]:
    rows = _rows(lambda row: [_side(row), CLASSES[row], "".join(map(str, ONES[row]))])
    return [_csv(folder / "all.csv", [["set", "class", "hash"], *rows], ";")]


def one_table_a_set(folder: Path) -> list[Path]:
    head = ["id", "target", *range(12)]
    rows = _rows(lambda row: [row, CLASSES[row], *OUTPUTS[row]])
    return [_csv(folder / f"{side}_x.tsv", [head, *rows[SIDES[side]]], "\t") for side in SIDES]


def bare_matrices(folder: Path) -> list[Path]:
    for name, values in arrays(2.0 * ONES - 1).items():
        np.savetxt(folder / f"{name}.csv", values, delimiter=" " if "codes" in name else ",")
    return [folder / f"{name}.csv" for name in arrays()]


def written_by_pandas(folder: Path) -> list[Path]:
    import pandas

    for name, values in arrays().items():
        table = pandas.DataFrame(values) if "codes" in name else pandas.Series(values, name="label")
        table.to_csv(folder / f"{name}.csv", index="codes" in name)
    return [folder / f"{name}.csv" for name in arrays()]


def json_lines(folder: Path) -> list[Path]:
    items = [
        {"part": _side(row), "id": f"{row}.png", "label": str(NAMES[row]), "code": ONES[row].tolist()}
        for row in range(len(CLASSES))
    ]
    (folder / "codes.jsonl").write_text("\n".join(map(json.dumps, items)) + "\n\n")
    return [folder / "codes.jsonl"]


def json_lines_with_label_sets(folder: Path) -> list[Path]:
    hot = np.eye(4, dtype=int)[CLASSES].tolist()
    text = [json.dumps({"embedding": OUTPUTS[row].tolist(), "labels": hot[row]}) for row in range(60)]
    for side, rows in SIDES.items():
        (folder / f"{side}.ndjson").write_text("\n".join(text[rows]).replace("embedding", "feature"))
    return [folder / "query.ndjson", folder / "database.ndjson"]


def json_of_arrays(folder: Path) -> list[Path]:
    content = {
        side: {"codes": OUTPUTS[rows].tolist(), "labels": NAMES[rows].tolist()}
        for side, rows in SIDES.items()
    }
    (folder / "codes.json").write_text(json.dumps({**content, "lr": 0.1, "note": "text"}))
    return [folder / "codes.json"]


# ---- HDF5, MATLAB, torch -----------------------------------------------------------------------


def hdf5_groups(folder: Path) -> list[Path]:
    with h5py.File(folder / "codes.h5", "w") as file:
        for side, rows in SIDES.items():
            file[f"{side}/codes"] = OUTPUTS[rows]
            file[f"{side}/labels"] = NAMES[rows].astype("S")
            file[f"{side}/ids"] = [f"{row}" for row in range(60)][rows]
    return [folder / "codes.h5"]


def matlab_73_with_cells(folder: Path) -> list[Path]:
    with h5py.File(folder / "x.mat", "w", userblock_size=512) as file:
        for name, value in arrays(ONES.astype(float)).items():
            file.create_dataset(name, data=np.atleast_2d(value).T)
        cell = file.create_dataset("query_names", (1, 1), dtype=h5py.ref_dtype)
        cell[0, 0] = file["query_codes"].ref
        file["settings/lr"] = 0.1
    with (folder / "x.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(128))
    return [folder / "x.mat"]


def matlab_5_with_structs(folder: Path) -> list[Path]:
    scipy.io.savemat(
        folder / "x.mat", {**arrays(), "opts": {"lr": 0.1}, "query_names": np.array(["a"], object)}
    )
    return [folder / "x.mat"]


def npz_with_scalars(folder: Path) -> list[Path]:
    extra = {"lr": 0.1, "bits_per_word": 8, "ld": np.arange(3.0)}
    np.savez(folder / "x.npz", **arrays(), **extra)
    return [folder / "x.npz"]


def pt_of_arrays(folder: Path) -> list[Path]:
    content = {**arrays(), "query_ids": NAMES[Q], "lr": np.float64(0.1), "epoch": 3}
    torch.save(content, folder / "x.pt")
    return [folder / "x.pt"]


def pth_of_both_sets(folder: Path) -> list[Path]:
    hot = torch.eye(4)[CLASSES]
    content = {
        name: {"codes": torch.from_numpy(OUTPUTS[rows]), "labels": hot[rows], "id": np.array([])}
        for name, rows in (("test", Q), ("db", D))
    }
    torch.save(content, folder / "outputs.pth")
    return [folder / "outputs.pth"]


def pth_a_set(folder: Path) -> list[Path]:
    for name, rows in (("test_best", Q), ("db_best", D)):
        codes = torch.from_numpy(OUTPUTS[rows])
        torch.save({"codes": list(codes.split(5)), "labels": CLASSES[rows].tolist()}, folder / f"{name}.pth")
    return [folder / "test_best.pth", folder / "db_best.pth"]


def old_pickles_of_torch(folder: Path) -> list[Path]:
    content = {name: torch.from_numpy(value) for name, value in arrays().items()}
    torch.save({**content, "query_labels": CLASSES[Q]}, folder / "x.pt", _use_new_zipfile_serialization=False)
    return [folder / "x.pt"]


def several_kinds(folder: Path) -> list[Path]:
    np.savez(folder / "codes.npz", qB=OUTPUTS[Q], rB=OUTPUTS[D])
    (folder / "query_labels.csv").write_text("\n".join(map(str, CLASSES[Q])))
    np.save(folder / "database_labels.npy", CLASSES[D])
    return [folder / name for name in ("codes.npz", "query_labels.csv", "database_labels.npy")]


LAYOUTS = (
    one_table,
    one_column_of_code,
    one_table_a_set,
    bare_matrices,
    written_by_pandas,
    json_lines,
    json_lines_with_label_sets,
    json_of_arrays,
    hdf5_groups,
    matlab_73_with_cells,
    matlab_5_with_structs,
    npz_with_scalars,
    pt_of_arrays,
    pth_of_both_sets,
    pth_a_set,
    old_pickles_of_torch,
    several_kinds,
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_that_people_have(layout: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    assert found_map(*layout(tmp_path)) == pytest.approx(MAP, abs=1e-12)


# ---- names, and what the file does not say -----------------------------------------------------


def test_keys_of_other_names_are_named_on_the_command_line(tmp_path: Path, capsys) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=OUTPUTS[Q], b=OUTPUTS[D], c=CLASSES[Q], d=CLASSES[D], database_codes=OUTPUTS[:3])
    keys = ["--query-codes", "a", "--database-codes", "b", "--query-labels", "c", "--database-labels", "d"]
    assert main(["score", str(path), *keys, "--json", "--metrics", "map"]) == 0
    assert json.loads(capsys.readouterr().out)["values"]["map"] == pytest.approx(MAP, abs=1e-10)  # as printed
    assert "a key of another name: --query-codes KEY" in refused(capsys, path)
    assert "unknown key for --query-codes 'aa'" in refused(capsys, path, "--query-codes", "aa")
    np.savez(path, qB=OUTPUTS[Q], **arrays())
    assert "'qB' and 'query_codes' both look like query_codes; say which" in refused(capsys, path)
    assert found_map(path, named={"query_codes": "qB"}) == pytest.approx(MAP, abs=1e-12)


def test_a_file_of_one_set_says_so(tmp_path: Path, capsys) -> None:
    for name, rows in (("one", Q), ("two", D)):
        torch.save(
            {"codes": torch.from_numpy(OUTPUTS[rows]), "labels": CLASSES[rows]}, tmp_path / f"{name}.pt"
        )
    pair = [f"query={tmp_path / 'one.pt'}", f"database={tmp_path / 'two.pt'}"]
    assert found_map(*pair) == pytest.approx(MAP, abs=1e-12)
    assert found_map(*pair, named={"query_codes": "codes"}) == pytest.approx(MAP, abs=1e-12)
    assert "they hold: codes, labels" in refused(capsys, tmp_path / "one.pt", tmp_path / "two.pt")
    assert "query_codes is given twice, by one.pt and one.pt" in refused(capsys, pair[0], pair[0], pair[1])


def test_packed_bytes_whose_bits_are_given(tmp_path: Path, capsys) -> None:
    packed = {name: pack_codes(value) if "codes" in name else value for name, value in arrays().items()}
    np.savez(tmp_path / "x.npz", **packed, width=12)
    assert found_map(tmp_path / "x.npz", bits=12) == pytest.approx(MAP, abs=1e-12)
    assert found_map(tmp_path / "x.npz", named={"bits": "width"}) == pytest.approx(MAP, abs=1e-12)
    assert "--bits" in refused(capsys, tmp_path / "x.npz")
    scipy.io.savemat(tmp_path / "x.mat", {name: value.astype(float) for name, value in packed.items()})
    assert found_map(tmp_path / "x.mat", bits=12) == pytest.approx(MAP, abs=1e-12)
    for bits, message in (("0", "bits is 0"), ("nowhere", "unknown key for --bits 'nowhere'")):
        assert message in refused(capsys, tmp_path / "x.npz", "--bits", bits)


def test_transposed_codes(tmp_path: Path, capsys) -> None:
    turned = {name: value.T if "codes" in name else value for name, value in arrays().items()}
    np.savez(tmp_path / "x.npz", **turned)
    assert "transpose" in refused(capsys, tmp_path / "x.npz")
    assert found_map(tmp_path / "x.npz", transpose=True) == pytest.approx(MAP, abs=1e-12)


def test_thresholds_on_the_command_line(tmp_path: Path, capsys) -> None:
    sigmoid = 1 / (1 + np.exp(-OUTPUTS))
    np.savez(tmp_path / "x.npz", **{**arrays(sigmoid), "database_codes": np.tanh(OUTPUTS[D])})
    assert "query codes 0.0" in refused(capsys, tmp_path / "x.npz")
    assert main(["score", str(tmp_path / "x.npz"), "--threshold", "0.5,0", "--json", "--metrics", "map"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["values"]["map"] == pytest.approx(MAP, abs=1e-10)  # as printed
    assert "by the threshold 0.5" in found["notes"][0]
    for wrong in ("half", "nan", "0,0,0", ""):
        assert "threshold" in refused(capsys, tmp_path / "x.npz", "--threshold", wrong)


def test_two_letters_that_may_be_a_learning_rate_give_way() -> None:
    assert role_of("lr") == "database_labels"  # MATLAB people have Lq and Lr
    assert role_of("lrs") is None


def test_real_valued_outputs_must_fit_too(tmp_path: Path, capsys) -> None:
    wide = {"query_outputs": OUTPUTS[Q], "database_outputs": OUTPUTS[D, :5]}
    np.savez(tmp_path / "x.npz", **arrays(ONES), **wide)
    assert "outputs have 12 and 5 columns" in refused(capsys, tmp_path / "x.npz", "--conventions", "all")
    np.savez(tmp_path / "x.npz", **arrays(ONES), query_outputs=OUTPUTS[:3], database_outputs=OUTPUTS[D])
    assert "query codes have 12 rows but query outputs have 3" in refused(capsys, tmp_path / "x.npz")


# ---- refusals, each in one line ----------------------------------------------------------------


def _text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return write


def _npz(**changes: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "x.npz", **{**arrays(), **changes})  # type: ignore[arg-type]
        return folder / "x.npz"

    return write


def _pt(value: Callable[[], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save({**arrays(), "query_codes": value()}, folder / "x.pt")
        return folder / "x.pt"

    return write


def _npy_named(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "x.npz", OUTPUTS)
        return (folder / "x.npz").rename(folder / name)

    return write


def _header(shape: str, descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


REFUSED = [
    (_npz(bits=np.nan), "bits is nan"),
    (_npz(bits=np.inf), "bits is inf"),
    (_npz(bits=-np.inf), "bits is -inf"),
    (_npz(bits=1e300), "bits is"),
    (_npz(bits=[8, 8]), "bits has shape (2,)"),
    (_npz(query_labels=CLASSES[Q] - 5.5), "class indices"),
    (_npz(query_codes=OUTPUTS[Q].astype(complex)), "query codes holds complex"),
    (_pt(lambda: torch.empty(12, 12, device="meta")), "a meta tensor has a shape and no data"),
    (_pt(lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])), "a nested tensor"),
    (_pt(lambda: torch.zeros(1).expand(10**10, 12)), "x.pt claims"),
    (_pt(lambda: np.array([[1, "a"]], dtype=object)), "x.pt holds more than tensors"),
    (_pt(lambda: [torch.ones(2), torch.ones(3)]), "x.pt cannot be read"),
    (_text("x.mat", b""), "x.mat is empty"),
    (_text("x.mat", b"MATLAB 5.0 MAT-file".ljust(128, b"\0")), "x.mat"),
    (_text("x.mat", b"\x89HDF\r\n\x1a\n" + bytes(100)), "x.mat cannot be read"),
    (_text("x.npz", b"PK\x05\x06" + bytes(18)), "x.npz lacks"),
    (_npy_named("query_codes.npy"), "query_codes.npy is no .npy array but a zip archive (.npz?)"),
    (_text("query_codes.npy", _header("(0, 64)")), "lack"),
    (_text("query_codes.npy", _header("(10**9, 0)")), "header"),
    (_text("query_codes.npy", _header("(1000000000000, 0)")), "lack"),
    (_text("query_codes.npy", _header("(1000000000000,)", "|S0")), "the header claims shape"),
    (_text("query_codes.npy", _header("(-1, 64)")), "the header claims shape (-1, 64)"),
    (_text("x.csv", "set,label,b0,b0\nquery,1,0,1\n"), "x.csv: column 'b0' is there twice (columns 3 and 4)"),
    (_text("x.csv", "set,label,b0\nquery,1\n"), "x.csv line 2 has 2 cells"),
    (_text("x.csv", "set,label,b0\ntrain,1,0\n"), "x.csv line 2: set is 'train'; allowed: query"),
    (_text("x.csv", "set,label,b0\n"), "x.csv has a header and no rows"),
    (_text("x.csv", ""), "x.csv is empty"),
    (_text("x.csv", b"\xff\xfe\x00"), "x.csv cannot be read"),
    (_text("x.csv", "set,label,b0\ntest,1,x\ndb,1,1\n"), "x.csv is no table of numbers"),
    (_text("x.csv", "set,label,code\ntest,1,01\ndb,1,011\n"), "query codes have 2 bits"),
    (_text("x.csv", "set,label,code\ntest,1,01\ntest,1,011\ndb,1,01\n"), "item 2 has not the 2 values"),
    (_text("x.jsonl", '{"set": "test"}\n{\n'), "x.jsonl line 2 is no JSON"),
    (_text("x.jsonl", '{"set": "test"}\n[1]\n'), "x.jsonl line 2 is no object with the keys set"),
    (_text("x.jsonl", "\n"), "x.jsonl is empty"),
    (_text("x.json", "[1, 2]"), "x.json holds no object"),
    (_text("x.json", '{"qB": [[1], [1, 2]], "rB": [[1]], "qL": [1, 1], "rL": [1]}'), "no rectangular array"),
    (_text("x.json", "[" * 100_000), "x.json cannot be read"),
    (_text("x.h5", b"nothing"), "x.h5 cannot be read"),
    (_text("x.pt", b""), "x.pt"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("write", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_read_is_said_in_one_line(
    write: Callable[[Path], Path], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, write(tmp_path))


def test_a_group_that_holds_itself_ends(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["again"] = file["/"]
        for name, value in arrays().items():
            file[name] = value
    assert found_map(tmp_path / "x.h5") == pytest.approx(MAP, abs=1e-12)


def test_ids_that_do_not_fit_are_said_where_they_are_needed(tmp_path: Path, capsys) -> None:
    np.savez(tmp_path / "x.npz", **arrays(), query_ids=np.arange(3), database_ids=np.arange(48))
    out = tmp_path / "q.csv"
    assert main(["score", str(tmp_path / "x.npz"), "--metrics", "map", "--per-query", str(out)]) == 0
    capsys.readouterr()
    assert len(out.read_text().splitlines()) == 13
    assert "query ids have shape (3,); expected (12,)" in refused(
        capsys, tmp_path / "x.npz", "--exclude-self"
    )


# ---- where the numbers go ----------------------------------------------------------------------


def test_numbers_go_through_links_and_pipes(tmp_path: Path, capsys) -> None:
    np.savez(tmp_path / "x.npz", **arrays())
    link, pipe, received = tmp_path / "link.csv", tmp_path / "pipe", list[bytes]()
    (tmp_path / "target.csv").write_text("old")
    link.symlink_to("target.csv")
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR)
    reader = threading.Thread(target=lambda: received.append(os.read(holder, 2**16)))
    reader.start()
    options = ["--metrics", "map", "--out", str(link), "--per-query", str(pipe)]
    code = main(["score", str(tmp_path / "x.npz"), *options])
    through = stat.S_ISFIFO(pipe.stat().st_mode)
    if not through:
        os.write(holder, b"nothing came")
    reader.join()
    os.close(holder)
    assert (code, through, link.is_symlink()) == (0, True, True)
    assert received[0].startswith(b"query,map\n0,")
    assert (tmp_path / "target.csv").read_text().startswith("file,bits,queries")
    capsys.readouterr()
    assert "cannot write" in refused(capsys, tmp_path / "x.npz", "--out", tmp_path)


def test_a_bad_threshold_in_python_is_an_input_error() -> None:
    with pytest.raises(InputError, match="threshold"):
        mean_average_precision(OUTPUTS, OUTPUTS, CLASSES, CLASSES, threshold="half")  # type: ignore[arg-type]
