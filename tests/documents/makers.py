"""Small documents for tests: sound ones, and broken ones named after how they fail; and what opening makes of them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.document import PageRead
from microfiche.documents.opening import open_document
from microfiche.documents.pdf import worker
from microfiche.documents.sheet import Sheet

SMALL = (200.0, 100.0)
PATIENCE = 600.0  #: seconds that a test waits for what comes at once unless the machine is busy


def second_page_hurried(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Gives page 2 of every PDF so many seconds, and all else as many as a busy machine needs."""
    ask = worker._Process.ask

    def sooner(process: Any, head: dict[str, Any], body: Any, limit: float) -> Any:
        return ask(process, head, body, seconds if head.get("page") == 2 else PATIENCE)

    monkeypatch.setattr(worker._Process, "ask", sooner)


def text_pdf(
    pages: Sequence[str] = ("First page", "Second page", "Third page"), size: tuple[float, float] = SMALL
) -> bytes:
    """A page for each text, its lines from the top, in Helvetica 12."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=size)
    for text in pages:
        canvas.setFont("Helvetica", 12)
        for i, line in enumerate(text.splitlines()):
            canvas.drawString(20, size[1] - 30 - 15 * i, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def raw_pdf(*objects: bytes, cut: int | None = None) -> bytes:
    """A PDF of these objects, numbered from 1; the first is its catalog."""
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n" % (len(objects) + 1, table)
    out += b"<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, out.rindex(b"xref\n0 "))
    return out[:cut]


def stream(data: bytes, head: bytes = b"") -> bytes:
    """The body of a stream object."""
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (head, len(data), data)


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def one_page(media_box: bytes = b"[0 0 200 100]", content: bytes = b"", catalog: bytes = CATALOG) -> bytes:
    """A page that is this large."""
    pages = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents 4 0 R>>" % media_box
    return raw_pdf(catalog, pages, page, stream(content))


def three_pages(second: bytes, resources: bytes, *objects: bytes) -> bytes:
    """Two empty pages, and between them one of this content; `objects` are numbered from 7."""
    kids = b"<</Type/Pages/Kids[3 0 R 4 0 R 3 0 R]/Count 3>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents %d 0 R/Resources<<%s>>>>"
    content = stream(zlib.compress(second), b"/Filter/FlateDecode")
    return raw_pdf(CATALOG, kids, page % (5, b""), page % (6, resources), stream(b""), content, *objects)


def endless_second_page() -> bytes:
    """Three pages; the second is shaded a hundred thousand times, by a program."""
    sums = b"dup " * 40 + b"add sin " * 39 + b"pop"
    program = stream(b"{ %s }" % sums, b"/FunctionType 4/Domain[0 1 0 1]/Range[0 1]")
    shading = b"<</ShadingType 1/ColorSpace/DeviceGray/Domain[0 1 0 1]/Matrix[200 0 0 100 0 0]/Function 8 0 R>>"
    return three_pages(b"/S sh " * 100_000, b"/Shading<</S 7 0 R>>", shading, program)


def ravenous_second_page() -> bytes:
    """Three pages; the second has forms within forms, 10 to the 15th drawings in all: it takes what memory there is."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 200 100]/Resources<</XObject<</F %d 0 R>>>>"
    forms = [stream(b"/F Do " * 10, form % (8 + i)) for i in range(15)]
    last = stream(b"0 0 100 100 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 200 100]")
    return three_pages(b"/F Do", b"/XObject<</F 7 0 R>>", *forms, last)


def large_image(side: int) -> bytes:
    """The second of three pages has a black image of this side, in very few bytes of file."""
    packer = zlib.compressobj(9)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = zlib.compress(block + again * (side * side * 3 >> 20), 9)
    head = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8" % (side, side)
    image = stream(data, head + b"/Filter[/FlateDecode/FlateDecode]")
    return three_pages(b"200 0 0 100 0 0 cm /I Do", b"/XObject<</I 7 0 R>>", image)


def encrypted_pdf(password: str) -> bytes:
    """text_pdf, opened by `password` only."""
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(text_pdf())) as pdf:
        pdf.save(file, encryption=pikepdf.Encryption(user=password, owner="owner"))
    return file.getvalue()


def turned_pdf(data: bytes, rotate: int = 0, crop: tuple[int, int, int, int] | None = None) -> bytes:
    """The same pages with /Rotate and a CropBox."""
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(data)) as pdf:
        for page in pdf.pages:
            page.Rotate = rotate
            if crop:
                page.CropBox = list(crop)
        pdf.save(file)
    return file.getvalue()


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of this size, whose pixels are missing."""
    data = encoded(Image.new("L", (1, 1)), "PNG")
    body = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[24:29]
    return data[:12] + body + zlib.crc32(body).to_bytes(4, "big") + data[33:]


def sheets(data: bytes | Path, **options: object) -> list[Sheet]:
    """Every page of a document."""
    with open_document(data, "a file", **options) as document:  # type: ignore[arg-type]
        return list(document.sheets())


def drawn(draw: Callable[[Canvas], None], size: tuple[float, float] = SMALL) -> Sheet:
    """A PDF's page on which `draw` has drawn."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=size)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return sheets(file.getvalue())[0]


def pixels(sheet: Sheet) -> np.ndarray:
    """(H, W, 3) of a page that could be opened."""
    assert sheet.error is None and sheet.picture is not None and sheet.picture.mode == "RGB"
    return np.asarray(sheet.picture).astype(int)


class Echo:
    """An engine that reads what it is told to."""

    name, batch = "echo", 3

    def __init__(self, fails: Sequence[int] = (), error: Exception | None = None) -> None:
        self.fails, self.calls = fails, []  # type: ignore[var-annotated]
        self.error = error or RuntimeError("out of paper\nsecond line")

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        self.calls.append([s.number for s in sheets])
        if any(s.number in self.fails for s in sheets):
            raise self.error
        return [PageRead(number=s.number, engine=self.name) for s in sheets]


def tiff(pages: int) -> bytes:
    frames = [Image.fromarray(np.uint8([[0, 255], [255, n]])).resize((40, 40)) for n in range(pages)]
    out = io.BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])
    return out.getvalue()
