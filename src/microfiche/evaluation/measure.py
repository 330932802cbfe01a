"""Packs and reads a text in memory and says what it cost and what came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TypeVar

from pydantic import BaseModel

from microfiche.nano.cells import Nano
from microfiche.nano.lines import LineDecoder
from microfiche.nano.model import Reading
from microfiche.page import Layout, Page, TokenType, TypesetPage, VisionTokens, dequantise, quantise
from microfiche.precision import errors, fox_precision, random_twin, text_tokens
from microfiche.typesetting.density import DEFAULT_DENSITY, density, mode
from microfiche.typesetting.shrink import as_jpeg, shrink
from microfiche.typesetting.typesetter import Typesetter

BATCH = 32
T = TypeVar("T")


class Measurement(BaseModel):
    """What it takes to keep a text as vision tokens; precision is summed page by page over all pages."""

    characters: int
    text_tokens: int
    vision_tokens: int
    ratio: float
    precision: float
    fox_precision: float
    errors: int
    pages: int
    seconds_typeset: float
    seconds_encode: float
    seconds_read: float
    density: str
    mode: str
    layout: str
    shrunk_to: int | None
    jpeg: int | None
    random: bool
    read_by: str
    token_type: str
    checkpoint: str


def measure(
    text: str,
    model: Nano,
    density_name: str = DEFAULT_DENSITY,
    mode_name: str = "small",
    layout: Layout = "dense",
    *,
    random: bool = False,
    shrunk_to: int | None = None,
    jpeg: int | None = None,
    token_type: TokenType | None = "int8",
    decoder: LineDecoder | None = None,
    progress: Callable[[int], None] = lambda pages: None,
) -> Measurement:
    """Typesets, encodes, stores as `token_type` (not at all if None) and reads `text`, or its random twin; by the
    readout, or by `decoder` with the readout's draft.

    In between the pages may be shrunk to `shrunk_to` px of width, and saved as JPEG of quality `jpeg`.
    """
    if random:
        text = random_twin(text)
    typesetter = Typesetter(density(density_name), mode(mode_name), layout)
    pages = typesetter.pages([text])
    seconds = {"typeset": 0.0, "encode": 0.0, "read": 0.0}
    read, vision_tokens, wrong, length, count = [], 0, 0, 0, 0
    while True:
        batch = _timed(seconds, "typeset", lambda: list(islice(pages, BATCH)))
        if not batch:
            break
        batch = [_worn(page, shrunk_to, jpeg) for page in batch]
        tokens = _timed(seconds, "encode", partial(_encode, model, batch, token_type))
        readings = _timed(seconds, "read", partial(_read, model, tokens, decoder))
        for page, reading in zip(batch, readings, strict=True):
            distance, longer = errors(reading.text, page.text)
            wrong, length = wrong + distance, length + longer
        read += [reading.text for reading in readings]
        vision_tokens += sum(map(len, tokens))
        count += len(batch)
        progress(count)
    cost = text_tokens(text)
    return Measurement(
        characters=len(text),
        text_tokens=cost,
        vision_tokens=vision_tokens,
        ratio=round(cost / vision_tokens, 3),
        precision=round(1 - wrong / max(1, length), 5),
        fox_precision=round(fox_precision("".join(read), text), 5),
        errors=wrong,
        pages=count,
        seconds_typeset=round(seconds["typeset"], 3),
        seconds_encode=round(seconds["encode"], 3),
        seconds_read=round(seconds["read"], 3),
        density=density_name,
        mode=mode_name,
        layout=layout,
        shrunk_to=shrunk_to,
        jpeg=jpeg,
        random=random,
        read_by="decoder" if decoder else "readout",
        token_type=token_type or "as encoded",
        checkpoint=f"{model.checkpoint.name} {model.checkpoint.sha256[:12]}",
    )


def _worn(page: TypesetPage, side: int | None, jpeg: int | None) -> TypesetPage:
    page = page if side is None else shrink(page, side)
    return page if jpeg is None else replace(page, image=as_jpeg(page.image, jpeg))


def _encode(model: Nano, pages: Sequence[Page], token_type: TokenType | None) -> list[VisionTokens]:
    return [_stored(tokens, token_type) for tokens in model.encode_each(pages)]


def _read(model: Nano, tokens: list[VisionTokens], decoder: LineDecoder | None) -> list[Reading]:
    return list(model.read_each(tokens, decoder))


def _stored(tokens: VisionTokens, token_type: TokenType | None) -> VisionTokens:
    if token_type is None:
        return tokens
    return replace(tokens, values=dequantise(quantise(tokens.values, token_type)))


def _timed(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = work()
    seconds[name] += time.perf_counter() - start
    return result
