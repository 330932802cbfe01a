"""Files of every kind, cut, flipped and mixed up: each ends as a document or in one line, and nothing else is said."""

from __future__ import annotations

import random

import numpy as np
import pytest
from makers import Echo, encoded, encrypted_pdf, text_pdf, tiff, turned_pdf
from PIL import Image

from microfiche.documents.opening import DocumentSource
from microfiche.documents.reading import Outcome, Request, read_to

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))


def whole_files(kind: str) -> list[bytes]:
    match kind:
        case "PDF":
            return [text_pdf(), encrypted_pdf("sesame"), turned_pdf(text_pdf(["words"] * 3), 90)]
        case "PNG":
            return [encoded(NOISE, kind), encoded(NOISE.quantize(4), kind), encoded(NOISE.convert("RGBA"), kind)]
        case "TIFF":
            one_bit, floats = NOISE.convert("1"), NOISE.convert("L").convert("F")
            packed = [encoded(NOISE, kind, compression=name) for name in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]
            return [*packed, encoded(one_bit, kind, compression="group4"), encoded(floats, kind), tiff(3)]
        case "JPEG":
            return [encoded(NOISE, kind), encoded(NOISE, kind, progressive=True), encoded(NOISE.convert("CMYK"), kind)]
        case "WEBP":
            return [encoded(NOISE, kind), encoded(NOISE, kind, lossless=True)]
        case _:
            return [encoded(NOISE, kind), encoded(NOISE.convert("L"), kind)]


def damaged(whole: bytes, by: random.Random) -> bytes:
    """The file after one to three faults, such as disks, transfers and editors make."""
    data = bytearray(whole)
    for _ in range(by.choice((1, 1, 3))):
        start = by.randrange(len(data))
        end = min(len(data), start + by.randrange(1, max(2, len(data) // 3)))
        part = bytes(data[start:end])
        match by.randrange(7):
            case 0:
                del data[max(1, start) :]
            case 1:
                for _ in range(by.choice((1, 3, 20))):
                    data[by.randrange(len(data))] ^= 1 << by.randrange(8)
            case 2:
                del data[start:end]
                at = by.randrange(len(data) + 1)
                data[at:at] = part
            case 3:
                data[start:end] = bytes(end - start)
            case 4:
                data[start:start] = part
            case 5:
                data[start : start + 4] = by.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"9999"))
            case _:
                del data[start:end]
                data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "count"),
    [("PDF", 15), ("PNG", 60), ("TIFF", 90), ("JPEG", 60), ("WEBP", 60), ("GIF", 60), ("BMP", 60), ("PPM", 60),
     ("JPEG2000", 60)],
)  # fmt: skip
def test_whatever_is_damaged_ends_in_a_document_or_one_line(
    kind: str, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    by = random.Random(kind)
    files = whole_files(kind)
    sources = [DocumentSource(f"{n}", damaged(files[n % len(files)], by)) for n in range(count)]
    seen: list[Outcome] = []
    read_to(None, sources, Request("echo", Echo()), each=seen.append)
    assert [outcome.name for outcome in seen] == [source.name for source in sources]
    for outcome in seen:
        reasons = [page.reason for page in outcome.document.pages] if outcome.document else [str(outcome.error)]
        for reason in reasons:
            assert reason.isprintable() and len(reason) < 200, reason
            assert not any(word in reason for word in ("fault in", "died", "Error", "echo failed")), reason
    assert 0 < sum(outcome.document is None for outcome in seen) < count
    assert capfd.readouterr().err == ""
