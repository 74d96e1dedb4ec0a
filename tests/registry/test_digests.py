"""Source digests: what makes a record stale, what does not, and that records of earlier versions are not."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest

from benchmark import registry
from benchmark.registry import digests
from benchmark.registry.digests import former_digests, plugin_digest

REPRODUCED = Path(__file__).parents[2] / "results" / "reproduced"

METHOD = '''
"""A method."""
import torch
from benchmark.contracts import HashMethod, MethodInfo
from pkg.losses import pull, push

class Mine(HashMethod):
    """It does something."""
    def fit(self, data, ctx):
        # a comment
        return pull(2) + push(None)
'''
LOSSES = "def pull(x):\n    return x\ndef push(x):\n    return 'text'\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "mine.py").write_text(METHOD)
    (folder / "losses.py").write_text(LOSSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "pkg"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def after(package: Path, file: str, text: str) -> bool:
    """Whether the digest stays when a file of the package becomes `text`."""
    before = plugin_digest("pkg.mine")
    (package / file).write_text(textwrap.dedent(text))
    return plugin_digest("pkg.mine") == before


class TestBehaviour:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"""A method."""', '"""Another word."""'),
            ('    """It does something."""\n', ""),
            ("# a comment", "# another"),
            ("pull(2) + push(None)", "(pull(2)\n            + push(None))"),
            ("import torch\n", ""),
            ("from benchmark.contracts import", "from benchmark.authoring import"),
            ("from pkg.losses import pull, push", "from pkg.losses import push\nfrom pkg.losses import pull"),
            ("from pkg.losses", "from .losses"),
        ],
    )
    def test_words_layout_and_addresses_do_not_count(self, package: Path, old: str, new: str) -> None:
        text = METHOD.replace(old, new)
        if not new:  # an import that goes comes again below the others
            text = text.replace("class Mine", f"{old}class Mine") if old.startswith("import") else text
        assert text != METHOD
        assert after(package, "mine.py", text)

    @pytest.mark.parametrize(
        ("file", "old", "new"),
        [
            ("mine.py", "pull(2)", "pull(3)"),
            ("mine.py", "push(None)", "push()"),
            ("mine.py", "import torch", "import numpy as torch"),
            ("mine.py", "def fit", "def fitted"),
            ("losses.py", "'text'", "'Text'"),
            ("losses.py", "return x", "return [x]"),
        ],
    )
    def test_what_changes_numbers_counts(self, package: Path, file: str, old: str, new: str) -> None:
        text = (METHOD if file == "mine.py" else LOSSES).replace(old, new)
        assert not after(package, file, text)

    @pytest.mark.parametrize("call", ["MethodInfo", "contracts.Variant"])
    def test_how_a_method_is_drawn_does_not_count(self, package: Path, call: str) -> None:
        declared = METHOD.replace(
            "    def fit", f'    info = {call}(name="mine", look=("blue",))\n    def fit'
        )
        (package / "mine.py").write_text(declared)
        former = former_digests("pkg.mine")
        assert after(package, "mine.py", declared.replace(', look=("blue",)', ""))
        assert former_digests("pkg.mine") == former
        assert not after(package, "mine.py", declared.replace("mine", "other"))

    def test_relative_imports_are_followed(self, package: Path) -> None:
        (package / "mine.py").write_text(METHOD.replace("pkg.losses", ".losses"))
        assert not after(package, "losses.py", LOSSES.replace("text", "other"))

    def test_shared_pieces_count_through_the_addresses_that_hand_them_on(self, package: Path) -> None:
        assert digests._imported(parse("from benchmark.losses import cosine"), "pkg") == [
            "benchmark.methods._pairs"
        ]
        assert "benchmark.methods._stepwise" in digests._imported(
            parse("from methods._stepwise import Batch"), "pkg"
        )
        assert "benchmark.methods._pairs" in digests._imported(parse("from methods import _pairs"), "pkg")

    def test_a_tree_reads_the_same_in_every_python(self) -> None:
        """Python 3.12 added fields to functions and classes, 3.13 leaves empty ones out of its own dump."""
        import ast

        node = ast.parse("class A:\n    def f(self, x=None): return -1.5, u'é', b'b', ...")
        text = digests._text(node)
        assert "type_params" not in text
        assert "[]" not in text
        assert text == (
            "Module(body=[ClassDef(name='A', body=[FunctionDef(name='f', args=arguments(args=[arg(arg='self'), "
            "arg(arg='x')], defaults=[Constant()]), body=[Return(value=Tuple(elts=[UnaryOp(op=USub(), "
            "operand=Constant(value=1.5)), Constant(value='é', kind='u'), Constant(value=b'b'), "
            "Constant(value=Ellipsis)], ctx=Load()))])])])"
        )


def parse(statement: str) -> digests.ast.ImportFrom:
    (node,) = digests.ast.parse(statement).body
    assert isinstance(node, digests.ast.ImportFrom)
    return node


class TestFormer:
    def test_committed_records_of_the_former_rule_are_current(self) -> None:
        former = {digest for found in digests._former().values() for digest in found}
        records = [json.loads(path.read_text()) for path in REPRODUCED.rglob("record.json")]
        made = [(r["spec"]["method"], r["source_digest"]) for r in records if r["source_digest"] in former]
        # ITQ decomposes few images otherwise since, CSQ has other centres and rates, HSWD's base heeds its recipe,
        # the references of GreedyHash and BiHalf without labels have another mean on images.
        changed = ("itq", "csq", "hswd", "greedyhash-u", "bihalf-u")
        made = [one for one in made if one[0] not in changed]
        assert len(made) > 50
        assert not [one for one in made if not registry.is_current(*one)]

    def test_every_former_digest_is_one_of_a_method_that_is_here(self) -> None:
        here = {entry.digest for kind in registry.KINDS for entry in registry.entries(kind)}
        assert {*digests._former()} & here, "or the table can go"
        assert not registry.is_current("lsh", "0123456789abcdef")
        assert registry.is_current("not-installed-here", "0123456789abcdef")

    def test_an_installed_plugin_keeps_its_records(self, package: Path) -> None:
        """Digests by the former rule: a constant, computed before the rule changed."""
        (former,) = former_digests("pkg.mine")
        assert former != plugin_digest("pkg.mine")
        (package / "losses.py").write_text(LOSSES.replace("text", "other"))
        assert former_digests("pkg.mine") != (former,)
