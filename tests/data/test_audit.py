from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli, registry
from benchmark.data import audit, protocol
from benchmark.data.audit import pixels
from benchmark.data.audit.facts import Audit, Overlap
from benchmark.data.audit.lists import audit_lists, role
from benchmark.data.load import LoadedDataset, load
from benchmark.data.protocol import Protocol, Split
from benchmark.errors import InputError

LISTS = Protocol(name="t", title="t", draw="lists", database="listed", overlapping=True)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))


def digits() -> LoadedDataset:
    return load(registry.dataset("digits"), None)


def listed(data: LoadedDataset, fingerprint: str, **rows: list[int]) -> LoadedDataset:
    parts = {name: np.array(part, dtype=np.int64) for name, part in rows.items()}
    return replace(data, parts=parts, fingerprint=fingerprint)


def one(found: Audit, first: str, second: str, by: str) -> Overlap:
    return next(o for o in found.overlaps if (o.one, o.other, o.by) == (first, second, by))


def test_planted_leaks_of_each_kind_are_found() -> None:
    data = digits()
    images, labels = data.images.copy(), data.labels.copy()
    images[500] = images[0]  # a query's twin in the database, under another name
    labels[500] = np.roll(labels[0], 1)  # and with another label
    noise = np.random.default_rng(0).integers(-3, 4, images[1].shape)
    images[501] = np.clip(images[1].astype(int) + noise, 0, 255)  # a query nearly repeated
    data = replace(data, images=images, labels=labels)
    data = listed(
        data, "planted", query=[*range(100)], train=[*range(98, 300)], database=[*range(290, 600), 7]
    )
    found = audit.audit_data(data, LISTS, 0)
    assert one(found, "query", "train", "id").images_of_one == 2
    assert one(found, "query", "database", "id").examples == ((str(data.names[7]),) * 2,)
    assert one(found, "train", "database", "id").expected
    assert one(found, "query", "database", "pixels").examples == ((str(data.names[0]), str(data.names[500])),)
    assert one(found, "query", "database", "near").examples == ((str(data.names[1]), str(data.names[501])),)
    assert (found.identical, found.label_conflicts, found.near_pairs) == (2, 2, 1)
    assert len([line for line in found.findings if "in the database part" in line]) == 3


def test_a_clean_protocol_has_no_findings() -> None:
    data = digits()
    found = audit.audit_data(data, protocol.PROTOCOLS["digits-20-50"], 3)
    assert found.findings == ()
    assert [(o.one, o.other, o.by, o.images_of_one, o.expected) for o in found.overlaps] == [
        ("train", "database", "id", 500, True)
    ]
    assert found.parts["query"].labels_per_image == 1
    assert found.parts["database"].images == found.distinct - 200 == 1597


def test_missing_classes_and_images_without_labels_are_named() -> None:
    data = digits()
    labels = data.labels.copy()
    zeros = np.flatnonzero(labels[:, 0])
    labels[zeros[0]] = 0
    no_zero = [row for row in range(200) if not data.labels[row, 0]]
    data = listed(
        replace(data, labels=labels),
        "missing",
        query=no_zero,
        train=[*range(300, 600)],
        database=[int(zeros[0])],
    )
    text = "; ".join(audit.audit_data(data, LISTS, 0, near=False).findings)
    assert "1 classes have no image in the query part: 0" in text
    assert "10 classes have no image in the database part" in text
    assert "1 of 1 database images have no label" in text


def test_near_duplicates_are_those_of_every_pair() -> None:
    """The window over brightness and the coarse filter lose no pair."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (60, 3, 20, 24)).astype(float)
    other = base[rng.integers(0, 60, 240)] + rng.normal(
        0, rng.choice([1, 8, 14, 30], (240, 1, 1, 1)), (240, 3, 20, 24)
    )
    images = np.concatenate([base, other, np.full((9, 3, 20, 24), 128)]).clip(0, 255).astype(np.uint8)
    images[-3:, 0, 0, 0] = [1, 2, 3]  # nearly equal plain images are no near duplicates
    small, exact = pixels.thumbnails(images), pixels.digests(images)
    flat = small.reshape(len(small), -1)
    rms = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(axis=2))
    contrast = np.minimum.outer(flat.std(axis=1), flat.std(axis=1))
    close = (rms <= np.minimum(pixels.LEVELS, pixels.CONTRAST * contrast)) & (exact[:, None] != exact[None])
    expected = np.argwhere(np.triu(close, 1))
    assert 20 < len(expected) < 400
    assert (pixels.near_pairs(small, exact) == expected).all()


def test_thumbnails_are_area_means() -> None:
    image = np.arange(32 * 48, dtype=np.uint16).reshape(1, 1, 32, 48).astype(np.uint8)
    cells = image.reshape(16, 2, 16, 3).mean(axis=(1, 3))
    assert np.allclose(pixels.thumbnails(image)[0, 0], cells)


def test_facts_are_kept_and_a_run_does_not_look_at_large_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(digits(), fingerprint="kept")
    monkeypatch.setattr(pixels, "RUN_BYTES", 10)
    assert pixels.for_a_run(data) is None
    first = pixels.pixel_facts(data, near=True)
    monkeypatch.setattr(pixels, "digests", lambda images: pytest.fail("looked again"))
    kept = pixels.for_a_run(data)
    assert kept is not None
    assert (kept.digests == first.digests).all()


def test_a_run_counts_overlaps_and_warns_of_undeclared_ones(caplog: pytest.LogCaptureFixture) -> None:
    data = digits()
    images = data.images.copy()
    images[900] = images[0]
    data = replace(data, images=images, fingerprint="run")
    rows = {name: np.arange(*span) for name, span in {"query": (0, 50), "labelled": (50, 200)}.items()}
    nothing = np.array([], dtype=np.int64)
    split = Split(**rows, database=np.arange(40, 1000), hidden=nothing, tuning=nothing)
    counts, warnings = audit.check_run(data, split, protocol.PROTOCOLS["digits-20-50"])
    assert counts["query-database"] == 10
    assert counts["train-database"] == 150
    assert counts["query-database-pixels"] == 1
    assert len(warnings) == 2
    assert "10 of 50 queries are in the database part too" in caplog.text


def write_lists(folder: Path) -> None:
    folder.mkdir()
    (folder / "test.txt").write_bytes(b"/home/a/img/0.png 1 0 \r\nimg/1.png 0 1\r\n\r\nimg/1.png 0 1\r\n")
    (folder / "train.txt").write_text("img/2.png 1 0\nimg/3.png 0 x\nimg/4.png 1\n")
    (folder / "database.txt").write_text("img/0.png 0 1\nimg/5.png 0 0\n")


def test_list_files_are_audited(tmp_path: Path) -> None:
    write_lists(tmp_path / "lists")
    found = audit_lists(audit.list_files(tmp_path / "lists"))
    assert list(found.parts) == ["query", "train", "database"]
    text = "\n".join(found.findings)
    assert "1 of 3 query images are in the database part" in text
    assert "1 lines of the query part repeat an image" in text
    assert "train.txt line 2" in text
    assert "1 lines have not the usual" in text
    assert "1 of 2 database images have no label" in text
    assert "1 images have other labels on another line" in text
    assert found.pixels.startswith("not compared: 5 of 5")


def test_list_files_are_compared_by_pixels_where_the_images_are(tmp_path: Path) -> None:
    write_lists(tmp_path / "lists")
    (tmp_path / "img").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels_ = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels_).save(tmp_path / "img" / f"{number}.png")
    (tmp_path / "img" / "5.png").write_bytes((tmp_path / "img" / "1.png").read_bytes())
    found = audit_lists(audit.list_files(tmp_path / "lists"), tmp_path)
    assert found.pixels == "compared"
    assert one(found, "query", "database", "pixels").examples == (("img/1.png", "img/5.png"),)


def test_the_command_prints_a_table_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lists(tmp_path / "lists")
    assert cli.main(["audit", "digits-20-50", str(tmp_path / "lists"), "--no-near"]) == 0
    out = capsys.readouterr().out
    assert "digits, seed 0" in out
    assert "FOUND: 1 of 3 query images" in out
    assert cli.main(["audit", "digits", "--format", "json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["parts"]["query"]["images"] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "did you mean digits"),
        (["balanced-20-50"], "is for any data set: name one"),
        (["digits", "--format", "xml"], "unknown --format 'xml'"),
        (["digits", "--protocol", "cifar10-59k"], "not for data set 'digits'"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("test.txt", "query"),
        ("retrieval.txt", "database"),
        ("cifar_trainval.txt", "train"),
        ("odd.txt", "odd"),
    ],
)
def test_a_lists_part_is_told_by_its_name(name: str, part: str) -> None:
    assert role(Path(name)) == part


def test_shards_are_one_part_and_a_second_database_list_is_another(tmp_path: Path) -> None:
    """As in thuml/HashNet's caffe folders and beside HashGAN's lists."""
    for name, lines in (
        ("test0", "a/1 0 1"),
        ("test1", "a/2 0 1"),
        ("database", "a/3 1 0"),
        ("database_nolabel", "a/3 0 0"),
    ):
        (tmp_path / f"{name}.txt").write_text(lines)
    found = audit_lists(audit.list_files(tmp_path))
    assert {name: part.images for name, part in found.parts.items()} == {
        "query": 2,
        "database": 1,
        "database_nolabel": 1,
    }


def test_two_lists_for_one_part_are_refused(tmp_path: Path) -> None:
    for name in ("test.txt", "query.txt"):
        (tmp_path / name).write_text("a.png 1 0\n")
    with pytest.raises(InputError, match=r"several list files for the part 'query': query.txt, test.txt"):
        audit_lists(audit.list_files(tmp_path))


def test_hashgans_lists_hold_888_queries_in_the_database() -> None:
    folder = Path(os.environ.get("BENCHMARK_DATA", "")) / "cifar10_hashgan_lists"
    if not os.environ.get("BENCHMARK_DATA") or not folder.is_dir():
        pytest.skip("HashGAN's CIFAR-10 lists are not under BENCHMARK_DATA")
    found = audit_lists(audit.list_files(folder))
    assert one(found, "query", "database", "id").images_of_one == 888
    assert one(found, "train", "database", "id").images_of_one == 4504
    assert not [o for o in found.overlaps if {o.one, o.other} == {"query", "train"}]
    assert found.distinct == 54608
