"""Builds examples/paper.pdf and examples/scan.jpg, which were written for this project, from the text in this file.

    python tools/build_examples.py        (needs reportlab, pypdfium2, pillow, numpy)

The paper has two columns, headings, a list, a ruled table, a figure with its caption, a formula, running heads and page
numbers. The scan is a letter as an office scanner delivers it: rotated by half a degree, grey, blurred and noisy.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter
from reportlab.graphics.shapes import Drawing, Line, PolyLine, String
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    FrameBreak,
    ListFlowable,
    NextPageTemplate,
    PageTemplate,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

EXAMPLES = Path(__file__).parent.parent / "examples"
BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=10, leading=12.5, alignment=TA_JUSTIFY, spaceAfter=5)
HEAD = ParagraphStyle("head", fontName="Times-Bold", fontSize=12.5, leading=16, spaceBefore=8, spaceAfter=4)
TITLE = ParagraphStyle("title", fontName="Times-Bold", fontSize=19, leading=23, alignment=TA_CENTER, spaceAfter=6)
NAMES = ParagraphStyle("names", fontName="Times-Italic", fontSize=10.5, leading=13, alignment=TA_CENTER)
CAPTION = ParagraphStyle("caption", fontName="Times-Italic", fontSize=8.5, leading=10.5, spaceBefore=3, spaceAfter=8)
LETTER = ParagraphStyle("letter", fontName="Courier", fontSize=11, leading=15, spaceAfter=10)

PARAGRAPHS = {
    "1. The smallest page": (
        "In 1839, within a year of the first public photographs, John Benjamin Dancer of Manchester set a camera "
        "behind a microscope and made a picture of a page that was smaller than a grain of rice. He could read it "
        "again through the same lens. For twenty years it stayed a curiosity that was sold at fairs, and Dancer "
        "himself thought that it would serve for nothing else.",
        "The first use in earnest came with a siege. During the winter of 1870 the messages for Paris were set in "
        "type, photographed on films of a few square centimetres, rolled into a quill and tied to a pigeon. One bird "
        "carried eighteen films, each with some three thousand messages. On arrival the films were thrown upon a wall "
        "by a lantern, and clerks copied what they saw.",
    ),
    "2. What a card holds": (
        "A microfiche is a sheet of film of 105 by 148 millimetres. At a reduction of 24 to 1 it holds 98 pages of "
        "office paper, and at 48 to 1 it holds 420. Three things were asked of it, and they still are:",
        [
            "that a page can be found without reading those before it;",
            "that nothing on it is lost that a reader will want;",
            "that it costs less to keep than the paper did.",
        ],
        "How far a page can be reduced depends on the finest stroke that has to survive. If the film resolves r line "
        "pairs a millimetre and a letter of height h must keep q of them, then the greatest reduction m is",
        "FORMULA",
        "so that with r = 120, h = 1.5 mm and q = 5 a page can be made 36 times smaller before its footnotes fade. "
        "Table 1 gives the formats that were sold.",
    ),
    "3. Fading": (
        "Film does not fail at once. The small letters go first, then the larger ones, and the headings can be read "
        "when nothing else can. Figure 1 shows how many letters of three sizes clerks could still read after copies "
        "of copies had been made. A memory that fades in this manner is of more use than one that ends, because what "
        "is left says where to look for the rest.",
        "It is tempting to keep only a summary of an old page. But a summary is made before anybody knows what will "
        "be asked, and a faded page is not: its outline still answers questions that its maker never thought of.",
    ),
}
ROWS = [
    ["Format", "Year", "Reduction", "Pages"],
    ["Roll, 35 mm", "1928", "12", "800"],
    ["Card, 75 × 125 mm", "1944", "20", "60"],
    ["Fiche, 105 × 148 mm", "1961", "24", "98"],
    ["Ultrafiche", "1966", "150", "3,200"],
]


class Formula(Flowable):
    """m = r h / q with a fraction bar, as a typesetter sets it."""

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        self.width = width
        return width, 34

    def draw(self) -> None:
        c, x = self.canv, self.width / 2
        c.setFont("Times-Italic", 12)
        c.drawString(x - 32, 13, "m")
        c.setFont("Times-Roman", 12)
        c.drawString(x - 17, 13, "=")
        c.setFont("Times-Italic", 12)
        c.drawCentredString(x + 10, 21, "r h")
        c.line(x - 2, 17, x + 22, 17)
        c.drawCentredString(x + 10, 6, "q")
        c.setFont("Times-Roman", 10)
        c.drawRightString(self.width, 13, "(1)")


def chart() -> Drawing:
    drawing = Drawing(230, 120)
    drawing.add(Line(28, 18, 225, 18))
    drawing.add(Line(28, 18, 28, 114))
    for k, (colour, half) in enumerate(((colors.black, 6.0), (colors.grey, 4.0), (colors.lightgrey, 2.5))):
        points = [v for i in range(40) for v in (28 + i * 4.9, 18 + 92 / (1 + math.exp((i / 4 - half) * 1.6)))]
        drawing.add(PolyLine(points, strokeColor=colour, strokeWidth=1.4))
        drawing.add(String(150, 104 - 11 * k, ("12 point", "8 point", "5 point")[k], fontSize=7, fillColor=colour))
    drawing.add(String(90, 4, "generation of the copy", fontSize=7))
    drawing.add(String(4, 108, "read", fontSize=7))
    return drawing


def furniture(canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.setFont("Times-Italic", 8.5)
    canvas.drawString(54, A4[1] - 36, "Notes on Small Pages")
    canvas.drawRightString(A4[0] - 54, A4[1] - 36, "Microfiche examples, 1")
    canvas.setFont("Times-Roman", 8.5)
    canvas.drawCentredString(A4[0] / 2, 30, str(document.page))


def paper(path: Path) -> None:
    width, height = A4
    column = (width - 108 - 18) / 2
    top = 96
    first = [
        Frame(54, height - 54 - top, width - 108, top, 0, 0, 0, 0, id="top"),
        *(Frame(54 + i * (column + 18), 54, column, height - 108 - top, 0, 0, 0, 0) for i in (0, 1)),
    ]
    later = [Frame(54 + i * (column + 18), 54, column, height - 108, 0, 0, 0, 0) for i in (0, 1)]
    document = BaseDocTemplate(str(path), pagesize=A4, title="Notes on Small Pages", author="Microfiche", invariant=1)
    document.addPageTemplates([
        PageTemplate("first", first, onPage=furniture),
        PageTemplate("later", later, onPage=furniture),
    ])
    story: list[Flowable] = [
        Paragraph("Notes on Small Pages", TITLE),
        Paragraph("The Microfiche Project", NAMES),
        Spacer(1, 6),
        Paragraph("A paper made to be read back: two columns, a table, a figure and a formula.", NAMES),
        FrameBreak(),
        NextPageTemplate("later"),
    ]
    for heading, parts in PARAGRAPHS.items():
        story.append(Paragraph(heading, HEAD))
        for part in parts:
            if part == "FORMULA":
                story.append(Formula())
            elif isinstance(part, str):
                story.append(Paragraph(part, BODY))
            else:
                items = [Paragraph(item, BODY) for item in part]
                story.append(ListFlowable(items, bulletType="bullet", leftIndent=14, bulletFontSize=7))
        if heading.startswith("2"):
            table = Table(ROWS, colWidths=[105, 38, 52, 42], rowHeights=15)
            table.setStyle(
                TableStyle([
                    ("FONT", (0, 0), (-1, -1), "Times-Roman", 9),
                    ("FONT", (0, 0), (-1, 0), "Times-Bold", 9),
                    ("GRID", (0, 0), (-1, -1), 0.5, colors.black),
                    ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ])
            )
            story += [Spacer(1, 4), table, Paragraph("Table 1. Formats of microfilm and what they hold.", CAPTION)]
        if heading.startswith("3"):
            caption = "Figure 1. Letters read after copies of copies, for three sizes of type."
            story += [Spacer(1, 6), chart(), Paragraph(caption, CAPTION)]
    document.build(story)


def scan(path: Path) -> None:
    pdf = io.BytesIO()
    lines = [
        "Reading Room, 14 March 1967",
        "Dear Miss Hartley,",
        "The films that you asked for arrived on Tuesday. Reels 3 to 9 are in good order. Reel 11 was wound the wrong "
        "way and its first forty frames are scratched, but every page of the parish register can be read.",
        "I have put the whole series on fiche, 98 pages to the card, and enclose the first two. Please hold them by "
        "the edges. Card 2, row E, shows the entry for 1794 that your letter mentions.",
        "The copies come to 4 pounds 12 shillings, postage included.",
        "Yours faithfully,",
        "J. Okafor, Keeper of Films",
    ]
    SimpleDocTemplate(pdf, pagesize=A4, topMargin=90, leftMargin=80, rightMargin=80, invariant=1).build(
        [Paragraph(line, LETTER) for line in lines]
    )
    page = pypdfium2.PdfDocument(pdf.getvalue())[0].render(scale=150 / 72).to_pil().convert("L")
    turned = page.rotate(0.5, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grey = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    shade = np.linspace(0.9, 0.97, grey.shape[1])[None]
    noisy = grey * shade + 18 * (1 - shade) + np.random.default_rng(0).normal(0, 6, grey.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=60)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    paper(EXAMPLES / "paper.pdf")
    scan(EXAMPLES / "scan.jpg")
