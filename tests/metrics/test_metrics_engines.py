"""The engines agree to the last bit, use little memory, and load only when they are used."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import Rules, code_health, evaluate, mean_average_precision, pack_codes, unpack_codes
from benchmark.metrics.engines import choose_engine, count, thread_count
from benchmark.metrics.problem import build_problem

pytestmark = pytest.mark.processor

ENGINES = ("numpy", "numba", "torch")


def random_problem(rng, bits, queries, items, width, graded, exclude):
    codes = rng.random((queries, bits)) < 0.5, rng.random((items, bits)) < 0.5
    if width:
        labels = rng.random((queries, width)) < 2 / width, rng.random((items, width)) < 2 / width
    else:
        labels = rng.integers(0, 5, queries), rng.integers(0, 4, items)
    ids = rng.integers(0, 30, queries), rng.integers(0, 30, items)
    rules = Rules(relevance="graded" if graded else "shared", exclude_self=exclude)
    packed = pack_codes(codes[0]), pack_codes(codes[1])
    problem = build_problem(*packed, bits, *labels, rules=rules, query_ids=ids[0], database_ids=ids[1])
    return problem, codes, labels, ids


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.data())
def test_counts_are_equal_to_the_last_bit(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    bits = data.draw(st.one_of(st.integers(1, 256), st.sampled_from([64, 128, 700])))
    width = data.draw(st.sampled_from([0, 1, 20, 64, 81, 130]))
    graded, exclude = data.draw(st.booleans()), data.draw(st.booleans())
    queries, items = data.draw(st.integers(1, 7)), data.draw(st.sampled_from([1, 3, 100, 5000, 9000, 17000]))
    problem, codes, labels, ids = random_problem(rng, bits, queries, items, width, graded, exclude)
    found = [count(problem, 0, queries, engine, 1, "cpu") for engine in ENGINES]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    distance = (codes[0][0] != codes[1]).sum(axis=1)
    gain = (labels[0][0] & labels[1]).sum(axis=1) if width else (labels[0][0] == labels[1]).astype(int)
    gain = gain if graded else np.minimum(gain, 1)
    kept = ids[1] != ids[0][0] if exclude else np.ones(items, dtype=bool)
    plain = np.zeros(found[0].shape[1:], dtype=np.int64)
    np.add.at(plain, (distance[kept], gain[kept]), 1)
    np.testing.assert_array_equal(found[0][0], plain)


@pytest.mark.parametrize("ties", ["expected", "database-order", "optimistic", "pessimistic"])
def test_means_agree_between_engines_and_threads(ties, monkeypatch):
    monkeypatch.setattr("benchmark.metrics.engines._WORTH_A_THREAD", 1)  # threads even for so few pairs
    monkeypatch.setattr("benchmark.metrics.blocks._WORTH_THREADS", 0)
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((23, 37)), rng.standard_normal((900, 37))
    wanted, labels = rng.random((23, 70)) < 0.04, rng.random((900, 70)) < 0.04
    packed = pack_codes(queries), pack_codes(items), 37, wanted, labels
    rules = Rules(ties, k=333, relevance="graded")
    found = [
        evaluate(*packed, rules=rules, engine=engine, threads=threads, device="cpu")
        for engine in ENGINES
        for threads in (1, 3)
    ]
    for other in found[1:]:
        assert other.values == pytest.approx(found[0].values, abs=1e-12)
        for key, curve in found[0].curves.items():
            np.testing.assert_allclose(other.curves[key], curve, atol=1e-12)


def test_blocks_of_queries_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    codes, labels = rng.random((300, 16)) < 0.5, rng.integers(0, 4, 300)
    packed = pack_codes(codes), pack_codes(codes), 16, labels, labels
    whole = evaluate(*packed)
    monkeypatch.setattr("benchmark.metrics.means._CELLS", 1000)
    parts = evaluate(*packed)
    assert whole.values == pytest.approx(parts.values, abs=1e-12)
    np.testing.assert_array_equal(whole.per_query["map"], parts.per_query["map"])
    np.testing.assert_allclose(whole.curves["precision"], parts.curves["precision"], atol=1e-12)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_added_memory_is_bounded(engine, multi):
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 256, (300, 8), dtype=np.uint8)
    items = rng.integers(0, 256, (200_000, 8), dtype=np.uint8)
    wanted, labels = rng.integers(0, 80, 300), rng.integers(0, 80, 200_000)
    if multi:
        wanted, labels = np.eye(80, dtype=np.uint8)[wanted], np.eye(80, dtype=np.uint8)[labels]
    rules = Rules(k=5000)
    evaluate(queries[:2], items[:50], 64, wanted[:2], labels[:50], rules=rules, engine=engine)  # compiled
    tracemalloc.start()
    few = 20 if engine == "numpy" else 300
    evaluate(queries[:few], items, 64, wanted[:few], labels, rules=rules, engine=engine, metrics=["map"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24e6  # of 200,000 items; all pairs of 300 queries would take 60 MB and more


def test_the_engine_is_chosen_by_size(monkeypatch):
    assert choose_engine("numpy", 10**12) == "numpy"
    monkeypatch.delitem(sys.modules, "benchmark.metrics.kernels", raising=False)
    assert choose_engine("auto", 1000) == "numpy"
    monkeypatch.setitem(sys.modules, "torch", None)
    assert choose_engine("auto", 10**10) == "numba"
    assert thread_count(None) >= 1
    assert thread_count(5) == 5


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_metrics_loads_nothing_heavy():
    heavy = ("torch", "numba", "pandas", "scipy", "sklearn", "pydantic", "h5py", "mlflow")
    code = f"import sys, benchmark.metrics; print([name for name in {heavy} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_the_kernels_load_where_no_cache_can_be_written(tmp_path):
    code = (
        "import os; access = os.access; os.access = lambda *a: False\n"
        "from benchmark.metrics import mean_average_precision as m\n"
        "print(m([[1, 0]], [[1, 0], [0, 1]], [1], [0, 1], engine='numba'))\n"
        "import numba; print(numba.config.CACHE_DIR)"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    value, folder = run_python(code, **environment).splitlines()
    assert float(value) == 0.5
    assert folder.startswith(str(tmp_path))
    assert any(tmp_path.rglob("*.nbi"))


def test_packing_round_trips_at_any_width():
    rng = np.random.default_rng(0)
    for bits in (1, 7, 8, 9, 63, 64, 65, 129):
        ones = rng.random((5, bits)) < 0.5
        packed = pack_codes(ones)
        assert packed.dtype == np.uint8
        assert packed.shape == (5, -(-bits // 8))
        np.testing.assert_array_equal(unpack_codes(packed, bits), ones)
        np.testing.assert_array_equal(pack_codes(np.where(ones, 0.1, -3.0)), packed)
        np.testing.assert_array_equal(pack_codes(np.where(ones, 1, -1)), packed)
    zeros = [[0.0, -0.0, 1.0, -1.0]]
    assert unpack_codes(pack_codes(zeros), 4).tolist() == [[1, 1, 1, 0]]
    assert unpack_codes(pack_codes(zeros, sign_zero=-1), 4).tolist() == [[0, 0, 1, 0]]


def test_code_health():
    rng = np.random.default_rng(0)
    ones = rng.random((5000, 6)) < [0.5, 0.5, 0.25, 1.0, 0.0, 0.5]
    ones[:, 1] = ~ones[:, 0]
    found = code_health(pack_codes(ones), 6)
    share = ones.mean(axis=0)
    changing = ones[:, [0, 1, 2, 5]]
    correlation = np.abs(np.corrcoef(changing.T))[np.triu_indices(4, 1)]
    inner = changing.mean(axis=0)
    entropy = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner)).sum() / 6
    assert found["bit_balance"] == pytest.approx(1 - np.abs(2 * share - 1).mean())
    assert found["bit_correlation_max"] == pytest.approx(1.0)
    assert found["bit_correlation_mean"] == pytest.approx(correlation.mean())
    assert found["bit_entropy"] == pytest.approx(entropy)
    assert found["distinct_codes"] == len(np.unique(ones, axis=0))
    assert found["constant_bits"] == 2
    lone = code_health(pack_codes([[1, 0]]), 2)
    assert (lone["constant_bits"], lone["bit_correlation_max"], lone["distinct_codes"]) == (2, 0, 1)


def test_codes_on_a_gpu_are_scored_there():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the torch engine is tested on the processor above")
    rng = np.random.default_rng(0)
    codes, labels = rng.standard_normal((50, 33)), rng.integers(0, 4, 50)
    on_gpu = torch.from_numpy(codes).cuda()
    found = mean_average_precision(on_gpu, on_gpu, torch.from_numpy(labels).cuda(), labels)
    assert found == pytest.approx(
        mean_average_precision(codes, codes, labels, labels, engine="numpy"), abs=1e-12
    )
