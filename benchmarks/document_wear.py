"""Pages as scanners, faxes and cameras give them, and the words of a PDF page as hOCR."""

from __future__ import annotations

import io
import math
import random
import re
import unicodedata
from html import escape

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter
from reportlab.pdfgen.canvas import Canvas

_DOC = "usr/share/doc/texlive-doc/latex"
#: (PDF below the folder of unpacked packages, page, wear, dpi); "typed" and "receipt" are set here.
WEAR: tuple[tuple[str, int, str, int], ...] = (
    (f"texlive-publishers-doc/{_DOC}/acmart/samples/sample-sigconf.pdf", 1, "grey", 150),
    (f"texlive-publishers-doc/{_DOC}/elsarticle/elstest-3pd.pdf", 0, "fax", 200),
    ("debian-refcard/usr/share/doc/debian-refcard/refcard-fr-a4.pdf", 0, "grey", 200),
    ("octave-doc/usr/share/doc/octave/refcard-letter.pdf", 0, "back", 200),
    (f"texlive-lang-german/{_DOC}/koma-script-examples/Kapitel-4/result/letter-22.pdf", 0, "fax", 200),
    (f"texlive-lang-german/{_DOC}/koma-script-examples/Kapitel-11/result/scrjuraexample.pdf", 1, "low", 100),
    (f"texlive-lang-german/{_DOC}/translation-europecv-de/templates/cv_template_de.pdf", 0, "grey", 150),
    (f"texlive-lang-german/{_DOC}/milog/milog-example.pdf", 0, "grey", 150),
    (f"texlive-latex-extra-doc/{_DOC}/pas-cv/examples/cv-uranus.pdf", 0, "shadow", 150),
    (f"texlive-latex-extra-doc/{_DOC}/jslectureplanner/examples/English/lecturehandout-english.pdf", 0, "grey", 150),
    (f"texlive-latex-extra-doc/{_DOC}/csvsimple/csvsimple-example.pdf", 0, "low", 120),
    ("installation-guide-amd64/usr/share/doc/installation-guide-amd64/fr/install.fr.pdf", 30, "shadow", 150),
    ("gnucash-docs/usr/share/doc/gnucash-docs/gnucash-guide-en.pdf", 61, "low", 110),
    ("r-doc-pdf/usr/share/R/doc/manual/R-FAQ.pdf", 20, "grey", 150),
    ("typed", 0, "typewriter", 200),
    ("receipt", 0, "shadow", 150),
)
LETTER = """OFFICE OF THE HARBOUR MASTER                     12 October 1931

Dear Sir,

I have the honour to acknowledge receipt of your letter of the
3rd instant, No. 417/B, concerning the repair of the eastern mole.
The contractor states that 2,300 tons of stone were delivered
between June and September, of which 180 tons were refused by the
inspector on account of their size.

The Board is of opinion that the claim of £1,204 10s. cannot be
admitted before the survey has been completed. You are therefore
asked to send, at your earliest convenience:

   1.  the delivery notes for the months in question;
   2.  the inspector's daily reports;
   3.  a sketch of the section between beacons 4 and 7.

Your obedient servant,

                              J. W. Abernethy
                              Secretary to the Board"""
RECEIPT = """      CORNER STORE
    14 Harbour Street
  VAT No. GB 123 4567 89

Milk 1 l            1.15
Bread, brown        2.40
Apples 1.250 kg     3.13
Coffee 500 g        6.99
 2 x 0.89 Water     1.78
------------------------
TOTAL              15.45
CASH               20.00
CHANGE              4.55

VAT 5 %   7.34     0.37

12/05/2023 17:42  Till 3
THANK YOU - COME AGAIN"""


def scan(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A page as a scanner gives it."""
    turned = picture.convert("L").rotate(rng.uniform(-1.2, 1.2), Image.Resampling.BICUBIC, fillcolor=255)
    grey = np.asarray(turned.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9))), np.float32)
    noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, rng.uniform(2, 9), grey.shape)
    grey = grey * rng.uniform(0.85, 0.97) + 10 + noise
    jpeg = io.BytesIO()
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=rng.randrange(45, 85))
    return Image.open(jpeg)


def worn(picture: Image.Image, wear: str, rng: random.Random) -> tuple[Image.Image, float]:
    """The picture after its wear, and by how many degrees it was turned (counter-clockwise, about its middle).

    `grey` is a scanner, `low` a poor copy as JPEG, `fax` one bit a pixel, `back` shows the other side of the paper,
    `shadow` is a camera's light with a dark edge, `typewriter` an uneven ribbon on yellowed paper.
    """
    degrees = rng.uniform(-1.0, 1.0)
    noise = np.random.default_rng(rng.randrange(1 << 30))
    turned = picture.convert("RGB").rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
    if wear != "shadow":
        turned = turned.convert("L")
    ink = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.6 if wear != "low" else 0.8)), np.float32)
    high, wide = ink.shape[:2]
    if wear == "fax":
        specks = noise.random(ink.shape) < 0.0006
        return Image.fromarray(
            np.where((ink + noise.normal(0, 18, ink.shape) < 150) ^ specks, 0, 255).astype(np.uint8)
        ), degrees
    if wear == "back":
        other = np.asarray(
            turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(1.5)), np.float32
        )
        ink = ink - 0.12 * (255 - other)
    elif wear == "shadow":
        across, down = np.linspace(0, 1, wide), np.linspace(0, 1, high)[:, None]
        light = 0.72 + 0.25 * across - 0.12 * down - 0.35 * np.exp(-across / 0.03)
        ink = ink * light[..., None] * np.array([1, 0.98, 0.93])
    elif wear == "typewriter":
        ribbon = noise.random((high // 24 + 1, wide // 14 + 1)).repeat(24, 0).repeat(14, 1)[:high, :wide]
        ink = 225 - (255 - ink) * (0.35 + 0.5 * ribbon)
    ink = ink * 0.93 + 8 + noise.normal(0, 5, ink.shape)
    jpeg = io.BytesIO()
    Image.fromarray(ink.clip(0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=35 if wear == "low" else 70)
    return Image.open(jpeg), degrees


def typed(kind: str, rng: random.Random) -> bytes:
    """A typewriter's letter, each type a little off its line, or a shop's receipt."""
    file = io.BytesIO()
    text, size, paper = (LETTER, 12, (595, 842)) if kind == "typed" else (RECEIPT, 11, (227, 400))
    canvas = Canvas(file, pagesize=paper, invariant=1)
    for row, line in enumerate(text.split("\n")):
        for column, sign in enumerate(line):
            off = rng.uniform(-0.7, 0.7) if kind == "typed" else 0
            canvas.setFont("Courier-Bold" if kind == "receipt" and line.startswith("TOTAL") else "Courier", size)
            canvas.drawString(36 * paper[0] / 595 + 0.6 * size * column, paper[1] - 60 - 1.5 * size * row + off, sign)
    canvas.save()
    return file.getvalue()


def hocr(page: pypdfium2.PdfPage, dpi: int, degrees: float, size: tuple[int, int]) -> str:
    """The words of a page's text layer, where they stand in a picture of it that was turned by `degrees`."""
    layer, height = page.get_textpage(), page.get_height()
    middle, angle = (size[0] / 2, size[1] / 2), math.radians(degrees)
    words: list[tuple[str, list[float]]] = []
    signs = [(layer.get_text_range(k, 1), layer.get_charbox(k)) for k in range(layer.count_chars())]
    text, edges = "", []
    for sign, edge in [*signs, (" ", (0, 0, 0, 0))]:
        if sign.strip() or sign in "\x02\ufffe":
            text += "-" if sign in "\x02\ufffe" else sign
            edges.append(edge)
            if sign not in "\x02\ufffe":
                continue
        if text:
            box = [
                min(e[0] for e in edges),
                height - max(e[3] for e in edges),
                max(e[2] for e in edges),
                height - min(e[1] for e in edges),
            ]
            words.append((text, [v * dpi / 72 for v in box]))
        text, edges = "", []
    lines = []
    for word, (left, top, right, bottom) in words:
        x, y = (left + right) / 2 - middle[0], (top + bottom) / 2 - middle[1]
        across = x * math.cos(angle) + y * math.sin(angle) + middle[0]
        down = -x * math.sin(angle) + y * math.cos(angle) + middle[1]
        wide, high = (right - left) / 2, (bottom - top) / 2
        box = " ".join(str(round(v)) for v in (across - wide, down - high, across + wide, down + high))
        clean = re.sub(r"[\x00-\x1f]", "", unicodedata.normalize("NFKC", word))
        lines.append(f'<span class="ocrx_word" title="bbox {box}">{escape(clean)}</span>')
    return (
        '<html><body><div class="ocr_page" title="bbox 0 0 {} {}">\n'.format(*size)
        + "\n".join(lines)
        + "\n</div></body></html>\n"
    )
