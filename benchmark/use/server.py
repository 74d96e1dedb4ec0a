"""The page of `serve`: searches with a picture, over HTTP on this machine alone.

A client names images by their rows and never by paths. What is served are small JPEGs made here of images inside
the database's folder, links that lead out of it left out.
"""

from __future__ import annotations

import json
import threading
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from benchmark.errors import InputError
from benchmark.use.encode import Codes
from benchmark.use.gallery import MAX_BYTES, Gallery, encode_picture
from benchmark.use.index import Hits, Index, available
from benchmark.use.model import Encoder

MAX_TOP = 200
_POLICY = (
    "default-src 'none'; img-src 'self' blob: data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'"
)
#: Seconds after which a client that sends nothing is left.
_PATIENCE = 30


class SearchServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1. port: 0 takes any that is free; `address` says which."""

    daemon_threads = True

    def __init__(self, encoder: Encoder, gallery: Gallery, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.encoder, self.gallery, self.lock = encoder, gallery, threading.Lock()
        self._indexes: dict[str, Index] = {}

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    @cached_property
    def hosts(self) -> set[str]:
        """What a request's Host may be: any other is a page from elsewhere whose name was pointed here."""
        port = self.server_address[1]
        return {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    def find(self, queries: Codes, kind: str, top: int, rerank: bool) -> Hits:
        """Search; an index is built when it is first asked for. One search at a time."""
        with self.lock:
            if kind not in self._indexes:
                self._indexes[kind] = Index(self.gallery.codes, kind)
            return self._indexes[kind].search(queries, top, rerank=rerank)


class _Handler(BaseHTTPRequestHandler):
    server: SearchServer
    timeout = _PATIENCE
    server_version, sys_version = "benchmark", ""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, handle: Any) -> None:
        origin = self.headers.get("Origin")
        known = self.headers.get("Host", "") in self.server.hosts
        if not known or (origin and origin not in {f"http://{host}" for host in self.server.hosts}):
            self._send(HTTPStatus.FORBIDDEN, {"error": "this page answers on 127.0.0.1 alone"})
            return
        try:
            handle(urlsplit(self.path))
        except InputError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _get(self, url: Any) -> None:
        words = url.path.strip("/").split("/")
        if words == [""]:
            page = resources.files("benchmark.use").joinpath("templates/page.html").read_bytes()
            self._send(HTTPStatus.OK, page, "text/html; charset=utf-8")
        elif words == ["about"]:
            self._send(HTTPStatus.OK, self._about())
        elif words == ["search"]:
            codes = self.server.gallery.codes
            row = _number(url, "row", 0, len(codes.ids) - 1)
            outputs = None if codes.outputs is None else codes.outputs[row : row + 1]
            self._search(
                url, Codes(codes.codes[row : row + 1], outputs, codes.ids[row : row + 1], codes.bits)
            )
        elif len(words) == 2 and words[0] == "thumbnail" and words[1].isascii() and words[1].isdigit():
            self._send(HTTPStatus.OK, self.server.gallery.thumbnail(int(words[1][:12])), "image/jpeg")
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})

    def _post(self, url: Any) -> None:
        if url.path != "/search":
            self._send(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > MAX_BYTES:
            self.close_connection = True
            self._send(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"a picture of at most {MAX_BYTES >> 20} MiB"}
            )
            return
        content = self.rfile.read(int(length))
        with self.server.lock:
            query = encode_picture(self.server.encoder, content)
        self._search(url, query)

    def _search(self, url: Any, query: Codes) -> None:
        asked = parse_qs(url.query)
        kind, rerank = asked.get("index", ["flat"])[0], asked.get("rerank", ["0"])[0] == "1"
        hits = self.server.find(query, kind, _number(url, "top", 1, MAX_TOP, 20), rerank)
        ids = self.server.gallery.codes.ids
        found = [
            {"row": int(row), "name": str(ids[row]), "distance": int(distance)}
            for row, distance in zip(hits.rows[0], hits.distances[0])
            if row >= 0
        ]
        self._send(HTTPStatus.OK, {"hits": found, "milliseconds": 1000 * hits.seconds})

    def _about(self) -> dict[str, Any]:
        gallery, spec = self.server.gallery, self.server.encoder.record.spec
        return {
            "fit": f"{spec.label} ({spec.fit_id})",
            "items": len(gallery.codes.ids),
            "pictures": gallery.folder is not None,
            "indexes": available(),
            "rerank": gallery.codes.outputs is not None,
            "samples": np.linspace(0, len(gallery.codes.ids) - 1, 12).astype(int).tolist(),
        }

    def _send(self, status: HTTPStatus, content: Any, kind: str = "application/json") -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the page itself shows what was wrong."""


def _number(url: Any, name: str, low: int, high: int, usual: int | None = None) -> int:
    text = parse_qs(url.query).get(name, ["" if usual is None else str(usual)])[0]
    if not (text.isascii() and text.isdigit() and len(text) < 13 and low <= int(text) <= high):
        raise InputError(f"{name} must be a number from {low} to {high}")
    return int(text)
