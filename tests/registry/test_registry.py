from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import registry
from benchmark.errors import InputError
from benchmark.registry.catalogue import _scan_elsewhere
from benchmark.registry.entry import Entry
from benchmark.registry.scan import _refuse_duplicates, scan

GOOD = """
    import torch
    from benchmark.contracts import HashMethod, MethodInfo, Params

    class {cls}(HashMethod):
        info = MethodInfo(name="{name}", title="T", paper="P", year=2020, venue="V", version=1,
                          labels=("single",), supervision="unsupervised", trained_by="closed-form")

        def fit(self, data, ctx):
            self.bits = ctx.task.bits

        def encode(self, images):
            return images.float().flatten(1)[:, : self.bits] - 100

        def state(self):
            return {{"bits": torch.tensor(self.bits)}}

        def load_state(self, state, ctx):
            self.bits = int(state["bits"])
"""


def test_listing_imports_no_torch_indexed_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    code = "import sys\nfrom benchmark.cli import main\nassert main(['list', 'methods']) == 0\n"
    light = "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    first, second = (
        subprocess.run([sys.executable, "-c", code + light], check=True, capture_output=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom benchmark.cli import main\nassert main(['--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'rich', 'pandas', 'mlflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_shipped_plugin_works() -> None:
    for kind in registry.KINDS:
        broken = {e.name: e.error for e in registry.entries(kind) if e.error}
        assert not broken
    assert {"coophash", "hashnet", "itq", "lsh"} <= set(registry.names("methods"))
    assert {"digits", "mnist", "cifar10", "cifar10-jpeg"} <= set(registry.names("datasets"))


def test_a_package_is_found_and_usable(plugin: Callable[..., Path]) -> None:
    plugin("packaged", GOOD.format(cls="Packaged", name="packaged"))
    entry = registry.find("methods", "packaged")
    assert entry.origin == "package throwaway_packaged"
    assert registry.method_class("packaged").info.title == "T"


def test_an_entry_point_may_name_the_class(plugin: Callable[..., Path]) -> None:
    source = GOOD.format(cls="One", name="one") + GOOD.format(cls="Two", name="two")
    plugin("pair", source, target="Two")
    assert "two" in registry.names("methods")
    assert "one" not in registry.names("methods")


def test_an_edited_plugin_is_read_again(plugin: Callable[..., Path]) -> None:
    path = plugin("edited", GOOD.format(cls="Edited", name="edited"))
    before = registry.find("methods", "edited").digest
    path.write_text(path.read_text() + "\n# only a comment\n")
    registry.refresh()
    assert registry.find("methods", "edited").digest == before, "a comment changes no number"
    path.write_text(path.read_text().replace("- 100", "- 101"))
    registry.refresh()
    assert registry.find("methods", "edited").digest != before


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("broken", "import does_not_exist_anywhere", "does_not_exist_anywhere"),
        ("quits", "raise SystemExit('no licence')", "no licence"),
        ("syntax", "def (", "SyntaxError"),
        ("empty", "x = 1", "defines no HashMethod"),
        ("halfway", GOOD.format(cls="Half", name="halfway").replace("def encode", "def enc"), "encode"),
        (
            "noinfo",
            "from benchmark.contracts import HashMethod\nclass NoInfo(HashMethod):\n    def fit(self, d, c): ...\n"
            "    def encode(self, i): ...\n    def state(self): ...\n    def load_state(self, s, c): ...\n",
            "info",
        ),
        ("badparams", GOOD.format(cls="B", name="badparams") + "\n        Params = dict\n", "Params"),
        (
            "hashnet",
            GOOD.format(cls="Copy", name="hashnet"),
            "already taken by methods/hashnet.py",
        ),
    ],
)
def test_a_bad_plugin_is_listed_with_its_reason(
    plugin: Callable[..., Path],
    run_cli: Callable[..., tuple[int, str, str]],
    name: str,
    source: str,
    reason: str,
) -> None:
    plugin(name, source)
    found = [e for e in registry.entries("methods") if e.origin == f"package throwaway_{name}" and e.error]
    assert len(found) == 1
    assert reason in found[0].error
    code, out, _ = run_cli("list", "methods")
    assert code == 0
    assert f"BROKEN: {found[0].error}" in out
    assert "itq" in registry.names("methods"), "one bad plug-in stops no other"
    assert registry.find("methods", "hashnet").origin == "methods/hashnet.py"


def test_a_scan_in_another_process_finds_the_same(plugin: Callable[..., Path]) -> None:
    plugin("packaged", "\n    print('noise on stdout')" + GOOD.format(cls="Packaged", name="packaged"))
    plugin("broken", "import does_not_exist_anywhere")
    plugin("quits", "raise SystemExit('no licence')")
    found = _scan_elsewhere()
    assert found == scan()
    assert {entry.name for entry in found if entry.error} == {"throwaway-broken", "throwaway-quits"}


def test_a_plugin_that_ends_the_scan_is_one_clear_line(plugin: Callable[..., Path]) -> None:
    plugin("kills", "import os, sys\nprint('licence server gone', file=sys.stderr, flush=True)\nos._exit(3)")
    with pytest.raises(InputError, match="could not be listed: licence server gone"):
        _scan_elsewhere()


def test_asking_for_a_broken_plugin_says_why(plugin: Callable[..., Path]) -> None:
    plugin("broken", "import does_not_exist_anywhere")
    with pytest.raises(InputError, match=r"throwaway-broken.*does_not_exist_anywhere"):
        registry.find("methods", "throwaway-broken")


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean hashnet"):
        registry.find("methods", "hasnet")
    with pytest.raises(InputError, match="did you mean digits"):
        registry.dataset("digit")
    with pytest.raises(InputError, match="did you mean lr"):
        registry.method_params("hashnet", {"lrr": 1})


def test_parameters_are_checked() -> None:
    with pytest.raises(InputError, match=r"parameter of hashnet.*lr"):
        registry.method_params("hashnet", {"lr": -1})
    assert registry.method_params("itq", {"iterations": 3}).model_dump()["iterations"] == 3


def test_a_damaged_index_is_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    registry.refresh()
    names = registry.names("methods")
    (index,) = (tmp_path / "index").glob("*.json")
    assert {row["name"] for row in json.loads(index.read_text()) if row["kind"] == "methods"} >= set(names)
    index.write_text("{not json")
    registry.refresh()
    assert registry.names("methods") == names


def test_an_unwritable_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("BENCHMARK_CACHE", str(blocker / "below"))
    registry.refresh()
    assert "hashnet" in registry.names("methods")
    registry.refresh()


class TestNamesThatTwoClaim:
    """A copied method file keeps the name inside: neither file is trained in the other's place."""

    @staticmethod
    def refused(*origins: str, modules: tuple[str, ...] = ()) -> dict[str, str]:
        found = [
            Entry("methods", "lsh", module, "LSH", origin)
            for origin, module in zip(origins, modules or origins, strict=True)
        ]
        other = Entry("methods", "itq", "itq", "ITQ", "methods/itq.py")
        kept = _refuse_duplicates([*found, other])
        assert kept[-1] == other, "the others go on"
        return {entry.origin: entry.error for entry in kept[:-1]}

    def test_two_files_are_both_refused_and_named(self) -> None:
        found = self.refused("methods/a_lsh_variant.py", "methods/lsh.py")
        text = "the name 'lsh' is claimed by methods/a_lsh_variant.py and methods/lsh.py; give one"
        assert all(error.startswith(text) for error in found.values())

    def test_two_packages_too(self) -> None:
        found = self.refused("package one", "package other")
        assert all("claimed by package one and package other" in error for error in found.values())

    def test_two_classes_of_one_file_too(self) -> None:
        found = _refuse_duplicates([Entry("datasets", "x", "m", name, "datasets/m.py") for name in "AB"])
        assert all("claimed by datasets/m.py" in entry.error for entry in found)

    def test_the_projects_own_file_stands_above_a_package(self) -> None:
        assert self.refused("methods/lsh.py", "package one") == {
            "methods/lsh.py": "",
            "package one": "the name 'lsh' is already taken by methods/lsh.py",
        }

    def test_one_class_registered_twice_counts_once(self) -> None:
        found = self.refused("package one", "package one again", modules=("same", "same"))
        assert [*found.values()] == ["", "the name 'lsh' is already taken by package one"]

    def test_a_copied_file_is_told_by_name(self, tmp_path: Path) -> None:
        """As a user meets it: in a checkout of their own."""
        root = Path(__file__).parents[2]
        for name in ("benchmark", "datasets", "methods"):
            shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(tmp_path / "methods/lsh.py", tmp_path / "methods/a_lsh_variant.py")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "BENCHMARK_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "benchmark", "run", "--plan", "--results", str(tmp_path / "runs")]

        def plan(methods: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command, "--methods", methods],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
            )

        refused = plan("lsh")
        assert refused.returncode == 2
        assert "claimed by methods/a_lsh_variant.py and methods/lsh.py" in refused.stderr
        assert plan("itq").returncode == 0
