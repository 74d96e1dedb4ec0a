"""A matplotlib figure for the page: an SVG that follows the page's colours, and its points with their values."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from benchmark.report.page.points import Point, points

#: A larger drawing (a scatter of every code) is embedded as the PNG that the report has anyway.
MAX_SVG = 400_000

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_KEPT = frozenset(
    [
        "svg",
        "g",
        "path",
        "use",
        "defs",
        "clipPath",
        "rect",
        "circle",
        "text",
        "tspan",
        "image",
        "linearGradient",
        "stop",
        "symbol",
        "polygon",
    ]
)
_PRIVATE_BLACK = "#010101"  # black that stays black on a dark page


@dataclass(frozen=True)
class Picture:
    """One figure as shown: `svg` markup; or the `uri` of a PNG, as data where the markup would be too large, or the
    name of the file beside the page.

    width: inches as drawn. styles: class -> declarations that the SVG uses. points: what hovering shows.
    """

    name: str
    svg: str
    uri: str
    width: float
    styles: dict[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()


def linked(name: str, figure: Any) -> Picture:
    """The figure, already laid out, as the PNG file of its name beside the page."""
    return Picture(name, "", f"{name}.png", float(figure.get_size_inches()[0]), {}, points(figure))


def picture(name: str, figure: Any, png: bytes) -> Picture:
    """The figure, already laid out and saved as `png`, for the page. Changes its background and text colours."""
    import matplotlib

    found = points(figure)
    _adapt(figure)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(
            buffer, format="svg", dpi=200, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    width = float(figure.get_size_inches()[0])
    if len(buffer.getvalue()) > MAX_SVG:
        uri = "data:image/png;base64," + base64.b64encode(png).decode()
        return Picture(name, "", uri, width, {}, found)
    svg, styles = _inline(buffer.getvalue(), _digest(name))
    return Picture(name, svg, "", width, styles, found)


def _adapt(figure: Any) -> None:
    """No paper behind the drawing; black text stays black only where something coloured is behind it."""
    renderer = figure.canvas.get_renderer()
    figure.patch.set_facecolor("none")
    for axes in figure.axes:
        axes.patch.set_facecolor("none")
        shapes = [*axes.patches, *axes.images]
        for text in axes.texts:
            if text.get_color() not in ("black", "k", "#000000") or not text.get_text().strip():
                continue
            box = text.get_window_extent(renderer)
            middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
            covered = [one for one in shapes if one.get_window_extent(renderer).contains(*middle)]
            if text.get_bbox_patch() is not None or any(_filled(one) for one in covered):
                text.set_color(_PRIVATE_BLACK)


def _filled(shape: Any) -> bool:
    """Whether a shape paints its inside: pictures do, patches with a face that can be seen too."""
    face = shape.get_facecolor() if hasattr(shape, "get_facecolor") else (0, 0, 0, 1)
    return not hasattr(shape, "get_fill") or bool(shape.get_fill() and face[3] > 0.2)


def _inline(content: bytes, prefix: str) -> tuple[str, dict[str, str]]:
    """The SVG as markup for an HTML page, with classes in the place of style attributes.

    Ids get a prefix, so that two figures do not share one; anything that is not a drawing is dropped.
    """
    root = ElementTree.fromstring(content)
    styles: dict[str, str] = {}
    used = set(re.findall(rb'(?:href="#|url\(#)([^")]+)', content))
    _clean(root, prefix, {name.decode() for name in used}, styles)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("fill", "currentColor")
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    ElementTree.register_namespace("", _SVG)
    text = ElementTree.tostring(root, encoding="unicode")
    return re.sub(r"\s*\n\s*", "\n", text), styles


def _clean(node: ElementTree.Element, prefix: str, used: set[str], styles: dict[str, str]) -> None:
    for child in list(node):
        if not isinstance(child.tag, str) or child.tag.removeprefix(f"{{{_SVG}}}") not in _KEPT:
            node.remove(child)
        else:
            _clean(child, prefix, used, styles)
    for key, value in list(node.attrib.items()):
        plain = key.removeprefix(f"{{{_XLINK}}}")
        if key == "style":
            del node.attrib[key]
            declarations = re.sub(r"#000000\b", "currentColor", value)
            name = "x" + _digest(declarations)
            styles[name] = declarations
            node.set("class", name)
        elif key == "id":
            if value in used:
                node.set("id", prefix + value)
            else:
                del node.attrib["id"]
        elif plain == "href":
            del node.attrib[key]
            node.set("href", f"#{prefix}{value[1:]}" if value.startswith("#") else value)
        elif value.startswith("url(#"):
            node.set(key, f"url(#{prefix}{value[5:]}")
        elif plain != key:
            del node.attrib[key]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
