"""`search` and `serve`: what is found, what is never served, and the page in a real browser."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.cli import main
from benchmark.data import pictures
from benchmark.use import gallery as galleries
from benchmark.use.encode import encode
from benchmark.use.gallery import Gallery
from benchmark.use.model import open_encoder
from benchmark.use.server import SearchServer
from benchmark.use.sources import image_paths, of_images
from tests.helpers import digits, execute
from tests.programs import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit in `runs`, 60 digits in `photos` with a link that leads out, a secret beside them."""
    folder = tmp_path_factory.mktemp("place")
    execute(folder / "runs", methods=("itq",), bits=(32,))
    data = digits()
    (folder / "photos").mkdir()
    for row in range(60):
        Image.fromarray(data.images[row, 0]).save(folder / "photos" / f"{row:03d}.png")
    Image.fromarray(data.images[70, 0]).save(folder / "secret.png")
    (folder / "photos" / "zz.png").symlink_to(folder / "secret.png")
    return folder


def _fit(place: Path) -> str:
    (record,) = (place / "runs").rglob("record.json")
    return record.parent.name[-16:]


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[SearchServer]:
    encoder = open_encoder(place / "runs", _fit(place))
    photos = place / "photos"
    codes = encode(encoder, of_images(encoder, photos, image_paths(photos)))
    with SearchServer(encoder, Gallery(codes, photos)) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def _ask(server: SearchServer, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    link = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE)
    link.request(
        "GET" if body is None else "POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    answer = link.getresponse()
    found = answer.status, answer.read()
    link.close()
    return found


def test_a_picture_finds_itself(place: Path, server: SearchServer) -> None:
    for kind in ("flat", "ivf"):
        if kind != "flat":
            pytest.importorskip("faiss")
        for rerank in (0, 1):
            content = (place / "photos" / "007.png").read_bytes()
            status, said = _ask(server, f"/search?index={kind}&top=3&rerank={rerank}", content)
            hits = json.loads(said)["hits"]
            assert (status, len(hits)) == (200, 3)
            assert hits[0]["distance"] == 0
            assert "007.png" in {hit["name"] for hit in hits if hit["distance"] == 0}
    by_row = json.loads(_ask(server, "/search?row=7&top=3")[1])["hits"]
    assert by_row[0]["distance"] == 0


def test_nothing_outside_the_folder_is_served(server: SearchServer) -> None:
    assert _ask(server, "/thumbnail/3")[0] == 200
    row = [*server.gallery.codes.ids].index("zz.png")
    for path in (
        f"/thumbnail/{row}",
        "/thumbnail/99999",
        "/thumbnail/-1",
        "/thumbnail/../secret.png",
        "/thumbnail/%2e%2e%2fsecret.png",
        "/../secret.png",
        "/photos/000.png",
    ):
        assert _ask(server, path)[0] in (400, 404), path


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a\0b", "."])
def test_names_from_a_file_of_codes_lead_nowhere(name: str, server: SearchServer, place: Path) -> None:
    codes = server.gallery.codes
    absolute = str(place / "secret.png") if name == "/etc/hostname" else name
    hostile = Gallery(
        type(codes)(codes.codes[:1], None, np.array([absolute], dtype=object), codes.bits), place / "photos"
    )
    with pytest.raises(galleries.InputError):
        hostile.thumbnail(0)


def test_other_hosts_and_origins_are_refused(server: SearchServer) -> None:
    assert _ask(server, "/about")[0] == 200
    assert _ask(server, "/about", Host="evil.example:80")[0] == 403
    assert _ask(server, "/search?top=1", b"x", Origin="http://evil.example")[0] == 403


def test_uploads_are_limited(server: SearchServer, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    assert _ask(server, "/search", b"no picture")[0] == 400
    assert _ask(server, "/search", b"", Content_Length=str(galleries.MAX_BYTES + 1))[0] == 413
    monkeypatch.setattr(galleries, "MAX_PIXELS", 10)
    monkeypatch.setattr(pictures, "parse", lambda *_, **__: pytest.fail("decoded"))
    status, said = _ask(server, "/search", (place / "photos" / "007.png").read_bytes())
    assert (status, b"pixels" in said) == (400, True)


@pytest.mark.parametrize("query", ["index=tree", "top=0", "top=9999", "row=-1", "row=x"])
def test_bad_questions_are_answered(query: str, server: SearchServer) -> None:
    status, said = _ask(server, f"/search?row=0&{query}" if "row" not in query else f"/search?{query}")
    assert status == 400
    assert json.loads(said)["error"]


def test_search_prints_and_draws(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "codes.npz", tmp_path / "page.html"
    fit, photos = ["--results", str(place / "runs")], str(place / "photos")
    assert main(["encode", _fit(place), *fit, "--images", photos, "--out", str(out)]) == 0
    words = ["search", _fit(place), *fit, "--query", f"{photos}/007.png", "--top", "2", "--html", str(page)]
    printed = []
    for database in ([photos], [str(out), "--images", photos]):
        capsys.readouterr()
        assert main([*words, "--database", *database]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "007.png" in printed[0].split(":", 1)[1]
    assert page.read_text().count("<img ") == 3


def test_codes_of_another_fit_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "codes.npz"
    np.savez(
        file, codes=np.zeros((2, 4), np.uint8), bits=32, ids=np.array(["a", "b"]), fit_id=np.array("0" * 16)
    )
    words = ["search", _fit(place), "--results", str(place / "runs"), "--database", str(file)]
    assert main([*words, "--query", str(place / "secret.png")]) == 2
    assert "are of fit 0000000000000000" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_in_a_browser(server: SearchServer, place: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: the search page is not tried in a browser")
    tools: Any = pytest.importorskip("playwright.sync_api")
    expect = tools.expect
    with tools.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width, colours in ((1300, "light"), (375, "dark")):
            page = browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme=colours
            ).new_page()
            errors: list[str] = []
            page.on("console", lambda message, errors=errors: errors.append(message.text))
            page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            page.goto(server.address)
            said = page.locator("#said")
            page.set_input_files("#file", str(place / "photos" / "007.png"))
            expect(said).to_contain_text("20 nearest")
            assert page.locator("#hits button").count() == 20
            assert "distance 0" in page.locator("#hits button").first.inner_text()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.locator("#rerank").focus()
            page.keyboard.press("Space")
            expect(said).to_contain_text("nearest in")
            page.locator("#hits button").nth(1).focus()
            page.keyboard.press("Enter")
            expect(said).to_contain_text("nearest in")
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (colours == "light")
            shown = page.locator("#hits img").first
            shown.evaluate("image => image.decode()")
            assert shown.is_visible()
            assert not [text for text in errors if "400" not in text]
        browser.close()
