"""A folder made small says the same: reports, tests of significance and `verify` need no more than what is kept."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import InputError
from benchmark.report import check, render
from benchmark.report import compact as compacting
from benchmark.report.compact import CURVE_ROWS, compact
from benchmark.report.draw import FORMATS
from benchmark.report.pictures import SLACK, png
from benchmark.report.statistics.compare import Queries
from benchmark.report.write import MANIFEST, parse_formats
from benchmark.scoring.readers import load_arrays
from benchmark.store.formats import read_codes, read_record, record_text
from benchmark.store.record import Artifacts, CurvePoint
from benchmark.store.store import Store
from benchmark.store.thin import DIGESTS, QUERIES, QUERY_AP, SHARED, digests, is_thin, shared_file
from tests.helpers import execute
from tests.report.test_report import made as record_of
from tests.report.test_report_figures import bomb

Cli = Callable[..., tuple[int, str, str]]
TABLES = "claims,table1,ranks,audit"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods by two code lengths by two seeds, on real data."""
    root = tmp_path_factory.mktemp("made") / "runs"
    execute(root, methods=("itq", "lsh"), bits=(8, 16), seeds=(0, 1))
    return root


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, in a folder of the test's own; no database counts as small."""
    monkeypatch.setattr(compacting, "SMALL_DATABASE", 0)
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def texts(folder: Path) -> dict[str, bytes]:
    """Every file that is no picture."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix not in (".png", ".pdf")}


def alter(path: Path, **changes: np.ndarray) -> None:
    """Change arrays of a `codes.npz`."""
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, **{**kept, **changes})


def test_a_report_of_the_small_folder_says_the_same(runs: Path, tmp_path: Path) -> None:
    render(runs, tmp_path / "before", TABLES)
    records = [*Store(runs).records()]
    assert any("p=" in text or "p<" in text for text in (tmp_path / "before/report.md").read_text().split())
    found = compact(runs, runs, TABLES)
    assert (found.fits, found.whole) == (8, 0)
    assert found.after["codes.npz"] < found.before["codes.npz"] / 2
    assert [*Store(runs).records()] == records
    for record in records:
        codes = Store(runs).codes(record.spec)
        assert is_thin(codes)
        assert {*codes} == {"bits", "query_ids", "query_labels", QUERY_AP, DIGESTS}
    render(runs, tmp_path / "after", TABLES)
    assert texts(tmp_path / "after") == texts(tmp_path / "before")
    files = {path: path.read_bytes() for path in runs.rglob("*.*") if path.is_file()}
    compact(runs, runs, TABLES)
    assert files == {path: path.read_bytes() for path in runs.rglob("*.*") if path.is_file()}, "twice is once"


def test_artifacts_that_read_whole_codes_keep_theirs(runs: Path, tmp_path: Path) -> None:
    wanted = f"{TABLES},precision-recall,conventions"
    render(runs, tmp_path / "before", wanted)
    assert compact(runs, runs, wanted).whole == 2, "those that are drawn: one length, one seed"
    render(runs, tmp_path / "after", wanted)
    assert texts(tmp_path / "after") == texts(tmp_path / "before")


def test_another_folder_gets_what_a_reader_needs(runs: Path, tmp_path: Path, run_cli: Cli) -> None:
    searched = runs / "tuning/digits-8b-0123abcd.json"
    searched.parent.mkdir()
    searched.write_text("{}")
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    code, out, _ = run_cli("compact", "--results", runs, "--out", tmp_path / "small")
    assert code == 0
    assert re.search(r"codes\.npz +\d+\.\d+ MB -> +\d+\.\d+ MB", out)
    assert before == {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    assert {path.name for path in (tmp_path / "small").rglob("*.*") if path.parent.parent.name == "lsh"} == {
        "codes.npz",
        "record.json",
    }
    assert (tmp_path / "small/tuning/digits-8b-0123abcd.json").read_text() == "{}"
    assert run_cli("status", "--results", tmp_path / "small", "--json")[1].count('"done": 8') == 1
    code, _, err = run_cli("compact", "--results", runs, "--out", tmp_path / "small", "--only", "tabel1")
    assert code == 2
    assert "table1" in err


def test_small_databases_stay_whole(made: Path, tmp_path: Path) -> None:
    assert compact(made, tmp_path / "small", TABLES).whole == 8


def test_verify_compares_what_was_left_out_by_digest(runs: Path, run_cli: Cli) -> None:
    record = next(Store(runs).records())
    whole = Store(runs).codes(record.spec)
    compact(runs, runs, TABLES)
    path = Store(runs).folder(record.spec) / "codes.npz"
    call = ("verify", record.fit_id, "--results", runs, "--device", "cpu")
    code, out, _ = run_cli(*call)
    assert (code, "by digest, query codes are the same; by digest, database codes are the same" in out) == (
        0,
        True,
    )
    kept = {name: array.copy() for name, array in Store(runs).codes(record.spec).items()}
    for row, said in (
        (3, "by digest, query codes differ; by digest, database codes are the same"),
        (2, "database codes differ"),
        (0, "database_ids differ: another split"),
    ):
        wrong = kept[DIGESTS].copy()
        wrong[row, 5] ^= 1
        alter(path, **{DIGESTS: wrong})
        code, out, _ = run_cli(*call)
        assert code == 1
        assert said in out
    # Files of an older layout hold the query codes and three digests; they are read, and made thinner, alike.
    older = {**kept, "query_codes": whole["query_codes"].copy(), DIGESTS: kept[DIGESTS][:3]}
    np.savez(path, **older)
    code, out, _ = run_cli(*call)
    assert (code, "all 3,200 query code bits are the same; by digest, database codes are" in out) == (0, True)
    compact(runs, runs, TABLES)
    assert set(Store(runs).codes(record.spec)) == set(kept)
    assert np.array_equal(Store(runs).codes(record.spec)[DIGESTS], kept[DIGESTS])
    older["query_codes"][3, 0] ^= 8
    np.savez(path, **older)
    code, out, _ = run_cli(*call)
    assert code == 1
    assert "1 of 3,200 query code bits differ" in out


def test_what_needs_whole_codes_says_why_it_has_none(runs: Path, run_cli: Cli) -> None:
    compact(runs, runs, TABLES)
    record = next(Store(runs).records())
    code, _, err = run_cli("score", Store(runs).folder(record.spec) / "codes.npz")
    assert code == 2
    assert "`compact` left them out" in err
    code, out, err = run_cli(
        *("run", "--methods", "itq", "--bits", "8", "--views", "corruption:contrast@1", "--results", runs),
        *("--tracking-uri", "none"),
    )
    assert code == 1
    assert "have no database side: `compact` left it out" in " ".join((out + err).split())


def test_fits_of_one_seed_share_their_queries(runs: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    compact(runs, small, TABLES)
    shared = sorted((small / "queries").iterdir())
    assert len(shared) == 2  # one a seed; eight fits
    record = next(Store(small).records())
    packed = read_codes(Store(small).folder(record.spec) / "codes.npz")
    assert {*packed} == {"bits", QUERY_AP, DIGESTS, QUERIES}
    whole, thin = Store(runs).codes(record.spec), Store(small).codes(record.spec)
    for name in SHARED:
        assert np.array_equal(thin[name], whole[name])
        assert thin[name].dtype == whole[name].dtype
    (small / "queries/0123456789abcdef.npz").write_bytes(b"")
    compact(small, small, TABLES)
    assert sorted((small / "queries").iterdir()) == shared
    mine = small / shared_file(packed[QUERIES])
    (other,) = (path for path in shared if path != mine)
    mine.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"codes .*codes.npz.*holds other queries"):
        Store(small).codes(record.spec)
    mine.unlink()
    with pytest.raises(InputError, match=r"codes .*codes.npz.*queries are missing"):
        Store(small).codes(record.spec)


def test_a_digest_is_of_values_not_of_their_width(made: Path) -> None:
    codes = Store(made).codes(next(Store(made).records()).spec)
    narrow = {**codes, "database_ids": codes["database_ids"].astype(np.int32)}
    other = {**codes, "database_ids": codes["database_ids"][::-1]}
    assert np.array_equal(digests(codes), digests(narrow))
    assert not np.array_equal(digests(codes), digests(other))


def test_damaged_small_codes_are_refused_in_one_line(runs: Path, tmp_path: Path) -> None:
    compact(runs, runs, TABLES)
    record = next(Store(runs).records())
    whole = (Store(runs).folder(record.spec) / "codes.npz").read_bytes()
    path, said = tmp_path / "codes.npz", list[str]()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        for read in (lambda: read_codes(path), lambda: load_arrays((str(path),))):
            try:
                read()
            except InputError as error:
                said.append(str(error))
    assert len(said) > len(whole) / 7
    assert not [line for line in said if "\n" in line or "codes" not in line]


def test_codes_that_are_not_the_record_s_are_refused(runs: Path, tmp_path: Path) -> None:
    record = [*Store(runs).records()][-1]
    path = Store(runs).folder(record.spec) / "codes.npz"
    alter(path, query_labels=np.roll(Store(runs).codes(record.spec)["query_labels"], 1))
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"{record.fit_id}.*their record says"):
        compact(runs, tmp_path / "small", TABLES)
    assert not (tmp_path / "small").exists()
    assert path.read_bytes() == before


def test_stored_precisions_count_only_with_the_record_s_mean(runs: Path) -> None:
    compact(runs, runs, TABLES)
    record, path = next((r, Store(runs).folder(r.spec) / "codes.npz") for r in Store(runs).records())
    found = Queries(Store(runs)).of(record)
    assert found is not None
    assert abs(found[1].mean() - (record.score() or 0.0)) < 1e-7
    alter(path, **{QUERY_AP: np.clip(found[1] + 0.01, 0, 1)})
    assert Queries(Store(runs)).of(record) is None
    alter(path, **{QUERY_AP: found[1][:-1]})
    assert Queries(Store(runs)).of(record) is None


def test_curves_are_thinned_unless_an_artifact_reads_them(tmp_path: Path) -> None:
    store, record = Store(tmp_path / "runs"), record_of(0.5)
    rows = [{"step": step, "loss": 1 / (step + 1), "pairs": 0.25} for step in range(1_000)]
    store.save(record, Artifacts(curve=rows))
    whole = (store.folder(record.spec) / "curve.csv").read_text().splitlines()
    assert len(whole) > CURVE_ROWS + 2
    for only, shortened in (("table1", True), ("table1,curves", False)):
        compact(store.root, tmp_path / only, only)
        lines = (Store(tmp_path / only).folder(record.spec) / "curve.csv").read_text().splitlines()
        assert (len(lines) <= CURVE_ROWS + 2) == shortened
        assert (lines[0], lines[1], lines[-1]) == (whole[0], whole[1], whole[-1])
        assert set(lines) <= set(whole)


def test_grids_keep_every_pixel(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "runs")
    record = next(Store(tmp_path / "runs").records())
    grids = Store(tmp_path / "runs").folder(record.spec) / "samples"
    grids.mkdir()
    noise = np.random.default_rng(0)
    pixels = {
        "grey": np.repeat(noise.integers(0, 255, (64, 64, 1), dtype=np.uint8), 3, axis=2),
        "colour": noise.integers(0, 255, (64, 64, 3), dtype=np.uint8),
    }
    for name, one in pixels.items():
        Image.fromarray(one).save(grids / f"step-{name}.png", compress_level=1)
    (grids / "step-damaged.png").write_bytes(b"\x89PNG damaged")
    (grids / "folder").mkdir()
    (grids / "step-bomb.png").write_bytes(bomb(20_000, 20_000))
    compact(tmp_path / "runs", tmp_path / "small", TABLES)
    after = Store(tmp_path / "small").folder(record.spec) / "samples"
    assert (after / "step-damaged.png").read_bytes() == b"\x89PNG damaged"
    for name, one in pixels.items():
        again = after / f"step-{name}.png"
        assert np.array_equal(np.asarray(Image.open(again).convert("RGB")), one)
        assert again.stat().st_size <= (grids / again.name).stat().st_size
    assert (after / "step-grey.png").stat().st_size < 0.7 * (grids / "step-grey.png").stat().st_size


def test_drawings_are_packed_within_what_an_eye_sees() -> None:
    shades = np.zeros((64, 256, 3), dtype=np.uint8)
    shades[..., 0] = np.arange(256)
    shades[..., 2] = np.arange(64)[:, None] // 8
    image = Image.fromarray(shades)
    packed = Image.open(io.BytesIO(png(image, slack=SLACK, dots=200)))
    assert packed.mode == "P"
    moved = np.abs(np.asarray(packed.convert("RGB"), dtype=int) - shades)
    assert 0 < moved.max() <= SLACK
    assert round(packed.info["dpi"][0]) == 200
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image))).convert("RGB")), shades)
    noise = np.random.default_rng(0).integers(0, 255, (64, 256, 3), dtype=np.uint8)
    kept = Image.open(io.BytesIO(png(Image.fromarray(noise), slack=SLACK)))
    assert np.array_equal(np.asarray(kept), noise)


def test_a_record_is_one_line_a_field_and_reads_as_an_indented_one(made: Path, tmp_path: Path) -> None:
    path = next(made.glob("*/*/*/record.json"))
    record, text = read_record(path), path.read_text()
    names = [line.partition(":")[0].strip('"') for line in text.splitlines()[1:-1]]
    assert names == [*type(record).model_fields]
    indented = tmp_path / "record.json"
    indented.write_text(record.model_dump_json(indent=1))
    assert read_record(indented) == record
    assert len(text) < 0.85 * len(indented.read_text())
    point = CurvePoint(step=1, seconds=0.5, map=0.25, part="query", accuracy=0.5)
    traced = record.model_copy(update={"curve": (point,)})
    (kept,) = json.loads(record_text(traced))["curve"]
    assert kept == {"step": 1, "seconds": 0.5, "map": 0.25, "part": "query", "accuracy": 0.5}
    path = tmp_path / "traced.json"
    path.write_text(record_text(traced))
    assert read_record(path) == traced


def test_formats_that_are_not_asked_for_are_not_there(runs: Path, tmp_path: Path, run_cli: Cli) -> None:
    out, only = runs / "report", "precision-recall,table1"
    render(runs, out, only)
    whole = {path.name for path in out.iterdir()}
    assert {".pdf", ".parquet"} < {path.suffix for path in out.iterdir()}
    page = (out / "report.html").read_text()
    (large,) = [path.stat().st_size for path in out.glob("precision-recall*.png")]
    assert "<svg " in page
    assert " file:" not in page
    code, _, _ = run_cli("report", "--results", runs, "--only", only, "--formats", "png")
    assert code == 0
    left = {path.name for path in out.iterdir()}
    assert whole - left == {name for name in whole if name.endswith((".pdf", ".parquet"))}
    (picture,) = [name for name in left if name.startswith("precision") and name.endswith(".png")]
    assert (out / picture).stat().st_size < large / 2
    page = (out / "report.html").read_text()
    assert f'<img class="paper" alt="" src="{picture}">' in page
    assert json.loads((out / MANIFEST).read_text())["formats"] == ["png"]
    assert check(runs, out, tmp_path / "again") == []
    code, _, err = run_cli("report", "--results", runs, "--formats", "png,pfd")
    assert code == 2
    assert "unknown format 'pfd': did you mean pdf?" in err
    assert parse_formats(None) == FORMATS
    assert parse_formats("pdf") == ("png", "pdf")


def test_a_grid_that_is_there_is_shown_from_where_it_is(runs: Path, tmp_path: Path) -> None:
    record = next(Store(runs).records())
    grids = Store(runs).folder(record.spec) / "samples"
    grids.mkdir()
    Image.new("L", (20, 10), 9).save(grids / "step-000003.png")
    render(runs, runs / "report", "samples", formats=("png",))
    assert not [*(runs / "report").glob("*.png")]
    for name, pattern in (("report.md", r"\]\((\.\./[^)]+)\)"), ("report.html", r'src="(\.\./[^"]+)"')):
        (link,) = re.findall(pattern, (runs / "report" / name).read_text())
        assert (runs / "report" / link).resolve() == (grids / "step-000003.png").resolve()
    assert check(runs, runs / "report", tmp_path / "again") == []
    render(runs, tmp_path / "elsewhere", "samples", formats=("png",))
    (drawn,) = (tmp_path / "elsewhere").glob("*.png")
    assert f"({drawn.name})" in (tmp_path / "elsewhere/report.md").read_text()
