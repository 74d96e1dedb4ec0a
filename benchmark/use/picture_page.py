"""The hits of a search as one HTML page that opens from a file."""

from __future__ import annotations

import contextlib
import html
from pathlib import Path

from benchmark.data import pictures
from benchmark.errors import InputError
from benchmark.use.encode import Codes
from benchmark.use.gallery import Gallery, as_url, thumbnail
from benchmark.use.index import Hits

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Nearest by hash codes</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root{color-scheme:light dark}body{font:15px/1.4 system-ui,sans-serif;margin:1rem}
section{display:flex;flex-wrap:wrap;gap:.5rem;margin-bottom:1.5rem}figure{margin:0;width:130px;overflow-wrap:anywhere}
img{width:100%;aspect-ratio:1;object-fit:contain}.query{outline:3px solid}</style>
"""


def render(folder: Path, queries: Codes, gallery: Gallery, hits: Hits) -> str:
    """The page's text. folder: where the queries' images lie. Pictures that cannot be had are left out."""
    parts = [_HEAD]
    for number, name in enumerate(queries.ids):
        with contextlib.suppress(InputError):
            parts.append(f"<h2>{html.escape(str(name))}</h2><section>")
            parts.append(_figure(thumbnail(pictures.content(folder / str(name))), "query", ' class="query"'))
        for row, distance in zip(hits.rows[number], hits.distances[number]):
            if row >= 0:
                image = b""
                with contextlib.suppress(InputError):
                    image = gallery.thumbnail(int(row))
                parts.append(_figure(image, f"{gallery.codes.ids[row]} · distance {distance}"))
        parts.append("</section>")
    return "\n".join(parts)


def _figure(image: bytes, text: str, kind: str = "") -> str:
    shown = f'<img alt="" src="{as_url(image)}">' if image else ""
    return f"<figure{kind}>{shown}<figcaption>{html.escape(text)}</figcaption></figure>"
