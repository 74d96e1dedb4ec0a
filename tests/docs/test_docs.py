"""The documentation builds, says what is broken, and opens without a server or a request."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

for _module in ("mkdocs", "material", "mkdocstrings_handlers.python"):
    pytest.importorskip(_module, reason="the documentation's builder is missing: pip install -e '.[docs]'")

MISTAKES = """
A [page that is gone](gone.md), [an anchor that is gone](protocols.md#gone) and [a folder](../gone/).
- a list without an empty line

1. One

  - an inner list at two spaces

psi + <e, phi>, and `<code>` that stays
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site and the builder's warnings, from a copy of the pages with mistakes at the end of one of them."""
    copy = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "docs", copy / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md"):
        shutil.copy(ROOT / name, copy)
    for name in ("benchmark", "methods", "results"):
        (copy / name).symlink_to(ROOT / name)
    page = copy / "docs" / "faq.md"
    page.write_text(page.read_text(encoding="utf-8") + MISTAKES, encoding="utf-8")
    (copy / "docs" / "left-out.md").write_text("# In no navigation\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(copy / "site")],
        cwd=copy,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    said = re.findall(r"^(?:WARNING|ERROR) +-  (.*)$", done.stderr, re.MULTILINE)
    return copy / "site", said, done


def test_mistakes_are_warnings_and_nothing_else_is(built):
    _site, said, done = built
    expected = [
        "left-out.md",
        "'gone.md'",
        "'protocols.md#gone'",
        "'../gone/'",
        "a list needs an empty line before it",
        "an inner list needs four spaces",
        "<e, phi> is taken for HTML",
    ]
    text = re.sub(r"\n +", " ", done.stderr)
    assert done.returncode == 1, text
    assert not [part for part in expected if part not in text], text
    assert len(said) == len(expected), f"the pages themselves have mistakes:\n{text}"


def test_pages_keep_the_repository_s_paths(built):
    site, _said, _done = built
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("results/reproduced/*/README.md")]
    for page in pages:
        path = page.relative_to(ROOT)
        html = site / path.with_name("index.html" if path.stem == "README" else f"{path.stem}.html")
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert "<h1 id=" in html.read_text(encoding="utf-8"), html
        assert re.sub(r"\W", "", title) in re.sub(r"&#?\w+;|\W", "", html.read_text(encoding="utf-8")), html


def test_links_lead_to_files_of_the_site(built):
    """From every page to every page, figure and folder: relative, and there."""
    site, _said, _done = built
    dead = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # served from any path, so its links are absolute
            continue
        for link in re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8")):
            path = link.partition("#")[0].partition("?")[0]
            if path and not (page.parent / path).is_file():
                dead.append(f"{page.relative_to(site)}: {link}")
    assert sorted(dead) == ["docs/faq.html: ../gone/", "docs/faq.html: gone.md"], "all but the planted ones"


def test_nothing_is_fetched_to_read(built):
    site, _said, _done = built
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+', text), (
            page
        )


def test_reference_has_docstrings_bounds_and_types(built):
    site, _said, _done = built
    reference = site / "docs" / "reference"
    coophash = re.sub(r"<[^>]+>|\s+", " ", (reference / "coophash.html").read_text(encoding="utf-8"))
    rows = re.sub(r" +", " ", coophash)
    assert "noise float | None standard deviation of the noise added at each update" in rows
    assert re.search(r"weight_tr float L_TR, the hash head; default [\d.]+ , ≥ 0, ≤ \d+", rows)
    assert "sigmoid(scale &lt;a, b&gt; / bits)" in rows
    contracts = (reference / "contracts.html").read_text(encoding="utf-8")
    assert "labelled training images, uint8 (n, channels, height, width)" in contracts
    assert 'id="benchmark.contracts.HashMethod.encode"' in contracts
