"""The codec's work in a process of the server: text set on pages and read back, files packed and opened, pages encoded
to tokens and tokens read."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rapidfuzz.distance import Levenshtein

from microfiche.codec import AT_ONCE, maker_of, pack, pack_pages, read_back
from microfiche.documents.as_is import pages_as_is, side_of
from microfiche.documents.kinds import HEAD, READ, kind_of
from microfiche.errors import InputError, UsageError
from microfiche.fiche import Fiche
from microfiche.fiche.manifest import sha256
from microfiche.limits import Limits
from microfiche.page import TOKEN_SIDE, Page, Reading, TypesetPage, VisionTokens, dequantise, quantise
from microfiche.precision import errors, text_tokens
from microfiche.readers import MAKERS, Reader, load
from microfiche.serving.faults import Fault
from microfiche.serving.settings import TEXT
from microfiche.serving.tokens_file import stored, tokens_in
from microfiche.sources import Source, composed
from microfiche.typesetting import density as densities
from microfiche.typesetting.typesetter import Typesetter, replacing

PICTURED = 3  #: pages of a text that are given with their pictures
UNDRAWN = "?"  #: what stands on a page for a character that cannot be drawn


class CodecWork:
    """Works within limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def typeset(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Sets the text of a JSON body on pages, and reads them back: answer.json."""
        folder = Path(order["folder"])
        text, at = _text_and_density((folder / "body").read_bytes())
        density, reader = densities.density(at), _reader("nano")
        source = Source("text", text.encode())
        undrawn = replacing(source, density, UNDRAWN)
        typesetter = Typesetter(density, densities.mode("small"))
        shown: list[dict[str, Any]] = []
        sums = _Sums()
        pages = typesetter.pages(chunk.translate(undrawn) for chunk in source.chunks())
        while some := list(islice(pages, AT_ONCE)):
            tokens = [replace(one, values=dequantise(quantise(one.values, "int8"))) for one in reader.encode(some)]
            for page, its, reading in zip(some, tokens, reader.read(tokens), strict=True):
                told = sums.add(page, its, reading)
                if len(shown) < PICTURED:
                    shown.append(
                        {"number": sums.pages, **_pictured(page, its), **_compared(page.text, reading.text), **told}
                    )
        answer = {"density": density.name, **sums.told(), "pages_in_all": sums.pages,
                  "undrawn": [chr(code) for code in undrawn], "pages": shown}  # fmt: skip
        (folder / "answer.json").write_text(json.dumps(answer), "utf-8")
        return {}

    def pack(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Packs a file to packed.fiche, and says what is on it as `open` does."""
        folder = Path(order["folder"])
        upload, packed = folder / "upload-1", folder / "packed.fiche"
        name = order["name"]
        if _is_document(upload):
            drawn = (
                page
                for _, page in pages_as_is(
                    upload, side_of("base"), order.get("pages"), order.get("password"), self._limits
                )
            )
            pack_pages([(name, drawn)], packed, _reader("nano-pages"), "base", keep_text=True)
        else:
            pack([Source(name, upload)], packed, _reader("nano"), order.get("density") or densities.DEFAULT_DENSITY,
                 keep_text=True)  # fmt: skip
        return self._opened(packed, name, folder, tell)

    def open(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Opens a .fiche file and reads it back: document.json, document.md, and a picture of each page."""
        folder = Path(order["folder"])
        return self._opened(folder / "upload-1", order["name"], folder, tell)

    def _opened(self, path: Path, name: str, folder: Path, tell: Any) -> dict[str, Any]:
        with Fiche(path, self._limits) as fiche:
            if len(fiche) > self._limits.pages:
                raise InputError(f"{name}: {len(fiche):,} pages; the limit pages is {self._limits.pages:,}")
            tell({"of": len(fiche)})
            truths, pages, read = _texts_of(fiche), [], []
            vision = text = 0
            for number, (found, right) in enumerate(read_back(fiche, maker_of(fiche)), 1):
                page, tokens, truth = fiche.page(number), fiche.tokens(number), truths[number - 1]
                Image.fromarray(page.image).save(folder / f"page-{number}.png", "PNG")
                if truth is not None:
                    right = found.rstrip() == truth.rstrip()
                characters = fiche.manifest.pages[number - 1].characters
                known = truth is not None or fiche.setting is not None
                own = None if truth is None else text_tokens(truth)
                pages.append({
                    "number": number, "right": right if known else None, "characters": characters,
                    "status": "ok" if right else "partial", "reason": "" if right else "read with errors",
                    "text_tokens": own, **_compared(truth, found), **_places(page, tokens),
                })  # fmt: skip
                vision, text = vision + len(tokens), text + (own or 0)
                read.append(found)
                tell({"pages": 1})
            whole = all(truth is not None for truth in truths)
            head = fiche.manifest
            document = {
                "kind": "fiche", "name": name, "density": head.density, "layout": head.layout, "mode": head.mode,
                "checkpoint": head.checkpoint, "sources": [one.model_dump() for one in head.sources],
                "vision_tokens": vision, "text_tokens": text if whole else None,
                "ratio": round(text / max(1, vision), 3) if whole else None, "pages": pages,
            }  # fmt: skip
        (folder / "document.json").write_text(json.dumps(document | {"markdown": "".join(read)}), "utf-8")
        (folder / "document.md").write_text("".join(read), "utf-8")
        return {"engines": [head.checkpoint]}

    def encode(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Encodes the pages of a document, or of a text, to tokens.safetensors."""
        folder, name = Path(order["folder"]), order["name"]
        upload = folder / "upload-1"
        document = _is_document(upload)
        reader = _reader(order.get("reader") or ("nano-pages" if document else "nano"))
        if document != (reader.checkpoint.name != "nano"):
            raise UsageError("nano encodes texts, which are typeset, and nano-pages encodes PDFs and pictures")
        pages: Iterator[Page]
        if document:
            side = side_of(order.get("mode") or "base")
            drawn = pages_as_is(upload, side, order.get("pages"), order.get("password"), self._limits)
            pages = (page for _, page in drawn)
        else:
            density = densities.density(order.get("density") or densities.DEFAULT_DENSITY)
            typesetter = Typesetter(density, densities.mode(order.get("mode") or "small"))
            source = Source(name, upload)
            table = replacing(source, density)
            pages = typesetter.pages(chunk.translate(table) for chunk in source.chunks())
        made: list[VisionTokens] = []
        while some := list(islice(pages, AT_ONCE)):
            made += reader.encode(some)
            tell({"pages": len(some)})
        (folder / "answer.safetensors").write_bytes(stored(made, reader.checkpoint))
        return {"pages": len(made), "vision_tokens": sum(map(len, made))}

    def read(self, order: dict[str, Any], tell: Any) -> dict[str, Any]:
        """Reads tokens that `encode` made: answer.json."""
        folder = Path(order["folder"])
        tokens = tokens_in(folder / "body", self._limits)
        pages: list[dict[str, Any]] = []
        if tokens:
            maker = tokens[0].checkpoint
            if maker.name not in MAKERS:
                raise Fault(422, "other_checkpoint", f"tokens of {maker.name} cannot be read by what ships")
            reader = _reader(maker.name)
            for at in range(0, len(tokens), AT_ONCE):
                for number, one in enumerate(reader.read(tokens[at : at + AT_ONCE]), at + 1):
                    sure = one.confidence
                    pages.append({
                        "page": number, "text": one.text, "status": one.status, "reason": one.reason,
                        "confidence": round(float(sure.mean()), 4) if len(sure) else None,
                    })  # fmt: skip
                tell({"pages": len(tokens[at : at + AT_ONCE])})
        answer = {"pages": pages, "text": "".join(page["text"] for page in pages)}
        (folder / "answer.json").write_text(json.dumps(answer), "utf-8")
        return {}


@cache
def _reader(name: str) -> Reader:
    if name not in MAKERS:
        raise UsageError(f"no reader {name!r} makes tokens here; there are {', '.join(MAKERS)}")
    return load(name)


def _is_document(path: Path) -> bool:
    """Whether a file is a PDF or a picture, and no text. InputError for what is known to be none of these."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        kind_of(head)
        return True
    except InputError as error:
        if f"not a {READ} file" not in str(error) and b"\0" in head:
            raise
        return False


def _text_and_density(body: bytes) -> tuple[str, str]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Fault(400, "bad_json", "the body is not JSON") from error
    text = found.get("text") if isinstance(found, dict) else None
    at = found.get("density") or densities.DEFAULT_DENSITY if isinstance(found, dict) else None
    if not isinstance(text, str) or not isinstance(at, str):
        raise Fault(400, "bad_request", "give an object with `text`, and `density` if you like")
    text = text.encode("utf-8", "replace").decode()
    if not text:
        raise Fault(422, "unreadable", "the text is empty")
    if len(text) > TEXT:
        raise Fault(413, "too_large", f"{len(text):,} characters; at most {TEXT:,} are set at once")
    return text, at


class _Sums:
    """What pages cost and how well they were read, as `measure` counts it."""

    def __init__(self) -> None:
        self.pages = self._characters = self._vision = self._text = self._beside = self._wrong = self._length = 0

    def add(self, page: TypesetPage, tokens: VisionTokens, reading: Reading) -> dict[str, Any]:
        """Adds a page, and says the same of it alone."""
        setting = tokens.setting or page.setting
        beside = text_tokens(setting.kept_text) if setting and setting.kept_text else 0
        wrong, length = errors(reading.text, page.text)
        length -= len(setting.kept_text) if setting else 0
        own = _figures(len(page.text), text_tokens(page.text), len(tokens), beside, wrong, length)
        self.pages += 1
        self._characters += len(page.text)
        self._text += own["text_tokens"]
        self._vision, self._beside = self._vision + len(tokens), self._beside + beside
        self._wrong, self._length = self._wrong + wrong, self._length + length
        return {name: own[name] for name in ("characters", "text_tokens", "vision_tokens", "ratio", "precision")}

    def told(self) -> dict[str, Any]:
        """What all pages come to."""
        return _figures(self._characters, self._text, self._vision, self._beside, self._wrong, self._length)


def _figures(characters: int, text: int, vision: int, beside: int, wrong: int, length: int) -> dict[str, Any]:
    return {"characters": characters, "text_tokens": text, "vision_tokens": vision, "kept_tokens": beside,
            "ratio": round(text / max(1, vision + beside), 3), "errors": wrong,
            "precision": round(1 - wrong / max(1, length), 5)}  # fmt: skip


def _compared(truth: str | None, read: str) -> dict[str, Any]:
    """What was read, and each stretch of it that is wrong, with what should stand there."""
    wrong = [] if truth is None or truth == read else [
        [op.src_start, op.src_end, truth[op.dest_start : op.dest_end]]
        for op in Levenshtein.opcodes(read, truth) if op.tag != "equal"
    ]  # fmt: skip
    return {"read": read, "text": truth, "errors": wrong}


def _places(page: Page, tokens: VisionTokens) -> dict[str, Any]:
    """Where the squares lie that tokens stand for; none where the tokens are of another picture than the page."""
    height, width = page.image.shape[:2]
    if tokens.places is None:
        places = [[row, column] for row in range(tokens.height) for column in range(tokens.width)]
    else:
        places = [[int(row), int(column)] for view, row, column in tokens.places if view == 0]
    return {"width": width, "height": height, "vision_tokens": len(tokens), "square": TOKEN_SIDE,
            "origin": list(tokens.origin), "places": places}  # fmt: skip


def _pictured(page: TypesetPage, tokens: VisionTokens) -> dict[str, Any]:
    """A typeset page with its picture, and the text in each token's square."""
    png = io.BytesIO()
    Image.fromarray(page.image).convert("1", dither=Image.Dither.NONE).save(png, "PNG")
    found = _places(page, tokens)
    squares: dict[tuple[int, int], list[str]] = {}
    top, left = tokens.origin
    if len(page.boxes):
        centres = (page.boxes[:, :2] + page.boxes[:, 2:]) / 2 - np.array([left, top])
        for sign, (column, row) in zip(page.text, (centres // TOKEN_SIDE).astype(int).tolist(), strict=True):
            squares.setdefault((row, column), []).append(sign)
    return {"png": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}", **found,
            "squares": ["".join(squares.get((row, column), [])) for row, column in found["places"]]}  # fmt: skip


def _texts_of(fiche: Fiche) -> list[str | None]:
    """The text of each page, where the file holds it and it is that of the page."""
    entries = fiche.manifest.pages
    if fiche.manifest.text is None:
        return [None] * len(entries)
    whole = composed(b"".join(fiche.text()).decode("utf-8", "replace"))
    found: list[str | None] = []
    at = 0
    for entry in entries:
        text = whole[at : at + entry.characters]
        at += entry.characters
        found.append(text if sha256(text.encode()) == entry.text else None)
    return found
