"""Tesseract, where the program is installed, for scripts that RapidOCR cannot read: run as a program, which gives words
with boxes and confidences as a table.

Which language a page is in is tried: its longest lines are read in each that is installed.
"""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from statistics import median

import numpy as np
from PIL import Image

from microfiche.documents.boxes import union
from microfiche.documents.scans.orientation import Seen
from microfiche.documents.scans.recognition import cut
from microfiche.documents.text_layer.pieces import GAP
from microfiche.documents.text_lines import TextLine
from microfiche.errors import SetUpError

PROGRAM = "tesseract"
SECONDS = 120.0  #: that the program may take for one page
TRIED = 3  #: lines that are read in every language
MOST = 24  #: languages that are tried
NO_LANGUAGE = ("osd", "equ")
DATA = {"az": ("aze", "Latin"), "cy": ("cym", "Latin"), "eo": ("epo", "Latin"),
        "vi": ("vie", "Vietnamese")}  #: for languages, the best first
SURE = 1.0  #: Tesseract's own measure for the way up, at least
ASCENDERS, DESCENDERS = frozenset("bdfhkltбвёйфіїδθλζξβ"), frozenset("gjpqyдруфцщημρφχψγβ,;()[]{}")


@cache
def languages() -> tuple[str, ...]:
    """The languages and scripts whose data is installed, by Tesseract's names; none where the program is not."""
    try:
        listed = _run(["--list-langs"], b"").decode("utf-8", "replace")
    except SetUpError:
        return ()
    return tuple(name for name in listed.split("\n")[1:] if name.strip() and name not in NO_LANGUAGE)


def data_for(code: str) -> str:
    """The installed data for a language by its ISO 639-1 code, its own or else that of its script; "" where there is
    none."""
    return next((name for name in DATA.get(code, ()) if name in languages()), "")


def language_of(seen: Seen) -> str:
    """The language, of those installed, in which the longest lines of a page are read most surely. SetUpError where
    there is none."""
    known = languages()[:MOST]
    if not known:
        raise SetUpError(f"{PROGRAM} is not installed, or has no language data; see docs/documents.md")
    pixels = np.asarray(seen.picture)
    longest = sorted(seen.boxes, key=lambda box: -min(box.width, 30 * box.height))[:TRIED]
    parts = [Image.fromarray(cut(pixels, box)) for box in longest] or [seen.picture]
    sheet = Image.new("RGB", (max(p.width for p in parts) + 40, sum(p.height + 20 for p in parts) + 20), "white")
    top = 20
    for part in parts:
        sheet.paste(part, (20, top))
        top += part.height + 20

    def fit(language: str) -> float:
        lines = read_in(sheet, language, mode=6)
        return sum((line.confidence - 0.5) * sum(c.isalpha() for c in line.text) for line in lines)

    return max(known, key=fit)


def turn(picture: Image.Image) -> int:
    """The degrees, 0, 90, 180 or 270, by which to turn an RGB picture counter-clockwise so that its text is upright, by
    Tesseract's detection of orientation; 0 where it is unsure or not installed."""
    try:
        said = _run(["-", "-", "--psm", "0", "-l", "osd"], _png(picture)).decode("utf-8", "replace")
    except SetUpError:
        return 0
    clockwise = re.search(r"^Rotate: (90|180|270)$", said, re.MULTILINE)
    sure = re.search(r"^Orientation confidence: ([\d.]+)", said, re.MULTILINE)
    return 360 - int(clockwise[1]) if clockwise and sure and float(sure[1]) > SURE else 0


def read_in(picture: Image.Image, language: str, mode: int = 3) -> list[TextLine]:
    """The lines that Tesseract reads on a picture in a language, divided at wide gaps; `mode` is its segmentation: 3
    for pages, 6 for one block of text. SetUpError where the program is missing or fails."""
    table = _run(["-", "-", "-l", language, "--psm", str(mode), "tsv"], _png(picture)).decode("utf-8", "replace")
    words = [
        row for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
        if row.get("level") == "5" and (row.get("text") or "").strip()
    ]
    out: list[TextLine] = []
    for _, row in groupby(words, key=lambda word: (word["block_num"], word["par_num"], word["line_num"])):
        out += _lines(list(row))
    return out


def _lines(words: Sequence[dict[str, str]]) -> list[TextLine]:
    """The words of one line as one or more lines."""
    boxes = []
    for word in words:
        left, top, width, height = (float(word[name]) for name in ("left", "top", "width", "height"))
        boxes.append((left, top, left + width, top + height))
    size = median(
        max(1.0, box[3] - box[1]) / _ems(word["text"]) for word, box in zip(words, boxes, strict=True)
    )
    ends = [k + 1 for k in range(len(words) - 1) if boxes[k + 1][0] - boxes[k][2] > GAP * size]
    out = []
    for start, stop in zip([0, *ends], [*ends, len(words)], strict=True):
        part = words[start:stop]
        signs = sum(len(word["text"]) for word in part)
        sure = sum(max(0.0, float(word["conf"])) * len(word["text"]) for word in part) / signs / 100
        text = " ".join(word["text"].strip() for word in part)
        out.append(TextLine(text, union(boxes[start:stop]), size, confidence=sure, engine="tesseract"))
    return out


def _ems(word: str) -> float:
    """How high the ink of a word is, in ems."""
    high = any(c in ASCENDERS or c.isupper() or c.isdigit() for c in word)
    low = any(c in DESCENDERS for c in word)
    return 0.46 + 0.24 * high + 0.21 * low


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1, dpi=(150, 150))
    return file.getvalue()


def _run(arguments: Sequence[str], given: bytes) -> bytes:
    """What the program writes; SetUpError where it is missing, fails, or takes too long."""
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run([PROGRAM, *arguments], input=given, capture_output=True, timeout=SECONDS,
                              env=environment, check=True)
    except FileNotFoundError as error:
        raise SetUpError(f"{PROGRAM} is not installed; see docs/documents.md") from error
    except subprocess.TimeoutExpired as error:
        raise SetUpError(f"{PROGRAM} took longer than {SECONDS:.0f} s for a page") from error
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        last = said.decode("utf-8", "replace").strip().split("\n")[-1][:200]
        raise SetUpError(f"{PROGRAM} failed: {last or error}") from error
    return done.stdout
