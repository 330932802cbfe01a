"""Pictures of every kind as pages: upright RGB on white paper, or one clear error."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from makers import Echo, encoded, pixels, png_header, sheets
from PIL import Image

from microfiche.documents.engines import Engines
from microfiche.documents.opening import open_document
from microfiche.documents.pages import read_pages
from microfiche.documents.pictures import faults_printed
from microfiche.errors import InputError
from microfiche.limits import Limits


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_picture_is_told_by_its_content_and_is_one_page(kind: str, tmp_path: Path) -> None:
    (tmp_path / "misnamed.pdf").write_bytes(encoded(Image.new("RGB", (30, 20), "red"), kind, dpi=(300, 300)))
    with open_document(tmp_path / "misnamed.pdf", "x") as document:
        (sheet,) = document.sheets()
        assert (document.kind, document.pages) == (kind.lower(), 1)
    assert sheet.text is None and sheet.picture and sheet.picture.size == (30, 20)
    assert np.abs(pixels(sheet)[10, 15] - (255, 0, 0)).max() < 5
    assert sheet.dpi == (None if kind == "WEBP" else pytest.approx(300, abs=0.1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photo_is_turned_upright(kind: str) -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    (sheet,) = sheets(encoded(image, kind, exif=exif))
    assert sheet.picture and sheet.picture.size == (20, 40)
    assert pixels(sheet)[5, 10].max() < 20 and pixels(sheet)[35, 10].min() > 235


def half(mode: str, left: object, right: object) -> Image.Image:
    image = Image.new(mode, (20, 10), right)  # type: ignore[arg-type]
    image.paste(left, (0, 0, 10, 10))  # type: ignore[arg-type]
    return image


def sixteen() -> Image.Image:
    values = np.zeros((10, 20), np.uint16)
    values[:, :10], values[:, 10:] = 0x8080, 0xFFFF
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("kind", "image", "left", "right"),
    [
        ("PNG", half("1", 0, 1), 0, 255),
        ("PNG", half("L", 128, 255), 128, 255),
        ("PNG", half("LA", (0, 128), (0, 0)), 127, 255),
        ("PNG", half("RGBA", (0, 0, 0, 128), (0, 0, 0, 0)), 127, 255),
        ("WEBP", half("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)), 0, 255),
        ("PNG", half("RGB", (128, 128, 128), (255, 255, 255)).quantize(4), 128, 255),
        ("PNG", sixteen(), 128, 255),
        ("TIFF", sixteen(), 128, 255),
        ("TIFF", half("F", 0.0, 1.0), 0, 255),
        ("TIFF", half("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), 0, 255),
        ("JPEG", half("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), 0, 255),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_kind_of_pixel_comes_as_rgb_on_white_paper(kind: str, image: Image.Image, left: int, right: int) -> None:
    (sheet,) = sheets(encoded(image, kind))
    assert np.abs(pixels(sheet)[5, 4] - left).max() <= 4 and np.abs(pixels(sheet)[5, 15] - right).max() <= 4


def tenbit(bits: int = 10) -> np.ndarray:
    values = np.full((10, 20), (1 << bits) - 1, np.uint16)
    values[:, :10] = 0
    return values


@pytest.mark.parametrize(
    "values",
    [
        tenbit(), tenbit(12), tenbit(15), tenbit().astype(np.int32), tenbit(16).astype(np.int32) * 3 - 70_000,
        tenbit() + np.uint16(30_000), tenbit().astype(np.float32) / 7 - 3,
        np.where(np.arange(200).reshape(10, 20) == 41, np.nan, tenbit()).astype(np.float32),
        np.where(np.arange(200).reshape(10, 20) == 41, np.inf, tenbit()).astype(np.float32),
    ],
    ids=["10 in 16", "12 in 16", "15 in 16", "10 in 32", "signed 32", "a narrow range", "floats", "a NaN", "infinity"],
)  # fmt: skip
def test_values_of_any_range_are_scaled_to_their_own(values: np.ndarray) -> None:
    (sheet,) = sheets(encoded(Image.fromarray(values), "TIFF"))
    assert pixels(sheet)[5, 4].max() <= 4 and pixels(sheet)[5, 15].min() >= 251


def test_one_wrong_value_does_not_hide_all_others() -> None:
    values = np.full((200, 200), 1.0, np.float32)
    values[:, :100], values[0, 0] = 0.0, 1e30
    (sheet,) = sheets(encoded(Image.fromarray(values), "TIFF"))
    assert pixels(sheet)[50, 50].max() <= 4 and pixels(sheet)[50, 150].min() >= 251
    (sheet,) = sheets(encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"))
    assert pixels(sheet).min() == 255


def test_a_tiff_whose_zero_is_white_is_turned_to_black_on_white() -> None:
    tag = (262).to_bytes(2, "little") + b"\3\0\1\0\0\0"  # photometric interpretation: one short
    data = encoded(Image.fromarray(tenbit(16)), "TIFF")
    assert data.count(tag + b"\1\0") == 1
    (sheet,) = sheets(data.replace(tag + b"\1\0", tag + b"\0\0"))
    assert pixels(sheet)[5, 4].min() >= 251 and pixels(sheet)[5, 15].max() <= 4


@pytest.mark.parametrize(("ink", "paper"), [((255, 255, 255), 0), ((255, 240, 120), 0), ((40, 40, 90), 255)])
def test_ink_on_a_transparent_ground_is_seen(ink: tuple[int, int, int], paper: int) -> None:
    image = half("RGBA", (*ink, 255), (*ink, 0))
    for kind in ("PNG", "TIFF"):
        (sheet,) = sheets(encoded(image, kind))
        assert np.abs(pixels(sheet)[5, 4] - ink).max() <= 4 and np.abs(pixels(sheet)[5, 15] - paper).max() <= 4
    image.paste((10, 10, 10, 255), (0, 0, 5, 10))
    (sheet,) = sheets(encoded(image, "PNG"))
    assert pixels(sheet)[5, 15, 0] == (128 if paper == 0 else 255), "light and dark ink are seen on grey"


def test_a_palette_with_a_clear_colour_is_white_there() -> None:
    image = half("P", 0, 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    (sheet,) = sheets(encoded(image, "PNG", transparency=1))
    assert pixels(sheet)[5, 4].max() == 0 and pixels(sheet)[5, 15].min() == 255


def test_every_frame_of_a_tiff_is_a_page() -> None:
    frames = [Image.new("L", (20 + i, 10), 40 * i) for i in range(5)]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with open_document(data, "x") as document:
        assert document.pages == 5
        found = list(document.sheets([4, 2]))
    assert [pixels(sheet)[5, 5, 0] for sheet in found] == [120, 40]
    with pytest.raises(InputError, match=r"^a file: has more than 3 pages, which is the limit pages$"):
        sheets(data, limits=Limits(pages=3))


def test_a_picture_of_20000_by_20000_is_refused_by_its_header() -> None:
    (sheet,) = sheets(png_header(20_000, 20_000))
    assert sheet.error == "20,000 × 20,000 pixels; the limit pixels is 100,000,000"
    (sheet,) = sheets(png_header(20_000, 20_000), limits=Limits(pixels=1 << 30))
    assert sheet.error == "damaged or cut short: the picture cannot be decoded"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_truncated_picture_is_named(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    data = encoded(noise, kind)
    for share in (2, 3, 200):
        try:
            (sheet,) = sheets(data[: len(data) // share])
            assert sheet.error and "cut short" in sheet.error
        except InputError as error:
            assert str(error).startswith("a file: ")


def test_a_hostile_picture_never_ends_in_anything_but_one_of_our_errors() -> None:
    random = np.random.default_rng(2)
    frames = [Image.new("RGB", (20, 20), c) for c in ("red", "white")]
    whole = [encoded(frames[0], kind) for kind in ("PNG", "JPEG", "WEBP")]
    whole.append(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="tiff_lzw"))
    for data in whole:
        for _ in range(60):
            broken = bytearray(data)
            for at in random.integers(4, len(data), 4):
                broken[at] = random.integers(256)
            try:
                for sheet in sheets(bytes(broken)):
                    assert (sheet.picture is None) == (sheet.error is not None)
            except InputError as error:
                assert str(error).startswith("a file: ") and "\n" not in str(error)


def test_a_tiff_that_is_damaged_within_is_partial_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """libtiff decodes on where the code of a fax is broken, and says so on standard error alone."""
    sound = encoded(Image.effect_noise((200, 100), 60).convert("1"), "TIFF", compression="group4")
    hurt = [sound[:400] + fill + sound[400 + len(fill) :] for fill in (b"\xff" * 20, b"\x55" * 20)]
    for data, status in ((sound, "ok"), *((data, "partial") for data in hurt)):
        with open_document(data, "x") as document:
            ((page, picture),) = read_pages(document, Engines(Echo(), None, forced=True))
        assert (page.status, picture is not None) == (status, True)
        assert re.match(r"damaged: Fax4Decode: .*[^.]$" if status == "partial" else "$", page.reason)
    assert capfd.readouterr().err == ""


def test_what_others_print_while_a_picture_is_decoded_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with faults_printed() as faults:
        os.write(2, b"a line of others\nTIFFReadDirectory: Warning, Unknown field.\nLZWDecode: Not enough data.\n")
    assert faults == ["LZWDecode: Not enough data"] and capfd.readouterr().err == "a line of others\n"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_read_and_that_is_said(kind: str) -> None:
    frames = [Image.effect_noise((40, 30), spread) for spread in (20, 40, 60)]
    moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    for data, notes in ((moving, ["an animation: only its first picture is read"]), (encoded(frames[0], kind), [])):
        with open_document(data, "x") as document:
            assert (document.pages, document.notes, len(list(document.sheets()))) == (1, notes, 1)
