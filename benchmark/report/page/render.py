"""The page put together: template, styles, script and data in one file, under a policy that allows only them."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark import __version__
from benchmark.report.context import Context
from benchmark.report.figures.style import COLOURS
from benchmark.report.page.embed import cell_json, copies, points_json, records_json, script_json
from benchmark.report.page.headline import Headline, unfinished
from benchmark.report.page.picture import Picture
from benchmark.report.page.view import colour_class, overview, section_views, unrecorded
from benchmark.report.tables.cells import Drawn


def page_html(
    ctx: Context,
    sections: Iterable[tuple[Any, Drawn]],
    pictures: Mapping[str, Picture],
    first: Sequence[Headline] = (),
) -> str:
    """The whole report as one HTML document that needs nothing beside it but linked pictures.

    sections: (artifact, what was drawn of it). pictures: by figure name; a figure without one shows its values
    alone. first: the words at the top. The same records give the same text. The content security policy names the
    digests of the page's one script and one style sheet, so no text of a record could run even if it became markup.
    """
    everything = section_views(sections)
    views = [view for view in everything if not view.empty]
    places = {record.fit_id: place for place, record in enumerate(ctx.records)}
    shown = [pictures[figure.name] for view in views for figure in view.figures if figure.name in pictures]
    data = {
        "records": records_json(ctx),
        "colours": {name: colour_class(name) for name in sorted({r.spec.method for r in ctx.records})},
        "sheets": [
            [[cell_json(cell, places) for cell in row] for row in view.sheet.rows]
            for section in views
            for view in section.sheets
        ],
        "copies": copies([view.sheet for section in views for view in section.sheets]),
        "behind": {
            figure.name: points_json(figure.data)
            for view in views
            for figure in view.figures
            if figure.data is not None
        },
    }
    hover = {one.name: one.points for one in shown if one.points}
    style, script = _source("page.css") + _styles(shown), _source("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            overview=overview(ctx),
            unfinished=unfinished(ctx),
            headlines=first,
            unrecorded=unrecorded(view.title for view in everything if view.empty),
            sections=views,
            pictures=pictures,
            data=Markup(script_json(data)),
            hover=Markup(script_json(hover)),
            style=Markup(style),
            script=Markup(script),
            style_digest=_digest(style),
            files=any(one.uri and not one.uri.startswith("data:") for one in shown),
            script_digest=_digest(script),
            version=__version__,
            markup=Markup,
        )
    )


#: What a drawing leaves in the page: itself, its values' places, its styles and their digest.
_DRAWN = re.compile(
    r'<svg .*?</svg>|<img class="paper"[^>]*>|<script type="application/json" id="hover">.*?</script>'
    r"|<style>.*?</style>|style-src '[^']*'",
    re.DOTALL,
)


def words(html: str) -> str:
    """A page without its drawings, whose coordinates may differ by a hair between machines."""
    return _DRAWN.sub("", html)


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("benchmark.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def _styles(pictures: Iterable[Picture]) -> str:
    """Rules of the methods' colours and of the drawings. Black follows the page's ink."""
    rules = [
        f".m{number}{{--method:{'var(--ink)' if colour == '#000000' else colour}}}"
        for number, colour in enumerate(COLOURS)
    ]
    declared = {name: text for one in pictures for name, text in one.styles.items()}
    rules += [f".{name}{{{text}}}" for name, text in sorted(declared.items())]
    return "\n".join([*rules, ""])


def _digest(text: str) -> str:
    """As a content security policy names an inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
