"""Image files as people have them: depth, rotation, transparency, formats, sizes; and what is not opened."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from benchmark.data import decode, pictures
from benchmark.data.audit.lists import audit_lists
from benchmark.errors import InputError
from tests.layouts import lines

LEVELS = np.linspace(0, 255, 32).round().astype(np.uint8)
RAMP = np.tile(LEVELS, (4, 1))  # uint8 (4, 32), all levels distinct


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey(data: bytes) -> np.ndarray:
    return np.asarray(pictures.parse(data, "L")).astype(int)


def refused(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        pictures.parse(data, "RGB")
    assert "\n" not in str(caught.value)


class TestDepth:
    """Values are scaled by their type's range; what has none, or would lose its levels, is refused by name."""

    @pytest.mark.parametrize(
        ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]
    )
    def test_sixteen_bits_keep_every_level(self, kind: str, options: dict[str, str]) -> None:
        wide = Image.fromarray(RAMP.astype(np.uint16) * 257)
        assert (grey(stored(wide, kind, **options)) == RAMP).all()
        assert (np.asarray(pictures.parse(stored(wide, kind, **options), "RGB")) == RAMP[:, :, None]).all()

    def test_sixteen_bits_of_a_portable_greymap(self) -> None:
        assert (grey(stored(Image.fromarray(RAMP.astype(np.uint16) * 257), "PPM")) == RAMP).all()

    def test_a_white_that_is_zero_is_white(self) -> None:
        data = stored(Image.fromarray(RAMP.astype(np.uint16) * 257), "TIFF")
        entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"  # photometric interpretation, one short
        assert data.count(entry + b"\x01") == 1
        assert (grey(data.replace(entry + b"\x01", entry + b"\x00")) == 255 - RAMP).all()

    def test_a_transparent_value_of_sixteen_bits_is_white(self) -> None:
        data = stored(Image.fromarray(RAMP.astype(np.uint16) * 257), "PNG", transparency=0)
        assert grey(data)[0, :2].tolist() == [255, LEVELS[1]]

    def test_floats_from_zero_to_one(self) -> None:
        data = stored(Image.fromarray(RAMP.astype(np.float32) / 255), "TIFF")
        assert (grey(data) == RAMP).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.int32])
    def test_whole_numbers_of_eight_bits_stay(self, dtype: type) -> None:
        assert (grey(stored(Image.fromarray(RAMP.astype(dtype)), "TIFF")) == RAMP).all()

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (RAMP.astype(np.uint16), "16 bits and no value above 255 of 65,535.*store it as 8 bits"),
            (RAMP.astype(np.uint16) * 16, "no value above 4,080"),
            (RAMP.astype(np.float32) - 1, "float values go from -1 to 254; allowed: 0 to 1, or whole"),
            (RAMP.astype(np.float32) / 3, "float values go from 0 to 85"),
            (RAMP.astype(np.float32) * np.nan, "float values go from nan"),
            (RAMP.astype(np.int32) * 1000, "32-bit values go from 0 to 255000; allowed: 0 to 255"),
            (RAMP.astype(np.int32) - 5, "32-bit values go from -5"),
        ],
    )
    def test_no_range_that_is_meant(self, values: np.ndarray, reason: str) -> None:
        refused(stored(Image.fromarray(values), "TIFF"), reason)

    def test_colours_of_sixteen_bits_with_a_small_range(self) -> None:
        def tiff(values: np.ndarray) -> bytes:  # RGB of 16 bits, which Pillow reads and does not write
            eight = stored(Image.fromarray(np.zeros((4, 64, 3), np.uint8)), "TIFF")
            bits, width = (
                eight.index(b"\x02\x01\x03\x00\x03\x00\x00\x00"),
                b"\x00\x01\x04\x00\x01\x00\x00\x00",
            )
            width = width if width in eight else b"\x00\x01\x03\x00\x01\x00\x00\x00"
            place = int.from_bytes(eight[bits + 8 : bits + 12], "little")
            data = bytearray(eight.replace(width + b"\x40", width + b"\x20"))
            data[place : place + 6] = b"\x10\x00" * 3
            body = values.astype("<u2")[:, :, None].repeat(3, axis=2).tobytes()
            return bytes(data[: -len(body)]) + body

        wide = tiff(RAMP.astype(np.uint16) * 257)
        assert (np.asarray(pictures.parse(wide, "RGB")) == RAMP[:, :, None]).all()
        refused(tiff(RAMP.astype(np.uint16)), "no value above 255 of 65,535")

    def test_a_black_picture_of_sixteen_bits_is_black(self) -> None:
        assert not grey(stored(Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG")).any()


class TestTransparency:
    """It lies on white; a picture without a transparent pixel is what it was."""

    def layers(self) -> dict[str, Image.Image]:
        alpha = np.where(np.arange(32) < 16, 0, 255).astype(np.uint8)[None].repeat(4, 0)
        la = Image.merge("LA", (Image.fromarray(RAMP), Image.fromarray(alpha)))
        return {"LA": la, "RGBA": la.convert("RGBA")}

    @pytest.mark.parametrize("mode", ["LA", "RGBA"])
    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_an_alpha_channel(self, mode: str, kind: str) -> None:
        found = grey(stored(self.layers()[mode], kind))
        assert (found[:, :16] == 255).all()
        assert (found[:, 16:] == RAMP[:, 16:]).all()

    def test_half_transparent(self) -> None:
        data = stored(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")
        assert abs(int(grey(data)[0, 0]) - 127) <= 1

    @pytest.mark.parametrize("kind", ["PNG", "GIF"])
    def test_a_palette_with_a_transparent_entry(self, kind: str) -> None:
        palette = Image.new("P", (4, 4), 1)
        palette.putpalette([10, 10, 10, 20, 20, 20, 30, 30, 30])
        palette.putpixel((0, 0), 2)
        found = grey(stored(palette, kind, transparency=2))
        assert found[0].tolist() == [255, 20, 20, 20]

    def test_a_transparent_colour(self) -> None:
        picture = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
        found = np.asarray(pictures.parse(stored(picture, "PNG", transparency=(1, 2, 3)), "RGB"))
        assert found.tolist() == [[[255, 255, 255], [4, 5, 6]]]

    def test_opaque_pictures_are_what_they_were(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
        pixels[:, :, 3] = 255
        found = pictures.parse(stored(Image.fromarray(pixels), "PNG"), "RGB")
        assert (np.asarray(found) == pixels[:, :, :3]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, (0, 0)), (2, (0, -1)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))]
)
def test_the_orientation_is_applied(kind: str, orientation: int, corner: tuple[int, int]) -> None:
    """A white corner in the upper left of the stored picture, of 32 x 16."""
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = grey(stored(Image.fromarray(pixels).convert("RGB"), kind, exif=exif))
    assert found.shape == ((32, 16) if orientation > 4 else (16, 32))
    corners = {(y, x): found[y, x] > 128 for y in (0, -1) for x in (0, -1)}
    assert corners == {place: place == corner for place in corners}


def test_an_orientation_that_cannot_be_read_turns_nothing() -> None:
    data = stored(Image.fromarray(RAMP), "JPEG", exif=b"Exif\x00\x00broken", quality=100)
    assert grey(data).shape == RAMP.shape


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (200, 90, 10)]
    data = stored(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert (grey(data) == 200).all()


HOLDS = {
    "PNG": ("1", "L", "P", "RGB"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "TIFF": ("1", "L", "P", "RGB", "CMYK", "YCbCr"),
    "BMP": ("1", "L", "P", "RGB"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in HOLDS.items() for mode in modes])
@pytest.mark.parametrize("wanted", ["RGB", "L"])
def test_ordinary_pictures_are_read_to_the_bit_as_pillow_reads_them(
    kind: str, mode: str, wanted: Literal["RGB", "L"]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (17, 13, 3), dtype=np.uint8)
    data = stored(Image.fromarray(pixels).convert(mode), kind)
    plain = np.asarray(Image.open(io.BytesIO(data)).convert(wanted))
    assert (np.asarray(pictures.parse(data, wanted)) == plain).all()


PROGRAM = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(made) (w) file closefile showpage\n"
)


class TestOtherFiles:
    """Whatever is no picture gets one line that says what it is."""

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (PROGRAM, "it is PostScript, which is not opened"),
            (b"\xc5\xd0\xd3\xc6" + bytes(26) + PROGRAM, "it is PostScript"),
            (b"%PDF-1.7\n%binary", "it is a PDF"),
            (b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "it is SVG"),
            (b"\n<svg/>", "it is SVG"),
            (b"<!DOCTYPE html><title>404</title>", "it is a web page"),
            (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "it is HEIC"),
            (b"", "it is empty"),
            (b"hello", "damaged, or none of the formats that are read"),
            (bytes(1000), "damaged, or none of the formats"),
            (b"\x93NUMPY\x01\x00", "EOF|expected"),
        ],
    )
    def test_the_reason(self, data: bytes, reason: str) -> None:
        refused(data, reason)

    def test_postscript_is_never_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from PIL import EpsImagePlugin

        def run(*arguments: object, **options: object) -> Any:
            raise AssertionError("an interpreter was started")

        monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
        refused(PROGRAM, "PostScript")
        assert "EPS" not in pictures.FORMATS
        assert "WMF" not in pictures.FORMATS
        assert "IPTC" not in pictures.FORMATS  # it opens what it holds, in any format

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "JPEG2000", "PPM"])
    def test_cut_off_anywhere(self, kind: str) -> None:
        pixels = np.random.default_rng(2).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        whole = stored(Image.fromarray(pixels), kind)
        for length in (1, 2, 8, 20, len(whole) // 3, len(whole) // 2, len(whole) * 3 // 4):
            with contextlib.suppress(InputError):  # and no other error
                assert pictures.parse(whole[:length], "RGB").size == (24, 24)

    def test_too_many_pixels_or_bytes(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        data = stored(Image.new("1", (16_000, 12_000)), "PNG")
        refused(data, r"exceeds limit of 178956970 pixels|16,000 x 12,000 pixels")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some packages do
        refused(data, "16,000 x 12,000 pixels; at most 178,956,970")
        monkeypatch.setattr(pictures, "MAX_BYTES", 10)
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(InputError, match=r"it has .* bytes; at most 10"):
            pictures.read(tmp_path / "a.png", "RGB")

    def test_a_decoder_that_fails_in_any_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: object, **options: object) -> Any:
            raise ZeroDivisionError("one\ntwo")

        monkeypatch.setattr(Image, "open", fail)
        refused(stored(Image.fromarray(RAMP), "PNG"), "^ZeroDivisionError: one two$")

    @pytest.mark.parametrize(
        "array", [np.zeros((0, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8)]
    )
    def test_an_array_that_is_no_picture(self, array: np.ndarray) -> None:
        stream = io.BytesIO()
        np.save(stream, array)
        refused(stream.getvalue(), "not uint8")

    def test_an_archive_named_as_an_array(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", a=RAMP)
        (tmp_path / "a.npz").rename(tmp_path / "a.npy")
        with pytest.raises(InputError):
            pictures.read(tmp_path / "a.npy", "L")

    def test_listed_images_are_opened_by_the_same_rule(self, tmp_path: Path) -> None:
        (tmp_path / "0.jpg").write_bytes(PROGRAM)
        lines(tmp_path / "test.txt", ["0.jpg 1"])
        with pytest.raises(InputError, match="it is PostScript"):
            audit_lists([tmp_path / "test.txt"])


class TestCrop:
    """The part that is cut out lies inside the image for every size."""

    TARGETS = (4, 8, 28, 32, 48, 64, 96, 112, 128, 224, 227, 256, 299, 384)

    def check(self, width: int, height: int, target: decode.Target) -> None:
        left, top, right, bottom = decode.crop_box(width, height, target)
        assert left >= 0 and top >= 0, (width, height, target)  # noqa: PT018 - 4 million of these
        assert left < right <= width and top < bottom <= height, (width, height, target)  # noqa: PT018

    @pytest.mark.parametrize("zoom", [1.0, 256 / 224])
    def test_every_width_and_height_to_2000(self, zoom: float) -> None:
        for side in self.TARGETS:
            target = decode.Target(3, side, side, "crop", zoom)
            for size in range(1, 2001):
                self.check(size, 2000, target)
                self.check(2000, size, target)
                self.check(size, size, target)

    def test_sizes_that_fitted_keep_their_box(self) -> None:
        """The arithmetic that was there before, wherever its box lay inside."""
        kept = 0
        for width in range(1, 400, 3):
            for height in range(1, 400, 7):
                target = decode.Target(3, 64, 48, "crop", 1.0)
                scale = max(side / have for side, have in ((48, width), (64, height))) * 1.0
                wide, high = 48 / scale, 64 / scale
                left, top = (width - wide) / 2, (height - high) / 2
                if left >= 0 and top >= 0 and left + wide <= width and top + high <= height:
                    assert decode.crop_box(width, height, target) == (left, top, left + wide, top + high)
                    kept += 1
        assert kept > 5000

    @pytest.mark.parametrize("width", [49, 98, 103, 237])
    def test_widths_that_were_refused(self, width: int, tmp_path: Path) -> None:
        pixels = np.random.default_rng(width).integers(0, 256, (width + 40, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        for high, wide in ((64, 64), (64, 48)):
            found = decode.decode(tmp_path / "a.png", decode.Target(3, high, wide, "crop", 1.0))
            assert found.shape == (3, high, wide)
        plain = Image.fromarray(pixels).resize(
            (64, 64), Image.Resampling.BILINEAR, box=(0, 20, width, width + 20)
        )
        found = decode.decode(tmp_path / "a.png", decode.Target(3, 64, 64, "crop", 1.0))
        assert np.abs(found.transpose(1, 2, 0).astype(int) - np.asarray(plain)).max() <= 1


def test_every_place_that_opens_images_names_its_formats() -> None:
    import ast

    root = Path(__file__).parents[2]
    calls = []
    for package in ("benchmark", "datasets", "methods"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open"):
                    assert any(word.arg == "formats" for word in node.keywords), f"{path.name} {node.lineno}"
                    calls.append(path.name)
    assert calls
