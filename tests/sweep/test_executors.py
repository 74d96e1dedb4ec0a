"""One contract, three executors: serial, processes, Ray."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.errors import InputError
from benchmark.spec import Job
from benchmark.spec.suites import RunConfig
from benchmark.sweep.executors import (
    LATER,
    Later,
    LocalProcesses,
    Outcome,
    RayCluster,
    Serial,
    Watch,
    crew,
    memory,
)
from benchmark.sweep.executors.choose import choose, learn_gpu_memory
from benchmark.sweep.executors.processes import cores
from tests import _jobs
from tests.helpers import execute
from tests.programs import PATIENCE, wait_until

HAS_RAY = importlib.util.find_spec("ray") is not None
ray_only = pytest.mark.skipif(not HAS_RAY, reason="the extra `ray` is not installed")
KINDS = ("serial", "processes", pytest.param("ray", marks=[ray_only, pytest.mark.slow]))


def make(kind: str, **options: Any) -> Any:
    if kind == "serial":
        return Serial()
    return LocalProcesses(2, **options) if kind == "processes" else RayCluster(workers=2, **options)


@pytest.fixture(scope="module", autouse=True)
def _one_ray() -> Iterator[None]:
    """Starting a Ray takes seconds: one for the module, which the executor finds and leaves open."""
    if not HAS_RAY:
        yield
        return
    import ray

    from benchmark.sweep.executors.ray_cluster import _runtime_env

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env=_runtime_env(False),
    )
    yield
    ray.shutdown()


def by_item(outcomes: Any) -> dict[Any, Outcome[Any, Any]]:
    found = [*outcomes]
    table = {outcome.item: outcome for outcome in found}
    assert len(table) == len(found), "one outcome for each item"
    return table


@pytest.mark.parametrize("kind", KINDS)
class TestContract:
    def test_one_outcome_for_each_item(self, kind: str) -> None:
        started: list[int] = []
        events: list[tuple[int, Any]] = []
        watch = Watch(started=started.append, event=lambda item, event: events.append((item, event)))
        found = by_item(make(kind).run(_jobs.square, range(7), watch))
        assert {item: outcome.value for item, outcome in found.items()} == {n: n * n for n in range(7)}
        assert sorted(started) == [*range(7)]
        assert all(event == ("at", item) for item, event in events)

    def test_no_items_start_nothing(self, kind: str) -> None:
        assert [*make(kind).run(_jobs.square, [], Watch())] == []

    def test_an_exception_is_an_outcome(self, kind: str) -> None:
        found = by_item(make(kind).run(_jobs.fail_on_three, range(5), Watch()))
        assert found[3].failure == "error"
        assert found[3].message == "Refusal: three is refused"
        assert "fail_on_three" in found[3].trace
        assert [item for item, outcome in found.items() if outcome.failure] == [3]

    def test_items_that_come_later_are_waited_for(self, kind: str) -> None:
        def items() -> Iterator[int | Later]:
            yield 1
            yield LATER
            yield LATER
            yield 2

        assert sorted(by_item(make(kind).run(_jobs.square, items(), Watch()))) == [1, 2]

    def test_items_are_taken_only_when_a_worker_is_free(self, kind: str) -> None:
        taken: list[int] = []

        def items() -> Iterator[int]:
            for number in range(20):
                taken.append(number)
                yield number

        outcomes = make(kind).run(_jobs.square, items(), Watch())
        next(outcomes)
        assert len(taken) <= 3, "an item that was taken is a fit that is claimed"
        outcomes.close()

    def test_a_stop_reaches_what_runs_and_starts_nothing_more(self, kind: str) -> None:
        began: list[int] = []
        running: list[int] = []
        watch = Watch(
            started=began.append,
            event=lambda item, event: running.append(item),
            stopping=lambda: bool(running),
        )
        found = by_item(make(kind).run(_jobs.until_stopped, range(10), watch))
        assert {outcome.value for outcome in found.values()} == {"stopped"}
        assert len(found) == len(began) <= 2

    @pytest.mark.parametrize("job", [_jobs.retire_on_three, _jobs.fail_and_retire_on_three])
    def test_a_spent_process_gets_no_other_item(self, kind: str, job: Any) -> None:
        """What ran in the process of item 3 ran before it; the others had processes that were not spent."""
        notes: list[str] = []
        order = [*make(kind).run(job, range(8), Watch(note=notes.append))]
        spent = next(index for index, outcome in enumerate(order) if outcome.item == 3)
        assert [bool(outcome.failure) for outcome in order].count(True) == (job is not _jobs.retire_on_three)
        before, after = order[:spent], order[spent + 1 :]
        assert len(order) == 8
        if order[spent].value is not None:
            assert order[spent].value not in {outcome.value for outcome in after}
        if kind == "serial":
            assert [outcome.item for outcome in after] == [4, 5, 6, 7]
            assert {outcome.value for outcome in before} == {os.getpid()}
            assert os.getpid() not in {outcome.value for outcome in after}
        assert any("no longer answers" in note for note in notes)


WORKERS = ("processes", pytest.param("ray", marks=[ray_only, pytest.mark.slow]))


@pytest.mark.parametrize("kind", WORKERS)
class TestWorkers:
    def test_a_dead_worker_costs_its_item_alone(self, kind: str) -> None:
        options = {"retries": 0} if kind == "ray" else {}
        found = by_item(make(kind, **options).run(_jobs.die_on_three, range(6), Watch()))
        assert found[3].failure == "lost"
        assert "worker" in found[3].message
        assert {item for item, outcome in found.items() if not outcome.failure} == {0, 1, 2, 4, 5}

    def test_the_time_limit_is_hard(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The clock stands still until the others are done: how long they take on this machine is no matter."""
        now, outcomes = [0.0], []
        monkeypatch.setattr(crew, "time", SimpleNamespace(monotonic=lambda: now[0]))
        for outcome in make(kind, time_limit=3).run(_jobs.hang_on_three, range(5), Watch()):
            outcomes.append(outcome)
            now[0] += 3.5 * (len(outcomes) == 4)
        found = by_item(outcomes)
        assert found[3].failure == "timeout"
        assert "time limit of 3 s" in found[3].message
        assert {item for item, outcome in found.items() if not outcome.failure} == {0, 1, 2, 4}

    def test_the_time_limit_counts_seconds(self, kind: str) -> None:
        (outcome,) = make(kind, time_limit=0.3).run(_jobs.hang_on_three, [3], Watch())
        assert outcome.failure == "timeout"

    def test_a_value_that_cannot_travel_is_an_error(self, kind: str) -> None:
        found = by_item(make(kind).run(_jobs.unpicklable, [1], Watch()))
        assert found[1].failure == "error"
        assert "pickle" in found[1].message


def test_a_worker_that_ignores_the_stop_is_cancelled() -> None:
    began: list[int] = []
    watch = Watch(started=began.append, stopping=lambda: bool(began))
    (outcome,) = LocalProcesses(1, grace=0.5).run(_jobs.hang_on_three, [3, 4], watch)
    assert outcome.failure == "cancelled"


@ray_only
@pytest.mark.slow
def test_ray_starts_the_item_of_a_lost_worker_again(tmp_path: Path) -> None:
    notes: list[str] = []
    items = [(number, str(tmp_path / "died") if number == 2 else "") for number in range(5)]
    found = by_item(RayCluster(workers=2).run(_jobs.die_once, items, Watch(note=notes.append)))
    assert sorted(outcome.value for outcome in found.values()) == [*range(5)]
    assert len(notes) == 1
    assert "trying again" in notes[0]


@ray_only
@pytest.mark.slow
def test_a_ray_started_here_answers_on_the_loopback_address_alone() -> None:
    """In a process of its own: Ray reads its switch when it is imported, and this process has done that."""
    script = (
        "from benchmark.sweep.executors import RayCluster, Watch\n"
        "from tests import _jobs\n"
        "if __name__ == '__main__':\n"
        "    (found,) = RayCluster(workers=1).run(_jobs.listening, [0], Watch())\n"
        "    print(*found.value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    addresses = done.stdout.split()
    assert len(addresses) >= 4, "the servers of a Ray: its control store, its raylet, an agent, workers"
    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::1"}, addresses


def test_workers_share_cores_and_see_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    executor = LocalProcesses(2, gpus=(0, 1))
    found = [outcome.value for outcome in executor.run(_jobs.surroundings, [(2, str(tmp_path))] * 6, Watch())]
    assert {row["OMP_NUM_THREADS"] for row in found if row} == {str(max(1, cores() // 2))}
    gpus = {row["pid"]: row["CUDA_VISIBLE_DEVICES"] for row in found if row}
    assert sorted(map(str, gpus.values())) == ["0", "1"], "one worker on each"
    assert [LocalProcesses(4, gpus=(0, 1)).environment(n)["CUDA_VISIBLE_DEVICES"] for n in range(4)] == [
        *"0101"
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert LocalProcesses(1, gpus=(1,)).environment(0)["CUDA_VISIBLE_DEVICES"] == "7"
    with pytest.raises(InputError, match="GPU 2 is not among"):
        LocalProcesses(1, gpus=(2,)).environment(0)


def test_a_driver_script_that_imports_torch_first_shares_cores_too(tmp_path: Path) -> None:
    """A spawned worker imports the driver's script before anything else: its threads must be set by then."""
    script = (
        "import os, sys\nfrom benchmark.sweep.executors import LocalProcesses, Watch\n"
        "AT_IMPORT = os.environ.get('OMP_NUM_THREADS')\n"
        "def at_import(item, link):\n    return AT_IMPORT\n"
        "if __name__ == '__main__':\n"
        "    for outcome in LocalProcesses(1, threads=3).run(at_import, [1], Watch()):\n"
        "        print(outcome.value, os.environ.get('OMP_NUM_THREADS'))\n"
    )
    (tmp_path / "driver.py").write_text(script)
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "7"}
    command = [sys.executable, str(tmp_path / "driver.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["3", "7"]


def test_the_next_item_waits_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With too little left, one item runs at a time; one always runs."""
    monkeypatch.setattr(memory, "available_mib", lambda: 1.0)
    items = [(1, str(tmp_path))] * 3
    found = [outcome.value for outcome in LocalProcesses(2).run(_jobs.surroundings, items, Watch())]
    assert len({row["pid"] for row in found if row}) == 1
    monkeypatch.undo()
    assert memory.available_mib() is None or memory.available_mib() > 1  # type: ignore[operator]
    assert (memory.peak_mib(os.getpid()) or 100) > 10


def test_no_worker_outlives_its_run() -> None:
    outcomes = LocalProcesses(2).run(_jobs.hang_on_three, [1, 3, 3], Watch())
    next(outcomes)
    assert multiprocessing.active_children()
    outcomes.close()
    assert not multiprocessing.active_children()


def test_a_killed_driver_takes_its_workers_along(tmp_path: Path) -> None:
    script = (
        "from benchmark.sweep.executors import LocalProcesses, Watch\nfrom tests import _jobs\n"
        "if __name__ == '__main__':\n"
        "    ex = LocalProcesses(1)\n"
        "    run = ex.run(_jobs.hang_on_three, [1, 3], Watch(started=lambda item: print(item, flush=True)))\n"
        "    import multiprocessing\n    next(run)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n    next(run)\n"
    )
    path = tmp_path / "driver.py"
    path.write_text(script)
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    driver = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment)
    assert driver.stdout is not None
    lines = [driver.stdout.readline().strip() for _ in range(3)]
    worker = int(next(line for line in lines if len(line) > 1))
    os.kill(worker, 0)
    driver.kill()
    driver.wait()
    wait_until(lambda: not _runs(worker))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_numbers_below_one_are_refused() -> None:
    for bad in ({"workers": -1}, {"time_limit": 0}):
        with pytest.raises(InputError, match="must be positive"):
            LocalProcesses(**bad)  # type: ignore[arg-type]


def test_ray_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else real(name))
    with pytest.raises(InputError, match=r"pip install 'coophash-benchmark\[ray\]'"):
        RayCluster()


@pytest.mark.parametrize(
    ("free", "need", "placed"),
    [
        ({"0": 81_000.0}, 20_000, [0, 0, 0, 0]),
        ({"0": 81_000.0, "1": 30_000.0}, 20_000, [0, 1, 0, 0]),
        ({"0": 1_000.0}, 20_000, [0]),
        ({}, 20_000, [0] * 6),
        ({"0": 1_000.0}, None, [0] * 6),
    ],
)
def test_a_gpu_gets_as_many_workers_as_its_memory_holds(
    monkeypatch: pytest.MonkeyPatch, free: dict[str, float], need: float | None, placed: list[int]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(memory, "gpu_free_mib", free.get)
    gpus, notes = tuple(map(int, free)) or (0,), list[str]()
    executor = LocalProcesses(6, gpus=gpus, gpu_memory=need)
    places = executor._places(notes.append)
    assert places == placed
    assert [executor.environment(n, places)["CUDA_VISIBLE_DEVICES"] for n in range(len(places))] == [
        str(gpu) for gpu in placed
    ]
    assert bool(notes) == (len(placed) < 6)
    assert all("MiB free, 20,000 MiB a fit" in note for note in notes)


def test_free_memory_of_a_gpu_is_asked_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def told(words: list[str], **options: Any) -> Any:
        asked.append(words)
        return SimpleNamespace(stdout="79000\n")

    monkeypatch.setattr(memory.subprocess, "run", told)
    assert memory.gpu_free_mib("GPU-8a1") == 79_000
    assert asked[0][:3] == ["nvidia-smi", "-i", "GPU-8a1"]
    monkeypatch.setattr(memory.subprocess, "run", lambda words, **options: SimpleNamespace(stdout="[N/A]"))
    assert memory.gpu_free_mib("0") is None


def test_what_a_fit_needs_on_a_gpu_is_learnt_from_records(tmp_path: Path) -> None:
    _, summary, store = execute(tmp_path, methods=("lsh",), bits=(8,))
    (record,), (path,) = summary.records, tmp_path.rglob("record.json")
    path.write_text(record.model_copy(update={"peak_gpu_memory_mib": 4000.0}).model_dump_json())
    for gpus, given, change, learnt in (
        ((0,), None, {}, 5800.0),
        ((0,), 900.0, {}, 900.0),
        ((0, 1, 2, 3), None, {}, None),  # one worker for each
        ((), None, {}, None),
        ((0,), None, {"method": "itq"}, None),
        ((0,), None, {"frozen": True}, None),
        ((0,), None, {"batch_size": 512}, None),
    ):
        executor = LocalProcesses(4, gpus=gpus, gpu_memory=given)
        job = Job(fit=record.spec.model_copy(update={"bits": 16, **change}))
        learn_gpu_memory(executor, [job.fit], store)
        assert executor.gpu_memory == learnt


def test_gpu_memory_wants_a_gpu() -> None:
    with pytest.raises(InputError, match="there is none; name --gpus"):
        choose(RunConfig(gpu_memory=1000, workers=2, device="cpu"))
    with pytest.raises(InputError, match="--gpu-memory is for --executor processes"):
        choose(RunConfig(gpu_memory=1000, executor="serial", device="cpu"))
