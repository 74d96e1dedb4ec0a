"""Whatever one plug-in does: its fit fails with a reason, nothing of the process stays changed, the others run."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.fit.failures import describe_failure, is_ours
from benchmark.fit.tensors import storable
from benchmark.registry.contained import contained
from benchmark.store.record import Record
from benchmark.store.store import Store
from tests.helpers import execute, method_source

Plugin = Callable[..., Path]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A test that finds a fault must not hand it on to the next."""
    with contained():
        yield


def beside_lsh(plugin: Plugin, results: Path, source: str, **changes: Any) -> tuple[Record, Record, Store]:
    """The records of a misbehaving method and of LSH, which runs after it."""
    plugin("aaa", source)
    _, summary, store = execute(results, **{"methods": ("aaa", "lsh"), "bits": (16,), **changes})
    by_name = {record.spec.method: record for record in summary.records}
    assert set(by_name) == {"aaa", "lsh"}
    assert by_name["lsh"].state == "done"
    assert all(store.get(record.spec) == record for record in by_name.values()), "both are on disk"
    return by_name["aaa"], by_name["lsh"], store


def with_state(state: str) -> str:
    return method_source("aaa").replace('{"bits": torch.tensor(self.bits)}', state)


#: Bodies of `fit` -> what the failure says.
FAILS = {
    "import sys; sys.exit(3)": "SystemExit: 3",
    "raise SystemExit": "SystemExit",
    "raise GeneratorExit('gone')": "GeneratorExit: gone",
    "raise KeyboardInterrupt('mine')": "KeyboardInterrupt: mine",
    "raise type('Odd', (BaseException,), {})('odd')": "Odd: odd",
    "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()": "(its text raises ZeroDivisionError)",
    "raise ValueError('caf\\udce9')": "ValueError: caf\\udce9",
    "ctx.log(0, {'loss': 'high'})": "'loss' is 'high', no number",
    "ctx.log(4, {'loss': None})": "ctx.log at update 4: 'loss' is None, no number",
    "ctx.log(0, {'loss': torch.ones(2)})": "'loss' is tensor([1., 1.]), no number",
    "ctx.log(0, {'loss': [1.0]})": "'loss' is [1.0], no number",
    "raise RecursionError": "RecursionError",
    "import asyncio; raise asyncio.CancelledError()": "CancelledError",
    "from benchmark.fit.result import Interrupted; raise Interrupted('me')": "Interrupted: me",
    "ctx.log(0, 0.5)": "was given float, not numbers by name",
    "ctx.log(0, {'loss': 1j})": "'loss' is 1j, no number",
    "ctx.scalars.append((0, {'loss': object()}))": "its result cannot be stored",
}


@pytest.mark.parametrize("body", FAILS, ids=[ascii(body) for body in FAILS])
def test_what_fit_raises_is_its_own_failure(plugin: Plugin, tmp_path: Path, body: str) -> None:
    # Inside a run signals have handlers; only then a KeyboardInterrupt of the method's can be told from Ctrl-C.
    bad, _, _ = beside_lsh(plugin, tmp_path, method_source("aaa", fit=body))
    assert bad.state == "failed"
    assert bad.failure is not None
    assert FAILS[body] in bad.failure.message
    assert "\n" not in bad.failure.message
    assert bad.failure.traceback


def test_numbers_of_any_kind_can_be_logged(plugin: Plugin, tmp_path: Path) -> None:
    values = (
        "{'a': torch.ones(1, requires_grad=True) * 2, 'b': True, 'c': 7, 3: torch.tensor(0.5).bfloat16()}"
    )
    bad, _, store = beside_lsh(
        plugin, tmp_path, method_source("aaa", fit=f"import numpy; ctx.log(0, {values})")
    )
    assert bad.state == "done"
    assert store.curve(bad.spec) == [{"step": 0.0, "a": 2.0, "b": 1.0, "c": 7.0, "3": 0.5}]


ENCODES = {
    "flat.numpy()": "encode returned a ndarray, not a tensor",
    "flat[:, :2]": "encode returned (",
    "flat.to(torch.complex64)": "encode returned torch.complex64, not real numbers",
    "None": "encode returned a NoneType, not a tensor",
    "flat * float('nan')": "not finite",
    "exit(2)": "SystemExit: 2",
}


@pytest.mark.parametrize("expression", ENCODES)
def test_what_encode_returns(plugin: Plugin, tmp_path: Path, expression: str) -> None:
    bad, _, _ = beside_lsh(plugin, tmp_path, method_source("aaa", encode=expression))
    if ENCODES[expression]:
        assert bad.state == "failed"
        assert ENCODES[expression] in bad.failure.message  # type: ignore[union-attr]


#: What `state` returns -> what is said; empty for a state that is stored as it is meant.
STATES = {
    "{'a': torch.arange(12.0).reshape(3, 4).T, 'bits': torch.tensor(self.bits)}": "",
    "{'a': torch.arange(9)[::2], 'b': torch.arange(4).expand(3, 4), 'bits': torch.tensor(self.bits)}": "",
    "(lambda x: {'a': x, 'b': x, 'c': x[1:], 'bits': torch.tensor(self.bits)})(torch.arange(5.0))": "",
    "{'a': torch.ones(2, requires_grad=True), 'bits': torch.tensor(self.bits)}": "",
    "{'bits': self.bits}": "state()['bits'] is a int, not a tensor",
    "{'w': [1.0, 2.0]}": "state()['w'] is a list, not a tensor",
    "{'w': torch.ones(2).to_sparse()}": "state()['w'] is no plain tensor of numbers: torch.sparse_coo",
    "{'w': torch.ones(2, device='meta')}": "state()['w'] is no plain tensor",
    "{5: torch.ones(2)}": "state() has the name 5",
    "[torch.ones(2)]": "state() returned a list, not tensors by name",
    "None": "state() returned a NoneType",
}


@pytest.mark.parametrize("state", STATES)
def test_states_are_stored_or_refused_by_name(plugin: Plugin, tmp_path: Path, state: str) -> None:
    bad, _, store = beside_lsh(plugin, tmp_path, with_state(state))
    if STATES[state]:
        assert bad.state == "failed"
        assert STATES[state] in bad.failure.message  # type: ignore[union-attr]
        return

    assert bad.state == "done"
    loaded = store.weights(bad.spec)
    wanted = eval(state, {"torch": torch, "self": type("S", (), {"bits": 16})})  # noqa: S307 - our own text
    assert set(loaded) == set(wanted)
    assert all(torch.equal(loaded[name], wanted[name].detach()) for name in wanted)


def test_a_small_view_of_a_large_tensor_is_stored_alone() -> None:
    large = torch.zeros(10_000)
    found = storable({"a": large[:3]})
    assert found["a"].untyped_storage().nbytes() == 12


SUPPORTS = {
    "raise ValueError('not\\ntoday')": "its supports() raised ValueError: not today",
    "import sys; sys.exit('bye')": "its supports() raised SystemExit: bye",
    "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()": (
        "its supports() raised Mute: (its text raises ZeroDivisionError)"
    ),
    "return 17": "17",
    "return 'two\\nlines'": "two lines",
}


@pytest.mark.parametrize("body", SUPPORTS)
def test_a_supports_that_fails_skips_its_method_alone(plugin: Plugin, tmp_path: Path, body: str) -> None:
    source = (
        method_source("aaa")
        + f"""
        @classmethod
        def supports(cls, task):
            {body}
    """
    )
    plugin("aaa", source)
    plan, summary, _ = execute(tmp_path, methods=("aaa", "lsh"), bits=(16,))
    states = {cell.label.split()[0]: (cell.state, cell.reason) for cell in plan.fits}
    assert states["aaa"] == ("skipped", SUPPORTS[body])
    assert [record.spec.method for record in summary.records] == ["lsh"]


@pytest.mark.parametrize(
    ("facts", "text"),
    ids=["a list", "a table", "none", "no UTF-8"],
    argvalues=[
        ("{'a': [1, 2]}", "what aaa reports cannot be recorded: facts.a"),
        ("{'a': {}}", "what aaa reports cannot be recorded: facts.a"),
        ("None", "TypeError"),
        ("{'caf\\udce9': 'b\\udcff'}", ""),
    ],
)
def test_facts_that_are_none(plugin: Plugin, tmp_path: Path, facts: str, text: str) -> None:
    source = (
        method_source("aaa")
        + f"""
        def facts(self):
            return {facts}
    """
    )
    bad, _, _ = beside_lsh(plugin, tmp_path, source)
    if text:
        assert text in bad.failure.message  # type: ignore[union-attr]
    else:
        assert bad.facts["caf\\udce9"] == "b\\udcff"


def test_an_init_that_exits(plugin: Plugin, tmp_path: Path) -> None:
    source = (
        method_source("aaa")
        + """
        def __init__(self, params=None):
            raise SystemExit("no instance")
    """
    )
    bad, _, _ = beside_lsh(plugin, tmp_path, source)
    assert "SystemExit: no instance" in bad.failure.message  # type: ignore[union-attr]


def test_the_users_own_interrupt_still_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_ours(KeyboardInterrupt(), lambda: True), "a second signal after the first"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert is_ours(KeyboardInterrupt(), lambda: False), "outside a run Ctrl-C raises it"
        signal.signal(signal.SIGINT, lambda number, frame: None)
        assert not is_ours(KeyboardInterrupt(), lambda: False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not is_ours(SystemExit(), lambda: True)
    assert describe_failure(MemoryError()).kind == "out-of-memory"


# ---- what belongs to the whole process -------------------------------------------------------------------


CHANGES = {
    "torch.set_default_dtype(torch.float64)": lambda: torch.get_default_dtype(),
    "torch.set_grad_enabled(False)": lambda: torch.is_grad_enabled(),
    "torch.use_deterministic_algorithms(True)": lambda: torch.are_deterministic_algorithms_enabled(),
    "torch.set_num_threads(torch.get_num_threads() + 2)": lambda: torch.get_num_threads(),
    "torch.set_default_device('meta')": lambda: torch.get_default_device(),
    "torch.set_autocast_enabled('cpu', True)": lambda: torch.is_autocast_enabled("cpu"),
    "torch.set_float32_matmul_precision('medium')": lambda: torch.get_float32_matmul_precision(),
    "torch.backends.cudnn.deterministic = True": lambda: torch.backends.cudnn.deterministic,
    "torch.autograd.set_detect_anomaly(True)": lambda: torch.is_anomaly_enabled(),
    "torch.set_flush_denormal(True)": lambda: (torch.full((1,), 1e-39) * 1).item() != 0,
    "torch.backends.mkldnn.enabled = False": lambda: torch.backends.mkldnn.enabled,
    "torch.nn.modules.module.register_module_forward_hook(lambda m, x, y: y * 2)": lambda: len(
        torch.nn.modules.module._global_forward_hooks
    ),
    "torch.manual_seed(5); import random; random.seed(5); import numpy; numpy.random.seed(5)": lambda: (
        torch.random.get_rng_state().tolist()[:50],
    ),
    "import os; os.chdir('/')": os.getcwd,
    "import os; os.environ['OMP_NUM_THREADS'] = 'x'; os.environ.pop('PATH')": lambda: dict(os.environ),
    "import os; os.umask(0o777)": lambda: _umask(),
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)": lambda: signal.getsignal(signal.SIGTERM),
    "import signal; signal.alarm(1000)": lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    "import sys; sys.path.insert(0, '/nowhere')": lambda: list(sys.path),
    "import sys; sys.setrecursionlimit(200000)": sys.getrecursionlimit,
    "import sys; sys.stdout = sys.stderr = None": lambda: (sys.stdout, sys.stderr),
    "import logging; logging.disable(logging.CRITICAL)": lambda: logging.root.manager.disable,
    "import logging; logging.basicConfig(level=1, force=True)": lambda: (
        logging.root.level,
        logging.root.handlers[:],
    ),
    "import gc; gc.disable()": gc.isenabled,
    "import numpy; numpy.seterr(all='raise')": np.geterr,
    "import numpy; numpy.set_printoptions(precision=1)": lambda: np.get_printoptions()["precision"],
    "import warnings; warnings.simplefilter('error')": lambda: list(__import__("warnings").filters),
    "import locale; locale.setlocale(locale.LC_NUMERIC, 'C')": lambda: __import__("locale").setlocale(0),
}


def _umask() -> int:
    value = os.umask(0o22)
    os.umask(value)
    return value


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """HashNet's codes where nothing ran before."""
    _, summary, store = execute(tmp_path_factory.mktemp("undisturbed"), methods=("hashnet",), epochs=2)
    return store.codes(summary.records[0].spec)


#: Putting back does not hang on how the method ends; a few of each suffice.
BOTH_ENDS = list(CHANGES)[:3] + list(CHANGES)[10:13]


@pytest.mark.parametrize(
    ("change", "fails"), [*((change, False) for change in CHANGES), *((change, True) for change in BOTH_ENDS)]
)
def test_the_next_fit_finds_the_process_as_it_was(
    plugin: Plugin, tmp_path: Path, undisturbed: dict[str, np.ndarray], change: str, fails: bool
) -> None:
    look: Callable[[], Any] = CHANGES[change]
    before = look()
    body = f"{change}; raise ValueError('after it')" if fails else change
    plugin("aaa", method_source("aaa", fit=body))
    monkey = Path.cwd()
    _, summary, store = execute(tmp_path, methods=("aaa", "hashnet"), epochs=2)
    assert look() == before
    assert Path.cwd() == monkey
    other = next(record for record in summary.records if record.spec.method == "hashnet")
    assert other.state == "done"
    codes = store.codes(other.spec)
    assert all((codes[name] == undisturbed[name]).all() for name in undisturbed)


def test_what_was_changed_stands_in_the_log(plugin: Plugin, tmp_path: Path) -> None:
    body = "torch.set_default_dtype(torch.float64); import os; os.chdir('/')"
    bad, _, store = beside_lsh(plugin, tmp_path, method_source("aaa", fit=body))
    text = (store.folder(bad.spec) / "log.txt").read_text()
    assert "changed what belongs to the whole process: ['working folder', \"torch's default type\"]" in text


def test_a_relative_results_folder_stays_where_the_user_looks(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Any
) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    away.mkdir()
    here.mkdir()
    plugin("aaa", method_source("aaa", fit=f"import os; os.chdir({str(away)!r})"))
    monkeypatch.chdir(here)
    monkeypatch.setenv("BENCHMARK_CACHE", "cache")
    code, out, err = run_cli("run", "--methods", "aaa,lsh", "--bits", "8", "--results", "mine")
    assert code == 0, out + err
    assert len(list((here / "mine" / "digits").rglob("record.json"))) == 2
    assert (here / "mine" / "mlflow.db").is_file()
    assert (here / "cache").is_dir()
    assert not list(away.iterdir())


def test_importing_a_plugin_changes_nothing(plugin: Plugin, tmp_path: Path) -> None:
    before = torch.get_default_dtype(), os.getcwd()
    top = "\n    import torch, os\n    torch.set_default_dtype(torch.float64)\n    os.chdir('/')\n"
    plugin("aaa", top + method_source("aaa"))
    _, summary, _ = execute(tmp_path, methods=("aaa", "lsh"), bits=(16,))
    assert (torch.get_default_dtype(), os.getcwd()) == before
    assert all(record.state == "done" for record in summary.records)


def test_a_worker_that_exits_is_lost_and_the_others_run(plugin: Plugin, tmp_path: Path, run_cli: Any) -> None:
    """The one thing that cannot be contained in the driver's own process: the end of the process."""
    plugin("aaa", method_source("aaa", fit="import os; os._exit(3)"))
    command = ("run", "--methods", "aaa,lsh", "--bits", "8", "--results", tmp_path, "--tracking-uri", "none")
    code, _, err = run_cli(*command, "--executor", "processes", "--workers", "1")
    assert code == 1, err
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    kinds = {
        record["spec"]["method"]: (record["state"], (record["failure"] or {}).get("kind"))
        for record in records
    }
    assert kinds == {"aaa": ("failed", "lost"), "lsh": ("done", None)}


def test_a_state_that_cannot_be_stored_is_said_at_the_first_update(plugin: Plugin, tmp_path: Path) -> None:
    fit = "self.n = [ctx.log(step, {'loss': 1.0}) for step in range(50)]"
    source = method_source("aaa", fit=fit).replace(
        '{"bits": torch.tensor(self.bits)}', '{"a": None, "b": "x"}'
    )
    bad, _, store = beside_lsh(plugin, tmp_path, source)
    assert "state()['b'] is a str, not a tensor" in bad.failure.message  # type: ignore[union-attr]
    assert len(store.curve(bad.spec)) == 1


def test_facts_that_json_lacks_are_text_and_changes_are_a_fact(plugin: Plugin, tmp_path: Path) -> None:
    source = (
        method_source("aaa", fit="torch.set_default_dtype(torch.float64)")
        + """
        def facts(self):
            return {"a": float("nan"), "b": -float("inf")}
    """
    )
    bad, good, _ = beside_lsh(plugin, tmp_path, source)
    assert (bad.facts["a"], bad.facts["b"]) == ("nan", "-inf")
    assert bad.facts["changed_settings"] == "torch's default type"
    assert "changed_settings" not in good.facts


@pytest.mark.parametrize("error", ["RuntimeError('licence')", "SystemExit(6)"])
def test_parameters_that_cannot_be_made(plugin: Plugin, tmp_path: Path, run_cli: Any, error: str) -> None:
    odd = f"class Odd(Params):\n        def __init__(self, **values):\n            raise {error}\n\n    "
    source = (
        method_source("aaa")
        .replace("class Thrown", odd + "class Thrown")
        .replace("info =", "Params = Odd\n        info =", 1)
    )
    plugin("aaa", source)
    code, out, err = run_cli("list", "methods")
    assert (code, "lsh" in out) == (0, True)
    assert error.split("(")[0] in out + err
    run = ("run", "--bits", "8", "--results", tmp_path, "--tracking-uri", "none", "--methods")
    code, _, err = run_cli(*run, "aaa,lsh")
    assert (code, err.count("\n"), "'aaa'" in err) == (2, 1, True)
    assert run_cli(*run, "lsh")[0] == 0


def test_a_class_that_cannot_be_described_is_listed_with_the_reason(plugin: Plugin, run_cli: Any) -> None:
    plugin("aaa", method_source("aaa").replace("info =", "variants = 3\n        info =", 1))
    code, out, err = run_cli("list", "methods")
    assert (code, "lsh" in out) == (0, True)
    assert "its facts cannot be read: TypeError" in out + err


def test_one_method_of_a_search_that_fails_costs_the_others_nothing(
    plugin: Plugin, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    wide = (
        'class Wide(Params):\n        search = {"lr": (0.1, 1)}\n        lr: float = 0.5\n\n    class Thrown'
    )
    for name, fit in (("bad", "exit(9)"), ("mover", "__import__('os').chdir('/')")):
        source = method_source(name, fit=fit).replace("class Thrown", wide, 1)
        plugin(name, source.replace("info =", "Params = Wide\n        info =", 1))
    code, _, err = run_cli("tune", "bad,mover", "--bits", "8", "--trials", "2", "--results", "runs")
    assert (code, len([*here.glob("runs/tuning/*.json")])) == (1, 1), err
    assert "every trial of 'bad' failed; the first: SystemExit: 9" in err


@pytest.mark.parametrize("name", ["TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"])
def test_variables_that_torch_sets_for_itself_are_no_plugins_doing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "before")
    monkeypatch.setenv("OTHER", "before")
    with contained() as changed:
        os.environ[name] = "torch's"
    assert (changed, os.environ[name]) == ([], "torch's")
    with contained() as changed:
        os.environ[name] = os.environ["OTHER"] = "again"
    assert changed == ["environment variables"]
    assert (os.environ[name], os.environ["OTHER"]) == ("again", "before")
