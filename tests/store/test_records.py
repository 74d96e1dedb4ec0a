from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.store.formats import _UPGRADES, MAX_RECORD_BYTES, read_record
from benchmark.store.record import Artifacts, Failure, Record, Score
from benchmark.store.store import Store
from tests.spec.test_spec import SPEC

RECORD = Record(
    fit_id=SPEC.fit_id, spec=SPEC, state="done", scores=(Score(view="clean", metric="map", value=0.5),)
)


def artifacts() -> Artifacts:
    return Artifacts(
        codes={"query_codes": np.zeros((2, 4), dtype=np.uint8), "bits": np.array(32)},
        curve=[{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5, "extra": 2.0}],
        log="hello\n",
    )


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.save(RECORD, artifacts())
    assert folder == tmp_path / "digits" / "hashnet" / f"32b-1-s0-{SPEC.fit_id}"
    assert store.get(SPEC) == RECORD
    assert list(store.records()) == [RECORD]
    assert store.get(SPEC).score() == 0.5  # type: ignore[union-attr]
    assert store.codes(SPEC)["bits"] == 32
    assert store.curve(SPEC) == [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5, "extra": 2.0}]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_crash_before_the_record_leaves_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    folder = store.save(RECORD, artifacts())
    real = Path.replace

    def die_at_the_record(self: Path, target: Path) -> Path:
        if target.name == "record.json":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", die_at_the_record)
    with pytest.raises(KeyboardInterrupt):
        store.save(RECORD, artifacts())
    assert store.get(SPEC) is None, "old record and new codes must not stand together"
    assert not [*folder.glob(".*")]


def test_a_full_disk_leaves_the_old_result_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    folder = store.save(RECORD, artifacts())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    full = iter([False, False, True])

    def fsync(handle: int) -> None:
        if next(full):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    other = RECORD.model_copy(update={"scores": ()})
    with pytest.raises(OSError, match="No space left"):
        store.save(other, Artifacts(codes={"bits": np.array(8)}, log="longer\n"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_folders_hold_no_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.save(RECORD, artifacts())
    copy = tmp_path / "mlartifacts" / "run" / "artifacts"
    copy.mkdir(parents=True)
    (copy / "record.json").write_bytes((folder / "record.json").read_bytes())
    assert len(list(store.records())) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "no record"),
        ("{}", "no record"),
        ('{"record_schema": 1}', "invalid"),
        ("[" * 100_000, "cannot be read"),
        (RECORD.model_dump_json().replace('"bits":32', '"bits":16'), "describes"),
        (RECORD.model_dump_json().replace('"state":"done"', '"state":"fine"'), "state"),
        (RECORD.model_dump_json().replace('"state"', '"sttae"'), "invalid"),
        (RECORD.model_dump_json().replace('"digits"', '"../../etc"'), "invalid"),
    ],
)
def test_a_bad_record_is_named_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    store = Store(tmp_path)
    path = store.save(RECORD, Artifacts()) / "record.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_record(path)
    assert "\n" not in str(caught.value)
    assert list(store.records()) == []
    assert len(list(store.unreadable())) == 1


def test_an_oversized_record_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b" " * (MAX_RECORD_BYTES + 1))
    with pytest.raises(InputError, match="larger"):
        read_record(path)


def test_older_layouts_are_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = json.loads(RECORD.model_dump_json())
    raw["record_schema"] = 0
    raw["numbers"] = raw.pop("scores")
    path = tmp_path / "record.json"
    path.write_text(json.dumps(raw))
    monkeypatch.setitem(
        _UPGRADES,
        0,
        lambda old: {
            **{k: v for k, v in old.items() if k != "numbers"},
            "scores": old["numbers"],
            "record_schema": 1,
        },
    )
    assert read_record(path) == RECORD


def test_codes_are_never_unpickled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.save(RECORD, artifacts())
    np.savez(folder / "codes.npz", evil=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="codes"):
        store.codes(SPEC)


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=str(tmp_path / "file")):
        Store(tmp_path / "file").open()


def test_a_failure_is_stored(tmp_path: Path) -> None:
    failed = Record(
        fit_id=SPEC.fit_id,
        spec=SPEC,
        state="failed",
        failure=Failure(kind="error", message="x", traceback="y"),
    )
    store = Store(tmp_path)
    store.save(failed, Artifacts())
    assert store.get(SPEC) == failed
    assert failed.score() is None
