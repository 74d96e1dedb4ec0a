"""The site is the repository's own pages under their own paths, and whatever file they link to.

The start page, `docs/`, results and the reports that they link to are taken from where they lie; nothing is copied
by hand, and a relative link means the same here and on a code host. A link to a file outside those pages (a module,
a figure, a table) brings that file along as it is. What a code host reads otherwise than this builder is a warning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath
from typing import Any
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.repository")

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = "results/reproduced/*/README.md"
PAGES = ("README.md", "docs/*.md", "docs/reference/*.md", "results/README.md", ACCOUNTS)
ASSETS = ("docs/_site/*.css", "docs/_site/*.js")

_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_TAG = re.compile(r"<(?!/?(?:u|sub|sup|br|a|img|details|summary)\b[^,<]*>|!--)[A-Za-z/][^<>]*>")
_ITEM = re.compile(r"( *)(?:[-*+]|\d+\.) +")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every account of reproduced results into the navigation, where the configuration has their pattern."""
    config.nav = _expanded(config.nav or [])
    return config


def _expanded(entries: list[Any]) -> list[Any]:
    out: list[Any] = []
    for entry in entries:
        if isinstance(entry, str) and "*" in entry:
            out.extend(_paths(entry))
        elif isinstance(entry, dict):
            lists = {key: _expanded(value) for key, value in entry.items() if isinstance(value, list)}
            out.append({**entry, **lists})
        else:
            out.append(entry)
    return out


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace what the documentation folder holds by the repository's pages and the files that they link to."""
    wanted = [path for pattern in (*PAGES, *ASSETS) for path in _paths(pattern)]
    seen = set(wanted)
    for path in wanted:  # grows while it is read
        for target in _linked(path):
            if target not in seen and _belongs(target):
                seen.add(target)
                wanted.append(target)
    others = [one for one in files if one.src_dir != config.docs_dir]  # the theme's
    return Files([*(_file(path, config) for path in wanted), *others])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Warn of what would look otherwise than on a code host; let a link to a folder lead to that folder's page."""
    for number, problem in _misread(markdown):
        log.warning("%s: line %d: %s", page.file.src_uri, number, problem)

    def to_page(link: re.Match[str]) -> str:
        inside = f"{_target(page.file.src_uri, link[1])}/README.md"
        return (
            link[0].replace(link[1], f"{link[1].rstrip('/')}/README.md")
            if inside in files.src_uris
            else link[0]
        )

    return _LINK.sub(to_page, markdown)


def _file(path: str, config: MkDocsConfig) -> File:
    source = ROOT / path
    if source.is_file():
        return File.generated(config, path, abs_src_path=str(source))
    return File.generated(config, path, content=_listing(source.parent))


def _listing(folder: Path) -> str:
    """The page of a folder without a README: what a code host shows of it, by the titles of the pages inside."""
    items = []
    for one in sorted(folder.iterdir()):
        readme = one / "README.md"
        if readme.is_file():
            title = readme.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            items.append(f"- [{one.name}/]({one.name}/README.md): {title}")
        elif not one.name.startswith("."):
            items.append(f"- `{one.name}{'/' if one.is_dir() else ''}`")
    return "\n".join([f"# {folder.relative_to(ROOT).as_posix()}/", "", *items, ""])


def _paths(pattern: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def _belongs(path: str) -> bool:
    """Whether a link's target is a file of the checkout, or a folder's page; the builder warns of any other."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    folder = path.endswith("/README.md") and (ROOT / path).parent.is_dir()
    return not hidden and (folder or (ROOT / path).is_file())


def _linked(path: str) -> Iterator[str]:
    """What a page links to inside the checkout: files, and README.md for a folder."""
    if not path.endswith(".md") or not (ROOT / path).is_file():
        return
    text = (ROOT / path).read_text(encoding="utf-8")
    for link in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
        target = _target(path, link)
        if target is not None:
            yield f"{target}/README.md" if (ROOT / target).is_dir() else target


def _target(path: str, link: str) -> str | None:
    """The path from the repository's root that a relative link on the page `path` leads to."""
    parts = urlsplit(link)
    if not parts.path or parts.scheme or parts.netloc or parts.path.startswith("/"):
        return None
    return normpath(f"{Path(path).parent.as_posix()}/{unquote(parts.path)}")


def _misread(markdown: str) -> Iterator[tuple[int, str]]:
    """What builder and code host read differently, with its line: lists and angle brackets, outside code."""
    text = _blank(_CODE, _blank(_FENCE, markdown))
    for found in _TAG.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, f"{found[0]} is taken for HTML; write it as code"
    before, inside = "", False
    for number, line in enumerate(text.split("\n"), 1):
        item = _ITEM.match(line)
        if item and before.strip() and not inside:
            yield number, "a list needs an empty line before it"
        if item and inside and len(item[1]) % 4:
            yield number, "an inner list needs four spaces"
        inside = bool(item) or (inside and (line.startswith(" ") or not line.strip()))
        before = line


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """`text` with what the pattern finds blanked, every line in its place."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", "·", found[0]), text)
